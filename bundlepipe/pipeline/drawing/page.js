"use strict";
// Positions are computed already; here is what moves: panning, zooming, searching, choosing.
const tasks = JSON.parse(document.getElementById("tasks").textContent);
const svg = document.getElementById("graph");
const panel = document.getElementById("chosen");
const search = document.getElementById("search");
const found = document.getElementById("found");
const nodes = tasks.map((_, number) => document.getElementById("task-" + number));
const edges = [...svg.querySelectorAll(".edge")].map(
  (path) => ({ path, from: Number(path.dataset.from), to: Number(path.dataset.to) }));
const users = tasks.map(() => []);
tasks.forEach((task, number) => task.needs.forEach((need) => users[need].push(number)));
const needs = tasks.map((task) => task.needs);

// ---- the part of the drawing that is seen, in its own pixels ----
const whole = svg.viewBox.baseVal;
const all = { x: whole.x, y: whole.y, width: whole.width, height: whole.height };
const LARGEST = 2.5, READABLE = 0.95, FAR = 0.35;
let view = { x: 0, y: 0, scale: 1 }; // the drawing's point in the middle, and screen pixels for one of its own

function size() {
  const box = svg.getBoundingClientRect();
  return { width: Math.max(box.width, 1), height: Math.max(box.height, 1) };
}
// A panel covers a part of the drawing: to the right, or below on narrow screens.
function free() {
  const { width, height } = size();
  if (panel.hidden) return { width, height };
  const box = panel.getBoundingClientRect();
  return box.width >= width - 1 ? { width, height: height - box.height } : { width: width - box.width, height };
}
function smallest() {
  const { width, height } = free();
  return Math.min(width / all.width, height / all.height, 1);
}
function show() {
  view.scale = Math.min(Math.max(view.scale, smallest() * 0.8), LARGEST);
  view.x = Math.min(Math.max(view.x, all.x), all.x + all.width);
  view.y = Math.min(Math.max(view.y, all.y), all.y + all.height);
  const { width, height } = size(), place = free();
  const left = view.x - place.width / 2 / view.scale, top = view.y - place.height / 2 / view.scale;
  svg.setAttribute("viewBox", [left, top, width / view.scale, height / view.scale].join(" "));
  svg.classList.toggle("far", view.scale < FAR);
}
function fit() {
  const place = free();
  view = {
    x: all.x + all.width / 2, y: all.y + all.height / 2,
    scale: Math.min(place.width / all.width, place.height / all.height, 1.25),
  };
  show();
}
function zoom(factor, x, y) {
  const { width, height } = size(), place = free();
  const atX = x === undefined ? 0 : x - place.width / 2, atY = y === undefined ? 0 : y - place.height / 2;
  const before = view.scale;
  view.scale = Math.min(Math.max(before * factor, smallest() * 0.8), LARGEST);
  view.x += atX / before - atX / view.scale;
  view.y += atY / before - atY / view.scale;
  show();
}
function goTo(number) {
  const [left, top, width, height] = tasks[number].box;
  const middle = { x: left + width / 2, y: top + height / 2 };
  const place = free();
  const nearX = place.width / 2 / view.scale - width, nearY = place.height / 2 / view.scale - height * 2;
  if (view.scale < READABLE) view.scale = READABLE;
  else if (Math.abs(middle.x - view.x) < nearX && Math.abs(middle.y - view.y) < nearY) { show(); return; }
  view.x = middle.x; view.y = middle.y;
  show();
}

// ---- choosing a task ----
let chosen = null;

function reach(start, next) {
  const seen = new Set(), waiting = [start];
  while (waiting.length) {
    for (const other of next[waiting.pop()]) if (!seen.has(other)) { seen.add(other); waiting.push(other); }
  }
  return seen;
}
// Of too many edges none is drawn beforehand, but those of the chosen task are.
const isDense = !edges.length && needs.some((needed) => needed.length);
const own = document.createElementNS(svg.namespaceURI, "g");
svg.insertBefore(own, svg.querySelector(".task"));
function drawOwn(number) {
  if (!isDense) return;
  const before = number === null ? [] : needs[number], after = number === null ? [] : users[number];
  own.replaceChildren(
    ...before.map((need) => ownEdge(need, number, "needed")), ...after.map((user) => ownEdge(number, user, "user")));
}
function ownEdge(from, to, kind) {
  const [left, top, width, height] = tasks[from].box, [endLeft, endTop] = tasks[to].box;
  const x = left + width, y = top + height / 2, endY = endTop + height / 2;
  const bend = Math.min(Math.max(Math.abs(endLeft - x) / 2, 20), 140);
  const path = document.createElementNS(svg.namespaceURI, "path");
  path.setAttribute("class", "edge " + kind);
  path.setAttribute("d", `M${x} ${y}C${x + bend} ${y} ${endLeft - bend} ${endY} ${endLeft} ${endY}`);
  path.setAttribute("marker-end", "url(#arrow)");
  return path;
}
function choose(number, moves) {
  chosen = number;
  svg.classList.toggle("choosing", number !== null);
  const needed = number === null ? new Set() : reach(number, needs);
  const using = number === null ? new Set() : reach(number, users);
  nodes.forEach((node, other) => {
    node.classList.toggle("needed", needed.has(other));
    node.classList.toggle("user", using.has(other));
    node.classList.toggle("chosen", other === number);
  });
  drawOwn(number);
  for (const { path, from, to } of edges) {
    path.classList.toggle("needed", needed.has(from) && (to === number || needed.has(to)));
    path.classList.toggle("user", using.has(to) && (from === number || using.has(from)));
  }
  panel.hidden = number === null;
  if (number === null) { svg.removeAttribute("aria-activedescendant"); show(); return; }
  svg.setAttribute("aria-activedescendant", "task-" + number);
  const task = tasks[number];
  panel.querySelector("h2").textContent = task.name;
  panel.querySelector(".what").textContent =
    task.kind + (task.state ? ", " + task.state.replaceAll("-", " ") : "");
  panel.querySelector(".doc").textContent = task.doc;
  panel.querySelector(".reasons").replaceChildren(...task.reasons.map((reason) => element("li", reason)));
  panel.querySelector(".targets").textContent = task.targets.length ? "makes " + task.targets.join(", ") : "";
  list(panel.querySelector(".needs"), "needs", needs[number], needed);
  list(panel.querySelector(".users"), "is needed by", users[number], using);
  panel.scrollTop = 0;
  if (moves) goTo(number); else show();
}
function element(name, text) {
  const made = document.createElement(name);
  made.textContent = text;
  return made;
}
function list(section, title, direct, every) {
  const near = new Set(direct);
  section.querySelector("h3").textContent = every.size ? title + " " + every.size : title + " nothing";
  const order = [...every].sort((one, other) =>
    near.has(other) - near.has(one) || (tasks[one].name < tasks[other].name ? -1 : 1));
  section.querySelector("ol").replaceChildren(...order.map((number) => {
    const item = document.createElement("li"), button = element("button", tasks[number].name);
    if (!near.has(number)) item.className = "indirect";
    button.type = "button";
    button.addEventListener("click", () => { choose(number, true); svg.focus({ preventScroll: true }); });
    item.append(button);
    return item;
  }));
}

// ---- going from task to task by keys ----
function centre(number) {
  const [left, top, width, height] = tasks[number].box;
  return { x: left + width / 2, y: top + height / 2 };
}
function nearest(numbers, cost) {
  let best = null, least = Infinity;
  for (const number of numbers) {
    const found = cost(number);
    if (found !== null && found < least) { least = found; best = number; }
  }
  return best;
}
function step(key) {
  if (!tasks.length) return;
  if (chosen === null) {
    choose(nearest(tasks.keys(), (number) => tasks[number].box[0] + tasks[number].box[1]), true);
    return;
  }
  const here = centre(chosen);
  let next = null;
  if (key === "ArrowLeft" || key === "ArrowRight") {
    const along = key === "ArrowLeft" ? needs[chosen] : users[chosen];
    next = nearest(along, (number) => Math.hypot(centre(number).x - here.x, (centre(number).y - here.y) * 2));
  } else {
    const way = key === "ArrowUp" ? -1 : 1;
    next = nearest(tasks.keys(), (number) => {
      const down = (centre(number).y - here.y) * way;
      return number === chosen || down <= 1 ? null : down + Math.abs(tasks[number].box[0] - tasks[chosen].box[0]) * 4;
    });
  }
  if (next !== null) choose(next, true);
}

// ---- searching ----
let matches = [], current = -1;

function find() {
  const wanted = search.value.trim().toLowerCase().split(/\s+/).filter(Boolean);
  matches = wanted.length
    ? [...tasks.keys()].filter((number) => wanted.every((word) => tasks[number].name.toLowerCase().includes(word)))
    : [];
  current = -1;
  svg.classList.toggle("searching", wanted.length > 0);
  const among = new Set(matches);
  nodes.forEach((node, number) => node.classList.toggle("match", among.has(number)));
  found.textContent = wanted.length ? matches.length + " found" : "";
}
function nextMatch(way) {
  if (!matches.length) return;
  current = (current + way + matches.length) % matches.length;
  found.textContent = current + 1 + " of " + matches.length;
  choose(matches[current], true);
}
search.addEventListener("input", find);
search.addEventListener("keydown", (event) => {
  if (event.key === "Enter") { event.preventDefault(); nextMatch(event.shiftKey ? -1 : 1); }
  if (event.key === "ArrowDown") { event.preventDefault(); nextMatch(1); }
  if (event.key === "ArrowUp") { event.preventDefault(); nextMatch(-1); }
  if (event.key === "Escape") {
    event.stopPropagation(); search.value = ""; find(); svg.focus({ preventScroll: true });
  }
});

// ---- keys, pointers, wheel ----
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target === search) return;
  if (event.key === "/") { event.preventDefault(); search.focus(); search.select(); }
  else if (event.key === "Escape") { search.value = ""; find(); choose(null); svg.focus({ preventScroll: true }); }
  else if (event.key === "+" || event.key === "=") zoom(1.25);
  else if (event.key === "-") zoom(0.8);
  else if (event.key === "0") fit();
  else if (event.key.startsWith("Arrow") && !panel.contains(event.target)) { event.preventDefault(); step(event.key); }
});
document.getElementById("larger").addEventListener("click", () => zoom(1.4));
document.getElementById("smaller").addEventListener("click", () => zoom(1 / 1.4));
document.getElementById("whole").addEventListener("click", fit);
document.getElementById("close").addEventListener("click", () => { choose(null); svg.focus({ preventScroll: true }); });

svg.addEventListener("wheel", (event) => {
  event.preventDefault();
  const box = svg.getBoundingClientRect();
  const lines = event.deltaMode === 1 ? 16 : 1;
  zoom(Math.exp(-event.deltaY * lines * 0.0016), event.clientX - box.left, event.clientY - box.top);
}, { passive: false });

const fingers = new Map();
let moved = 0;
svg.addEventListener("pointerdown", (event) => {
  if (event.button) return;
  fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
  if (fingers.size === 1) moved = 0;
});
svg.addEventListener("pointermove", (event) => {
  const before = fingers.get(event.pointerId);
  if (!before) return;
  const now = { x: event.clientX, y: event.clientY };
  moved += Math.hypot(now.x - before.x, now.y - before.y);
  // Not before it moves, so that clicks still belong to tasks.
  if (moved > 4 && !svg.hasPointerCapture(event.pointerId)) svg.setPointerCapture(event.pointerId);
  if (fingers.size === 2) {
    const [other] = [...fingers].filter(([id]) => id !== event.pointerId).map(([, point]) => point);
    const box = svg.getBoundingClientRect();
    const apart = (point) => Math.max(Math.hypot(point.x - other.x, point.y - other.y), 1);
    zoom(apart(now) / apart(before), (now.x + other.x) / 2 - box.left, (now.y + other.y) / 2 - box.top);
  } else if (moved > 4) {
    view.x -= (now.x - before.x) / view.scale;
    view.y -= (now.y - before.y) / view.scale;
    svg.classList.add("moving");
    show();
  }
  fingers.set(event.pointerId, now);
});
for (const end of ["pointerup", "pointercancel"]) {
  window.addEventListener(end, (event) => { fingers.delete(event.pointerId); svg.classList.remove("moving"); });
}
svg.addEventListener("click", (event) => {
  if (moved > 4) return;
  const node = event.target.closest(".task");
  choose(node ? Number(node.dataset.number) : null, false);
});
window.addEventListener("resize", show);

// At first everything, but a few tasks on a narrow screen in a size that can be read, from the first of them on.
fit();
if (view.scale < 0.6 && tasks.length <= 60) {
  view.scale = 0.75;
  view.x = all.x + free().width / 2 / view.scale;
  show();
}
// `graph.html#push_bundle:app` opens the page with that task chosen.
function follow() {
  let wanted = "";
  try { wanted = decodeURIComponent(location.hash.slice(1)); } catch { return; }
  const number = tasks.findIndex((task) => task.name === wanted);
  if (number >= 0) choose(number, true);
}
window.addEventListener("hashchange", follow);
follow();
