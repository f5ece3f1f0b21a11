// Everything below adds to a page that is complete without it.
"use strict";

// An element with properties and children; text is never read as markup.
function make(tag, properties, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

// --- Contents: the section on screen is marked -------------------------------------------------------------------

function markContents() {
  const links = new Map([...document.querySelectorAll(".contents a")].map((link) => [link.hash.slice(1), link]));
  const visible = new Set();
  const watch = new IntersectionObserver((entries) => {
    for (const entry of entries) visible[entry.isIntersecting ? "add" : "delete"](entry.target.id);
    let here = null;
    for (const [id, link] of links) {
      link.classList.remove("here");
      link.removeAttribute("aria-current");
      if (!here && visible.has(id)) here = link;
    }
    if (here) {
      here.classList.add("here");
      here.setAttribute("aria-current", "true");
    }
  }, { rootMargin: "-10% 0px -50% 0px" });
  for (const id of links.keys()) {
    const section = document.getElementById(id);
    if (section) watch.observe(section);
  }
}

// --- Cores: a layer and what it is connected with are marked together, arrow keys move ---------------------------

function linkCores() {
  const boxes = [...document.querySelectorAll(".placement .core")];
  const routes = [...document.querySelectorAll(".placement .route")];
  const others = [...document.querySelectorAll(".core-card[data-layer], tr[data-layer]")];
  function light(layer) {
    for (const item of [...boxes, ...others]) item.classList.toggle("lit", item.dataset.layer === layer);
    for (const route of routes) {
      route.classList.toggle("lit", layer !== null && [route.dataset.from, route.dataset.to].includes(layer));
    }
  }
  for (const item of [...boxes, ...others]) {
    item.addEventListener("pointerenter", () => light(item.dataset.layer));
    item.addEventListener("pointerleave", () => light(null));
  }
  boxes.forEach((box, place) => {
    box.addEventListener("focus", () => light(box.dataset.layer));
    box.addEventListener("blur", () => light(null));
    box.addEventListener("keydown", (event) => {
      const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
      const to = event.key === "Home" ? 0 : event.key === "End" ? boxes.length - 1 : place + step;
      if (!boxes[to]) return;
      event.preventDefault();
      boxes[to].focus();
    });
  });
}

// --- Commands: a button that copies ------------------------------------------------------------------------------

function addCopyButtons() {
  for (const block of document.querySelectorAll("pre.command")) {
    const text = block.textContent.trim();
    const button = make("button", { type: "button", className: "copy", textContent: "Copy" });
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(text);
        button.textContent = "Copied";
      } catch {
        getSelection().selectAllChildren(block.querySelector("code"));
        button.textContent = "Selected";
      }
      setTimeout(() => { button.textContent = "Copy"; }, 2000);
    });
    block.append(button);
  }
}

// --- Player: the spikes of one sample, frame by frame ------------------------------------------------------------

const FADE = 6; // frames for which a spike stays visible
const SIDE = 164; // the width of a map, in CSS pixels, if its neurons have at least one each
const DURATION = 6000; // ms that the player takes for a whole sample

// [(frame, place), ...] of a layer, as sorted numbers frame * neurons + place.
function unpack(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  return Uint32Array.from({ length: bytes.length / 4 }, (_, i) => view.getUint32(4 * i, true));
}

// The index of the first of the sorted numbers that is not below the bound.
function lowerBound(numbers, bound) {
  let low = 0;
  let high = numbers.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (numbers[middle] < bound) low = middle + 1;
    else high = middle;
  }
  return low;
}

class LayerView {
  constructor(layer) {
    [this.features, this.rows, this.columns] = layer.shape;
    if (this.rows * this.columns === 1) {
      this.columns = Math.ceil(Math.sqrt(this.features));
      this.rows = Math.ceil(this.features / this.columns);
      this.single = true;
    }
    this.neurons = layer.shape[0] * layer.shape[1] * layer.shape[2];
    this.name = layer.name;
    this.soFar = layer.so_far;
    this.spikes = layer.spikes === null ? null : unpack(layer.spikes);
    const tiles = this.single ? 1 : this.features;
    this.across = 2 ** Math.ceil(Math.log2(Math.sqrt(tiles)));
    const width = this.across * (this.columns + 1) - 1;
    const height = Math.ceil(tiles / this.across) * (this.rows + 1) - 1;
    const factor = Math.max(1, Math.floor(SIDE / width));
    this.canvas = make("canvas", { width, height });
    this.canvas.style.width = `${width * factor}px`;
    this.caption = make("figcaption", {});
    this.figure = make("figure", {}, this.canvas, this.caption);
    this.canvas.setAttribute("role", "img");
    this.canvas.setAttribute("aria-label", `Neurons of ${layer.name} that fired in the last ${FADE} frames`);
  }

  // The pixel of a neuron: features are tiles, with a line of one pixel between them.
  pixel(place) {
    if (this.single) return [place % this.columns, Math.floor(place / this.columns)];
    const tile = Math.floor(place / (this.rows * this.columns));
    const inside = place % (this.rows * this.columns);
    const left = (tile % this.across) * (this.columns + 1);
    const top = Math.floor(tile / this.across) * (this.rows + 1);
    return [left + (inside % this.columns), top + Math.floor(inside / this.columns)];
  }

  draw(frame, colours) {
    const context = this.canvas.getContext("2d");
    context.fillStyle = colours.line;
    context.fillRect(0, 0, this.canvas.width, this.canvas.height);
    context.fillStyle = colours.paper;
    for (let tile = 0; tile < (this.single ? 1 : this.features); tile += 1) {
      const [x, y] = this.single ? [0, 0] : this.pixel(tile * this.rows * this.columns);
      context.fillRect(x, y, this.columns, this.rows);
    }
    const spikes = `${this.name}: ${this.soFar[frame].toLocaleString("en")} spikes so far`;
    this.caption.textContent = this.spikes === null ? `${spikes}, too many to draw` : spikes;
    if (this.spikes === null) return;
    const from = lowerBound(this.spikes, Math.max(0, frame - FADE + 1) * this.neurons);
    const to = lowerBound(this.spikes, (frame + 1) * this.neurons);
    context.fillStyle = colours.accent;
    for (let i = from; i < to; i += 1) {
      const age = frame - Math.floor(this.spikes[i] / this.neurons);
      const [x, y] = this.pixel(this.spikes[i] % this.neurons);
      context.globalAlpha = 1 - age / FADE;
      context.fillRect(x, y, 1, 1);
    }
    context.globalAlpha = 1;
  }
}

class Player {
  constructor(box) {
    const data = JSON.parse(box.querySelector("script").textContent);
    this.frames = data.frames;
    this.ms = data.ms;
    this.frame = data.frames - 1;
    this.views = data.layers.map((layer) => new LayerView(layer));
    this.answer = this.views.filter((view) => data.outputs.includes(view.name));
    this.cursors = [...box.querySelectorAll(".cursor")];
    this.button = make("button", { type: "button", textContent: "Play" });
    this.slider = make("input", { type: "range", min: 0, max: this.frames - 1, step: 1, value: this.frame });
    this.slider.setAttribute("aria-label", "Time in the sample");
    this.said = make("output", {});
    const stage = make("div", { className: "stage" }, ...this.views.map((view) => view.figure));
    box.prepend(make("div", { className: "controls" }, this.button, this.slider, this.said), stage);
    this.button.addEventListener("click", () => this.toggle());
    this.slider.addEventListener("input", () => {
      this.stop();
      this.show(Number(this.slider.value));
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.show(this.frame));
    this.show(this.frame);
  }

  // The prediction so far: the output neuron with the most spikes, the first of equals.
  prediction() {
    if (this.answer.some((view) => view.spikes === null)) return "too many output spikes to follow";
    const counts = [];
    for (const view of this.answer) {
      const first = counts.length;
      for (let i = 0; i < view.neurons; i += 1) counts.push(0);
      const until = lowerBound(view.spikes, (this.frame + 1) * view.neurons);
      for (let i = 0; i < until; i += 1) counts[first + (view.spikes[i] % view.neurons)] += 1;
    }
    const most = Math.max(0, ...counts);
    if (!most) return "no output spike yet";
    const tied = counts.filter((count) => count === most).length > 1 ? ", tied" : "";
    return `prediction ${counts.indexOf(most)}${tied}`;
  }

  show(frame) {
    this.frame = frame;
    const style = getComputedStyle(document.documentElement);
    const colours = Object.fromEntries(
      ["accent", "paper", "line"].map((name) => [name, style.getPropertyValue(`--${name}`).trim()]),
    );
    for (const view of this.views) view.draw(frame, colours);
    const share = (frame + 1) / this.frames;
    for (const cursor of this.cursors) {
      cursor.setAttribute("x1", `${100 * share}%`);
      cursor.setAttribute("x2", `${100 * share}%`);
    }
    this.slider.value = frame;
    const time = `${(share * this.ms).toFixed(1)} ms`;
    const says = this.answer.length ? `${time}: ${this.prediction()}` : time;
    this.slider.setAttribute("aria-valuetext", says);
    this.said.textContent = says;
  }

  toggle() {
    if (this.timer) {
      this.stop();
      return;
    }
    if (this.frame === this.frames - 1) this.show(0);
    this.button.textContent = "Pause";
    this.timer = setInterval(() => {
      this.show(this.frame + 1);
      if (this.frame === this.frames - 1) this.stop();
    }, DURATION / this.frames);
  }

  stop() {
    clearInterval(this.timer);
    this.timer = null;
    this.button.textContent = "Play";
  }
}

// --- The rest: wide tables can be scrolled by keyboard, and what is folded is printed -----------------------------

function makeScrollable() {
  for (const box of document.querySelectorAll(".scroll, pre")) {
    const wide = box.scrollWidth > box.clientWidth;
    for (const [name, value] of [["tabindex", "0"], ["role", "region"], ["aria-label", box.dataset.name ?? "Text"]]) {
      if (wide) box.setAttribute(name, value);
      else box.removeAttribute(name);
    }
  }
}

function printFolded() {
  const folded = [...document.querySelectorAll("details")];
  let closed = [];
  addEventListener("beforeprint", () => {
    closed = folded.filter((item) => !item.open);
    for (const item of closed) item.open = true;
  });
  addEventListener("afterprint", () => {
    for (const item of closed) item.open = false;
  });
}

markContents();
makeScrollable();
addEventListener("resize", makeScrollable);
printFolded();
linkCores();
addCopyButtons();
for (const box of document.querySelectorAll(".player")) new Player(box);
