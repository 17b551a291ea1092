// From strokes to the image of a digit, as MNIST's were made: fitted into a box of 20 x 20, then moved until the centre
// of mass lies in the middle of 28 x 28. Strokes are drawn anew at that size, so that a small digit has no thick lines.

const FIELD = 28, BOX = 20, PEN = 1.3; // PEN: half the width of MNIST's lines
const MIDDLE = 14.5; // where its centres of mass lie: in the middle of pixel 14
const LEAST = 5; // what is smaller than this on the pad is not enlarged to fill the box

// How much of each pixel lies under strokes of round pens, 0 .. 255, with soft edges.
function inked(strokes, size, radius) {
  const pixels = new Uint8Array(size * size), reach = radius + 1;
  for (const stroke of strokes)
    stroke.forEach(([x1, y1], i) => {
      const [x0, y0] = stroke[Math.max(i - 1, 0)], dx = x1 - x0, dy = y1 - y0, square = dx * dx + dy * dy;
      const from = (a, b) => Math.max(0, Math.floor(Math.min(a, b) - reach));
      const to = (a, b) => Math.min(size - 1, Math.ceil(Math.max(a, b) + reach));
      for (let y = from(y0, y1); y <= to(y0, y1); y++)
        for (let x = from(x0, x1); x <= to(x0, x1); x++) {
          const px = x + 0.5 - x0, py = y + 0.5 - y0;
          const along = square ? Math.min(1, Math.max(0, (px * dx + py * dy) / square)) : 0;
          const cover = radius + 0.5 - Math.hypot(px - along * dx, py - along * dy);
          const value = Math.round(255 * Math.min(1, Math.max(0, cover)));
          if (value > pixels[y * size + x]) pixels[y * size + x] = value;
        }
    });
  return pixels;
}

const moved = (strokes, scale, dx, dy) => strokes.map((stroke) => stroke.map(([x, y]) => [x * scale + dx, y * scale + dy]));

// The image of strokes on a pad that is 28 wide and high, uint8 [28 * 28].
function digit(strokes) {
  const points = strokes.flat();
  if (!points.length) return new Uint8Array(FIELD * FIELD);
  const [left, top] = [0, 1].map((axis) => points.reduce((least, point) => Math.min(least, point[axis]), Infinity));
  const [right, bottom] = [0, 1].map((axis) => points.reduce((most, point) => Math.max(most, point[axis]), -Infinity));
  const scale = (BOX - 2 * PEN) / Math.max(right - left, bottom - top, LEAST);
  const fitted = moved(strokes, scale, FIELD / 2 - (scale * (left + right)) / 2, FIELD / 2 - (scale * (top + bottom)) / 2);
  let mass = 0, x = 0, y = 0;
  inked(fitted, FIELD, PEN).forEach((value, place) => {
    mass += value;
    x += value * ((place % FIELD) + 0.5);
    y += value * (Math.floor(place / FIELD) + 0.5);
  });
  return inked(moved(fitted, 1, MIDDLE - x / mass, MIDDLE - y / mass), FIELD, PEN);
}
