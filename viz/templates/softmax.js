// Softmax by hand: what the logits are comes from the visitor, all else is computed from them, in float64.
const { classes, presets, cases } = JSON.parse(find("data").textContent);
const STEPS = 60; // of gradient descent, computed ahead
const NOISE = 1e-13; // a difference of numbers near 1 that is smaller is rounding
const LIMIT = 1e6; // of a logit
const UNITS = [10, 20, 50]; // and those times powers of ten: how far the sliders reach

// --- the computation ------------------------------------------------------------------------------------

const add = (numbers) => numbers.reduce((sum, x) => sum + x, 0);

function softmax(logits) {
  const top = Math.max(...logits);
  const shifted = logits.map((z) => z - top);
  const exponentials = shifted.map(Math.exp);
  const total = add(exponentials);
  return { shifted, exponentials, total, p: exponentials.map((e) => e * (1 / total)) };
}

// As the engine does it: the gradient comes from the log-probabilities.
function compute({ logits, target, temperature }) {
  const scaled = logits.map((z) => z / temperature);
  const parts = softmax(scaled);
  const logTotal = Math.log(parts.total);
  const logP = parts.shifted.map((s) => s - logTotal);
  const difference = logP.map((l, j) => Math.exp(l) - (j === target ? 1 : 0));
  const gradient = difference.map((d) => d / temperature);
  return { ...parts, scaled, logTotal, loss: 0 - logP[target], difference, gradient };
}

// The fraction as it is written, for comparison: infinite and undefined where exp overflows.
function computeNaively({ logits, target, temperature }) {
  const exponentials = logits.map((z) => Math.exp(z / temperature));
  const total = add(exponentials);
  const p = exponentials.map((e) => e / total);
  return { exponentials, total, p, loss: 0 - Math.log(p[target]) };
}

function descend(start, rate) {
  const path = [start];
  for (let k = 0; k < STEPS; k++) {
    const { logits } = path[k];
    const { gradient } = compute(path[k]);
    path.push({ ...start, logits: logits.map((z, j) => z - rate * gradient[j]) });
  }
  return path;
}

// The engine's results for the presets, beside those of this page.
function checkAgainstEngine() {
  const apart = (a, b) => Math.abs(a - b) <= 1e-12 * Math.max(1, Math.abs(b));
  const wrong = cases.filter((recorded) => {
    const here = compute(recorded);
    return !(
      apart(here.loss, recorded.loss) &&
      recorded.p.every((p, j) => apart(here.p[j], p)) &&
      recorded.gradient.every((g, j) => apart(here.gradient[j], g))
    );
  });
  return wrong.length
    ? `${wrong.length} of ${cases.length} results differ from those that the engine recorded.`
    : `On opening, this page computed ${cases.length} cases that the engine had recorded, and agrees with it to 1e-12.`;
}

// --- numbers as text --------------------------------------------------------------------------------------

// Loss and p - y are differences of numbers near 1: digits below NOISE would be those of the rounding.
function shownDifference(x) {
  const size = Math.abs(x);
  if (size < NOISE) return "0";
  return shown(x, Math.max(1, Math.min(4, Math.floor(Math.log10(size / NOISE)) + 1)));
}

const shownTiny = (x) => shown(x, Math.abs(x) < 1e-306 ? 1 : 4); // subnormal numbers have few digits
// Near 1 with so many digits that its distance from 1 has four.
function shownNearOne(x) {
  const distance = Math.abs(x - 1);
  return distance > 0 && distance < 0.5 ? shown(x, Math.min(10, 4 + Math.floor(-Math.log10(distance)))) : shownTiny(x);
}

const bracket = (text) => (text.startsWith("-") ? `(${text})` : text);
const inLogits = (symbol) => (state.temperature === 1 ? symbol : `${symbol}/T`);
const number = (text, name = "") => make("span", { class: "number", ...(name && { "data-name": name }) }, text);

// --- the state --------------------------------------------------------------------------------------------

let state = null; // where descent begins: what the visitor set
let path = []; // the states of descent from there
let current = null;
let rows = [];
let reach = UNITS[0];
let dragged = false;
let chart = null;
let spare = presets[0]; // where the logit of a class that is added comes from

const rate = () => Number(find("rate").value);
const reachFor = (logits) => {
  const size = Math.max(...logits.map(Math.abs));
  for (let power = 1; ; power *= 10) for (const unit of UNITS) if (unit * power >= size) return unit * power;
};

// Begin descent anew at other logits, another target, another temperature.
function begin(changes, { keepReach = false, quiet = true } = {}) {
  state = { ...state, ...changes };
  if (rows.length !== state.logits.length) makeRows();
  if (!keepReach) reach = reachFor(state.logits);
  path = descend(state, rate());
  find("shift").setAttribute("aria-disabled", !canShift());
  player.pause();
  player.goto(0, { quiet });
  drawLosses();
}

function drawLosses() {
  const values = path.map((at) => compute(at).loss);
  const most = 1.06 * Math.max(...values);
  chart.update([{ name: "loss", values, slot: 1 }], { limits: [0, most || 1] });
}

function setLogit(j, z, options) {
  const logits = [...current.logits];
  logits[j] = Math.max(-LIMIT, Math.min(LIMIT, z));
  begin({ logits }, options);
}

// --- a class ----------------------------------------------------------------------------------------------

function makeRows() {
  rows = state.logits.map((_, j) => makeRow(j));
  find("rows").replaceChildren(...rows.map(({ row }) => row));
  find("count").value = rows.length;
}

function makeRow(j) {
  const target = make("input", { type: "radio", name: "target", value: j, "aria-label": `class ${j} is true` });
  const slider = make("input", { type: "range", step: "any", "aria-label": `logit of class ${j}` });
  const exact = make("input", {
    type: "number", step: "any", min: -LIMIT, max: LIMIT, inputmode: "decimal", "aria-label": `logit of class ${j}, exactly`,
  });
  const bar = make("i", { class: "bar" });
  const arrow = make("i", { class: "step" });
  const fill = make("i", { class: "fill" });
  const pull = make("i", { class: "pull" });
  const p = number("", `p${j}`);
  const g = number("", `g${j}`);
  const [part, difference] = [make("span", { class: "sum number" }), make("span", { class: "sum number" })];
  const row = make(
    "div",
    { class: "row", role: "group", "aria-label": `class ${j}` },
    make("label", { class: "who" }, target, make("span", {}, `class ${j}`)),
    make("div", { class: "logit" }, make("div", { class: "track" }, make("div", { class: "inner" }, bar, arrow), slider), exact),
    make("div", { class: "figure" }, make("small", { "aria-hidden": "true" }, "p"), make("div", { class: "meter" }, fill), p, part),
    make("div", { class: "figure" }, make("small", { "aria-hidden": "true" }, "p − y"), make("div", { class: "balance" }, pull), g, difference)
  );
  target.addEventListener("change", () => begin({ logits: current.logits, target: j }, { keepReach: true, quiet: false }));
  slider.addEventListener("input", () => {
    const z = Number(slider.value);
    const grid = reach / 200; // by hand nobody can place it closer
    setLogit(j, dragged ? tidy(Math.round(z / grid) * grid) : z, { keepReach: true });
  });
  slider.addEventListener("pointerdown", () => (dragged = true));
  slider.addEventListener("change", () => {
    dragged = false;
    begin({ logits: current.logits });
  });
  slider.addEventListener("keydown", (event) => moveByKey(event, j));
  exact.addEventListener("input", () => {
    if (Number.isFinite(exact.valueAsNumber)) setLogit(j, exact.valueAsNumber);
  });
  exact.addEventListener("change", () => {
    // what is no number is taken back
    player.goto(player.at(), { quiet: !Number.isFinite(exact.valueAsNumber) });
  });
  return { row, target, slider, exact, bar, arrow, fill, pull, p, g, part, difference };
}

const tidy = (z) => Number(z.toFixed(9)); // 0.1 + 0.2 is meant to be 0.3

function moveByKey(event, j) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const z = current.logits[j];
  const small = reach / 100;
  const by = {
    ArrowRight: small, ArrowUp: small, ArrowLeft: -small, ArrowDown: -small, PageUp: 10 * small, PageDown: -10 * small,
  }[event.key];
  const wanted = event.key === "Home" ? -reach : event.key === "End" ? reach : by ? tidy(z + by) : null;
  if (wanted === null) return;
  event.preventDefault();
  setLogit(j, Math.max(-reach, Math.min(reach, wanted)), { keepReach: true });
}

// --- the drawing ------------------------------------------------------------------------------------------

const percent = (part) => `${100 * part}%`;

// A bar from one place to another, of 0 to 1, whichever is to the left.
function span(element, from, to) {
  element.style.setProperty("left", percent(Math.min(from, to)));
  element.style.setProperty("width", percent(Math.abs(to - from)));
  element.classList.toggle("leftwards", to < from);
}

function drawRow(j, result) {
  const { row, target, slider, exact, bar, arrow, fill, pull, p, g, part, difference } = rows[j];
  const z = current.logits[j];
  const isTrue = j === current.target;
  const at = (x) => Math.max(0, Math.min(1, (x + reach) / (2 * reach)));
  slider.min = -reach;
  slider.max = reach;
  slider.value = z;
  const gradient = (isTrue ? shownDifference : shownTiny)(result.gradient[j]);
  slider.setAttribute("aria-valuetext", `${shown(z)}; p ${shownTiny(result.p[j])}; gradient ${gradient}; loss ${shownDifference(result.loss)}`);
  // not while it is typed, or 1.23456 could not be
  if (exact.valueAsNumber !== z || document.activeElement !== exact) exact.value = Number(z.toFixed(4));
  span(bar, 0.5, at(z));
  span(arrow, at(z), at(z - rate() * result.gradient[j]));
  fill.style.setProperty("width", percent(result.p[j]));
  span(pull, 0.5, 0.5 + (result.gradient[j] / Math.max(1, 1 / current.temperature)) * 0.5);
  pull.classList.toggle("up", result.gradient[j] < 0);
  p.textContent = shownTiny(result.p[j]);
  g.textContent = gradient;
  const written = `${shownNearOne(result.p[j])} − ${isTrue ? 1 : 0}`;
  part.textContent = `${shownTiny(result.exponentials[j])} / ${shownNearOne(result.total)}`;
  difference.textContent = current.temperature === 1 ? written : `(${written}) / T`;
  target.checked = isTrue;
  row.classList.toggle("true", isTrue);
}

function draw() {
  const result = compute(current);
  rows.forEach((_, j) => drawRow(j, result));
  find("sum-p").textContent = shown(tidy(add(result.p)));
  find("sum-g").textContent = shownDifference(add(result.gradient));
  moveDot(result);
  find("loss").textContent = shownDifference(result.loss);
  find("formula").replaceChildren(...writeFormula(result));
  find("head-p").textContent = `p = softmax(${inLogits("z")})`;
  find("head-g").textContent = current.temperature === 1 ? "p − y" : "(p − y) / T";
  find("rule").textContent = `z ← z − ${rate()} · ${current.temperature === 1 ? "(p − y)" : "(p − y)/T"}`;
  find("temperature-shown").textContent = current.temperature;
  find("rate-shown").textContent = rate();
  drawStable(result, computeNaively(current));
}

// --- the curve of -log p ------------------------------------------------------------------------------------

const CURVE = { left: 24, right: 250, top: 8, bottom: 92, most: 5 };
const curveX = (p) => CURVE.left + p * (CURVE.right - CURVE.left);
const curveY = (loss) => CURVE.bottom - (Math.min(loss, CURVE.most) / CURVE.most) * (CURVE.bottom - CURVE.top);
const dot = makeSvg("circle", { class: "dot", r: 5 });

function drawCurve() {
  const least = Math.exp(-CURVE.most);
  const points = Array.from({ length: 81 }, (_, i) => least ** (1 - i / 80)); // evenly on the curve's own axis
  const d = points.map((p) => `${curveX(p).toFixed(1)} ${curveY(-Math.log(p)).toFixed(1)}`).join("L");
  const text = (x, y, words, anchor) => makeSvg("text", { x, y, "text-anchor": anchor }, words);
  const { left, right, top, bottom, most } = CURVE;
  find("curve").append(
    makeSvg("path", { class: "axes", d: `M${left} ${top}V${bottom}H${right}` }),
    makeSvg("path", { class: "line", d: `M${d}` }),
    text(left, 107, "p = 0", "middle"), text(right, 107, "1", "middle"),
    text(left - 6, top + 8, String(most), "end"), text(left - 6, bottom, "0", "end"),
    dot
  );
}

function moveDot(result) {
  dot.setAttribute("cx", curveX(result.p[current.target]));
  dot.setAttribute("cy", curveY(result.loss));
}

function writeFormula(result) {
  const y = current.target;
  const side = (...parts) => make("p", { class: "number" }, ...parts);
  const [z, own] = [inLogits("z"), inLogits(`z[${y}]`)];
  return [
    side(`−log p[${y}]`),
    side("= −log ", number(shownNearOne(result.p[y]), "p-true"), result.p[y] === 0 ? ", too small for float64" : ""),
    side(),
    side(`= log Σ exp(${z} − max) − (${own} − max)`),
    side(),
    side("= ", number(shown(result.logTotal), "log-total"), " − ", number(bracket(shown(result.shifted[y])), "shifted-true")),
  ];
}

function drawStable(result, naive) {
  const z = inLogits("z");
  const head = (text, better) => make("th", { scope: "col", class: better ? "number better" : "number" }, text);
  find("stable-heads").replaceChildren(
    head(""), head(`exp(${z})`), head("p"), head(`${z} − max`, true), head("exp(…)", true), head("p", true)
  );
  const cell = (text, better, name) => {
    const broken = ["inf", "-inf", "nan"].includes(text);
    return make("td", { class: `number${better ? " better" : ""}${broken ? " broken" : ""}`, "data-name": name }, text);
  };
  find("stable-rows").replaceChildren(
    ...rows.map((_, j) =>
      make(
        "tr",
        j === current.target ? { class: "true" } : {},
        make("th", { scope: "row" }, String(j)),
        cell(shownTiny(naive.exponentials[j]), false, `naive-exp${j}`),
        cell(shownTiny(naive.p[j]), false, `naive-p${j}`),
        cell(shown(result.shifted[j]), true, `shifted${j}`),
        cell(shownTiny(result.exponentials[j]), true, `exp${j}`),
        cell(shownTiny(result.p[j]), true, `stable-p${j}`)
      )
    )
  );
  find("stable-sum").replaceChildren(
    make("th", { scope: "row" }, "sum"), cell(shownTiny(naive.total), false, "naive-total"), make("td"),
    make("td", { class: "better" }), cell(shown(result.total), true, "total"), make("td", { class: "better" })
  );
  find("stable-loss").replaceChildren(
    make("th", { scope: "row" }, "loss"), make("td"), cell(shownDifference(naive.loss), false, "naive-loss"),
    make("td", { class: "better" }), make("td", { class: "better" }), cell(shownDifference(result.loss), true, "stable-loss")
  );
  find("verdict").textContent = judge(naive);
}

function judge(naive) {
  const z = inLogits("z");
  if (naive.exponentials.includes(Infinity)) return `exp(${z}) is too large for float64 from 710 on, and inf / inf is nan.`;
  if (naive.total === Infinity) return "Each exponential is finite, their sum is not.";
  if (naive.total === 0) return `Every exp(${z}) is 0 in float64, below −745, and 0 / 0 is nan.`;
  if (naive.loss === Infinity) return "p of the true class is 0 in float64, so its logarithm is −inf; the right side takes the logarithm before it is lost.";
  return "Here both sides agree. Try “Huge”, or add 100 to all a few times: the right side does not change.";
}

// --- the controls -----------------------------------------------------------------------------------------

function describe(k) {
  const result = compute(path[k]);
  const { target } = path[k];
  return `Step ${k} of ${STEPS}: p of class ${target}, the true one, is ${shownTiny(result.p[target])}, the loss ${shownDifference(result.loss)}`;
}

function show(k) {
  current = path[k];
  if (k) reach = Math.max(reach, reachFor(current.logits));
  draw();
  chart.mark(k);
}

const canShift = () => Math.max(...state.logits) + 100 <= LIMIT;

function usePreset(preset) {
  const { logits, target } = (spare = preset);
  const count = rows.length;
  begin({ logits: logits.slice(0, count), target: Math.min(target, count - 1) }, { quiet: false });
}

function setCount(count) {
  const logits = Array.from({ length: count }, (_, j) => current.logits[j] ?? spare.logits[j]);
  begin({ logits, target: Math.min(current.target, count - 1) }, { quiet: false });
}

find("presets").append(
  ...presets.map((preset) => {
    const button = make("button", { type: "button" }, preset.name);
    button.addEventListener("click", () => usePreset(preset));
    return button;
  })
);
find("count").append(...classes.map((n) => make("option", { value: n }, String(n))));
find("count").addEventListener("change", (event) => setCount(Number(event.target.value)));
find("temperature").addEventListener("input", (event) =>
  begin({ logits: current.logits, temperature: Number(event.target.value) }, { keepReach: true, quiet: false })
);
find("rate").addEventListener("input", () => begin({ logits: current.logits }, { keepReach: true, quiet: false }));
find("shift").addEventListener("click", () => {
  if (canShift()) begin({ logits: current.logits.map((z) => z + 100) }, { quiet: false });
});
for (const event of ["pointerup", "pointercancel"]) window.addEventListener(event, () => (dragged = false));

state = { logits: presets[0].logits.slice(0, 3), target: presets[0].target, temperature: 1 };
path = descend(state, rate());
current = state;
makeRows();
drawCurve();
chart = lineChart(find("chart"), {
  series: [],
  xLabel: "step", yLabel: "cross-entropy", describe: "The loss by step of gradient descent",
});
const player = makePlayer({ count: STEPS + 1, show, interval: 250, describe });
begin({});
find("check").textContent = checkAgainstEngine();
