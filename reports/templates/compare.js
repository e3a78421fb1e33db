// Two methods, paired: every difference was taken by fesbench; this script draws the chosen one.
(() => {
  const section = document.getElementById("compare");
  if (!board || !section || !board.data.pairs.length) return;
  const { data } = board;
  const headline = board.tables[0], units = section.dataset.units;
  const ids = headline.groups.flatMap((group) => group.rows).map((row) => row.id)
    .filter((id) => data.pairs.some((one) => Object.keys(one.pairs).some((key) => key.split(" ").includes(id))));
  const methods = ids.filter((id) => !data.rows[id].reference);
  const start = [...methods, ...ids.filter((id) => data.rows[id].reference)].slice(0, 2);
  const chosen = (name, k) => (ids.includes(state.get(name)) ? state.get(name) : start[k]);
  const title = (id) => data.rows[id].title;

  // a - b; stored once, for either order.
  const pair = (metric, a, b) => {
    const found = metric.pairs[`${a} ${b}`];
    if (found) return found;
    const turned = metric.pairs[`${b} ${a}`];
    if (!turned) return null;
    const [value, low, high, requests, higher, lower, people, dots] = turned;
    const minus = (x) => (x === null ? null : 0 - x);
    return [minus(value), minus(high), minus(low), requests, lower, higher, people, dots.map(minus).reverse()];
  };
  const text = (metric, value) => {
    const shown = (value * metric.scale).toFixed(metric.decimals);
    const clean = Number(shown) === 0 ? shown.replace("-", "") : shown;
    return (Number(clean) > 0 ? `+${clean}` : clean).replace("-", "−");
  };
  const verdict = (metric, [value, low, high], a, b) => {
    if (low === null) return "no interval";
    if (low <= 0 && high >= 0) return "cannot be told apart";
    return `${title((value > 0) === (metric.direction === "higher") ? a : b)} is better`;
  };

  const draw = (name, attributes, content = "") => {
    const node = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    node.textContent = content;
    return node;
  };
  const steps = (low, high) => {
    const rough = (high - low) / 6, power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 2.5, 5, 10].map((m) => m * power).find((one) => one >= rough * 0.999);
    const count = Math.floor(high / step + 1e-9) - Math.ceil(low / step - 1e-9) + 1;
    return Array.from({ length: count }, (_, k) => (Math.ceil(low / step - 1e-9) + k) * step);
  };
  const plot = (metric, found, a, b) => {
    const [value, low, high, , , , people, dots] = found;
    const scaled = [...dots, value, low ?? value, high ?? value, 0].map((x) => x * metric.scale);
    const [least, most] = [Math.min(...scaled), Math.max(...scaled)], margin = (most - least || 1) * 0.06;
    const [width, left, right, top] = [760, 24, 736, 30];
    const x = (v) => left + ((v * metric.scale - least + margin) / (most - least + 2 * margin)) * (right - left);
    const piles = [];
    let pile = null;
    const places = dots.map((dot) => {
      // dots less than a dot apart from the first of a pile stand on it
      if (!pile || x(dot) - pile.at > 8) piles.push(pile = { at: x(dot), dots: 0 });
      return [pile.at, pile.dots++];
    });
    const highest = Math.max(...piles.map((one) => one.dots)), step = Math.min(9, 170 / highest);
    const floor = top + 10 + step * highest, bar = floor + 18, bottom = bar + 16, height = bottom + 44;
    const label = `${metric.head}: ${title(a)} minus ${title(b)}, ${people} ${units}, mean ${text(metric, value)}`;
    const svg = draw("svg", { class: "figure scatter dots", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label });
    for (const tick of steps(least - margin, most + margin)) {
      const at = x(tick / metric.scale);
      svg.append(draw("line", { class: "gridline", x1: at, x2: at, y1: top, y2: bottom }));
      svg.append(draw("text", { class: "tick middle", x: at, y: bottom + 16 }, String(Number(tick.toPrecision(6))).replace("-", "−")));
    }
    svg.append(draw("line", { class: "zero", x1: x(0), x2: x(0), y1: top - 8, y2: bottom }));
    const [worse, better] = metric.direction === "higher" ? [b, a] : [a, b];
    svg.append(draw("text", { class: "note", x: left, y: 14 }, `← ${title(worse)} better`));
    svg.append(draw("text", { class: "note end", x: right, y: 14 }, `${title(better)} better →`));
    for (const [at, level] of places) svg.append(draw("circle", { class: "dot", cx: at, cy: floor - 4 - level * step, r: 3.6 }));
    if (low !== null) svg.append(draw("line", { class: "bar mean", x1: x(low), x2: x(high), y1: bar, y2: bar }));
    svg.append(draw("rect", { class: "dot", x: x(value) - 4, y: bar - 4, width: 8, height: 8 }));
    svg.append(draw("text", { class: "axis middle", x: width / 2, y: height - 6 }, `${metric.head}, ${title(a)} minus ${title(b)}`));
    return svg;
  };

  const select = (label, options, name, now) => {
    const node = make("select", { onchange: () => state.set({ [name]: node.value }) });
    node.append(...options.map(([value, words]) => make("option", { value }, words)));
    state.listen(() => { node.value = now(); });
    return make("label", {}, `${label} `, node);
  };
  const named = ids.map((id) => [id, title(id)]);
  const metric = () => data.pairs.find((one) => one.metric === state.get("by")) || data.pairs[0];
  const figure = make("figure"), box = make("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Image: differences" });
  const caption = make("figcaption"), body = make("tbody");
  figure.append(box, caption, figureFile.buttons(() => box.querySelector("svg"), "paired-differences"));
  const head = ["Metric", "Difference", "95 % interval", `${units}: higher, lower, all`, "Images", "Reading"];
  const table = make(
    "table", { class: "plain" }, make("caption", {}, make("span")),
    make("thead", {}, make("tr", {}, ...head.map((words, k) => make("th", { scope: "col", class: k && k < 5 ? "num" : null }, words)))), body,
  );
  section.append(
    make(
      "div", { class: "controls" }, select("Compare", named, "a", () => chosen("a", 0)), select("with", named, "b", () => chosen("b", 1)),
      select("by", data.pairs.map((one) => [one.metric, one.metric]), "by", () => metric().metric),
    ),
    figure, make("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Paired differences" }, table),
  );
  section.hidden = false;
  document.querySelector('nav.sections a[href="#compare"]').parentElement.hidden = false;

  state.listen(() => {
    const [a, b, one] = [chosen("a", 0), chosen("b", 1), metric()];
    const found = a === b ? null : pair(one, a, b);
    figure.hidden = !found;
    table.querySelector("caption span").textContent = a === b
      ? "Choose two rows."
      : `${title(a)} minus ${title(b)}, on the images that are valid for both.`;
    if (found) {
      box.replaceChildren(plot(one, found, a, b));
      const some = found[7].length < found[6] ? `, ${found[7].length} of ${found[6]} from lowest to highest` : "";
      caption.textContent = `Each dot is one of the ${units}${some}: the difference of its means. The square is the mean over images, its bar the 95 % interval over ${units}, paired.`;
    }
    body.replaceChildren(...(a === b ? [] : data.pairs).map((each) => [each, pair(each, a, b)]).filter(([, made]) => made).map(([each, made]) => {
      const [value, low, high, requests, higher, lower, people] = made;
      const interval = low === null ? "none" : `${text(each, low)} to ${text(each, high)}`;
      return make(
        "tr", {}, make("th", { scope: "row", title: each.words }, each.head),
        ...[text(each, value), interval, `${higher}, ${lower}, ${people}`, String(requests)].map((words) => make("td", { class: "num" }, words)),
        make("td", {}, verdict(each, made, a, b)),
      );
    }));
  });
})();
