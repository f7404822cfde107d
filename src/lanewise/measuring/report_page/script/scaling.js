// Throughput over concurrency with the fitted law, and what other machines would give.

const usableCores = () => (report.host && report.host.usable_cores > 0 ? report.host.usable_cores : 1);

function law(row, concurrency) {
  const m = Math.min(concurrency, usableCores());
  const contention = row.contention || 0;
  const coherency = row.coherency || 0;
  return (row.rate_per_s * m) / (1 + contention * (m - 1) + coherency * concurrency * (concurrency - 1));
}

function scaling(host, task, width, id, state) {
  const list = rows(task, "lanes").filter((row) => row.size === state.size && isNumber(row.concurrency) && row.throughput_per_s > 0);
  const fits = rows(task, "saturation").filter((row) => row.size === state.size && row.rate_per_s > 0);
  const variants = variantsOf(task).filter((variant) => [...list, ...fits].some((row) => variantOf(row) === variant));
  if (!variants.length) return void host.append(html("p", { class: "nothing" }, "Nothing was fitted at this size."));
  const grid = html("div", { class: "panels", style: { } });
  grid.style.setProperty("--least", "330px");
  host.append(grid);
  for (const variant of variants) {
    const panel = html("div");
    if (variants.length > 1) panel.append(html("p", { class: "panel-title" }, isDefault(variant) ? "default variant" : `variant ${variant}`));
    grid.append(panel);
  }
  variants.forEach((variant, i) => {
    const mine = (row) => variantOf(row) === variant;
    scalingPanel(grid.children[i], task, list.filter(mine), fits.filter(mine), `${host.dataset.label}: ${variant}`);
  });
}

function scalingPanel(panel, task, list, fits, words) {
  const width = Math.max(260, panel.clientWidth);
  const lanes = unique([...list, ...fits].map((row) => row.lane)).sort((a, b) => LANES.indexOf(a) - LANES.indexOf(b));
  const says = (lane) => {
    const fit = fits.find((row) => row.lane === lane);
    return isNumber(fit && fit.concurrency) ? `${laneName(lane)}: to ${digits(fit.concurrency)}` : laneName(lane);
  };
  const right = Math.min(width * 0.45, Math.max(...lanes.map((lane) => textWidth(says(lane)))) + 30);
  const box = { left: 50, right: width - right, top: 34, bottom: 270 };
  const measured = numbers(list, "concurrency");
  const most = Math.max(2, ...measured, ...fits.map((row) => row.concurrency || 0));
  const top = Math.max(...list.flatMap((row) => [row.throughput_per_s, row.throughput_high_per_s || 0]), ...fits.flatMap((fit) => [law(fit, usableCores()), law(fit, 1)]), 0);
  const chart = canvas(panel, width, box.bottom + 40, words);
  const x = most > 16 ? logScale([1, most], box.left + 12, box.right - 8, 0) : linearScale(1, most, box.left + 12, box.right - 8);
  const y = linearScale(0, (top || 1) * 1.06, box.bottom, box.top);
  const whole = most <= 8 ? Array.from({ length: most }, (_, i) => i + 1) : measured.length ? measured : [1, most];
  xAxis(chart, x, box, (value) => digits(value), "calls at once", whole);
  yAxis(chart, y, box, rateTick, "calls per second");
  const ends = lanes.map((lane) => {
    const fit = fits.find((row) => row.lane === lane);
    const points = list.filter((row) => row.lane === lane).sort((a, b) => a.concurrency - b.concurrency);
    if (fit) drawLaw(chart, fit, x, y, most);
    else chart.append(svg("path", { d: path(points.map((row) => [x(row.concurrency), y(row.throughput_per_s)])), fill: "none", stroke: colour(lane), "stroke-width": 1.5, opacity: 0.6 }));
    for (const row of points) scalingPoint(chart, row, x, y);
    const value = fit ? law(fit, most) : points[points.length - 1].throughput_per_s;
    return { x: box.right - 4, at: y(value), extent: 16, lane, words: says(lane) };
  });
  endLabels(chart, ends, box, right - 16);
}

function drawLaw(chart, fit, x, y, most) {
  const points = [];
  for (let i = 0; i <= 120; i += 1) {
    const c = 1 + ((most - 1) * i) / 120;
    points.push([x(c), y(law(fit, c))]);
  }
  chart.append(svg("path", { d: path(points), fill: "none", stroke: colour(fit.lane), "stroke-width": 2 }));
  if (!(fit.concurrency >= 1)) return;
  const [px, py] = [x(fit.concurrency), y(law(fit, fit.concurrency))];
  chart.append(svg("line", { x1: px, x2: px, y1: py, y2: y(0), stroke: colour(fit.lane), "stroke-dasharray": "2 3" }));
  const ring = svg("circle", { cx: px, cy: py, r: 9, fill: "none", stroke: colour(fit.lane), "stroke-width": 2 });
  ring.setAttribute("data-tip", `${laneName(fit.lane)} grows up to ${atOnce(fit.concurrency)} at once`);
  chart.append(ring);
}

function scalingPoint(chart, row, x, y) {
  const px = x(row.concurrency);
  const [low, high] = [row.throughput_low_per_s, row.throughput_high_per_s];
  if (low > 0 && high > 0) {
    chart.append(svg("path", { d: `M${px} ${y(low)}V${y(high)}M${px - 3} ${y(low)}h6M${px - 3} ${y(high)}h6`, stroke: colour(row.lane), "stroke-width": 1.3 }));
  }
  const dot = marker(row.lane, px, y(row.throughput_per_s), 4.2, row.eligible === false);
  dot.setAttribute("data-tip", `${laneVariant(row.lane, variantOf(row))}, ${atOnce(row.concurrency)} at once\n${rate(row.throughput_per_s)}`);
  chart.append(dot);
}

function predictions(host, task, width, id, state) {
  const all = rows(task, "predictions").filter((row) => row.throughput_per_s > 0 && isNumber(row.cores));
  const sizes = numbers(all, "size");
  const size = sizes.includes(state.size) ? state.size : sizes[sizes.length - 1];
  const list = all.filter((row) => row.size === size || !sizes.length);
  if (!list.length) return void host.append(html("p", { class: "nothing" }, "Nothing was predicted."));
  if (size !== state.size) host.append(html("p", { class: "lead" }, `Predicted for size ${sizeText(task, size)}.`));
  const lanes = unique(list.map((row) => row.lane)).sort((a, b) => LANES.indexOf(a) - LANES.indexOf(b));
  const entries = lanes.map((lane) => [swatch(18, 12, svg("rect", { width: 18, height: 12, fill: colour(lane) })), laneName(lane)]);
  if (list.some((row) => row.free_threaded)) entries.push([swatch(18, 12, svg("rect", { x: 1, y: 1, width: 16, height: 10, fill: "none", stroke: "var(--ink)", "stroke-width": 1.6 })), "outline: free-threaded build"]);
  legend(host, entries);
  const grid = html("div", { class: "panels" });
  grid.style.setProperty("--least", "330px");
  host.append(grid);
  const variants = variantsOf(task).filter((variant) => list.some((row) => variantOf(row) === variant));
  for (const variant of variants) {
    const title = html("p", { class: "panel-title" }, isDefault(variant) ? "default variant" : `variant ${variant}`);
    grid.append(html("div", {}, ...(variants.length > 1 ? [title] : [])));
  }
  variants.forEach((variant, i) => {
    const now = rows(task, "lanes").filter((row) => row.size === size && variantOf(row) === variant && row.throughput_per_s > 0);
    predictionPanel(grid.children[i], list.filter((row) => variantOf(row) === variant), now, lanes, `${host.dataset.label}: ${variant}`);
  });
}

function predictionGroups(list, now, lanes) {
  const best = (lane) => Math.max(0, ...now.filter((row) => row.lane === lane).map((row) => row.throughput_per_s));
  const groups = [];
  const today = lanes.filter((lane) => best(lane) > 0).map((lane) => ({ lane, value: best(lane), free: false }));
  if (today.length) groups.push({ name: `${digits(usableCores())} ${usableCores() === 1 ? "core" : "cores"}, measured`, bars: today });
  for (const cores of numbers(list, "cores")) {
    const here = list.filter((row) => row.cores === cores);
    const order = (row) => LANES.indexOf(row.lane) * 2 + (row.free_threaded ? 1 : 0);
    const bars = here.sort((a, b) => order(a) - order(b)).map((row) => ({ lane: row.lane, value: row.throughput_per_s, free: Boolean(row.free_threaded), why: row.assumption }));
    groups.push({ name: `${digits(cores)} ${cores === 1 ? "core" : "cores"}`, bars });
  }
  return groups;
}

function predictionPanel(panel, list, now, lanes, words) {
  const width = Math.max(260, panel.clientWidth);
  const groups = predictionGroups(list, now, lanes);
  const [thick, gap, between] = [13, 4, 16];
  const height = groups.reduce((sum, group) => sum + 20 + group.bars.length * (thick + gap) + between, 0);
  const chart = canvas(panel, width, height, words);
  const most = Math.max(...groups.flatMap((group) => group.bars.map((bar) => bar.value)));
  const x = linearScale(0, most, 0, width - 84);
  let top = 0;
  for (const group of groups) {
    label(chart, group.name, 0, top + 13, { class: "ink strong" });
    top += 20;
    for (const bar of group.bars) {
      const long = Math.max(2, x(bar.value));
      const look = bar.free
        ? { x: 1, y: top + 1, width: Math.max(1, long - 2), height: thick - 2, fill: colour(bar.lane), "fill-opacity": 0.22, stroke: colour(bar.lane), "stroke-width": 2 }
        : { x: 0, y: top, width: long, height: thick, fill: colour(bar.lane) };
      const tip = [`${laneName(bar.lane)}${bar.free ? ", free-threaded" : ""}: ${rate(bar.value)}`, bar.why].filter(Boolean).join("\n");
      chart.append(svg("rect", { ...look, "data-tip": tip }));
      label(chart, rate(bar.value), long + 8, top + 11, { class: "ink" });
      top += thick + gap;
    }
    top += between;
  }
}
