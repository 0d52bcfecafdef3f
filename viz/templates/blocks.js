// A tensor as a block to scale: planes one behind the other, or a column of numbers; and a dot for each sample.

const BLOCK = { size: 124, fan: 46, gap: 9, least: 5 };

// How wide one number is drawn, for a model whose widest plane has `side` of them.
const unitFor = (side) => (BLOCK.size - BLOCK.fan - 4) / side;

function placePlanes([channels, height, width], unit) {
  const shift = channels > 1 ? Math.min(6, BLOCK.fan / (channels - 1)) : 0;
  const fan = shift * (channels - 1);
  const [w, h] = [width * unit, height * unit];
  const left = (BLOCK.size - w - fan) / 2;
  const top = (BLOCK.size - h - fan) / 2;
  const planes = Array.from({ length: channels }, (_, c) => ({
    x: left + fan - shift * c, y: top + shift * c, width: w, height: h,
  }));
  return planes.map((plane) => makeSvg("rect", { class: "plane", ...plane }));
}

// A column that is too long goes on in the next one, as the columns of a page do.
function placeColumn(count, unit) {
  const most = Math.floor(BLOCK.size / unit);
  const columns = Math.ceil(count / most);
  const left = (BLOCK.size - columns * unit) / 2;
  const top = (BLOCK.size - Math.min(count, most) * unit) / 2;
  return Array.from({ length: columns }, (_, c) =>
    makeSvg("rect", {
      class: "column", x: left + c * unit, y: top, width: unit, height: Math.min(most, count - c * most) * unit,
    })
  );
}

function placeSamples(batch) {
  const most = batch <= 64 ? 16 : 32;
  const pitch = BLOCK.size / most;
  const dot = pitch * 0.7;
  const left = (BLOCK.size - Math.min(batch, most) * pitch + pitch - dot) / 2;
  const place = (n) => [left + (n % most) * pitch, BLOCK.size + BLOCK.gap + Math.floor(n / most) * pitch];
  const square = (n) => `M${place(n).map((x) => x.toFixed(2)).join(" ")}h${dot}v${dot}h-${dot}z`;
  const others = Array.from({ length: batch - 1 }, (_, n) => square(n + 1)).join("");
  const parts = [makeSvg("path", { class: "sample", d: square(0) })];
  if (others) parts.push(makeSvg("path", { class: "others", d: others }));
  return { parts, height: Math.ceil(batch / most) * pitch };
}

// shape: of one sample; batch: how many samples, 0 for what has none. room: for so many samples.
function drawBlock(shape, batch, unit, room) {
  const whole = shape.length === 3 ? placePlanes(shape, unit) : placeColumn(shape[0] ?? 1, shape.length ? unit : Math.max(unit, BLOCK.least));
  const samples = batch ? placeSamples(batch).parts : [];
  const height = BLOCK.size + BLOCK.gap + placeSamples(room).height;
  return makeSvg("svg", { viewBox: `0 0 ${BLOCK.size} ${height.toFixed(1)}`, "aria-hidden": "true" }, ...whole, ...samples);
}
