"use strict";
// Shows the recorded state of each step. Every number comes as text from the recording: nothing is computed.
(() => {
  const { nodes, steps, quantities } = JSON.parse(document.getElementById("data").textContent);
  const PHASES = ["forward", "loss", "backward"];
  const VALUE = 0, GRADIENT = 1;
  const DOT = "\u00b7";
  const find = (id) => document.getElementById(id);
  const still = window.matchMedia("(prefers-reduced-motion: reduce)");

  // --- what changes when -----------------------------------------------------------------------------

  // For each node and each of its two numbers: the steps at which it changes, and to which quantity.
  const history = nodes.map(() => [[], []]);
  const arrivals = nodes.map(() => []); // the contributions to each gradient, in order
  const edges = []; // in the order of the drawing
  const incoming = nodes.map(() => []);
  nodes.forEach((node, target) =>
    node.parents.forEach((source, position) => {
      const edge = { source, target, position, forward: 0, backward: 0, flow: null };
      edges.push(edge);
      incoming[target].push(edge);
    })
  );
  const outgoing = nodes.map(() => []);
  edges.forEach((edge) => outgoing[edge.source].push(edge));
  steps.forEach((step, index) => {
    const k = index + 1;
    for (const [node, which, quantity] of step.changes) history[node][which].push([k, quantity]);
    if (step.phase === 0) incoming[step.node].forEach((edge) => (edge.forward = k));
    for (const flow of step.flows) {
      const edge = incoming[step.node][flow.position];
      if (quantities[flow.contribution][0] === DOT) continue;
      edge.backward = k;
      edge.flow = flow;
      arrivals[flow.parent].push([k, flow]);
    }
  });
  const computed = history.map(([values]) => (values.length ? values[0][0] : 0));
  const completed = history.map(([, grads]) => (grads.length ? grads[grads.length - 1][0] : 0));

  // The quantity that a node shows at step k, or null while it is not computed.
  function lookUp(node, which, k) {
    const changes = history[node][which];
    let low = 0, high = changes.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (changes[middle][0] <= k) low = middle + 1;
      else high = middle;
    }
    return low ? quantities[changes[low - 1][1]] : null;
  }

  const isKnown = (quantity) => quantity !== null && quantity[0] !== DOT;
  const signOf = (quantity) =>
    quantity === null ? "" : quantity[1] > 0 ? "positive" : quantity[1] < 0 ? "negative" : "";
  const nameOf = (node) => nodes[node].name;
  const fullName = ({ name, label }) => (label ? `${name}: ${label}` : name);

  // --- elements --------------------------------------------------------------------------------------

  function make(tag, properties = {}, ...children) {
    const element = document.createElement(tag);
    for (const [key, value] of Object.entries(properties)) {
      if (key === "class") element.className = value;
      else element.setAttribute(key, value);
    }
    element.append(...children);
    return element;
  }

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

  // --- one state -------------------------------------------------------------------------------------

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
      if (step.phase === 2) {
        mark(boxes[edge.source].group, "receiving");
        mark(rows[edge.source].row, "receiving");
      }
    }
  }

  // --- the step in words -----------------------------------------------------------------------------

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
          figure("old gradient", quantities[flow.before], "before"),
          make("span", {}, "+"),
          figure("contribution", quantities[flow.contribution], "contribution"),
          make("span", {}, "="),
          figure("new gradient", quantities[flow.after], "after")
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

  // --- from one state to another ---------------------------------------------------------------------

  function show(k, { record = "replace", quiet = false } = {}) {
    const target = Math.max(0, Math.min(steps.length, k));
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
    const slider = find("slider");
    slider.value = position;
    const [headline] = describe(position);
    const where = position ? `Step ${position} of ${steps.length}, ${PHASES[steps[position - 1].phase]}: ` : "";
    slider.setAttribute("aria-valuetext", where + headline);
    if (!quiet) find("live").textContent = where + tell();
    document.querySelectorAll("#phases span").forEach((span, p) =>
      span.classList.toggle("now", position > 0 && steps[position - 1].phase === p)
    );
    // not `disabled`: the button that has the focus would lose it
    for (const id of ["reset", "back"]) find(id).setAttribute("aria-disabled", position === 0);
    for (const id of ["next", "end"]) find(id).setAttribute("aria-disabled", position === steps.length);
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

  function scrollWithin(area, element) {
    const outer = area.getBoundingClientRect();
    const inner = element.getBoundingClientRect();
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
    const { node } = steps[position - 1];
    scrollWithin(find("stage"), boxes[node].group);
    scrollWithin(find("values"), rows[node].row);
  }

  // --- the address -----------------------------------------------------------------------------------

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
    pause();
    if (k !== null) show(k, { record: "" });
    else if (location.hash === "") show(0, { record: "" });
  });

  // --- playing ---------------------------------------------------------------------------------------

  let timer = 0;
  const delay = () => 1200 / Number(find("speed").value);

  function play() {
    if (position === steps.length) show(0);
    find("play").textContent = "Pause";
    timer = setTimeout(tick, delay());
  }

  function tick() {
    const fast = delay() < 600;
    show(position + 1, { quiet: fast && position + 1 < steps.length });
    if (position === steps.length) pause();
    else timer = setTimeout(tick, delay());
  }

  function pause() {
    clearTimeout(timer);
    timer = 0;
    find("play").textContent = "Play";
  }

  const toggle = () => (timer ? pause() : play());

  function go(k) {
    pause();
    show(k);
  }

  // The step that computes a node; from there, the one that completes its gradient.
  function jump(n) {
    pause();
    const wanted = position === computed[n] && completed[n] ? completed[n] : computed[n];
    if (wanted === position) return;
    if (waiting) writeAddress("replaceState");
    show(wanted, { record: "push" });
  }

  find("reset").addEventListener("click", () => go(0));
  find("back").addEventListener("click", () => go(position - 1));
  find("next").addEventListener("click", () => go(position + 1));
  find("end").addEventListener("click", () => go(steps.length));
  find("play").addEventListener("click", toggle);
  find("slider").addEventListener("input", (event) => go(Number(event.target.value)));
  find("speed").addEventListener("change", () => {
    if (!timer) return;
    clearTimeout(timer);
    timer = setTimeout(tick, delay());
  });
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

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    const tag = event.target.tagName;
    if (tag === "SELECT") return;
    if (tag === "BUTTON" && event.key === " ") return; // it presses the button
    const act = {
      ArrowRight: () => go(position + 1),
      n: () => go(position + 1),
      ArrowLeft: () => go(position - 1),
      b: () => go(position - 1),
      Home: () => go(0),
      r: () => go(0),
      End: () => go(steps.length),
      " ": toggle,
    }[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });

  // --- the beginning ---------------------------------------------------------------------------------

  const slider = find("slider");
  slider.max = steps.length;
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
  show(readAddress() ?? 0, { record: "", quiet: true });
  let width = window.innerWidth;
  window.addEventListener("resize", () => {
    if (window.innerWidth === width) return; // a phone's bar that comes and goes
    width = window.innerWidth;
    keepHeight();
  });
})();
