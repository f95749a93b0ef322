// Buttons and keys, and what they show. The last of the painter's files: it starts it.

const commands = {
  undo: () => painting.undo(),
  redo: () => painting.redo(),
  invert: () => painting.commit([...painting.actions, { kind: "invert" }]),
  grow: () => resizeHole("grow"),
  shrink: () => resizeHole("shrink"),
  clear: () => painting.commit([]),
  "zoom-in": () => view.zoomBy(1.5),
  "zoom-out": () => view.zoomBy(1 / 1.5),
  fit: () => view.fit(),
};
const KEYS = { i: "invert", g: "grow", s: "shrink", "+": "zoom-in", "=": "zoom-in", "-": "zoom-out", 0: "fit" };

// How far one press grows or shrinks the hole: a four-hundredth of the photo's long side.
function growStep() {
  return Math.max(1, Math.round(Math.max(...view.shown.size) / 400));
}

function resizeHole(kind) {
  const actions = withResize(painting.actions, kind, growStep(), MOST_GROWTH);
  painting.commit(actions, actions.length === painting.actions.length && painting.canUndo);
}

function choose(name) {
  deselect();
  tool = name;
  refresh();
}

function deselect() {
  selected = nudged = false;
  refresh();
}

function run(name) {
  if (view.shown && !gestures.busy() && !buttonOf(name)?.disabled) commands[name]();
}

function buttonOf(name) {
  return element.querySelector(`[data-command=${name}]`);
}

function showOriginal(yes) {
  element.classList.toggle("original", yes && Boolean(view.shown));
  part("original").setAttribute("aria-pressed", String(yes));
}

// -- what is shown -------------------------------------------------------------------------------------------------------

// Called whenever the photo, the tool or the painting changed.
function refresh() {
  const shown = Boolean(view.shown);
  const shapes = SHAPES.includes(tool);
  for (const button of element.querySelectorAll("button[data-tool]")) {
    button.setAttribute("aria-pressed", String(button.dataset.tool === tool));
    button.disabled = !shown;
  }
  for (const button of element.querySelectorAll("[data-command]")) button.disabled = !shown;
  buttonOf("undo").disabled = !shown || !painting.canUndo;
  buttonOf("redo").disabled = !shown || !painting.canRedo;
  for (const name of ["grow", "shrink", "clear"]) buttonOf(name).disabled ||= painting.actions.length === 0;
  for (const name of ["original", "size", "take-away"]) part(name).disabled = !shown;
  part("brush-options").hidden = shapes;
  part("shape-options").hidden = !shapes;
  part("take-away").checked = erasing;
  for (const name of shown ? ["grow", "shrink"] : []) {
    buttonOf(name).title = `${name === "grow" ? "Grow" : "Shrink"} the hole by ${growStep()} px (${name[0].toUpperCase()})`;
  }
  stage.dataset.tool = tool;
  viewMoved();
}

// Called whenever what the stage shows was moved or sized.
function viewMoved() {
  const shown = view.shown;
  const box = shown && selected && SHAPES.includes(tool) ? stageBox() : null;
  const frame = part("frame");
  frame.hidden = box === null;
  if (box) {
    frame.style.transform = `translate(${box[0]}px, ${box[1]}px)`;
    [frame.style.width, frame.style.height] = [`${box[2] - box[0]}px`, `${box[3] - box[1]}px`];
  }
  if (shown) {
    part("zoom").textContent = `${Math.round(view.zoom * 100)} %`;
    const [x, y] = view.toStage(0, 0);
    Object.assign(stage.dataset, { zoom: view.zoom, x, y });
  }
  showPointer();
}

// The ring of the brush's size, where the pointer is; fingers have none.
function showPointer() {
  const ring = part("ring");
  const [x, y, type] = held.pointer ?? [];
  const brush = tool === "brush" || tool === "eraser";
  ring.hidden = !view.shown || !held.pointer || !brush || type === "touch" || held.space;
  if (!ring.hidden) {
    const size = stroke ? 2 * stroke.radius * view.zoom : 2 * radius() * view.zoom;
    ring.style.width = ring.style.height = `${size}px`;
    ring.style.transform = `translate(${x - size / 2}px, ${y - size / 2}px)`;
  }
  if (SHAPES.includes(tool) && view.shown) {
    const grip = selected && held.pointer ? gripAt(stageBox(), x, y, type) : null;
    const cursors = { n: "ns", s: "ns", e: "ew", w: "ew", nw: "nwse", se: "nwse", ne: "nesw", sw: "nesw" };
    stage.style.cursor = grip === null ? "crosshair" : grip === "move" ? "move" : `${cursors[grip]}-resize`;
  } else stage.style.cursor = "";
}

function showSize() {
  const share = (Number(part("size").value) - SMALLEST_BRUSH) / (LARGEST_BRUSH - SMALLEST_BRUSH);
  part("size").style.setProperty("--filled", `${100 * share}%`);
  part("size-shown").textContent = `${part("size").value} px`;
  part("size").setAttribute("aria-valuetext", `${part("size").value} pixels on the screen`);
  showPointer();
}

// -- listeners -----------------------------------------------------------------------------------------------------------

function listen(target, name, handler) {
  target.addEventListener(name, handler, { signal });
}

listen(element, "click", (event) => {
  const button = event.target.closest("button");
  if (!button || !view.shown) return;
  if (button.dataset.command) run(button.dataset.command);
  if (!button.dataset.tool) return;
  choose(button.dataset.tool);
  // By the keyboard: there is no pointer to draw the shape with.
  if (event.detail === 0 && SHAPES.includes(tool)) {
    placeShape();
    stage.focus();
  }
});

listen(part("size"), "input", () => {
  held.pointer = [view.stage[0] / 2, view.stage[1] / 2, "mouse"]; // where the ring shows the size
  showSize();
});
listen(part("size"), "change", () => {
  held.pointer = null;
  showPointer();
});
listen(part("take-away"), "change", (event) => {
  erasing = event.target.checked;
  if (selected) setShape(painting.last.box, painting.actions.slice(0, -1));
});

const original = part("original");
listen(original, "pointerdown", (event) => {
  original.setPointerCapture(event.pointerId);
  showOriginal(true);
});
for (const name of ["pointerup", "pointercancel", "blur", "keyup"]) listen(original, name, () => showOriginal(false));
listen(original, "keydown", (event) => [" ", "Enter"].includes(event.key) && showOriginal(true));
listen(original, "contextmenu", (event) => event.preventDefault());

function historyKey(event) {
  const key = event.key.toLowerCase();
  if (key !== "z" && key !== "y") return false;
  run(key === "y" || event.shiftKey ? "redo" : "undo");
  return true;
}

// Return whether a key was the painter's own. Those of the page and of its fields are left alone.
function keyPressed(event) {
  if (event.ctrlKey || event.metaKey) return historyKey(event);
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const size = Number(part("size").value);
  if (event.target.type !== "range" && ARROWS[key]) {
    if (SHAPES.includes(tool)) nudge(ARROWS[key], event.shiftKey, event.altKey);
    else view.panBy(...ARROWS[key].map((step) => -4 * KEY_STEP * step));
  } else if (key === "[" || event.code === "BracketLeft") setBrush(Math.min(size - 1, size / 1.2));
  else if (key === "]" || event.code === "BracketRight") setBrush(Math.max(size + 1, size * 1.2));
  else if (event.target === stage && key === " ") {
    held.space = true;
    stage.dataset.space = "";
    showPointer();
  } else if (event.target === stage && key === "Enter" && SHAPES.includes(tool)) {
    if (selected) deselect();
    else placeShape();
  } else if (key === "Escape" && selected) deselect();
  else if ((key === "Delete" || key === "Backspace") && selected) painting.commit(painting.actions.slice(0, -1));
  else if (key === "Delete" || key === "Backspace") run("clear");
  else if (key === "o") showOriginal(true);
  else if (TOOLS[key]) choose(TOOLS[key]);
  else if (KEYS[key]) run(KEYS[key]);
  else return false;
  return true;
}

listen(element, "keydown", (event) => {
  if (view.shown && !gestures.busy() && keyPressed(event)) event.preventDefault();
});
function releaseSpace() {
  held.space = false;
  delete stage.dataset.space;
  showPointer();
}
listen(element, "keyup", (event) => {
  if (event.key === " ") releaseSpace();
  if (event.key.toLowerCase() === "o") showOriginal(false);
});
listen(element, "focusout", (event) => {
  if (element.contains(event.relatedTarget)) return;
  showOriginal(false);
  releaseSpace();
});

const observer = new ResizeObserver(() => {
  if (!element.isConnected) element.stopPainter();
  else view.resize();
});
observer.observe(stage);
element.stopPainter = () => {
  stopping.abort();
  observer.disconnect();
  view.stop();
  clearTimeout(speaking);
};

setBrush(40);
refresh();
watch(["photo", "value"], follow);
follow();
