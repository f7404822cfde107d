// Two minutes of snapshots, and what follows from the differences between them.
const RATE_S = 3;
const RECENT_S = 10;
let history = [];

const latest = () => history[history.length - 1];
function ago(span_s) {
  const now = latest().clock_s;
  const old = history.slice(0, -1).filter((sample) => now - sample.clock_s >= span_s * 0.95);
  return old.length ? old[old.length - 1] : history.length > 1 ? history[0] : null;
}
const total = (sample, name) => sum(list(sample.lanes).map((lane) => lane[name]));
function perSecond(read) {
  const before = ago(RATE_S);
  if (!before) return null;
  const now = latest();
  const [a, b] = [read(before), read(now)];
  return isNumber(a) && isNumber(b) ? Math.max(0, b - a) / (now.clock_s - before.clock_s) : null;
}
// A mean over what ended lately; over all there is, where nothing has.
function mean(read, name, counted) {
  const now = read(latest());
  const before = ago(RECENT_S) && read(ago(RECENT_S));
  const calls = counted(now) - (before ? counted(before) : 0);
  if (before && calls > 0) return (now[name] - before[name]) / calls;
  return counted(now) > 0 ? now[name] / counted(now) : null;
}
const ended = (row) => row.done + row.failed + row.cancelled + row.killed;
const begun = (row) => ended(row) + row.running;
const laneIn = (lane) => (sample) => list(sample.lanes).find((row) => row.lane === lane);
const taskIn = (task) => (sample) => sample.byTask.get(task);
const maybe = (read, field) => (sample) => {
  const row = read(sample);
  return row ? field(row) : null;
};
const lagNow = () => {
  const now = latest().loop;
  const before = now && ago(RECENT_S)?.loop;
  return before ? difference(now.histogram, before.histogram) : null;
};


// What is drawn as a line is worked out once, when a snapshot comes.
function remember(document_) {
  const sample = { ...document_, byTask: new Map(list(document_.tasks).map((row) => [row.task, row])) };
  const before = latest();
  if (before && (sample.clock_s <= before.clock_s || total(sample, "admitted") + sample.shed < total(before, "admitted") + before.shed)) history = [];
  history.push(sample);
  history = history.filter((each) => sample.clock_s - each.clock_s <= SPAN_S + 5);
  const lag = lagNow();
  sample.series = {
    done: perSecond((each) => total(each, "done")),
    waiting: sample.waiting,
    shed: perSecond((each) => each.shed),
    lag: lag ? percentile(lag, 0.99) : null,
  };
  // The details of long ago are not needed any more.
  for (const old of history.slice(0, -15)) {
    old.byTask = new Map();
    old.tasks = old.routes = old.corrections = null;
  }
}
