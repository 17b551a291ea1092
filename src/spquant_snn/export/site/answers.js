// What a network says, by its task. Each kind of answers has
//   decide(logits, steps)       the answer behind so many steps: a class, 0 or 1 for each label, numbers in their unit, or
//                               a class for each pixel
//   words(answer)               it in words; `short(answer)` in few, for a button. What is right has the same form
//   right(answer, label)        whether it is; null where that is a matter of degree
//   verdict(logits, steps, label)   how it stands to what is right; `label` is null where that is not known
//   bars(logits, steps, label)  for each output a bar from one value to another, and the cells behind it
// and those of maps `colours`, of the outputs, and `map`, [height, width].
class Answers {
  static of(about) {
    const kinds = { classification: ClassAnswers, multilabel: LabelAnswers, regression: NumberAnswers, segmentation: MapAnswers };
    return new kinds[about.answers.task](about);
  }

  constructor({ answers }) {
    Object.assign(this, answers);
  }

  // In the units of training, and of numbers in those of the labels: sums over the steps become means.
  values(logits, steps) {
    const scale = this.scale / (this.summed ? steps : 1);
    return Array.from(logits, (logit, i) => logit * scale * (this.gains[i] ?? 1) + (this.offsets[i] ?? 0));
  }

  // All outputs are told on one axis, or each on its own.
  get together() {
    return true;
  }
}

class ClassAnswers extends Answers {
  verb = "reads";

  // Of equal scores the first class counts.
  decide(logits) {
    return logits.indexOf(logits.reduce((best, value) => Math.max(best, value)));
  }

  words(answer) {
    return this.outputs[answer];
  }

  short(answer) {
    return this.words(answer);
  }

  right(answer, label) {
    return answer === label;
  }

  verdict(logits, steps, label) {
    const answer = this.decide(logits);
    const next = logits.reduce((best, value, i) => (i !== answer && (best < 0 || value > logits[best]) ? i : best), -1);
    const ahead = logits[answer] - logits[next];
    const lead = next < 0 ? "" : `${ahead ? `${grouped(ahead)} ahead of` : "level with"} ${this.outputs[next]}`;
    if (label === null) return lead;
    return `${this.right(answer, label) ? "right" : `wrong: labelled ${this.outputs[label]}`}, ${lead}`;
  }

  // `logits` is null where nothing is shown.
  bars(logits) {
    const answer = logits ? this.decide(logits) : -1;
    return this.outputs.map((name, i) => {
      const value = logits ? logits[i] : 0;
      return { from: 0, to: value, state: i === answer ? "best" : value < 0 ? "negative" : "", cells: [logits ? grouped(value) : "–"] };
    });
  }
}

class LabelAnswers extends Answers {
  verb = "says";

  decide(logits, steps) {
    return this.values(logits, steps).map((value) => (value > 0 ? 1 : 0));
  }

  words(answer) {
    return this.#listed(answer, 4, " and ");
  }

  short(answer) {
    return this.#listed(answer, 2, ", ");
  }

  #listed(answer, most, between) {
    const named = this.outputs.filter((name, i) => answer[i]), more = named.length - most;
    return [...named.slice(0, most), ...(more > 0 ? [`${more} more`] : [])].join(between) || "none";
  }

  right(answer, label) {
    return answer.every((said, i) => said === label[i]);
  }

  verdict(logits, steps, label) {
    if (label === null) return "";
    const answer = this.decide(logits, steps);
    if (this.right(answer, label)) return "right in all labels";
    const count = answer.filter((said, i) => said === label[i]).length;
    return `right in ${count} of ${label.length} labels; to be said: ${this.words(label)}`;
  }

  bars(logits, steps, label) {
    const answer = this.decide(logits, steps), yes = (said) => (said ? "yes" : "no");
    return this.outputs.map((name, i) => {
      const state = `${answer[i] ? "best" : logits[i] < 0 ? "negative" : ""} ${answer[i] === label[i] ? "" : "missed"}`;
      return { from: 0, to: logits[i], state: state.trim(), cells: [grouped(logits[i]), yes(answer[i]), yes(label[i])] };
    });
  }
}

class NumberAnswers extends Answers {
  verb = "says";

  // Outputs are of any size.
  get together() {
    return false;
  }

  decide(logits, steps) {
    return this.values(logits, steps);
  }

  words(answer) {
    const shown = answer.slice(0, 4).map(significant).join(", ") + (answer.length > 4 ? " ..." : "");
    return `${shown} ${this.unit}`.trim();
  }

  short(answer) {
    return significant(answer[0]) + (answer.length > 1 ? " ..." : "");
  }

  right() {
    return null;
  }

  verdict(logits, steps, label) {
    const off = this.decide(logits, steps).map((value, i) => value - label[i]);
    return `labelled ${this.words(label)}${off.length === 1 ? `, ${this.#off(off[0])}` : ""}`;
  }

  #off(by) {
    return by === 0 ? "exactly" : `${significant(Math.abs(by))} ${this.unit}`.trim() + (by < 0 ? " too low" : " too high");
  }

  // From the right number to the one that is said.
  bars(logits, steps, label) {
    return this.decide(logits, steps).map((value, i) => ({
      from: label[i], to: value, state: value < label[i] ? "negative" : "", cells: [significant(value), significant(label[i])],
    }));
  }
}

// A class for each pixel; -1 where no class is right, and none counts.
class MapAnswers extends Answers {
  verb = "says";
  colours = this.outputs.map((name, i) => classColour(i));
  map = this.shape.slice(1);

  // Of equal scores the first class counts.
  decide(logits) {
    const [channels, height, width] = this.shape, places = height * width;
    return Array.from({ length: places }, (_, place) => {
      let best = 0;
      for (let c = 1; c < channels; c++) if (logits[place * channels + c] > logits[place * channels + best]) best = c;
      return best;
    });
  }

  // The classes with most pixels.
  words(answer) {
    const counts = this.#counts(answer), all = counts.reduce((sum, count) => sum + count, 0);
    const found = this.#largest(counts), more = found.length - 2;
    const named = found.slice(0, 2).map((i) => `${this.outputs[i]} ${percent(counts[i], all)}`);
    return [named.join(", "), ...(more > 0 ? [`${more} more`] : [])].join(" and ") || "none";
  }

  short(answer) {
    return this.outputs[this.#largest(this.#counts(answer))[0]] ?? "none";
  }

  #counts(answer, wanted = () => true) {
    const counts = this.outputs.map(() => 0);
    answer.forEach((said, place) => said >= 0 && wanted(place) && counts[said]++);
    return counts;
  }

  #largest(counts) {
    const order = counts.map((count, i) => i).filter((i) => counts[i]);
    return order.sort((a, b) => counts[b] - counts[a] || a - b);
  }

  right() {
    return null;
  }

  verdict(logits, steps, label) {
    const right = this.decide(logits).filter((said, place) => said === label[place]).length;
    const counted = label.filter((wanted) => wanted >= 0).length, ignored = label.length - counted;
    return `${percent(right, counted)} of ${grouped(counted)} pixels right${ignored ? `, ${grouped(ignored)} not counted` : ""}`;
  }

  // Of the pixels that count: those said to be of a class, those that are, and what both share among all of them.
  bars(logits, steps, label) {
    const answer = this.decide(logits), said = this.#counts(answer, (place) => label[place] >= 0);
    const right = this.#counts(label), hits = this.#counts(answer, (place) => answer[place] === label[place]);
    return this.outputs.map((name, i) => {
      const either = said[i] + right[i] - hits[i], state = right[i] && !hits[i] ? "missed" : "";
      return { from: 0, to: said[i], state, cells: [grouped(said[i]), grouped(right[i]), either ? percent(hits[i], either) : "–"] };
    });
  }
}

// A number in four digits.
function significant(number) {
  const size = Math.abs(number);
  if (size >= 1e6 || (size > 0 && size < 1e-4)) return number.toExponential(3);
  return number.toLocaleString("en", { useGrouping: false, maximumSignificantDigits: Math.max(4, Math.ceil(Math.log10(size + 1))) });
}
