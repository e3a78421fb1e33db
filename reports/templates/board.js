// The leaderboard's view: which task and expression, which rows and columns, in which order.
const board = (() => {
  const source = document.getElementById("board-data");
  if (!source) return null;
  const data = JSON.parse(source.textContent);
  const tables = data.tables.filter((one) => document.getElementById(one.id));
  const element = (one) => document.getElementById(one.id);
  const FACETS = [
    ["family", "Family, by training data"], ["conditioning", "Conditioned on"], ["year", "Year"], ["trained", "Trained by"],
  ];
  const current = () => tables.find((one) => one.id === state.get("table")) || tables[0];
  const part = () => { const name = state.get("expression"); return current().names.includes(name) ? name : ""; };
  const columns = (one) => {
    const asked = state.list("columns");
    return one.metrics.map((name, k) => k).filter((k) => !asked.length || asked.includes(one.metrics[k]));
  };
  const passes = (id) => {
    const row = data.rows[id];
    if (row.reference) return state.get("references") !== "no";
    return FACETS.every(([name]) => { const asked = state.list(name); return !asked.length || asked.includes(row[name]); });
  };

  // Which part of the page a table stands in: the chosen one takes the headline's place.
  const slot = document.getElementById("view");
  const homes = new Map(tables.map((one) => [one.id, element(one).closest(".table-view")]));
  const parents = new Map([...homes].map(([id, view]) => [id, view.parentElement]));
  const place = () => {
    for (const one of tables) {
      const view = homes.get(one.id), parent = parents.get(one.id), here = one === current();
      if (here && view.parentElement !== slot) slot.append(view);
      if (!here && parent !== slot && view.parentElement === slot) parent.append(view);
      if (parent === slot) view.hidden = !here; else parent.hidden = here;
    }
  };

  // Values of one expression take the place of the whole, and give it back.
  const whole = new Map();
  const fill = (one, name) => {
    for (const row of all("tbody tr[data-row]", element(one))) {
      [...row.cells].slice(1).forEach((cell, k) => {
        if (!whole.has(cell)) whole.set(cell, [cell.className, cell.dataset.value, [...cell.childNodes], cell.title]);
        const [className, value, nodes, title] = whole.get(cell);
        const entry = one.parts[name]?.[row.dataset.row]?.[k];
        if (!name || k >= one.metrics.length || (!entry && className === "na")) {
          cell.className = className; cell.dataset.value = value; cell.title = title;
          cell.replaceChildren(...nodes);
          return;
        }
        cell.className = entry ? `num${one.doubts[k] ? " weak" : ""}` : "na";
        cell.dataset.value = entry ? entry.value : "";
        cell.title = "";
        if (entry) {
          const interval = entry.bounds ? entry.bounds.join(" – ") : "no interval";
          const link = nodes.map((node) => node.querySelector?.("a")).find(Boolean); // to the single requests
          const text = link ? make("a", { href: `${link.getAttribute("href")}&label=${encodeURIComponent(name)}` }, entry.text) : entry.text;
          cell.replaceChildren(make("span", { class: "value" }, text), make("small", {}, interval));
        } else {
          cell.replaceChildren(make("span", {}, "n/a"), make("small", {}, `not by ${one.by}`));
        }
      });
    }
  };

  const show = (one) => {
    const table = element(one), kept = new Set(columns(one)), ranked = table.tHead.rows[0].cells.length > one.metrics.length + 1;
    const rank = ranked && !(one === current() && part());
    for (const row of [...table.tHead.rows, ...all("tbody tr[data-row]", table)]) {
      [...row.cells].slice(1).forEach((cell, k) => { cell.hidden = k < one.metrics.length ? !kept.has(k) : !rank; });
    }
    for (const row of all("tbody tr[data-row]", table)) row.hidden = !passes(row.dataset.row);
    for (const body of table.tBodies) body.hidden = !all("tr[data-row]", body).some((row) => !row.hidden);
    for (const head of all("tr[data-fixed] th", table)) head.colSpan = kept.size + 1 + (rank ? 1 : 0);
  };

  const order = (one) => {
    const [name, direction] = (state.get("sort") || "").split(":");
    const index = name === "method" ? 0 : name === "rank" ? one.metrics.length + 1 : one.metrics.indexOf(name) + 1 || -1;
    const known = index >= 0 && index < sorting.heads(element(one)).length && ["ascending", "descending"].includes(direction);
    if (known) { sorting.sort(element(one), index, direction); return; }
    sorting.restore(element(one));
    const now = sorting.heads(element(one)).findIndex((head) => head.ariaSort);
    if (part() && now > 0) sorting.sort(element(one), now, sorting.heads(element(one))[now].ariaSort);
  };
  const names = (one) => ["method", ...one.metrics, "rank"];
  for (const one of tables) {
    sorting.chosen.set(element(one), (table, index, direction) => {
      if (one === current()) state.set({ sort: `${names(one)[index]}:${direction}` });
      else sorting.sort(table, index, direction);
    });
  }

  const apply = () => {
    place();
    for (const one of tables) { fill(one, one === current() ? part() : ""); show(one); }
    order(current());
  };

  // What the reader sees, as a grid of the form of fesbench's own tables.
  const grid = () => {
    const one = current(), name = part(), kept = columns(one), left = new Set(Object.keys(data.rows).filter(passes));
    const wanted = FACETS.filter(([key]) => state.get(key)).map(([key, words]) => `${words.toLowerCase()}: ${state.list(key).join(", ")}`);
    if (state.get("references") === "no") wanted.push("without reference rows");
    const caption = name ? `Task ${one.task}, domain ${one.domain}, ${one.by} ${name} alone, not ranked` : one.caption;
    const shown = all("tbody tr[data-row]", element(one)).map((row) => row.dataset.row);
    const entries = (row) => kept.map((k) => (name ? one.parts[name][row.id][k] || { text: "n/a" } : row.entries[k]));
    return {
      caption: [caption, ...wanted].join("; "),
      heads: kept.map((k) => one.heads[k]),
      groups: one.groups.map((group) => [
        group.title,
        group.rows.filter((row) => left.has(row.id)).sort((a, b) => shown.indexOf(a.id) - shown.indexOf(b.id))
          .map((row) => ({ title: row.title, reference: row.reference, marks: row.marks, entries: entries(row) })),
      ]).filter(([, rows]) => rows.length),
      comments: kept.map((k) => (name ? `of all of them: ${one.signatures[k]}` : one.signatures[k])),
      note: [one.split, ...kept.map((k) => one.doubts[k])].filter(Boolean).join("; "),
    };
  };
  return { data, tables, current, part, columns, passes, facets: FACETS, apply, grid };
})();
