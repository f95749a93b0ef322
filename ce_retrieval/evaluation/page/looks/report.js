
"use strict";
(() => {
  const made = (name, given = {}, ...children) => {
    const one = Object.assign(document.createElement(name), given);
    one.append(...children);
    return one;
  };

  // A name that breaks at its joints where it is too long for its place.
  const breaking = (name) => name.split(/(?<=[/:_-])|(?=[+.])/)
    .flatMap((part, number) => (number ? [document.createElement("wbr"), part] : [part]));

  // Tables: a click on a head sorts, best first, and another one turns the order round.
  const value = (row, column) => {
    const cell = row.cells[column];
    const sorted = cell.dataset.value;
    return sorted === undefined ? null : cell.tagName === "TH" ? sorted : Number(sorted);
  };
  const compared = (one, other) => (typeof one === "string" ? one.localeCompare(other) : one - other);
  for (const table of document.querySelectorAll("table.sortable")) {
    table.tHead.addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (!button) return;
      const head = button.parentElement, before = head.getAttribute("aria-sort");
      const turned = { ascending: "descending", descending: "ascending" };
      const order = turned[before] || button.dataset.first;
      for (const one of table.tHead.querySelectorAll("[aria-sort]")) one.setAttribute("aria-sort", "none");
      head.setAttribute("aria-sort", order);
      const sign = order === "ascending" ? 1 : -1;
      const rows = [...table.tBodies[0].rows].map((row) => [row, value(row, head.cellIndex)]);
      rows.sort(([, a], [, b]) => (a === null) - (b === null) || (a === null ? 0 : sign * compared(a, b)));
      table.tBodies[0].append(...rows.map(([row]) => row));
    });
  }

  // The large picture: left and right lead through the columns that are shown, up and down through the photos.
  const dialog = document.getElementById("large");
  let open = null;
  const grid = () => [...open.gallery.querySelectorAll("tbody tr")].map((row) => [...row.querySelectorAll("td:not([hidden]) button")]);
  const enlarge = (button, gallery) => {
    open = { button, gallery };
    const picture = button.querySelector("img"), large = dialog.querySelector("img");
    large.src = picture.src;
    large.alt = picture.alt;
    dialog.querySelector("#large-name").replaceChildren(...breaking(button.dataset.column));
    dialog.querySelector("#large-about").textContent = button.dataset.about;
    if (!dialog.open) dialog.showModal();
  };
  const move = (across, down) => {
    const rows = grid();
    const at = rows.findIndex((row) => row.includes(open.button));
    const column = rows[at].indexOf(open.button);
    const row = rows[(at + down + rows.length) % rows.length];
    enlarge(row[(column + across + row.length) % row.length], open.gallery);
  };
  dialog.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (event.target === dialog || button?.hasAttribute("data-close")) dialog.close();
    else if (button) move(Number(button.dataset.step), 0);
  });
  dialog.addEventListener("keydown", (event) => {
    const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    if (!ways[event.key]) return;
    event.preventDefault();
    move(...ways[event.key]);
  });
  dialog.addEventListener("close", () => open?.button.focus());

  // Galleries: which methods are columns, and which photos are rows.
  const { pictures, galleries } = JSON.parse(document.getElementById("album").textContent);
  const told = (figure, measure) => `${measure.head} ${figure === null ? "–" : figure.toFixed(measure.digits)}`;

  const show = (place, data) => {
    const columns = ["with its hole", ...data.methods, "truth"];
    const side = Math.max(96, Math.min(data.size, 144, Math.floor(1060 / columns.length) - 10));
    const visible = columns.map(() => true);

    const chooser = (name, entries) => {
      const select = made("select", {}, ...entries.map(([key, text]) => made("option", { value: key, textContent: text })));
      select.setAttribute("aria-label", name);
      return select;
    };
    const known = (key) => [...new Set(data.cases.map((one) => one[key]))];
    const which = chooser("Which photos", [["drawn", "drawn by the seed"], ...known("which").map((one) => [one, `the ${one} of`])]);
    const of = chooser("Of which method", known("of").map((one) => [one, data.methods[one]]));
    const heads = Object.fromEntries(data.measures.map((one) => [one.name, one.head]));
    const by = chooser("By which measure", known("by").map((one) => [one, `by ${heads[one]}`]));
    const boxes = data.methods.map((method, number) => {
      const box = made("input", { type: "checkbox", checked: true });
      box.addEventListener("change", () => {
        visible[number + 1] = box.checked;
        hide();
      });
      return made("label", {}, box, method);
    });
    const controls = made("div", { className: "controls" },
      made("fieldset", {}, made("legend", { textContent: "Photos" }), which, of, by),
      made("fieldset", {}, made("legend", { textContent: "Methods" }), ...boxes));

    const scroller = made("div", { className: "scroller", tabIndex: 0 });
    scroller.setAttribute("role", "region");
    scroller.setAttribute("aria-label", `Photos, ${data.name}`);
    const said = made("p", { className: "faint" });
    said.setAttribute("role", "status");

    const cell = (photo, column, measure) => {
      const figures = photo.figures[column - 1];
      const all = figures && data.measures.map((one, number) => told(figures[number], one)).join(" · ");
      const image = made("img", { src: pictures[photo.pictures[column]], width: side, height: side, alt: `${photo.name}, ${columns[column]}` });
      const button = made("button", { type: "button" }, image);
      button.dataset.column = columns[column];
      button.dataset.about = all ? `${photo.name} · ${all}` : photo.name;
      button.addEventListener("click", () => enlarge(button, place));
      const under = figures ? [made("small", { textContent: told(figures[measure], data.measures[measure]) })] : [];
      return made("td", {}, button, ...under);
    };
    const hide = () => {
      for (const row of scroller.querySelectorAll("tr")) {
        visible.forEach((shown, column) => { row.cells[column + 1].hidden = !shown; });
      }
    };
    const draw = () => {
      const drawn = which.value === "drawn";
      of.disabled = by.disabled = drawn;
      const found = data.cases.find((one) => one.which === which.value && one.of === Number(of.value) && one.by === by.value);
      const rows = drawn ? data.drawn : found ? found.rows : [];
      const name = drawn ? "l2" : by.value;
      const measure = Math.max(0, data.measures.findIndex((one) => one.name === name));
      said.textContent = drawn ? `${rows.length} photos, drawn by the seed`
        : rows.length ? `${rows.length} photos, the ${which.value} first` : "None of these photos fit into this file";
      const heads = ["photo", ...columns].map((text) => made("th", { scope: "col" }, ...breaking(text)));
      const body = rows.map((row) => made("tr", {}, made("th", { scope: "row" }, ...breaking(data.photos[row].name)),
        ...columns.map((_, column) => cell(data.photos[row], column, measure))));
      scroller.replaceChildren(made("table", {}, made("thead", {}, made("tr", {}, ...heads)), made("tbody", {}, ...body)));
      scroller.scrollTop = 0;
      hide();
    };
    for (const select of [which, of, by]) select.addEventListener("change", draw);
    place.replaceChildren(controls, said, scroller);
    draw();
  };
  for (const data of galleries) show(document.querySelector(`[data-gallery="${data.part}"]`), data);
})();
