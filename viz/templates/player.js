// The player of controls.html: goes through the states 0 to count - 1 by its buttons, its slider and by keys.

const SHORTEST = 16; // milliseconds between two pictures; faster than that, states are left out

// Whether an element that has the focus needs a key for itself.
function usesKey(element, key) {
  if (element.isContentEditable || ["SELECT", "TEXTAREA"].includes(element.tagName)) return true;
  if (["BUTTON", "SUMMARY"].includes(element.tagName)) return key === " "; // it presses the button
  if (element.tagName !== "INPUT" || element.id === "slider") return false;
  if (element.type === "range") return /^(Arrow|Home|End)/.test(key);
  if (element.type === "radio") return key === " " || key.startsWith("Arrow");
  if (["checkbox", "button"].includes(element.type)) return key === " ";
  return true;
}

// count: of states. show(k, options): draw state k; options are those of `goto`. `quiet` is set while states
// follow each other faster than anybody could read them aloud. interval: milliseconds a state, at speed 1.
// describe(k): what a screen reader says of state k; without it, `show` sees to that. idle(k): nothing happens
// there, and playing leaves it out.
function makePlayer({ count, show, interval, describe = null, idle = () => false }) {
  let position = 0;
  let timer = 0;
  const slider = find("slider");
  const last = () => count - 1;
  const delay = () => interval / Number(find("speed").value);

  function goto(k, options = {}) {
    position = Math.max(0, Math.min(last(), k));
    show(position, options);
    refresh(options);
  }

  function refresh({ quiet = false } = {}) {
    slider.value = position;
    if (describe) {
      const text = describe(position);
      slider.setAttribute("aria-valuetext", text);
      if (!quiet) find("live").textContent = text;
    }
    // not `disabled`: the button that has the focus would lose it
    for (const id of ["reset", "back"]) find(id).setAttribute("aria-disabled", position === 0);
    for (const id of ["next", "end"]) find(id).setAttribute("aria-disabled", position === last());
  }

  function setCount(n) {
    count = n;
    slider.max = last();
    if (position > last()) goto(last());
    else refresh({ quiet: true });
  }

  function play() {
    if (timer || count < 2) return;
    if (position === last()) goto(0);
    find("play").textContent = "Pause";
    timer = setTimeout(tick, Math.max(delay(), SHORTEST));
  }

  function tick() {
    let next = Math.min(last(), position + Math.max(1, Math.round(SHORTEST / delay())));
    while (next < last() && idle(next)) next++;
    goto(next, { quiet: delay() < 600 && next < last() });
    if (position === last()) pause();
    else timer = setTimeout(tick, Math.max(delay(), SHORTEST));
  }

  function pause() {
    clearTimeout(timer);
    timer = 0;
    find("play").textContent = "Play";
  }

  function go(k) {
    pause();
    goto(k);
  }

  const toggle = () => (timer ? pause() : play());
  const begin = () => go(0);
  const back = () => go(position - 1);
  const next = () => go(position + 1);
  const end = () => go(last());
  const KEYS = {
    ArrowRight: next, n: next, ArrowLeft: back, b: back, Home: begin, r: begin, End: end, " ": toggle,
  };

  find("reset").addEventListener("click", begin);
  find("back").addEventListener("click", back);
  find("next").addEventListener("click", next);
  find("end").addEventListener("click", end);
  find("play").addEventListener("click", toggle);
  slider.addEventListener("input", () => go(Number(slider.value)));
  find("speed").addEventListener("change", () => {
    if (!timer) return;
    clearTimeout(timer);
    timer = setTimeout(tick, Math.max(delay(), SHORTEST));
  });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (usesKey(event.target, event.key)) return;
    const act = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });
  slider.max = last();
  return { goto, at: () => position, setCount, play, pause, playing: () => timer !== 0 };
}
