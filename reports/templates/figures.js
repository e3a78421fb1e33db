// Figures as files: the drawing with its styles written out, in the light colors, as SVG or as a small PDF.
const figureFile = (() => {
  const STYLES = [
    "fill", "stroke", "stroke-width", "stroke-dasharray", "opacity", "font-size", "font-style", "font-weight", "text-anchor",
  ];
  const inLight = (work) => {
    const root = document.documentElement, before = root.dataset.theme;
    root.dataset.theme = "light";
    try { return work(); } finally { if (before) root.dataset.theme = before; else delete root.dataset.theme; }
  };
  const size = (svg) => [svg.viewBox.baseVal.width, svg.viewBox.baseVal.height];

  const asSvg = (svg) => inLight(() => {
    const copy = svg.cloneNode(true), [width, height] = size(svg);
    const pairs = all("*", svg).map((node, k) => [node, all("*", copy)[k]]);
    for (const [node, twin] of pairs) {
      const style = getComputedStyle(node);
      for (const name of STYLES) twin.setAttribute(name, style.getPropertyValue(name));
      twin.removeAttribute("class");
    }
    for (const [name, value] of [["width", width], ["height", height], ["font-family", "Helvetica, Arial, sans-serif"]]) copy.setAttribute(name, value);
    copy.removeAttribute("class");
    copy.removeAttribute("style");
    return new XMLSerializer().serializeToString(copy);
  });

  // What Helvetica of a PDF has beyond Latin-1, and what its Symbol has.
  const LATIN = { "−": 0x96, "–": 0x96, "—": 0x97, "…": 0x85, "•": 0x95, "‘": 0x91, "’": 0x92, "“": 0x93, "”": 0x94, "€": 0x80 };
  const SYMBOL = { "←": 0xac, "↑": 0xad, "→": 0xae, "↓": 0xaf, "≤": 0xa3, "≥": 0xb3, "≠": 0xb9, "τ": 0x74 };
  const runs = (text) => {
    const found = [];
    for (const sign of text) {
      const code = LATIN[sign] ?? (sign.codePointAt(0) < 0x100 ? sign.codePointAt(0) : undefined);
      const symbol = code === undefined ? SYMBOL[sign] : undefined;
      if (code === undefined && symbol === undefined) throw new RangeError(sign);
      const last = found[found.length - 1], here = symbol === undefined ? "" : "symbol";
      const byte = String.fromCharCode(symbol ?? code).replace(/[\\()]/g, "\\$&");
      if (last && last[0] === here) last[1] += byte; else found.push([here, byte]);
    }
    return found;
  };
  const FONTS = ["Helvetica", "Helvetica-Oblique", "Helvetica-Bold", "Symbol"];
  const short = (value) => String(Math.round(value * 1000) / 1000);

  const outline = (node) => {
    const at = (name) => Number(node.getAttribute(name) || 0);
    if (node.localName === "line") return `${at("x1")} ${at("y1")} m ${at("x2")} ${at("y2")} l`;
    if (node.localName === "rect") return `${at("x")} ${at("y")} ${at("width")} ${at("height")} re`;
    if (node.localName === "circle") {
      const [x, y, r] = [at("cx"), at("cy"), at("r")], k = 0.5523 * r;
      const arc = (...p) => `${p.map(short).join(" ")} c`;
      return [
        `${short(x + r)} ${short(y)} m`, arc(x + r, y + k, x + k, y + r, x, y + r), arc(x - k, y + r, x - r, y + k, x - r, y),
        arc(x - r, y - k, x - k, y - r, x, y - r), arc(x + k, y - r, x + r, y - k, x + r, y), "h",
      ].join(" ");
    }
    const lines = []; // a path of straight lines, as fesbench draws them
    let x = 0, y = 0;
    for (const [, code, rest] of node.getAttribute("d").matchAll(/([MLHVZ])([^MLHVZ]*)/gi)) {
      const n = (rest.match(/-?[\d.]+/g) || []).map(Number), relative = code === code.toLowerCase();
      const letter = code.toUpperCase();
      if (letter === "Z") { lines.push("h"); continue; }
      if (letter === "H") x = n[0] + (relative ? x : 0);
      else if (letter === "V") y = n[0] + (relative ? y : 0);
      else { x = n[0] + (relative ? x : 0); y = n[1] + (relative ? y : 0); }
      lines.push(`${short(x)} ${short(y)} ${letter === "M" ? "m" : "l"}`);
    }
    return lines.join(" ");
  };

  const asPdf = (svg) => inLight(() => {
    const [width, height] = size(svg), base = svg.getScreenCTM().inverse(), opacities = [];
    const color = (text, operator) => {
      const parts = text.match(/[\d.]+/g);
      return text === "none" ? "" : `${parts.slice(0, 3).map((part) => short(part / 255)).join(" ")} ${operator}`;
    };
    const drawn = all("line, rect, circle, path, text", svg).map((node) => {
      const style = getComputedStyle(node), m = base.multiply(node.getScreenCTM());
      const opacity = Number(style.opacity);
      if (!opacities.includes(opacity)) opacities.push(opacity);
      const head = `q ${[m.a, m.b, m.c, m.d, m.e, m.f].map(short).join(" ")} cm /O${opacities.indexOf(opacity)} gs`;
      const fill = color(style.fill, "rg"), stroke = color(style.stroke, "RG");
      if (node.localName === "text") {
        if (!node.textContent) return "";
        const start = node.getStartPositionOfChar(0);
        const font = Number(style.fontWeight) >= 600 ? 2 : style.fontStyle === "italic" ? 1 : 0;
        const told = runs(node.textContent).map(([kind, bytes]) => `/F${kind ? 3 : font} ${parseFloat(style.fontSize)} Tf (${bytes}) Tj`);
        return `${head} ${fill} BT 1 0 0 -1 ${short(start.x)} ${short(start.y)} Tm ${told.join(" ")} ET Q`;
      }
      const line = node.localName === "line", filled = fill && !line;
      const dash = style.strokeDasharray === "none" ? "" : `[${style.strokeDasharray.match(/[\d.]+/g).join(" ")}] 0 d`;
      const paint = filled && stroke ? "B" : filled ? "f" : stroke ? "S" : "n";
      return `${head} ${fill} ${stroke} ${short(parseFloat(style.strokeWidth))} w ${dash} ${outline(node)} ${paint} Q`;
    });
    const content = `1 0 0 -1 0 ${height} cm\n${drawn.join("\n")}`;
    const fonts = FONTS.map((name, k) => `/F${k} << /Type /Font /Subtype /Type1 /BaseFont /${name}${name === "Symbol" ? "" : " /Encoding /WinAnsiEncoding"} >>`);
    const states = opacities.map((value, k) => `/O${k} << /ca ${value} /CA ${value} >>`);
    const objects = [
      "<< /Type /Catalog /Pages 2 0 R >>",
      "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
      `<< /Type /Page /Parent 2 0 R /MediaBox [0 0 ${width} ${height}] /Contents 4 0 R /Resources << /Font << ${fonts.join(" ")} >> /ExtGState << ${states.join(" ")} >> >> >>`,
      `<< /Length ${content.length} >>\nstream\n${content}\nendstream`,
    ];
    let file = "%PDF-1.4\n";
    const places = objects.map((body, k) => { const at = file.length; file += `${k + 1} 0 obj\n${body}\nendobj\n`; return at; });
    const table = places.map((at) => `${String(at).padStart(10, "0")} 00000 n \n`).join("");
    const tail = `xref\n0 5\n0000000000 65535 f \n${table}trailer\n<< /Size 5 /Root 1 0 R >>\nstartxref\n${file.length}\n%%EOF\n`;
    return Uint8Array.from(file + tail, (sign) => sign.charCodeAt(0));
  });

  // Buttons that save whatever drawing stands in a place.
  const buttons = (find, name) => {
    const told = make("output", { "aria-live": "polite" });
    const pdf = () => {
      try {
        save(`${name}.pdf`, "application/pdf", asPdf(find()));
        told.textContent = "";
      } catch (fault) {
        if (!(fault instanceof RangeError)) throw fault;
        told.textContent = `a PDF's own fonts lack ${fault.message}: take the SVG`;
      }
    };
    return make(
      "p", { class: "save" }, "Save the figure as ",
      make("button", { type: "button", onclick: () => save(`${name}.svg`, "image/svg+xml", asSvg(find())) }, "SVG"), " ",
      make("button", { type: "button", onclick: pdf }, "PDF"), " ", told,
    );
  };
  return { asSvg, asPdf, buttons };
})();

for (const figure of all("figure")) {
  const svg = figure.querySelector("svg.scatter, svg.dumbbells");
  if (svg) figure.append(figureFile.buttons(() => svg, svg.getAttribute("aria-label").toLowerCase().replace(/[^a-z0-9]+/g, "-")));
}
