"""The script of the page that shows a scene and its class maps.

All pictures lie in layers of the stage that share one transform; the layers of the two sides are clipped at the
divider. Pictures of class maps hold numbers of classes, which the script draws in their colours, so that single
classes can be hidden and the classes under the pointer can be named.
"""

from .script_maps import MAPS_SCRIPT
from .script_tiles import TILES_SCRIPT

__all__ = ["SCRIPT"]

_VIEW = r"""
"use strict";
(() => {
const data = JSON.parse(document.getElementById("data").textContent);
const $ = id => document.getElementById(id);
const stage = $("stage"), divider = $("divider"), image = $("image"), readout = $("readout");
const before = $("before");  // the earlier date, if there are two
const worlds = [...document.querySelectorAll(".world")];
const side = (name, layer, canvas) => ({ layer: $(layer), canvas: $(canvas), choice: $(`${name}-map`),
  title: divider.querySelector(`.${name}`) });
const left = side("left", "left-layer", "left-classes"), right = side("right", "classes-layer", "classes");
const layers = data.errors ? [...data.maps, data.errors] : data.maps;  // -1 stands for the image alone
const size = { width: Math.ceil(data.width / data.factor), height: Math.ceil(data.height / data.factor) };
const view = { x: 0, y: 0, scale: 1 };  // stage pixel = x + scale * pixel of the overview
const lines = stage.querySelector("#lines path");
const LARGEST_SCALE = 32 * data.factor, DIVIDER_STEP = 0.02, PAN_STEP = 60, ZOOM_STEP = 1.4;
let split = 0.5, fitted = true, pointed = null;
const hidden = new Set();

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

function fitScale() {
  return Math.min(stage.clientWidth / size.width, stage.clientHeight / size.height);
}

function show() {
  const transform = `translate(${view.x}px, ${view.y}px) scale(${view.scale})`;
  for (const world of worlds) world.style.transform = transform;
  if (lines) lines.setAttribute("transform", `translate(${view.x} ${view.y}) scale(${view.scale / data.factor})`);
  stage.classList.toggle("near", view.scale >= 2);
  showScale();
  askForDetail();
}

function fit() {
  view.scale = Math.min(fitScale(), LARGEST_SCALE);
  view.x = (stage.clientWidth - size.width * view.scale) / 2;
  view.y = (stage.clientHeight - size.height * view.scale) / 2;
  fitted = true;
  show();
}

// Some part of the scene always stays in sight.
function keepInSight() {
  const margin = 48;
  view.x = clamp(view.x, margin - size.width * view.scale, stage.clientWidth - margin);
  view.y = clamp(view.y, margin - size.height * view.scale, stage.clientHeight - margin);
}

function pan(dx, dy) {
  view.x += dx;
  view.y += dy;
  fitted = false;
  keepInSight();
  show();
}

// Zoom about a point of the stage, which stays where it is.
function zoom(factor, x = stage.clientWidth / 2, y = stage.clientHeight / 2) {
  const lowest = Math.min(fitScale() / 2, 1);
  const scale = clamp(view.scale * factor, lowest, LARGEST_SCALE);
  view.x = x - (x - view.x) * scale / view.scale;
  view.y = y - (y - view.y) * scale / view.scale;
  view.scale = scale;
  fitted = false;
  keepInSight();
  show();
}

function setSplit(value) {
  split = clamp(value, 0, 1);
  const percent = (100 * split).toFixed(2) + "%";
  divider.style.left = percent;
  right.layer.style.clipPath = `inset(0 0 0 ${percent})`;
  left.layer.style.clipPath = `inset(0 ${(100 - 100 * split).toFixed(2)}% 0 0)`;
  if (before) before.closest(".layer").style.clipPath = left.layer.style.clipPath;
  divider.setAttribute("aria-valuenow", Math.round(100 * split));
  divider.setAttribute("aria-valuetext", `${Math.round(100 * split)} % left`);
}

function setOpacity(percent) {
  for (const { layer } of [left, right]) layer.style.opacity = percent / 100;
  $("opacity-value").textContent = `${percent} %`;
}

function showScale() {
  const box = $("scale");
  if (!data.metresPerPixel) return;
  const metresPerStagePixel = data.metresPerPixel * data.factor / view.scale;
  const longest = 140 * metresPerStagePixel;
  const power = 10 ** Math.floor(Math.log10(longest));
  const metres = power * (longest >= 5 * power ? 5 : longest >= 2 * power ? 2 : 1);
  box.hidden = false;
  const [unit, length] = metres >= 1000 ? ["km", 1000] : metres >= 1 ? ["m", 1] : ["cm", 0.01];
  const bar = document.createElement("span");
  bar.style.width = `${metres / metresPerStagePixel}px`;
  box.replaceChildren(`${+(metres / length).toPrecision(3)} ${unit}`, bar);
}

"""

_INPUT = r"""
const pointers = new Map();
let grabbed = null;

function stagePoint(event) {
  const box = stage.getBoundingClientRect();
  return { x: event.clientX - box.left, y: event.clientY - box.top };
}

stage.addEventListener("pointerdown", event => {
  if (event.target.closest("#zoom") || event.button > 0) return;
  grabbed = event.target.closest("#divider") && pointers.size === 0 ? divider : stage;
  pointers.set(event.pointerId, stagePoint(event));
  stage.setPointerCapture(event.pointerId);
  stage.classList.toggle("moving", grabbed === stage);
  grabbed.focus({ preventScroll: true });
  event.preventDefault();
});

stage.addEventListener("pointermove", event => {
  const point = stagePoint(event), before = pointers.get(event.pointerId);
  tell(point.x, point.y);
  if (!before) return;
  if (grabbed === divider) {
    setSplit(split + (point.x - before.x) / stage.clientWidth);
  } else if (pointers.size === 1) {
    pan(point.x - before.x, point.y - before.y);
  } else if (pointers.size === 2) {
    const [other] = [...pointers].filter(([id]) => id !== event.pointerId).map(([, place]) => place);
    const distance = place => Math.hypot(place.x - other.x, place.y - other.y);
    pan((point.x - before.x) / 2, (point.y - before.y) / 2);
    zoom(distance(point) / Math.max(distance(before), 1), (point.x + other.x) / 2, (point.y + other.y) / 2);
  }
  pointers.set(event.pointerId, point);
});

for (const kind of ["pointerup", "pointercancel"]) {
  stage.addEventListener(kind, event => {
    pointers.delete(event.pointerId);
    if (!pointers.size) stage.classList.remove("moving");
  });
}
stage.addEventListener("pointerleave", () => {
  pointed = null;
  readout.textContent = "";
});

stage.addEventListener("wheel", event => {
  event.preventDefault();
  const point = stagePoint(event);
  const lines = event.deltaMode === 1 ? 24 : event.deltaMode === 2 ? 240 : 1;
  zoom(Math.exp(-clamp(event.deltaY * lines, -300, 300) / 500), point.x, point.y);
}, { passive: false });

stage.addEventListener("dblclick", event => {
  if (event.target.closest("#zoom") || event.target.closest("#divider")) return;
  const point = stagePoint(event);
  zoom(2, point.x, point.y);
});

const dividerKeys = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -5, PageUp: 5 };
divider.addEventListener("keydown", event => {
  if (event.key in dividerKeys) setSplit(split + dividerKeys[event.key] * DIVIDER_STEP);
  else if (event.key === "Home") setSplit(0);
  else if (event.key === "End") setSplit(1);
  else return;
  event.preventDefault();
  event.stopPropagation();
});

const stageKeys = {
  ArrowLeft: () => pan(PAN_STEP, 0), ArrowRight: () => pan(-PAN_STEP, 0),
  ArrowUp: () => pan(0, PAN_STEP), ArrowDown: () => pan(0, -PAN_STEP),
  "+": () => zoom(ZOOM_STEP), "=": () => zoom(ZOOM_STEP), "-": () => zoom(1 / ZOOM_STEP), "0": fit,
  "[": () => setSplit(split - DIVIDER_STEP), "]": () => setSplit(split + DIVIDER_STEP),
};
stage.addEventListener("keydown", event => {
  if (event.ctrlKey || event.metaKey || event.altKey || !(event.key in stageKeys)) return;
  stageKeys[event.key]();
  event.preventDefault();
});

"""

_START = r"""
$("zoom-in").addEventListener("click", () => zoom(ZOOM_STEP));
$("zoom-out").addEventListener("click", () => zoom(1 / ZOOM_STEP));
$("fit").addEventListener("click", fit);
$("opacity").addEventListener("input", event => setOpacity(event.target.value));
for (const box of document.querySelectorAll("input[data-class]")) {
  const take = () => {
    const k = Number(box.dataset.class);
    box.checked ? hidden.delete(k) : hidden.add(k);
    box.closest("tr").classList.toggle("hidden", !box.checked);
  };
  take();
  box.addEventListener("change", () => {
    take();
    repaintTiles();
    paint(left);
    paint(right);
  });
}
if (lines) $("lines-shown").addEventListener("change", event => { $("lines-layer").hidden = !event.target.checked; });
for (const one of [left, right]) one.choice.addEventListener("change", () => paint(one));

new ResizeObserver(() => fitted ? fit() : (keepInSight(), show())).observe(stage);
for (const picture of before ? [image, before] : [image]) {
  picture.style.width = `${size.width}px`;
  picture.style.height = `${size.height}px`;
}
setSplit(split);
setOpacity($("opacity").value);
fit();
Promise.all([loaded(image.src), ...layers.map(map => loaded(map.classes).then(picture => {
  map.numbers = readNumbers(picture);
}))]).then(() => {
  paint(left);
  paint(right);
  document.body.dataset.ready = "true";
});
})();
"""

SCRIPT = _VIEW + MAPS_SCRIPT + TILES_SCRIPT + _INPUT + _START
