// Synaptic operations, as the ledger of spquant counts them: an input that is not zero reaches all its outputs, but for
// those in blocks that a gate holds.

// Which values are not zero behind pools, [channels][height][width] each.
function pooled(active, shape, pools) {
  let [channels, height, width] = shape;
  for (const [kernel, stride] of pools) {
    const rows = Math.floor((height - kernel) / stride) + 1, columns = Math.floor((width - kernel) / stride) + 1;
    const next = new Uint8Array(channels * rows * columns);
    for (let c = 0, to = 0; c < channels; c++)
      for (let y = 0; y < rows; y++)
        for (let x = 0; x < columns; x++, to++)
          for (let k = 0; k < kernel * kernel && !next[to]; k++) {
            const row = y * stride + Math.floor(k / kernel), column = x * stride + (k % kernel);
            next[to] = active[(c * height + row) * width + column] && 1;
          }
    [active, height, width] = [next, rows, columns];
  }
  return active;
}

// What neurons stored before step t.
function codesBefore(codes, t, steps) {
  const size = codes.length / steps;
  return t ? codes.subarray((t - 1) * size, t * size) : new Int8Array(size);
}

// For each connection, those of shortcuts last: operations of a dense network, and those done.
function operations(about, pixels, layers) {
  const sources = [{ values: pixels, shape: about.shape, steps: 1 }];
  layers.forEach(({ spikes }, i) => sources.push({ values: spikes, shape: about.layers[i].shape, steps: about.steps }));
  return about.connections.map(({ source, pools, passes, fanout, gate }, i) => {
    const { values, shape, steps } = sources[source], size = values.length / steps;
    let done = 0;
    for (let t = 0; t < steps; t++) {
      const active = pooled(values.subarray(t * size, (t + 1) * size), shape, pools);
      for (let place = 0; place < active.length; place++) if (active[place]) done += fanout[place % fanout.length];
      if (gate) done -= leftOut(gate, active, codesBefore(layers[i].codes, t, about.steps), about.layers[i].shape);
    }
    return { dense: passes * shape[0] * fanout.reduce((sum, reach) => sum + reach, 0), done };
  });
}
