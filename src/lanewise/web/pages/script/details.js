// What is wrong, in words: notices, the loop's lag and stalls, workers, refusals and corrections.
function callout(title, items, bad) {
  const rows = items.map((item) => html("li", {}, item));
  return html("div", { class: bad ? "callout error" : "callout" }, html("b", {}, title), html("ul", {}, ...rows));
}
function drawNotices(extra) {
  const now = latest();
  const ready = now ? list(now.ready) : [];
  rebuild(byId("notices"), [ready, extra], () => [
    ...extra.map((text) => html("p", { class: "callout" }, text)),
    ...(ready.length ? [callout("Not ready: requests are better sent elsewhere.", ready, true)] : []),
  ]);
}
function drawFacts() {
  const facts = latest().process || {};
  const lock = facts.free_threaded_build ? `free-threaded build, GIL ${facts.gil_enabled ? "on" : "off"}` : "GIL on";
  const told = [
    `Python ${facts.python_version}`, lock, `switch interval ${seconds(latest().loop?.switch_interval_s)}`, plural(facts.usable_cores, "core"), facts.system,
    `lanewise ${facts.lanewise_version}`, `process ${facts.pid}`, `up ${lasted(latest().at_s - facts.started_at_s)}`,
  ];
  const host = byId("facts");
  while (host.children.length < told.length) host.append(html("li"));
  told.forEach((text, i) => setText(host.children[i], text));
}

// Parts of one line, each a number and what it counts.
function line(id, title, parts) {
  show(byId(id), parts.length > 0);
  rebuild(byId(id), parts, () => {
    const told = parts.flatMap(([number, what, bad], i) => [
      i ? " · " : " ",
      html("span", { class: "whole" }, html("b", { class: bad && number ? "bad" : null }, count(number)), ` ${what}`),
    ]);
    return [title, ...told];
  });
}
function drawLines() {
  const now = latest();
  const shed = Object.entries(now.shed_by_reason || {}).filter(([, number]) => number > 0);
  line("shed", "Refused, by reason:", shed.map(([reason, number]) => [number, words(reason), false]));
  const workers = now.workers;
  line("workers", "Worker processes:", workers ? [
    [workers.busy, "busy", false], [workers.idle, "idle", false], [workers.started, "started", false],
    [workers.killed, "killed to stop their calls", false], [workers.died - workers.killed, "died", true],
    [workers.retired, "retired", false], [workers.start_failures, "could not be started", true],
  ].filter(([number], i) => i < 3 || number) : []);
}

function drawCluster() {
  const cluster = latest().cluster;
  line("cluster", "Nodes:", cluster ? [
    [list(cluster.nodes).length + cluster.nodes_left_out, "can be used", false], [cluster.queued, "calls wait for one", false],
    [cluster.lost_nodes, "lost", true], [cluster.lost_calls, "calls lost with them", true],
  ] : []);
  setText(byId("cluster-why"), cluster?.unavailable ? `Calls stay on this machine: ${cluster.unavailable}` : "");
}

function drawLoop() {
  const loop = latest().loop;
  show(byId("key"), Boolean(loop));
  if (!loop) {
    rebuild(byId("histogram"), "none", () => [html("p", { class: "lead" }, "Nothing watches this loop's lag.")]);
    rebuild(byId("lag"), "none", () => []);
    return;
  }
  const recent = lagNow();
  const lately = (share) => (recent ? Math.min(percentile(recent, share) ?? 0, loop.max_s) : null);
  shownAs.delete(byId("histogram"));
  histogram(byId("histogram"), loop.histogram, recent);
  const rows = [
    ["half of the time below", lately(0.5), loop.p50_s],
    ["99 % of the time below", lately(0.99), loop.p99_s],
    ["always below", lately(1), loop.max_s],
  ];
  rebuild(byId("lag"), rows, () => [
    html("span", {}), html("span", { class: "head" }, `last ${RECENT_S} s`), html("span", { class: "head" }, "since start"),
    ...rows.flatMap(([title, now, ever]) => [
      html("dt", {}, title), html("dd", {}, seconds(now, 2)), html("dd", {}, seconds(ever, 2)),
    ]),
  ]);
}

// The same place again and again is one thing to mend.
const MOST_PLACES = 8;
function places(stalls) {
  const found = new Map();
  for (const one of stalls) {
    const key = `${one.where} ${one.where ? "" : one.advice}`;
    const place = found.get(key) || { key, times: 0, longest_s: 0 };
    found.delete(key); // so that the newest comes last
    found.set(key, { ...place, newest: one, times: place.times + 1, longest_s: Math.max(place.longest_s, one.duration_s) });
  }
  return [...found.values()].reverse();
}
function stallPlace({ key, newest, times, longest_s }, opened) {
  const frames = list(newest.stack).map((frame) => html("li", {}, frame));
  const often = times > 1 ? `${times} times, up to ${seconds(longest_s)}, last at ${clockTime(newest.at_s)}` : `at ${clockTime(newest.at_s)}`;
  const node = html("details", { class: "stall" },
    html("summary", {}, html("div", {},
      html("span", { class: "long" }, seconds(newest.duration_s)),
      html("code", {}, newest.where || "where is not known"),
      html("span", { class: "when" }, often),
      newest.advice ? html("p", { class: "advice" }, newest.advice) : null)),
    frames.length ? html("ol", { "aria-label": "Stack, outermost first" }, ...frames) : html("p", { class: "lead" }, "No stack was seen."));
  node.dataset.key = key;
  node.open = opened.includes(key);
  return node;
}
function drawStalls() {
  const loop = latest().loop;
  const stalls = loop ? list(loop.last_stalls) : [];
  const opened = [...document.querySelectorAll("details.stall[open]")].map((node) => node.dataset.key);
  rebuild(byId("stalls"), [loop?.stalls, stalls], () => {
    if (!loop) return [];
    if (!loop.stalls) return [html("p", { class: "lead" }, "No stall so far: nothing has kept the loop to itself for long.")];
    const found = places(stalls);
    const known = loop.stalls > stalls.length ? `; where the last ${count(stalls.length)} were` : "";
    const left = found.length - MOST_PLACES;
    return [
      html("h3", {}, `${plural(loop.stalls, "stall")}${known}`),
      ...found.slice(0, MOST_PLACES).map((place) => stallPlace(place, opened)),
      ...(left > 0 ? [html("p", { class: "lead" }, `and ${plural(left, "place")} more`)] : []),
    ];
  });
}

function drawCorrections() {
  const now = latest();
  const corrections = list(now.corrections);
  rebuild(byId("corrections"), corrections, () => (corrections.length ? [callout(
    "Corrected by what was seen:",
    corrections.map((one) => `${one.task}, size ${one.size_class}: now ${words(one.now)}, planned ${words(one.planned)}; ${one.reason}`),
    false,
  )] : []));
  const fallbacks = list(now.fallbacks);
  rebuild(byId("fallbacks"), fallbacks, () => (fallbacks.length ? [callout(
    "Cannot follow their route:", fallbacks.map((one) => `${one.task}: ${one.reason}`), false,
  )] : []));
}
