// Tables whose rows stay the same elements while their numbers change, and that can be sorted.
// A column: title, text(item), value(item) to sort by, and kind: "name", "lane", "n", "bad" or "reason".
const zeroIsQuiet = (kind) => kind === "n" || kind === "bad";

function table(prefix, columns, keyOf, sortedBy = null) {
  const state = { by: sortedBy, down: true, items: [] };
  const rows = new Map();
  const body = byId(`${prefix}-rows`);
  const heads = columns.map((column) => {
    const title = column.sorts ? html("button", { type: "button" }, column.title) : column.title;
    const kind = column.kind === "name" ? "name" : zeroIsQuiet(column.kind) ? "n" : null;
    const head = html("th", { scope: "col", class: kind }, title);
    if (column.sorts) title.addEventListener("click", () => sortBy(column));
    return head;
  });
  byId(`${prefix}-columns`).replaceChildren(html("tr", {}, ...heads));

  function sortBy(column) {
    state.down = state.by === column.title ? !state.down : column.kind !== "name";
    state.by = column.title;
    draw();
  }
  function ordered() {
    const column = columns.find((each) => each.title === state.by);
    if (!column) return state.items;
    const sign = state.down ? -1 : 1;
    const compare = (a, b) => (typeof a === "string" ? a.localeCompare(b) : (a ?? -1) - (b ?? -1));
    return [...state.items].sort((a, b) => sign * compare(column.value(a), column.value(b)));
  }
  function made() {
    const cells = columns.map((column) => {
      if (column.kind === "name") return html("th", { scope: "row", class: "name" });
      return html("td", { class: column.kind === "reason" ? "reason" : zeroIsQuiet(column.kind) ? "n" : null });
    });
    return { row: html("tr", {}, ...cells), cells };
  }
  function fill(cells, item) {
    columns.forEach((column, i) => {
      const cell = cells[i];
      if (column.kind === "name") nameParts(cell, column.text(item));
      else if (column.draw) column.draw(cell, item);
      else setText(cell, column.text(item));
      if (column.kind === "lane") setClass(cell, laneClass(item.lane));
      if (!zeroIsQuiet(column.kind)) return;
      const value = column.value(item);
      setClass(cell, value ? (column.kind === "bad" ? "n bad" : "n") : "n zero");
    });
  }
  function draw() {
    columns.forEach((column, i) => {
      if (state.by === column.title) heads[i].setAttribute("aria-sort", state.down ? "descending" : "ascending");
      else heads[i].removeAttribute("aria-sort");
    });
    const gone = new Set(rows.keys());
    let place = body.firstElementChild;
    for (const item of ordered()) {
      const key = keyOf(item);
      gone.delete(key);
      if (!rows.has(key)) rows.set(key, made());
      const { row, cells } = rows.get(key);
      fill(cells, item);
      if (row === place) place = place.nextElementSibling;
      else body.insertBefore(row, place);
    }
    for (const key of gone) {
      rows.get(key).row.remove();
      rows.delete(key);
    }
  }
  return (items) => {
    state.items = items;
    draw();
  };
}

// A task's module and its name, either in one piece where it is not all too long.
function nameParts(cell, name) {
  if (cell.textContent === name) return;
  const cut = name.lastIndexOf(":") + 1;
  const part = (text, kind) => html("span", { class: text.length > 40 ? kind : `${kind} whole` }, text);
  cell.replaceChildren(...(cut ? [part(name.slice(0, cut), "home")] : []), document.createElement("wbr"), part(name.slice(cut), "own"));
}

// How many of a lane's places are taken, as words and as a bar.
function occupancy(cell, item) {
  if (!cell.firstElementChild) {
    const fill = svg("rect", { x: 0, y: 0, height: 8, width: 0 });
    const box = svg("svg", { viewBox: "0 0 56 8", preserveAspectRatio: "none" }, fill);
    cell.append(html("span"), html("span", { class: "bar", "aria-hidden": "true" }, box));
  }
  const [told, bar] = cell.children;
  setText(told, isNumber(item.places) ? `${count(item.running)} / ${count(item.places)}` : count(item.running));
  const share = item.places ? Math.min(1, item.running / item.places) : 0;
  bar.querySelector("rect").setAttribute("width", (share * 56).toFixed(1));
  setClass(bar, `bar lane-${item.lane}`);
}
