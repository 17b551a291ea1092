// A pad to draw on, by mouse, finger, pen or keys. Its strokes are lists of points, 28 units across.
class Pad {
  // `changed` is called as strokes grow, `settled` when one ends or is taken back, with what there is to say.
  constructor(canvas, changed, settled) {
    Object.assign(this, { canvas, changed, settled, strokes: [], pen: [FIELD / 2, FIELD / 2], down: false, pointer: null });
    canvas.addEventListener("pointerdown", (event) => this.#press(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, (event) => this.#lift(event));
    canvas.addEventListener("keydown", (event) => this.#key(event));
    canvas.addEventListener("focus", () => this.changed());
    canvas.addEventListener("blur", () => this.#penUp());
  }

  get pointed() {
    return this.canvas.matches(":focus-visible") && this.pointer === null;
  }

  clear() {
    this.strokes = [];
    this.down = false;
    this.settled("Cleared.");
  }

  undo() {
    this.strokes.pop();
    this.down = false;
    this.settled(this.strokes.length ? "Stroke taken back." : "Cleared.");
  }

  #at(event) {
    const box = this.canvas.getBoundingClientRect();
    const inside = (value) => Math.min(FIELD, Math.max(0, value));
    return [inside((FIELD * (event.clientX - box.left)) / box.width), inside((FIELD * (event.clientY - box.top)) / box.height)];
  }

  #press(event) {
    if (!event.isPrimary || event.button !== 0) return;
    this.canvas.setPointerCapture(event.pointerId);
    this.pointer = event.pointerId;
    this.down = false;
    this.strokes.push([this.#at(event)]);
    this.changed();
  }

  #move(event) {
    if (event.pointerId !== this.pointer) return;
    const all = event.getCoalescedEvents?.() ?? [];
    for (const each of all.length ? all : [event]) this.strokes.at(-1).push(this.#at(each));
    this.changed();
  }

  #lift(event) {
    if (event.pointerId !== this.pointer) return;
    this.pointer = null;
    this.settled("");
  }

  #penUp() {
    const was = this.down;
    this.down = false;
    this.changed();
    if (was) this.settled("");
  }

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const step = event.shiftKey ? 4 : 1;
    const [dx, dy] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key] ?? [];
    if (dx !== undefined) this.#guide(step * dx, step * dy);
    else if (event.key === " " || event.key === "Enter") this.#toggle();
    else if (event.key === "Backspace") this.undo();
    else if (event.key === "Delete") this.clear();
    else return;
    event.preventDefault();
  }

  #guide(dx, dy) {
    this.pen = [this.pen[0] + dx, this.pen[1] + dy].map((value) => Math.min(FIELD - 1, Math.max(1, value)));
    if (this.down) this.strokes.at(-1).push(this.pen);
    this.changed();
  }

  #toggle() {
    this.down = !this.down;
    if (this.down) this.strokes.push([this.pen]);
    this.changed();
    this.settled(this.down ? "Pen down." : "Pen up.");
  }

  // Draw the strokes, or where there are none the image that is shown instead.
  draw(pixels, shape) {
    const { canvas } = this, size = Math.round(canvas.clientWidth * (window.devicePixelRatio || 1)) || FIELD;
    if (canvas.width !== size) canvas.width = canvas.height = size;
    const context = canvas.getContext("2d"), unit = size / FIELD, ink = getComputedStyle(canvas).color;
    context.clearRect(0, 0, size, size);
    if (!this.strokes.length && pixels) {
      context.imageSmoothingEnabled = false;
      context.drawImage(picture(pixels, shape, ink), 0, 0, size, size);
    }
    Object.assign(context, { strokeStyle: ink, lineWidth: 2 * PEN * unit, lineCap: "round", lineJoin: "round" });
    for (const stroke of this.strokes) {
      context.beginPath();
      for (const [x, y] of [stroke[0], ...stroke]) context.lineTo(x * unit, y * unit);
      context.stroke();
    }
    if (this.pointed) this.#cursor(context, unit);
  }

  #cursor(context, unit) {
    const [x, y] = this.pen.map((value) => value * unit);
    context.lineWidth = Math.max(2, unit / 5);
    context.strokeStyle = getComputedStyle(this.canvas).getPropertyValue("--fired");
    context.beginPath();
    context.arc(x, y, (this.down ? 0.8 : 1.5) * unit, 0, 2 * Math.PI);
    context.stroke();
  }
}
