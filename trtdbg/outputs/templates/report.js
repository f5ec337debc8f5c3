"use strict";
(() => {
  const search = document.getElementById("search");
  const rows = [...document.querySelectorAll("tbody tr")];
  const marks = {
    error: "error", warning: "warning", reject: "error", crashed: "error",
    float64: "wide-dtype", int64: "wide-dtype", complex128: "wide-dtype",
  };
  rows.forEach((row) => [...row.cells].forEach((cell) => {
    const mark = marks[cell.textContent];
    if (mark) cell.classList.add(mark);
  }));
  search.addEventListener("input", () => {
    const text = search.value.trim().toLowerCase();
    rows.forEach((row) => { row.hidden = !row.textContent.toLowerCase().includes(text); });
    document.querySelectorAll("section").forEach((section) => {
      const all = section.querySelectorAll("tbody tr");
      const shown = [...all].filter((row) => !row.hidden).length;
      const number = shown === all.length ? `${all.length}` : `${shown} of ${all.length}`;
      section.querySelector("small").textContent = number;
    });
  });
  window.addEventListener("keydown", (event) => {
    if (event.key === "/" && event.target !== search) {
      event.preventDefault();
      search.focus();
    }
  });
  document.getElementById("theme").addEventListener("click", () => {
    const root = document.documentElement;
    const system = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
    root.dataset.theme = (root.dataset.theme || system) === "dark" ? "light" : "dark";
  });
})();
