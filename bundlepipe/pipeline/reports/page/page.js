"use strict";
(() => {
  const form = document.getElementById("filter");
  const words = document.getElementById("words");
  const shown = document.getElementById("shown");
  const table = document.getElementById("all");
  const body = table.tBodies[0];
  const rows = Array.from(body.rows, (row) => ({ row, text: row.textContent.toLowerCase() }));
  const states = Array.from(form.querySelectorAll("input[name=state]"));

  function filter() {
    const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
    const allowed = new Set(states.filter((box) => box.checked).map((box) => box.value));
    let count = 0;
    for (const { row, text } of rows) {
      const fits = allowed.has(row.className) && wanted.every((word) => text.includes(word));
      row.hidden = !fits;
      row.style.display = fits ? "" : "none";
      count += fits;
    }
    shown.value = `${count} of ${rows.length} tasks`;
  }

  function reveal(row) {
    if (row.hidden) {
      words.value = "";
      for (const box of states) box.checked = true;
      filter();
    }
    row.focus({ preventScroll: true });
    row.scrollIntoView({ block: "center" });
  }

  function sort(head, column) {
    const way = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", way === 1 ? "ascending" : "descending");
    const key = ({ row }) => row.cells[column].dataset.key;
    const compare = (one, other) => {
      const [a, b] = [key(one), key(other)];
      if (a === "" || b === "") return (a === "") - (b === "");
      const difference = a - b;
      return way * (Number.isNaN(difference) ? a.localeCompare(b) : difference);
    };
    body.append(...rows.slice().sort(compare).map(({ row }) => row));
  }

  Array.from(table.tHead.rows[0].cells).forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    button.addEventListener("click", () => sort(head, column));
    head.replaceChildren(button);
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", filter);
  document.addEventListener("click", (event) => {
    const link = event.target.closest('a[href^="#task-"]');
    const row = link && document.getElementById(link.getAttribute("href").slice(1));
    if (row) {
      event.preventDefault();
      history.replaceState(null, "", link.getAttribute("href"));
      reveal(row);
    }
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && document.activeElement !== words && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      words.focus();
      words.select();
    } else if (event.key === "Escape" && words.value) {
      words.value = "";
      filter();
    }
  });
  // What was up to date is asked for seldom, and may be most of a run.
  const fresh = rows.filter(({ row }) => row.className === "is-up-to-date").length;
  if (fresh > 20 && fresh < rows.length) {
    for (const box of states) box.checked = box.value !== "is-up-to-date";
  }
  form.hidden = false;
  filter();
})();
