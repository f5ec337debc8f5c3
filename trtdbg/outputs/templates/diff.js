"use strict";
(() => {
  const frame = document.getElementById("drawing");
  const svg = frame.querySelector("svg");
  const panel = document.getElementById("details");
  const search = document.getElementById("search");
  const found = document.getElementById("found");
  const hint = panel.firstElementChild;
  svg.removeAttribute("width");
  svg.removeAttribute("height");
  // The page has its own heading and details: the drawing's would stand there twice.
  svg.querySelectorAll("title").forEach((title) => title.remove());
  svg.querySelectorAll("a").forEach((link) => link.removeAttribute("xlink:title"));
  const whole = svg.viewBox.baseVal;
  const all = { x: whole.x, y: whole.y, width: whole.width, height: whole.height };
  let view = { ...all };
  let kept = null;

  const show = () => svg.setAttribute("viewBox", `${view.x} ${view.y} ${view.width} ${view.height}`);
  const perPixel = () => Math.max(view.width / frame.clientWidth, view.height / frame.clientHeight);

  function zoom(factor, x = view.x + view.width / 2, y = view.y + view.height / 2) {
    const width = Math.min(Math.max(view.width * factor, 40), all.width * 4);
    const by = width / view.width;
    view = {
      x: x - (x - view.x) * by, y: y - (y - view.y) * by, width, height: view.height * by,
    };
    show();
  }

  function place(event) {
    const point = new DOMPoint(event.clientX, event.clientY);
    return point.matrixTransform(svg.getScreenCTM().inverse());
  }

  function fit() {
    // A tall picture begins at its top, in a size that can be read.
    view = { ...all };
    const readable = frame.clientHeight * 1.2;
    if (all.height > readable) {
      view.height = readable;
      view.width = Math.max(all.width, (readable * frame.clientWidth) / frame.clientHeight);
      view.x = all.x - (view.width - all.width) / 2;
    }
    show();
  }

  frame.addEventListener("wheel", (event) => {
    event.preventDefault();
    const at = place(event);
    zoom(Math.exp(event.deltaY * 0.0015), at.x, at.y);
  }, { passive: false });

  let drag = null;
  frame.addEventListener("pointerdown", (event) => {
    drag = { x: event.clientX, y: event.clientY, view: { ...view }, moved: false };
  });
  window.addEventListener("pointermove", (event) => {
    if (!drag) return;
    const [dx, dy] = [event.clientX - drag.x, event.clientY - drag.y];
    if (Math.abs(dx) + Math.abs(dy) < 4 && !drag.moved) return;
    drag.moved = true;
    frame.classList.add("dragging");
    view.x = drag.view.x - dx * perPixel();
    view.y = drag.view.y - dy * perPixel();
    show();
  });
  window.addEventListener("pointerup", () => {
    frame.classList.remove("dragging");
    setTimeout(() => { drag = null; }, 0);
  });

  function tell(id) {
    const about = DETAILS[id];
    if (!about) return;
    const title = document.createElement("h2");
    title.textContent = about.title;
    panel.replaceChildren(title, ...about.lines.map((line) => {
      const paragraph = document.createElement("p");
      paragraph.textContent = line;
      return paragraph;
    }));
  }

  function keep(node) {
    svg.querySelectorAll(".kept").forEach((other) => other.classList.remove("kept"));
    kept = node;
    if (node) {
      node.classList.add("kept");
      tell(node.id);
    } else {
      panel.replaceChildren(hint);
    }
  }

  svg.querySelectorAll("g.node").forEach((node) => {
    node.addEventListener("pointerenter", () => tell(node.id));
    node.addEventListener("pointerleave", () => (kept ? tell(kept.id) : panel.replaceChildren(hint)));
    node.addEventListener("click", () => {
      if (!drag || !drag.moved) keep(node === kept ? null : node);
    });
  });

  let hits = [];
  let current = -1;
  function look() {
    const text = search.value.trim().toLowerCase();
    hits = [];
    current = -1;
    svg.querySelectorAll("g.node").forEach((node) => {
      const about = DETAILS[node.id];
      const words = about ? [about.title, ...about.names, ...about.lines] : [];
      const hit = text !== "" && words.some((word) => word.toLowerCase().includes(text));
      node.classList.toggle("hit", hit);
      node.classList.toggle("faded", text !== "" && !hit);
      if (hit) hits.push(node);
    });
    found.textContent = text === "" ? "" : `${hits.length} found`;
    if (hits.length) go(0);
  }
  function go(index) {
    current = (index + hits.length) % hits.length;
    found.textContent = `${current + 1} of ${hits.length}`;
    const box = hits[current].getBBox();
    const matrix = svg.getScreenCTM().inverse().multiply(hits[current].getScreenCTM());
    const middle = new DOMPoint(box.x + box.width / 2, box.y + box.height / 2).matrixTransform(matrix);
    view.x = middle.x - view.width / 2;
    view.y = middle.y - view.height / 2;
    show();
    keep(hits[current]);
  }
  search.addEventListener("input", look);
  search.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && hits.length) go(current + (event.shiftKey ? -1 : 1));
    if (event.key === "Escape") { search.value = ""; look(); frame.focus(); }
  });

  document.getElementById("closer").addEventListener("click", () => zoom(1 / 1.4));
  document.getElementById("further").addEventListener("click", () => zoom(1.4));
  document.getElementById("fit").addEventListener("click", () => { view = { ...all }; show(); });
  document.getElementById("theme").addEventListener("click", () => {
    const root = document.documentElement;
    const system = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
    const now = root.dataset.theme || system;
    root.dataset.theme = now === "dark" ? "light" : "dark";
  });
  window.addEventListener("keydown", (event) => {
    if (event.target === search || event.ctrlKey || event.metaKey || event.altKey) return;
    const step = 60 * perPixel();
    const actions = {
      "/": () => search.focus(), "+": () => zoom(1 / 1.4), "-": () => zoom(1.4),
      "0": () => { view = { ...all }; show(); }, "Escape": () => keep(null),
      "ArrowLeft": () => { view.x -= step; show(); }, "ArrowRight": () => { view.x += step; show(); },
      "ArrowUp": () => { view.y -= step; show(); }, "ArrowDown": () => { view.y += step; show(); },
    };
    if (!actions[event.key]) return;
    event.preventDefault();
    actions[event.key]();
  });
  fit();
})();
