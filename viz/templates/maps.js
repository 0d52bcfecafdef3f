// Numbers as pictures: ink, and maps of values above zero in one colour and below it in another.

function makeCanvas(width, height) {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  return canvas;
}

const colourOf = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const split = (colour) => [1, 3, 5].map((n) => parseInt(colour.slice(n, n + 2), 16));

// SIZE x SIZE bytes of ink in a colour, on nothing.
function paintInk(pixels, colour, canvas = makeCanvas(SIZE, SIZE)) {
  const context = canvas.getContext("2d"), image = context.createImageData(SIZE, SIZE);
  const [red, green, blue] = split(colour);
  pixels.forEach((byte, k) => image.data.set([red, green, blue, byte], 4 * k));
  context.putImageData(image, 0, 0);
  return canvas;
}

// A table of colours from -1 to 1, 0 in the middle; as the theme has them.
const STEPS = 127;
function makePalette() {
  const ends = [colourOf("--negative"), colourOf("--positive")].map(split), middle = split(colourOf("--panel"));
  const table = new Uint32Array(2 * STEPS + 1), bytes = new Uint8ClampedArray(table.buffer);
  for (let n = -STEPS; n <= STEPS; n++) {
    const end = ends[n < 0 ? 0 : 1], share = Math.abs(n) / STEPS;
    bytes.set([...middle.map((m, i) => m + (end[i] - m) * share), 255], 4 * (n + STEPS));
  }
  return table;
}

// How many columns a grid of n cells has: some two times its rows, and no row unfinished where that can be.
function columnsFor(n) {
  const wanted = Math.sqrt(2 * n), off = (k) => Math.max(k / wanted, wanted / k);
  let best = Math.ceil(wanted);
  for (let k = 1; k <= n; k++) if (n % k === 0 && off(k) < 1.5 && (n % best || off(k) < off(best))) best = k;
  return best;
}

// A grid of `cells` pictures of rows x columns on a canvas, as sharp as the screen is.
function makeGrid(canvas, cells, rows, columns) {
  const across = columnsFor(cells), down = Math.ceil(cells / across);
  const atlas = makeCanvas(columns, rows * cells);
  const atlasContext = atlas.getContext("2d"), image = atlasContext.createImageData(columns, rows * cells);
  const words = new Uint32Array(image.data.buffer), context = canvas.getContext("2d");
  canvas.style.setProperty("aspect-ratio", `${across * columns} / ${down * rows}`);

  // Whole pixels of the screen, and a gap between neighbours.
  function place(cell) {
    const wide = canvas.width / across, high = (wide * rows) / columns;
    const gap = cells > 1 ? Math.max(1, Math.round(Math.min(wide * 0.1, 3 * devicePixelRatio))) : 0;
    const x = cell % across, y = Math.floor(cell / across);
    const left = Math.round(x * wide), top = Math.round(y * high);
    return [left, top, Math.round((x + 1) * wide) - left - gap, Math.round((y + 1) * high) - top - gap];
  }

  return {
    across,
    down,
    // values: cells x rows x columns, where `scale` has the full colour. chosen: the cell with a frame, or -1.
    draw(values, scale, palette, chosen) {
      const width = Math.round(canvas.clientWidth * devicePixelRatio);
      const height = Math.round((width * down * rows) / (across * columns));
      if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
      context.clearRect(0, 0, width, height);
      const factor = scale > 0 ? STEPS / scale : 0;
      for (let k = 0; k < words.length; k++)
        words[k] = palette[STEPS + Math.round(Math.min(Math.max(values[k] * factor, -STEPS), STEPS))];
      atlasContext.putImageData(image, 0, 0);
      context.imageSmoothingEnabled = false;
      for (let cell = 0; cell < cells; cell++)
        context.drawImage(atlas, 0, cell * rows, columns, rows, ...place(cell));
      if (chosen < 0 || cells === 1) return;
      const [x, y, wide, high] = place(chosen), line = Math.max(2, Math.round(2 * devicePixelRatio));
      context.strokeStyle = colourOf("--ink");
      context.lineWidth = line;
      context.strokeRect(x - line / 2 + 1, y - line / 2 + 1, wide + line - 2, high + line - 2);
    },
    // Which cell is at a point of the window; -1 between them.
    find(clientX, clientY) {
      const box = canvas.getBoundingClientRect();
      const x = Math.floor(((clientX - box.left) / box.width) * across);
      const y = Math.floor(((clientY - box.top) / box.height) * down);
      const cell = y * across + x;
      return x >= 0 && x < across && y >= 0 && cell < cells ? cell : -1;
    },
  };
}
