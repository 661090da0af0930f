// The page's script: events from buttons to the server, the composer, drawers, previews, formulas.
// Everything the notes say reaches the page as text or as HTML the server wrote; nothing is read as HTML here.
(() => {
  const settings = window.mianjingSettings;
  const root = document.documentElement;
  const find = (selector, from = document) => from.querySelector(selector);
  const narrow = () => matchMedia("(max-width: 900px)").matches;
  let trigger = () => {};
  let editing = "";
  let opener = null;

  // --- Formulas: KaTeX as Gradio brings it, in a shadow of its own so that the page's updates leave it alone.
  let katex = null;
  const loadKatex = () => {
    if (!settings.katex.js) return Promise.reject(new Error("no KaTeX"));
    if (!katex) {
      if (settings.katex.css && !find("link[data-katex]")) {
        document.head.append(Object.assign(document.createElement("link"), { rel: "stylesheet", href: asset("css") }));
        document.head.lastChild.dataset.katex = "";
      }
      katex = import(asset("js")).then((module) => module.default);
    }
    return katex;
  };
  // Gradio ties every style sheet it brings, KaTeX's too, to the class of its container.
  const container = () => [...find(".gradio-container").classList].find((name) => name.startsWith("gradio-container-")) ?? "";
  const asset = (kind) => new URL(`assets/${settings.katex[kind]}`, document.baseURI).href;

  class TexMath extends HTMLElement {
    static observedAttributes = ["data-tex"];
    connectedCallback() { this.draw(); }
    attributeChangedCallback() { if (this.isConnected) this.draw(); }
    async draw() {
      const tex = this.dataset.tex;
      const shadow = this.shadowRoot ?? this.attachShadow({ mode: "open" });
      if (!shadow.hasChildNodes()) shadow.append(document.createElement("slot"));
      try {
        const renderer = await loadKatex();
        const box = document.createElement("span");
        box.className = container();
        renderer.render(tex, box, { displayMode: this.classList.contains("block"), throwOnError: true, trust: false, maxExpand: 500 });
        const style = Object.assign(document.createElement("link"), { rel: "stylesheet", href: asset("css") });
        if (this.dataset.tex === tex) shadow.replaceChildren(style, box);
      } catch {
        shadow.replaceChildren(document.createElement("slot"));  // not a formula KaTeX knows: its source stays
      }
    }
  }
  customElements.define("tex-math", TexMath);

  class CopyCode extends HTMLElement {
    connectedCallback() {
      if (this.shadowRoot) return;
      const shadow = this.attachShadow({ mode: "open" });
      const button = Object.assign(document.createElement("button"), { type: "button", textContent: settings.copy });
      button.setAttribute("part", "copy");
      button.addEventListener("click", async () => {
        await copy(find("code", this).textContent);
        button.textContent = settings.copied;
        setTimeout(() => { button.textContent = settings.copy; }, 1500);
      });
      shadow.append(button, document.createElement("slot"));
    }
  }
  customElements.define("copy-code", CopyCode);

  async function copy(text) {
    if (navigator.clipboard && window.isSecureContext) return navigator.clipboard.writeText(text);
    const box = Object.assign(document.createElement("textarea"), { value: text });  // plain http has no clipboard
    document.body.append(box);
    box.select();
    document.execCommand("copy");
    box.remove();
  }

  // --- What buttons do.
  const spoken = () => JSON.parse(find("#composer").dataset.texts);
  const chosen = (name, otherwise) => find(`#composer input[name=${name}]:checked`)?.value ?? otherwise;
  const isBusy = () => Boolean(find("#growing [data-busy]"));
  const ready = () => Boolean(find("#talk [data-ready]"));

  function ask(text, exchange = "") {
    if (!text.trim() || isBusy()) return;
    if (!ready()) { setTimeout(() => ask(text, exchange), 100); return; }
    closeDrawers();
    follow = true;
    trigger("ask", { text, exchange, length: chosen("length", "normal"), mode: chosen("mode", "write") });
  }

  const acts = {
    ask: (data) => ask(data.text),
    retry: (data) => ask(data.text, data.exchange),
    async copy(data, button) {
      await copy(data.text);
      button.classList.add("done");
      say(spoken().copied);
      setTimeout(() => button.classList.remove("done"), 1500);
    },
    edit(data) {
      const box = find("#ask");
      editing = data.exchange;
      box.value = data.text;
      grow(box);
      box.focus();
      find("#composer").classList.add("editing");
    },
    cite(data, button, event) {
      hidePreview();
      opener = button;
      openSources(event.detail === 0);
      trigger("cite", data);
    },
    browse: (data) => { openSources(false); trigger("browse", data); },
    raw: (data) => { openSources(false); trigger("raw", data); },
    open: (data) => { closeDrawers(); follow = true; trigger("open", data); },
    new() { closeDrawers(); stopEditing(); trigger("new", {}); find("#ask").focus(); },
    rename: (data, button) => rename(data, button.closest("li")),
    delete: (data, button) => confirmDelete(data, button.closest("li")),
  };

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-act]");
    if (button && button.tagName === "BUTTON") {
      const { act, ...data } = button.dataset;
      (acts[act] ?? ((values) => trigger(act, values)))(data, button, event);
      return;
    }
    const drawer = event.target.closest("[data-drawer]");
    if (drawer) openDrawer(drawer.dataset.drawer, drawer);
    else if (event.target.closest("[data-theme-switch]")) switchTheme();
    else if (find("#chat").dataset.drawer && !event.target.closest(".side")) closeDrawers();
  });

  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.id === "composer") {
      event.preventDefault();
      send();
    } else if (form.matches("form.reason")) {
      event.preventDefault();
      const { act, ...data } = form.dataset;
      trigger(act, { ...data, reason: form.reason.value });
    }
  });

  function send() {
    const box = find("#ask");
    if (!box.value.trim() || isBusy()) return;
    ask(box.value, editing);
    box.value = "";
    stopEditing();
    grow(box);
  }

  function stopEditing() {
    editing = "";
    find("#composer")?.classList.remove("editing");
  }

  // An input method takes Enter for itself: while it composes, and in Safari once more right after (key code 229).
  window.addEventListener("keydown", (event) => {
    if (event.target.id === "ask" && event.key === "Enter" && !event.shiftKey) {
      if (event.isComposing || event.keyCode === 229) { event.stopImmediatePropagation(); return; }
      event.preventDefault();
      send();
    }
    if (event.key === "Escape") {
      hidePreview();
      if (find("#chat").dataset.drawer) closeDrawers();
      else if (editing) { stopEditing(); find("#ask").value = ""; }
      else if (opener?.isConnected && event.target.closest?.("#sources")) opener.focus();
    }
  }, true);

  const grow = (box) => { box.style.height = "auto"; box.style.height = `${Math.min(box.scrollHeight, 200)}px`; };
  document.addEventListener("input", (event) => { if (event.target.id === "ask") grow(event.target); });

  // --- The list of conversations.
  function rename(data, row) {
    const input = Object.assign(document.createElement("input"), { value: data.title, maxLength: 80, className: "rename" });
    input.setAttribute("aria-label", spoken().rename);
    let over = false;
    const end = (keep) => {
      if (over) return;
      over = true;
      const title = input.value.trim();
      input.replaceWith(before);
      if (keep && title && title !== data.title) trigger("rename", { conversation: data.conversation, title });
    };
    input.addEventListener("keydown", (event) => {
      if (event.isComposing || event.keyCode === 229) return;
      if (event.key === "Enter") end(true);
      if (event.key === "Escape") { event.stopPropagation(); end(false); }
    });
    input.addEventListener("blur", () => end(true));
    const before = find(".open", row);
    before.replaceWith(input);
    input.select();
  }

  function confirmDelete(data, row) {
    const words = spoken();
    const tools = find(".row-tools", row);
    const kept = [...tools.childNodes];
    const sure = Object.assign(document.createElement("button"), { type: "button", className: "sure", textContent: words.delete });
    const no = Object.assign(document.createElement("button"), { type: "button", className: "no", textContent: words.cancel });
    const back = () => { tools.replaceChildren(...kept); row.classList.remove("asking"); };
    sure.title = words.sure;
    sure.setAttribute("aria-label", words.sure);
    sure.addEventListener("click", (event) => { event.stopPropagation(); back(); trigger("delete", data); });
    no.addEventListener("click", (event) => { event.stopPropagation(); back(); });
    tools.replaceChildren(sure, no);
    row.classList.add("asking");
    sure.focus();
  }

  // --- Side panels: beside the talk where there is room, drawers on a phone.
  function openDrawer(name, from) {
    find("#chat").dataset.drawer = name;
    opener = from ?? opener;
    const panel = find(`#${name}`);
    panel.setAttribute("tabindex", "-1");
    panel.focus({ preventScroll: true });
  }
  function closeDrawers() {
    if (!find("#chat").dataset.drawer) return;
    delete find("#chat").dataset.drawer;
    if (opener?.isConnected) opener.focus({ preventScroll: true });
  }
  function openSources(byKeyboard) {
    scrolled = false;
    if (narrow()) openDrawer("sources");
    else if (byKeyboard) { const panel = find("#sources"); panel.setAttribute("tabindex", "-1"); panel.focus({ preventScroll: true }); }
  }

  // --- A look at a citation's text before it is opened.
  const preview = Object.assign(document.createElement("div"), { id: "preview", hidden: true });
  preview.setAttribute("role", "tooltip");
  function showPreview(chip) {
    const title = Object.assign(document.createElement("strong"), { textContent: chip.dataset.title });
    const quote = Object.assign(document.createElement("p"), { textContent: chip.dataset.quote });
    const stale = Object.assign(document.createElement("em"), { textContent: chip.dataset.stale ?? "" });
    preview.replaceChildren(title, quote, stale);
    preview.hidden = false;
    const place = chip.getBoundingClientRect();
    const box = preview.getBoundingClientRect();
    const above = place.bottom + box.height + 12 > innerHeight;
    preview.style.left = `${Math.max(8, Math.min(place.left, innerWidth - box.width - 8))}px`;
    preview.style.top = `${above ? place.top - box.height - 6 : place.bottom + 6}px`;
    chip.setAttribute("aria-describedby", "preview");
  }
  function hidePreview() { preview.hidden = true; }
  for (const [show, hide] of [["mouseover", "mouseout"], ["focusin", "focusout"]]) {
    document.addEventListener(show, (event) => {
      const chip = event.target.closest?.(".chip[data-quote]");
      if (chip && (show === "mouseover" || chip.matches(":focus-visible"))) showPreview(chip);
    });
    document.addEventListener(hide, (event) => { if (event.target.closest?.(".chip[data-quote]")) hidePreview(); });
  }

  // --- Scrolling: a new question goes to the top and stays there; a source is shown where it was quoted.
  let follow = true;
  let settling = 0;
  let scrolled = true;
  function watch(selector, callback) {
    const node = find(selector);
    new MutationObserver(callback).observe(node, { childList: true, subtree: true, characterData: true });
  }
  function keepInView() {
    const box = find("#scroll");
    const last = find("#growing .exchange") ?? [...box.querySelectorAll("#talk .exchange")].at(-1);
    if (!follow || !last) return;
    box.scrollTop += last.getBoundingClientRect().top - box.getBoundingClientRect().top - 12;
    clearTimeout(settling);  // the two panels of an answer that is done change one after the other
    if (!isBusy()) settling = setTimeout(() => { follow = false; }, 400);
  }
  function showQuote() {
    if (scrolled) return;
    const panel = find("#sources");
    const mark = find(".source mark, .raw .cited", panel);
    panel.scrollTop = 0;
    if (mark) panel.scrollTop = mark.getBoundingClientRect().top - panel.getBoundingClientRect().top - panel.clientHeight / 4;
    scrolled = true;
  }

  function makeClose() {
    const button = Object.assign(document.createElement("button"), { type: "button", className: "tool close", title: settings.close });
    button.setAttribute("aria-label", settings.close);
    button.textContent = "✕";
    button.addEventListener("click", closeDrawers);
    return button;
  }

  const speaker = document.createElement("div");
  speaker.className = "sr-only";
  speaker.setAttribute("role", "status");
  const say = (text) => { speaker.textContent = text; };

  // --- Light and dark.
  function switchTheme() {
    const dark = !document.body.classList.contains("dark");
    document.body.classList.toggle("dark", dark);
    localStorage.setItem("mianjing-theme", dark ? "dark" : "light");
  }
  function applyTheme() {
    const kept = localStorage.getItem("mianjing-theme");
    if (kept) document.body.classList.toggle("dark", kept === "dark");
  }

  function download([name, text]) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "text/plain;charset=utf-8" }));
    link.download = name.replace(/[\\/:*?"<>|\u0000-\u001f]+/g, " ").trim();
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  }

  function attach(send) {
    trigger = send;
    applyTheme();
    find("#chat").append(preview, speaker);  // inside Gradio's container, to which it ties our style sheet
    for (const [id, label] of Object.entries(settings.regions)) {
      find(`#${id}`).setAttribute("role", id === "scroll" ? "log" : "region");
      find(`#${id}`).setAttribute("aria-label", label);
    }
    for (const side of document.querySelectorAll(".side")) side.prepend(makeClose());
    find("#scroll").setAttribute("tabindex", "0");
    find("#sources").setAttribute("tabindex", "0");
    watch("#scroll", keepInView);
    watch("#sources", showQuote);
    const length = localStorage.getItem("mianjing-length");
    const kept = length && find(`#composer input[name=length][value=${CSS.escape(length)}]`);
    if (kept) kept.checked = true;
    document.addEventListener("change", (event) => {
      if (event.target.name === "length") localStorage.setItem("mianjing-length", event.target.value);
    });
    find("#ask").focus({ preventScroll: true });
  }

  root.lang = settings.lang;
  window.mianjing = { attach, download };
  document.dispatchEvent(new Event("mianjing"));
})();
