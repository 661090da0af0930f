// What the tabs beside the chat share. Texts become text nodes; nothing here reads them as HTML.
const words = props.words;
const page = element.querySelector(".tab-page");

function say(name, values = {}) {
  return words[name].replace(/\{(\w+)\}/g, (whole, key) => (key in values ? String(values[key]) : whole));
}

function make(tag, attributes = {}, ...children) {
  const drawn = ["svg", "g", "circle", "text", "title"].includes(tag) && attributes.svg !== false;
  const made = drawn ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(name, String(value));
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

async function call(name, argument) {
  let answer;
  try {
    answer = await server[name](argument);
  } catch (error) {
    answer = { error: say("failed", { error: error instanceof Error ? error.message : String(error) }) };
  }
  return answer;
}

function whenShown(callback) {
  new IntersectionObserver((entries) => {
    if (entries.some((entry) => entry.isIntersecting)) callback();
  }).observe(element);
}

function choose(items, chosen, label, onchoose) {
  const group = make("div", { class: "segments", role: "group", "aria-label": label });
  for (const [value, text] of items) {
    const button = make("button", { type: "button", "aria-pressed": value === chosen, "data-value": value }, text);
    button.setAttribute("aria-pressed", String(value === chosen));
    button.addEventListener("click", () => {
      for (const other of group.children) other.setAttribute("aria-pressed", String(other === button));
      onchoose(value);
    });
    group.append(button);
  }
  return group;
}

// Opens a question in the library from anywhere; the library may not have been shown yet.
function openInLibrary(id) {
  window.questionToOpen = id;
  window.dispatchEvent(new CustomEvent("open-question"));
  document.getElementById("tab-library-button")?.click();
}
