// The controls above the leaderboard; without this script the page shows everything.
(() => {
  const place = document.getElementById("controls");
  if (!board || !place) return;
  const { data, tables } = board;
  const rows = Object.values(data.rows).filter((row) => !row.reference);
  const toggled = (list, value, on) => (on ? [...list, value] : list.filter((one) => one !== value));

  const box = (label, checked, change) => {
    const input = make("input", { type: "checkbox", onchange: () => change(input.checked) });
    state.listen(() => { input.checked = checked(); });
    return make("label", { class: "box" }, input, label);
  };
  const choice = (label, options, chosen, change) => {
    const select = make("select", { onchange: () => change(select.value) });
    state.listen(() => {
      const found = options();
      select.replaceChildren(...found.map(([value, words]) => make("option", { value }, words)));
      select.value = chosen();
      select.parentElement?.toggleAttribute("hidden", found.length < 2);
    });
    const whole = make("label", {}, `${label} `, select);
    whole.toggleAttribute("hidden", select.options.length < 2);
    return whole;
  };

  const task = choice(
    "Task and domain",
    () => tables.map((one) => [one.id, one.domain === "in" ? one.task : `${one.task}, ${one.domain}`]),
    () => board.current().id,
    (id) => state.set({ table: id === tables[0].id ? "" : id, expression: "", sort: "" }),
  );
  const part = choice(
    "Expression",
    () => [["", "all together"], ...board.current().names.map((name) => [name, name])],
    () => board.part(),
    (name) => state.set({ expression: name }),
  );

  const facets = board.facets.map(([name, words]) => {
    const values = [...new Set(rows.map((row) => row[name]))].sort();
    const count = (value) => rows.filter((row) => row[name] === value).length;
    return make("fieldset", {}, make("legend", {}, words), ...values.map((value) => box(
      `${value} (${count(value)})`,
      () => state.list(name).includes(value),
      (on) => state.set({ [name]: toggled(state.list(name), value, on) }),
    )));
  });
  const references = make("fieldset", {}, make("legend", {}, "Reference rows"), box(
    "shown", () => state.get("references") !== "no", (on) => state.set({ references: on ? "" : "no" }),
  ));
  const everyRow = make("button", {
    type: "button",
    onclick: () => state.set({ family: "", conditioning: "", year: "", trained: "", references: "" }),
  }, "every row");
  const filter = make("details", {}, make("summary", {}, "Rows"), make("div", { class: "fields" }, ...facets, references), everyRow);

  const metrics = [...new Set(tables.flatMap((one) => one.metrics))];
  const columns = make("fieldset", {}, make("legend", {}, "Columns"), ...metrics.map((name) => box(
    name,
    () => !state.list("columns").length || state.list("columns").includes(name),
    (on) => {
      const now = state.list("columns").length ? state.list("columns") : metrics;
      const next = metrics.filter((one) => (one === name ? on : now.includes(one)));
      state.set({ columns: next.length === metrics.length ? "" : next });
    },
  )));
  const everyColumn = make("button", { type: "button", onclick: () => state.set({ columns: "" }) }, "every column");
  const rankedOnly = make("button", {
    type: "button", onclick: () => state.set({ columns: board.current().metrics.slice(0, 4) }),
  }, "first four");
  const pick = make("details", {}, make("summary", {}, "Columns"), make("div", { class: "fields" }, columns), rankedOnly, " ", everyColumn);

  const told = make("output", { "aria-live": "polite" });
  place.append(task, part, filter, pick, told);
  place.hidden = false;
  state.listen(() => {
    board.apply();
    const one = board.current(), here = one.groups.flatMap((group) => group.rows);
    const left = here.filter((row) => board.passes(row.id)).length;
    told.textContent = `${left} of ${here.length} rows, ${board.columns(one).length} of ${one.metrics.length} columns`
      + (board.part() ? `; ${board.part()} alone: shown and not ranked` : "")
      + (left < here.length ? "; rank groups are those among all rows" : "");
  });
})();
