// Synaptic operations, as the ledger of spquant counts them: an input that is not zero reaches all its outputs, but for
// those in blocks that a gate holds.

// Which values are not zero behind pools, [channels][height][width] each.
function pooled(active, shape, pools) {
  let [channels, height, width] = shape;
  for (const pool of pools) {
    const [rows, columns] = pool.size, next = new Uint8Array(channels * rows * columns);
    for (let c = 0, to = 0; c < channels; c++)
      for (let y = 0; y < rows; y++)
        for (let x = 0; x < columns; x++, to++) next[to] = seesAny(active, c * height * width, [height, width], pool, y, x);
    [active, height, width] = [next, rows, columns];
  }
  return active;
}

// Whether the window at (y, x) sees a value that is not zero, of a channel that starts at `from`.
function seesAny(active, from, [height, width], { factor, kernel, stride, dilation, padding }, y, x) {
  if (factor) return active[from + Math.floor(y / factor[0]) * width + Math.floor(x / factor[1])] && 1;
  for (let i = 0; i < kernel[0]; i++)
    for (let j = 0; j < kernel[1]; j++) {
      const row = y * stride[0] - padding[0] + i * dilation[0], column = x * stride[1] - padding[1] + j * dilation[1];
      if (row < 0 || row >= height || column < 0 || column >= width) continue;
      if (active[from + row * width + column]) return 1;
    }
  return 0;
}

// What neurons stored before step t.
function codesBefore(codes, t, steps) {
  const size = codes.length / steps;
  return t ? codes.subarray((t - 1) * size, t * size) : new Int8Array(size);
}

// For each term, the first of each layer before the others: operations of a dense network, and those done.
function operations(about, pixels, layers) {
  const sources = [{ values: pixels, shape: about.shape, steps: about.frames || 1 }];
  layers.forEach(({ spikes }, i) => sources.push({ values: spikes, shape: about.layers[i].shape, steps: about.steps }));
  return about.terms.map(({ source, delay, pools, passes, fanout, gate }, i) => {
    const { values, shape, steps } = sources[source], size = values.length / steps;
    let done = 0;
    for (let t = delay; t < passes; t++) {
      const at = steps > 1 ? t - delay : 0;
      const active = pooled(values.subarray(at * size, (at + 1) * size), shape, pools);
      for (let place = 0; place < active.length; place++) if (active[place]) done += fanout[place % fanout.length];
      if (gate) done -= leftOut(gate, active, codesBefore(layers[i].codes, t, about.steps), about.layers[i].shape);
    }
    return { dense: passes * shape[0] * fanout.reduce((sum, reach) => sum + reach, 0), done };
  });
}
