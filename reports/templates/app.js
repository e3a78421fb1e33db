(() => {
  const root = document.documentElement;

  // Theme: the address's, else what the reader chose before, else the system's.
  const remember = (value) => { try { localStorage.setItem("fesbench-theme", value); } catch { /* private mode */ } };
  const recall = () => { try { return localStorage.getItem("fesbench-theme"); } catch { return null; } };
  const toggle = document.getElementById("theme");
  const dark = () => (root.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  toggle.hidden = false;
  toggle.addEventListener("click", () => {
    const next = dark() ? "light" : "dark";
    remember(next);
    state.set({ theme: next });
  });
  state.listen(() => {
    const theme = [state.get("theme"), recall()].find((name) => ["light", "dark"].includes(name));
    if (theme) root.dataset.theme = theme; else delete root.dataset.theme;
    toggle.textContent = dark() ? "light" : "dark";
    toggle.setAttribute("aria-label", `switch to the ${toggle.textContent} theme`);
  });

  // Choices: without this script every panel is shown one below the other.
  for (const group of all("[data-choice]")) {
    const panels = all(`[data-panel="${group.dataset.choice}"]`);
    const buttons = all("button", group);
    group.hidden = buttons.length < 2;
    buttons.forEach((b, k) => b.addEventListener("click", () => state.set({ [group.dataset.choice]: k ? b.dataset.show : "" })));
    state.listen(() => {
      const chosen = buttons.find((b) => b.dataset.show === state.get(group.dataset.choice)) || buttons[0];
      buttons.forEach((b) => b.setAttribute("aria-pressed", String(b === chosen)));
      panels.forEach((p) => { p.hidden = p.id !== chosen?.dataset.show; });
    });
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

  // Print whole: everything folded is opened and tables as wide as they are made to fit a page; afterwards all is as before.
  const PAGE = 1000, LEAST = 0.4; // px of an A4 page on its side within its margins; smaller nobody reads
  let folded = [], shrunk = [];
  addEventListener("beforeprint", () => {
    folded = all("details:not([open])");
    folded.forEach((d) => { d.open = true; });
    shrunk = all(".scroll table");
    for (const table of shrunk) {
      table.style.width = "min-content";
      const share = PAGE / table.offsetWidth;
      table.style.width = "";
      table.style.zoom = share < 1 ? Math.max(LEAST, share) : "";
    }
  });
  addEventListener("afterprint", () => {
    folded.forEach((d) => { d.open = false; });
    shrunk.forEach((table) => { table.style.zoom = ""; });
  });
})();
