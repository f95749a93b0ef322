// The hole as the page shows it: the actions of a painting, drawn on a canvas of at most LONGEST pixels a side. The server
// draws the same actions at the photo's own size (strokes.py).

const LONGEST = 1600;
const RED = "#ec1245";
const MOST_KEPT = 4;
const KEEP_EVERY = 16; // actions

function makeHole([width, height], uploaded) {
  const shrunk = Math.min(1, LONGEST / Math.max(width, height));
  const canvas = makeCanvas(width * shrunk, height * shrunk);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  let kept = []; // {actions, canvas}: states from which others are drawn

  function begin(erase) {
    context.setTransform(canvas.width / width, 0, 0, canvas.height / height, 0, 0);
    context.globalCompositeOperation = erase ? "destination-out" : "source-over";
    context.fillStyle = context.strokeStyle = RED;
    context.lineCap = context.lineJoin = "round";
    context.beginPath();
  }

  // Draw a stroke from one of its points on.
  function line(action, from = 0) {
    const points = action.points.slice(Math.max(0, from - 1));
    begin(action.kind === "eraser");
    if (points.length === 1) {
      context.arc(points[0][0], points[0][1], action.radius, 0, 2 * Math.PI);
      context.fill();
      return;
    }
    context.lineWidth = 2 * action.radius;
    for (const [x, y] of points) context.lineTo(x, y);
    context.stroke();
  }

  function shape({ kind, box: [x0, y0, x1, y1], erase }) {
    begin(erase);
    if (kind === "ellipse") context.ellipse((x0 + x1) / 2, (y0 + y1) / 2, (x1 - x0) / 2, (y1 - y0) / 2, 0, 0, 2 * Math.PI);
    else context.rect(x0, y0, x1 - x0, y1 - y0);
    context.fill();
  }

  function whole(operation, picture) {
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.globalCompositeOperation = operation;
    context.fillStyle = RED;
    if (picture) context.drawImage(picture, 0, 0, canvas.width, canvas.height);
    else context.fillRect(0, 0, canvas.width, canvas.height);
  }

  // Grow or shrink by photo pixels; where the canvas is smaller than the photo, to the nearest of its own.
  function resize(pixels, shrink) {
    const picture = context.getImageData(0, 0, canvas.width, canvas.height);
    const old = new Uint8Array(canvas.width * canvas.height);
    for (let i = 0; i < old.length; i++) old[i] = picture.data[4 * i + 3] >= 128 !== shrink ? 1 : 0;
    const found = grown(old, canvas.width, canvas.height, pixels * shrunk + (shrunk < 1 ? 0.5 : 0));
    const colour = [1, 3, 5].map((k) => parseInt(RED.slice(k, k + 2), 16));
    for (let i = 0; i < found.length; i++) {
      picture.data.set(colour, 4 * i);
      picture.data[4 * i + 3] = (found[i] === 1) !== shrink ? 255 : 0;
    }
    context.putImageData(picture, 0, 0);
  }

  function draw(action) {
    if (action.kind === "brush" || action.kind === "eraser") line(action);
    else if (action.kind === "ellipse" || action.kind === "rectangle") shape(action);
    else if (action.kind === "invert") whole("xor");
    else if (action.kind === "clear") whole("destination-out");
    else if (action.kind === "mask" && uploaded) whole("source-over", uploaded);
    else if (action.kind === "grow" || action.kind === "shrink") resize(action.pixels, action.kind === "shrink");
  }

  function keep(actions) {
    const copy = makeCanvas(canvas.width, canvas.height);
    copy.getContext("2d").drawImage(canvas, 0, 0);
    kept = [...kept.slice(1 - MOST_KEPT), { actions, canvas: copy }];
  }

  // Show what these actions make, from the longest kept state that begins alike.
  function set(actions) {
    const same = kept.filter((state) => state.actions.every((action, i) => action === actions[i]));
    const start = same.reduce((best, state) => (state.actions.length > best.actions.length ? state : best), { actions: [] });
    whole("destination-out");
    if (start.canvas) whole("source-over", start.canvas);
    for (let i = start.actions.length; i < actions.length; i++) {
      draw(actions[i]);
      const costly = ["grow", "shrink", "mask"].includes(actions[i].kind);
      if (costly || (i + 1) % KEEP_EVERY === 0) keep(actions.slice(0, i + 1));
    }
  }

  // The share of the photo that is missing, in [0, 1].
  function share() {
    const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
    let count = 0;
    for (let i = 3; i < data.length; i += 4) count += data[i] >= 128;
    return (4 * count) / data.length;
  }

  return { canvas, line, set, share };
}

function makeCanvas(width, height) {
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(width));
  canvas.height = Math.max(1, Math.round(height));
  return canvas;
}

// A picture of a mask (white = hole) -> a canvas with its hole in red.
function maskCanvas(picture) {
  const canvas = makeCanvas(picture.naturalWidth, picture.naturalHeight);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(picture, 0, 0);
  const pixels = context.getImageData(0, 0, canvas.width, canvas.height);
  for (let i = 0; i < pixels.data.length; i += 4) pixels.data[i + 3] = pixels.data[i + 1] >= 128 ? 255 : 0;
  context.putImageData(pixels, 0, 0);
  context.globalCompositeOperation = "source-in";
  context.fillStyle = RED;
  context.fillRect(0, 0, canvas.width, canvas.height);
  return canvas;
}

// The pixels within `radius` of one that is set, as strokes_kernel.py finds them: by the runs in each row.
function grown(old, width, height, radius) {
  const most = Math.floor(radius);
  const reach = Array.from({ length: most + 1 }, (_, d) => Math.floor(Math.sqrt(radius * radius - d * d)));
  const runs = Array.from({ length: height }, (_, y) => {
    const edges = [];
    for (let x = 0, before = 0; x <= width; x++) {
      const here = x < width ? old[y * width + x] : 0;
      if (here !== before) edges.push(x);
      before = here;
    }
    return edges;
  });
  const found = new Uint8Array(width * height);
  const starts = new Int32Array(width + 1);
  for (let y = 0; y < height; y++) {
    starts.fill(0);
    for (let other = Math.max(0, y - most); other <= Math.min(height - 1, y + most); other++) {
      const more = reach[Math.abs(other - y)];
      for (let k = 0; k < runs[other].length; k += 2) {
        starts[Math.max(0, runs[other][k] - more)]++;
        starts[Math.min(width, runs[other][k + 1] + more)]--;
      }
    }
    for (let x = 0, inside = 0; x < width; x++) {
      inside += starts[x];
      found[y * width + x] = inside > 0 ? 1 : 0;
    }
  }
  return found;
}
