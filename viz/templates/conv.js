// What is chosen, what is drawn for it, and the ways from one state to another.
const CHOICES = ["digit", "kernel", "size", "stride", "padding", "loss"];
const OPTIONS = {
  digit: recording.runs[0].map((_, digit) => String(digit)),
  kernel: recording.kernels.map(({ name }) => name),
  size: recording.sizes.map((size) => `${size}×${size}`),
  stride: recording.strides.map(String),
  padding: recording.paddings.map(String),
  loss: recording.losses.map(([, words]) => words),
};
const FIRST = { digit: 3, kernel: 0, size: 0, stride: 0, padding: 0, loss: 2 };

let run = null;
let phase = ""; // of what is drawn
let boards = {};
let terms = [];
let player = null;

// --- drawing ----------------------------------------------------------------------------------------------

const middleOf = (n) => Math.round((n + run.padding - (run.k - 1) / 2) / run.stride);
const within = (n) => Math.max(0, Math.min(run.out - 1, n));
const goCell = (row, column) => jump(stateOf(run, within(row) * run.out + within(column), phase === "backward"));

function label(figure, caption, aria, most, tone) {
  find(figure).querySelector("figcaption").textContent = caption;
  const svg = find(figure).querySelector("svg");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", aria);
  drawLegend(find(figure).querySelector(".legend"), most, tone);
}

const plotOf = (figure) => find(figure).querySelector(".plot");

// The longest text of a number up to this size, signed.
const longestUpTo = (most) => Math.max(run.kernel.unit > 1 ? 4 : 2, brief(-most).length);

// New boards: for another run, or for the other phase.
function build() {
  const backward = phase === "backward";
  const input = { size: run.size, ring: run.padding, onPick: (row, column) => goCell(middleOf(row), middleOf(column)) };
  const picture = { ...input, most: recording.ink, longest: 1, tone: "ink", ringText: "0" };
  const signed = (most) => ({ most, longest: longestUpTo(most) });
  const mostY = largest(backward ? run.gy : run.y);
  const weights = run.k === 3 ? { write: full, longest: largest(run.w.map((w) => full(w).length)) } : {};
  boards = {
    w: makeBoard(plotOf("mini-w"), { size: run.k, ...signed(largest(run.w)), ...weights }),
    right: makeBoard(plotOf("right"), { size: run.out, ...signed(mostY), onPick: goCell }),
    left: makeBoard(plotOf("left"), backward ? { ...input, ...signed(run.mostX) } : picture),
  };
  const [n, m] = [`${run.size}×${run.size}`, `${run.out}×${run.out}`];
  if (backward) {
    boards.x = makeBoard(plotOf("mini-x"), picture);
    boards.gw = makeBoard(plotOf("mini-gw"), { size: run.k, ...signed(run.mostW) });
    boards.x.draw(run.x);
    label("left", `dL/dx, ${n}`, "The gradient of the input, as far as it has come", run.mostX);
    label("right", `dL/dy, ${m}`, "The gradient of the output", mostY);
  } else {
    boards.left.draw(run.x);
    label("left", `Input x, ${n}`, `The input: the digit ${find("digit").value}`, recording.ink, "ink");
    label("right", `Output y, ${m}`, "The output, as far as it is computed", mostY);
  }
  if (!backward) for (const figure of ["mini-x", "mini-gw"]) plotOf(figure).replaceChildren();
  boards.w.draw(run.w);
  for (const [name, svg] of Object.entries({ w: boards.w.svg, x: boards.x?.svg, gw: boards.gw?.svg })) {
    svg?.setAttribute("role", "img");
    svg?.setAttribute("aria-label", { w: `The kernel: ${run.w.map(full).join(", ")}`, x: "The input", gw: "" }[name]);
  }
  boards.right.svg.setAttribute("role", "application");
  boards.right.svg.setAttribute("aria-roledescription", "board");
  boards.right.svg.setAttribute("aria-label", `${backward ? "dL/dy" : "Output"}: the arrow keys move from cell to cell`);
  boards.right.svg.setAttribute("tabindex", "0");
  boards.right.svg.addEventListener("keydown", moveCell);
  find("stage").classList.toggle("five", run.k > 3);
  terms = [makeTerms(find("first"), run.k), makeTerms(find("second"), run.k)];
  find("stage").classList.toggle("backward", backward);
  TITLES[phase].forEach((title, n) => (find(["first", "second"][n]).querySelector("h3").textContent = title));
  find("about").textContent = backward ? LOSSES[run.lossName](run) : run.kernel.note;
  find("words").replaceChildren(...writeWords(phase));
  for (const name of ["forward", "backward"]) find(name).setAttribute("aria-pressed", name === phase);
}

function show(k) {
  const wanted = isBackward(run, k) ? "backward" : "forward";
  if (wanted !== phase) {
    const focused = document.activeElement === boards.right?.svg;
    phase = wanted;
    build();
    if (focused) boards.right.svg.focus({ preventScroll: true });
  }
  const cell = cellOf(run, k);
  const [row, column] = cell < 0 ? [null, null] : [Math.floor(cell / run.out), cell % run.out];
  const corner = [(row ?? 0) * run.stride - run.padding, (column ?? 0) * run.stride - run.padding];
  if (phase === "forward") {
    boards.right.draw(run.y.map((value, n) => (n <= cell ? value : null)));
    boards.left.place(...corner, run.k); // before the first step it waits where it begins
    writeTerms(terms[0], cell < 0 ? null : forwardRows(run, cell));
  } else {
    const { gx, gw } = sumsAfter(run, cell + 1);
    boards.right.draw(run.gy);
    boards.left.draw(gx);
    boards.gw.draw(gw);
    boards.gw.svg.setAttribute("aria-label", `dL/dw so far: ${cell < 0 ? "nothing yet" : gw.map(full).join(", ")}`);
    const far = cell === run.count - 1 ? "" : " so far";
    find("left").querySelector("figcaption").textContent = `dL/dx${far}, ${run.size}×${run.size}`;
    find("mini-gw").querySelector("figcaption").textContent = `dL/dw${far}`;
    for (const board of [boards.left, boards.x]) board.place(cell < 0 ? null : corner[0], corner[1], run.k);
    const times = run.k > 3 ? "" : "× "; // 25 terms leave out the gradient that they share
    writeTerms(terms[0], cell < 0 ? null : pixelRows(run, cell, gx), times);
    writeTerms(terms[1], cell < 0 ? null : weightRows(run, cell, gw), times);
  }
  boards.right.place(row, column ?? 0);
  const [headline, below] = tellState(run, k);
  find("headline").textContent = headline;
  find("why").textContent = phase === "backward" ? below : "";
  const [, before, result] = /^(.*= )([^=]*)$/.exec(below) || [];
  find("sum").replaceChildren(...(phase === "backward" ? [] : before ? [before, make("b", {}, result)] : [below]));
  remember();
}

function describe(k) {
  const where = k ? `Step ${k} of ${statesOf(run) - 1}, ${isBackward(run, k) ? "backward" : "forward"}: ` : "";
  return where + tellState(run, k).join(". ");
}

// --- from one state to another ----------------------------------------------------------------------------

function jump(k) {
  player.pause();
  player.goto(k);
}

// To where a row of outputs ends: done, or sent back.
function goRow(by) {
  const [k, start] = [player.at(), isBackward(run, player.at()) ? run.count + 1 : 0];
  const rows = (k - start) / run.out;
  if (by < 0 && k === start) return jump(start ? run.count : 0);
  jump(k === run.count && by > 0 ? k + 1 : start + run.out * (by > 0 ? Math.floor(rows) + 1 : Math.ceil(rows) - 1));
}

function moveCell(event) {
  const by = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
  if (!by || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
  event.preventDefault();
  const cell = cellOf(run, player.at());
  if (cell < 0) return goCell(0, 0);
  goCell(Math.floor(cell / run.out) + by[0], (cell % run.out) + by[1]);
}

function goPhase(name) {
  if (name === phase) return;
  const cell = cellOf(run, player.at());
  if (name === "backward") jump(run.count + 1);
  else jump(cell < 0 ? run.count : stateOf(run, cell, false));
}

// --- choices ----------------------------------------------------------------------------------------------

const chosen = () => Object.fromEntries(CHOICES.map((name) => [name, find(name).selectedIndex]));

// The state of another run that shows what this one shows: the same place, done as far.
function translate(k, before) {
  if (!before) return stateOf(run, strongest(), false);
  if (k === 0 || k === before.count) return k ? run.count : 0;
  const cell = cellOf(before, k);
  if (cell < 0) return run.count + 1;
  if (cell === before.count - 1) return statesOf(run) - 1;
  const move = (n) => within(Math.round(((n + 0.5) * run.out) / before.out - 0.5));
  const there = move(Math.floor(cell / before.out)) * run.out + move(cell % before.out);
  return stateOf(run, there, isBackward(before, k));
}

const strongest = () => run.y.findIndex((value) => Math.abs(value) === largest(run.y));

function choose(step = null) {
  const before = run;
  const k = player ? player.at() : 0;
  player?.pause();
  run = readRun(chosen());
  phase = "";
  find("forward").style.flexGrow = run.count;
  find("backward").style.flexGrow = run.count + 1;
  const wanted = step ?? translate(k, before);
  if (player) {
    player.setCount(statesOf(run));
    player.goto(wanted);
  } else {
    player = makePlayer({ count: statesOf(run), show, interval: 400, describe, idle: (state) => isIdle(run, state) });
    player.goto(wanted, { quiet: true });
  }
}

// --- the address ------------------------------------------------------------------------------------------

let waiting = 0;
function remember() {
  clearTimeout(waiting);
  waiting = setTimeout(writeAddress, 250);
}

// What an address calls an option: "upright-edges", "14".
const slug = (name, index) => {
  const known = { size: recording.sizes[index], loss: recording.losses[index]?.[0] }[name] ?? OPTIONS[name][index];
  return String(known).toLowerCase().replace(/[^a-z0-9]+/g, "-");
};

function writeAddress() {
  const parts = CHOICES.map((name) => `${name}=${slug(name, find(name).selectedIndex)}`);
  try {
    window.history.replaceState(null, "", `#${parts.join("&")}&step=${player.at()}`);
  } catch {
    // a page within a page may have no address of its own
  }
}

// Put the choices of the address into the controls; return its step, or null.
function readAddress() {
  const address = new URLSearchParams(location.hash.slice(1));
  for (const name of CHOICES) {
    const index = OPTIONS[name].findIndex((_, index) => slug(name, index) === address.get(name));
    if (index >= 0) find(name).selectedIndex = index;
  }
  const step = address.get("step") ?? "";
  return /^\d{1,6}$/.test(step) ? Number(step) : null;
}

// --- the beginning ----------------------------------------------------------------------------------------

for (const name of CHOICES) {
  find(name).append(...OPTIONS[name].map((text) => make("option", {}, text)));
  find(name).selectedIndex = FIRST[name];
  // another loss is seen where the gradients arrive
  find(name).addEventListener("change", () => choose(name === "loss" && phase === "forward" ? run.count + 1 : null));
}
for (const name of ["forward", "backward"]) find(name).addEventListener("click", () => goPhase(name));
find("row-back").addEventListener("click", () => goRow(-1));
find("row-next").addEventListener("click", () => goRow(1));
// before the player's keys, which would take it for an arrow
document.addEventListener("keydown", (event) => {
  const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (!by || !event.shiftKey || usesKey(event.target, event.key)) return;
  event.preventDefault();
  goRow(by);
});
find("larger").addEventListener("click", (event) => {
  event.currentTarget.setAttribute("aria-pressed", find("stage").classList.toggle("larger"));
});
new ResizeObserver(() => Object.values(boards).forEach((board) => board.fit())).observe(find("stage"));
choose(readAddress());
window.addEventListener("hashchange", () => choose(readAddress()));
