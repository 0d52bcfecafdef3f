// The plane: what the network, or one neuron, makes of each place in it, with lines and points above.

const { states, points, plane, grids, sizes, parameters, epochs, others } = JSON.parse(find("data").textContent);
const LEVELS = 1024; // of colour between the greatest number and its negative

// --- numbers in bytes ----------------------------------------------------------------------------------

// All fields of a layer at a state: one byte a number, 128 is zero.
const fieldCache = new Map();
function fieldsOf(k, layer) {
  const key = k * 8 + layer;
  if (!fieldCache.has(key)) {
    const text = atob(states[k].fields[layer]);
    fieldCache.set(key, Uint8Array.from(text, (character) => character.charCodeAt(0)));
  }
  return fieldCache.get(key);
}

// The inputs are what they are: the coordinates, from corner to corner.
const { left, right, bottom, top: upper } = plane;
const farthest = Math.max(...[left, right, bottom, upper].map(Math.abs));
const toByte = (x) => Math.round(128 + (127 * x) / farthest);
const INPUTS = [
  [left, right, left, right],
  [upper, upper, bottom, bottom],
].map((corners) => Uint8Array.from(corners, toByte));

// Bytes, columns and rows of what a neuron of a layer (0: the inputs) sums up over the plane.
function fieldOf(k, layer, index) {
  if (layer === 0) return { bytes: INPUTS[index], columns: 2, rows: 2 };
  const [columns, rows] = grids[layer - 1];
  const size = columns * rows;
  return { bytes: fieldsOf(k, layer - 1).subarray(index * size, (index + 1) * size), columns, rows };
}

// --- colours -------------------------------------------------------------------------------------------

let colours = {};

function readColours() {
  const style = getComputedStyle(document.documentElement);
  const read = (name) => {
    const hex = style.getPropertyValue(name).trim();
    return [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
  };
  const names = ["positive", "negative", "zero", "active"];
  const [positive, negative, zero, active] = names.map((name) => read(`--field-${name}`));
  colours = {
    signed: table((x) => mix(zero, x > 0 ? positive : negative, soften(Math.abs(x)))),
    active: table((x) => mix(zero, active, x > 0 ? 0.12 + 0.88 * x : 0)),
  };
}

// Half of the colour within the first sixth of the scale, and still more of it to the end.
const soften = (x) => (1.15 * x) / (x + 0.15);
const mix = (from, to, part) => from.map((channel, i) => Math.round(channel + (to[i] - channel) * part));

// Colours of numbers from -1 to 1 as the canvas keeps them.
function table(colour) {
  const bytes = new Uint8ClampedArray(4 * (LEVELS + 1));
  for (let level = 0; level <= LEVELS; level++) bytes.set([...colour((2 * level) / LEVELS - 1), 255], 4 * level);
  return new Uint32Array(bytes.buffer);
}

// A hidden neuron passes on what is above zero; the scale reaches to its greatest number.
const palette = (layer) => (layer === 1 || layer === 2 ? colours.active : colours.signed);
function reach(layer, { bytes }) {
  return layer === 1 || layer === 2 ? Math.max(1, bytes.reduce((most, byte) => Math.max(most, byte), 0) - 128) : 127;
}

// --- painting ------------------------------------------------------------------------------------------

// Between its numbers a field is taken to be linear in both directions.
function paint(canvas, { bytes, columns, rows }, colourTable, scale) {
  const { width, height } = canvas;
  if (!width || !height) return;
  const context = canvas.getContext("2d");
  const image = context.createImageData(width, height);
  const pixels = new Uint32Array(image.data.buffer);
  const half = LEVELS / 2;
  const factor = half / scale;
  const numbers = new Float64Array(columns); // of one line of pixels, as levels of colour
  const stride = (columns - 1) / width;
  for (let y = 0, at = 0; y < height; y++) {
    const v = ((y + 0.5) / height) * (rows - 1);
    const above = Math.min(rows - 2, Math.floor(v)) * columns;
    for (let c = above, i = 0; i < columns; c++, i++)
      numbers[i] = half + 0.5 + (bytes[c] + (bytes[c + columns] - bytes[c]) * (v - above / columns) - 128) * factor;
    // from number to number in equal steps: this runs for a million pixels
    for (let c = 0, x = 0; c < columns - 1; c++) {
      const end = c === columns - 2 ? width : Math.ceil((c + 1) / stride - 0.5);
      const step = (numbers[c + 1] - numbers[c]) * stride;
      let level = numbers[c] + ((x + 0.5) * stride - c) * (numbers[c + 1] - numbers[c]);
      for (; x < end; x++, at++, level += step) pixels[at] = colourTable[level <= 0 ? 0 : level >= LEVELS ? LEVELS : level | 0];
    }
  }
  context.putImageData(image, 0, 0);
}

function paintNeuron(canvas, k, layer, index) {
  const field = fieldOf(k, layer, index);
  paint(canvas, field, palette(layer), reach(layer, field));
}

// As many pixels as the screen has there; more than 2 a side nobody sees.
function fitCanvas(canvas) {
  const { width, height } = canvas.getBoundingClientRect();
  const density = Math.min(2, window.devicePixelRatio || 1);
  const size = [width, height].map((side) => Math.round(side * density));
  if (canvas.width === size[0] && canvas.height === size[1]) return false;
  [canvas.width, canvas.height] = size;
  return true;
}

// --- lines and points ----------------------------------------------------------------------------------

const tall = (plane.long * (upper - bottom)) / (right - left);
const drawn = {};

function buildPlane() {
  const svg = find("lines");
  svg.setAttribute("viewBox", `0 0 ${plane.long} ${tall}`);
  svg.setAttribute("preserveAspectRatio", "none");
  const path = (name) => {
    const element = makeSvg("path", { class: name, "vector-effect": "non-scaling-stroke" });
    svg.append(element);
    return element;
  };
  drawn.folds = states[0].folds.map((layer, l) => layer.map(() => path(`fold fold-${l + 1}`)));
  for (const name of ["margins", "halo", "boundary"]) drawn[name] = path(name);
  drawn.points = points.map(([x, y, label]) => {
    const shape =
      label > 0
        ? makeSvg("circle", { class: "point plus", cx: x, cy: y, r: 34 })
        : makeSvg("path", { class: "point minus", d: `M${x} ${y - 44}L${x + 44} ${y}L${x} ${y + 44}L${x - 44} ${y}Z` });
    const ring = makeSvg("circle", { class: "ring", cx: x, cy: y, r: 62, "vector-effect": "non-scaling-stroke" });
    shape.setAttribute("vector-effect", "non-scaling-stroke");
    svg.append(ring, shape);
    return { shape, ring };
  });
}

// shown: the layer (3 is the score) and the index of the neuron.
function drawPlane(k, shown) {
  const state = states[k];
  paintNeuron(find("field"), k, shown.layer, shown.index);
  const score = shown.layer === 3;
  find("plane").classList.toggle("of-neuron", !score);
  drawn.folds.forEach((layer, l) =>
    layer.forEach((path, i) => {
      path.setAttribute("d", state.folds[l][i]);
      path.classList.toggle("own", shown.layer === l + 1 && shown.index === i);
    })
  );
  drawn.boundary.setAttribute("d", state.boundary);
  drawn.halo.setAttribute("d", state.boundary);
  drawn.margins.setAttribute("d", state.margins);
  const wrong = new Set(state.wrong);
  drawn.points.forEach(({ ring }, i) => ring.classList.toggle("wrong", wrong.has(i)));
}
