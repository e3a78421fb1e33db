"use strict";
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const root = document.documentElement;

  // Theme: the system's unless the reader chose; "?theme=dark" in the address chooses for links and prints.
  const remember = (value) => { try { localStorage.setItem("fesbench-theme", value); } catch { /* private mode */ } };
  const recall = () => { try { return localStorage.getItem("fesbench-theme"); } catch { return null; } };
  const asked = new URLSearchParams(location.search).get("theme");
  const chosen = ["light", "dark"].includes(asked) ? asked : recall();
  if (chosen) root.dataset.theme = chosen;
  const toggle = document.getElementById("theme");
  const dark = () => (root.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  const name = () => { toggle.textContent = dark() ? "light" : "dark"; toggle.setAttribute("aria-label", `switch to the ${toggle.textContent} theme`); };
  toggle.hidden = false;
  toggle.addEventListener("click", () => { root.dataset.theme = dark() ? "light" : "dark"; remember(root.dataset.theme); name(); });
  name();

  // Sorting: a header is a button; rows without a value stay last either way; groups never mix.
  const compare = (a, b) => {
    const x = Number(a), y = Number(b);
    return Number.isNaN(x) || Number.isNaN(y) ? a.localeCompare(b) : x - y;
  };
  const sort = (table, index, direction) => {
    const sign = direction === "ascending" ? 1 : -1;
    for (const body of table.tBodies) {
      const rows = [...body.rows].filter((row) => !row.hasAttribute("data-fixed"));
      const value = (row) => row.cells[index].dataset.value;
      rows.sort((a, b) => {
        if (!value(a) || !value(b)) return (value(a) ? 0 : 1) - (value(b) ? 0 : 1);
        return sign * compare(value(a), value(b));
      });
      body.append(...rows);
    }
  };
  for (const table of all("table[data-sortable]")) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, index) => {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "sort";
      const label = head.querySelector(".head");
      if (label) { label.replaceWith(button); button.append(label); } else { button.append(...head.childNodes); head.append(button); }
      button.addEventListener("click", () => {
        const now = head.getAttribute("aria-sort");
        const first = head.dataset.first || "ascending";
        const other = first === "ascending" ? "descending" : "ascending";
        const next = now === first ? other : first;
        heads.forEach((h) => h.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", next);
        sort(table, index, next);
      });
    });
  }

  // Choices: without this script every panel is shown one below the other.
  for (const group of all("[data-choice]")) {
    const panels = all(`[data-panel="${group.dataset.choice}"]`);
    const buttons = all("button", group);
    const show = (button) => {
      buttons.forEach((b) => b.setAttribute("aria-pressed", String(b === button)));
      panels.forEach((p) => { p.hidden = p.id !== button.dataset.show; });
    };
    group.hidden = buttons.length < 2;
    buttons.forEach((b) => b.addEventListener("click", () => show(b)));
    if (buttons.length) show(buttons[0]);
  }

  // Copy a signature.
  if (navigator.clipboard) {
    for (const button of all("button.copy")) {
      button.hidden = false;
      button.addEventListener("click", async () => {
        try {
          await navigator.clipboard.writeText(button.dataset.copy);
          button.textContent = "copied";
        } catch {
          getSelection().selectAllChildren(button.previousElementSibling);
          button.textContent = "selected";
        }
        setTimeout(() => { button.textContent = "copy"; }, 1500);
      });
    }
  }

  // A strip opens large, between its source and its target.
  const dialog = document.getElementById("zoom");
  if (dialog && dialog.showModal) {
    for (const table of all("table.strips")) {
      const pick = (kind) => table.querySelector(`tr.${kind} img`);
      for (const row of all("tr.method, tr.reference", table)) {
        const image = row.querySelector("img");
        const button = document.createElement("button");
        button.type = "button";
        button.className = "zoom";
        button.setAttribute("aria-label", `${row.cells[0].textContent.trim()}: enlarge beside source and target`);
        image.replaceWith(button);
        button.append(image);
        button.addEventListener("click", () => {
          const shown = [["source", pick("source")], [row.cells[0].textContent.trim(), image], ["target", pick("target")]];
          const place = dialog.querySelector("div");
          const heads = document.createElement("div");
          heads.className = "dialog-heads";
          heads.append(...[...table.tHead.rows[0].cells].slice(1).map((cell) => {
            const label = document.createElement("span");
            label.textContent = cell.textContent;
            return label;
          }));
          place.replaceChildren(heads, ...shown.filter(([, img]) => img).map(([title, img]) => {
            const figure = document.createElement("figure");
            const caption = document.createElement("figcaption");
            caption.textContent = title;
            const copy = img.cloneNode();
            copy.style.setProperty("--n", table.style.getPropertyValue("--n"));
            figure.append(caption, copy);
            return figure;
          }));
          dialog.showModal();
        });
      }
    }
    dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  }

  const boards = document.getElementById("boards");
  if (boards) boards.addEventListener("change", () => { location.href = boards.value; });

  // Print whole: everything folded is opened, and folded again afterwards.
  let folded = [];
  addEventListener("beforeprint", () => { folded = all("details:not([open])"); folded.forEach((d) => { d.open = true; }); });
  addEventListener("afterprint", () => folded.forEach((d) => { d.open = false; }));
})();
