// Numbers in words, and the few verbs that make and change elements. Text only ever goes in as text.
const SVG = document.getElementById("logo").namespaceURI;
const THIN = "\u202f";
const LANES = ["event_loop", "thread", "process", "interpreter", "cluster"];
const byId = (id) => document.getElementById(id);
const isNumber = (value) => typeof value === "number" && Number.isFinite(value);
const list = (value) => (Array.isArray(value) ? value : []);
const sum = (values) => values.reduce((total, value) => total + value, 0);

function digits(value, significant = 3) {
  return value === 0 ? "0" : String(Number(Number(value).toPrecision(significant)));
}
function count(value) {
  if (!isNumber(value)) return "–";
  for (const [factor, letter] of [[1e9, "G"], [1e6, "M"]]) {
    if (value >= factor * 0.9995) return `${digits(value / factor)}${THIN}${letter}`;
  }
  return value >= 1e4 ? value.toLocaleString("en-GB").replaceAll(",", THIN) : digits(value, 4);
}
function seconds(value, significant = 3) {
  if (!isNumber(value)) return "–";
  if (value === 0) return "0";
  for (const [factor, unit] of [[1, "s"], [1e-3, "ms"], [1e-6, "µs"]]) {
    if (Math.abs(value) >= factor * 0.9995) return `${digits(value / factor, significant)}${THIN}${unit}`;
  }
  return `${digits(value / 1e-9, significant)}${THIN}ns`;
}
// A rate that trembles in its third digit cannot be read.
function rate(value) {
  if (!isNumber(value)) return "–";
  if (value === 0) return "0";
  return value >= 100 ? count(Math.round(value)) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}
function lasted(value) {
  if (!isNumber(value) || value < 0) return "–";
  const units = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const first = units.findIndex(([size]) => value >= size);
  if (first < 0) return `0${THIN}s`;
  const parts = [];
  let left = Math.floor(value);
  for (const [size, unit] of units.slice(first, first + 2)) {
    parts.push(`${Math.floor(left / size)}${THIN}${unit}`);
    left %= size;
  }
  return parts.join(" ");
}
const clockTime = (at_s) => (isNumber(at_s) ? new Date(at_s * 1000).toLocaleTimeString() : "–");
const words = (name) => String(name ?? "").replaceAll("_", " ");
const plural = (number, one, many = `${one}s`) => `${count(number)} ${number === 1 ? one : many}`;
const laneClass = (lane) => `lane lane-${LANES.includes(lane) ? lane : "other"}`;

function assign(node, attributes, children) {
  for (const [key, value] of Object.entries(attributes || {})) {
    if (value !== null && value !== undefined) node.setAttribute(key, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}
const svg = (name, attributes, ...children) => assign(document.createElementNS(SVG, name), attributes, children);
const html = (name, attributes, ...children) => assign(document.createElement(name), attributes, children);

// Touch the page only where something has changed, so that selections and readers are left in peace.
function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}
function setClass(node, name) {
  if (node.getAttribute("class") !== name) node.setAttribute("class", name);
}
function show(node, shown) {
  if (node.hidden === shown) node.hidden = !shown;
}
const shownAs = new WeakMap();
function rebuild(node, state, make) {
  const key = JSON.stringify(state);
  if (shownAs.get(node) === key) return;
  shownAs.set(node, key);
  node.replaceChildren(...make());
}
