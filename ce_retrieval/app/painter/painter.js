// The painter of one page element. Gradio runs these files as the body of one function of (element, props, watch, ...):
// `props.photo` is the photo to show, `props.value` the painting's JSON text. Nothing outside of `element` is touched.

const SMALLEST_BRUSH = 4; // px on the screen
const LARGEST_BRUSH = 200;
const SMALLEST_RADIUS = 0.71; // photo pixels: a dot takes a pixel wherever it is
const MOST_GROWTH = 1000; // as strokes.py
const KEY_STEP = 10; // px on the screen
const TOOLS = { b: "brush", e: "eraser", c: "ellipse", r: "rectangle", h: "hand" };
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

element.stopPainter?.(); // of an earlier build of this element
const stopping = new AbortController();
const signal = stopping.signal;
const part = (name) => element.querySelector(`[data-part=${name}]`);
const stage = part("stage");
const view = makeView(stage, part("photo"), part("hole"), viewMoved);
const painting = makePainting(painted);
let tool = "brush";
let erasing = false; // of shapes
let selected = false; // the last action is a shape that can be moved
let nudged = false; // the last change was an arrow key's
let held = { space: false, pointer: null }; // for panning; where the pointer is
let stroke = null; // the one that is drawn
let drag = null; // of a shape: {grip, from: [x, y], box, actions}
let photo = null; // that of `props`, as JSON text
let sent = null; // the value that this painter gave last
let speaking = 0;
let saved = null; // what the painter's own photo begins with

// -- the photo -----------------------------------------------------------------------------------------------------------

async function loaded(url) {
  const place = new URL(url, document.baseURI);
  if (place.origin !== window.location.origin) throw new Error("from another site");
  const picture = new Image();
  picture.src = place.href;
  await picture.decode();
  return picture;
}

// A picture that is much larger than a screen, reduced once.
function reduced(picture) {
  const factor = 2048 / Math.max(picture.naturalWidth, picture.naturalHeight);
  if (factor > 0.8) return picture;
  const canvas = makeCanvas(picture.naturalWidth * factor, picture.naturalHeight * factor);
  canvas.getContext("2d").drawImage(picture, 0, 0, canvas.width, canvas.height);
  return canvas;
}

async function showPhoto(wanted) {
  const own = photo;
  gestures.abandon();
  stroke = drag = saved = null;
  view.show(null);
  say(wanted.url ? "Loading the photo." : "");
  element.dataset.state = wanted.url ? "loading" : "empty";
  refresh();
  if (!wanted.url) return send("");
  try {
    const [picture, mask] = await Promise.all([wanted.url, wanted.mask_url].map((url) => url && loaded(url)));
    if (own !== photo) return; // another one was asked for meanwhile
    stage.style.setProperty("--photo-sides", `${wanted.size[0]} / ${wanted.size[1]}`);
    element.dataset.state = "shown";
    view.resize();
    view.show({ picture: reduced(picture), size: wanted.size, hole: makeHole(wanted.size, mask && maskCanvas(mask)) });
    saved = mask ? [{ kind: "mask" }] : [];
    setBrush(Math.min(72, Math.max(24, Math.min(...wanted.size) * view.zoom * 0.1)));
    painting.begin(saved);
  } catch (error) {
    if (own !== photo) return;
    element.dataset.state = "failed";
    say("The photo cannot be shown. Choose it again.");
    console.error("painter:", error);
  }
}

// Another photo, or another painting of this one, from the server.
function follow() {
  const wanted = JSON.stringify(props.photo ?? {});
  if (wanted !== photo) {
    photo = wanted;
    showPhoto(JSON.parse(wanted));
  } else if (props.value !== sent && saved) {
    painting.begin(actionsOf(props.value) ?? saved);
  }
}

function actionsOf(text) {
  try {
    const { size, actions } = JSON.parse(text);
    return String(size) === String(view.shown.size) && Array.isArray(actions) ? actions : null;
  } catch {
    return null; // "": nothing painted yet
  }
}

// -- the painting --------------------------------------------------------------------------------------------------------

function send(text) {
  sent = text;
  props.value = text;
}

function painted(actions) {
  selected = false;
  nudged = false;
  view.shown.hole.set(actions);
  view.redraw();
  send(JSON.stringify({ size: view.shown.size, actions }));
  refresh();
  clearTimeout(speaking);
  speaking = setTimeout(sayShare, 150);
}

function sayShare() {
  if (!view.shown) return;
  const share = view.shown.hole.share();
  const percent = share < 0.01 ? "under 1" : share > 0.99 ? "over 99" : Math.round(100 * share);
  if (share === 0) say("Nothing painted yet.");
  else say(`Hole of ${share === 1 ? "all" : `${percent} %`} of the photo.`);
}

function say(text) {
  part("status").textContent = text;
}

function radius() {
  return Math.max(SMALLEST_RADIUS, rounded(Number(part("size").value) / 2 / view.zoom));
}

function setBrush(size) {
  part("size").value = Math.round(Math.min(LARGEST_BRUSH, Math.max(SMALLEST_BRUSH, size)));
  showSize();
}

// -- shapes --------------------------------------------------------------------------------------------------------------

function setShape(box, actions, replace) {
  const kept = keptInside(box, view.shown.size);
  painting.commit([...actions, { kind: tool, box: kept, erase: erasing }], replace);
  selected = true;
  refresh();
}

// A shape in the middle of what is shown.
function placeShape() {
  const [width, height] = view.stage;
  const [[x0, y0], [x1, y1]] = [view.toPhoto(0, 0), view.toPhoto(width, height)];
  const [left, right] = [Math.max(0, x0), Math.min(view.shown.size[0], x1)];
  const [upper, lower] = [Math.max(0, y0), Math.min(view.shown.size[1], y1)];
  const half = Math.max(1, Math.min(right - left, lower - upper) / 6);
  const [x, y] = [(left + right) / 2, (upper + lower) / 2];
  setShape([x - half, y - half, x + half, y + half], painting.actions);
}

function nudge([dx, dy], size, fine) {
  if (!selected) return placeShape();
  const step = fine ? 1 : Math.max(1, KEY_STEP / view.zoom);
  const box = nudgedBox(painting.last.box, dx * step, dy * step * (size ? -1 : 1), size);
  setShape(box, painting.actions.slice(0, -1), nudged);
  nudged = true;
}

function stageBox() {
  const [x0, y0, x1, y1] = painting.last.box;
  return [...view.toStage(x0, y0), ...view.toStage(x1, y1)];
}

// -- gestures: see gestures.js -------------------------------------------------------------------------------------------

const gestures = listenToPointers(
  stage,
  view,
  {
    begin({ x, y, type }, { middle, eraser }) {
      held.pointer = [x, y, type];
      if (middle || held.space || tool === "hand") {
        stage.dataset.panning = "";
        return "pan";
      }
      const point = view.toPhoto(x, y).map(rounded);
      if (!SHAPES.includes(tool)) {
        const kind = eraser || tool === "eraser" ? "eraser" : "brush";
        stroke = { kind, radius: radius(), points: [point] };
        drawFrom(0);
        return "stroke";
      }
      const grip = selected ? gripAt(stageBox(), x, y, type) : null;
      drag = { grip: grip ?? "se", from: point, actions: grip ? painting.actions.slice(0, -1) : painting.actions };
      drag.box = drag.now = grip ? painting.last.box : [...point, ...point];
      drag.old = grip !== null;
      return "shape";
    },
    draw(places) {
      const before = stroke.points.length;
      const apart = Math.max(1 / view.zoom, 0.05 * stroke.radius); // closer points change nothing that one sees
      for (const [x, y] of places) {
        const point = view.toPhoto(x, y).map(rounded);
        const [lastX, lastY] = stroke.points.at(-1);
        if (Math.hypot(point[0] - lastX, point[1] - lastY) >= apart) stroke.points.push(point);
      }
      if (stroke.points.length > before) drawFrom(before);
    },
    drag(x, y) {
      const [px, py] = view.toPhoto(x, y);
      drag.now = draggedBox(drag.box, drag.grip, px - drag.from[0], py - drag.from[1]);
      drag.moved = true;
      view.shown.hole.set([...drag.actions, { kind: tool, box: drag.now, erase: erasing }]);
      view.redraw();
    },
    end({ kind }) {
      delete stage.dataset.panning;
      if (kind === "stroke") {
        const made = stroke;
        stroke = null;
        painting.commit([...painting.actions, made]);
      } else if (kind === "shape") {
        const made = drag;
        drag = null;
        if (made.moved) setShape(ordered(made.now), made.actions);
        else if (!made.old) deselect();
      }
    },
    cancel() {
      delete stage.dataset.panning;
      const drawn = stroke || drag;
      stroke = drag = null;
      if (!drawn) return;
      view.shown.hole.set(painting.actions);
      view.redraw();
    },
    hover(x, y, type) {
      held.pointer = [x, y, type];
      showPointer();
    },
    leave() {
      held.pointer = null;
      showPointer();
    },
  },
  signal,
);

function drawFrom(index) {
  view.shown.hole.line(stroke, index);
  const points = stroke.points.slice(Math.max(0, index - 1));
  const [xs, ys] = [points.map((point) => point[0]), points.map((point) => point[1])];
  const r = stroke.radius;
  view.touch([Math.min(...xs) - r, Math.min(...ys) - r, Math.max(...xs) + r, Math.max(...ys) + r]);
}
