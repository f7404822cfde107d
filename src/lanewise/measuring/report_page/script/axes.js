// Scales, ticks that never collide, and the frame around a chart.

// Sizes of 0 get a place of their own at the left of the logarithm.
function logScale(values, start, end, padding = 0.06) {
  const positive = values.filter((value) => isNumber(value) && value > 0);
  let low = Math.log10(positive.length ? Math.min(...positive) : 1);
  let high = Math.log10(positive.length ? Math.max(...positive) : 10);
  if (high - low < 0.3) [low, high] = [(low + high) / 2 - 0.15, (low + high) / 2 + 0.15];
  const spare = (high - low) * padding;
  low -= spare;
  high += spare;
  const hasZero = values.some((value) => isNumber(value) && value <= 0);
  const slot = hasZero ? 34 * Math.sign(end - start) : 0;
  const scale = (value) =>
    value > 0 ? start + slot + ((Math.log10(value) - low) / (high - low)) * (end - start - slot) : start + slot * 0.35;
  return Object.assign(scale, { start, end, low, high, hasZero, values: unique(positive), span: Math.abs(end - start - slot), logarithmic: true });
}
function linearScale(low, high, start, end) {
  const scale = (value) => start + ((value - low) / (high - low || 1)) * (end - start);
  return Object.assign(scale, { start, end, low, high, span: Math.abs(end - start) });
}

function logTicks(scale, least) {
  const perDecade = scale.span / (scale.high - scale.low);
  const inside = (value) => Math.log10(value) >= scale.low - 1e-9 && Math.log10(value) <= scale.high + 1e-9;
  const from = Math.floor(scale.low);
  const to = Math.ceil(scale.high);
  const decades = (every, factors) => {
    const found = [];
    for (let power = Math.ceil(from / every) * every; power <= to; power += every) {
      for (const factor of factors) found.push(factor * 10 ** power);
    }
    return found.filter(inside).map((value) => Number(value.toPrecision(6)));
  };
  if (perDecade * 0.29 >= least) {
    const fine = decades(1, [1, 2, 5]);
    if (fine.length >= 2) return fine;
    return linearTicks(10 ** scale.low, 10 ** scale.high, Math.max(2, Math.floor(scale.span / least / 2)));
  }
  if (perDecade * 0.47 >= least) {
    const half = decades(1, [1, 3]);
    if (half.length >= 2) return half;
  }
  for (let every = 1; every < 20; every += 1) {
    if (perDecade * every < least) continue;
    const found = decades(every, [1]);
    if (found.length >= 2 || every > 3) return found;
    break;
  }
  return unique([10 ** scale.low, 10 ** scale.high].map((value) => Number(value.toPrecision(2)))).filter(inside);
}
function linearTicks(low, high, most) {
  const rough = (high - low) / Math.max(1, most);
  const power = 10 ** Math.floor(Math.log10(rough || 1));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((value) => value >= rough) || power;
  const found = [];
  for (let value = Math.ceil(low / step) * step; value <= high + step * 1e-6; value += step) {
    found.push(Number(value.toPrecision(8)));
  }
  return found;
}
const ticks = (scale, least) =>
  scale.logarithmic ? logTicks(scale, least) : linearTicks(scale.low, scale.high, scale.span / least);

function xAxis(chart, x, box, format, title, given) {
  const values = given || ticks(x, 64);
  if (values.length < 2 && x.values) values.splice(0, 1, ...x.values.sort((a, b) => a - b));
  if (x.hasZero && !given) values.unshift(0);
  let taken = -Infinity;
  for (const value of values) {
    const at = x(value);
    chart.append(svg("line", { class: "grid", x1: at, x2: at, y1: box.top, y2: box.bottom }));
    const words = format(value);
    const half = textWidth(words) / 2;
    if (at - half < taken + 8) continue;
    taken = at + half;
    label(chart, words, at, box.bottom + 17, { "text-anchor": "middle" });
  }
  chart.append(svg("line", { class: "axis", x1: box.left, x2: box.right, y1: box.bottom, y2: box.bottom }));
  if (title) label(chart, title, box.right, box.bottom + 35, { "text-anchor": "end" });
}
function yAxis(chart, y, box, format, title) {
  for (const value of ticks(y, 28)) {
    const at = y(value);
    chart.append(svg("line", { class: "grid", x1: box.left, x2: box.right, y1: at, y2: at }));
    label(chart, format(value), box.left - 8, at + 4, { "text-anchor": "end" });
  }
  if (title) label(chart, title, 0, box.top - 12);
}

const path = (points) => points.map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");
function band(chart, lower, upper, lane) {
  if (lower.length < 2) return;
  chart.append(svg("path", { d: `${path(upper)}${path([...lower].reverse()).replace("M", "L")}Z`, fill: colour(lane), opacity: 0.16 }));
}

// Moves labels apart along one axis; each is {at, extent}, and comes back with `place`.
function spread(labels, low, high) {
  labels.sort((a, b) => a.at - b.at);
  let edge = low;
  for (const item of labels) {
    item.place = Math.max(item.at, edge + item.extent / 2);
    edge = item.place + item.extent / 2;
  }
  edge = high;
  for (const item of [...labels].reverse()) {
    item.place = Math.min(item.place, edge - item.extent / 2);
    edge = item.place - item.extent / 2;
  }
  return labels;
}
function endLabels(chart, labels, box, room) {
  spread(labels, box.top - 10, box.bottom + 10);
  for (const item of labels) {
    const start = item.x + 7;
    if (Math.abs(item.place - item.at) > 3) {
      chart.append(svg("path", { d: `M${start} ${item.at}L${start + 10} ${item.place}`, stroke: colour(item.lane), fill: "none", opacity: 0.6 }));
    }
    label(chart, cut(item.words, room), start + 13, item.place + 4, { class: "ink" });
  }
}
