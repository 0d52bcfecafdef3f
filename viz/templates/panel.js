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
  const left = make("code", { class: "name" }, step.phase === 1 ? step.formula : step.name || node.name);
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

// As high as a figure with its caption, so that it stands in the line of the numbers.
const sign = (text) =>
  make(
    "span",
    { class: "figure" },
    make("small", { "aria-hidden": "true" }, "\u00a0"),
    make("span", { class: "number" }, text)
  );

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
        sign("+"),
        figure("contribution", quantities[flow.contribution], "contribution"),
        sign("="),
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

// The panel is as high as its highest step, and a row of the table as at the end: nothing moves. Where the table
// is below it, its height before the backward pass is one of its own: those steps are short.
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
  const before = position;
  panel.style.setProperty("--highest", "auto");
  panel.style.setProperty("--highest-before", "auto");
  const measure = (k) => {
    position = k;
    panel.replaceChildren(...writePanel(k));
    return panel.getBoundingClientRect().height;
  };
  const highestOf = (wanted) =>
    steps
      .map((step, index) => [weigh(step), index + 1])
      .filter(([, k]) => wanted(steps[k - 1]))
      .sort((a, b) => b[0] - a[0])
      .slice(0, 8)
      .reduce((height, [, k]) => Math.max(height, measure(k)), 0);
  const low = Math.ceil(Math.max(measure(0), highestOf((step) => step.phase !== 2)));
  const high = Math.ceil(Math.max(low, highestOf((step) => step.phase === 2)));
  position = before;
  panel.replaceChildren(...writePanel(position));
  panel.style.setProperty("--highest", `${high}px`);
  panel.style.setProperty("--highest-before", `${low}px`);
  // the keyboard scrolls what is cut off
  if (getComputedStyle(panel).overflowY === "auto") panel.setAttribute("tabindex", "0");
  else panel.removeAttribute("tabindex");
}
