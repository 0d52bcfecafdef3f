// Boards of numbered and coloured cells: SVG, as sharp at any size as the screen can be.
const CELL = 20; // units of the drawing
const SMALLEST_TEXT = 8; // CSS pixels; below it a board shows colours alone
const LARGEST_TEXT = 20;

// In full: every number here is a whole number of sixteenths, or of 1/256, which four decimals round.
const full = (x) => String(Number(x.toFixed(4)));

// In a cell there is no room for more than one decimal; "0.0" is not quite 0.
function brief(x) {
  if (Number.isInteger(x)) return String(x === 0 ? 0 : x);
  return Math.abs(x) < 10 ? x.toFixed(1) : String(Math.sign(x) * Math.round(Math.abs(x)));
}

const toneOf = (value) => (value > 0 ? "positive" : value < 0 ? "negative" : "zero");

// host: the element that gets the drawing. size: of its rows and of its columns; `ring` more cells around are
// the padding. most: the size that has the full colour. tone: "ink" for what is never negative. write: a number as
// text, none longer than `longest`. onPick(row, column): a cell was pressed, or dragged over.
function makeBoard(host, { size, most, longest, ring = 0, tone = "", ringText = "", write = brief, onPick = null }) {
  const whole = (size + 2 * ring) * CELL;
  const cells = makeSvg("g", { class: "cells" });
  const texts = makeSvg("g", { class: "texts", "text-anchor": "middle", "aria-hidden": "true" });
  const frames = ["halo", "frame"].map((name) => makeSvg("rect", { class: name, rx: 2 }));
  const svg = makeSvg("svg", { viewBox: [-ring * CELL, -ring * CELL, whole, whole].join(" ") });
  const marks = [];
  const add = (row, column, kind, text) => {
    const [x, y] = [column * CELL, row * CELL];
    const title = makeSvg("title");
    const rect = makeSvg("rect", { x, y, width: CELL, height: CELL, class: kind }, title);
    const label = makeSvg("text", { x: x + CELL / 2, y: y + CELL / 2, dy: "0.35em", class: kind }, text);
    cells.append(rect);
    texts.append(label);
    return { rect, label, title, value: undefined };
  };
  for (let row = 0; row < size; row++) {
    for (let column = 0; column < size; column++) marks.push(add(row, column, "missing", "·"));
  }
  const last = size + ring - 1;
  for (let row = -ring; ring && row <= last; row++) {
    for (let column = -ring; column <= last; column++) {
      if (Math.min(row, column) < 0 || Math.max(row, column) >= size) add(row, column, "ring", ringText);
    }
  }
  svg.append(cells, texts, ...frames);
  host.replaceChildren(svg);
  if (onPick) bindPicking(svg, size, ring, onPick);

  function fit() {
    const pixels = (svg.clientWidth || svg.getBoundingClientRect().width) / (size + 2 * ring);
    const text = Math.min(0.5 * pixels, (1.55 / longest) * pixels, LARGEST_TEXT); // a digit is 0.6 of it wide
    svg.classList.toggle("numbered", text >= SMALLEST_TEXT);
    texts.style.fontSize = `${(text / pixels) * CELL}px`;
  }

  // values: of all cells; null is not computed yet.
  function draw(values) {
    marks.forEach((mark, n) => {
      const value = values[n];
      if (mark.value === value) return;
      mark.value = value;
      const kind = value === null ? "missing" : value === 0 ? "zero" : tone || toneOf(value);
      mark.rect.setAttribute("class", kind);
      mark.label.setAttribute("class", kind);
      mark.rect.style.setProperty("--amount", value && most ? Math.abs(value) / most : 0);
      mark.label.textContent = value === null ? "·" : write(value);
      const where = `row ${Math.floor(n / size) + 1}, column ${(n % size) + 1}`;
      mark.title.textContent = `${where}: ${value === null ? "not computed yet" : full(value)}`;
    });
  }

  // Frame `span` cells from this row and column on; without a row, nothing.
  function place(row, column = 0, span = 1) {
    const at = { x: column * CELL, y: row * CELL, width: span * CELL, height: span * CELL };
    for (const frame of frames) {
      frame.classList.toggle("away", row === null);
      fill(frame, row === null ? {} : at, []);
    }
  }

  fit();
  return { svg, draw, place, fit };
}

function bindPicking(svg, size, ring, onPick) {
  const pick = (event) => {
    const box = svg.getBoundingClientRect();
    const at = (position, start, length) => Math.floor(((position - start) / length) * (size + 2 * ring)) - ring;
    onPick(at(event.clientY, box.top, box.height), at(event.clientX, box.left, box.width));
  };
  svg.classList.add("pickable");
  svg.addEventListener("pointerdown", (event) => {
    if (event.button === 0 && event.pointerType === "mouse") pick(event);
  });
  svg.addEventListener("pointermove", (event) => {
    if (event.buttons & 1 && event.pointerType === "mouse") pick(event);
  });
  svg.addEventListener("click", pick); // a finger that scrolls the page picks nothing
}

// The colours of a board, from the least to the most.
function drawLegend(element, most, tone = "") {
  const bar = make("span", { class: `bar ${tone || "signed"}` });
  const ends = most ? [tone ? "0" : brief(-most), brief(most)] : ["0", "0"];
  element.replaceChildren(make("span", { class: "number" }, ends[0]), bar, make("span", { class: "number" }, ends[1]));
}
