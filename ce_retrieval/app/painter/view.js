// Where the photo is on the screen, and the two canvases that show it: below the photo, above it the hole. They have the
// stage's size at the screen's own resolution, whatever the photo's.

const MOST_ZOOM = 32; // screen pixels for a photo pixel
const TINT = 0.5;
const OUTLINE = 1.5; // px

function makeView(stage, photoCanvas, holeCanvas, moved) {
  const edge = makeCanvas(1, 1); // where the outline is made
  let photo = null; // {picture, size: [width, height], hole}
  let zoom = 1; // CSS pixels a photo pixel
  let left = 0; // CSS pixels from the stage's corner to the photo's
  let top = 0;
  let fitted = true;
  let [width, height, ratio] = [1, 1, 1]; // of the stage: CSS pixels, and how many of the screen's make one
  let dirty = null; // [x0, y0, x1, y1] of the screen: what of the hole is to be drawn again
  let all = false;
  let frame = 0;

  const least = () => Math.min(width / photo.size[0], height / photo.size[1]);

  // Along one side of the stage: a photo that fits is centred, another leaves at most a quarter of the stage empty.
  function held(offset, length, room) {
    if (length <= room) return (room - length) / 2;
    return Math.min(room / 4, Math.max(0.75 * room - length, offset));
  }

  function place(newZoom, x, y) {
    zoom = Math.min(Math.max(MOST_ZOOM, least()), Math.max(least(), newZoom));
    fitted = zoom === least();
    left = held(x, photo.size[0] * zoom, width);
    top = held(y, photo.size[1] * zoom, height);
    redraw();
  }

  // Zoom so that what is at (x, y) of the stage stays there; return whether anything changes.
  function zoomBy(factor, x = width / 2, y = height / 2) {
    const before = zoom;
    const wanted = Math.min(Math.max(MOST_ZOOM, least()), Math.max(least(), zoom * factor));
    place(wanted, x - ((x - left) * wanted) / before, y - ((y - top) * wanted) / before);
    return zoom !== before;
  }

  function redraw() {
    all = true;
    schedule();
  }

  function schedule() {
    if (!frame) frame = requestAnimationFrame(draw);
  }

  function draw() {
    frame = 0;
    if (!photo) return;
    const bounds = all ? [0, 0, holeCanvas.width, holeCanvas.height] : dirty;
    if (all) {
      drawPhoto();
      moved();
    }
    all = false;
    dirty = null;
    if (bounds && bounds[0] < bounds[2] && bounds[1] < bounds[3]) drawHole(...bounds);
  }

  function put(context, picture, dx = 0, dy = 0) {
    context.imageSmoothingEnabled = (zoom * ratio * photo.size[0]) / picture.width < 4; // else its pixels are to be seen
    context.imageSmoothingQuality = "medium";
    const [w, h] = photo.size.map((side) => side * zoom * ratio);
    context.drawImage(picture, left * ratio + dx, top * ratio + dy, w, h);
  }

  function drawPhoto() {
    const context = photoCanvas.getContext("2d");
    context.clearRect(0, 0, photoCanvas.width, photoCanvas.height);
    put(context, photo.picture);
  }

  function drawHole(x0, y0, x1, y1) {
    const [target, outline] = [holeCanvas, edge].map((canvas) => canvas.getContext("2d"));
    for (const context of [target, outline]) {
      context.save();
      context.beginPath();
      context.rect(x0, y0, x1 - x0, y1 - y0);
      context.clip();
      context.clearRect(x0, y0, x1 - x0, y1 - y0);
    }
    // What the hole covers when it is moved a little, less itself.
    const far = OUTLINE * ratio;
    for (const [dx, dy] of [[-1, -1], [1, -1], [-1, 1], [1, 1]]) put(outline, photo.hole.canvas, dx * far, dy * far);
    outline.globalCompositeOperation = "destination-out";
    put(outline, photo.hole.canvas);
    outline.globalCompositeOperation = "source-in";
    outline.fillStyle = "#fff";
    outline.fillRect(x0, y0, x1 - x0, y1 - y0);
    target.drawImage(edge, x0, y0, x1 - x0, y1 - y0, x0, y0, x1 - x0, y1 - y0);
    target.globalAlpha = TINT;
    put(target, photo.hole.canvas);
    for (const context of [target, outline]) context.restore();
  }

  return {
    get zoom() {
      return zoom;
    },
    get shown() {
      return photo;
    },
    get stage() {
      return [width, height];
    },
    // Show another photo, or none.
    show(newPhoto) {
      photo = newPhoto;
      for (const canvas of [photoCanvas, holeCanvas]) canvas.width += 0; // empties it
      if (photo) place(0, 0, 0);
    },
    resize() {
      [width, height] = [Math.max(1, stage.clientWidth), Math.max(1, stage.clientHeight)];
      ratio = Math.min(3, window.devicePixelRatio || 1);
      for (const canvas of [photoCanvas, holeCanvas, edge]) {
        canvas.width = Math.round(width * ratio);
        canvas.height = Math.round(height * ratio);
      }
      if (photo) place(fitted ? 0 : zoom, left, top);
    },
    fit: () => place(0, 0, 0),
    zoomBy,
    panBy: (dx, dy) => place(zoom, left + dx, top + dy),
    toPhoto: (x, y) => [(x - left) / zoom, (y - top) / zoom],
    toStage: (x, y) => [x * zoom + left, y * zoom + top],
    redraw,
    // Draw the hole again within a box of photo pixels.
    touch([x0, y0, x1, y1]) {
      const edgeOf = OUTLINE * ratio + 2;
      const box = [x0, y0, x1, y1].map((value, i) => (value * zoom + (i % 2 ? top : left)) * ratio);
      const old = dirty ?? [Infinity, Infinity, -Infinity, -Infinity];
      dirty = [
        Math.max(0, Math.min(old[0], Math.floor(box[0] - edgeOf))),
        Math.max(0, Math.min(old[1], Math.floor(box[1] - edgeOf))),
        Math.min(holeCanvas.width, Math.max(old[2], Math.ceil(box[2] + edgeOf))),
        Math.min(holeCanvas.height, Math.max(old[3], Math.ceil(box[3] + edgeOf))),
      ];
      schedule();
    },
    stop: () => cancelAnimationFrame(frame),
  };
}
