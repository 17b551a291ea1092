// What the page tells of an image: scores, figures, maps of layers, a table of work.

const element = (id) => document.getElementById(id);
const grouped = (number) => number.toLocaleString("en");
const percent = (part, whole) => `${(whole ? (100 * part) / whole : 0).toFixed(1)} %`;
const short = (number) =>
  number < 1e4 ? grouped(number) : number < 1e6 ? `${(number / 1e3).toFixed(1)} k` : `${(number / 1e6).toFixed(2)} M`;

function made(tag, properties, ...children) {
  const found = Object.assign(document.createElement(tag), properties);
  found.append(...children);
  return found;
}

// A row for each output: its name, with its colour where maps have one, a bar on an axis that holds those of all samples, and cells.
class Scores {
  constructor(table, { outputs, together, colours }) {
    const axis = () => ({ lowest: Infinity, highest: -Infinity }), shared = axis();
    this.rows = outputs.map((name, i) => {
      const bar = made("span", { className: "bar" }), row = made("tr", {}, made("th", { scope: "row", textContent: name }));
      if (colours) row.cells[0].prepend(swatch(colours[i]));
      row.append(made("td", { className: "track" }, made("span", { className: "axis" }), bar));
      const cells = Array.from(table.tHead.rows[0].cells).slice(2).map(() => made("td", { className: "number" }));
      row.append(...cells);
      return { row, bar, cells, axis: together ? shared : axis() };
    });
    table.tBodies[0].append(...this.rows.map(({ row }) => row));
  }

  // Axes grow where a bar lies beyond.
  include(bars) {
    this.rows.forEach(({ axis }, i) => {
      axis.lowest = Math.min(axis.lowest, bars[i].from, bars[i].to);
      axis.highest = Math.max(axis.highest, bars[i].from, bars[i].to);
    });
  }

  show(bars) {
    this.include(bars);
    this.rows.forEach(({ row, bar, cells, axis: { lowest, highest } }, i) => {
      const { from, to, state, cells: words } = bars[i];
      const place = (value) => (100 * (value - lowest)) / (highest - lowest || 1);
      row.style.setProperty("--zero", `${place(from)}%`);
      bar.style.left = `${place(Math.min(from, to))}%`;
      bar.style.width = `${place(Math.max(from, to)) - place(Math.min(from, to))}%`;
      row.className = state;
      cells.forEach((cell, n) => (cell.textContent = words[n]));
    });
  }
}

function swatch([red, green, blue]) {
  const found = made("span", { className: "swatch" });
  found.style.background = `rgb(${red}, ${green}, ${blue})`;
  return found;
}

// The map that is answered, beside the right one, both in the colours of the classes.
class AnswerMaps {
  constructor(place, answers) {
    this.answers = answers;
    [this.said, this.right] = ["said", "right"].map((name) => {
      const [height, width] = answers.map, canvas = made("canvas", { width, height }), caption = made("figcaption");
      canvas.setAttribute("role", "img");
      canvas.style.width = `${Math.max(24, Math.min(280, (360 * width) / height))}px`;
      place.append(made("figure", { className: name }, canvas, caption));
      return { canvas, caption };
    });
  }

  show(answer, label) {
    this.#paint(this.said, answer, "said");
    this.#paint(this.right, label, label.includes(-1) ? "right; hatched pixels do not count" : "right");
  }

  // Pixels without a class are left out, so that the hatches behind are seen.
  #paint({ canvas, caption }, classes, words) {
    const [, width] = this.answers.map;
    paint(canvas, (x, y) => this.answers.colours[classes[y * width + x]]);
    caption.textContent = words;
    canvas.setAttribute("aria-label", `The map of classes that is ${words}: ${this.answers.words(classes)}`);
  }
}

class LayerMaps {
  // `moves`: the steps that are shown are those up to a moment.
  constructor(place, layer, steps, moves) {
    const [channels, height, width] = layer.shape, shown = Math.min(steps, STEPS), neurons = channels * height * width;
    Object.assign(this, { layer, neurons, shown, steps, mosaic: new Mosaic(layer.shape) });
    const notes = [`${layer.shape.filter((size, i) => i === 0 || height * width > 1).join(" × ")} neurons`];
    if (this.mosaic.kept < channels) notes.push(`the first ${this.mosaic.kept} channels`);
    if (shown < steps) notes.push(moves ? `${shown} steps, the last of them the one shown` : `the first ${shown} steps`);
    const heading = made("h3", {}, layer.name, " ", made("small", { textContent: notes.join(", ") }));
    [this.spikes, this.codes] = [this.#side("spikes"), this.#side("membrane codes")];
    const sides = made("div", { className: "sides" }, this.spikes.side, this.codes.side);
    place.append(made("article", { className: "layer" }, heading, sides));
    this.colours = codeColours(layer.low, layer.high);
  }

  #side(name) {
    const [width, height] = this.mosaic.size, times = Math.max(1, Math.min(12, Math.floor(240 / width)));
    const maps = Array.from({ length: this.shown }, () => {
      const canvas = made("canvas", { width, height }), caption = made("figcaption");
      canvas.setAttribute("role", "img");
      canvas.style.width = `${times * width}px`;
      return { canvas, caption, figure: made("figure", { className: "map" }, canvas, caption) };
    });
    const row = made("div", { className: "maps" }, ...maps.map(({ figure }) => figure));
    return { maps, side: made("div", {}, made("h4", { textContent: name }), row) };
  }

  // The first steps, or the last ones up to a moment, which counts from one.
  show({ spikes, codes }, moment = this.shown) {
    const { name } = this.layer, at = (values, t) => values.subarray(t * this.neurons, (t + 1) * this.neurons);
    const from = Math.max(0, moment - this.shown);
    for (let t = 0; t < this.shown; t++) {
      const fired = at(spikes, from + t), stored = at(codes, from + t), step = `step ${from + t + 1}`;
      const count = fired.reduce((sum, spike) => sum + spike, 0);
      const [below, above] = [stored.filter((code) => code < 0).length, stored.filter((code) => code > 0).length];
      const spiking = `${grouped(count)} of ${grouped(this.neurons)}`;
      this.mosaic.paint(this.spikes.maps[t].canvas, fired, spikeColour);
      this.mosaic.paint(this.codes.maps[t].canvas, stored, this.colours);
      this.#say(this.spikes.maps[t], `${step}: ${spiking} fire`, `Layer ${name}, `);
      const shares = `${percent(below, this.neurons)} below 0, ${percent(above, this.neurons)} above`;
      this.#say(this.codes.maps[t], `${step}: ${shares}`, `Codes stored by layer ${name}, `);
    }
  }

  #say({ canvas, caption }, words, more) {
    caption.textContent = words;
    canvas.setAttribute("aria-label", more + words);
  }
}

class WorkTable {
  constructor(table, about) {
    const row = (name) => {
      const cells = Array.from({ length: 4 }, () => made("td", { className: "number" }));
      return { cells, row: made("tr", {}, made("th", { scope: "row", textContent: name }), ...cells) };
    };
    this.rows = about.terms.map(({ name }) => row(name));
    this.sum = row("all");
    table.tBodies[0].append(...this.rows.map((each) => each.row));
    table.tFoot.append(this.sum.row);
  }

  show(work, spikes) {
    const fill = ({ cells }, { dense, done }, count) => {
      const words = [grouped(dense), grouped(done), percent(dense - done, dense), count === null ? "" : grouped(count)];
      cells.forEach((cell, i) => (cell.textContent = words[i]));
    };
    this.rows.forEach((row, i) => fill(row, work[i], spikes[i] ?? null));
    fill(this.sum, total(work), spikes.reduce((sum, count) => sum + count, 0));
  }
}

const total = (work) =>
  work.reduce((sum, { dense, done }) => ({ dense: sum.dense + dense, done: sum.done + done }), { dense: 0, done: 0 });

function showFigures(about, work, spikes) {
  const { dense, done } = total(work), fired = spikes.reduce((sum, count) => sum + count, 0);
  const neurons = about.layers.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b), 0) * about.steps;
  element("done").textContent = short(done);
  element("done-says").textContent = `of ${short(dense)} that a dense network does`;
  element("skipped").textContent = percent(dense - done, dense);
  element("skipped-says").textContent = `${short(dense - done)}, whose input is zero`;
  element("spikes").textContent = grouped(fired);
  element("spikes-says").textContent = `${percent(fired, neurons)} of ${short(neurons)} neuron updates`;
}

function showTime(found) {
  element("time").textContent = `${found.median < 100 ? found.median.toFixed(1) : grouped(Math.round(found.median))} µs`;
  element("time-says").textContent = `on this machine; median of ${ROUNDS} rounds of ${grouped(found.count)}`;
}
