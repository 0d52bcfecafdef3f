// Shapes through a network: everything shown was recorded; what depends on the batch size is filled in.
const { models, largest } = JSON.parse(find("data").textContent);
const SIZES = [1, 2, 8, 32, 64, 128, 512];
const DOT = "\u00b7";

// --- the recording at a batch size ------------------------------------------------------------------------

// A tree of the recording with its lines and texts as they are for a batch of this size.
function resolve(tree, batch) {
  if (Array.isArray(tree)) return tree.map((part) => resolve(part, batch));
  if (tree === null || typeof tree !== "object") return tree;
  if ("each" in tree) return tree.each * batch + tree.plus;
  if ("text" in tree) return resolve(tree.text, batch).join("");
  return Object.fromEntries(Object.entries(tree).map(([key, part]) => [key, resolve(part, batch)]));
}

let name = "";
let batch = 64;
let model = null; // the recording of a model, at this batch size
let states = []; // [block, whether on the way back]
let blocks = []; // their buttons
let rows = [];

const dependsOnBatch = (n) => models[name].blocks[n].shape.some((size) => typeof size === "object");

// --- numbers as text --------------------------------------------------------------------------------------

const group = (n) => n.toLocaleString("en-US");
const groupIn = (text) => text.replace(/\d{5,}/g, (digits) => group(Number(digits)));
const writeShape = (shape) => `(${shape.join(", ")}${shape.length === 1 ? "," : ""})`;

function writeBytes(bytes) {
  if (!bytes) return "0";
  if (bytes < 1e4) return `${group(bytes)} B`;
  const [size, unit] = bytes < 1e6 ? [1e3, "kB"] : bytes < 1e9 ? [1e6, "MB"] : [1e9, "GB"];
  return `${shown(bytes / size, 3)} ${unit}`;
}

const code = (text) => make("code", {}, text);
const titleOf = (block) => (/^\d+$/.test(block.name) ? `${block.name}: ${block.kind}` : block.kind);
const isReached = (n, back) => states.slice(0, player.at() + 1).some(([m, b]) => m === n && b === back);

// --- the blocks -------------------------------------------------------------------------------------------

function makeBlocks() {
  const sides = model.blocks.flatMap(({ shape }) => (shape.length === 4 ? shape.slice(2) : []));
  const unit = unitFor(Math.max(...sides));
  blocks = model.blocks.map((block, n) => {
    const hasBatch = dependsOnBatch(n);
    const sample = hasBatch ? block.shape.slice(1) : block.shape;
    const gradient = make("code", { class: "gradient" });
    const button = make(
      "button",
      { type: "button", class: "block" },
      drawBlock(sample, hasBatch ? batch : 0, unit, batch),
      make("span", { class: "title" }, titleOf(block)),
      make("code", { class: "shape" }, writeShape(block.shape)),
      gradient
    );
    button.addEventListener("click", () => jump(n));
    return { button, gradient };
  });
  find("blocks").replaceChildren(...blocks.map(({ button }) => button));
  const numbers = group(Math.max(...sides) ** 2);
  find("scale").textContent =
    `One sample is drawn to scale: a plane of ${numbers} numbers and a column of ${numbers} cover the same area. ` +
    `Below it stand the ${batch === 1 ? "samples: one" : `${batch} samples`}.`;
}

// To the step that computes a block; from there to that of its gradient.
function jump(n) {
  const find = (back) => states.findIndex(([m, b]) => m === n && b === back);
  const [forward, backward] = [find(false), find(true)];
  player.pause();
  player.goto(player.at() === forward && backward >= 0 ? backward : forward);
}

function markBlocks() {
  const [now] = states[player.at()];
  model.blocks.forEach((block, n) => {
    const { button, gradient } = blocks[n];
    const [done, graded] = [isReached(n, false), isReached(n, true)];
    button.classList.toggle("done", done);
    button.classList.toggle("graded", graded);
    button.classList.toggle("active", n === now);
    button.setAttribute("aria-current", n === now ? "step" : "false");
    const shape = graded ? writeShape(block.gradient) : DOT;
    gradient.textContent = block.gradient ? `grad ${shape}` : "";
    const label = `${titleOf(block)}: output ${writeShape(block.shape)}`;
    button.setAttribute("aria-label", `${label}, gradient ${block.gradient ? (graded ? shape : "not yet") : "none"}`);
  });
}

// Where the blocks stand in a row that is too long, the one of the step is brought to its middle.
function follow() {
  const [row, block] = [find("blocks"), blocks[states[player.at()][0]].button];
  const [outer, inner] = [row.getBoundingClientRect(), block.getBoundingClientRect()];
  const by = (inner.left + inner.right - outer.left - outer.right) / 2;
  row.scrollBy({ left: by, behavior: still.matches ? "auto" : "smooth" });
}

// --- the table --------------------------------------------------------------------------------------------

function makeRows() {
  const cell = (text, wide) => make("td", { class: wide ? "number wide" : "number" }, text);
  rows = model.blocks.map((block, n) => {
    const button = make("button", { type: "button" }, titleOf(block));
    button.addEventListener("click", () => jump(n));
    const gradient = cell(DOT, true);
    const row = make(
      "tr",
      {},
      make("th", { scope: "row" }, button),
      cell(writeShape(block.shape)), gradient, cell(group(block.count)),
      cell(block.view ? "a view" : writeBytes(block.bytes), true), cell(group(block.products), true)
    );
    return { row, gradient };
  });
  find("all").tBodies[0].replaceChildren(...rows.map(({ row }) => row));
  const { parameters, bytes, products } = model.totals;
  find("all").tFoot.replaceChildren(
    make("tr", {}, make("th", { scope: "row" }, "All"), cell(""), cell("", true), cell(group(parameters)),
      cell(writeBytes(bytes), true), cell(group(products), true))
  );
  find("totals").textContent = `In all, ${writeBytes(bytes)} of outputs and ${group(products)} multiply-adds forward.`;
}

function markRows() {
  const [now] = states[player.at()];
  model.blocks.forEach((block, n) => {
    rows[n].row.classList.toggle("active", n === now);
    rows[n].gradient.textContent = block.gradient && isReached(n, true) ? writeShape(block.gradient) : DOT;
  });
}

// --- the panel --------------------------------------------------------------------------------------------

const fact = (name, ...parts) => [make("dt", {}, name), make("dd", {}, ...parts)];

function writeParameters(block) {
  if (!block.parameters.length) return "none";
  const parts = block.parameters.map(({ name, shape, count }) => `${name} ${writeShape(shape)}: ${group(count)}`);
  return `${parts.join(" + ")} = ${group(block.count)}`;
}

function writeForward(block) {
  const dims = block.dims.map(({ name, size, why }) =>
    make("tr", {}, make("th", { scope: "row" }, name), make("td", { class: "number" }, String(size)), make("td", {}, groupIn(why)))
  );
  const memory = `${group(block.numbers)} numbers of ${block.dtype}`;
  const parts = [make("table", { class: "dims" }, make("tbody", {}, ...dims))];
  if (block.note) parts.push(make("p", { class: "words" }, groupIn(block.note)));
  const facts = [...fact("memory", block.view ? `a view of the same memory: ${memory}, none of them new` : `${memory}: ${writeBytes(block.bytes)}`)];
  if (block.name !== "input" && block.name !== "loss") {
    const work = block.products ? `${groupIn(block.work)}: ${group(block.products)}` : block.work;
    facts.unshift(...fact("parameters", writeParameters(block)), ...fact("multiply-adds", work));
  }
  return [...parts, make("dl", { class: "facts" }, ...facts)];
}

function writeBackward(block) {
  const parts = [make("ul", { class: "words" }, ...block.backward.map((line) => make("li", {}, groupIn(line))))];
  if (block.parameters.length) {
    const head = ["", "shape", "gradient"].map((text) => make("th", { scope: "col" }, text));
    const lines = block.parameters.map(({ name, shape, gradient }) =>
      make("tr", {}, make("th", { scope: "row" }, name), ...[shape, gradient].map((s) => make("td", { class: "number" }, writeShape(s))))
    );
    parts.push(make("table", { class: "dims" }, make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...lines)));
  }
  return parts;
}

function writeFlow(n, back) {
  const block = model.blocks[n];
  if (!back) return block.before ? `${writeShape(block.before)} → ${writeShape(block.shape)}` : writeShape(block.shape);
  const passed = model.blocks[n - 1].gradient;
  return `${passed ? writeShape(passed) : "nothing"} ← ${writeShape(block.gradient)}`;
}

function writePanel(k) {
  const [n, back] = states[k];
  const block = model.blocks[n];
  return [
    make("p", { class: "note" }, `${back ? "backward" : "forward"}, step ${k} of ${states.length - 1}`),
    make("h2", {}, code(block.written)),
    make("p", { class: "flow number" }, ...writeFlow(n, back).split(/ (?=[→←])/).map((part) => make("span", {}, part))),
    ...(back ? writeBackward(block) : writeForward(block)),
  ];
}

// As high as its highest step, where it stands beside the table: what is below them stays where it is.
function keepHeight() {
  const panel = find("panel");
  panel.style.setProperty("--highest", "0");
  const heights = states.map((_, k) => {
    panel.replaceChildren(...writePanel(k));
    return panel.getBoundingClientRect().height;
  });
  panel.style.setProperty("--highest", `${Math.ceil(Math.max(...heights))}px`);
  panel.replaceChildren(...writePanel(player.at()));
}

// --- mistakes ---------------------------------------------------------------------------------------------

function makeMistakes() {
  find("mistakes").replaceChildren(
    ...model.mistakes.map(({ title, code: written, error, alone }) =>
      make("li", {}, make("h3", {}, title), code(written), make("p", { class: "error number" }, batch === 1 && alone ? alone : error))
    )
  );
}

// --- the controls -----------------------------------------------------------------------------------------

function describe(k) {
  const [n, back] = states[k];
  return `Step ${k} of ${states.length - 1}, ${back ? "backward" : "forward"}: ${titleOf(model.blocks[n])}, ${writeFlow(n, back)}`;
}

function show(k) {
  find("panel").replaceChildren(...writePanel(k));
  markBlocks();
  markRows();
  follow();
}

function choose(wanted) {
  const k = wanted.name === name ? player.at() : 0;
  ({ name, batch } = wanted);
  model = resolve(models[name], batch);
  const order = model.blocks.map((_, n) => n);
  states = order.map((n) => [n, false]);
  for (const n of order.reverse()) if (model.blocks[n].gradient) states.push([n, true]);
  makeBlocks();
  makeRows();
  makeMistakes();
  find("model").value = name;
  find("batch").value = batch;
  for (const button of find("sizes").children) button.setAttribute("aria-pressed", Number(button.textContent) === batch);
  player.pause();
  player.goto(0, { quiet: true }); // the count must not cut off where it is
  player.setCount(states.length);
  player.goto(k);
  keepHeight();
}

// While it is typed, a number that is no batch size is let be; then the old one comes back.
function takeBatch(isTyped) {
  const size = find("batch").valueAsNumber;
  if (size === batch) return;
  if (Number.isInteger(size) && size >= 1 && size <= largest) choose({ name, batch: size });
  else if (!isTyped) {
    find("batch").value = batch;
    find("live").textContent = `A batch has 1 to ${largest} samples; it stays at ${batch}.`;
  }
}

find("batch").max = largest;
find("range").textContent = `(1 to ${largest})`;
find("model").append(...Object.entries(models).map(([key, { title }]) => make("option", { value: key }, `${key}: ${title}`)));
find("sizes").append(
  ...SIZES.map((size) => {
    const button = make("button", { type: "button" }, String(size));
    button.addEventListener("click", () => choose({ name, batch: size }));
    return button;
  })
);
find("model").addEventListener("change", (event) => choose({ name: event.target.value, batch }));
find("batch").addEventListener("input", () => takeBatch(true));
find("batch").addEventListener("change", () => takeBatch(false));
const player = makePlayer({ count: 1, show, interval: 1200, describe });
choose({ name: "cnn", batch });
let width = window.innerWidth;
window.addEventListener("resize", () => {
  if (window.innerWidth === width) return; // a phone's bar that comes and goes
  width = window.innerWidth;
  keepHeight();
});
