// The drawing: a list of actions (strokes, samples, clearings), shown sharp on the canvas and kept as `ink`,
// BOARD x BOARD numbers from 0 to 1. The ink is computed here, not read back from the canvas: it is the same
// at every size of the page, and browsers that guard against fingerprints give back other pixels.
const BOARD = 280;

function makeBoard(canvas, changed) {
  const context = canvas.getContext("2d");
  const ink = new Float32Array(BOARD * BOARD);
  let actions = []; // {kind: "stroke", radius, points}, {kind: "sample", sample}, {kind: "clear"}
  let stroke = null; // the one that is being drawn
  let colour = "#000000";

  // --- ink ---

  // Whatever is nearer than `radius` to the line from a to b; its edge is one pixel of the board wide.
  function stamp([ax, ay], [bx, by], radius) {
    const dx = bx - ax, dy = by - ay, long = dx * dx + dy * dy, reach = radius + 0.5;
    const clip = (n) => Math.min(Math.max(n, 0), BOARD - 1);
    const limits = (a, b) => [clip(Math.floor(Math.min(a, b) - reach)), clip(Math.ceil(Math.max(a, b) + reach))];
    const [left, right] = limits(ax, bx), [top, bottom] = limits(ay, by);
    for (let y = top; y <= bottom; y++) {
      for (let x = left; x <= right; x++) {
        const px = x + 0.5 - ax, py = y + 0.5 - ay;
        const along = long ? Math.min(Math.max((px * dx + py * dy) / long, 0), 1) : 0;
        const away = Math.hypot(px - along * dx, py - along * dy);
        const share = Math.min(Math.max(reach - away, 0), 1);
        const k = y * BOARD + x;
        if (share > ink[k]) ink[k] = share;
      }
    }
  }

  // A sample of SIZE x SIZE bytes over the whole board, smooth between the middles of its pixels.
  function spread({ pixels }) {
    const clip = (n) => Math.min(Math.max(n, 0), SIZE - 1);
    const locate = (n) => ((n + 0.5) * SIZE) / BOARD - 0.5;
    for (let k = 0; k < ink.length; k++) {
      const x = locate(k % BOARD), y = locate(Math.floor(k / BOARD));
      const left = clip(Math.floor(x)), right = clip(Math.floor(x) + 1), u = x - Math.floor(x);
      const [above, below] = [0, 1].map((n) => {
        const row = SIZE * clip(Math.floor(y) + n);
        return pixels[row + left] * (1 - u) + pixels[row + right] * u;
      });
      const v = y - Math.floor(y);
      ink[k] = (above * (1 - v) + below * v) / 255;
    }
  }

  // --- the canvas ---

  function trace(from, to, radius) {
    const scale = canvas.width / BOARD;
    context.lineCap = context.lineJoin = "round";
    context.lineWidth = 2 * radius * scale;
    context.strokeStyle = colour;
    context.beginPath();
    context.moveTo(from[0] * scale, from[1] * scale);
    context.lineTo(to[0] * scale, to[1] * scale);
    context.stroke();
  }

  function showSample({ pixels }) {
    context.imageSmoothingEnabled = true;
    context.imageSmoothingQuality = "high";
    context.drawImage(paintInk(pixels, colour), 0, 0, canvas.width, canvas.height);
  }

  function draw(action, onto) {
    if (action.kind === "sample") onto.sample(action.sample);
    else {
      const { points, radius } = action;
      points.forEach((point, n) => onto.line(points[Math.max(n - 1, 0)], point, radius));
    }
  }

  // What is there now: all since it was last empty.
  function visible() {
    let first = actions.length;
    while (first > 0 && actions[first - 1].kind === "stroke") first--;
    return actions.slice(first > 0 && actions[first - 1].kind === "sample" ? first - 1 : first);
  }

  function show() {
    context.clearRect(0, 0, canvas.width, canvas.height);
    visible().forEach((action) => draw(action, { sample: showSample, line: trace }));
  }

  function redo() {
    ink.fill(0);
    visible().forEach((action) => draw(action, { sample: spread, line: stamp }));
    show();
    changed(true);
  }

  function act(action) {
    stroke = null;
    actions.push(action);
    redo();
  }

  // --- what the page uses ---

  function extend(point) {
    if (stroke === null) return;
    const last = stroke.points[stroke.points.length - 1];
    stroke.points.push(point);
    stamp(last, point, stroke.radius);
    trace(last, point, stroke.radius);
    changed(false);
  }

  return {
    ink,
    begin(point, radius) {
      stroke = { kind: "stroke", radius, points: [point] };
      actions.push(stroke);
      stamp(point, point, radius);
      trace(point, point, radius);
      changed(false);
    },
    extend,
    end() {
      if (stroke === null) return;
      stroke = null;
      changed(true);
    },
    isDrawing: () => stroke !== null,
    load: (sample) => act({ kind: "sample", sample }),
    clear() {
      if (visible().length) act({ kind: "clear" });
    },
    undo() {
      stroke = null;
      actions = actions.slice(0, -1);
      redo();
    },
    canUndo: () => actions.length > 0,
    // The sample on the board while nothing else is, else null.
    sample() {
      const now = visible();
      return now.length === 1 && now[0].kind === "sample" ? now[0].sample : null;
    },
    fit(side, ink) {
      colour = ink;
      canvas.width = canvas.height = side;
      show();
    },
  };
}
