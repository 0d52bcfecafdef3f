// The page of the optimizers. Every walk was recorded; what is chosen here says only which ones are shown.
const { optimizers, rates, size, surfaces } = JSON.parse(find("data").textContent);
const map = find("map");
const DASH = "–";

let surface = surfaces[0];
let start = 0;
let chosen = [...surface.best[start]]; // the rate of each optimizer, by number
let walks = []; // of each optimizer: {x, y, loss, end}; where it got lost, `end` is the last step it has

// --- what is chosen ---------------------------------------------------------------------------------------

const option = (value, text) => make("option", { value }, text);
const isBest = () => chosen.every((rate, n) => rate === surface.best[start][n]);
const isOne = () => chosen.every((rate) => rate === chosen[0]);

function read(walk) {
  const [x, y, loss] = [walk.x, walk.y, walk.loss].map((numbers) => numbers.map(unpack));
  return { x, y, loss, end: loss.length - 1 };
}

const isLost = (walk, k) => walk.end < surface.steps && k >= walk.end;

function showChoices() {
  find("rates").value = isBest() ? "best" : isOne() ? String(chosen[0]) : "own";
  rows.forEach(({ select }, n) => (select.value = chosen[n]));
}

// Another surface, start or rate: the step stays, and an end stays an end.
function change() {
  const atEnd = player.at() >= count() - 1;
  walks = chosen.map((rate, n) => read(surface.walks[start][n][rate]));
  showChoices();
  drawMap();
  chart.update(series(), { limits: limits() });
  player.setCount(surface.steps + 1);
  player.goto(atEnd && !player.playing() ? surface.steps : player.at());
}

function changeSurface(n) {
  surface = surfaces[n];
  find("title").replaceChildren(make("span", { class: "title" }, surface.title), make("span", { class: "formula" }, surface.formula));
  find("lesson").textContent = surface.lesson;
  find("start").replaceChildren(...surface.starts.map(([x, y], s) => option(s, `x ${x}, y ${y}`)));
  start = 0;
  chosen = [...surface.best[start]];
}

// --- the map ------------------------------------------------------------------------------------------------

const MARGIN = { left: 34, right: 8, top: 6, bottom: 22 };
let area = null; // where the surface stands in the map, in pixels
let walkers = []; // the elements of each optimizer

const across = (x) => area.left + clamp((x - surface.x[0]) / (surface.x[1] - surface.x[0])) * area.width;
const down = (y) => area.top + area.height - clamp((y - surface.y[0]) / (surface.y[1] - surface.y[0])) * area.height;
const clamp = (part) => Math.max(-9, Math.min(10, part)); // a browser draws no line to 1e300

function drawMap() {
  const { width, height } = map.getBoundingClientRect();
  if (!width) return;
  const text = textScale();
  const [left, right, top, bottom] = [MARGIN.left * text, MARGIN.right, MARGIN.top, MARGIN.bottom * text];
  area = { left, top, width: width - left - right, height: height - top - bottom };
  map.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const box = { x: left, y: top, width: area.width, height: area.height };
  const scale = `translate(${left} ${top}) scale(${area.width / size[0]} ${area.height / size[1]})`;
  const levels = surface.levels.map((d) => makeSvg("path", { class: "level", d }));
  walkers = optimizers.map((name, n) => makeWalker(name, n + 1));
  const shapes = (...kinds) => walkers.flatMap((walker) => kinds.map((kind) => walker[kind]));
  map.replaceChildren(
    makeSvg("defs", {}, makeSvg("clipPath", { id: "inside" }, makeSvg("rect", box))),
    makeSvg("rect", { class: "ground", ...box }),
    makeSvg(
      "g",
      { "clip-path": "url(#inside)" },
      makeSvg("g", { transform: scale }, ...levels),
      ...surface.minima.map(drawMinimum),
      ...shapes("halo"),
      ...shapes("trail", "dots"),
      makeSvg("circle", { class: "start", cx: across(surface.starts[start][0]), cy: down(surface.starts[start][1]), r: 6.5 })
    ),
    makeSvg("rect", { class: "frame", ...box }),
    ...drawTicks(),
    ...shapes("head"),
    ...shapes("label")
  );
  for (const walker of walkers) walker.width = walker.label.getComputedTextLength();
}

function makeWalker(name, slot) {
  const path = (kind) => makeSvg("path", { class: `${kind} slot-${slot}` });
  const label = makeSvg("text", { class: `label slot-${slot}`, "dominant-baseline": "middle" }, name);
  return { halo: path("halo"), trail: path("trail"), dots: path("dots"), head: path("head"), label, side: 0 };
}

function drawMinimum([x, y]) {
  const [cx, cy] = [across(x), down(y)];
  return makeSvg("path", { class: "minimum", d: `M${cx - 5} ${cy}h10M${cx} ${cy - 5}v10` });
}

function drawTicks() {
  const { left, top, width, height } = area;
  const text = (x, y, anchor, value) =>
    makeSvg("text", { class: "tick", x, y, "text-anchor": anchor, "dominant-baseline": "middle" }, writeTick(value));
  const xs = niceTicks(...surface.x, Math.max(6, Math.floor(width / (80 * textScale()))));
  const ys = niceTicks(...surface.y, Math.max(5, Math.floor(height / 60)));
  return [
    ...xs.map((x) => text(across(x), top + height + 13 * textScale(), "middle", x)),
    ...ys.map((y) => text(left - 6, down(y), "end", y)),
  ];
}

const HEAD = "m-6 0a6 6 0 1 0 12 0a6 6 0 1 0-12 0z";
const ARROW = "m-6-6l11 6l-11 6z"; // it points to the right

// A walker at step k: its trail, and its head, an arrow at the edge where it has left the picture.
function placeWalker(walker, walk, k) {
  const last = Math.min(k, isLost(walk, walk.end) ? walk.end - 1 : walk.end);
  const points = [];
  for (let i = 0; i <= last; i++) points.push([across(walk.x[i]), down(walk.y[i])]);
  const d = points.map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");
  walker.halo.setAttribute("d", d);
  walker.trail.setAttribute("d", d);
  walker.dots.setAttribute("d", points.map(([x, y]) => `M${x.toFixed(1)} ${y.toFixed(1)}h0`).join(""));
  const [x, y] = points[last];
  const { left, top, width, height } = area;
  const inner = [Math.max(left + 8, Math.min(left + width - 8, x)), Math.max(top + 8, Math.min(top + height - 8, y))];
  const outside = x < left || x > left + width || y < top || y > top + height;
  walker.place = outside ? inner : [x, y];
  const turned = outside ? `rotate(${(Math.atan2(y - inner[1], x - inner[0]) * 180) / Math.PI})` : "";
  walker.head.setAttribute("d", `M0 0${outside ? ARROW : HEAD}`);
  walker.head.setAttribute("transform", `translate(${walker.place.map((p) => p.toFixed(1)).join(" ")}) ${turned}`);
}

// Where a label may stand around its head: the place it had comes first, so that it does not jump about.
const SIDES = [0, -1, 1, -2, 2, -3, 3, -4, 4, -5, 5].flatMap((lines) => [[1, lines], [-1, lines]]);

function placeLabels() {
  const taken = walkers.map(({ place: [x, y] }) => ({ left: x - 7, right: x + 7, top: y - 7, bottom: y + 7 }));
  const own = taken.slice();
  walkers.forEach((walker, n) => {
    const at = ([toRight, lines]) => {
      const left = walker.place[0] + (toRight > 0 ? 11 : -11 - walker.width);
      const y = walker.place[1] + lines * 16 * textScale();
      return { left, right: left + walker.width, top: y - 8 * textScale(), bottom: y + 8 * textScale(), y };
    };
    const overlap = (one, two) =>
      Math.max(0, Math.min(one.right, two.right) - Math.max(one.left, two.left)) *
      Math.max(0, Math.min(one.bottom, two.bottom) - Math.max(one.top, two.top));
    const outside = (box) =>
      (box.left < area.left || box.right > area.left + area.width || box.top < area.top || box.bottom > area.top + area.height);
    const cost = (box) => taken.reduce((sum, other) => sum + (other === own[n] ? 0 : overlap(box, other)), outside(box) ? 1e4 : 0);
    const order = [walker.side, ...SIDES.keys()];
    const costs = order.map((side) => cost(at(SIDES[side])));
    walker.side = order[costs.indexOf(Math.min(...costs))];
    const box = at(SIDES[walker.side]);
    taken.push(box);
    walker.label.setAttribute("x", box.left.toFixed(1));
    walker.label.setAttribute("y", box.y.toFixed(1));
  });
}

// --- losses and numbers ----------------------------------------------------------------------------------------

const count = () => surface.steps + 1;
const series = () =>
  optimizers.map((name, n) => {
    const { loss } = walks[n];
    return { name, values: [...loss, ...Array(count() - loss.length).fill(NaN)], slot: n + 1 };
  });

// From the lowest loss shown to somewhat above the start: what diverges leaves the picture.
function limits() {
  const begin = walks[0].loss[0];
  const low = Math.min(...walks.flatMap(({ loss }) => loss.filter((x) => x > 0)), begin / 10);
  return [Math.max(low / 2, begin * 1e-12), begin * 30];
}

const writePlace = ([x, y]) =>
  make("td", {}, make("div", {}, make("i", {}, "x "), x), make("div", {}, make("i", {}, "y "), y));

const rows = optimizers.map((name, n) => {
  const select = make("select", { "aria-label": `Learning rate of ${name}` }, ...rates.map((rate, r) => option(r, rate)));
  const numbers = ["x", "y", "loss"].map((kind) => make("span", { class: `number ${kind}` }));
  const title = make("div", {}, make("span", { class: `swatch slot-${n + 1}` }, name), select);
  const head = make("th", { scope: "row" }, title);
  find("walkers").tBodies[0].append(make("tr", {}, head, writePlace(numbers), make("td", {}, numbers[2])));
  select.addEventListener("change", () => {
    chosen[n] = Number(select.value);
    change();
  });
  return { select, numbers };
});

function showNumbers(k) {
  find("step").textContent = `${k} of ${surface.steps}`;
  rows.forEach(({ numbers: [x, y, loss] }, n) => {
    const walk = walks[n];
    const there = k <= walk.end;
    x.textContent = there ? shown(walk.x[k]) : DASH;
    y.textContent = there ? shown(walk.y[k]) : DASH;
    loss.textContent = writeLoss(walk, k);
    loss.classList.toggle("lost", isLost(walk, k));
  });
}

const writeLoss = (walk, k) => (k <= walk.end ? shown(walk.loss[k]) : "diverged");

function describe(k) {
  const losses = optimizers.map((name, n) => `${name} ${writeLoss(walks[n], k)}`);
  return `Step ${k} of ${surface.steps}. Loss: ${losses.join(", ")}.`;
}

function show(k) {
  showNumbers(k);
  chart.mark(k);
  if (!area) return;
  walkers.forEach((walker, n) => placeWalker(walker, walks[n], k));
  placeLabels();
  map.setAttribute("aria-label", `${surface.title}: contours and four walks. ${describe(k)}`);
}

// --- the beginning -----------------------------------------------------------------------------------------------

changeSurface(0);
walks = chosen.map((rate, n) => read(surface.walks[start][n][rate]));
const chart = lineChart(find("losses"), {
  series: series(), xLabel: "step", yLabel: "loss", log: true, limits: limits(),
  describe: () => `The losses of the four optimizers by step, on ${surface.title}`,
  pick: (k) => {
    player.pause();
    player.goto(k);
  },
});
drawMap();
const player = makePlayer({ count: count(), show, interval: 70, describe });
find("surface").append(...surfaces.map(({ title }, n) => option(n, title)));
find("rates").append(
  option("best", "each at its best"),
  ...rates.map((rate, r) => option(r, `all ${rate}`)),
  make("option", { value: "own", disabled: "", hidden: "" }, "as in the table") // shown, not chosen
);
find("surface").addEventListener("change", (event) => {
  changeSurface(Number(event.target.value));
  change();
});
find("start").addEventListener("change", (event) => {
  const best = isBest();
  start = Number(event.target.value);
  if (best) chosen = [...surface.best[start]];
  change();
});
find("rates").addEventListener("change", (event) => {
  const { value } = event.target;
  if (value === "best") chosen = [...surface.best[start]];
  else chosen = chosen.map(() => Number(value));
  change();
});
showChoices();
// All of it at once: playing begins anew.
player.goto(surface.steps, { quiet: true });
new ResizeObserver(() => {
  drawMap();
  show(player.at());
}).observe(map);
