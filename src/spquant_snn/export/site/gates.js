// Blocks of 32 channels at one place that a gate leaves as they are in a step: what they would have added up is not done.

const BLOCK = 32;

// How many active inputs a window of rows x columns holds, whose upper left corner lies at (top, left).
function within(plane, [height, width], top, left, rows, columns) {
  let sum = 0;
  for (let y = Math.max(0, top); y < Math.min(height, top + rows); y++)
    for (let x = Math.max(0, left); x < Math.min(width, left + columns); x++) sum += plane[y * width + x];
  return sum;
}

// Operations that a gate leaves out in a step.
//   gate      its integers for each block, and the windows of its connection
//   active    inputs behind the pools that are not zero, [channels][places]
//   before    codes stored before the step, [channels][places]
function leftOut(gate, active, before, [channels, height, width]) {
  const { input, kernel: [rows, columns], stride: [down, right], padding: [above, beside], pool, positions } = gate;
  const places = height * width, plane = new Int32Array(input[0] * input[1]);
  active.forEach((value, i) => (plane[i % plane.length] += value));
  const [tall, wide] = [0, 1].map((axis) => (pool.kernel[axis] - 1) * pool.dilation[axis]);
  let left = 0;
  for (let block = 0; block * BLOCK < channels; block++) {
    const first = block * BLOCK, last = Math.min(channels, first + BLOCK);
    const needed = new Uint8Array(positions[0] * positions[1]); // 1: added up by held blocks alone, 2: by a computed one
    for (let place = 0; place < places; place++) {
      const y = pool.stride[0] * Math.floor(place / width) - pool.padding[0];
      const x = pool.stride[1] * (place % width) - pool.padding[1];
      const met = within(plane, input, y * down - above, x * right - beside, tall * down + rows, wide * right + columns);
      let stored = 0;
      for (let c = first; c < last; c++) stored += before[c * places + place];
      const held = gate.count[block] * met + gate.code[block] * stored < gate.least[block];
      for (let i = 0; i <= tall; i += pool.dilation[0])
        for (let j = 0; j <= wide; j += pool.dilation[1]) {
          if (y + i < 0 || y + i >= positions[0] || x + j < 0 || x + j >= positions[1]) continue;
          const at = (y + i) * positions[1] + x + j;
          needed[at] = Math.max(needed[at], held ? 1 : 2);
        }
    }
    needed.forEach((state, at) => {
      if (state !== 1) return;
      const y = Math.floor(at / positions[1]), x = at % positions[1];
      left += (last - first) * within(plane, input, y * down - above, x * right - beside, rows, columns);
    });
  }
  return left;
}
