// Pictures: an image, and maps of layers in which a pixel is a neuron and a tile a channel. Their colours are told from
// a light and from a dark ground, and apart by those who do not see red or green.

const SILENT = [128, 128, 128, 44], FIRED = [217, 72, 15, 255], BELOW = [37, 99, 235], ABOVE = [13, 148, 106];
const NEURONS = 1 << 14, STEPS = 8; // of a map, and maps of a layer, at most

function canvasOf(width, height, colour) {
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  paint(canvas, colour);
  return canvas;
}

// `colour(x, y)` gives red, green, blue and opacity, or nothing.
function paint(canvas, colour) {
  const { width, height } = canvas, context = canvas.getContext("2d"), data = context.createImageData(width, height);
  for (let y = 0, to = 0; y < height; y++)
    for (let x = 0; x < width; x++, to += 4) {
      const found = colour(x, y);
      if (found) data.data.set(found, to);
    }
  context.putImageData(data, 0, 0);
}

// An image, uint8 [channels][height][width]: three channels in their colours, else the first one in ink.
function picture(pixels, [channels, height, width], ink) {
  const size = height * width, [red, green, blue] = ink.match(/[\d.]+/g).map(Number);
  return canvasOf(width, height, (x, y) => {
    const at = y * width + x;
    if (channels === 3) return [pixels[at], pixels[size + at], pixels[2 * size + at], 255];
    return [red, green, blue, pixels[at]];
  });
}

// Of the pixels of a class: the colours of the lines of charts, in turn lighter and darker where there are more classes;
// those of the first 25 differ.
const CLASSES = [[47, 122, 214], [217, 72, 15], [13, 148, 106], [162, 79, 166], [118, 128, 140]];
const SHADES = [0, 0.5, -0.45, 0.75, -0.7]; // the way to white, or to black

function classColour(index) {
  const shade = SHADES[Math.floor(index / CLASSES.length) % SHADES.length], end = shade < 0 ? 0 : 255;
  return CLASSES[index % CLASSES.length].map((part) => Math.round(part + (end - part) * Math.abs(shade))).concat(255);
}

// Where the channels of a layer lie on its map: about twice as wide as high, full rows if that can be.
class Mosaic {
  constructor([channels, height, width]) {
    this.kept = Math.min(channels, Math.max(1, Math.floor(NEURONS / (height * width))));
    Object.assign(this, { height, width, gap: height * width > 1 ? 1 : 0 });
    this.columns = this.#columns();
  }

  #columns() {
    let best = 1, least = Infinity;
    for (let columns = 1; columns <= this.kept; columns++) {
      const rows = Math.ceil(this.kept / columns), empty = columns * rows > this.kept ? 1 : 0;
      const shape = (columns * (this.width + this.gap)) / (rows * (this.height + this.gap));
      const off = Math.abs(Math.log(shape / 2)) + empty;
      if (off < least) [best, least] = [columns, off];
    }
    return best;
  }

  get size() {
    const rows = Math.ceil(this.kept / this.columns), { gap } = this;
    return [this.columns * (this.width + gap) - gap, rows * (this.height + gap) - gap];
  }

  // Paint the values of one step, [channels][height][width].
  paint(canvas, values, colours) {
    const { height, width, gap, columns, kept } = this;
    paint(canvas, (x, y) => {
      const column = Math.floor(x / (width + gap)), row = Math.floor(y / (height + gap)), channel = row * columns + column;
      const inX = x - column * (width + gap), inY = y - row * (height + gap);
      if (inX >= width || inY >= height || channel >= kept) return null;
      return colours(values[(channel * height + inY) * width + inX]);
    });
  }
}

const spikeColour = (spike) => (spike ? FIRED : SILENT);

// The further from zero, the fuller.
function codeColours(low, high) {
  const most = Math.max(-low, high), found = new Map([[0, SILENT]]);
  for (let code = low; code <= high; code++)
    if (code) found.set(code, [...(code < 0 ? BELOW : ABOVE), 40 + Math.round((215 * Math.abs(code)) / most)]);
  return (code) => found.get(code);
}
