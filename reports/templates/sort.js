// Sorting: a header is a button; rows without a value stay last either way; groups never mix.
const sorting = (() => {
  const compare = (a, b) => {
    const x = Number(a), y = Number(b);
    return Number.isNaN(x) || Number.isNaN(y) ? a.localeCompare(b) : x - y;
  };
  const heads = (table) => [...table.tHead.rows[0].cells];
  const mark = (table, index, direction) => {
    heads(table).forEach((head, k) => {
      if (k === index) head.setAttribute("aria-sort", direction); else head.removeAttribute("aria-sort");
    });
  };
  const sort = (table, index, direction) => {
    const sign = direction === "ascending" ? 1 : -1;
    const value = (row) => row.cells[index].dataset.value;
    for (const body of table.tBodies) {
      const rows = [...body.rows].filter((row) => !row.hasAttribute("data-fixed"));
      rows.sort((a, b) => {
        if (!value(a) || !value(b)) return (value(a) ? 0 : 1) - (value(b) ? 0 : 1);
        return sign * compare(value(a), value(b));
      });
      body.append(...rows);
    }
    mark(table, index, direction);
  };
  // As the page was written, to come back to.
  const written = new Map();
  const restore = (table) => {
    const { bodies, index, direction } = written.get(table);
    bodies.forEach(([body, rows]) => body.append(...rows));
    mark(table, index, direction);
  };
  const chosen = new Map(); // table -> what to do with a reader's choice, in place of sorting at once
  for (const table of all("table[data-sortable]")) {
    const index = heads(table).findIndex((head) => head.ariaSort);
    written.set(table, {
      bodies: [...table.tBodies].map((body) => [body, [...body.rows]]),
      index, direction: index < 0 ? "" : heads(table)[index].ariaSort,
    });
    heads(table).forEach((head, k) => {
      const button = make("button", { type: "button", class: "sort" });
      const label = head.querySelector(".head");
      if (label) { label.replaceWith(button); button.append(label); } else { button.append(...head.childNodes); head.append(button); }
      button.addEventListener("click", () => {
        const first = head.dataset.first || "ascending";
        const other = first === "ascending" ? "descending" : "ascending";
        const next = head.getAttribute("aria-sort") === first ? other : first;
        (chosen.get(table) || sort)(table, k, next);
      });
    });
  }
  return { sort, restore, chosen, heads };
})();
