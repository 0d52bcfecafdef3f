// The recording: one run of it (a digit, a kernel, a stride, a padding, a loss) and what holds after each cell.
const recording = JSON.parse(find("data").textContent);

// Whole numbers of 1 / unit: "0*20" stands for twenty zeros. Exact, and so is every sum of them here.
function readWholes(text, unit) {
  const values = [];
  for (const token of text.split(" ")) {
    const [whole, count] = token.split("*");
    for (let n = Number(count ?? 1); n > 0; n--) values.push(Number(whole) / unit);
  }
  return values;
}

// choice: an index into each list of the recording. Outputs and their gradients are in rows of `out`.
function readRun(choice) {
  const kernel = recording.kernels[choice.kernel];
  const recorded = recording.runs[choice.size][choice.digit][choice.kernel][choice.stride][choice.padding];
  const { loss, gy, gx, gw } = recorded.losses[choice.loss];
  const run = {
    size: recording.sizes[choice.size],
    stride: recording.strides[choice.stride],
    padding: recording.paddings[choice.padding],
    k: kernel.size,
    kernel,
    lossName: recording.losses[choice.loss][0],
    loss,
    x: readWholes(recording.pictures[choice.size][choice.digit], 1),
    w: readWholes(kernel.weights, kernel.unit),
    y: readWholes(recorded.y, kernel.unit),
    gy: readWholes(gy, kernel.unit),
    gx: readWholes(gx, kernel.unit ** 2),
    gw: readWholes(gw, kernel.unit),
  };
  run.count = run.y.length;
  run.out = Math.sqrt(run.count);
  return { ...run, ...largestSums(run) };
}

// The pixels under the kernel at an output cell, in the order of the weights: their index, or -1 in the padding.
function windowOf(run, cell) {
  const top = Math.floor(cell / run.out) * run.stride - run.padding;
  const left = (cell % run.out) * run.stride - run.padding;
  const inside = (n) => n >= 0 && n < run.size;
  return run.w.map((_, n) => {
    const row = top + Math.floor(n / run.k);
    const column = left + (n % run.k);
    return inside(row) && inside(column) ? row * run.size + column : -1;
  });
}

const inkAt = (run, pixel) => (pixel < 0 ? 0 : run.x[pixel]);

// The products at an output cell, of which its value is the sum.
const productsAt = (run, cell) => windowOf(run, cell).map((pixel, n) => inkAt(run, pixel) * run.w[n]);

// An output cell passes its gradient on: to the pixels that it saw, times the weights; to the weights, times the
// pixels.
function passOn(run, cell, gx, gw) {
  const gradient = run.gy[cell];
  windowOf(run, cell).forEach((pixel, n) => {
    if (pixel >= 0) gx[pixel] += gradient * run.w[n];
    gw[n] += gradient * inkAt(run, pixel);
  });
}

// Both gradients after the first `cells` output cells: null where nothing has arrived. After all of them, the engine's.
function sumsAfter(run, cells) {
  if (cells === run.count) return { gx: run.gx, gw: run.gw };
  const gx = run.gx.map(() => null);
  const gw = run.gw.map(() => null);
  for (let cell = 0; cell < cells; cell++) passOn(run, cell, gx, gw);
  return { gx, gw };
}

// The largest size that a partial sum takes on the way, for the colours; and whether the last ones are the
// engine's gradients, to the last bit.
function largestSums(run) {
  const gx = run.gx.map(() => 0); // a pixel that no window covers keeps it, as the engine's does
  const gw = run.gw.map(() => 0);
  let mostX = 0, mostW = 0;
  for (let cell = 0; cell < run.count; cell++) {
    passOn(run, cell, gx, gw);
    for (const pixel of windowOf(run, cell)) if (pixel >= 0) mostX = Math.max(mostX, Math.abs(gx[pixel]));
    mostW = Math.max(mostW, largest(gw));
  }
  const same = (mine, engines) => mine.every((value, n) => value === engines[n]);
  return { mostX, mostW, agrees: same(gx, run.gx) && same(gw, run.gw) };
}

const largest = (values) => values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);

// --- states: 0 is before everything, `count` after the last output, then the loss, then the way back ----------

const statesOf = (run) => 2 * run.count + 2;
const isBackward = (run, k) => k > run.count;

// The output cell that a state has just computed or has just sent back; -1 where there is none.
const cellOf = (run, k) => (isBackward(run, k) ? k - run.count - 2 : k - 1);

const stateOf = (run, cell, backward) => cell + (backward ? run.count + 2 : 1);

// Nothing to see: a blank window, or no gradient to pass on. Playing leaves such states out.
function isIdle(run, k) {
  const cell = cellOf(run, k);
  if (cell < 0) return false;
  if (isBackward(run, k)) return run.gy[cell] === 0;
  return windowOf(run, cell).every((pixel) => inkAt(run, pixel) === 0);
}
