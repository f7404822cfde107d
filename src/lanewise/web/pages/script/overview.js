// The tiles at the top, and the tables.
function tile(title, help) {
  const value = html("div", { class: "value" });
  const also = html("p", { class: "also" });
  const spark = svg("svg", { class: "spark", viewBox: "0 0 100 32", preserveAspectRatio: "none", role: "img" });
  const node = html("div", { class: "tile", title: help }, html("h2", {}, title), value, also, spark);
  byId("tiles").append(node);
  return (number, unit, note, points, alarm, tell) => {
    rebuild(value, [number, unit], () => [number, ...(unit ? [html("small", {}, `${THIN}${unit}`)] : [])]);
    setClass(node, alarm ? "tile alarm" : "tile");
    const most = sparkline(spark, points, latest().clock_s, `${title} in the last two minutes`);
    setText(also, note || (points.length > 1 ? `most in 2 min: ${tell(most)}` : ""));
  };
}
const tiles = {
  done: tile("Done", "Calls that ended well, per second"),
  waiting: tile("Waiting", "Calls that wait for a place on their lane"),
  shed: tile("Refused", "Calls that were refused, per second"),
  lag: tile("Loop lag", "99th percentile of the last ten seconds: what anything else on the loop has to wait"),
};
function drawTiles() {
  const now = latest();
  const series = (name) => history.map((sample) => ({ at: sample.clock_s, value: sample.series[name] }));
  const last = now.series;
  tiles.done(rate(last.done), "/s", "", series("done"), false, (most) => `${rate(most)}/s`);
  tiles.waiting(count(now.waiting), "", "", series("waiting"), false, count);
  tiles.shed(rate(last.shed), "/s", "", series("shed"), last.shed > 0, (most) => `${rate(most)}/s`);
  if (now.loop) tiles.lag(last.lag === null ? "–" : seconds(last.lag, 2), "", "", series("lag"), last.lag >= LATE_S, (most) => seconds(most, 2));
  else tiles.lag("–", "", "not watched", [], false, seconds);
}

// --- tables ----------------------------------------------------------------------------------------
const number = (title, field, kind = "n") => ({ title, kind, sorts: true, value: (row) => row[field], text: (row) => count(row[field]) });
const figure = (title, field, tell) => ({ title, kind: "n", sorts: true, value: (row) => row[field], text: (row) => tell(row[field]) });
const lanesTable = table("lanes", [
  { title: "lane", kind: "lane", text: (row) => words(row.lane) },
  { title: "running / places", draw: occupancy },
  number("waiting", "waiting"),
  figure("done /s", "rate", rate),
  figure("takes", "takes", (value) => seconds(value, 3)),
  figure("waits", "waits", (value) => seconds(value, 3)),
  number("done", "done"), number("failed", "failed", "bad"), number("cancelled", "cancelled"),
  number("killed", "killed"), number("abandoned", "abandoned", "bad"), number("refused", "shed", "bad"),
].map((column) => ({ ...column, sorts: false })), (row) => row.lane);
const routesTable = table("routes", [
  { title: "task", kind: "name", sorts: true, value: (row) => row.task, text: (row) => row.task },
  { title: "lane", kind: "lane", text: (row) => words(row.lane) + (row.variant === "default" ? "" : ` · ${row.variant}`) },
  number("calls", "calls"),
  { title: "because", kind: "reason", text: (row) => row.reason },
], (row) => JSON.stringify([row.task, row.lane, row.variant]), "calls");
const tasksTable = table("tasks", [
  { title: "task", kind: "name", sorts: true, value: (row) => row.task, text: (row) => row.task },
  number("calls", "calls"), figure("calls /s", "rate", rate),
  number("running", "running"), number("waiting", "waiting"),
  figure("takes", "takes", (value) => seconds(value, 3)), figure("waits", "waits", (value) => seconds(value, 3)),
  number("failed", "failed", "bad"), number("cancelled", "cancelled"), number("killed", "killed"), number("refused", "shed", "bad"),
], (row) => row.task, "calls");
const megabytes = (value) => `${count(Math.round(value / 1e6))}${THIN}MB`;
const nodesTable = table("nodes", [
  { title: "node", kind: "name", sorts: true, value: (row) => row.name, text: (row) => row.name },
  { title: "address", text: (row) => row.address },
  { title: "CPUs taken", kind: "n", value: (row) => row.used, text: (row) => `${row.used.toFixed(1)} / ${count(row.cpus)}` },
  number("calls there", "calls"), number("ended", "done"),
  figure("sent", "bytes_out", megabytes), figure("came back", "bytes_in", megabytes),
], (row) => row.number);

function withRates(row, read, field) {
  return { ...row, rate: perSecond(maybe(read, field)), takes: mean(read, "busy_s", ended), waits: mean(read, "wait_s", begun) };
}
const more = (id, left, what) => setText(byId(id), left > 0 ? `and ${plural(left, what)} more` : "");
function drawTables() {
  const now = latest();
  lanesTable(list(now.lanes).map((row) => withRates(row, laneIn(row.lane), (each) => each.done)));
  routesTable(list(now.routes));
  tasksTable(list(now.tasks).map((row) => ({ ...withRates(row, taskIn(row.task), (each) => each.admitted + each.shed), calls: row.admitted + row.shed })));
  const cluster = now.cluster;
  show(byId("nodes"), Boolean(cluster));
  nodesTable(list(cluster?.nodes));
  more("nodes-more", cluster?.nodes_left_out, "node");
  more("routes-more", now.left_out?.routes, "route");
  more("tasks-more", now.left_out?.tasks, "task");
}
