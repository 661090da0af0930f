// The library: a table that filters as you type, a reader beside it, and a map of the questions.
const PER_PAGE = 100;
const FLAGS = ["empty", "picture", "cut", "same", "short"];
const COLUMNS = ["number", "title", "source", "chars"];
const state = { generation: "", rows: [], shown: [], flags: new Set(), file: "", words: [], sort: "number", down: false,
  at: 0, open: "", view: "list", map: null, drawn: "" };

const search = make("input", { type: "search", placeholder: words.search_hint, "aria-label": words.search, autocomplete: "off" });
const files = make("select", { "aria-label": words.file });
const chips = make("div", { class: "flags", role: "group", "aria-label": words.flags });
const count = make("p", { class: "count", role: "status" });
const clear = make("button", { type: "button", class: "plain", hidden: true }, words.clear);
const listBox = make("div", { class: "list-box" });
const mapBox = make("div", { class: "map-box", hidden: true });
const reader = make("section", { class: "reader", "aria-label": words.reader, tabindex: "-1" });
const views = choose([["list", words.list], ["map", words.map]], "list", words.view, (view) => {
  state.view = view;
  listBox.hidden = view !== "list";
  mapBox.hidden = view !== "map";
  if (view === "map") showMap();
});
const fold = (text) => text.normalize("NFKC").toLowerCase();

page.classList.add("library");
page.append(
  make("div", { class: "toolrow" }, search, files, views),
  make("div", { class: "toolrow narrow" }, chips, count, clear),
  make("div", { class: "panes" }, make("div", { class: "pane" }, listBox, mapBox), reader),
);

function badge(row, flag) {
  const others = row.same.join(flag === "same" ? "、" : "");
  return make("span", { class: `badge ${flag}` }, flag === "same" ? say("same_as", { labels: others }) : words[flag]);
}

function showChips() {
  chips.replaceChildren(...FLAGS.map((flag) => {
    const n = state.rows.filter((row) => row.flags.includes(flag)).length;
    const chip = make("button", { type: "button", class: "flag", "data-flag": flag, disabled: n === 0 },
      words[flag], make("span", { class: "n" }, String(n)));
    chip.setAttribute("aria-pressed", String(state.flags.has(flag)));
    chip.addEventListener("click", () => {
      state.flags.has(flag) ? state.flags.delete(flag) : state.flags.add(flag);
      chip.setAttribute("aria-pressed", String(state.flags.has(flag)));
      select();
    });
    return chip;
  }));
  const names = [...new Set(state.rows.map((row) => row.file))].sort();
  if (!names.includes(state.file)) state.file = "";
  files.replaceChildren(make("option", { value: "" }, words.all_files),
    ...names.map((name) => make("option", { value: name, selected: name === state.file }, name)));
  files.hidden = names.length < 2;
}

function compare(one, other) {
  if (state.sort === "title") return one.title.localeCompare(other.title, "zh");
  if (state.sort === "source") return one.file.localeCompare(other.file, "zh") || one.order - other.order;
  return state.sort === "chars" ? one.chars - other.chars : one.order - other.order;
}

function select() {
  state.shown = state.rows.filter((row) => (!state.file || row.file === state.file)
    && (state.flags.size === 0 || row.flags.some((flag) => state.flags.has(flag)))
    && state.words.every((word) => row.key.includes(word)));
  const sign = state.down ? -1 : 1;
  state.shown.sort((one, other) => sign * (compare(one, other) || one.order - other.order));
  state.at = 0;
  showRows();
  if (state.map) markMap();
}

function head(column) {
  const sorted = state.sort === column;
  const arrow = make("span", { class: "arrow", "aria-hidden": "true" }, sorted ? (state.down ? "▼" : "▲") : "");
  const button = make("button", { type: "button", onclick: () => {
    state.down = state.sort === column && !state.down;
    state.sort = column;
    select();
    listBox.querySelector(`th.h-${column} button`)?.focus();
  } }, words[column], arrow);
  return make("th", { scope: "col", class: `h-${column}`, "aria-sort": sorted ? (state.down ? "descending" : "ascending") : null }, button);
}

function line(row) {
  const open = make("button", { type: "button", class: "opens", "data-id": row.id }, row.title || row.label);
  const made = make("tr", { class: row.parent ? "sub" : null, "aria-current": row.id === state.open ? "true" : null,
    onclick: () => show(row.id) },
    make("td", { class: "number" }, row.label),
    make("td", { class: "title" }, open, ...row.flags.map((flag) => badge(row, flag)),
      row.group ? make("span", { class: "group" }, row.group) : null),
    make("td", { class: "origin" }, make("span", { class: "file" }, row.file.split("/").pop()), make("span", { class: "place" }, row.place)),
    make("td", { class: "chars" }, String(row.chars)));
  made.rowData = row;
  return made;
}

function showRows() {
  const n = state.shown.length, total = state.rows.length, last = Math.min(n, state.at + PER_PAGE);
  count.textContent = n === total ? say("count", { n }) : say("count_of", { n, total });
  clear.hidden = !(state.words.length || state.flags.size || state.file);
  if (n === 0) {
    listBox.replaceChildren(make("p", { class: "nothing" }, total ? words.none : words.no_notes));
    return;
  }
  const table = make("table", {}, make("caption", { class: "unseen" }, words.table),
    make("thead", {}, make("tr", {}, ...COLUMNS.map(head))),
    make("tbody", {}, ...state.shown.slice(state.at, last).map(line)));
  const box = make("div", { class: "table-box", tabindex: "0", role: "region", "aria-label": words.table }, table);
  const turn = (text, to, on) => make("button", { type: "button", class: "plain", disabled: !on, onclick: () => {
    state.at = to;
    showRows();
    listBox.querySelector("button.opens")?.focus();
  } }, text);
  listBox.replaceChildren(box);
  if (n > PER_PAGE) {
    listBox.append(make("nav", { class: "pager", "aria-label": words.table },
      turn(words.earlier, state.at - PER_PAGE, state.at > 0),
      make("span", {}, say("page", { first: state.at + 1, last })),
      turn(words.later, state.at + PER_PAGE, last < n)));
  }
}

function markOpen() {
  for (const row of listBox.querySelectorAll("tbody tr")) {
    row.rowData.id === state.open ? row.setAttribute("aria-current", "true") : row.removeAttribute("aria-current");
  }
  for (const dot of mapBox.querySelectorAll(".dot")) dot.classList.toggle("chosen", dot.dataset.id === state.open);
}

async function show(id) {
  const row = state.rows.find((one) => one.id === id);
  if (!row) return;
  state.open = id;
  page.classList.add("reading");
  markOpen();
  const body = make("div", { class: "note markdown" });
  const at = state.shown.indexOf(row);
  const step = (text, to) => make("button", { type: "button", class: "plain", disabled: at < 0 || !to, onclick: () => show(to.id) }, text);
  const flags = row.flags.map((flag) => badge(row, flag));
  if (row.parent) flags.push(make("span", { class: "badge" }, say("part_of", { labels: row.parent, label: row.parent })));
  reader.replaceChildren(
    make("nav", { class: "steps" }, make("button", { type: "button", class: "plain back", onclick: leave }, "← " + words.back),
      make("span", { class: "gap" }), step(words.previous, state.shown[at - 1]), step(words.following, at < 0 ? null : state.shown[at + 1])),
    make("h2", {}, make("span", { class: "qname" }, row.label), row.title),
    make("p", { class: "whence" }, `${row.file} · ${row.place}`, ...flags),
    body);
  const answer = await call("read_question", id);
  if (state.open !== id) return;
  if (answer.error) body.append(make("p", { class: "error", role: "alert" }, answer.error));
  else if (answer.html) body.innerHTML = answer.html; // made safe by the server's renderer
  else body.append(make("p", { class: "nothing" }, words.no_text));
  reader.scrollTop = 0;
  reader.focus({ preventScroll: getComputedStyle(page.querySelector(".pane")).display !== "none" });
}

function leave() {
  page.classList.remove("reading");
  listBox.querySelector(`button.opens[data-id="${CSS.escape(state.open)}"]`)?.focus();
}

async function refresh() {
  if (!state.generation) listBox.replaceChildren(make("p", { class: "nothing" }, words.loading));
  const answer = await call("list_questions", state.generation);
  if (answer.error) {
    listBox.replaceChildren(make("p", { class: "error", role: "alert" }, answer.error));
    return;
  }
  if (answer.rows && answer.generation !== state.generation) {
    state.generation = answer.generation;
    state.rows = answer.rows.map((row, order) => ({ ...row, order, key: fold(`${row.label} ${row.title} ${row.group} ${row.file}`) }));
    showChips();
    select();
    if (!state.open) reader.replaceChildren(make("p", { class: "nothing" }, words.pick));
    if (state.view === "map") showMap();
  }
  if (window.questionToOpen) {
    show(window.questionToOpen);
    window.questionToOpen = "";
  }
}

// The map.
const topicClass = (topic) => `topic-${topic % 10}`;

async function showMap() {
  const answer = await call("place_questions", state.drawn);
  if (answer.error) {
    mapBox.replaceChildren(make("p", { class: "error", role: "alert" }, answer.error));
    return;
  }
  if (!answer.points || answer.generation === state.drawn) return;
  state.map = answer;
  state.drawn = answer.generation;
  drawMap(answer);
  markMap();
  markOpen();
}

function drawMap(map) {
  const wide = 1000, high = 620, edge = 34, n = map.points.length;
  const size = n > 600 ? 4 : n > 120 ? 6 : 10;
  const caption = make("p", { class: "caption", "aria-hidden": "true" }, words.map_hint);
  const tell = (point) => { caption.textContent = `${point.label} ${point.title} · ${map.topics[point.topic] || words.other}`; };
  const dots = map.points.map((point, at) => {
    const x = edge + point.x * (wide - 2 * edge), y = edge + point.y * (high - 2 * edge);
    const dot = make("circle", { cx: x.toFixed(1), cy: y.toFixed(1), r: size, class: `dot ${topicClass(point.topic)}`, role: "button",
      tabindex: at === 0 ? "0" : "-1", "data-id": point.id, "aria-label": `${point.label} ${point.title}`,
      onclick: () => { hold(dot); show(point.id); }, onpointerenter: () => tell(point), onfocus: () => tell(point) },
      make("title", {}, `${point.label} ${point.title}`));
    Object.assign(dot, { spot: { x, y }, point });
    return dot;
  });
  const hold = (dot) => {
    for (const other of dots) other.setAttribute("tabindex", other === dot ? "0" : "-1");
    dot.focus({ preventScroll: true });
  };
  const drawing = make("svg", { viewBox: `0 0 ${wide} ${high}`, role: "group", "aria-label": words.map_label }, ...dots);
  drawing.addEventListener("keydown", (event) => {
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (way) {
      const next = nearest(event.target, dots, way);
      if (next) hold(next);
      event.preventDefault();
    } else if (event.key === "Enter" || event.key === " ") {
      show(event.target.point.id);
      event.preventDefault();
    }
  });
  const legend = make("ul", { class: "legend", "aria-label": words.topics }, ...map.topics.map((name, topic) =>
    make("li", {}, make("span", { class: `swatch ${topicClass(topic)}`, "aria-hidden": "true" }), name || words.other)));
  const sample = n < map.total ? make("p", { class: "count" }, say("map_sample", { n, total: map.total })) : null;
  mapBox.replaceChildren(...[sample, caption, make("div", { class: "drawing" }, drawing), legend].filter(Boolean));
}

// The nearest dot that lies rather in that direction than to the side.
function nearest(from, dots, [right, down]) {
  const cost = (dot) => {
    const x = dot.spot.x - from.spot.x, y = dot.spot.y - from.spot.y;
    const ahead = x * right + y * down, aside = Math.abs(x * down) + Math.abs(y * right);
    return ahead > 0.5 && aside <= 2 * ahead ? ahead + 2 * aside : Infinity;
  };
  const best = dots.reduce((one, other) => (cost(other) < cost(one) ? other : one), dots[0]);
  return cost(best) < Infinity ? best : null;
}

function markMap() {
  const shown = new Set(state.shown.map((row) => row.id));
  for (const dot of mapBox.querySelectorAll(".dot")) dot.classList.toggle("dim", !shown.has(dot.dataset.id));
}

search.addEventListener("input", () => {
  state.words = fold(search.value).split(/\s+/).filter(Boolean);
  select();
});
search.addEventListener("keydown", (event) => {
  if (event.key === "ArrowDown") listBox.querySelector("button.opens")?.focus();
});
listBox.addEventListener("keydown", (event) => {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!step || !event.target.matches("button.opens")) return;
  const buttons = [...listBox.querySelectorAll("button.opens")];
  (buttons[buttons.indexOf(event.target) + step] ?? search).focus();
  event.preventDefault();
});
files.addEventListener("change", () => {
  state.file = files.value;
  select();
});
clear.addEventListener("click", () => {
  Object.assign(state, { words: [], file: "" });
  state.flags.clear();
  search.value = "";
  showChips();
  select();
  search.focus();
});
window.addEventListener("open-question", () => { if (state.generation) refresh(); });
whenShown(refresh);
