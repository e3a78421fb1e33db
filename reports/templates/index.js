// The index by protocol, data and version; order and choices stand in the address.
(() => {
  const place = document.getElementById("index-controls"), table = document.getElementById("boards-table");
  if (!place) return;
  const rows = all("tbody tr:not([data-fixed])", table);
  const FACETS = [["protocol", "Protocol"], ["data", "Data"], ["version", "fesbench"]];
  const values = (row, name) => row.dataset[name].split(",");
  const told = make("output", { "aria-live": "polite" });
  for (const [name, words] of FACETS) {
    const found = [...new Set(rows.flatMap((row) => values(row, name)))].sort();
    const select = make("select", { onchange: () => state.set({ [name]: select.value }) });
    select.append(make("option", { value: "" }, "all"), ...found.map((value) => make("option", { value }, value)));
    state.listen(() => { select.value = found.includes(state.get(name)) ? state.get(name) : ""; });
    place.append(make("label", { hidden: found.length < 2 }, `${words} `, select));
  }
  place.append(told);
  place.hidden = false;
  sorting.chosen.set(table, (_, index, direction) => state.set({ sort: `${index}:${direction}` }));
  state.listen(() => {
    for (const row of rows) {
      row.hidden = !FACETS.every(([name]) => !state.get(name) || values(row, name).includes(state.get(name)));
    }
    for (const body of table.tBodies) body.hidden = !rows.some((row) => row.parentElement === body && !row.hidden);
    told.textContent = `${rows.filter((row) => !row.hidden).length} of ${rows.length} leaderboards`;
    const [index, direction] = (state.get("sort") || "").split(":");
    if (sorting.heads(table)[index] && ["ascending", "descending"].includes(direction)) sorting.sort(table, Number(index), direction);
    else sorting.restore(table);
  });
})();
