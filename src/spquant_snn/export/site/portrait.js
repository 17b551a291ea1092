// What a network is given, as a picture: an image in its colours, a signal as a strip chart with a line for each channel,
// a sequence of vectors as a map over time, and of any other sequence the frame of the moment.
class Portrait {
  // `moment` counts frames from one; it is 0 of what stands still.
  constructor({ shape: [channels, height, width], frames, signed }) {
    Object.assign(this, { channels, height, width, frames, signed, size: channels * height * width });
    this.kind = height > 1 ? "image" : width > 1 ? "strips" : frames ? "map" : "bars";
  }

  // Of its canvas, in pixels.
  get extent() {
    return { image: [this.width, this.height], strips: [320, 320], map: [this.frames, this.channels], bars: [320, 320] }[this.kind];
  }

  draw(canvas, pixels, moment, ink) {
    const values = this.signed ? new Int8Array(pixels.buffer, pixels.byteOffset, pixels.length) : pixels;
    [canvas.width, canvas.height] = this.extent;
    const context = canvas.getContext("2d"), from = this.frames ? (Math.max(moment, 1) - 1) * this.size : 0;
    const frame = values.subarray(from, from + this.size);
    if (this.kind === "image") context.drawImage(this.#image(frame, values, ink), 0, 0);
    else if (this.kind === "map") this.#map(context, values, moment, ink);
    else {
      canvas.style.imageRendering = "auto"; // lines are not to become specks where they are small
      this.#strips(context, frame, ink, Math.min(8, (1.5 * canvas.width) / (canvas.clientWidth || canvas.width)));
    }
  }

  // Counts of events are small numbers: the largest of a sequence is drawn in full.
  #image(frame, values, ink) {
    const shape = [this.channels, this.height, this.width], place = this.height * this.width;
    const plain = !this.frames && !this.signed && this.channels !== 2;
    if (plain) return picture(frame, shape, ink);
    const most = values.reduce((found, value) => Math.max(found, Math.abs(value)), 1);
    return canvasOf(this.width, this.height, (x, y) => {
      const at = y * this.width + x, two = this.channels === 2;
      const [below, above] = two ? [frame[at], frame[place + at]] : [Math.max(0, -frame[at]), Math.max(0, frame[at])];
      if (!below && !above) return null;
      return [...(above >= below ? ABOVE : BELOW), 55 + Math.round((200 * Math.max(above, below)) / most)];
    });
  }

  #map(context, values, moment, ink) {
    const [red, green, blue] = ink.match(/[\d.]+/g).map(Number), most = this.signed ? 127 : 255;
    const { frames, channels } = this;
    context.drawImage(canvasOf(frames, channels, (t, c) => {
      const value = values[t * channels + channels - 1 - c];
      const colour = value < 0 ? BELOW : this.signed ? ABOVE : [red, green, blue];
      return [...colour, Math.round((255 * Math.abs(value)) / most) * (t < moment ? 1 : 0.35)];
    }), 0, 0);
  }

  // A lane for each channel; of a vector all numbers in one.
  #strips(context, frame, ink, lineWidth) {
    const [wide, high] = this.extent, lanes = this.kind === "bars" ? 1 : this.channels, count = this.size / lanes;
    const lane = high / lanes, [low, span] = this.signed ? [-127, 254] : [0, 255];
    Object.assign(context, { strokeStyle: ink, lineWidth, lineJoin: "round" });
    for (let c = 0; c < lanes; c++) {
      const y = (value) => (c + 1) * lane - 2 - ((value - low) / span) * (lane - 4);
      context.globalAlpha = 0.3;
      context.beginPath();
      context.moveTo(0, y(0));
      context.lineTo(wide, y(0));
      context.stroke();
      context.globalAlpha = 1;
      context.beginPath();
      for (let i = 0; i < count; i++) context.lineTo(((i + 0.5) * wide) / count, y(frame[c * count + i]));
      context.stroke();
    }
  }
}
