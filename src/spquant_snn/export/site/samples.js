// The test items that a page holds, as small buttons; one can be tabbed to, arrow keys lead to the others.
class Samples {
  // `chosen` is called with a sample: its pixels, its label, its index among the test images.
  constructor(place, about, answers, chosen) {
    this.about = about;
    this.portrait = new Portrait(about);
    this.chosen = chosen;
    this.current = -1;
    this.all = about.samples.map(({ pixels, ...rest }) => ({
      pixels: Uint8Array.from(atob(pixels), (letter) => letter.charCodeAt(0)),
      ...rest,
    }));
    this.buttons = this.all.map((sample, i) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(document.createElement("canvas"), answers.short(sample.label));
      button.setAttribute("aria-label", `Test ${about.what} ${sample.index}, labelled ${answers.words(sample.label)}`);
      button.addEventListener("click", () => this.choose(i));
      return button;
    });
    place.append(...this.buttons);
    place.classList.toggle("named", this.buttons.some((button) => button.textContent.length > 2));
    place.addEventListener("keydown", (event) => this.#key(event));
    this.mark(-1);
  }

  draw() {
    this.buttons.forEach((button, i) => {
      const middle = Math.ceil(this.about.frames / 2);
      this.portrait.draw(button.firstChild, this.all[i].pixels, middle, getComputedStyle(button).color);
    });
  }

  choose(index) {
    this.mark(index);
    this.chosen(this.all[index]);
  }

  next() {
    this.choose((this.current + 1) % this.all.length);
  }

  // Say which one is shown; -1: none.
  mark(index) {
    this.current = index;
    this.buttons.forEach((button, i) => {
      button.setAttribute("aria-pressed", i === index);
      button.tabIndex = i === Math.max(index, 0) ? 0 : -1;
    });
  }

  #key(event) {
    const here = this.buttons.indexOf(document.activeElement), count = this.buttons.length;
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    const next = { Home: 0, End: count - 1 }[event.key] ?? (step && (here + step + count) % count);
    if (here < 0 || next === undefined) return;
    event.preventDefault();
    this.buttons.forEach((button, i) => (button.tabIndex = i === next ? 0 : -1));
    this.buttons[next].focus();
  }
}
