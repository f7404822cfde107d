// Which chart goes where, the choices above them, and the box that explains what is pointed at.
const CHARTS = { "lane-map": laneMap, throughput, latency, lag, scaling, predictions };
const tasks = rows(report, "tasks");
const plots = [...document.querySelectorAll(".plot")];
const tip = document.getElementById("tip");

const states = tasks.map((task) => {
  const concurrencies = numbers(rows(task, "lanes"), "concurrency");
  const fitted = numbers(rows(task, "saturation"), "size");
  const sizes = fitted.length ? fitted : numbers(rows(task, "predictions"), "size");
  return { concurrency: concurrencies[concurrencies.length - 1], concurrencies, size: sizes[sizes.length - 1], sizes };
});

function draw(plot) {
  const width = Math.floor(plot.clientWidth);
  if (!width) return;
  const index = Number(plot.dataset.task);
  plot.dataset.width = width;
  plot.style.minHeight = `${plot.offsetHeight}px`; // so that the page does not jump
  plot.replaceChildren();
  CHARTS[plot.dataset.chart](plot, tasks[index], width, `map-${index}`, states[index]);
  plot.style.minHeight = "";
}

// One broken number must not take the other charts with it.
function drawSafely(plot) {
  try {
    draw(plot);
  } catch (error) {
    plot.replaceChildren(html("p", { class: "nothing" }, "This chart could not be drawn; the table has the numbers."));
    console.error(error);
  }
}

function choices(host, index) {
  const task = tasks[index];
  const [key, list, words, title] = host.dataset.control === "size"
    ? ["size", states[index].sizes, (value) => sizeText(task, value), "Size of the call"]
    : ["concurrency", states[index].concurrencies, (value) => digits(value), "Calls at once"];
  if (list.length < 2 && key === "concurrency") return;
  if (!list.length) return;
  const group = html("span", { class: "choice", role: "group", "aria-label": title });
  for (const value of list) {
    const button = html("button", { type: "button", "aria-pressed": String(value === states[index][key]) }, words(value));
    button.addEventListener("click", () => {
      states[index][key] = value;
      for (const each of group.children) each.setAttribute("aria-pressed", String(each === button));
      plots.filter((plot) => Number(plot.dataset.task) === index && plot.dataset.chart !== "lane-map").forEach(drawSafely);
    });
    group.append(button);
  }
  host.append(title, group);
}

function showTip(event) {
  const target = event.target instanceof Element ? event.target.closest("[data-tip]") : null;
  tip.hidden = !target;
  if (!target) return;
  tip.textContent = target.getAttribute("data-tip");
  const { clientWidth, clientHeight } = document.documentElement;
  const left = event.clientX + 16 + tip.offsetWidth > clientWidth ? event.clientX - tip.offsetWidth - 12 : event.clientX + 16;
  const top = event.clientY + 16 + tip.offsetHeight > clientHeight ? event.clientY - tip.offsetHeight - 12 : event.clientY + 16;
  tip.style.left = `${Math.max(6, left)}px`;
  tip.style.top = `${Math.max(6, top)}px`;
}

document.querySelectorAll(".controls").forEach((host) => choices(host, Number(host.dataset.task)));
plots.forEach(drawSafely);
window.addEventListener("resize", () => plots.filter((plot) => Math.floor(plot.clientWidth) !== Number(plot.dataset.width)).forEach(drawSafely));
document.addEventListener("pointermove", showTip);
document.addEventListener("pointerdown", showTip);
document.addEventListener("pointerleave", () => { tip.hidden = true; });
document.addEventListener("scroll", () => { tip.hidden = true; }, { passive: true });

const links = [...document.querySelectorAll("nav a")];
const watcher = new IntersectionObserver((entries) => {
  for (const entry of entries.filter((each) => each.isIntersecting)) {
    for (const link of links) {
      if (link.hash === `#${entry.target.id}`) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
  }
}, { rootMargin: "-20% 0px -75% 0px" });
document.querySelectorAll("section.task").forEach((section) => watcher.observe(section));

// On paper the charts are as wide as a page, so that their text has the size of the other text.
function drawForPaper() {
  document.body.classList.add("paper");
  plots.forEach(drawSafely);
  document.body.classList.remove("paper");
}
window.addEventListener("beforeprint", drawForPaper);
window.addEventListener("afterprint", () => plots.forEach(drawSafely));
