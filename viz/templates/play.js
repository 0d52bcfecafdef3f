// The page: what is drawn goes through the network at each frame in which it changed.
const data = JSON.parse(find("data").textContent);
const picture = [1, SIZE, SIZE];
const network = buildNetwork(data.layers, picture);
const normalize = makeNormalization(data.mean, data.std);
const samples = data.samples.labels.map((label, n) => ({
  label,
  pixels: decode(data.samples.pixels, true).subarray(n * SIZE * SIZE, (n + 1) * SIZE * SIZE),
}));

// --- the answer -----------------------------------------------------------------------------------------

const bars = data.labels.map((label) => {
  const fill = make("span", { class: "fill" }), percent = make("span", { class: "percent number" });
  const logit = make("span", { class: "logit number" });
  const item = make("li", {});
  item.append(make("span", { class: "label" }, label), make("span", { class: "track" }, fill), percent, logit);
  find("bars").append(item);
  return { item, fill, percent, logit };
});

const percentOf = (probability) => `${(100 * probability).toFixed(1)}%`;

// What is said of the answer, by how sure it is.
function judge(ranked, probabilities) {
  const [first, second] = ranked.map((label) => data.labels[label]);
  const sure = percentOf(probabilities[ranked[0]]);
  if (probabilities[ranked[0]] >= 0.9) return `This is ${article(first)}: ${sure}.`;
  if (probabilities[ranked[0]] >= 0.6) return `Probably ${article(first)}: ${sure}.`;
  const other = percentOf(probabilities[ranked[1]]);
  return `${first === "8" ? "An" : "A"} ${first}, or ${article(second)}? ${sure} against ${other}.`;
}

const article = (label) => `${label === "8" ? "an" : "a"} ${label}`;

let answer = null; // {pixels, logits, probabilities, best} of what is on the board

function showAnswer() {
  const element = find("bars");
  bars.forEach(({ item, fill, percent, logit }, n) => {
    const probability = answer ? answer.probabilities[n] : 0;
    fill.style.setProperty("--share", probability);
    percent.textContent = answer ? percentOf(probability) : "";
    logit.textContent = answer ? answer.logits[n].toFixed(2) : "";
    item.classList.toggle("best", answer !== null && n === answer.ranked[0]);
  });
  find("prediction").textContent = answer ? data.labels[answer.ranked[0]] : "";
  find("words").textContent = answer ? sentence() : "Nothing drawn yet.";
  if (answer) {
    element.dataset.logits = JSON.stringify(answer.logits);
    element.dataset.probabilities = JSON.stringify(answer.probabilities);
    find("input").dataset.input = JSON.stringify(Array.from(answer.pixels));
  } else {
    delete element.dataset.logits;
    delete element.dataset.probabilities;
    delete find("input").dataset.input;
  }
  paintInk(answer ? answer.pixels : new Uint8Array(SIZE * SIZE), colourOf("--ink"), find("input"));
}

function sentence() {
  const words = judge(answer.ranked, answer.probabilities), sample = board.sample();
  return sample ? `${words} It was made as ${article(data.labels[sample.label])}.` : words;
}

function compute(pixels) {
  const logits = Array.from(network.run(normalize(pixels)));
  const probabilities = softmax(logits);
  const ranked = probabilities.map((_, n) => n).sort((a, b) => logits[b] - logits[a]);
  return { pixels, logits, probabilities, ranked };
}

function update() {
  const sample = board.sample();
  const pixels = sample ? sample.pixels : fitInk(board.ink, BOARD, BOARD);
  answer = pixels && compute(pixels);
  showAnswer();
  stages.forEach((stage) => stage.update(answer === null));
  find("paper").classList.toggle("empty", answer === null && !board.isDrawing());
  find("undo").setAttribute("aria-disabled", !board.canUndo());
}

// At once where an action is complete; while drawing once a frame, however many points come.
let frame = 0;
function changed(complete) {
  if (!complete) {
    if (!frame) frame = requestAnimationFrame(() => changed(true));
    return;
  }
  cancelAnimationFrame(frame);
  frame = 0;
  update();
  clearTimeout(saying);
  saying = setTimeout(() => (find("live").textContent = find("words").textContent), 400);
}
let saying = 0; // a screen reader hears the answer when the hand rests

// --- drawing ----------------------------------------------------------------------------------------------

const canvas = find("canvas"), brush = find("brush");
const board = makeBoard(canvas, changed);
const radius = () => Number(brush.value) / 2;

function pointOf(event) {
  const box = canvas.getBoundingClientRect();
  return [((event.clientX - box.left) / box.width) * BOARD, ((event.clientY - box.top) / box.height) * BOARD];
}

let pointer = null; // the finger, pen or mouse that draws; others are left alone
canvas.addEventListener("pointerdown", (event) => {
  if (pointer !== null || event.button !== 0) return;
  pointer = event.pointerId;
  lift();
  canvas.setPointerCapture(pointer);
  board.begin(pointOf(event), radius());
});
canvas.addEventListener("pointermove", (event) => {
  if (event.pointerId !== pointer) return;
  const points = event.getCoalescedEvents ? event.getCoalescedEvents() : [];
  (points.length ? points : [event]).forEach((one) => board.extend(pointOf(one)));
});
for (const kind of ["pointerup", "pointercancel", "lostpointercapture"])
  canvas.addEventListener(kind, (event) => {
    if (event.pointerId !== pointer) return;
    pointer = null;
    board.end();
  });

function load(sample) {
  pointer = null;
  lift();
  board.load(sample);
}

function clear() {
  pointer = null;
  lift();
  board.clear();
}

function undo() {
  pointer = null;
  lift();
  if (board.canUndo()) board.undo();
}

find("clear").addEventListener("click", clear);
find("undo").addEventListener("click", undo);

// --- drawing by keyboard: a pen that arrow keys move, and that space lowers and lifts ---------------------

const pen = { at: [BOARD / 2, BOARD / 4], down: false };
function showPen(visible) {
  const element = find("pen");
  element.hidden = !visible;
  element.classList.toggle("down", pen.down);
  for (const [name, n] of [["left", 0], ["top", 1]]) element.style.setProperty(name, `${(100 * pen.at[n]) / BOARD}%`);
  element.style.setProperty("width", `${(100 * Number(brush.value)) / BOARD}%`);
}

function lift() {
  if (pen.down) board.end();
  pen.down = false;
  showPen(false);
}

canvas.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || pointer !== null) return;
  const by = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
  if (event.key === " ") {
    if (event.repeat) return event.preventDefault();
    pen.down = !pen.down;
    if (pen.down) board.begin([...pen.at], radius());
    else board.end();
  } else if (by) {
    const pace = event.shiftKey ? 2 : 8;
    pen.at = pen.at.map((n, i) => Math.min(Math.max(n + pace * by[i], 0), BOARD));
    if (pen.down) board.extend([...pen.at]);
  } else return;
  event.preventDefault();
  showPen(true);
});
canvas.addEventListener("blur", lift);

// --- samples ----------------------------------------------------------------------------------------------

const thumbnails = samples.map((sample) => {
  const ordinal = samples.filter(({ label }) => label === sample.label).indexOf(sample) + 1;
  const label = data.labels[sample.label];
  const says = `Sample: ${article(label)}, number ${ordinal}`;
  const button = make("button", { type: "button", class: "sample", "aria-label": says, "aria-keyshortcuts": label });
  const picture = make("canvas", { width: SIZE, height: SIZE, "aria-hidden": true });
  button.append(picture);
  button.addEventListener("click", () => load(sample));
  find("samples").append(button);
  return { picture, sample };
});

function loadNext(label) {
  const of = samples.filter((sample) => data.labels[sample.label] === label);
  if (of.length) load(of[(of.indexOf(board.sample()) + 1) % of.length]);
}

// --- keys ---------------------------------------------------------------------------------------------------

function changeBrush(by) {
  brush.value = Number(brush.value) + by;
  if (!find("pen").hidden) showPen(true);
}

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented) return;
  const key = event.key.toLowerCase();
  if (key === "[" || key === "]") changeBrush(key === "[" ? -2 : 2); // on some keyboards with AltGr
  else if (event.altKey) return;
  else if (event.ctrlKey || event.metaKey) {
    if (key !== "z" || event.shiftKey) return;
    undo();
  } else if (key === "c" || key === "delete") clear();
  else if (key === "z" || key === "backspace") undo();
  else if (/^[0-9]$/.test(key)) loadNext(key);
  else return;
  event.preventDefault();
});

// --- inside -------------------------------------------------------------------------------------------------

// What a stage has at most for a sample, on average over the samples, is its full colour.
const listed = listStages(network.layers);
const largest = listed.map(() => 0);
for (const { pixels } of samples) {
  compute(pixels);
  listed.forEach((stage, n) => (largest[n] += largestOf(stage.shown.values) / samples.length));
}
const stages = listed.map((stage, n) => makeStage(stage, n + 1, picture, largest[n]));
stages.forEach(({ section }) => find("stages").append(section));
find("inside").hidden = stages.length === 0;

// --- the beginning, another width, another theme ------------------------------------------------------------

function paint() {
  const palette = makePalette(), ink = colourOf("--ink");
  const side = Math.round(canvas.clientWidth * devicePixelRatio);
  board.fit(side, ink);
  thumbnails.forEach(({ picture, sample }) => paintInk(sample.pixels, ink, picture));
  stages.forEach((stage) => stage.paint(palette));
  update();
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", paint);
new ResizeObserver(paint).observe(find("paper"));
new ResizeObserver(() => stages.forEach((stage) => stage.update(answer === null))).observe(find("stages"));
paint();

// --- for a console, and for tests: the same functions, with no hold on the page -----------------------------

let other = null; // a network of their own: the page shows what is in its layers
function runOther(pixels) {
  if (pixels.length !== SIZE * SIZE)
    throw new TypeError(`expected ${SIZE * SIZE} numbers from 0 to 255, got ${pixels.length}`);
  other = other || buildNetwork(data.layers, picture);
  return other.run(normalize(Uint8Array.from(pixels)));
}

const hook = {
  // The ten logits of SIZE x SIZE bytes, and what each layer makes of them.
  classify: (pixels) => Array.from(runOther(pixels)),
  inspect(pixels) {
    runOther(pixels);
    return other.layers.map(({ kind, shape, values }) => ({ kind, shape: [...shape], values: Array.from(values) }));
  },
  // Ink of width x height, from 0 to 1, as the network is given it: SIZE x SIZE bytes, or null where there is none.
  fit: (ink, width, height) => fitInk(ink, width, height),
  // What is on the board: BOARD x BOARD numbers from 0 to 1.
  ink: () => board.ink.slice(),
};
Object.defineProperty(window, "liftgrad", { value: Object.freeze(hook) });
