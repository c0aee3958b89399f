// Charts: what is pointed at says what it is; rows that are not shown are left out.

/** The numbers of the rows that a mark is about: its id is NAME-3-7-. */
const rowsOfMark = (mark) => mark.id.split("-").slice(1).filter(Boolean).map(Number);

const marks = all(".mark");
for (const mark of marks) one("title", mark)?.remove(); // ours is shown in its place

const marksShown = (chart) => all(".mark", chart).filter((mark) => mark.style.display !== "none");

/** One stop of the tab key in each chart, from which arrows lead to its other marks. */
function setStops() {
  for (const mark of marks) mark.setAttribute("tabindex", "-1");
  for (const chart of all(".charts figure")) marksShown(chart)[0]?.setAttribute("tabindex", "0");
}

shown.addEventListener("change", () => {
  for (const mark of marks) mark.style.display = anyShown(rowsOfMark(mark)) ? "" : "none";
  setStops();
  for (const part of all("[data-rows]:not(#rows tr)")) part.hidden = !anyShown(rowsOf(part));
});

setStops();

const tip = one("#tip");

function showTip(text, x, y) {
  tip.textContent = text;
  tip.hidden = false;
  const { width, height } = tip.getBoundingClientRect();
  const left = Math.min(x + 14, innerWidth - width - 8);
  tip.style.left = `${Math.max(8, left)}px`;
  tip.style.top = `${y + 18 + height > innerHeight ? y - height - 12 : y + 18}px`;
}

function showTipOf(mark, x, y) {
  mark.classList.add("lit");
  showTip(mark.getAttribute("aria-label"), x, y);
}

for (const mark of marks) {
  const hide = () => { tip.hidden = true; mark.classList.remove("lit"); };
  mark.addEventListener("pointermove", (e) => showTipOf(mark, e.clientX, e.clientY));
  mark.addEventListener("pointerleave", hide);
  mark.addEventListener("focus", () => {
    const { left, bottom } = mark.getBoundingClientRect();
    showTipOf(mark, left, bottom);
  });
  mark.addEventListener("blur", hide);
}

for (const chart of all(".charts figure")) {
  chart.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    const there = marksShown(chart);
    const at = there.indexOf(document.activeElement);
    if (!step || at < 0) return;
    event.preventDefault();
    there[(at + step + there.length) % there.length].focus();
  });
}

/** The chart as a file of its own, in the colours that it has now. */
function svgText(svg) {
  const style = getComputedStyle(document.documentElement);
  const text = new XMLSerializer().serializeToString(svg);
  return text.replace(/var\((--[\w-]+), [^)]*\)/g, (_, name) => style.getPropertyValue(name).trim());
}

for (const chart of all(".charts figure")) {
  const button = make("button", { type: "button", "aria-label": `Download ${chart.dataset.name} as SVG` }, "SVG");
  button.addEventListener("click", () =>
    give(`${chart.dataset.name}.svg`, "image/svg+xml", svgText(one("svg", chart))));
  chart.append(button);
}
