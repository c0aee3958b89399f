// The inputs of a row: pictures, a table in pages, one input at a time.

const PAGE = 50;
const HEADS = [
  ["input", "index"], ["radius", null], ["radius ≥", "low"], ["radius ≤", "high"], ["verdict", "verdict"],
  ["label", "label"], ["predicted", "predicted"], ["decided by", "decided_by"], ["seconds", "seconds"],
];
const about = one("#inputs") ? read("about-inputs") : { rows: {} };
const view = { row: null, columns: null, order: [], page: 0, key: "index", ascending: true, chosen: null };
const known = new Map();

const who = (place) => about.evaluators[place] ?? "nobody";
const seconds = (value) => String(Number(value.toPrecision(2)));
const current = () => about.rows[view.row];

async function chooseRow(row) {
  if (!known.has(row)) known.set(row, await unpack(row, about.rows[row].count));
  Object.assign(view, { row, columns: known.get(row), chosen: null });
  view.most = furthest(view.columns);
  one("#input-row").value = row;
  one("#detail").hidden = true;
  drawGallery();
  arrange();
}

/** Where the scale of radii ends: beyond eps, and most of the radii that are known. */
function furthest(columns) {
  const finite = [...columns.high].filter(Number.isFinite).sort((a, b) => a - b);
  const eps = columns.eps.reduce((a, b) => Math.max(a, b), 0);
  return Math.max(1.5 * eps, finite[Math.floor(0.9 * finite.length)] ?? 0) || 1;
}

/** The inputs that are asked for, in order, from the first page on. */
function arrange() {
  const kind = one("#input-kind").value;
  const values = view.columns[view.key];
  const sign = view.ascending ? 1 : -1;
  view.order = [...values.keys()].filter((i) => isOf(kind, view.columns, i));
  view.order.sort((a, b) => (values[a] === values[b] ? a - b : sign * (values[a] < values[b] ? -1 : 1)));
  view.page = 0;
  drawTable();
}

function track(i) {
  const { low, high, eps } = view.columns;
  const at = (value) => Math.min(100, (100 * value) / view.most);
  const bar = make("span", { className: "track", role: "img", "aria-label": `from ${radius(low[i])} to ${radius(high[i])}, eps ${radius(eps[i])}` });
  bar.append(
    make("i", { className: "undecided", style: `width:${at(high[i])}%` }),
    make("i", { className: "certified", style: `width:${at(low[i])}%` }),
    make("b", { style: `left:${at(eps[i])}%` }),
  );
  return bar;
}

function lineOf(i) {
  const c = view.columns;
  const open = make("button", { type: "button", className: "link" }, String(c.index[i]));
  open.addEventListener("click", () => chooseInput(i, true));
  const texts = [radius(c.low[i]), radius(c.high[i]), word(c, i), c.label[i], c.predicted[i], who(c.decided_by[i]), seconds(c.seconds[i])];
  return make("tr", {},
    make("th", { scope: "row" }, open),
    make("td", {}, track(i)),
    ...texts.map((text) => make("td", {}, String(text))));
}

function drawTable() {
  const first = view.page * PAGE;
  const page = view.order.slice(first, first + PAGE);
  one("#input-table tbody").replaceChildren(...page.map(lineOf));
  one("#input-count").textContent = page.length
    ? `${first + 1} to ${first + page.length} of ${view.order.length} inputs` : "no such inputs";
  one("#earlier").disabled = view.page === 0;
  one("#later").disabled = first + PAGE >= view.order.length;
  all("#input-table th[data-key]").forEach((head) => {
    if (head.dataset.key !== view.key) head.removeAttribute("aria-sort");
    else head.setAttribute("aria-sort", view.ascending ? "ascending" : "descending");
  });
}

/** The pixels of a PNG, as the browser reads it. */
async function pixels(png) {
  const image = new Image();
  image.src = `data:image/png;base64,${png}`;
  await image.decode();
  const canvas = make("canvas", { width: image.width, height: image.height });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  return context.getImageData(0, 0, image.width, image.height);
}

function drawn(data, text) {
  const canvas = make("canvas", { width: data.width, height: data.height, role: "img", "aria-label": text });
  canvas.getContext("2d").putImageData(data, 0, 0);
  return canvas;
}

/** The image, the adversarial input and their difference, the latter in grey around no change. */
async function pictures(picture) {
  const clean = await pixels(images()[picture.image]);
  const canvases = [[drawn(clean, `input ${picture.index}`), "input"]];
  if (picture.difference) {
    const moved = await pixels(picture.difference);
    const after = new ImageData(clean.width, clean.height);
    for (let k = 0; k < after.data.length; k += 1) {
      const by = ((moved.data[k] - 128) / 127) * picture.scale * 255;
      after.data[k] = k % 4 === 3 ? 255 : clean.data[k] + by;
    }
    canvases.push([drawn(after, "adversarial input"), "adversarial input"]);
    canvases.push([drawn(moved, "difference"), `difference, at most ${picture.scale}`]);
  }
  return canvases;
}

let loaded = null;
const images = () => (loaded ??= read("images"));
const picturesOf = (row) => JSON.parse(one(`#pictures-${row}`).textContent);

async function drawGallery() {
  const row = view.row;
  const buttons = await Promise.all(picturesOf(row).map(async (picture) => {
    const canvases = await pictures(picture);
    const strip = make("span", {}, ...canvases.slice(0, 2).map(([canvas]) => canvas));
    const button = make("button", { type: "button" }, strip, `${picture.index}: ${picture.why}`);
    button.setAttribute("aria-pressed", "false");
    button.dataset.index = picture.index;
    button.addEventListener("click", () => chooseInput(view.columns.index.indexOf(picture.index), true));
    return button;
  }));
  if (row === view.row) one("#gallery").replaceChildren(...buttons);
}

function facts(pairs) {
  return make("dl", { className: "facts" }, ...pairs.map(([name, value]) =>
    make("div", {}, make("dt", {}, name), make("dd", {}, value))));
}

function factsOf(i) {
  const c = view.columns;
  const key = (place) => (current().keys[place] ? `, evidence/${current().keys[place]}` : "");
  return facts([
    ["label, predicted", `${c.label[i]}, ${c.predicted[i]}`],
    ["radius ≥", `${radius(c.low[i])} (${who(c.low_by[i])}${key(c.low_key[i])})`],
    ["radius ≤", `${radius(c.high[i])} (${who(c.high_by[i])}${key(c.high_key[i])})`],
    ["eps", radius(c.eps[i])],
    ["verdict", word(c, i) + (c.verdict[i] & CONTRADICTED ? ", evidence conflicts" : "")],
    ["decided by", who(c.decided_by[i])],
    ["seconds", seconds(c.seconds[i])],
  ]);
}

function commandOf(i) {
  const text = current().command + view.columns.index[i];
  const button = make("button", { type: "button" }, "Copy");
  button.addEventListener("click", () => copy(text, button));
  return make("div", { className: "command" }, make("code", {}, text), button);
}

/** Shows one input, by its place. focus: whether its heading is gone to. */
async function chooseInput(i, focus) {
  view.chosen = i;
  const index = view.columns.index[i];
  const picture = picturesOf(view.row).find((other) => other.index === index);
  const parts = [make("h3", {}, `Input ${index}`), track(i)];
  if (picture) {
    const shownPictures = (await pictures(picture)).map(([canvas, text]) =>
      make("figure", {}, canvas, make("figcaption", {}, text)));
    parts.push(make("div", { className: "pictures" }, ...shownPictures));
  }
  if (view.chosen !== i) return;
  const detail = one("#detail");
  detail.replaceChildren(...parts, factsOf(i), commandOf(i));
  detail.hidden = false;
  one("#input-number").value = index;
  all("#gallery button").forEach((b) => b.setAttribute("aria-pressed", String(Number(b.dataset.index) === index)));
  if (focus) {
    detail.focus({ preventScroll: true });
    detail.scrollIntoView({ block: "nearest" });
  }
}

function csvOfInputs() {
  const c = view.columns;
  const names = LAYOUT.map(([name]) => name);
  const cell = (name, i) => {
    if (name === "verdict") return word(c, i);
    if (name.endsWith("_by")) return `"${who(c[name][i]).replaceAll('"', '""')}"`;
    if (name.endsWith("_key")) return current().keys[c[name][i]] ?? "";
    return Number.isInteger(c[name][i]) ? c[name][i] : Number(c[name][i].toPrecision(6));
  };
  const rows = [...c.index.keys()].map((i) => names.map((name) => cell(name, i)).join(","));
  give("inputs.csv", "text/csv", `${names.join(",")}\n${rows.join("\n")}\n`);
}

function offerRows() {
  const select = one("#input-row");
  const offered = Object.keys(about.rows).filter((row) => shown.rows.has(Number(row)));
  select.replaceChildren(...offered.map((row) => {
    const { label, dataset, threat } = about.rows[row];
    return make("option", { value: row }, `${label}, ${dataset}, ${threat}`);
  }));
  if (offered.includes(view.row)) select.value = view.row;
  else if (offered.length && view.row !== null) chooseRow(offered[0]);
}

function makeHeads() {
  const heads = HEADS.map(([text, key]) => {
    if (!key) return make("th", { scope: "col" }, text);
    const button = make("button", { type: "button", className: "sort" }, text);
    button.addEventListener("click", () => {
      view.ascending = view.key === key ? !view.ascending : true;
      view.key = key;
      arrange();
    });
    return make("th", { scope: "col", "data-key": key }, button);
  });
  one("#input-table thead tr").append(...heads);
}

function turn(by) {
  view.page += by;
  drawTable();
}

function listenToInputs() {
  one("#input-row").addEventListener("change", (event) => chooseRow(event.target.value));
  one("#input-kind").addEventListener("change", arrange);
  one("#input-number").addEventListener("change", (event) => {
    const i = view.columns.index.indexOf(Number(event.target.value));
    if (i >= 0) chooseInput(i, false);
  });
  one("#input-tools").addEventListener("submit", (event) => event.preventDefault());
  one("#input-csv").addEventListener("click", csvOfInputs);
  one("#earlier").addEventListener("click", () => turn(-1));
  one("#later").addEventListener("click", () => turn(1));
  for (const mark of all(".mark")) {
    const [row] = rowsOfMark(mark).map(String);
    const go = () => row in about.rows && chooseRow(row).then(() => one("#inputs").scrollIntoView());
    mark.addEventListener("click", go);
    mark.addEventListener("keydown", (event) => event.key === "Enter" && go());
  }
}

/** Numbers are unpacked when the reader comes near: opening the page does not wait for them. */
function startWhenNear() {
  const watcher = new IntersectionObserver((entries) => {
    if (!entries.some((entry) => entry.isIntersecting)) return;
    watcher.disconnect();
    const first = one("#input-row").value;
    if (view.row === null && first) chooseRow(first);
  }, { rootMargin: "800px" });
  watcher.observe(one("#inputs"));
}

if (one("#inputs")) {
  makeHeads();
  offerRows();
  shown.addEventListener("change", offerRows);
  listenToInputs();
  startWhenNear();
}
