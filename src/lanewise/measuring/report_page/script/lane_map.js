// The lane map: size x concurrency, coloured by the lane that should take the call.

function routesAt(task, concurrency) {
  const found = rows(task, "routes").filter((route) => route.concurrency === concurrency);
  return found.sort((a, b) => (a.min_size || 0) - (b.min_size || 0));
}
function measuredAt(task, concurrency, size) {
  const here = rows(task, "lanes").filter((row) => row.concurrency === concurrency && row.size === size);
  return here.filter((row) => isNumber(row.throughput_per_s)).sort((a, b) => b.throughput_per_s - a.throughput_per_s);
}

// Where no routes were given, each measured size is a cell of its own.
function cellsAt(task, concurrency, x) {
  const sizes = numbers(rows(task, "lanes").filter((row) => row.concurrency === concurrency), "size");
  return sizes.map((size, i) => {
    const left = i ? (x(sizes[i - 1]) + x(size)) / 2 : x.start;
    const right = i < sizes.length - 1 ? (x(size) + x(sizes[i + 1])) / 2 : x.end;
    return { size, left, right, ranking: measuredAt(task, concurrency, size) };
  });
}
function stretchesAt(task, concurrency, x) {
  const routes = routesAt(task, concurrency);
  if (routes.length) {
    return routes.map((route) => ({
      left: route.min_size > 0 ? clamp(x(route.min_size), x.start, x.end) : x.start,
      right: isNumber(route.max_size) ? clamp(x(route.max_size), x.start, x.end) : x.end,
      lane: route.lane, variant: variantOf(route), decided: route.decided !== false,
    }));
  }
  const found = [];
  for (const { left, right, ranking } of cellsAt(task, concurrency, x)) {
    const best = ranking.find((row) => row.eligible !== false);
    const last = found[found.length - 1];
    const next = { left, right, lane: best && best.lane, variant: best ? variantOf(best) : "default", decided: Boolean(best) };
    if (last && last.lane === next.lane && last.variant === next.variant) last.right = right;
    else found.push(next);
  }
  return found;
}

function patterns(chart, task, id) {
  const defs = svg("defs");
  const hatch = svg("pattern", { id: `${id}-undecided`, width: 8, height: 8, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" },
    svg("rect", { width: 8, height: 8, fill: "var(--page)", opacity: 0.62 }),
    svg("rect", { width: 2, height: 8, fill: "var(--page)" }));
  defs.append(hatch);
  const shapes = [
    () => svg("path", { d: "M0 10L10 0M-2 2L2 -2M8 12L12 8", stroke: "var(--page)", "stroke-width": 1.4 }),
    () => svg("circle", { cx: 5, cy: 5, r: 1.5, fill: "var(--page)" }),
    () => svg("path", { d: "M0 5H10", stroke: "var(--page)", "stroke-width": 1.4 }),
  ];
  variantsOf(task).slice(1).forEach((variant, i) => {
    defs.append(svg("pattern", { id: `${id}-variant-${i + 1}`, width: 10, height: 10, patternUnits: "userSpaceOnUse" },
      svg("g", { opacity: 0.34 }, shapes[i % shapes.length]())));
  });
  chart.append(defs);
}

function fillStretch(chart, task, id, stretch, top, height) {
  const box = { x: stretch.left, y: top, width: Math.max(0, stretch.right - stretch.left), height };
  chart.append(svg("rect", { ...box, fill: colour(stretch.lane) }));
  const texture = variantsOf(task).indexOf(stretch.variant);
  if (texture > 0) chart.append(svg("rect", { ...box, fill: `url(#${id}-variant-${texture})` }));
  if (!stretch.decided) chart.append(svg("rect", { ...box, fill: `url(#${id}-undecided)` }));
}

// The longest wording that fits, in at most two lines.
function nameStretch(chart, stretch, top, height) {
  const room = stretch.right - stretch.left - 14;
  const name = laneName(stretch.lane);
  const extra = stretch.decided ? (isDefault(stretch.variant) ? "" : stretch.variant) : "undecided";
  const middle = (stretch.left + stretch.right) / 2;
  const look = stretch.decided
    ? { "text-anchor": "middle", style: { fill: onColour(stretch.lane), stroke: colour(stretch.lane), strokeWidth: "5px", paintOrder: "stroke" } }
    : { "text-anchor": "middle", class: "ink halo" };
  const bold = { ...look, class: `${look.class || ""} strong` };
  const put = (words, dy, how) => label(chart, words, middle, top + height / 2 + dy, how);
  if (textWidth(name, true) > room) {
    if (!stretch.decided && textWidth("?", true) <= room) put("?", 4, bold);
    return;
  }
  const both = extra && textWidth(extra) <= room;
  put(name, both ? -4 : 4, bold);
  if (both) put(extra, 13, look);
}

function markBudget(chart, task, concurrency, x, top, height) {
  let found = false;
  for (const cell of cellsAt(task, concurrency, x)) {
    if (!cell.ranking.length || cell.ranking.some((row) => row.eligible !== false)) continue;
    found = true;
    const box = { x: cell.left + 1.5, y: top + 1.5, width: Math.max(0, cell.right - cell.left - 3), height: height - 3 };
    chart.append(svg("rect", { ...box, fill: "none", stroke: "var(--alarm)", "stroke-width": 3 }));
    chart.append(budgetMark(cell.right - 13, top + 13));
  }
  return found;
}
function budgetMark(x, y) {
  return svg("g", {}, svg("circle", { cx: x, cy: y, r: 7.5, fill: "var(--alarm)", stroke: "var(--page)" }),
    svg("path", { d: `M${x - 3} ${y - 3}l6 6m0 -6l-6 6`, stroke: "var(--page)", "stroke-width": 2 }));
}

function markBreakEven(chart, task, concurrency, x, top, height) {
  const points = rows(task, "break_even")
    .filter((row) => row.concurrency === concurrency && row.size > 0)
    .sort((a, b) => a.size - b.size);
  for (const row of points) {
    const at = clamp(x(row.size), x.start, x.end);
    const known = row.low > 0 && row.high > 0;
    const [low, high] = known ? [clamp(x(row.low), x.start, x.end), clamp(x(row.high), x.start, x.end)] : [at, at];
    if (high - low > 3) chart.append(svg("rect", { x: low, y: top, width: high - low, height, fill: "var(--page)", opacity: 0.45 }));
    chart.append(svg("line", { x1: at, x2: at, y1: top - 4, y2: top + height, stroke: "var(--ink)", "stroke-width": 2 }));
    chart.append(svg("path", { d: `M${low} ${top - 7}v6M${low} ${top - 4}H${high}M${high} ${top - 7}v6`, stroke: "var(--ink)", "stroke-width": 1.5, fill: "none" }));
  }
  const placed = [true, false].map((long) => placeSizes(task, points, x, long));
  for (const { words, place } of placed[0].length < placed[1].length ? placed[1] : placed[0]) {
    label(chart, words, place, top - 12, { "text-anchor": "middle", class: "ink strong" });
  }
  return points.length > 0;
}

// Sizes with or without their intervals, as many as find room beside each other.
function placeSizes(task, points, x, long) {
  const found = [];
  let taken = x.start - 10;
  for (const row of points) {
    const interval = long && row.low > 0 && row.high > 0 ? ` (${roughSize(task, row.low)} – ${roughSize(task, row.high)})` : "";
    const words = roughSize(task, row.size) + interval;
    const half = textWidth(words, true) / 2;
    const at = clamp(x(row.size), x.start, x.end);
    const place = clamp(at, taken + half + 10, Math.max(taken + half + 10, x.end - half));
    if (Math.abs(place - at) > Math.max(half - 4, 14) || place + half > x.end + 1) continue;
    taken = place + half;
    found.push({ words, place });
  }
  return found;
}

function cellHits(chart, task, concurrency, x, top, height) {
  for (const cell of cellsAt(task, concurrency, x)) {
    const lines = cell.ranking.map((row) => {
      const out = row.eligible === false ? `  (${row.reason || "not eligible"})` : "";
      return `${laneVariant(row.lane, variantOf(row))}: ${rate(row.throughput_per_s)}${out}`;
    });
    const tip = [`size ${sizeText(task, cell.size)}, ${atOnce(concurrency)} at once`, ...lines].join("\n");
    chart.append(svg("line", { x1: x(cell.size), x2: x(cell.size), y1: top + height, y2: top + height + 5, stroke: "var(--soft)", "stroke-width": 1.5 }));
    chart.append(svg("rect", { class: "hit", x: cell.left, y: top, width: Math.max(0, cell.right - cell.left), height, "data-tip": tip }));
  }
}

function laneMap(host, task, width, id) {
  const lanes = rows(task, "lanes");
  const concurrencies = unique([...numbers(rows(task, "routes"), "concurrency"), ...numbers(lanes, "concurrency")]).sort((a, b) => b - a);
  if (!concurrencies.length) return;
  const narrow = width < 560;
  const height = narrow ? 46 : 52;
  const pitch = height + 36;
  const box = { left: narrow ? 30 : 64, right: width, top: 34, bottom: 34 + pitch * concurrencies.length - 24 };
  const bounds = [...numbers(rows(task, "routes"), "max_size"), ...numbers(rows(task, "break_even"), "size")];
  const x = logScale([...numbers(lanes, "size"), ...numbers(rows(task, "costs"), "size"), ...bounds], box.left, box.right, 0.05);
  const key = html("div");
  host.append(key);
  const chart = canvas(host, width, box.bottom + 40, host.dataset.label);
  patterns(chart, task, id);
  xAxis(chart, x, box, sizeTick(task), sizeTitle(task));
  let over = false;
  let points = false;
  concurrencies.forEach((concurrency, i) => {
    const top = box.top + i * pitch;
    const stretches = stretchesAt(task, concurrency, x);
    chart.append(svg("rect", { x: box.left, y: top - 28, width: box.right - box.left, height: 28, fill: "var(--page)" }));
    for (const stretch of stretches) fillStretch(chart, task, id, stretch, top, height);
    points = markBreakEven(chart, task, concurrency, x, top, height) || points;
    for (const stretch of stretches) nameStretch(chart, stretch, top, height);
    over = markBudget(chart, task, concurrency, x, top, height) || over;
    cellHits(chart, task, concurrency, x, top, height);
    label(chart, digits(concurrency), box.left - 10, top + height / 2 + (narrow ? 4 : -1), { "text-anchor": "end", class: "ink strong" });
    if (!narrow) label(chart, concurrency === 1 ? "at a time" : "at once", box.left - 10, top + height / 2 + 14, { "text-anchor": "end" });
  });
  if (narrow) label(chart, "calls at once", 0, box.bottom + 35);
  mapLegend(key, chart, task, id, concurrencies.flatMap((c) => stretchesAt(task, c, x)), { over, points });
}

function mapLegend(host, chart, task, id, stretches, has) {
  const entries = [];
  const kinds = unique(stretches.filter((s) => s.lane).map((s) => JSON.stringify([s.lane, s.variant]))).map((kind) => JSON.parse(kind));
  kinds.sort((a, b) => LANES.indexOf(a[0]) - LANES.indexOf(b[0]));
  for (const [lane, variant] of kinds) {
    const sample = swatch(24, 14);
    fillStretch(sample, task, id, { left: 0, right: 24, lane, variant, decided: true }, 0, 14);
    entries.push([sample, laneVariant(lane, variant)]);
  }
  if (stretches.some((s) => !s.decided)) {
    const sample = swatch(24, 14);
    fillStretch(sample, task, id, { left: 0, right: 24, lane: null, variant: "default", decided: false }, 0, 14);
    entries.push([sample, "undecided: see the reason under Routes"]);
  }
  if (has.points) {
    entries.push([swatch(24, 14, svg("path", { d: "M3 4v6M3 7H21M21 4v6M12 2v12", stroke: "var(--ink)", "stroke-width": 1.6, fill: "none" })), "break-even point and its interval"]);
  }
  if (rows(task, "lanes").length) entries.push([swatch(8, 14, svg("path", { d: "M4 2v10", stroke: "var(--soft)", "stroke-width": 1.8 })), "measured size"]);
  if (has.over) entries.push([swatch(16, 16, budgetMark(8, 8)), `no lane kept the loop budget${isNumber(report.loop_budget_s) ? ` of ${seconds(report.loop_budget_s)}` : ""}`]);
  legend(host, entries);
}
