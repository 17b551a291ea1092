// The page: what is drawn or chosen goes through the network, and what comes out is shown.

const FRAME = 150; // milliseconds of a frame that is played

async function start() {
  const about = JSON.parse(element("about").textContent), network = await Network.of(about, element("module").textContent);
  const failing = network.failing();
  if (failing !== null)
    throw Error(`layer ${failing} does not compute what the reference computes. Nothing is shown: export this page again`);
  window.spquant = network;
  element("main").hidden = false;
  show(network, about);
  tell("passed", "Self-test passed: bit for bit as the reference.");
}

function show(network, about) {
  const { answers } = network, samples = new Samples(element("samples"), about, answers, (sample) => choose(sample));
  const scores = new Scores(element("scores"), answers);
  for (const { pixels, label } of samples.all) scores.include(answers.bars(network.run(pixels).logits, about.steps, label));
  const answered = element("answered"), pair = answered && new AnswerMaps(answered, answers);
  const maps = about.layers.map((layer) => new LayerMaps(element("layers"), layer, about.steps, about.frames > 0));
  const table = new WorkTable(element("work"), about);
  const canvas = element("pad"), seen = element("seen");
  const shape = about.shape, blank = new Uint8Array(network.pixels * (about.frames || 1)), portrait = new Portrait(about);
  const pad = about.drawn ? new Pad(canvas, () => draw(), (says) => settle(says)) : null;
  const invitation = about.drawn ? "Draw a digit, or choose a test image." : `Choose a test ${about.what}.`;
  const slider = element("moment"), play = element("play");
  let sample = null, pixels = blank, waiting = false, turn = 0, result = null, moment = about.frames, player = null;

  function refresh() {
    waiting = false;
    const drawn = pad !== null && pad.strokes.length > 0;
    if (drawn) pixels = digit(pad.strokes);
    else pixels = sample ? sample.pixels : blank;
    result = network.run(pixels);
    const work = operations(about, pixels, result.layers);
    const spikes = result.layers.map((layer) => layer.spikes.reduce((sum, spike) => sum + spike, 0));
    table.show(work, spikes);
    showFigures(about, work, spikes);
    tellMoment();
  }

  // The answer, of a sequence the one behind the frame of the moment.
  function tellMoment() {
    const drawn = pad !== null && pad.strokes.length > 0, empty = !drawn && !sample;
    const logits = result.said ? result.said[moment - 1] : result.logits;
    const steps = moment || about.steps, label = sample && !drawn ? sample.label : null;
    const answer = empty ? null : answers.decide(logits, steps);
    const right = label === null ? null : answers.right(answer, label);
    scores.show(answers.bars(empty ? null : logits, steps, label));
    pair?.show(answer, label);
    maps.forEach((map, i) => (about.frames ? map.show(result.layers[i], moment) : map.show(result.layers[i])));
    element("class").textContent = empty ? "–" : answers.words(answer);
    element("verdict").textContent = empty ? invitation : answers.verdict(logits, steps, label);
    element("answer").className = right === null ? "reading" : right ? "reading right" : "reading wrong";
    paintInput();
  }

  function paintInput() {
    const ink = getComputedStyle(canvas).color;
    if (pad) {
      pad.draw(sample ? sample.pixels : null, shape);
      element("invitation").hidden = pad.strokes.length > 0 || sample !== null;
      element("undo").disabled = pad.strokes.length === 0;
      element("clear").disabled = pad.strokes.length === 0 && sample === null;
      [seen.height, seen.width] = shape.slice(1);
      seen.getContext("2d").drawImage(picture(pixels, shape, ink), 0, 0);
    } else {
      portrait.draw(canvas, pixels, moment, ink);
    }
    if (slider) {
      slider.value = moment;
      element("moment-says").textContent = `frame ${moment} of ${about.frames}`;
    }
  }

  function goTo(frame) {
    moment = frame;
    tellMoment();
  }

  function stop() {
    clearInterval(player);
    player = null;
    if (play) play.textContent = "Play";
  }

  function begin() {
    let next = moment < about.frames ? moment + 1 : 1;
    play.textContent = "Stop";
    player = setInterval(() => {
      goTo(next++);
      if (next > about.frames) stop();
    }, FRAME);
  }

  function draw() {
    if (pad.strokes.length && sample) {
      sample = null;
      samples.mark(-1);
    }
    if (!waiting) requestAnimationFrame(refresh);
    waiting = true;
  }

  function settle(says) {
    if (says === "Cleared.") {
      sample = null;
      samples.mark(-1);
    }
    refresh();
    const reads = element("class").textContent;
    element("said").textContent = reads === "–" ? says : `${says} The network ${answers.verb} ${reads}, ${element("verdict").textContent}.`.trim();
    measure();
  }

  function choose(chosen) {
    stop();
    sample = chosen;
    moment = about.frames;
    if (pad) pad.strokes = [];
    settle(`Test ${about.what} ${chosen.index}, labelled ${answers.words(chosen.label)}.`);
  }

  async function measure() {
    const mine = ++turn, image = pixels;
    await pause();
    const found = mine === turn ? await timed(network, image, () => mine === turn) : null;
    if (found) showTime(found);
  }

  element("next").addEventListener("click", () => samples.next());
  element("clear")?.addEventListener("click", () => pad.clear());
  element("undo")?.addEventListener("click", () => pad.undo());
  slider?.addEventListener("input", () => (stop(), goTo(Number(slider.value))));
  play?.addEventListener("click", () => (player === null ? begin() : stop()));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => (samples.draw(), paintInput()));
  window.addEventListener("resize", paintInput);
  samples.draw();
  samples.choose(0);
  element("said").textContent = "";
}

function tell(state, words) {
  element("selftest").className = `status ${state}`;
  element("selftest-says").textContent = words;
}

start().catch((error) => {
  const damaged = error instanceof WebAssembly.CompileError || error instanceof DOMException;
  element("main").hidden = true;
  element("selftest").setAttribute("role", "alert");
  tell("failed", `Self-test failed: ${damaged ? "the module is damaged" : error.message}. (${error.name})`);
});
