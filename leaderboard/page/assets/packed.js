// The numbers of all inputs of a row, unpacked when they are first asked for.

const LAYOUT = [
  ["low", Float32Array], ["high", Float32Array], ["seconds", Float32Array], ["eps", Float32Array],
  ["index", Int32Array],
  ["label", Uint16Array], ["predicted", Uint16Array], ["low_key", Uint16Array], ["high_key", Uint16Array],
  ["low_by", Uint8Array], ["high_by", Uint8Array], ["decided_by", Uint8Array], ["verdict", Uint8Array],
];
const WORDS = ["undecided", "certified", "fooled"];
const MISCLASSIFIED = 4;
const CONTRADICTED = 8;

/** Columns by name. */
async function unpack(row, count) {
  const text = document.getElementById(`columns-${row}`).textContent;
  const bytes = Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const buffer = await new Response(stream).arrayBuffer();
  const columns = {};
  let start = 0;
  for (const [name, Kind] of LAYOUT) {
    columns[name] = new Kind(buffer, start, count);
    start += count * Kind.BYTES_PER_ELEMENT;
  }
  return columns;
}

const word = (columns, i) => WORDS[columns.verdict[i] & 3];

/** Whether an input is of a kind that one may ask for. */
function isOf(kind, columns, i) {
  if (kind === "misclassified") return Boolean(columns.verdict[i] & MISCLASSIFIED);
  if (kind === "contradicted") return Boolean(columns.verdict[i] & CONTRADICTED);
  return kind === "all" || word(columns, i) === kind;
}

/** A radius in five digits, as it was packed. */
function radius(value) {
  if (!Number.isFinite(value)) return "∞";
  return value === 0 ? "0" : Number(value.toPrecision(5)).toString();
}
