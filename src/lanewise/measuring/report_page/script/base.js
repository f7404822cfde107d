// Reading the document, numbers in words, and the few drawing verbs that every chart uses.
const report = JSON.parse(document.getElementById("report-data").textContent);
const SVG = document.getElementById("logo").namespaceURI;
const LANES = ["event_loop", "thread", "process", "interpreter", "cluster"];
const THIN = "\u202f";

const isNumber = (value) => typeof value === "number" && Number.isFinite(value);
const rows = (owner, key) =>
  (owner && Array.isArray(owner[key]) ? owner[key] : []).filter((row) => row && typeof row === "object" && !Array.isArray(row));
const laneKey = (lane) => (LANES.includes(lane) ? lane : "other");
const laneName = (lane) => String(lane ?? "no lane").replaceAll("_", " ");
const colour = (lane) => `var(--${laneKey(lane)})`;
const onColour = (lane) => `var(--on-${laneKey(lane)})`;
const variantOf = (row) => String(row.variant || "default");
const isDefault = (variant) => !variant || variant === "default";
const laneVariant = (lane, variant) => laneName(lane) + (isDefault(variant) ? "" : ` · ${variant}`);
const unique = (values) => [...new Set(values)];
const numbers = (list, key) => unique(list.map((row) => row[key]).filter(isNumber)).sort((a, b) => a - b);
const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

// Variants in the order the task declares them; the order decides dash and texture everywhere.
function variantsOf(task) {
  const declared = rows(task, "variants").map((row) => String(row.name || "default"));
  const seen = [...rows(task, "lanes"), ...rows(task, "routes"), ...rows(task, "saturation")].map(variantOf);
  return unique([...declared, ...seen]);
}

function digits(value, significant = 3) {
  if (value === 0) return "0";
  return String(Number(Number(value).toPrecision(significant)));
}
function scaled(value, unit, significant) {
  for (const [factor, prefix] of [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]]) {
    if (Math.abs(value) >= factor * 0.9995) return `${digits(value / factor, significant)}${THIN}${prefix}${unit}`;
  }
  return unit ? `${digits(value, significant)}${THIN}${unit}` : digits(value, significant);
}
function seconds(value, significant = 3) {
  if (!isNumber(value)) return "–";
  if (value === 0) return "0";
  for (const [factor, unit] of [[1, "s"], [1e-3, "ms"], [1e-6, "µs"]]) {
    if (Math.abs(value) >= factor * 0.9995) return `${digits(value / factor, significant)}${THIN}${unit}`;
  }
  return `${digits(value / 1e-9, significant)}${THIN}ns`;
}
const rate = (value) => (isNumber(value) ? scaled(value, "/s", 3) : "–");
const rateTick = (value) => scaled(value, "", 3);
const sizeTick = (task) => (value) => scaled(value, task.size_unit === "bytes" ? "B" : "", 3);
function sizeText(task, value) {
  if (!isNumber(value)) return "–";
  if (task.size_unit === "bytes") return scaled(value, "B", 3);
  if (value >= 1e6) return scaled(value, "", 3);
  return (Number.isInteger(value) ? value : Number(value.toPrecision(3))).toLocaleString("en-GB");
}
// A size that was found by search deserves three digits.
const roughSize = (task, value) => sizeText(task, isNumber(value) ? Number(value.toPrecision(3)) : value);
const sizeTitle = (task) => (task.size_unit === "bytes" ? "size of the arguments" : "size of the call");
const atOnce = (value) => (value === 1 ? "1 call" : `${digits(value)} calls`);

function assign(node, attributes, children) {
  for (const [key, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined) continue;
    if (key === "style") Object.assign(node.style, value);
    else node.setAttribute(key, isNumber(value) ? Math.round(value * 100) / 100 : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}
const svg = (name, attributes, ...children) => assign(document.createElementNS(SVG, name), attributes, children);
const html = (name, attributes, ...children) => assign(document.createElement(name), attributes, children);

const pen = document.createElement("canvas").getContext("2d");
function textWidth(words, bold = false) {
  pen.font = `${bold ? "650 " : ""}12px ${getComputedStyle(document.body).fontFamily}`;
  return pen.measureText(words).width;
}
// Words cut to the room there is; the tables have them in full.
function cut(words, room) {
  if (textWidth(words) <= room) return words;
  let end = words.length - 1;
  while (end > 1 && textWidth(`${words.slice(0, end)}…`) > room) end -= 1;
  return `${words.slice(0, end)}…`;
}
function label(parent, words, x, y, attributes = {}) {
  const node = svg("text", { x, y, ...attributes });
  node.textContent = words;
  parent.append(node);
  return node;
}

// A canvas of the width that is there, so that text keeps its size on a phone.
function canvas(parent, width, height, words) {
  const node = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": words });
  parent.append(node);
  return node;
}

// One shape per lane, so that colour is never the only difference.
function marker(lane, x, y, radius, hollow) {
  const look = hollow
    ? { fill: "var(--page)", stroke: colour(lane), "stroke-width": 1.5 }
    : { fill: colour(lane), stroke: "var(--page)", "stroke-width": 1 };
  const r = radius;
  if (lane === "thread") return svg("rect", { x: x - r * 0.9, y: y - r * 0.9, width: r * 1.8, height: r * 1.8, ...look });
  const corners = {
    process: [[0, -1.25], [1.15, 0.85], [-1.15, 0.85]],
    interpreter: [[0, -1.3], [1.3, 0], [0, 1.3], [-1.3, 0]],
    cluster: [[0, 1.25], [1.15, -0.85], [-1.15, -0.85]],
  }[lane];
  if (!corners) return svg("circle", { cx: x, cy: y, r, ...look });
  return svg("polygon", { points: corners.map(([a, b]) => `${x + a * r},${y + b * r}`).join(" "), ...look });
}
const DASHES = [null, "7 4", "2 3", "9 3 2 3"];
const dash = (task, variant) => DASHES[Math.max(0, variantsOf(task).indexOf(variant)) % DASHES.length];

function legend(parent, entries) {
  const list = html("ul", { class: "legend" });
  for (const [swatch, words] of entries) list.append(html("li", {}, swatch, words));
  if (entries.length) parent.append(list);
}
function swatch(width, height, ...children) {
  return svg("svg", { class: "swatch", viewBox: `0 0 ${width} ${height}`, width, height, "aria-hidden": "true" }, ...children);
}
function lineSwatch(task, lane, variant, hollow) {
  const line = svg("line", { x1: 1, x2: 29, y1: 7, y2: 7, stroke: colour(lane), "stroke-width": 2, "stroke-dasharray": dash(task, variant) });
  return swatch(30, 14, line, marker(lane, 15, 7, 4, hollow));
}
