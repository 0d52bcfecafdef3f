// One step in words and numbers.

// --- the step in words ----------------------------------------------------------------------------------

function describe(k) {
  if (!k) return ["Nothing is computed yet.", "A dot stands for a number that is not there; it is no 0."];
  const step = steps[k - 1];
  const node = nodes[step.node];
  const kinds = { input: "an input", parameter: "a parameter", constant: "a constant" };
  if (step.phase === 1 && quantities[step.result][0] === DOT) return ["No gradient flows back", ""];
  if (step.phase === 1)
    return [`The pass turns back at ${fullName(node)}`, "Its gradient is where all others begin."];
  if (step.phase === 2) return [`${fullName(node)} passes its gradient on`, ""];
  return [node.op ? `${fullName(node)} is computed` : `${fullName(node)} is ${kinds[node.kind] || "an input"}`, ""];
}

function writeCalculation(step) {
  const node = nodes[step.node];
  const left = make("code", { class: "name" }, step.phase === 1 ? step.formula : node.name);
  const lines = [];
  if (step.phase !== 1) {
    if (step.formula) lines.push(make("code", { class: "formula" }, step.formula));
    if (step.formula && step.numbers) lines.push(make("code", { class: "numbers" }, step.numbers));
  }
  const value = step.phase === 2 ? lookUp(step.node, VALUE, position) : quantities[step.result];
  lines.push(number(value, "code"));
  lines[lines.length - 1].classList.add("result");
  const grid = make("div", { class: "calculation" });
  lines.forEach((line, i) => {
    line.prepend("= ");
    grid.append(i ? make("span") : left, line);
  });
  return grid;
}

function figure(caption, quantity, className) {
  return make("span", { class: `figure ${className}` }, make("small", {}, caption), number(quantity));
}

function writeFlow(flow, target) {
  const item = make("div", { class: "flow" }, make("h3", {}, "to ", name(flow.parent)));
  const line = (caption, ...children) =>
    item.append(make("small", {}, caption), make("div", { class: "line" }, ...children));
  if (flow.local !== null) {
    const local = make("span", { class: "number" }, `∂${nameOf(target)}/∂${nameOf(flow.parent)} = `);
    if (flow.derivative) local.append(make("span", { class: "derivative" }, flow.derivative));
    if (Number(flow.local) !== Number(flow.derivative || NaN))
      local.append(flow.derivative ? " = " : "", make("span", { class: "local" }, flow.local));
    line("derivative", local);
    if (flow.check !== undefined) line("measured", make("span", { class: "number check" }, flow.check));
  } else if (flow.derivative) {
    line("adds", make("span", { class: "number derivative" }, flow.derivative));
  }
  if (quantities[flow.contribution][0] !== DOT) {
    if (flow.product)
      line("times", make("span", { class: "number" }, `${flow.product} = `, number(quantities[flow.contribution])));
    item.append(
      make(
        "div",
        { class: "sum" },
        figure("old", quantities[flow.before], "before"),
        make("span", {}, "+"),
        figure("contribution", quantities[flow.contribution], "contribution"),
        make("span", {}, "="),
        figure("new", quantities[flow.after], "after")
      )
    );
  } else if (!flow.note) {
    line("gradient", "It needs none.");
  }
  const detail = quantities[flow.contribution][3];
  if (detail) item.append(writeDetail(detail, "details", "summary"));
  if (flow.note) line("note", make("span", { class: "note" }, flow.note));
  return item;
}

// Of a large array: its summary, and its corners row by row.
function writeDetail(detail, tag = "div", head = "p") {
  const [summary, ...rows] = detail.split("\n");
  return make(tag, { class: "detail" }, make(head, { class: "number" }, summary), make("pre", {}, rows.join("\n")));
}

// As in: x.grad = 4.0 (through **2) + 3.0 (through *) = 7.0
function writeWhole(node, k) {
  const parts = arrivals[node].filter(([step]) => step <= k);
  const total = lookUp(node, GRADIENT, k);
  if (!parts.length || total === null) return null;
  const whole = make("p", { class: "whole number" }, `${nameOf(node)}.grad = `);
  const shown = parts.length > 12 ? [...parts.slice(0, 6), null, ...parts.slice(-5)] : parts;
  shown.forEach((part, i) => {
    if (i) whole.append(" + ");
    if (part === null) whole.append(`… ${parts.length - 11} more …`);
    else whole.append(number(quantities[part[1].contribution]), ` (through ${part[1].through})`);
  });
  if (parts.length > 1) whole.append(" = ", number(total, "b"));
  return whole;
}

function writePanel(k) {
  const step = k ? steps[k - 1] : null;
  const [headline, remark] = describe(k);
  const detail = step && quantities[step.result][3];
  const parts = [
    make(
      "p",
      { class: "phase" },
      step ? `${PHASES[step.phase]} · step ${k} of ${steps.length}` : `before the first of ${steps.length} steps`
    ),
    make("h2", { class: "name" }, headline),
  ];
  if (step) parts.push(writeCalculation(step));
  if (remark) parts.push(make("p", { class: "aside" }, remark));
  if (step && step.phase === 2) {
    parts.push(make("p", { class: "own number" }, `${nameOf(step.node)}.grad = `, number(quantities[step.result])));
    if (detail) parts.push(writeDetail(detail));
    const wide = step.flows.some((flow) => flow.local === null) ? "flows wide" : "flows";
    parts.push(make("div", { class: wide }, ...step.flows.map((flow) => writeFlow(flow, step.node))));
    for (const parent of new Set(step.flows.map((flow) => flow.parent))) {
      const whole = writeWhole(parent, k);
      if (whole) parts.push(whole);
    }
  }
  if (detail && step.phase !== 2) parts.push(writeDetail(detail));
  return parts;
}

// The panel is as high as its highest step, and a row of the table as at the end: nothing moves.
function keepHeight() {
  if (arrays) {
    rows.forEach(({ row, cells }, n) => {
      row.style.height = "";
      cells.forEach((cell, which) => (cell.textContent = (lookUp(n, which, steps.length) || [DOT])[0]));
    });
    const heights = rows.map(({ row }) => row.getBoundingClientRect().height);
    rows.forEach(({ row }, n) => (row.style.height = `${heights[n]}px`));
    nodes.forEach((_, n) => showNode(n));
  }
  const panel = find("panel");
  const weigh = (step) =>
    step.flows.length * 400 +
    step.formula.length +
    step.numbers.length +
    step.flows.reduce((sum, flow) => sum + (flow.note || "").length + flow.derivative.length, 0) +
    step.flows.reduce((sum, flow) => sum + Math.min(arrivals[flow.parent].length, 12) * 30, 0) +
    (quantities[step.result][3] || quantities[step.result][0]).split("\n").length * 100;
  const heaviest = steps
    .map((step, index) => [weigh(step), index + 1])
    .sort((a, b) => b[0] - a[0])
    .slice(0, 8);
  const before = position;
  let height = 0;
  panel.style.minHeight = "";
  for (const k of [0, ...heaviest.map((pair) => pair[1])]) {
    position = k;
    panel.replaceChildren(...writePanel(k));
    height = Math.max(height, panel.getBoundingClientRect().height);
  }
  position = before;
  panel.replaceChildren(...writePanel(position));
  // what would be below a whole screen of it may move: nobody sees it beside the panel
  panel.style.minHeight = `${Math.ceil(Math.min(height, window.innerHeight))}px`;
}
