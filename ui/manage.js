// The manage tab: files in, files away and back, and what that changed. Changes carry the page's token.
const limits = props.limits, token = props.token;
const mb = Math.round(limits.bytes / 1024 / 1024);
const LABELS_SHOWN = 12;
let now = null, replace = false, polling = false;

const told = make("div", { class: "told", role: "status" });
const progress = make("div", { class: "busy", hidden: true });
const adding = make("section", { class: "card adding" });
const filesBox = make("section", { class: "card files" });
const trashBox = make("section", { class: "card trash", hidden: true });
page.classList.add("manage");
page.append(adding, progress, told, filesBox, trashBox);

const change = (name, values = {}) => call(`desk_${name}`, { ...values, token });
const base = (path) => path.split("/").pop();
const bytes = (size) => (size < 1024 ? `${size} B` : size < 1048576 ? `${(size / 1024).toFixed(1)} KB` : `${(size / 1048576).toFixed(1)} MB`);

function tell(lines, problems = [], extra = null) {
  const box = make("div", { class: problems.length ? "card note-box bad" : "card note-box" },
    make("ul", {}, ...lines.map((line) => make("li", {}, line)), ...problems.map((line) => make("li", { class: "problem" }, line))),
    extra, make("button", { type: "button", class: "plain dismiss", onclick: () => box.remove() }, words.dismiss));
  told.replaceChildren(box);
}

function drawAdding() {
  if (!now.allowed || !now.folder) {
    adding.replaceChildren(make("p", { class: "faint" }, now.allowed ? words.no_folder : words.not_allowed));
    return;
  }
  const input = make("input", { type: "file", multiple: true, accept: limits.endings.join(","), class: "unseen", id: "notes-to-upload" });
  input.addEventListener("change", () => { send([...input.files]); input.value = ""; });
  const drop = make("label", { class: "drop", for: "notes-to-upload" }, words.drop,
    make("span", { class: "faint" }, say("kinds", { endings: limits.endings.join(" "), mb, folder: now.folder })));
  for (const [name, over] of [["dragenter", true], ["dragover", true], ["dragleave", false], ["drop", false]]) {
    drop.addEventListener(name, (event) => { event.preventDefault(); drop.classList.toggle("over", over); });
  }
  drop.addEventListener("drop", (event) => send([...event.dataTransfer.files]));
  const clash = make("div", { class: "clash" }, make("span", { class: "faint" }, words.clash),
    choose([[false, words.clash_copy], [true, words.clash_replace]], replace, words.clash, (value) => { replace = value; }));
  adding.replaceChildren(...[make("h2", {}, words.add), input, drop, clash, now.local ? folderForm() : null].filter(Boolean));
}

function folderForm() {
  const path = make("input", { type: "text", id: "folder-to-copy", placeholder: words.folder_hint, autocomplete: "off", spellcheck: "false" });
  const form = make("form", { class: "folder" }, make("label", { for: "folder-to-copy", class: "faint" }, words.folder),
    make("div", { class: "toolrow" }, path, make("button", { type: "submit", class: "plain" }, words.folder_go)));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (!path.value.trim()) return;
    work(words.reading);
    report(await change("add_folder", { folder: path.value }));
  });
  return form;
}

async function send(files) {
  if (!files.length) return;
  if (files.length > limits.files) {
    tell([], [say("too_many", { n: limits.files })]);
    return;
  }
  const sent = [], problems = [];
  for (const [at, file] of files.entries()) {
    work(say("uploading", { n: at + 1, total: files.length }), at, files.length);
    if (file.size > limits.bytes) {
      problems.push(say("too_large", { name: file.name, mb }));
      continue;
    }
    try {
      sent.push({ path: (await upload(file)).path, name: file.name });
    } catch (error) {
      problems.push(say("failed", { error: `${file.name} ${error instanceof Error ? error.message : error}` }));
    }
  }
  report(sent.length ? await change("keep", { files: sent, replace }) : {}, problems);
}

function report(answer, problems = []) {
  const failed = [...problems, ...(answer.problems ?? []), ...(answer.error ? [answer.error] : [])];
  const lines = (answer.stored ?? []).map((one) => say(one.outcome, { name: one.name, path: one.path }));
  if (answer.pictures) lines.push(say("pictures", { n: answer.pictures }));
  if (answer.stored && !lines.length && !failed.length) lines.push(words.nothing_found);
  tell(lines, failed);
  refresh();
}

function work(text, done = 0, total = 0) {
  progress.hidden = false;
  const bar = make("progress", total ? { max: total, value: done, "aria-label": words.progress } : { "aria-label": words.progress });
  progress.replaceChildren(make("span", {}, text), bar);
}

function labels(names) {
  return names.slice(0, LABELS_SHOWN).join("、") + (names.length > LABELS_SHOWN ? words.and_more : "");
}

function tellReport(done) {
  const box = told.querySelector(".note-box ul") ?? (tell([]), told.querySelector(".note-box ul"));
  box.querySelectorAll(".report").forEach((line) => line.remove());
  const parts = ["added", "changed", "removed"].filter((name) => done[name].length)
    .map((name) => `${say(`report_${name}`, { n: done[name].length })}（${labels(done[name])}）`);
  box.append(make("li", { class: "report" }, say("report", { n: done.questions, seconds: done.seconds })),
    make("li", { class: "report" }, parts.length ? parts.join("；") : words.report_same));
}

function drawFiles() {
  const watch = make("button", { type: "button", class: "switch", role: "switch", "aria-checked": String(now.watching) },
    make("span", { class: "knob", "aria-hidden": "true" }), words.watch);
  watch.addEventListener("click", async () => {
    const answer = await change("watch", { on: !now.watching });
    if (answer.error) tell([], [answer.error]);
    await refresh();
    filesBox.querySelector(".switch")?.focus();
  });
  const again = make("button", { type: "button", class: "plain", disabled: now.running, onclick: async () => {
    const answer = await change("read_again");
    if (answer.error) tell([], [answer.error]);
    told.replaceChildren();
    refresh(true);
  } }, words.read_again);
  const top = make("div", { class: "toolrow top" }, make("h2", {}, words.files), ...(now.allowed ? [watch, again] : []));
  const columns = ["file", "questions", "size", "changed", ...(now.allowed ? ["actions"] : [])];
  const table = make("table", {}, make("caption", { class: "unseen" }, words.files),
    make("thead", {}, make("tr", {}, ...columns.map((name) => make("th", { scope: "col", class: name }, words[name])))),
    make("tbody", {}, ...now.files.map(fileLine)));
  filesBox.replaceChildren(top, now.files.length
    ? make("div", { class: "table-box", tabindex: "0", role: "region", "aria-label": words.files }, table)
    : make("p", { class: "nothing" }, words.none));
}

function fileLine(file) {
  const problem = file.problem ? file.problem.slice(file.id.length + 2) : file.read ? (file.questions ? "" : words.no_questions) : words.unread;
  const remove = make("button", { type: "button", class: "plain", "aria-label": say("delete_one", { name: file.id }), onclick: async () => {
    const answer = await change("remove", { id: file.id });
    if (answer.error) tell([], [answer.error]);
    else tell([say("deleted", { name: file.id })], [], make("button", { type: "button", class: "plain", onclick: () => putBack(answer.trashed) }, words.restore));
    refresh(true);
  } }, words.delete);
  return make("tr", {}, make("td", { class: "file" }, file.id, problem ? make("span", { class: "problem" }, problem) : null),
    make("td", { class: "questions" }, String(file.questions)), make("td", { class: "size" }, bytes(file.size)),
    make("td", { class: "changed" }, file.changed), now.allowed ? make("td", { class: "actions" }, remove) : null);
}

async function putBack(id) {
  const answer = await change("put_back", { id });
  if (answer.error) tell([], [answer.error]);
  else tell([say("restored", { path: answer.restored })]);
  refresh(true);
}

function drawTrash() {
  trashBox.hidden = !now.trash.length;
  const opened = trashBox.querySelector("details")?.open ?? false;
  trashBox.replaceChildren(make("details", { open: opened }, make("summary", {}, say("trash", { n: now.trash.length })),
    make("p", { class: "faint" }, words.trash_hint),
    make("ul", { class: "trashed" }, ...now.trash.map((one) => make("li", {}, make("span", { class: "name" }, one.home),
      make("span", { class: "faint" }, `${one.when} · ${bytes(one.size)}`),
      make("button", { type: "button", class: "plain", "aria-label": say("restore_one", { name: one.home }), onclick: () => putBack(one.id) }, words.restore))))));
}

async function refresh(expect = false) {
  const answer = await call("show_desk", "");
  if (answer.error) {
    tell([], [answer.error]);
    return;
  }
  const first = !now, was = now;
  now = answer;
  if (first || was.folder !== now.folder) drawAdding();
  if (first || JSON.stringify([was.files, was.watching, was.running]) !== JSON.stringify([now.files, now.watching, now.running])) drawFiles();
  if (first || JSON.stringify(was.trash) !== JSON.stringify(now.trash)) drawTrash();
  if (now.running) {
    work(now.total ? say("embedding", { done: now.done, total: now.total }) : words.reading, now.done, now.total);
    poll();
  } else {
    progress.hidden = true;
    if (now.failed && (polling || expect)) tell([], [now.failed]);
    else if (now.report && (polling || expect)) tellReport(now.report);
    polling = false;
  }
}

function poll() {
  polling = true;
  setTimeout(refresh, 400);
}

whenShown(() => refresh());
