// Two small drawings: a line of the last two minutes, and the classes of the loop's lag.
const SPAN_S = 120;

function sparkline(node, points, now, words) {
  const shown = points.filter((point) => point.at >= now - SPAN_S && isNumber(point.value));
  const most = Math.max(...shown.map((point) => point.value), 0);
  const x = (at) => 100 - ((now - at) / SPAN_S) * 100;
  const y = (value) => (most > 0 ? 29 - (value / most) * 27 : 29);
  const path = shown.map((point, i) => `${i ? "L" : "M"}${x(point.at).toFixed(2)} ${y(point.value).toFixed(2)}`).join("");
  const drawn = [svg("line", { class: "base", x1: 0, x2: 100, y1: 30, y2: 30 })];
  if (shown.length > 1) {
    const first = x(shown[0].at).toFixed(2);
    drawn.push(svg("path", { class: "area", d: `${path}L100 30L${first} 30Z` }), svg("path", { class: "stroke", d: path }));
  }
  node.setAttribute("aria-label", words);
  node.replaceChildren(...drawn);
  return most;
}

// Counts reach over many powers of ten, and the rare late ones are what matters: heights are logarithmic.
const LATE_S = 0.1;
const TICKS = [[0.0001, "0.1"], [0.001, "1"], [0.01, "10"], [0.1, "100"], [1, "1000 ms"]];
function histogram(host, all, recent) {
  const width = Math.max(280, Math.floor(host.clientWidth));
  const height = 132;
  const foot = height - 22;
  const last = all.length;
  const step = width / last;
  const most = Math.log10(1 + Math.max(1, ...all.map(([, number]) => number)));
  const tall = (number) => (number > 0 ? Math.max(2, (Math.log10(1 + number) / most) * (foot - 6)) : 0);
  const drawn = [];
  all.forEach(([bound, number], i) => {
    const lower = i ? all[i - 1][0] : 0;
    const late = lower >= LATE_S ? " late" : "";
    const bar = (kind, value) => {
      const size = tall(value);
      if (size) drawn.push(svg("rect", { class: kind + late, x: (i * step + 1).toFixed(2), width: Math.max(1, step - 2).toFixed(2), y: (foot - size).toFixed(2), height: size.toFixed(2), rx: 1 }));
    };
    bar("before", number);
    bar("now", recent ? recent[i][1] : 0);
  });
  drawn.push(svg("line", { class: "axis", x1: 0, x2: width, y1: foot + 0.5, y2: foot + 0.5 }));
  const bounds = all.map(([bound]) => bound).filter(isNumber);
  // Bounds are two to each doubling, so that a place on the axis is a logarithm.
  for (const [at, text] of TICKS) {
    if (!bounds.length || at < bounds[0] || at > bounds[bounds.length - 1]) continue;
    const x = (Math.log2(at / bounds[0]) * 2 + 1) * step;
    drawn.push(svg("line", { class: "axis", x1: x.toFixed(2), x2: x.toFixed(2), y1: foot, y2: foot + 4 }));
    const label = svg("text", { x: x.toFixed(2), y: height - 4, "text-anchor": "middle" });
    label.textContent = text;
    drawn.push(label);
  }
  const late = sum(all.filter((_, i) => i && all[i - 1][0] >= LATE_S).map(([, number]) => number));
  const label = `How late the event loop was: ${plural(sum(all.map(([, number]) => number)), "heartbeat")}, ${count(late)} later than 100 ms.`;
  host.replaceChildren(svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label }, ...drawn));
}

// Of classes of lag: the bound below which that share lies. Of the last class only its lower bound is known.
function percentile(classes, share) {
  const total = sum(classes.map(([, number]) => number));
  let left = share * total;
  for (let i = 0; total && i < classes.length; i += 1) {
    left -= classes[i][1];
    if (left <= 0 && classes[i][1]) return isNumber(classes[i][0]) ? classes[i][0] : classes[i - 1][0];
  }
  return null;
}
function difference(now, before) {
  if (!before || before.length !== now.length) return null;
  return now.map(([bound, number], i) => [bound, Math.max(0, number - before[i][1])]);
}
