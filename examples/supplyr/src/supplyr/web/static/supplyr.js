// What pages do beyond plain links and forms. Everything works without it, only with more reloads.
"use strict";

// Ask before what cannot be undone.
document.addEventListener("submit", (event) => {
  const question = event.submitter?.dataset.confirm;
  if (question && !window.confirm(question)) event.preventDefault();
});

// The list below the field: opened by what arrives, walked by arrow keys, closed by Escape or leaving.
const field = document.getElementById("q");
const list = document.getElementById("suggestions");
if (field && list) {
  const open = (is) => {
    list.classList.toggle("open", is);
    field.setAttribute("aria-expanded", String(is));
  };
  const close = () => { list.replaceChildren(); open(false); };
  list.addEventListener("htmx:afterSwap", () => open(list.children.length > 0 && document.activeElement === field));
  document.addEventListener("click", (event) => { if (!event.target.closest(".combo")) close(); });
  document.addEventListener("focusin", (event) => { if (!event.target.closest(".combo")) close(); });
  field.closest(".combo").addEventListener("keydown", (event) => {
    if (event.key === "Escape") { close(); field.focus(); return; }
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step || !list.children.length) return;
    event.preventDefault();
    const all = [field, ...list.querySelectorAll("a")];
    const at = all.indexOf(document.activeElement);
    all[(at + step + all.length) % all.length].focus();
  });
}
