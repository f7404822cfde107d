// Throughput over size, and latency and loop lag as small multiples.

function seriesOf(task, list) {
  const order = variantsOf(task);
  const keys = unique(list.map((row) => JSON.stringify([row.lane ?? null, variantOf(row)]))).map((key) => JSON.parse(key));
  const found = keys.map(([lane, variant]) => ({
    lane, variant, rows: list.filter((row) => (row.lane ?? null) === lane && variantOf(row) === variant),
  }));
  const rank = (one) => LANES.indexOf(one.lane) * 100 + order.indexOf(one.variant);
  return found.sort((a, b) => rank(a) - rank(b));
}
const bySize = (list, key) => list.filter((row) => isNumber(row.size) && row[key] > 0).sort((a, b) => a.size - b.size);

function throughput(host, task, width, id, state) {
  const list = bySize(rows(task, "lanes").filter((row) => row.concurrency === state.concurrency), "throughput_per_s");
  if (!list.length) return void host.append(html("p", { class: "nothing" }, "Nothing was measured at this concurrency."));
  const series = seriesOf(task, list);
  const wide = width >= 700;
  const points = rows(task, "break_even").filter((row) => row.concurrency === state.concurrency && row.size > 0);
  const names = series.map((one) => laneVariant(one.lane, one.variant));
  const right = wide ? Math.min(240, Math.max(...names.map((name) => textWidth(name))) + 28) : 10;
  const box = { left: 50, right: width - right, top: [30, 50][points.length] || 66, bottom: wide ? 400 : 330 };
  curveLegend(host, task, series, { direct: wide, hollow: list.some((row) => row.eligible === false), points: points.length > 0 });
  const chart = canvas(host, width, box.bottom + 40, `${host.dataset.label}, ${atOnce(state.concurrency)} at once`);
  const x = logScale([...list.map((row) => row.size), ...points.map((row) => row.size)], box.left, box.right, 0.03);
  const values = list.flatMap((row) => [row.throughput_per_s, row.throughput_low_per_s, row.throughput_high_per_s]);
  const y = logScale(values.filter((value) => value > 0), box.bottom, box.top, 0.05);
  xAxis(chart, x, box, sizeTick(task), sizeTitle(task));
  yAxis(chart, y, box, rateTick, null);
  label(chart, "calls per second", 0, 12);
  breakEvenLines(chart, task, points, x, box);
  const ends = [];
  for (const one of series) {
    drawSeries(chart, task, one, x, y);
    const last = one.rows[one.rows.length - 1];
    ends.push({ x: x(last.size), at: y(last.throughput_per_s), extent: 16, lane: one.lane, words: laneVariant(one.lane, one.variant) });
  }
  if (wide) {
    for (const end of ends) end.x = Math.max(end.x, box.right - 4);
    endLabels(chart, ends, box, right - 16);
  }
}

function drawSeries(chart, task, one, x, y) {
  const at = (key) => one.rows.map((row) => [x(row.size), y(row[key] > 0 ? row[key] : row.throughput_per_s)]);
  band(chart, at("throughput_low_per_s"), at("throughput_high_per_s"), one.lane);
  chart.append(svg("path", { d: path(at("throughput_per_s")), fill: "none", stroke: colour(one.lane), "stroke-width": 2, "stroke-dasharray": dash(task, one.variant), "stroke-linejoin": "round" }));
  for (const row of one.rows) {
    const [px, low, high] = [x(row.size), row.throughput_low_per_s, row.throughput_high_per_s];
    if (low > 0 && high > 0 && y(low) - y(high) > 10) {
      chart.append(svg("path", { d: `M${px} ${y(low)}V${y(high)}`, stroke: colour(one.lane), "stroke-width": 1.2 }));
    }
    const dot = marker(one.lane, px, y(row.throughput_per_s), 4.2, row.eligible === false);
    const lines = [`${laneVariant(one.lane, one.variant)}, size ${sizeText(task, row.size)}`, rate(row.throughput_per_s)];
    if (low > 0 && high > 0) lines.push(`interval ${rate(low)} – ${rate(high)}`);
    if (row.eligible === false) lines.push(String(row.reason || "not eligible"));
    dot.setAttribute("data-tip", lines.join("\n"));
    chart.append(dot);
  }
}

function breakEvenLines(chart, task, points, x, box) {
  const edges = [-Infinity, -Infinity];
  for (const row of [...points].sort((a, b) => a.size - b.size)) {
    const at = x(row.size);
    if (row.low > 0 && row.high > 0) {
      const left = clamp(x(row.low), box.left, box.right);
      const right = clamp(x(row.high), box.left, box.right);
      chart.append(svg("rect", { x: left, y: box.top, width: Math.max(1, right - left), height: box.bottom - box.top, fill: "var(--ink)", opacity: 0.07 }));
    }
    const found = roomFor(breakEvenWords(task, row), at, edges, box);
    const top = box.top - 6 - (found ? found.level * 16 : 0);
    chart.append(svg("line", { x1: at, x2: at, y1: top + 2, y2: box.bottom, stroke: "var(--ink)", "stroke-width": 1.2, "stroke-dasharray": "3 3" }));
    if (found) label(chart, found.words, found.place, top - 2, { "text-anchor": "middle", class: "ink strong halo" });
  }
}
function breakEvenWords(task, row) {
  const [lane, variant] = String(row.to ?? "").split("/");
  const short = roughSize(task, row.size);
  return lane ? [`${short} → ${laneVariant(lane, variant)}`, short] : [short];
}
// The longest wording on the lowest of two lines that has room; none is better than one on another.
function roomFor(wordings, at, edges, box) {
  for (const words of wordings) {
    const half = textWidth(words, true) / 2;
    if (half * 2 > box.right - box.left) continue;
    const place = clamp(at, box.left + half - 40, box.right - half + 4);
    const level = edges.findIndex((edge) => place - half > edge + 12);
    if (level < 0) continue;
    edges[level] = place + half;
    return { words, place, level };
  }
  return null;
}

function curveLegend(host, task, series, has) {
  const entries = has.direct ? [] : series.map((one) => [lineSwatch(task, one.lane, one.variant), laneVariant(one.lane, one.variant)]);
  if (has.hollow) {
    entries.push([swatch(26, 14, marker("event_loop", 6, 7, 4, true), marker("thread", 18, 7, 4, true)), "hollow: not eligible, usually over the loop budget"]);
  }
  if (has.points) entries.push([swatch(8, 14, svg("path", { d: "M4 0V14", stroke: "var(--ink)", "stroke-dasharray": "3 3" })), "break-even point, shaded: its interval"]);
  legend(host, entries);
}

const IDLE = { stroke: "var(--soft)", "stroke-width": 1.5, "stroke-dasharray": "1 3.5", "stroke-linecap": "round" };

function smallMultiples(host, task, state, keys, draw) {
  const list = rows(task, "lanes").filter((row) => row.concurrency === state.concurrency && isNumber(row.size));
  const values = list.flatMap((row) => keys.map((key) => row[key])).filter((value) => value > 0);
  if (!values.length) return void host.append(html("p", { class: "nothing" }, "Nothing was measured at this concurrency."));
  const series = seriesOf(task, list);
  const lanes = unique(series.map((one) => one.lane));
  const variants = unique(series.map((one) => one.variant));
  const entries = variants.length > 1 ? variants.map((variant) => [lineSwatch(task, "other", variant), variant]) : [];
  if (keys.includes("loop_lag_reference_p99_s")) entries.push([swatch(30, 14, svg("line", { x1: 1, x2: 29, y1: 7, y2: 7, ...IDLE })), "idle loop"]);
  entries.unshift([null, state.concurrency === 1 ? "1 call at a time" : `${atOnce(state.concurrency)} at once`]);
  legend(host, entries);
  const grid = html("div", { class: "panels" });
  host.append(grid);
  for (const lane of lanes) {
    grid.append(html("div", {}, html("p", { class: "panel-title" }, swatch(12, 12, marker(lane, 6, 6, 4.5)), cut(laneName(lane), 220))));
  }
  // Only when all panels are there does each have its width.
  lanes.forEach((lane, i) => draw(grid.children[i], lane, series.filter((one) => one.lane === lane), list, values));
}
function smallFrame(panel, task, list, values, words) {
  const width = Math.max(180, panel.clientWidth);
  const box = { left: 52, right: width - 8, top: 12, bottom: 170 };
  const chart = canvas(panel, width, box.bottom + 24, words);
  const x = logScale(list.map((row) => row.size), box.left, box.right, 0.04);
  const y = logScale(values, box.bottom, box.top, 0.08);
  xAxis(chart, x, box, sizeTick(task), null);
  yAxis(chart, y, box, (value) => seconds(value, 2), null);
  return { chart, x, y, box };
}
function smallLine(chart, task, one, list, x, y, key) {
  chart.append(svg("path", { d: path(list.map((row) => [x(row.size), y(row[key])])), fill: "none", stroke: colour(one.lane), "stroke-width": 1.8, "stroke-dasharray": dash(task, one.variant) }));
}

function latency(host, task, width, id, state) {
  smallMultiples(host, task, state, ["latency_p50_s", "latency_p95_s"], (panel, lane, series, list, values) => {
    const { chart, x, y } = smallFrame(panel, task, list, values, `${host.dataset.label}: ${laneName(lane)}`);
    for (const one of series) {
      const found = bySize(one.rows, "latency_p50_s");
      const upper = found.map((row) => [x(row.size), y(row.latency_p95_s > 0 ? row.latency_p95_s : row.latency_p50_s)]);
      band(chart, found.map((row) => [x(row.size), y(row.latency_p50_s)]), upper, lane);
      smallLine(chart, task, one, found, x, y, "latency_p50_s");
      for (const row of found) {
        const dot = marker(lane, x(row.size), y(row.latency_p50_s), 3, row.eligible === false);
        dot.setAttribute("data-tip", `${laneVariant(lane, one.variant)}, size ${sizeText(task, row.size)}\np50 ${seconds(row.latency_p50_s)}, p95 ${seconds(row.latency_p95_s)}`);
        chart.append(dot);
      }
    }
  });
}

function lag(host, task, width, id, state) {
  const budget = report.loop_budget_s;
  smallMultiples(host, task, state, ["loop_lag_p99_s", "loop_lag_reference_p99_s"], (panel, lane, series, list, values) => {
    const all = budget > 0 ? [...values, budget, budget * 1.6] : values;
    const { chart, x, y, box } = smallFrame(panel, task, list, all, `${host.dataset.label}: ${laneName(lane)}`);
    if (budget > 0) {
      chart.append(svg("rect", { x: box.left, y: box.top, width: box.right - box.left, height: Math.max(0, y(budget) - box.top), fill: "var(--alarm)", opacity: 0.08 }));
      chart.append(svg("line", { x1: box.left, x2: box.right, y1: y(budget), y2: y(budget), stroke: "var(--alarm)", "stroke-width": 1.4 }));
    }
    for (const one of series) {
      const idle = bySize(one.rows, "loop_lag_reference_p99_s");
      chart.append(svg("path", { d: path(idle.map((row) => [x(row.size), y(row.loop_lag_reference_p99_s)])), fill: "none", ...IDLE }));
      const found = bySize(one.rows, "loop_lag_p99_s");
      smallLine(chart, task, one, found, x, y, "loop_lag_p99_s");
      for (const row of found) {
        const dot = marker(lane, x(row.size), y(row.loop_lag_p99_s), 3.2, row.eligible === false);
        dot.setAttribute("data-tip", `${laneVariant(lane, one.variant)}, size ${sizeText(task, row.size)}\nloop lag p99 ${seconds(row.loop_lag_p99_s)}, idle ${seconds(row.loop_lag_reference_p99_s)}`);
        chart.append(dot);
      }
    }
    if (budget > 0) label(chart, `budget ${seconds(budget)}`, box.left + 6, y(budget) - 6, { class: "alarm halo" });
  });
}
