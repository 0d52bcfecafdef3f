// A line chart in SVG: axes, names at the ends of the lines, and a mark at a step. Sharp at any width: it is drawn
// in pixels, anew where its element changes its size.

const CHART = { top: 12, bottom: 40, left: 58, gap: 8, line: 15 };

// Ticks at 1, 2 or 5 times a power of ten.
function niceTicks(low, high, most) {
  const rough = (high - low) / Math.max(1, most);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough * 0.999);
  const ticks = [];
  for (let n = Math.ceil(low / step - 1e-9); n * step <= high + step * 1e-9; n++) ticks.push(n * step);
  return ticks;
}

// Ticks between two logarithms: powers of ten; where there are not two of them 1, 2 and 5 times those, and where
// these are too few as well, ticks of plain numbers.
function logTicks(low, high, most) {
  const first = Math.ceil(low - 1e-9), last = Math.floor(high + 1e-9);
  const every = Math.max(1, Math.ceil((last - first + 1) / most));
  const ticks = [];
  for (let n = Math.ceil(first / every) * every; n <= last; n += every) ticks.push(n);
  if (ticks.length > 1) return ticks;
  const between = [];
  for (let n = first - 1; n <= last + 1; n++) for (const factor of [1, 2, 5]) between.push(n + Math.log10(factor));
  const inside = between.filter((x) => x >= low - 1e-9 && x <= high + 1e-9);
  if (inside.length > 1) return inside;
  return niceTicks(10 ** low, 10 ** high, Math.max(2, most)).filter((x) => x > 0).map(Math.log10);
}

const SUPERSCRIPTS = { "-": "⁻", 0: "⁰", 1: "¹", 2: "²", 3: "³", 4: "⁴", 5: "⁵", 6: "⁶", 7: "⁷", 8: "⁸", 9: "⁹" };
const isExtreme = (x) => x !== 0 && (Math.abs(x) >= 1e5 || Math.abs(x) < 1e-4);
const writeTick = (x) => (isExtreme(x) ? Number(x.toPrecision(6)).toExponential().replace("e+", "e") : String(Number(x.toPrecision(6))));

function writeLogTick(power) {
  const n = Math.round(power);
  if (Math.abs(power - n) > 1e-9 || (n >= -2 && n <= 3)) return writeTick(10 ** power);
  return `10${[...String(n)].map((character) => SUPERSCRIPTS[character]).join("")}`;
}

// What a scale must hold: from the least to the greatest number that can be drawn, and a little more.
function findRange(values, log) {
  const drawn = values.filter((x) => Number.isFinite(x) && (!log || x > 0)).map((x) => (log ? Math.log10(x) : x));
  if (!drawn.length) return [0, 1];
  const low = Math.min(...drawn), high = Math.max(...drawn);
  const margin = (high - low) * 0.06 || Math.abs(high) * 0.1 || 1;
  return [!log && low >= 0 && low < margin * 3 ? 0 : low - margin, high + margin];
}

// Move labels apart that would overlap; `places` in the order of the labels.
function spread(places, height, low, high) {
  const order = places.map((_, i) => i).sort((a, b) => places[a] - places[b]);
  const moved = [...places];
  let above = low - height;
  for (const i of order) above = moved[i] = Math.max(places[i], above + height);
  let below = high + height;
  for (const i of order.reverse()) below = moved[i] = Math.min(moved[i], below - height);
  return moved;
}

let charts = 0;

// series: [{name, values, slot}]; values[k] belongs to step k, what is not finite is left out; slot: 1 to 6.
// limits: [low, high] of y; by default all that is finite. first: the step of values[0]. log: y by powers of ten.
// describe: what the chart shows, in words, or a function of the series that says it. pick(k): a step was
// clicked or dragged to; keys have the slider.
function lineChart(svg, { series, xLabel, yLabel, log = false, limits = null, first = 0, describe = "", pick = null }) {
  let at = 0;
  let place = null; // what the last drawing came to: x(k), y(value), its frame, the elements of each series
  const id = `past-${(charts += 1)}`;
  svg.classList.add("chart");
  svg.setAttribute("role", "img");

  function draw() {
    const { width, height } = svg.getBoundingClientRect();
    if (!width || !height) return;
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    svg.setAttribute("aria-label", typeof describe === "function" ? describe(series) : describe);
    svg.replaceChildren();
    const text = textScale();
    const names = series.map(({ name, slot }) => {
      const label = makeSvg("text", { class: `name slot-${slot}`, "dominant-baseline": "middle" }, name);
      svg.append(label);
      return label;
    });
    const room = names.length > 1 ? Math.max(...names.map((label) => label.getComputedTextLength())) + CHART.gap + 4 : 12;
    const frame = { left: CHART.left * text, right: width - room, top: CHART.top, bottom: height - CHART.bottom * text };
    const count = Math.max(2, ...series.map(({ values }) => values.length));
    const [low, high] = limits ? limits.map((x) => (log ? Math.log10(x) : x)) : findRange(series.flatMap(({ values }) => values), log);
    const x = (k) => frame.left + (k / (count - 1)) * (frame.right - frame.left);
    const y = (value) => {
      const scaled = log ? (value > 0 ? Math.log10(value) : -Infinity) : value;
      // far outside is just outside: a browser draws no line to 1e300
      const part = Math.max(-9, Math.min(9, (scaled - low) / (high - low)));
      return frame.bottom - part * (frame.bottom - frame.top);
    };
    place = { x, y, frame, count, text };
    drawAxes(frame, low, high);
    const clips = makeSvg("defs", {}, clipTo(`${id}-all`, frame, frame.right), clipTo(id, frame, frame.left));
    svg.append(clips);
    place.clip = clips.lastElementChild.firstElementChild;
    place.points = series.map((line) => drawLine(line));
    placeNames(names);
    place.now = makeSvg("line", { class: "now", y1: frame.top, y2: frame.bottom });
    svg.append(place.now, ...place.points);
    mark(at);
  }

  function clipTo(name, { left, top, bottom }, right) {
    const box = { x: left, y: top - 4, width: Math.max(0, right - left), height: bottom - top + 4 };
    return makeSvg("clipPath", { id: name }, makeSvg("rect", box));
  }

  function drawAxes(frame, low, high) {
    const { text } = place;
    const rows = Math.max(2, Math.floor((frame.bottom - frame.top) / (38 * text)));
    for (const value of log ? logTicks(low, high, rows) : niceTicks(low, high, rows)) {
      const y = frame.bottom - ((value - low) / (high - low)) * (frame.bottom - frame.top);
      svg.append(
        makeSvg("line", { class: "grid", x1: frame.left, x2: frame.right, y1: y, y2: y }),
        makeSvg("text", { class: "tick", x: frame.left - 6, y, "text-anchor": "end", "dominant-baseline": "middle" },
          log ? writeLogTick(value) : writeTick(value))
      );
    }
    const columns = Math.max(2, Math.floor((frame.right - frame.left) / (70 * text)));
    for (const step of niceTicks(first, first + place.count - 1, columns)) {
      if (step !== Math.round(step)) continue;
      const x = place.x(step - first);
      svg.append(
        makeSvg("line", { class: "axis", x1: x, x2: x, y1: frame.bottom, y2: frame.bottom + 4 }),
        makeSvg("text", { class: "tick", x, y: frame.bottom + 16 * text, "text-anchor": "middle" }, writeTick(step))
      );
    }
    const middle = (frame.top + frame.bottom) / 2;
    const side = 14 * text;
    svg.append(
      makeSvg("line", { class: "axis", x1: frame.left, x2: frame.right, y1: frame.bottom, y2: frame.bottom }),
      makeSvg("text", { x: (frame.left + frame.right) / 2, y: frame.bottom + 34 * text, "text-anchor": "middle" }, xLabel),
      makeSvg("text", { x: side, y: middle, transform: `rotate(-90 ${side} ${middle})`, "text-anchor": "middle" }, yLabel)
    );
  }

  function drawLine({ values, slot }) {
    let path = "";
    values.forEach((value, k) => {
      if (Number.isNaN(value)) return;
      const begins = k === 0 || Number.isNaN(values[k - 1]);
      path += `${begins ? "M" : "L"}${place.x(k).toFixed(1)} ${place.y(value).toFixed(1)}`;
    });
    svg.append(
      makeSvg("path", { class: `whole slot-${slot}`, d: path, "clip-path": `url(#${id}-all)` }),
      makeSvg("path", { class: `past slot-${slot}`, d: path, "clip-path": `url(#${id})` })
    );
    return makeSvg("circle", { class: `point slot-${slot}`, r: 4 });
  }

  // At the end of each line, where it leaves the picture at its edge.
  function placeNames(names) {
    const { x, y, frame } = place;
    if (names.length < 2) return names.forEach((label) => label.remove());
    const ends = series.map(({ values }) => {
      const end = values.findLastIndex((value) => !Number.isNaN(value));
      return Math.max(frame.top, Math.min(frame.bottom, end < 0 ? frame.bottom : y(values[end])));
    });
    spread(ends, CHART.line * place.text, frame.top, frame.bottom).forEach((height, i) => {
      names[i].setAttribute("x", x(place.count - 1) + CHART.gap);
      names[i].setAttribute("y", height);
      svg.append(names[i]);
    });
  }

  function mark(k) {
    at = k;
    if (!place) return;
    const { x, y, frame, count, now, clip, points } = place;
    const here = x(Math.min(k, count - 1));
    now.setAttribute("x1", here);
    now.setAttribute("x2", here);
    clip.setAttribute("width", Math.max(0, here - frame.left));
    points.forEach((point, i) => {
      const { values } = series[i];
      const height = k < values.length ? y(values[k]) : NaN;
      const inside = height >= frame.top - 5 && height <= frame.bottom + 5;
      point.setAttribute("visibility", inside ? "visible" : "hidden");
      if (!inside) return;
      point.setAttribute("cx", here);
      point.setAttribute("cy", height);
    });
  }

  function update(newSeries, changes = {}) {
    series = newSeries;
    if ("limits" in changes) limits = changes.limits;
    if ("yLabel" in changes) yLabel = changes.yLabel;
    draw();
  }

  function pickAt(event) {
    if (!place || !(event.buttons & 1)) return;
    const { frame, count } = place;
    const part = (event.clientX - svg.getBoundingClientRect().left - frame.left) / (frame.right - frame.left);
    pick(Math.max(0, Math.min(count - 1, Math.round(part * (count - 1)))));
  }

  if (pick) {
    svg.classList.add("pickable");
    svg.addEventListener("pointerdown", (event) => {
      svg.setPointerCapture(event.pointerId);
      pickAt(event);
    });
    svg.addEventListener("pointermove", pickAt);
  }
  new ResizeObserver(draw).observe(svg);
  return { mark, update };
}
