// Tables: sorting, search, filters, columns, downloads of the rows that are shown.

/** What a cell is sorted by: a number where it is one, null where it is unknown. */
function sortValue(row, column) {
  const cell = row.cells[column];
  const text = cell.dataset.value ?? cell.textContent.trim();
  if (text === "" || text === "–") return null;
  return Number.isNaN(Number(text)) ? text.toLowerCase() : Number(text);
}

/** Order of two values; unknown ones come last, whichever the direction. */
function compare(a, b, sign) {
  if (a === null || b === null) return (a === null) - (b === null);
  if (typeof a !== typeof b) return typeof a === "number" ? -sign : sign;
  return sign * (typeof a === "number" ? a - b : a.localeCompare(b));
}

function sortBy(table, head) {
  const ascending = head.getAttribute("aria-sort") !== "ascending";
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", ascending ? "ascending" : "descending");
  const body = table.tBodies[0];
  const keyed = [...body.rows].map((row) => [sortValue(row, head.cellIndex), row]);
  keyed.sort(([a], [b]) => compare(a, b, ascending ? 1 : -1));
  body.append(...keyed.map(([, row]) => row));
}

for (const table of all("table.sortable")) {
  for (const head of all("th:not([data-plain])", table.tHead)) {
    const button = make("button", { type: "button", className: "sort" }, ...head.childNodes);
    button.addEventListener("click", () => sortBy(table, head));
    head.append(button);
  }
}

const lines = all("#rows tbody tr");
const words = new Map(lines.map((line) => [line, line.textContent.toLowerCase()]));

/** Whether a line has all words of the search and the value of every filter. */
function wanted(line) {
  const asked = one("#search").value.toLowerCase().split(/\s+/);
  return asked.every((word) => words.get(line).includes(word))
    && all("[data-filter]").every((s) => !s.value || line.dataset[s.dataset.filter] === s.value);
}

function filter() {
  for (const line of lines) line.hidden = !wanted(line);
  const kept = lines.filter((line) => !line.hidden);
  one("#count").textContent = kept.length < lines.length
    ? `${kept.length} of ${lines.length} rows` : `${lines.length} rows`;
  show(new Set(kept.flatMap(rowsOf)));
}

function setColumn(box) {
  for (const cell of all(`#rows [data-key="${box.dataset.column}"]`)) cell.hidden = !box.checked;
}

one("#tools").addEventListener("input", filter); // as one types
one("#tools").addEventListener("change", filter);
one("#tools").addEventListener("submit", (event) => event.preventDefault());
one("#tools").addEventListener("reset", () => setTimeout(() => {
  all("[data-column]").forEach(setColumn);
  filter();
}));
for (const box of all("[data-column]")) {
  box.addEventListener("change", () => setColumn(box));
  setColumn(box);
}
document.addEventListener("click", (event) => {
  const open = one(".columns[open]");
  if (open && !open.contains(event.target)) open.open = false;
});
document.addEventListener("keydown", (event) => {
  const open = one(".columns[open]");
  if (event.key === "Escape" && open) {
    open.open = false;
    one("summary", open).focus();
  }
});
filter();

const GIVEN = {
  csv: ["leaderboard.csv", "text/csv", (d, rows) =>
    d.csv[0] + rows.map((row) => d.csv[row + 1]).join("")],
  json: ["leaderboard.json", "application/json", (d, rows) =>
    JSON.stringify(rows.map((row) => d.json[row]), null, 1)],
  latex: ["leaderboard.tex", "text/x-tex", (d, rows) =>
    d.latex.head + rows.map((row) => d.latex.lines[row]).join("") + d.latex.foot],
};
for (const button of all("[data-give]")) {
  button.addEventListener("click", () => {
    const [name, type, text] = GIVEN[button.dataset.give];
    const rows = all("#rows tbody tr:not([hidden])").flatMap(rowsOf); // as they are sorted
    give(name, type, text(read("downloads"), rows));
  });
}
