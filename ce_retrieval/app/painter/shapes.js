// An ellipse or rectangle, by its box [x0, y0, x1, y1] in photo pixels: the last action of a painting, while its tool is
// chosen. Drawn, moved and sized with the pointer or the arrow keys.

const SHAPES = ["ellipse", "rectangle"];
const GRIP = { mouse: 9, pen: 12, touch: 22 }; // px around a handle or an edge that take hold of it

// What of a box on the screen is at (x, y): "move", the edges as in "nw" or "e", or null outside.
function gripAt([x0, y0, x1, y1], x, y, type) {
  const near = GRIP[type] ?? GRIP.mouse;
  if (x < x0 - near || x > x1 + near || y < y0 - near || y > y1 + near) return null;
  const [across, down] = [x1 - x0, y1 - y0].map((side) => Math.min(near, side / 3));
  const row = y < y0 + down ? "n" : y > y1 - down ? "s" : "";
  const column = x < x0 + across ? "w" : x > x1 - across ? "e" : "";
  return row + column || "move";
}

// The box after a grip was dragged by (dx, dy).
function draggedBox([x0, y0, x1, y1], grip, dx, dy) {
  if (grip === "move") return [x0 + dx, y0 + dy, x1 + dx, y1 + dy];
  return ordered([
    x0 + (grip.includes("w") ? dx : 0),
    y0 + (grip.includes("n") ? dy : 0),
    x1 + (grip.includes("e") ? dx : 0),
    y1 + (grip.includes("s") ? dy : 0),
  ]);
}

// The box after an arrow key: moved, or sized about its centre.
function nudgedBox([x0, y0, x1, y1], dx, dy, size) {
  if (!size) return [x0 + dx, y0 + dy, x1 + dx, y1 + dy];
  const [mx, my] = [Math.max(-(x1 - x0) / 2 + 0.5, dx / 2), Math.max(-(y1 - y0) / 2 + 0.5, dy / 2)];
  return [x0 - mx, y0 - my, x1 + mx, y1 + my];
}

// At least a pixel in both directions, whichever corner was dragged where.
function ordered([x0, y0, x1, y1]) {
  const [left, right] = [Math.min(x0, x1), Math.max(x0, x1)];
  const [upper, lower] = [Math.min(y0, y1), Math.max(y0, y1)];
  return [left, upper, Math.max(right, left + 1), Math.max(lower, upper + 1)];
}

// A box that keeps a pixel of the photo in it, so that it can be taken hold of again.
function keptInside([x0, y0, x1, y1], [width, height]) {
  const dx = Math.max(0, 1 - x1) - Math.max(0, x0 - width + 1);
  const dy = Math.max(0, 1 - y1) - Math.max(0, y0 - height + 1);
  return [x0 + dx, y0 + dy, x1 + dx, y1 + dy].map(rounded);
}
