// The network: a button a neuron, with what it responds to; lines as strong as their weights or gradients.

const names = sizes.map((size, layer) =>
  Array.from({ length: size }, (_, i) => (layer === 0 ? "xy"[i] : layer === 3 ? "score" : `${"ab"[layer - 1]}${i + 1}`))
);
const HEADS = ["inputs", "first layer", "second layer", "score"];
const neurons = []; // by layer: {button, canvas, x, y}
const edges = []; // {layer, from, to, path}: from a neuron of `layer` to one of the next
const WIDEST = 7;
const ACROSS = [0, 0.3, 0.7, 1]; // where the layers stand; most lines are in the middle

// What the lines show, and the largest of each in the whole recording: widths stay comparable over time.
let quantity = "weights";
const largest = {};
for (const what of ["weights", "grads"])
  largest[what] = states.reduce(
    (most, state) => state[what].flat().reduce((m, row) => row.slice(0, -1).reduce((n, x) => Math.max(n, Math.abs(x)), m), most), 0
  ) || 1;

const numberOf = (k, { layer, from, to }) => states[k][quantity][layer][to][from];

function buildNetwork(onChoose, onPoint) {
  const holder = find("network");
  sizes.forEach((size, layer) => {
    neurons.push(
      Array.from({ length: size }, (_, index) => {
        const canvas = make("canvas", { "aria-hidden": "true" });
        const name = make("span", { class: "who", "aria-hidden": "true" }, names[layer][index]);
        const button = make("button", { type: "button", class: "neuron", "aria-pressed": "false" }, canvas, name);
        const which = { layer, index };
        // by keyboard (no clicks counted) it has been chosen by the focus
        button.addEventListener("click", (event) => onChoose(which, event.detail > 0));
        button.addEventListener("focus", () => button.matches(":focus-visible") && onChoose(which, false));
        button.addEventListener("pointerenter", (event) => event.pointerType === "mouse" && onPoint(which));
        button.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && onPoint(null));
        holder.append(button);
        return { button, canvas };
      })
    );
  });
  for (let layer = 0; layer < 3; layer++)
    for (let from = 0; from < sizes[layer]; from++)
      for (let to = 0; to < sizes[layer + 1]; to++) edges.push({ layer, from, to, path: makeSvg("path") });
  find("edges").append(...edges.map(({ path }) => path));
  find("edges").append(makeSvg("g", { id: "edge-numbers" }), makeSvg("g", { id: "heads" }));
  roam();
}

// One stop of the tab key; up and down walk through all neurons.
function roam() {
  const all = neurons.flat().map(({ button }) => button);
  const stop = (button) => all.forEach((other) => other.setAttribute("tabindex", other === button ? "0" : "-1"));
  stop(all[all.length - 1]);
  all.forEach((button, n) => {
    button.addEventListener("focus", () => stop(button));
    button.addEventListener("keydown", (event) => {
      const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (!by) return;
      event.preventDefault();
      const next = all[n + by];
      if (!next) return;
      next.focus();
    });
  });
}

// Where everything stands, from the width that there is.
function placeNetwork() {
  const holder = find("network");
  const { width, height } = holder.getBoundingClientRect();
  if (!width) return;
  const narrow = width < 480;
  const thumb = narrow ? [45, 30] : [63, 42];
  holder.classList.toggle("narrow", narrow);
  holder.style.setProperty("--thumb-width", `${thumb[0]}px`);
  holder.style.setProperty("--thumb-height", `${thumb[1]}px`);
  const head = 22;
  const svg = find("edges");
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const pitch = (height - head) / Math.max(...sizes);
  const edge = thumb[0] / 2 + 4;
  neurons.forEach((layer, l) => {
    const x = edge + ACROSS[l] * (width - 2 * edge);
    layer.forEach((neuron, i) => {
      const spread = l === 0 ? 2 : 1;
      Object.assign(neuron, { x, y: head + (height - head) / 2 + (i - (layer.length - 1) / 2) * pitch * spread });
      neuron.button.style.left = `${x}px`;
      neuron.button.style.top = `${neuron.y}px`;
    });
  });
  for (const { layer, from, to, path } of edges) {
    const a = neurons[layer][from], b = neurons[layer + 1][to];
    const start = a.x + thumb[0] / 2, end = b.x - thumb[0] / 2, bend = (end - start) * 0.45;
    path.setAttribute("d", `M${start} ${a.y}C${start + bend} ${a.y} ${end - bend} ${b.y} ${end} ${b.y}`);
  }
  find("heads").replaceChildren(
    ...HEADS.map((text, l) =>
      makeSvg("text", { x: neurons[l][0].x, y: 12, "text-anchor": l === 0 ? "start" : l === 3 ? "end" : "middle",
        dx: l === 0 ? -thumb[0] / 2 : l === 3 ? thumb[0] / 2 : 0 }, narrow ? text.replace(" layer", "") : text)
    )
  );
  neurons.flat().forEach(({ canvas }) => fitCanvas(canvas));
}

const touches = ({ layer, from, to }, shown) =>
  (shown.layer === layer + 1 && shown.index === to) || (shown.layer === layer && shown.index === from);

function drawNetwork(k, shown, isChosen) {
  neurons.forEach((layer, l) =>
    layer.forEach(({ button, canvas }, i) => {
      paintNeuron(canvas, k, l, i);
      const mine = isChosen && l === shown.layer && i === shown.index;
      button.classList.toggle("shown", mine);
      button.classList.toggle("off", (l === 1 || l === 2) && states[k].on[l - 1][i] === 0);
      button.setAttribute("aria-label", speakNeuron(k, l, i));
    })
  );
  for (const edge of edges) {
    const number = numberOf(k, edge);
    const part = Math.abs(number) / largest[quantity];
    // gradients range over powers of ten: their root can still be seen
    const size = quantity === "grads" ? Math.sqrt(part) : part;
    const near = isChosen ? touches(edge, shown) : null;
    edge.path.setAttribute("class", `edge ${number > 0 ? "plus" : number < 0 ? "minus" : "none"}${near === null ? "" : near ? " near" : " far"}`);
    edge.path.style.strokeWidth = `${(0.4 + (WIDEST - 0.4) * size).toFixed(2)}px`;
    edge.path.style.strokeOpacity = near ? "1" : (0.22 + 0.6 * Math.sqrt(size)).toFixed(3);
  }
  writeEdgeNumbers(k, isChosen ? shown : null);
}

// The numbers of a chosen neuron's lines, each beside the neuron at its other end.
function writeEdgeNumbers(k, shown) {
  const group = find("edge-numbers");
  if (!shown) return group.replaceChildren();
  const thumb = neurons[0][0].button.offsetWidth / 2 + 5;
  group.replaceChildren(
    ...edges.filter((edge) => touches(edge, shown)).map((edge) => {
      const incoming = edge.layer + 1 === shown.layer;
      const other = incoming ? neurons[edge.layer][edge.from] : neurons[edge.layer + 1][edge.to];
      const number = numberOf(k, edge);
      return makeSvg("text", {
        x: other.x + (incoming ? thumb : -thumb), y: other.y, "dominant-baseline": "central",
        "text-anchor": incoming ? "start" : "end", class: number > 0 ? "plus" : number < 0 ? "minus" : "none",
      }, write(number));
    })
  );
}
