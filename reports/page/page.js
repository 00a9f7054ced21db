"use strict";
// Filters, order, keys, and unpacking: what passed is packed, and unpacked when it is opened.
const list = document.getElementById("list");
const rows = Array.from(list.children);
const texts = rows.map((row) => row.firstElementChild.textContent.toLowerCase());
const search = document.getElementById("search");
const suite = document.getElementById("suite");
const order = document.getElementById("order");
const boxes = Array.from(document.querySelectorAll("input[name=verdict]"));
const count = document.getElementById("count");
const none = document.getElementById("none");
const chunks = new Map();

function filter() {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  const wanted = new Set(boxes.filter((box) => box.checked).map((box) => box.value));
  let shown = 0;
  rows.forEach((row, number) => {
    const text = texts[number];
    const fits = wanted.has(row.dataset.verdict) && (!suite.value || row.dataset.suite === suite.value)
      && words.every((word) => text.includes(word));
    if (row.hidden === fits) row.hidden = !fits;
    if (fits) shown += 1;
  });
  count.textContent = `${shown} of ${rows.length} shown`;
  none.hidden = shown > 0;
}

function arrange() {
  const by = {
    grave: (a, b) => rows.indexOf(a) - rows.indexOf(b),
    slow: (a, b) => b.dataset.took - a.dataset.took,
    name: (a, b) => (a.id < b.id ? -1 : 1),
  }[order.value];
  list.append(...(order.value === "grave" ? rows : rows.slice().sort(by)));
}

function chunk(number) {
  if (!chunks.has(number)) chunks.set(number, unpack(number));
  return chunks.get(number);
}

async function unpack(number) {
  const packed = atob(document.getElementById(`chunk-${number}`).textContent);
  const bytes = Uint8Array.from(packed, (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text());
}

async function fill(row) {
  const packed = row.dataset.packed;
  if (packed === undefined) return;
  delete row.dataset.packed;
  const [number, place] = packed.split(".").map(Number);
  row.lastElementChild.innerHTML = (await chunk(number))[place]; // escaped where it was written
  row.dataset.filled = "yes";
}

function open(id) {
  const row = id && document.getElementById(id);
  if (!row) return;
  if (!row.classList.contains("scenario")) {
    const folded = row.closest("details:not([open])");
    if (folded) { folded.open = true; row.scrollIntoView(); }
    return;
  }
  row.hidden = false;
  row.open = true;
  row.firstElementChild.focus();
}

function move(step) {
  const visible = Array.from(list.children).filter((row) => !row.hidden);
  const at = visible.findIndex((row) => row.contains(document.activeElement));
  const next = visible[Math.min(Math.max(at + step, 0), visible.length - 1)];
  if (next) next.firstElementChild.focus();
}

function everything() {
  boxes.forEach((box) => { box.checked = true; });
  suite.value = "";
}

list.addEventListener("toggle", (event) => {
  if (event.target.classList.contains("scenario") && event.target.open) fill(event.target);
}, true);
search.form.addEventListener("submit", (event) => event.preventDefault());
search.addEventListener("input", filter);
suite.addEventListener("change", filter);
order.addEventListener("change", arrange);
boxes.forEach((box) => box.addEventListener("change", filter));
document.querySelectorAll(".filter-by").forEach((button) => button.addEventListener("click", () => {
  search.value = button.dataset.query;
  everything();
  filter();
  search.focus({ preventScroll: true });
  document.getElementById("scenarios").scrollIntoView({ block: "start" });
}));
document.getElementById("theme").addEventListener("click", () => {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
});
document.addEventListener("keydown", (event) => {
  const typing = event.target.matches("input[type=search]");
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("select")) return;
  if (event.key === "Escape" && (typing || search.value)) {
    search.value = "";
    filter();
    search.blur();
  } else if (typing) {
    if (event.key === "ArrowDown" || event.key === "Enter") { event.preventDefault(); move(1); }
  } else if (event.key === "/") {
    event.preventDefault();
    search.focus();
  } else if (event.key === "j") move(1);
  else if (event.key === "k") move(-1);
});
addEventListener("hashchange", () => open(location.hash.slice(1)));
const opened = [];
addEventListener("beforeprint", () => {
  const troubled = rows.filter((row) => row.dataset.verdict === "FAIL" || row.dataset.verdict === "INCONCLUSIVE");
  [...document.querySelectorAll(".excused, .missing"), ...troubled].forEach((each) => {
    if (!each.open) opened.push(each);
    each.open = true;
  });
});
addEventListener("afterprint", () => opened.splice(0).forEach((each) => { each.open = false; }));
open(location.hash.slice(1));
document.documentElement.dataset.ready = "yes";
