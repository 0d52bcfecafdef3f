// What MNIST's makers made of a picture: the digit fitted into 20x20 with smooth edges, its centre of mass in
// the middle of 28x28. The same as tensor/data/picture.py, whose resizing is Pillow's; see there.
const SIZE = 28, FIT = 20;
const FAINT = 0.25, NOISE = 0.1;

// Half goes to the even neighbour, as in Python and NumPy; Math.round goes up.
function roundEven(x) {
  const below = Math.floor(x), rest = x - below;
  if (rest !== 0.5) return rest < 0.5 ? below : below + 1;
  return below % 2 === 0 ? below : below + 1;
}

// ink: width x height numbers from 0, which is paper. Returns SIZE x SIZE bytes, or null where there is none.
function fitInk(ink, width, height) {
  let strongest = 0;
  for (let i = 0; i < ink.length; i++) if (ink[i] > strongest) strongest = ink[i];
  if (strongest < 0.05) return null;
  const box = findLimits(ink, width, height, strongest * FAINT);
  const cut = { width: box.right - box.left + 1, height: box.bottom - box.top + 1 };
  const part = new Float32Array(cut.width * cut.height);
  for (let y = 0, k = 0; y < cut.height; y++) {
    for (let x = 0; x < cut.width; x++, k++) {
      const share = ink[(box.top + y) * width + box.left + x] / strongest;
      part[k] = share > NOISE ? share : 0;
    }
  }
  const scale = FIT / Math.max(cut.width, cut.height);
  const small = { width: fitSide(cut.width * scale), height: fitSide(cut.height * scale) };
  return centre(resize(part, cut, small), small);
}

const fitSide = (n) => Math.max(1, roundEven(n));

// The first and last row and column with ink above `faint`.
function findLimits(ink, width, height, faint) {
  const box = { left: width, right: -1, top: height, bottom: -1 };
  for (let y = 0, k = 0; y < height; y++) {
    for (let x = 0; x < width; x++, k++) {
      if (!(ink[k] > faint)) continue;
      if (x < box.left) box.left = x;
      if (x > box.right) box.right = x;
      if (y < box.top) box.top = y;
      box.bottom = y;
    }
  }
  return box;
}

// --- resizing by Lanczos' kernel, three lobes wide, across and then down ---------------------------------

const sinc = (x) => (x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x));
const lanczos = (x) => (x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0);

// For each of `to` pixels: the first of the `from` pixels that it is made of, and their weights.
function weigh(from, to) {
  const scale = from / to, spread = Math.max(scale, 1), support = 3 * spread;
  return Array.from({ length: to }, (_, i) => {
    const middle = (i + 0.5) * scale;
    const first = Math.max(Math.trunc(middle - support + 0.5), 0);
    const last = Math.min(Math.trunc(middle + support + 0.5), from);
    const weights = [];
    for (let k = first; k < last; k++) weights.push(lanczos((k - middle + 0.5) / spread));
    const sum = weights.reduce((a, b) => a + b, 0);
    return { first, weights: weights.map((weight) => weight / sum) };
  });
}

function resize(values, { width, height }, to) {
  return resizeRows(resizeColumns(values, width, height, to.width), to.width, height, to.height);
}

function resizeColumns(values, width, height, to) {
  if (width === to) return values;
  const out = new Float32Array(to * height), places = weigh(width, to);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < to; x++) {
      const { first, weights } = places[x];
      let sum = 0;
      for (let k = 0, i = y * width + first; k < weights.length; k++, i++) sum += values[i] * weights[k];
      out[y * to + x] = sum;
    }
  }
  return out;
}

function resizeRows(values, width, height, to) {
  if (height === to) return values;
  const out = new Float32Array(width * to);
  weigh(height, to).forEach(({ first, weights }, y) => {
    for (let x = 0; x < width; x++) {
      let sum = 0;
      for (let k = 0; k < weights.length; k++) sum += values[(first + k) * width + x] * weights[k];
      out[y * width + x] = sum;
    }
  });
  return out;
}

// --- its place -------------------------------------------------------------------------------------------

// The digit in SIZE x SIZE, as bytes; its strongest ink is black: a thin pen would be pale after shrinking.
function centre(digit, { width, height }) {
  const shares = Float64Array.from(digit, (value) => Math.min(Math.max(value, 0), 1));
  let strongest = 0, mass = 0, down = 0, across = 0;
  for (let y = 0, k = 0; y < height; y++) {
    for (let x = 0; x < width; x++, k++) {
      strongest = Math.max(strongest, shares[k]);
      mass += shares[k];
      down += y * shares[k];
      across += x * shares[k];
    }
  }
  const place = (middle, n) => Math.min(Math.max(roundEven(SIZE / 2 - middle), 0), SIZE - n);
  const top = place(down / mass, height), left = place(across / mass, width);
  const out = new Uint8Array(SIZE * SIZE);
  for (let y = 0, k = 0; y < height; y++)
    for (let x = 0; x < width; x++, k++)
      out[(top + y) * SIZE + left + x] = roundEven((shares[k] / strongest) * 255);
  return out;
}
