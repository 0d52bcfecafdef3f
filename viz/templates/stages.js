// The layers between the drawing and the answer: what each unit or map has, and the weights that made it.

// One stage for each layer with weights but the last; what it shows is what leaves its activation.
function listStages(layers) {
  const weighted = layers.filter((layer) => layer.weight);
  const last = weighted[weighted.length - 1];
  return weighted.filter((layer) => layer !== last).map((layer) => {
    const next = layers[layers.indexOf(layer) + 1];
    const acts = ["relu", "tanh", "sigmoid"].includes(next.kind);
    const [cells, rows = 1, columns = 1] = layer.shape;
    return { layer, shown: acts ? next : layer, activation: acts ? next.kind : "", cells, rows, columns };
  });
}

const ACTIVATIONS = { relu: "ReLU", tanh: "tanh", sigmoid: "sigmoid" };
const largestOf = (values) => values.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0);

// How the weights of one unit are shown: `cells` pictures of rows x columns.
function weightForm({ layer, cells }, picture) {
  const [, inputs, ...kernel] = layer.weightShape;
  if (kernel.length) return { cells: inputs, rows: kernel[0], columns: kernel[1] };
  if (inputs === count(picture)) return { cells: picture[0], rows: picture[1], columns: picture[2] };
  return { cells: inputs, rows: 1, columns: 1 };
}

// largest: the value with the full colour, the same at every moment.
function makeStage(stage, number, picture, largest) {
  const { layer, cells, rows, columns } = stage;
  const isMap = rows * columns > 1, form = weightForm(stage, picture);
  const each = form.cells * form.rows * form.columns, unit = isMap ? "map" : "unit";
  const largestWeight = largestOf(layer.weight);
  const label = `${describe(stage, number)}: which ${unit}`;
  const all = make("canvas", {
    class: "maps", tabindex: 0, role: "slider", "aria-label": label, "aria-valuemin": 1, "aria-valuemax": cells,
  });
  // The weights of all units where each has one picture of them, else those of the chosen unit.
  const every = form.cells === 1 ? make("canvas", { class: "maps", "aria-hidden": true }) : null;
  const own = make("canvas", { class: "own", role: "img" });
  const one = isMap ? make("canvas", { class: "own", role: "img" }) : null;
  const which = make("span", { class: "which" }), reading = make("span", { class: "value" });
  const grids = make("div", { class: "grids" }), detail = make("div", { class: "detail" });
  grids.append(figure(all, isMap ? `The ${cells} maps` : `The ${cells} units`));
  if (every) grids.append(figure(every, `The weights of each ${unit}`));
  else grids.append(figure(own, `The chosen ${unit}'s weights for the ${form.cells} ${unit}s before it`));
  if (every) detail.append(figure(own, `The chosen ${unit}'s weights`));
  if (one) detail.append(figure(one, `The chosen ${unit}`));
  const section = make("section", { class: "stage" });
  section.append(make("h3", {}, describe(stage, number)), make("p", { class: "caption" }, explain(stage, form)));
  const body = make("div", { class: "body" });
  body.append(grids, detail);
  section.append(make("p", { class: "reading" }, which, reading), body);
  const grid = makeGrid(all, cells, rows, columns);
  const everyGrid = every && makeGrid(every, cells, form.rows, form.columns);
  const ownGrid = makeGrid(own, form.cells, form.rows, form.columns);
  const oneGrid = one && makeGrid(one, 1, rows, columns);
  let kept = -1, pointed = -1, palette = null, empty = true, drawn = null;
  const nothing = new Float64Array(cells * rows * columns);

  const area = rows * columns;
  const valuesOf = (cell) => stage.shown.values.subarray(cell * area, (cell + 1) * area);
  const highest = (values) => values.reduce((a, b) => Math.max(a, b));
  const mean = (values) => values.reduce((a, b) => a + b, 0) / values.length;

  function strongest() {
    let best = 0;
    for (let cell = 1; cell < cells; cell++) if (highest(valuesOf(cell)) > highest(valuesOf(best))) best = cell;
    return best;
  }

  function nameOf(cell) {
    const name = `${unit} ${cell + 1} of ${cells}`;
    return kept < 0 && pointed < 0 && !empty ? `Strongest now: ${name}` : name[0].toUpperCase() + name.slice(1);
  }

  function read(values) {
    if (empty) return "nothing drawn yet";
    return isMap ? `at most ${shown(highest(values))}, on average ${shown(mean(values))}` : shown(values[0]);
  }

  function show() {
    const cell = pointed >= 0 ? pointed : kept >= 0 ? kept : empty ? 0 : strongest();
    grid.draw(empty ? nothing : stage.shown.values, largest, palette, cell);
    if (everyGrid && drawn !== `${cell} ${every.clientWidth} ${palette[0]}`) {
      drawn = `${cell} ${every.clientWidth} ${palette[0]}`;
      everyGrid.draw(layer.weight, largestWeight, palette, cell);
    }
    ownGrid.draw(layer.weight.subarray(cell * each, (cell + 1) * each), largestWeight, palette, -1);
    if (oneGrid) oneGrid.draw(empty ? nothing : valuesOf(cell), largest, palette, -1);
    which.textContent = nameOf(cell);
    reading.textContent = read(valuesOf(cell));
    all.setAttribute("aria-valuenow", cell + 1);
    all.setAttribute("aria-valuetext", `${which.textContent}: ${reading.textContent}`);
    own.setAttribute("aria-label", `The weights of ${unit} ${cell + 1}`);
    if (one) one.setAttribute("aria-label", `What leaves map ${cell + 1}`);
    section.dataset.cell = cell;
  }

  function listen(canvas, cellsOf) {
    canvas.addEventListener("pointermove", (event) => {
      if (event.pointerType === "touch") return;
      pointed = cellsOf.find(event.clientX, event.clientY);
      show();
    });
    canvas.addEventListener("pointerleave", () => {
      pointed = -1;
      show();
    });
    canvas.addEventListener("click", (event) => {
      const cell = cellsOf.find(event.clientX, event.clientY);
      kept = cell === kept ? -1 : cell;
      pointed = -1;
      show();
    });
  }

  listen(all, grid);
  if (every) listen(every, everyGrid);
  all.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const by = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: grid.across, ArrowUp: -grid.across }[event.key];
    const now = Number(section.dataset.cell);
    const to = by ? now + by : { Home: 0, End: cells - 1 }[event.key];
    if (event.key === "Escape") kept = -1;
    else if (to === undefined) return;
    else if (to >= 0 && to < cells) kept = to;
    event.preventDefault();
    show();
  });

  return {
    section,
    update(isEmpty) {
      empty = isEmpty;
      show();
    },
    paint(colours) {
      palette = colours;
    },
  };
}

function describe({ layer, cells, rows, columns }, number) {
  if (layer.kind === "conv") return `Convolution ${number}: ${cells} maps of ${rows}×${columns}`;
  return `Hidden layer ${number}: ${cells} units`;
}

function explain({ layer, activation }, form) {
  const then = activation ? `, then ${ACTIVATIONS[activation]}` : "";
  if (layer.kind === "conv") {
    const size = `${form.rows}×${form.columns}`;
    return form.cells === 1
      ? `Each map is the picture seen through a filter of ${size} weights${then}.`
      : `Each map adds up the ${form.cells} before it, each seen through a filter of ${size} weights${then}.`;
  }
  if (form.cells === 1) {
    const size = `${form.rows}×${form.columns}`;
    return `Each unit weighs the ${size} pixels and adds up${then}. Ink on blue raises it, on orange lowers it.`;
  }
  return `Each unit weighs the ${form.cells} units before it and adds up${then}.`;
}

function figure(canvas, caption) {
  const element = make("figure");
  element.append(canvas, make("figcaption", {}, caption));
  return element;
}
