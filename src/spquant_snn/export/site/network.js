"use strict";

// The network: its WebAssembly module, and what that leaves in its memory.
class Network {
  constructor(about, exports) {
    this.about = about;
    this.exports = exports;
    this.answers = Answers.of(about);
  }

  // From what stands in a page; fails where the module is damaged or the browser runs none.
  static async of(about, base64) {
    const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
    const { instance } = await WebAssembly.instantiate(bytes);
    return new Network(about, instance.exports);
  }

  // The name of the first layer that is not as the reference says; null if there is none.
  failing() {
    const wrong = this.exports.model_selftest();
    return wrong ? this.about.terms[wrong - 1].name : null;
  }

  #check(pixels) {
    if (!ArrayBuffer.isView(pixels) || pixels.BYTES_PER_ELEMENT !== 1)
      throw TypeError("pixels are bytes: give a Uint8Array, or an Int8Array where they have signs");
  }

  #show(pixels) {
    if (pixels.length !== this.pixels)
      throw RangeError(`${this.about.frames ? "a frame" : "an image"} has ${this.pixels} bytes, ${this.about.shape.join(" x ")}, not ${pixels.length}`);
    new Uint8Array(this.exports.memory.buffer, this.exports.page_image(), this.pixels).set(pixels);
  }

  get pixels() {
    return this.about.shape.reduce((product, size) => product * size);
  }

  // What becomes of an image, bytes [channels][height][width], or of a sequence, [frames] of these: the answer (a
  // class, 0 or 1 for each label, numbers, or a class for each pixel, [height][width]), its logits, and for each layer of
  // neurons spikes and stored codes, both [steps][channels][height][width]. Of a sequence `said` has the logits behind
  // each frame.
  run(pixels) {
    const { exports, about } = this;
    this.#check(pixels);
    if (about.frames) return this.#play(pixels);
    this.#show(pixels);
    exports.page_watch();
    const logits = this.#logits(), answer = this.answers.decide(logits, about.steps);
    return { answer, logits, layers: about.layers.map((layer, i) => this.#layer(layer, i, about.steps)) };
  }

  // The same of an image that takes no more steps than it takes until its best logit leads the next by a margin: answer,
  // logits, and the steps that it took.
  until(pixels, margin) {
    if (this.about.frames || !this.exports.page_until)
      throw new TypeError(`${this.about.frames ? "a sequence" : "what tells no classes apart"} does not stop early`);
    this.#check(pixels);
    this.#show(pixels);
    const steps = this.exports.page_until(margin), logits = this.#logits();
    return { answer: this.answers.decide(logits, steps), logits, steps };
  }

  #logits() {
    const count = this.about.answers.shape.reduce((product, size) => product * size);
    return new Int32Array(this.exports.memory.buffer, this.exports.page_logits(), count).slice();
  }

  #play(pixels) {
    const { exports, about } = this, said = [];
    if (pixels.length !== about.frames * this.pixels)
      throw RangeError(`a sequence has ${about.frames} frames of ${this.pixels} bytes, not ${pixels.length} bytes`);
    const layers = about.layers.map(({ shape }) => {
      const count = about.frames * shape.reduce((product, size) => product * size);
      return { spikes: new Uint8Array(count), codes: new Int8Array(count) };
    });
    exports.page_reset();
    for (let t = 0; t < about.frames; t++) {
      this.#show(pixels.subarray(t * this.pixels, (t + 1) * this.pixels));
      exports.page_frame();
      said.push(this.#logits());
      about.layers.forEach((layer, i) => {
        const { spikes, codes } = this.#layer(layer, i, 1);
        layers[i].spikes.set(spikes, t * spikes.length);
        layers[i].codes.set(codes, t * codes.length);
      });
    }
    const logits = said.at(-1);
    return { answer: this.answers.decide(logits, about.frames), logits, said, layers };
  }

  #layer({ shape: [channels, height, width], stored: kinds }, index, steps) {
    const { exports } = this, places = height * width, tiles = (channels + 31) >> 5;
    const words = steps * places * tiles, buffer = exports.memory.buffer;
    const bitmaps = new Uint32Array(buffer, exports.page_spikes(index), words);
    const stored = new Int8Array(buffer, exports.page_codes(index), 32 * kinds * words); // of potentials, then of currents
    const spikes = new Uint8Array(steps * channels * places), codes = new Int8Array(spikes.length);
    for (let t = 0, to = 0; t < steps; t++)
      for (let c = 0; c < channels; c++)
        for (let p = 0, word = t * places * tiles + (c >> 5); p < places; p++, to++, word += tiles) {
          spikes[to] = (bitmaps[word] >>> (c & 31)) & 1;
          codes[to] = stored[32 * (word + (kinds - 1) * t * places * tiles) + (c & 31)];
        }
    return { spikes, codes };
  }

  // An image, or the first frame of a sequence, `count` times over and not watched.
  repeat(pixels, count) {
    this.#show(pixels.subarray(0, this.pixels));
    return this.about.frames ? this.exports.page_repeat_frame(count) : this.exports.page_repeat(count);
  }
}

const ROUNDS = 9, ROUND = 8; // and their least milliseconds: clocks of browsers are as coarse as one

// Microseconds of an inference, or of a step of a sequence, the median of rounds; null once it is not wanted any more.
async function timed(network, pixels, wanted) {
  const round = (count) => {
    const start = performance.now();
    network.repeat(pixels, count);
    return performance.now() - start;
  };
  let count = 1;
  for (let spent = round(count); spent < ROUND; spent = round(count)) {
    count = Math.ceil(count * Math.min(4, (1.3 * ROUND) / Math.max(spent, 0.1)));
    if (!(await pause()) || !wanted()) return null;
  }
  const found = [];
  while (found.length < ROUNDS) {
    found.push((1000 * round(count)) / count);
    if (!(await pause()) || !wanted()) return null;
  }
  return { median: found.sort((a, b) => a - b)[ROUNDS >> 1], count };
}

// Let the page draw and listen.
const pause = () => new Promise((go) => setTimeout(go, 0, true));
