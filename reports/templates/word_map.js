"use strict";
// Draws the map of a page on its canvas. All texts of words are set as text, never as markup.
const byId = (id) => document.getElementById(id);
const data = JSON.parse(byId("data").textContent);
const canvas = byId("map"), pen = canvas.getContext("2d");
const dark = matchMedia("(prefers-color-scheme: dark)");
const count = data.words.length, lower = data.words.map((word) => word.toLowerCase());
const labelled = 140, reach = 14, matched = 12;
let scale = 1, left = 0, top_ = 0, width = 0, height = 0, chosen = -1, pointed = -1, waiting = false;

const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const hue = (share) => "hsl(" + Math.round(share) + " 62% " + (dark.matches ? 66 : 40) + "%)";
const colourOf = (kind) => data.kinds.length
  ? hue((kind * 137.5 + 210) % 360)
  : hue(20 + 200 * Math.log1p(kind) / Math.log1p(data.last));

function side() { return Math.min(width, height) - 48; }
function placeOf(at) {
  const size = side() * scale;
  return [left + (width - side()) / 2 + data.x[at] / 10000 * size, top_ + (height - side()) / 2 + data.y[at] / 10000 * size];
}
function redraw() {
  if (!waiting) {
    waiting = true;
    requestAnimationFrame(() => { waiting = false; draw(); });
  }
}
function dot(at, size) {
  const [x, y] = placeOf(at);
  pen.fillStyle = colourOf(data.kind[at]);
  pen.beginPath();
  pen.arc(x, y, size, 0, 7);
  pen.fill();
}
function draw() {
  const ratio = devicePixelRatio || 1, box = canvas.getBoundingClientRect();
  width = box.width;
  height = box.height;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  const shown = pointed < 0 ? chosen : pointed, near = shown < 0 ? [] : data.near[shown];
  const size = Math.min(5, 1.8 + Math.sqrt(scale) * 0.6);
  for (let at = 0; at < count; at += 1) dot(at, size);
  pen.strokeStyle = style("--soft");
  for (const other of near) {
    pen.beginPath();
    pen.moveTo(...placeOf(shown));
    pen.lineTo(...placeOf(other));
    pen.stroke();
  }
  for (const at of shown < 0 ? [] : [shown, ...near]) dot(at, size + 2);
  labels(shown < 0 ? [] : [shown, ...near]);
}
function labels(first) {
  const boxes = [], marked = new Set(first), ink = style("--ink"), panel = style("--panel");
  pen.textBaseline = "middle";
  pen.lineJoin = "round";
  pen.lineWidth = 3;
  let written = 0;
  const write = (at) => {
    const [x, y] = placeOf(at);
    if (x < 0 || y < 0 || x > width || y > height) return;
    pen.font = (at === first[0] ? "600 " : "") + "13px system-ui, sans-serif";
    const box = [x + 6, y - 8, x + 8 + pen.measureText(data.words[at]).width, y + 8];
    const meets = (one) => box[0] < one[2] && one[0] < box[2] && box[1] < one[3] && one[1] < box[3];
    if (at !== first[0] && boxes.some(meets)) return;
    boxes.push(box);
    pen.strokeStyle = panel;
    pen.strokeText(data.words[at], x + 7, y);
    pen.fillStyle = ink;
    pen.fillText(data.words[at], x + 7, y);
    written += 1;
  };
  first.forEach(write);
  for (let at = 0; at < count && written < labelled; at += 1) if (!marked.has(at)) write(at);
  pen.lineWidth = 1;
}
function zoom(factor, x, y) {
  const before = scale;
  scale = Math.min(200, Math.max(0.5, scale * factor));
  const edgeX = (width - side()) / 2, edgeY = (height - side()) / 2, by = scale / before;
  left = x - edgeX - (x - edgeX - left) * by;
  top_ = y - edgeY - (y - edgeY - top_) * by;
  redraw();
}
function reset() {
  scale = 1;
  left = 0;
  top_ = 0;
  redraw();
}
function button(at, cosine) {
  const item = document.createElement("li"), one = document.createElement("button");
  one.type = "button";
  one.textContent = data.words[at];
  one.addEventListener("click", () => choose(at));
  one.addEventListener("focus", () => { pointed = at; redraw(); });
  one.addEventListener("blur", () => { pointed = -1; redraw(); });
  item.append(one);
  if (cosine !== undefined) {
    const number = document.createElement("span");
    number.className = "number";
    number.textContent = (cosine / 1000).toFixed(3);
    item.append(number);
  }
  return item;
}
function describe(at) {
  byId("word").textContent = data.words[at];
  const kind = data.kinds.length ? data.kinds[data.kind[at]] : "word " + (data.kind[at] + 1).toLocaleString("en") + " of the table";
  byId("about").textContent = kind + "; nearest by cosine, of the words on this map:";
  byId("near").replaceChildren(...data.near[at].map((other, place) => button(other, data.cosine[at][place])));
}
function choose(at) {
  chosen = at;
  pointed = -1;
  if (scale < 4) scale = 4;
  const [x, y] = placeOf(at);
  left += width / 2 - x;
  top_ += height / 2 - y;
  describe(at);
  redraw();
}
function nearestTo(x, y) {
  let best = -1, least = reach * reach;
  for (let at = 0; at < count; at += 1) {
    const [px, py] = placeOf(at), far = (px - x) ** 2 + (py - y) ** 2;
    if (far < least) { least = far; best = at; }
  }
  return best;
}
function find() {
  const wanted = byId("wanted").value.trim().toLowerCase(), begin = [], inside = [];
  for (let at = 0; wanted && at < count; at += 1) {
    const place = lower[at].indexOf(wanted);
    if (place === 0) begin.push(at);
    else if (place > 0) inside.push(at);
  }
  const found = [...begin, ...inside].sort((one, other) => (lower[one] === wanted ? -1 : 0) - (lower[other] === wanted ? -1 : 0));
  byId("matches").replaceChildren(...found.slice(0, matched).map((at) => button(at)));
  return found;
}
function colours() {
  const rows = data.kinds.length ? data.kinds.map((name, kind) => [name, kind])
    : [["frequent", 0], ["", Math.sqrt(data.last)], ["rare", data.last]];
  byId("keys").replaceChildren(...rows.map(([name, kind]) => {
    const item = document.createElement("li"), mark = document.createElement("span");
    mark.className = "dot";
    mark.style.background = colourOf(kind);
    item.append(mark, name);
    return item;
  }));
  redraw();
}

let held = null;
canvas.addEventListener("pointerdown", (event) => {
  held = [event.clientX, event.clientY, 0];
  canvas.setPointerCapture(event.pointerId);
});
canvas.addEventListener("pointermove", (event) => {
  if (held) {
    const x = event.clientX - held[0], y = event.clientY - held[1];
    left += x;
    top_ += y;
    held = [event.clientX, event.clientY, held[2] + Math.abs(x) + Math.abs(y)];
    redraw();
    return;
  }
  const box = canvas.getBoundingClientRect(), at = nearestTo(event.clientX - box.left, event.clientY - box.top);
  if (at !== pointed) {
    pointed = at;
    if (at >= 0) describe(at);
    else if (chosen >= 0) describe(chosen);
    redraw();
  }
});
canvas.addEventListener("pointerup", () => {
  if (held && held[2] < 4 && pointed >= 0) chosen = pointed;
  held = null;
});
canvas.addEventListener("pointercancel", () => { held = null; });
canvas.addEventListener("pointerleave", () => { pointed = -1; redraw(); });
canvas.addEventListener("wheel", (event) => {
  event.preventDefault();
  const box = canvas.getBoundingClientRect();
  zoom(Math.exp(-event.deltaY / 400), event.clientX - box.left, event.clientY - box.top);
}, {passive: false});
canvas.addEventListener("keydown", (event) => {
  const step = 60, moves = {ArrowLeft: [step, 0], ArrowRight: [-step, 0], ArrowUp: [0, step], ArrowDown: [0, -step]};
  if (moves[event.key]) {
    left += moves[event.key][0];
    top_ += moves[event.key][1];
    redraw();
  } else if (event.key === "+" || event.key === "=") zoom(1.4, width / 2, height / 2);
  else if (event.key === "-") zoom(1 / 1.4, width / 2, height / 2);
  else if (event.key === "0") reset();
  else return;
  event.preventDefault();
});
byId("wanted").addEventListener("input", find);
byId("wanted").addEventListener("keydown", (event) => {
  if (event.key === "Enter") {
    const found = find();
    if (found.length) choose(found[0]);
  }
});
dark.addEventListener("change", colours);
new ResizeObserver(redraw).observe(canvas);
colours();
