// The debug tab: a query, the verdict, and why each question stands where it does.
const STAGE_NAMES = { lookup: "lookup", split: "split_stage", resolve: "resolve_stage", mend: "mend_stage", embed: "embed_stage",
  words: "words_stage", rank: "rank_stage" };
const SIGN_NAMES = { words: "words_sign", concepts: "concepts_sign", described: "described_sign" };

const query = make("input", { type: "search", placeholder: words.query_hint, "aria-label": words.query, autocomplete: "off", maxlength: 2000, name: "query" });
const before = make("input", { type: "text", placeholder: words.before, "aria-label": words.before, autocomplete: "off", maxlength: 2000, name: "before" });
const go = make("button", { type: "submit", class: "strong" }, words.go);
const form = make("form", { class: "toolrow" }, query, before, go);
const result = make("div", { class: "result", "aria-live": "polite" }, make("p", { class: "nothing" }, words.intro));
let asked = 0;

page.classList.add("debug");
page.append(form, result);

const number = (value, digits = 2) => Number(value).toFixed(digits);

function bar(kind, value, share) {
  const fill = make("span", { class: "fill" });
  fill.style.width = `${Math.max(0, Math.min(1, share)) * 100}%`;
  return make("div", { class: `bar ${kind}` }, make("span", { class: "name" }, words[kind]),
    make("span", { class: "track", "aria-hidden": "true" }, fill), make("span", { class: "value" }, number(value)));
}

function signTable(signs, sum) {
  const line = (name, value, weighed) => make("tr", {}, make("th", { scope: "row" }, name), make("td", {}, value), make("td", {}, weighed));
  return make("table", { class: "signs" },
    make("thead", {}, make("tr", {}, ...["sign", "value", "weighed"].map((name) => make("th", { scope: "col" }, words[name])))),
    make("tbody", {}, ...signs.map((sign) => line(words[SIGN_NAMES[sign.name] ?? sign.name], number(sign.value, 3), number(sign.weighed, 3))),
      sum === undefined ? null : line(words.strength, "", number(sum, 3))));
}

function meter(coverage, threshold, covered) {
  const fill = make("span", { class: covered ? "fill" : "fill low" });
  fill.style.width = `${coverage * 100}%`;
  const tick = make("span", { class: "tick" });
  tick.style.left = `${threshold * 100}%`;
  return make("div", { class: "meter", role: "img", "aria-label": say("meter", { coverage: number(coverage), threshold: number(threshold) }) },
    make("span", { class: "track" }, fill, tick));
}

function verdict(found) {
  const text = found.covered ? words.covered : words.not_covered;
  const figures = found.named.length ? null : make("p", { class: "faint" },
    `${words.probability} ${number(found.coverage)} · ${say("threshold", { threshold: number(found.threshold) })}`);
  return make("section", { class: "card outcome" }, make("h2", { class: found.covered ? "is-good" : "is-poor" }, text), figures,
    found.named.length ? null : meter(found.coverage, found.threshold, found.covered),
    make("ul", { class: "understood", "aria-label": words.understood }, ...understood(found).map((line) => make("li", {}, line))));
}

function understood(found) {
  const lines = [];
  if (found.named.length) lines.push(say("named", { labels: found.named.join("、") }));
  if (found.missing.length) lines.push(say("missing", { labels: found.missing.join("、") }));
  if (found.asked.length > 1) lines.push(say("split", { n: found.asked.length }));
  for (const one of found.asked) {
    if (one.leans) lines.push(say("resolved", { text: one.text }));
    if (one.mended !== one.text) lines.push(say("mended", { text: one.mended }));
    if (one.described) lines.push(say("described", { terms: one.described }));
  }
  if (!found.asked.length && !found.named.length && !found.missing.length) return [words.empty];
  return lines.length ? lines : [words.plain];
}

function candidate(one, at, most) {
  const open = make("button", { type: "button", class: "opens", title: words.open, onclick: () => openInLibrary(one.id) },
    make("span", { class: "qname" }, one.label), one.title);
  const matched = [...one.words.map((word) => make("span", { class: "match word" }, word)),
    ...one.concepts.map((word) => make("span", { class: "match concept" }, word))];
  return make("li", { class: "candidate" },
    make("span", { class: "place", "aria-hidden": "true" }, String(at + 1)),
    make("div", { class: "what" }, open,
      make("p", { class: "matches" }, ...(matched.length ? matched : [make("span", { class: "faint" }, words.no_words)])),
      make("details", {}, make("summary", {}, words.details),
        make("p", { class: "faint" }, `${one.file} · ${say("passage", { first: one.place[0], last: one.place[1] })}`),
        make("blockquote", {}, one.passage), signTable(one.signs, one.strength))),
    make("div", { class: "bars" }, bar("lexical", one.lexical, one.lexical / most), bar("dense", one.dense, one.dense / most),
      bar("score", one.score, one.score)));
}

function candidates(one, several) {
  const most = Math.max(0.01, ...one.candidates.flatMap((each) => [each.lexical, each.dense]));
  return make("section", { class: "card" }, make("h3", {}, several ? one.text : words.candidates),
    several ? make("p", { class: "faint" }, `${words.probability} ${number(one.coverage)}`) : null,
    one.candidates.length ? make("ol", { class: "candidates" }, ...one.candidates.map((each, at) => candidate(each, at, most)))
      : make("p", { class: "nothing" }, words.nothing),
    make("details", { class: "why" }, make("summary", {}, words.why_covered), signTable(one.signs)));
}

function timings(pairs) {
  const whole = pairs.find(([name]) => name === "search")?.[1] ?? 0;
  const stages = pairs.filter(([name]) => name !== "search");
  const longest = Math.max(0.01, ...stages.map(([, ms]) => ms));
  return make("section", { class: "card timings" }, make("h3", {}, words.timings), make("p", { class: "faint" }, say("total", { ms: number(whole, 1) })),
    make("ul", {}, ...stages.map(([name, ms]) => {
      const fill = make("span", { class: "fill" });
      fill.style.width = `${(ms / longest) * 100}%`;
      return make("li", { class: "bar time" }, make("span", { class: "name" }, words[STAGE_NAMES[name]]),
        make("span", { class: "track", "aria-hidden": "true" }, fill), make("span", { class: "value" }, say("ms", { ms: number(ms, 1) })));
    })));
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const mine = ++asked;
  result.replaceChildren(make("p", { class: "nothing" }, words.working));
  const found = await call("explain_query", { text: query.value, before: before.value });
  if (mine !== asked) return;
  if (found.error) {
    result.replaceChildren(make("p", { class: "error", role: "alert" }, found.error));
    return;
  }
  result.replaceChildren(...[verdict(found), ...found.asked.map((one) => candidates(one, found.asked.length > 1)),
    found.timings.length > 1 ? timings(found.timings) : null].filter(Boolean));
});
