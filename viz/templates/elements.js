// Elements: to find, to make.
const find = (id) => document.getElementById(id);
const still = window.matchMedia("(prefers-reduced-motion: reduce)");

const make = (tag, properties = {}, ...children) => forgetful(fill(document.createElement(tag), properties, children));

// On the way back to a page a browser would put into its controls what they held, and into nothing else.
function forgetful(element) {
  if (["INPUT", "SELECT"].includes(element.tagName)) element.autocomplete = "off";
  return element;
}
document.querySelectorAll("input, select").forEach(forgetful);

const makeSvg = (tag, properties = {}, ...children) =>
  fill(document.createElementNS("http://www.w3.org/2000/svg", tag), properties, children);

// Attributes, never `style`: the policy of the page forbids it. Set `element.style.width` and the like instead.
function fill(element, properties, children) {
  for (const [key, value] of Object.entries(properties)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

// How much larger than usual the visitor has made text: what is measured in pixels grows with it.
const textScale = () => parseFloat(getComputedStyle(document.documentElement).fontSize) / 16;
