"use strict";
(() => {
  const at = (id) => document.getElementById(id);
  const data = JSON.parse(at("data").textContent);
  const make = (tag, text, className) => {
    const node = document.createElement(tag);
    if (text !== undefined) node.textContent = text;
    if (className) node.className = className;
    return node;
  };
  const head = (text, scope, className) => { const cell = make("th", text, className); cell.scope = scope; return cell; };
  const AT_FIRST = 200, SMALLEST = 128, ALL = "";
  const form = at("choose"), field = form.elements;

  // State: all of it stands in the fragment, so that a link shows the same view.
  // What follows a question mark is the common script's.
  const hash = () => { const [mine, ...common] = location.hash.slice(1).split("?"); return [mine, common.length ? `?${common.join("?")}` : ""]; };
  const wanted = () => Object.fromEntries(new URLSearchParams(hash()[0]));
  const state = () => {
    const asked = wanted();
    const part = data.parts.find((p) => p.id === asked.part) || data.parts[0];
    const metric = Math.max(0, part.metrics.findIndex((m) => m.name === asked.metric));
    const row = data.rows.findIndex((r) => r.id === asked.row);
    const order = ["worst", "best", "name"].includes(asked.order) ? asked.order : "worst";
    const label = part.requests.some((r) => r.label === asked.label) ? asked.label : ALL;
    const request = part.requests.findIndex((r) => r.name === asked.request);
    return { part, metric, row, order, label, request };
  };
  const link = (s, changes = {}) => {
    const next = { ...s, ...changes }, words = new URLSearchParams();
    words.set("part", next.part.id);
    if (next.part.metrics[next.metric]) words.set("metric", next.part.metrics[next.metric].name);
    if (next.row >= 0) words.set("row", data.rows[next.row].id);
    if (next.label) words.set("label", next.label);
    if (next.order !== "worst") words.set("order", next.order);
    if (next.request >= 0) words.set("request", next.part.requests[next.request].name);
    if (wanted().theme) words.set("theme", wanted().theme);
    return `#${words}`;
  };

  // Values.
  const text = (metric, value) => {
    if (value === null || value === undefined) return "–";
    const shown = (metric.percent ? 100 * value : value).toFixed(metric.decimals);
    return (Number(shown) === 0 ? shown.replace("-", "") : shown).replace("-", "−");
  };
  const full = (metric) => metric.unit ? `${metric.head}, ${metric.unit}` : metric.head;
  const value = (s, request) => {
    if (!s.part.metrics.length) return null;
    const rows = s.part.values[s.metric];
    if (s.row >= 0) return rows[s.row][request] ?? null;
    const known = rows.filter((_, i) => !data.rows[i].reference).map((r) => r[request]).filter((v) => v !== null && v !== undefined);
    return known.length ? known.reduce((a, b) => a + b, 0) / known.length : null;
  };
  // The percentage that a judge gives to what was asked for; undefined where it is not known.
  const share = (s, judge, row, request) => {
    const number = s.part.judges.findIndex((j) => j.name === judge);
    if (number < 0 || row < 0) return undefined;
    const place = s.part.judges[number].classes.indexOf(s.part.requests[request].label);
    return ((s.part.seen[number][row] || [])[request] || [])[place];
  };
  // Right or wrong tells too few requests apart: among equals a judge's probability decides.
  const tie = (s, request) => {
    const { name } = s.part.metrics[s.metric];
    const judge = (/\[(.+)\]/.exec(name) || [])[1] || "judge";
    return name.startsWith("ECS") ? share(s, judge, s.row, request) ?? 0 : 0;
  };
  const ordered = (s) => {
    const rows = s.part.requests.map((request, index) => ({ request, index, value: value(s, index) }))
      .filter(({ request }) => !s.label || request.label === s.label);
    if (s.order === "name" || !s.part.metrics.length) return rows;
    const rising = (s.part.metrics[s.metric].direction === "lower") === (s.order === "best");
    const sign = rising ? 1 : -1;
    return rows.sort((a, b) => a.value === null || b.value === null
      ? (a.value === null) - (b.value === null)
      : sign * (a.value - b.value) || (s.order === "best" ? -1 : 1) * (tie(s, a.index) - tie(s, b.index)));
  };
  const saw = (s, row, request) => { const code = (s.part.predicted[row] || [])[request]; return code === undefined ? "" : s.part.answers[code]; };
  const who = (request) => request.subject ? `${request.subject}, ${request.label}` : request.label;

  // The list.
  const options = (select, pairs, chosen) => {
    select.replaceChildren(...pairs.map(([key, words]) => { const one = make("option", words); one.value = key; return one; }));
    select.value = chosen;
  };
  const controls = (s) => {
    const labels = [...new Set(s.part.requests.map((r) => r.label))];
    options(field.part, data.parts.map((p) => [p.id, p.domain === "in" ? p.task : `${p.task}, ${p.domain}`]), s.part.id);
    options(field.metric, s.part.metrics.map((m) => [m.name, full(m)]), (s.part.metrics[s.metric] || {}).name);
    options(field.row, [[ALL, "mean of all methods"], ...data.rows.map((r) => [r.id, r.title])], s.row < 0 ? ALL : data.rows[s.row].id);
    options(field.label, [[ALL, "everything"], ...labels.map((l) => [l, l])], s.label);
    field.order.value = s.order;
    const plain = s.part.metrics.length && !s.part.metrics[s.metric].direction;
    field.order.options[0].textContent = plain ? "highest first" : "worst first";
    field.order.options[1].textContent = plain ? "lowest first" : "best first";
  };
  let whole = false;
  const list = (s) => {
    controls(s);
    const rows = ordered(s), shown = whole ? rows : rows.slice(0, AT_FIRST);
    const metric = s.part.metrics[s.metric];
    at("value-head").textContent = metric ? full(metric) : "Value";
    at("caption").textContent = metric ? `${metric.head}: ${metric.words}. Of ${s.row < 0 ? "all methods, the mean" : data.rows[s.row].title}.` : "No metric has a value of each request here.";
    at("told").textContent = `${rows.length} requests${shown.length < rows.length ? `, the first ${shown.length} are listed` : ""}.`;
    at("requests").tBodies[0].replaceChildren(...shown.map(({ request, index, value: v }) => {
      const row = make("tr"), name = head(undefined, "row"), open = make("a", request.subject || request.name);
      open.href = link(s, { request: index });
      open.setAttribute("aria-label", `open ${who(request)}`);
      name.append(open);
      const known = share(s, "judge", s.row, index);
      const seen = (s.row < 0 ? "" : saw(s, s.row, index)) + (known === undefined ? "" : `; ${known} % ${request.label}`);
      row.append(name, make("td", request.label), make("td", metric ? text(metric, v) : "–", "num"), make("td", seen || "–"), make("td", data.images[request.name] ? "yes" : "no"));
      return row;
    }));
    at("more").hidden = shown.length === rows.length;
    at("more").textContent = `show all ${rows.length}`;
  };

  // One request.
  let difference = false;
  const place = (told, tile) => {
    const index = told.tiles.indexOf(tile);
    return [index % told.across * told.pitch, Math.floor(index / told.across) * told.pitch];
  };
  const draw = (canvas, sheet, told, tile, against) => {
    const pen = canvas.getContext("2d"), size = told.size;
    pen.globalCompositeOperation = "source-over";
    pen.drawImage(sheet, ...place(told, tile), size, size, 0, 0, size, size);
    if (!against) return;
    pen.globalCompositeOperation = "difference";
    pen.drawImage(sheet, ...place(told, "target"), size, size, 0, 0, size, size);
    pen.globalCompositeOperation = "lighter";  // twice itself, twice
    pen.drawImage(canvas, 0, 0);
    pen.drawImage(canvas, 0, 0);
  };
  const tileOf = (told, tile, words, small) => {
    const canvas = make("canvas", undefined, small ? "nearest" : "");
    canvas.width = canvas.height = told.size;
    canvas.dataset.tile = tile;
    canvas.dataset.words = words;
    canvas.setAttribute("role", "img");
    return canvas;
  };
  const figure = (s, told, tile, title, row) => {
    const box = make("figure"), caption = make("figcaption");
    caption.append(make("b", title));
    box.className = row < 0 ? "truth" : data.rows[row].reference ? "reference" : "";
    if (row >= 0 && row === s.row) box.classList.add("chosen");
    if (told.tiles.includes(tile)) box.append(tileOf(told, tile, `${title}: ${who(s.part.requests[s.request])}`));
    else caption.append(make("small", "not made"));
    const metric = s.part.metrics[s.metric];
    if (row >= 0 && metric) caption.append(make("small", `${metric.head} ${text(metric, s.part.values[s.metric][row][s.request])}`));
    if (row >= 0 && saw(s, row, s.request)) caption.append(make("small", `judge saw ${saw(s, row, s.request)}`));
    box.append(caption);
    if (row >= 0 && told.nearest[row]) {
      box.append(tileOf(told, `nearest ${row}`, `nearest training image of ${title}: ${told.nearest[row]}`, true), make("small", `nearest training image ${told.nearest[row]}`));
    }
    return box;
  };
  const paint = (sheet, told) => {
    for (const canvas of document.querySelectorAll("#tiles canvas")) {
      const against = difference && told.tiles.includes("target") && !canvas.classList.contains("nearest");
      draw(canvas, sheet, told, canvas.dataset.tile, against);
      canvas.setAttribute("aria-label", against ? `${canvas.dataset.words}, difference against the target` : canvas.dataset.words);
    }
    at("tiles").dataset.painted = difference ? "difference" : "image";
  };
  let repaint = () => {};
  const images = (s) => {
    const told = data.images[s.part.requests[s.request].name];
    const box = at("tiles");
    at("no-images").hidden = Boolean(told);
    at("view").hidden = !told || !told.tiles.includes("target");
    delete box.dataset.painted;
    repaint = () => {};
    if (!told) { box.replaceChildren(); return; }
    box.style.setProperty("--side", told.size * Math.max(1, Math.ceil(SMALLEST / told.size)));
    box.replaceChildren(
      ...["source", "target"].filter((kind) => told.tiles.includes(kind)).map((kind) => figure(s, told, kind, kind, -1)),
      ...data.rows.map((row, index) => [row, index]).filter(([row, index]) => !row.shows || !told.tiles.includes(row.shows)).map(([row, index]) => figure(s, told, String(index), row.title, index)),
    );
    const sheet = new Image();
    sheet.addEventListener("load", () => { repaint = () => paint(sheet, told); repaint(); });
    sheet.addEventListener("error", () => { at("no-images").hidden = false; });
    sheet.src = told.file;
  };
  const values = (s) => {
    const top = make("tr");
    top.append(head("Method", "col"), ...s.part.metrics.map((m) => { const cell = head(full(m), "col", "num"); cell.title = m.words; return cell; }));
    at("values").tHead.replaceChildren(top);
    at("values").tBodies[0].replaceChildren(...data.rows.map((row, index) => {
      const line = make("tr", undefined, `${row.reference ? "reference" : ""}${index === s.row ? " chosen" : ""}`);
      line.append(head(row.title, "row"), ...s.part.metrics.map((m, place) => make("td", text(m, s.part.values[place][index][s.request]), "num")));
      return line;
    }));
  };
  const judges = (s) => {
    const asked = s.part.requests[s.request].label;
    at("no-judges").hidden = s.part.judges.length > 0;
    at("no-judges").textContent = s.part.answers.some(Boolean)
      ? "Only the class that was seen is known: these rows were scored before probabilities were kept."
      : "No judge of expressions looked at this task.";
    at("judges").replaceChildren(...s.part.judges.map((judge, number) => {
      const table = make("table", undefined, "plain"), top = make("tr"), body = make("tbody"), words = make("caption"), box = make("div", undefined, "scroll");
      const without = data.rows.filter((_, index) => !s.part.seen[number][index].length).map((row) => row.title);
      const gone = without.length ? ` Not kept when these rows were scored: ${without.join(", ")}.` : "";
      words.append(make("span", `${judge.name === "judge" ? "The protocol's own judge" : judge.name}: probabilities in percent; the class that was asked for is marked.${gone}`));
      top.append(head("Method", "col"), ...judge.classes.map((name) => head(name === asked ? `${name} (asked)` : name, "col", name === asked ? "num asked" : "num")));
      data.rows.forEach((row, index) => {
        const shares = (s.part.seen[number][index] || [])[s.request];
        if (!shares) return;
        const line = make("tr", undefined, index === s.row ? "chosen" : "");
        line.append(head(row.title, "row"), ...shares.map((share) => {
          const cell = make("td", String(share), share === Math.max(...shares) ? "num top" : "num");
          cell.style.setProperty("--share", share);
          return cell;
        }));
        body.append(line);
      });
      const thead = make("thead");
      thead.append(top);
      table.append(words, thead, body);
      box.tabIndex = 0;
      box.setAttribute("role", "region");
      box.setAttribute("aria-label", `What ${judge.name} saw`);
      box.append(table);
      return box;
    }));
  };
  const step = (node, s, target) => {
    node.toggleAttribute("aria-disabled", !target);
    if (target) { node.href = link(s, { request: target.index }); } else node.removeAttribute("href");
  };
  const open = (s) => {
    const request = s.part.requests[s.request], rows = ordered(s), here = rows.findIndex((r) => r.index === s.request);
    at("request-title").textContent = who(request);
    at("request-name").textContent = `${s.part.task}, ${s.part.domain === "in" ? "in distribution" : s.part.domain}: ${request.name}`;
    at("clip").hidden = !s.part.clips;
    at("back").href = link(s, { request: -1 });
    step(at("previous"), s, here > 0 ? rows[here - 1] : undefined);
    step(at("next"), s, here >= 0 ? rows[here + 1] : undefined);
    at("position").textContent = here < 0 ? "" : `${here + 1} of ${rows.length}`;
    images(s);
    values(s);
    judges(s);
  };

  const render = () => {
    if (!data.parts.length) { at("told").textContent = "There is no request that may be shown."; return; }
    const s = state(), single = s.request >= 0;
    form.hidden = single;
    at("list").hidden = single;
    at("request").hidden = !single;
    if (single) open(s); else list(s);
    return single;
  };
  form.hidden = !data.parts.length;
  form.addEventListener("change", () => {
    const [mine, common] = hash(), words = new URLSearchParams(mine);
    for (const name of ["part", "metric", "row", "label", "order"]) words.set(name, field[name].value);
    whole = false;
    location.hash = `${words}${common}`;
  });
  at("more").addEventListener("click", () => { whole = true; render(); });
  for (const button of document.querySelectorAll("#view button")) {
    button.addEventListener("click", () => {
      difference = button.dataset.view === "difference";
      for (const other of document.querySelectorAll("#view button")) other.setAttribute("aria-pressed", String(other === button));
      repaint();
    });
  }
  addEventListener("hashchange", () => { if (render()) { scrollTo(0, 0); at("request-title").focus({ preventScroll: true }); } });
  render();
})();
