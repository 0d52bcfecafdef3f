// The recording, and what holds at which step. Every number comes as text: nothing is computed here.
const { nodes, steps, quantities } = JSON.parse(find("data").textContent);
const PHASES = ["forward", "loss", "backward"];
const VALUE = 0, GRADIENT = 1;
const DOT = "\u00b7";

// --- what changes when ----------------------------------------------------------------------------------

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
