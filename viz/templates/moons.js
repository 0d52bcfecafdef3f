// Two moons: one state is the network before the first epoch (0) or after an epoch; all parts show the same.

const SCORE = { layer: 3, index: 0 };
let chosen = null; // by click, tap or focus
let pointed = null; // by the mouse, for as long as it stays
let position = 0;

const current = () => pointed || chosen || SCORE;
const write = (x) => shown(x).replaceAll("-", "−");

// --- words ---------------------------------------------------------------------------------------------

const ORDER = ["", "first", "second"];

function speakNeuron(k, layer, index) {
  if (layer === 0) return `input ${names[0][index]}`;
  if (layer === 3) return "the score";
  return `neuron ${names[layer][index]} of the ${ORDER[layer]} layer, on at ${states[k].on[layer - 1][index]} of ${points.length} points`;
}

function writeTitles(k, { layer, index }) {
  const state = states[k];
  const name = names[layer][index];
  const title = layer === 0 ? `Input ${name}` : layer === 3 ? "The score of every place" : `What neuron ${name} responds to`;
  const [least, most] = state.range.map(write);
  const note =
    layer === 0
      ? "A coordinate: the network knows nothing else of a place."
      : layer === 3
        ? `Bold: score 0. Dashed: ±1, where the loss lets go of a point. From ${least} to ${most} here.`
        : `On at ${state.on[layer - 1][index]} of ${points.length} points, up to ${write(state.most[layer - 1][index])} here. Bold: its fold, where it switches on.`;
  find("plane-title").textContent = title;
  find("plane-note").textContent = note;
}

// --- the numbers of one neuron ---------------------------------------------------------------------------

const signed = (x, tag = "span") =>
  make(tag, { class: `number ${x > 0 ? "positive" : x < 0 ? "negative" : ""}` }, write(x));

function writeNeuron(k, { layer, index }) {
  const name = names[layer][index];
  find("neuron-title").textContent =
    layer === 0 ? `Input ${name}` : layer === 3 ? "The score, in numbers" : `Neuron ${name}, in numbers`;
  find("numbers").hidden = layer === 0;
  if (layer === 0) {
    find("formula").replaceChildren("It goes into each neuron of the first layer.");
    return;
  }
  const weights = states[k].weights[layer - 1][index];
  const grads = states[k].grads[layer - 1][index];
  const sources = [...names[layer - 1], "bias"];
  const sum = make("span");
  weights.forEach((w, i) => {
    if (i) sum.append(w < 0 ? " − " : " + ");
    const number = signed(w);
    if (i) number.textContent = write(Math.abs(w));
    sum.append(make("span", { class: "term" }, number, i < weights.length - 1 ? `\u202f${sources[i]}` : ""));
  });
  find("formula").replaceChildren(
    make("b", {}, name), " = ", ...(layer === 3 ? [sum] : ["relu(", sum, ")"])
  );
  find("rows").replaceChildren(
    ...sources.map((source, i) =>
      make("tr", {}, make("th", { scope: "row" }, source), signed(weights[i], "td"), signed(grads[i], "td"))
    )
  );
}

// --- every gradient ----------------------------------------------------------------------------------------

const FINEST = 1e-3; // gradients up to it stand in proportion, larger ones by powers of ten
const squash = (g) => Math.sign(g) * Math.log10(1 + Math.abs(g) / FINEST);
const widest = squash(Math.max(FINEST, ...states.flatMap((state) => state.grads.flat(2).map(Math.abs)))) * 1.04;
const TICKS = [-1, -0.1, -0.01, 0, 0.01, 0.1, 1].filter((tick) => Math.abs(squash(tick)) < widest);
const HEIGHT = 58;
const strokes = []; // by layer, by neuron, by parameter

function buildSpread() {
  states[0].grads.forEach((layer, l) => {
    const svg = makeSvg("svg", { class: "strokes", preserveAspectRatio: "none", viewBox: `${-widest} 0 ${2 * widest} ${HEIGHT}`, role: "img", "aria-label": `gradients of the ${["first", "second", "last"][l]} layer` });
    for (const tick of TICKS)
      svg.append(makeSvg("line", { class: tick ? "grid" : "grid zero", x1: squash(tick), x2: squash(tick), y1: 0, y2: HEIGHT, "vector-effect": "non-scaling-stroke" }));
    strokes.push(layer.map((neuron) => neuron.map(() => {
      const line = makeSvg("line", { y1: 12, y2: HEIGHT - 12, "vector-effect": "non-scaling-stroke" });
      svg.append(line);
      return line;
    })));
    const row = make("div", { class: "layer" },
      make("p", {}, make("b", {}, ["first layer", "second layer", "last layer"][l]), `, ${layer.flat().length}`),
      make("p", { class: "tail" }, "norm ", make("span", { class: "number", id: `norm-${l}` }), make("span", { id: `zeros-${l}` })), svg);
    find("spread").append(row);
  });
  const axis = make("div", { class: "axis", "aria-hidden": "true" });
  for (const tick of TICKS) {
    const label = make("span", { class: "number" }, String(tick).replace("-", "−"));
    label.style.left = `${50 + (50 * squash(tick)) / widest}%`;
    axis.append(label);
  }
  find("spread").append(axis);
}

function drawSpread(k, which, isChosen) {
  const { grads, norms, zeros } = states[k];
  strokes.forEach((layer, l) => {
    layer.forEach((neuron, i) => {
      const mine = isChosen && which.layer === l + 1 && which.index === i;
      neuron.forEach((line, p) => {
        const g = grads[l][i][p];
        const x = squash(g);
        line.setAttribute("x1", x);
        line.setAttribute("x2", x);
        line.setAttribute("class", `stroke ${g > 0 ? "plus" : g < 0 ? "minus" : "none"}${mine ? " own" : ""}`);
      });
    });
    find(`norm-${l}`).textContent = write(norms[l]);
    find(`zeros-${l}`).textContent = zeros[l] ? ` · ${zeros[l]} are 0` : "";
  });
}

// --- all together --------------------------------------------------------------------------------------------

function draw() {
  const which = current();
  const isChosen = which !== SCORE;
  drawPlane(position, which);
  drawNetwork(position, which, isChosen);
  writeTitles(position, which);
  writeNeuron(position, which);
  drawSpread(position, which, isChosen);
}

function show(k) {
  position = k;
  const { loss, right } = states[k];
  find("epoch").textContent = String(k);
  find("loss").textContent = write(loss);
  find("learned").textContent = `${right[0]} of ${points.length}`;
  find("others").textContent = `${right[1]} of ${others}`;
  for (const chart of graphs) chart.mark(k);
  draw();
}

function describe(k) {
  const { loss, right } = states[k];
  return `Epoch ${k} of ${epochs}: loss ${write(loss)}, ${right[0]} of ${points.length} learned points right, ${right[1]} of ${others} others`;
}

// A click chooses, and a second one returns to the score.
function choose(which, toggles) {
  const same = chosen && chosen.layer === which.layer && chosen.index === which.index;
  chosen = (toggles && same) || which.layer === 3 ? null : which;
  neurons.forEach((layer, l) => layer.forEach(({ button }, i) =>
    button.setAttribute("aria-pressed", Boolean(chosen && chosen.layer === l && chosen.index === i))));
  find("live").textContent = chosen ? speakNeuron(position, which.layer, which.index) : "the score of the network";
  draw();
}

function point(which) {
  pointed = which && which.layer === 3 ? SCORE : which;
  draw();
}

function showQuantity(what) {
  quantity = what;
  find("show-weights").setAttribute("aria-pressed", what === "weights");
  find("show-grads").setAttribute("aria-pressed", what === "grads");
  find("width-note").textContent = what === "weights" ? "wider: larger weight." : "wider: larger gradient.";
  draw();
}

function buildCharts() {
  const share = (which) => states.map(({ right }) => right[which] / [points.length, others][which]);
  const pick = (k) => {
    player.pause();
    player.goto(k);
  };
  const common = { xLabel: "epoch", pick };
  return [
    lineChart(find("loss-chart"), {
      ...common, series: [{ name: "loss", values: states.map(({ loss }) => loss), slot: 1 }],
      yLabel: "mean hinge loss", describe: "The loss by epoch",
    }),
    lineChart(find("right-chart"), {
      ...common, series: [{ name: "learned", values: share(0), slot: 1 }, { name: "others", values: share(1), slot: 2 }],
      yLabel: "part that is right", describe: "The part of the learned points, and of others, that is right, by epoch",
    }),
    lineChart(find("norms-chart"), {
      ...common, log: true, yLabel: "norm", describe: "The norm of each layer's gradient by epoch",
      series: ["first", "second", "last"].map((name, l) => ({ name, values: states.map(({ norms }) => norms[l]), slot: l + 3 })),
    }),
  ];
}

buildPlane();
buildNetwork(choose, point);
buildSpread();
readColours();
placeNetwork();
fitCanvas(find("field"));
find("count").textContent = String(parameters);
find("network-title").textContent = `Network ${sizes.join("-")}`;
const graphs = buildCharts();
const player = makePlayer({ count: states.length, show, interval: 200, describe });
showQuantity("weights");
player.goto(0, { quiet: true });

find("folds").addEventListener("click", (event) => {
  const on = find("plane").classList.toggle("folded");
  event.currentTarget.setAttribute("aria-pressed", on);
});
find("show-weights").addEventListener("click", () => showQuantity("weights"));
find("show-grads").addEventListener("click", () => showQuantity("grads"));
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && chosen) choose(SCORE, false);
});
window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  readColours();
  draw();
});
new ResizeObserver(() => {
  placeNetwork();
  fitCanvas(find("field"));
  draw();
}).observe(find("plane"));
