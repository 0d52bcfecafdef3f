// The page: boxes, arrows and table as they are at a step, and the ways from one step to another.

// --- elements -------------------------------------------------------------------------------------------

const number = (quantity, tag = "span") =>
  make(
    tag,
    { class: `number ${isKnown(quantity) ? signOf(quantity) : "missing"}` },
    quantity === null ? DOT : quantity[0]
  );

const name = (node) => make("span", { class: "name number" }, nameOf(node));

const boxes = nodes.map((_, n) => {
  const group = find(`node${n}`);
  return { group, texts: [group.querySelector(".value"), group.querySelector(".grad")] };
});
for (const edge of edges) {
  const group = find(`edge${edge.source}-${edge.target}-${edge.position}`);
  edge.group = group;
  edge.parts = ["arrow", "head", "back", "back-head"].map((part) => group.querySelector(`.${part}`));
}

const rows = nodes.map((node, n) => {
  const button = make("button", { type: "button" }, make("span", { class: "name number" }, fullName(node)));
  const from = steps[n].formula || node.kind;
  const cells = [make("td", { class: "number missing" }, DOT), make("td", { class: "number missing" }, DOT)];
  const row = make(
    "tr",
    {},
    make("th", { scope: "row" }, button),
    make("td", { class: node.op ? "from name number" : "from name" }, from),
    ...cells
  );
  row.addEventListener("click", () => jump(n));
  return { row, button, cells };
});
const arrays = nodes.some((node) => node.array);
find("values").classList.toggle("arrays", arrays);
find("rows").append(...rows.map(({ row }) => row));

// --- one state ------------------------------------------------------------------------------------------

let position = 0;
let marked = []; // what the last step has marked

function writeLines(text, quantity) {
  const lines = (quantity === null ? DOT : quantity[0]).split("\n");
  const shown = lines.map((line) => (line.length > 38 ? `${line.slice(0, 37)}…` : line));
  if (shown.length === 1) {
    text.textContent = shown[0];
  } else {
    text.replaceChildren(
      ...shown.map((line, i) => {
        const span = document.createElementNS("http://www.w3.org/2000/svg", "tspan");
        span.setAttribute("x", text.getAttribute("x"));
        if (i) span.setAttribute("dy", "15");
        span.textContent = line;
        return span;
      })
    );
  }
}

function showNode(n) {
  for (const which of [VALUE, GRADIENT]) {
    const quantity = lookUp(n, which, position);
    const kind = isKnown(quantity) ? signOf(quantity) : "missing";
    const text = boxes[n].texts[which];
    writeLines(text, quantity);
    text.setAttribute("class", `${which === VALUE ? "value" : "grad"} ${kind}`);
    const cell = rows[n].cells[which];
    cell.textContent = quantity === null ? DOT : quantity[0];
    cell.className = `number ${kind}`;
  }
}

function showEdge(edge) {
  const value = edge.forward && edge.forward <= position ? lookUp(edge.source, VALUE, position) : null;
  const returned = edge.backward && edge.backward <= position;
  const gradient = returned ? quantities[edge.flow.contribution] : null;
  const carried = edge.forward > 0 && edge.forward <= position;
  edge.group.classList.toggle("carried", carried);
  edge.group.classList.toggle("known", carried);
  edge.group.classList.toggle("returned", Boolean(returned));
  [value, value, gradient, gradient].forEach((quantity, part) => {
    const base = ["arrow", "head", "back", "back-head"][part];
    edge.parts[part].setAttribute("class", `${base} ${signOf(quantity)}`);
    if (part % 2 === 0) edge.parts[part].style.strokeWidth = quantity ? `${quantity[2]}px` : "";
  });
}

function mark(element, className) {
  element.classList.add(className);
  marked.push([element, className]);
}

function markStep() {
  for (const [element, className] of marked) element.classList.remove(className);
  marked = [];
  const drawing = find("drawing");
  const step = position ? steps[position - 1] : null;
  drawing.classList.toggle("playing", step !== null && step.phase !== 1);
  PHASES.forEach((phase, p) => drawing.classList.toggle(phase, step !== null && step.phase === p));
  if (step === null) return;
  mark(boxes[step.node].group, "active");
  mark(rows[step.node].row, "active");
  if (step.phase === 1) return;
  for (const edge of incoming[step.node]) {
    if (step.phase === 2 && edge.backward !== position) continue;
    mark(edge.group, "active");
    find("edges").append(edge.group); // above those that it crosses
    if (step.phase === 2) {
      mark(boxes[edge.source].group, "receiving");
      mark(rows[edge.source].row, "receiving");
    }
  }
}

// --- from one state to another --------------------------------------------------------------------------

function show(target, { record = "replace", quiet = false } = {}) {
  const [low, high] = target < position ? [target, position] : [position, target];
  position = target;
  const changed = new Set();
  const touched = new Set();
  for (let index = low; index < high; index++) {
    const step = steps[index];
    for (const [node] of step.changes) changed.add(node);
    for (const edge of incoming[step.node]) touched.add(edge);
  }
  changed.forEach(showNode);
  touched.forEach(showEdge);
  markStep();
  find("panel").replaceChildren(...writePanel(position));
  find("panel").classList.toggle("backward", position > 0 && steps[position - 1].phase === 2);
  find("panel").scrollTop = 0;
  const [headline] = describe(position);
  const where = position ? `Step ${position} of ${steps.length}, ${PHASES[steps[position - 1].phase]}: ` : "";
  find("slider").setAttribute("aria-valuetext", where + headline);
  if (!quiet) find("live").textContent = where + tell();
  document.querySelectorAll("#phases span").forEach((span, p) =>
    span.classList.toggle("now", position > 0 && steps[position - 1].phase === p)
  );
  follow();
  if (record) remember(record);
}

// What a screen reader says of the step.
function tell() {
  const [headline, remark] = describe(position);
  if (!position) return `${headline} ${remark}`;
  const step = steps[position - 1];
  if (step.phase !== 2) {
    const parts = [headline, step.formula, step.formula && step.phase === 0 ? step.numbers : ""];
    return `${parts.filter(Boolean).join(" = ")} = ${quantities[step.result][0]}`;
  }
  const flows = step.flows
    .filter((flow) => quantities[flow.contribution][0] !== DOT)
    .map((flow) => {
      const [before, contribution, after] = [flow.before, flow.contribution, flow.after].map((q) => quantities[q][0]);
      return `${nameOf(flow.parent)}: ${before === DOT ? "no gradient yet" : before} + ${contribution} = ${after}`;
    });
  return `${headline}. ${flows.join("; ")}`;
}

const enclose = (places) => ({
  left: Math.min(...places.map((place) => place.left)),
  right: Math.max(...places.map((place) => place.right)),
  top: Math.min(...places.map((place) => place.top)),
  bottom: Math.max(...places.map((place) => place.bottom)),
});

function scrollWithin(area, inner) {
  const outer = area.getBoundingClientRect();
  const margin = 40;
  const move = (low, high, start, end) => {
    if (high - low > end - start - 2 * margin) return (low + high - start - end) / 2;
    return low < start + margin ? low - start - margin : high > end - margin ? high - end + margin : 0;
  };
  const left = move(inner.left, inner.right, outer.left, outer.right);
  const top = move(inner.top, inner.bottom, outer.top, outer.bottom);
  const smooth = !still.matches && Math.abs(left) + Math.abs(top) < 700;
  if (left || top) area.scrollBy({ left, top, behavior: smooth ? "smooth" : "auto" });
}

function follow() {
  if (!position) {
    find("stage").scrollTo({ left: 0 });
    find("values").scrollTo({ top: 0 });
    return;
  }
  const { node, phase } = steps[position - 1];
  const stage = find("stage").getBoundingClientRect();
  const own = boxes[node].group.getBoundingClientRect();
  const sources = phase === 1 ? [] : nodes[node].parents.map((n) => boxes[n].group.getBoundingClientRect());
  const all = enclose([own, ...sources]);
  const fits = all.right - all.left < stage.width - 80 && all.bottom - all.top < stage.height - 20;
  scrollWithin(find("stage"), fits ? all : own);
  scrollWithin(find("values"), rows[node].row.getBoundingClientRect());
}

// --- the address ----------------------------------------------------------------------------------------

// Steps replace the entry of the history, jumps add one: the way back goes to where one jumped from.
// Not at every step: browsers refuse more than a few hundred changes in half a minute.
let waiting = 0;
function remember(how) {
  clearTimeout(waiting);
  waiting = how === "push" ? 0 : setTimeout(writeAddress, 250, "replaceState");
  if (how === "push") writeAddress("pushState");
}

function writeAddress(method) {
  clearTimeout(waiting);
  waiting = 0;
  const hash = `#step=${position}`;
  if (location.hash === hash) return;
  try {
    window.history[method](null, "", hash);
  } catch {
    // a page within a page may have no address of its own
  }
}

function readAddress() {
  const match = /^#step=(\d{1,7})$/.exec(location.hash);
  return match && Number(match[1]) <= steps.length ? Number(match[1]) : null;
}

window.addEventListener("popstate", () => {
  const k = readAddress();
  player.pause();
  if (k !== null) player.goto(k, { record: "" });
  else if (location.hash === "") player.goto(0, { record: "" });
});

// --- playing --------------------------------------------------------------------------------------------

const player = makePlayer({ count: steps.length + 1, show, interval: 1200 });

// The step that computes a node; from there, the one that completes its gradient.
function jump(n) {
  player.pause();
  const wanted = position === computed[n] && completed[n] ? completed[n] : computed[n];
  if (wanted === position) return;
  if (waiting) writeAddress("replaceState");
  player.goto(wanted, { record: "push" });
}

find("fit").addEventListener("click", (event) => {
  const fits = find("stage").classList.toggle("fit");
  event.target.setAttribute("aria-pressed", fits);
  follow();
});

// --- boxes by keyboard: one stop of the tab key, up and down between them -------------------------------

let stop = 0;
function makeStop(n) {
  boxes[stop].group.setAttribute("tabindex", "-1");
  stop = n;
  boxes[stop].group.setAttribute("tabindex", "0");
}

boxes.forEach(({ group }, n) => {
  group.setAttribute("role", "button");
  group.setAttribute("tabindex", "-1");
  group.setAttribute("aria-label", `${fullName(nodes[n])}${nodes[n].op ? `, ${nodes[n].op}` : ""}: go to its step`);
  group.addEventListener("click", () => {
    makeStop(n);
    jump(n);
  });
  group.addEventListener("keydown", (event) => {
    const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (event.key === "Enter") jump(n);
    else if (by && boxes[n + by]) {
      makeStop(n + by);
      boxes[stop].group.focus();
    } else return;
    event.preventDefault();
  });
});

// --- the beginning --------------------------------------------------------------------------------------

PHASES.forEach((phase, p) => {
  const count = steps.filter((step) => step.phase === p).length;
  const span = make("span", {}, p === 1 ? "" : phase);
  span.style.flexGrow = count;
  span.hidden = count === 0; // a tensor that requires no gradient has no backward pass
  find("phases").append(span);
});
boxes[nodes.length - 1].group.classList.add("output");
makeStop(0);
keepHeight();
player.goto(readAddress() ?? 0, { record: "", quiet: true });
let width = window.innerWidth;
window.addEventListener("resize", () => {
  if (window.innerWidth === width) return; // a phone's bar that comes and goes
  width = window.innerWidth;
  keepHeight();
});
