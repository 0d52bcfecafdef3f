// A trained network, computed here. Its layers come as data (viz/play/export.py); each gets a function that
// fills `values` from the values of the layer before. Sums are in float64, of the float32 weights.

// The numbers of a text in base64: float32 unless `bytes`, little-endian whatever the machine is.
function decode(text, bytes = false) {
  const raw = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  if (bytes) return raw;
  const view = new DataView(raw.buffer);
  return Float64Array.from({ length: raw.length / 4 }, (_, i) => view.getFloat32(4 * i, true));
}

const count = (shape) => shape.reduce((product, n) => product * n, 1);

// A copy with rows and columns added around each channel, filled once: what is within is written each time.
function makeFrame([channels, rows, columns], [above, below, left, right], filling) {
  const height = rows + above + below, width = columns + left + right;
  const values = new Float64Array(channels * height * width).fill(filling);
  const put = (input) => {
    for (let c = 0, from = 0; c < channels; c++) {
      let to = (c * height + above) * width + left;
      for (let y = 0; y < rows; y++, from += columns, to += width)
        for (let x = 0; x < columns; x++) values[to + x] = input[from + x];
    }
  };
  return { values, height, width, put };
}

// How many windows fit into n.
const windows = (n, kernel, stride, dilation) => Math.floor((n - dilation * (kernel - 1) - 1) / stride) + 1;

// Where each number that a window shows stands, counted from its first: channel by channel, row by row.
function listTaps(channels, plane, [down, across], [dilationDown, dilationAcross], width) {
  const taps = [];
  for (let c = 0; c < channels; c++)
    for (let y = 0; y < down; y++)
      for (let x = 0; x < across; x++) taps.push(c * plane + y * dilationDown * width + x * dilationAcross);
  return Int32Array.from(taps);
}

// out[o * step + at] = bias[o] + the sum of weight[o, i] * one[i], for all o, and the same of `two` at `to`.
// Eight sums at a time: one would wait for itself at each addition, and a weight that is read serves twice.
function multiply(weight, bias, one, two, out, at, to, step) {
  const outputs = bias.length, inputs = one.length;
  let o = 0;
  for (; o + 4 <= outputs; o += 4) {
    let a = bias[o], b = bias[o + 1], c = bias[o + 2], d = bias[o + 3];
    let e = a, f = b, g = c, h = d;
    const first = o * inputs, second = first + inputs, third = second + inputs, fourth = third + inputs;
    for (let i = 0; i < inputs; i++) {
      const x = one[i], y = two[i];
      const w0 = weight[first + i], w1 = weight[second + i], w2 = weight[third + i], w3 = weight[fourth + i];
      a += w0 * x;
      b += w1 * x;
      c += w2 * x;
      d += w3 * x;
      e += w0 * y;
      f += w1 * y;
      g += w2 * y;
      h += w3 * y;
    }
    [a, b, c, d].forEach((sum, n) => (out[(o + n) * step + at] = sum));
    [e, f, g, h].forEach((sum, n) => (out[(o + n) * step + to] = sum));
  }
  for (; o < outputs; o++) {
    let a = bias[o], e = a;
    for (let i = 0; i < inputs; i++) {
      a += weight[o * inputs + i] * one[i];
      e += weight[o * inputs + i] * two[i];
    }
    out[o * step + at] = a;
    out[o * step + to] = e;
  }
}

function makeLinear({ inputs, outputs, weight, bias }) {
  const w = decode(weight), b = bias === null ? new Float64Array(outputs) : decode(bias);
  const values = new Float64Array(outputs);
  const run = (input) => multiply(w, b, input, input, values, 0, 0, 1);
  return { shape: [outputs], values, run, weight: w, weightShape: [outputs, inputs] };
}

// A linear layer at each place, two at a time, on what its window shows; with groups, one for each.
function makeConv({ inputs, outputs, groups, kernel, stride, dilation, padding, weight, bias }, shape) {
  const w = decode(weight), b = bias === null ? new Float64Array(outputs) : decode(bias);
  const frame = makeFrame(shape, padding, 0);
  const rows = windows(frame.height, kernel[0], stride[0], dilation[0]);
  const columns = windows(frame.width, kernel[1], stride[1], dilation[1]);
  const area = rows * columns, plane = frame.height * frame.width;
  const taps = listTaps(inputs / groups, plane, kernel, dilation, frame.width);
  const values = new Float64Array(outputs * area), each = outputs / groups;
  const one = new Float64Array(taps.length), two = new Float64Array(taps.length);
  const firsts = Int32Array.from({ length: area }, (_, place) => {
    const x = place % columns;
    return ((place - x) / columns) * stride[0] * frame.width + x * stride[1];
  });
  const parts = Array.from({ length: groups }, (_, g) => ({
    weight: w.subarray(g * each * taps.length, (g + 1) * each * taps.length),
    bias: b.subarray(g * each, (g + 1) * each),
    from: g * (inputs / groups) * plane,
    to: g * each * area,
  }));
  const run = (input) => {
    frame.put(input);
    const framed = frame.values;
    for (const part of parts) {
      for (let place = 0; place < area; place += 2) {
        const next = Math.min(place + 1, area - 1); // the last one of an odd number stands for two
        const first = part.from + firsts[place], second = part.from + firsts[next];
        for (let t = 0; t < taps.length; t++) {
          one[t] = framed[first + taps[t]];
          two[t] = framed[second + taps[t]];
        }
        multiply(part.weight, part.bias, one, two, values, part.to + place, part.to + next, area);
      }
    }
  };
  const weightShape = [outputs, inputs / groups, ...kernel];
  return { shape: [outputs, rows, columns], values, run, weight: w, weightShape };
}

function makePool({ kernel, stride, dilation, padding }, shape) {
  const frame = makeFrame(shape, padding, -Infinity);
  const rows = windows(frame.height, kernel[0], stride[0], dilation[0]);
  const columns = windows(frame.width, kernel[1], stride[1], dilation[1]);
  const taps = listTaps(1, 0, kernel, dilation, frame.width);
  const values = new Float64Array(shape[0] * rows * columns);
  const run = (input) => {
    frame.put(input);
    const framed = frame.values;
    for (let c = 0, k = 0; c < shape[0]; c++)
      for (let y = 0; y < rows; y++)
        for (let x = 0; x < columns; x++, k++) {
          const first = (c * frame.height + y * stride[0]) * frame.width + x * stride[1];
          let largest = -Infinity;
          for (let t = 0; t < taps.length; t++) largest = Math.max(largest, framed[first + taps[t]]);
          values[k] = largest;
        }
  };
  return { shape: [shape[0], rows, columns], values, run };
}

function makeElementwise(formula, shape) {
  const values = new Float64Array(count(shape));
  const run = (input) => {
    for (let i = 0; i < values.length; i++) values[i] = formula(input[i]);
  };
  return { shape, values, run };
}

const MAKERS = {
  linear: makeLinear,
  conv: makeConv,
  pool: makePool,
  relu: (_, shape) => makeElementwise((x) => (x > 0 ? x : 0), shape),
  tanh: (_, shape) => makeElementwise(Math.tanh, shape),
  sigmoid: (_, shape) => makeElementwise((x) => 1 / (1 + Math.exp(-x)), shape),
  flatten: (_, shape) => ({ shape: [count(shape)], values: new Float64Array(count(shape)), run: null }),
};

// The layers, and run(input) -> the values of the last of them, which the next run overwrites.
function buildNetwork(descriptions, shape) {
  const layers = [];
  for (const description of descriptions) {
    const layer = { kind: description.kind, description, ...MAKERS[description.kind](description, shape) };
    layers.push(layer);
    shape = layer.shape;
  }
  const run = (input) => {
    for (const layer of layers) {
      if (layer.run === null) layer.values = input; // the same numbers in another shape
      else layer.run(input);
      input = layer.values;
    }
    return input;
  };
  return { layers, run };
}

// (byte / 255 - mean) / std in float32, as tensor.models.normalize has it.
function makeNormalization(mean, std) {
  const levels = Float64Array.from({ length: 256 }, (_, byte) => Math.fround((byte / 255 - mean) / std));
  return (pixels) => Float64Array.from(pixels, (byte) => levels[byte]);
}

function softmax(logits) {
  const largest = Math.max(...logits);
  const powers = Array.from(logits, (logit) => Math.exp(logit - largest));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / sum);
}
