// Asks for the numbers once a second, as long as anybody looks.
const EVERY_MS = 1000;
const PATIENCE_MS = 5000;
// A process that has not answered for so long is not waited for, where another one does.
const OTHER_MS = 5000;
const base = location.pathname.endsWith("/") ? location.pathname : `${location.pathname}/`;

let paused = false;
let timer = null;
let asking = null;
let goneSince = null;
let shown = { key: null, at: 0 };
const others = new Set();

function state(kind, text) {
  byId("state").dataset.state = kind;
  setText(byId("state"), text);
  byId("main").classList.toggle("old", kind === "gone" && history.length > 0);
}
const at = (moment) => moment.toLocaleTimeString();

// Behind one address there may be several processes, each with numbers of its own.
function isShown(process) {
  const key = `${process.pid} ${process.started_at_s}`;
  const now = performance.now();
  if (key !== shown.key) {
    if (shown.key && !goneSince && now - shown.at < OTHER_MS) {
      others.add(key);
      return false;
    }
    others.delete(key);
    history = [];
    shown.key = key;
  }
  shown.at = now;
  return true;
}
const told = () => (others.size ? [`${plural(others.size + 1, "process", "processes")} answer in turn here. These are the numbers of one of them.`] : []);

function draw(numbers) {
  if (!isShown(numbers.process)) return;
  remember(numbers);
  drawNotices(told());
  drawFacts();
  drawTiles();
  drawTables();
  drawLines();
  drawCluster();
  drawLoop();
  drawStalls();
  drawCorrections();
}

async function ask() {
  asking = new AbortController();
  const patience = setTimeout(() => asking.abort(), PATIENCE_MS);
  try {
    const answer = await fetch(`${base}statistics.json`, { cache: "no-store", signal: asking.signal });
    if (answer.status !== 200 && answer.status !== 503) throw new Error(`answered ${answer.status}`);
    const numbers = await answer.json();
    if (numbers.error) throw new Error(numbers.error);
    if (paused || document.hidden) return;
    draw(numbers);
    goneSince = null;
    state("live", "live");
  } catch (error) {
    if (paused || document.hidden) return;
    goneSince = goneSince || new Date();
    const why = error.name === "AbortError" ? "no answer" : error instanceof TypeError ? "not reachable" : error.message;
    state("gone", `${why} since ${at(goneSince)}`);
  } finally {
    clearTimeout(patience);
    asking = null;
  }
}
async function tick() {
  clearTimeout(timer);
  if (paused || document.hidden || asking) return;
  await ask();
  clearTimeout(timer);
  timer = setTimeout(tick, EVERY_MS);
}

byId("pause").addEventListener("click", () => {
  paused = !paused;
  setText(byId("pause"), paused ? "Go on" : "Pause");
  if (paused) state("paused", `paused at ${at(new Date())}`);
  else tick();
});
document.addEventListener("visibilitychange", tick);
window.addEventListener("resize", () => { if (history.length) drawLoop(); });
for (const [path, what] of [["statistics.json", "these numbers as JSON"], ["metrics", "metrics for Prometheus"], ["ready", "readiness"], ["live", "liveness"]]) {
  byId("links").append(html("a", { href: base + path }, what));
}
tick();
