// The panel: what one state does, with its numbers, and the rule in words.

// Lay out k x k terms in a block: two factors, their product and, on the way back, the sum so far.
function makeTerms(block, k) {
  const host = block.querySelector(".cells");
  host.style.setProperty("--k", k);
  const terms = Array.from({ length: k * k }, () => {
    const parts = ["one", "two", "product", "total"].map((name) => make("span", { class: `number ${name}` }));
    const element = make("div", { class: "term" }, ...parts);
    host.append(element);
    return { element, parts };
  });
  host.replaceChildren(...terms.map(({ element }) => element));
  return terms;
}

// rows: [factor, factor, product, sum so far or what stands for it], one a term; null: not computed yet.
// times: what stands between the factors.
function writeTerms(terms, rows, times = "× ") {
  const most = rows ? largest(rows.map(([, , product]) => product)) : 0;
  terms.forEach(({ element, parts }, n) => {
    const [one, two, product, total] = rows ? rows[n] : [null, null, null, null];
    element.className = `term ${product === null ? "missing" : toneOf(product)}`;
    element.style.setProperty("--amount", product && most ? Math.abs(product) / most : 0);
    const texts = product === null ? ["", "", "·", ""] : [full(one), times + full(two), full(product), total];
    parts.forEach((part, p) => (part.textContent = texts[p]));
  });
}

// "6 - 4 = 2": what is 0 is left out.
function writeSum(products, result) {
  const terms = products.filter((product) => product !== 0);
  if (terms.length === 0) return "Every product is 0, and so is their sum.";
  const [first, ...others] = terms;
  const tail = others.map((term) => (term < 0 ? ` - ${full(-term)}` : ` + ${full(term)}`));
  return `${full(first)}${tail.join("")} = ${full(result)}`;
}

const place = (run, cell) => `row ${Math.floor(cell / run.out) + 1}, column ${(cell % run.out) + 1}`;

const LOSSES = {
  pixel: (run) =>
    `L is one output alone, the strongest, at ${place(run, run.gy.indexOf(1))}. Its gradient is 1 there and 0 elsewhere.`,
  sum: () => "L is the sum of all outputs: each of them has the gradient 1.",
  squares: () =>
    "L = ½ sum of (y\u00a0-\u00a0t)², where t is the digit itself: the pixel in the middle of each window. " +
    "The gradient of an output is y\u00a0-\u00a0t.",
};

// Why the gradient of an output is what it is.
function whyGradient(run, cell) {
  const gradient = full(run.gy[cell]);
  if (run.lossName !== "squares") return `dL/dy = ${gradient} here.`;
  const target = inkAt(run, windowOf(run, cell)[(run.w.length - 1) / 2]);
  return `dL/dy = y - t = ${full(run.y[cell])} - ${full(target)} = ${gradient} here.`;
}

const AGREES = "Both sums are the engine's gradients, to the last bit.";

// The headline of a state and what stands below it; a screen reader says both.
function tellState(run, k) {
  const cell = cellOf(run, k);
  if (k === 0) return ["Nothing is computed yet", "The window waits at the first place: press Play or Next."];
  if (!isBackward(run, k)) {
    return [`y at ${place(run, cell)} is ${full(run.y[cell])}`, writeSum(productsAt(run, cell), run.y[cell])];
  }
  if (cell < 0) return [`The loss L is ${full(run.loss)}`, "Its gradient has arrived at the outputs: press Play or Next."];
  const last = cell === run.count - 1;
  const verdict = run.agrees ? AGREES : "These sums are NOT the engine's gradients.";
  const idle = run.gy[cell] === 0 ? " Nothing flows back from 0." : "";
  return [
    last ? "Every gradient has flowed back" : `Back from ${place(run, cell)}`,
    `${whyGradient(run, cell)}${idle}${last ? ` ${verdict}` : ""}`,
  ];
}

// What an output cell multiplies: to be computed, or to be passed back.
function forwardRows(run, cell) {
  return windowOf(run, cell).map((pixel, n) => {
    const ink = inkAt(run, pixel);
    return [ink, run.w[n], ink * run.w[n], pixel < 0 ? "padding" : ""];
  });
}

// 25 terms have no room for more.
const writeTotal = (run, total) => (run.k > 3 ? brief(total) : full(total));

function pixelRows(run, cell, gx) {
  const gradient = run.gy[cell];
  return windowOf(run, cell).map((pixel, n) => {
    const total = pixel < 0 ? "padding" : `→ ${writeTotal(run, gx[pixel])}`;
    return [gradient, run.w[n], gradient * run.w[n], total];
  });
}

function weightRows(run, cell, gw) {
  const gradient = run.gy[cell];
  return windowOf(run, cell).map((pixel, n) => {
    const ink = inkAt(run, pixel);
    return [gradient, ink, gradient * ink, `→ ${writeTotal(run, gw[n])}`];
  });
}

const TITLES = {
  forward: ["pixel × weight", ""],
  backward: ["To the pixels: gradient × weight → sum so far", "To the weights: gradient × pixel → sum so far"],
};

// The rules, in words and in letters. s: stride, p: padding.
const WORDS = {
  forward: [
    [
      "Output",
      "every cell is the sum, over the window it looks at, of pixel times weight.",
      "y[r, c] = Σ x[s·r + i - p, s·c + j - p] · w[i, j]",
    ],
  ],
  backward: [
    [
      "Gradient of a pixel",
      "from each output whose window covers it comes that output's gradient, times the weight that lay on the pixel. All are added.",
      "dL/dx[s·r + i - p, s·c + j - p] += dL/dy[r, c] · w[i, j]",
    ],
    [
      "Gradient of a weight",
      "from each output comes that output's gradient, times the pixel that lay under the weight. All are added.",
      "dL/dw[i, j] += dL/dy[r, c] · x[s·r + i - p, s·c + j - p]",
    ],
  ],
};

const writeWords = (phase) =>
  WORDS[phase].map(([name, words, formula]) =>
    make("p", {}, make("b", {}, `${name}: `), words, " ", make("code", {}, formula))
  );
