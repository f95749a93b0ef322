// Pointers on the stage: mouse, pen and fingers draw, move shapes, and pan and zoom. One gesture at a time: while it lasts,
// pointers of another type (a palm beside a pen) are passed over. A second finger soon after the first turns what the first
// had begun into panning and zooming.

const SOON = 350; // ms
const NEARBY = 14; // px that a finger may have moved before a second one joins it
const PEN_ERASER = 32; // its bit among the buttons

// `tools`: what each gesture does; see painter.js.
function listenToPointers(stage, view, tools, signal) {
  let gesture = null; // {kind: "stroke" | "shape" | "pan" | "pinch", id, type, x, y, time, far}
  let armed = false; // the pointer was moved over the stage: a wheel turned while the page scrolls past does not zoom
  const fingers = new Map(); // id -> [x, y]
  const on = (name, handler, options) => stage.addEventListener(name, handler, { signal, ...options });

  function at(event) {
    const box = stage.getBoundingClientRect();
    return [event.clientX - box.left - stage.clientLeft, event.clientY - box.top - stage.clientTop];
  }

  // The middle of the first two fingers, and how far apart they are.
  function spread() {
    const [[ax, ay], [bx, by]] = [...fingers.values()];
    return { x: (ax + bx) / 2, y: (ay + by) / 2, apart: Math.max(1, Math.hypot(ax - bx, ay - by)) };
  }

  on("pointerdown", (event) => {
    if (!view.shown || event.target.closest("button")) return;
    const [x, y] = at(event);
    if (event.pointerType === "touch") fingers.set(event.pointerId, [x, y]);
    if (gesture) {
      const young = event.timeStamp - gesture.time < SOON || gesture.far < NEARBY;
      if (event.pointerType === "touch" && gesture.type === "touch" && gesture.kind !== "pinch" && fingers.size === 2 && young) {
        tools.cancel(gesture);
        gesture = { kind: "pinch", type: "touch", ...spread() };
      }
      return;
    }
    if (event.button > 1 && !(event.buttons & PEN_ERASER)) return;
    event.preventDefault();
    stage.focus({ preventScroll: true });
    stage.setPointerCapture(event.pointerId);
    const begun = { id: event.pointerId, type: event.pointerType, x, y, time: event.timeStamp, far: 0 };
    const kind = tools.begin(begun, { middle: event.button === 1, eraser: Boolean(event.buttons & PEN_ERASER) });
    gesture = { ...begun, kind };
  });

  on("pointermove", (event) => {
    const [x, y] = at(event);
    armed ||= event.movementX !== 0 || event.movementY !== 0;
    if (fingers.has(event.pointerId)) fingers.set(event.pointerId, [x, y]);
    if (gesture?.kind === "pinch") {
      if (fingers.size < 2) return;
      const now = spread();
      view.panBy(now.x - gesture.x, now.y - gesture.y);
      view.zoomBy(now.apart / gesture.apart, now.x, now.y);
      gesture = { ...gesture, ...now };
      return;
    }
    if (gesture && gesture.id !== event.pointerId) return;
    tools.hover(x, y, event.pointerType);
    if (!gesture) return;
    gesture.far += Math.hypot(x - gesture.x, y - gesture.y);
    if (gesture.kind === "pan") view.panBy(x - gesture.x, y - gesture.y);
    else if (gesture.kind === "shape") tools.drag(x, y);
    else {
      const between = event.getCoalescedEvents?.() ?? [];
      tools.draw((between.length ? between : [event]).map(at));
    }
    [gesture.x, gesture.y] = [x, y];
  });

  function end(event) {
    fingers.delete(event.pointerId);
    if (gesture?.kind === "pinch" && fingers.size < 2) gesture = null;
    if (!gesture || gesture.id !== event.pointerId) return;
    const ended = gesture;
    gesture = null;
    if (event.type === "pointercancel") tools.cancel(ended);
    else tools.end(ended);
  }
  for (const name of ["pointerup", "pointercancel", "lostpointercapture"]) on(name, end);

  on("pointerleave", () => {
    armed = false;
    if (!gesture) tools.leave();
  });
  // A long press would open a menu; the middle button would scroll.
  on("contextmenu", (event) => gesture && event.preventDefault());
  on("mousedown", (event) => event.button === 1 && event.preventDefault());

  on(
    "wheel",
    (event) => {
      if (!view.shown || !(armed || event.ctrlKey)) return;
      const lines = event.deltaMode === 1 ? 30 : 1;
      const factor = Math.exp(-event.deltaY * lines * (event.ctrlKey ? 0.01 : 0.0015));
      // Out of the whole photo no further: there the page scrolls.
      if (view.zoomBy(factor, ...at(event)) || event.ctrlKey || factor > 1) event.preventDefault();
    },
    { passive: false },
  );

  return {
    busy: () => gesture !== null,
    // What had begun has no meaning any more: another photo is shown.
    abandon() {
      gesture = null;
    },
  };
}
