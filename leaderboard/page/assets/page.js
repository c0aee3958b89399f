// What all parts share: finding elements, the rows that are shown, downloads, the theme.
"use strict";

document.documentElement.classList.add("js");

const one = (selector, root = document) => root.querySelector(selector);
const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const read = (id) => JSON.parse(document.getElementById(id).textContent);

/** The numbers of the rows that an element is about. */
const rowsOf = (element) => element.dataset.rows.split(" ").filter(Boolean).map(Number);

/** An element with attributes and children; texts become text, never markup. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name in element && name !== "style") element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

const shown = new EventTarget();
shown.rows = new Set(all("#rows tbody tr").flatMap(rowsOf));

/** Says which rows are shown from now on. */
function show(rows) {
  shown.rows = rows;
  shown.dispatchEvent(new Event("change"));
}

/** Whether any of these rows is shown. */
const anyShown = (rows) => rows.some((row) => shown.rows.has(row));

function give(name, type, text) {
  const url = URL.createObjectURL(new Blob([text], { type }));
  make("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}

async function copy(text, button) {
  const before = button.textContent;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    button.textContent = "Select it, and copy";
  }
  setTimeout(() => { button.textContent = before; }, 1500);
}

for (const button of all("[data-copy]")) {
  button.addEventListener("click", () => copy(one(button.dataset.copy).textContent, button));
}

const THEMES = { "": "as the system", light: "light", dark: "dark" };

/** Takes a theme and remembers it, where the browser lets pages remember. */
function setTheme(theme) {
  if (theme) document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
  one("#theme").textContent = `Theme: ${THEMES[theme]}`;
  try { localStorage.setItem("relu-bench-theme", theme); } catch { /* a page without storage */ }
}

function rememberedTheme() {
  try { return localStorage.getItem("relu-bench-theme") ?? ""; } catch { return ""; }
}

setTheme(rememberedTheme() in THEMES ? rememberedTheme() : "");
one("#theme").addEventListener("click", () => {
  const names = Object.keys(THEMES);
  setTheme(names[(names.indexOf(document.documentElement.dataset.theme ?? "") + 1) % names.length]);
});
