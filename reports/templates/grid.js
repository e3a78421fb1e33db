// The reader's view as text, in the words of fesbench's own writers (reports/grid_writers.py); a test holds them equal.
const gridText = (() => {
  const flat = (text) => text.split(/\s+/).filter(Boolean).join(" ");
  const minus = (text) => text.replaceAll("−", "-");
  const titled = (row) => row.title + (row.marks.length ? ` (${row.marks.join(", ")})` : "");
  const ARROWS = { higher: "↑", lower: "↓" };
  const CODES = {
    "\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}", "×": "$\\times$", "−": "$-$",
    "<": "\\textless{}", ">": "\\textgreater{}", "|": "\\textbar{}",
  };
  for (const sign of "&%$#_{}") CODES[sign] = `\\${sign}`;
  const latexText = (text) => [...flat(text)].map((c) => CODES[c] ?? c).join("");
  const latexCell = (entry, intervals) => {
    if (entry.value === undefined) return latexText(entry.text);
    let text = minus(entry.text);
    if (!/^\d+$/.test(text.replaceAll(".", "").replaceAll("-", ""))) return latexText(entry.text);
    if (entry.best) text = `\\mathbf{${text}}`;
    if (intervals && entry.bounds) text += `\\;{\\scriptstyle[${entry.bounds.map(minus).join(",\\,")}]}`;
    return `$${text}$`;
  };
  const latex = (grid, intervals) => {
    const width = grid.heads.length + 1;
    const arrows = { higher: " $\\uparrow$", lower: " $\\downarrow$" };
    const lines = [grid.caption, ...grid.comments].map((text) => `% ${flat(text)}`);
    lines.push(
      `\\begin{tabular}{l${"r".repeat(grid.heads.length)}}`, "\\toprule",
      `${["method", ...grid.heads.map(([name, way]) => latexText(name) + (arrows[way] || ""))].join(" & ")} \\\\`, "\\midrule",
    );
    grid.groups.forEach(([title, rows], index) => {
      if (index) lines.push("\\midrule");
      if (title) lines.push(`\\multicolumn{${width}}{l}{${latexText(title)}} \\\\`);
      for (const row of rows) {
        const name = row.reference ? `\\textit{${latexText(titled(row))}}` : latexText(titled(row));
        lines.push(`${[name, ...row.entries.map((entry) => latexCell(entry, intervals))].join(" & ")} \\\\`);
      }
    });
    lines.push("\\bottomrule");
    if (grid.note) lines.push(`\\multicolumn{${width}}{l}{\\footnotesize ${latexText(grid.note)}} \\\\`);
    return [...lines, "\\end{tabular}", ""].join("\n");
  };

  const plain = (entry, intervals) => entry.text + (intervals && entry.bounds ? ` [${entry.bounds.join(", ")}]` : "");
  const markdownText = (text) => flat(text.replace(/[\\`*_{}[\]<>|]/g, "\\$&"));
  const markdown = (grid, intervals) => {
    const heads = ["method", ...grid.heads.map(([name, way]) => (way ? `${name} ${ARROWS[way]}` : name))];
    const line = (cells) => `| ${cells.join(" | ")} |`;
    const rows = grid.groups.flatMap(([title, lines]) => lines.map((row) => {
      const name = markdownText(titled(row)) + (title ? ` (${markdownText(title)})` : "");
      const cells = row.entries.map((entry) => {
        const text = markdownText(plain(entry, intervals));
        return entry.best ? `**${text}**` : text;
      });
      return line([row.reference ? `*${name}*` : name, ...cells]);
    }));
    const table = [line(heads), line(heads.map((_, k) => (k ? "---:" : "---"))), ...rows].join("\n");
    return `${markdownText(grid.caption)}\n\n${table}\n${grid.note ? `\n*${markdownText(grid.note)}*\n` : ""}`;
  };

  // Numbers as Python writes them, so that a file from either is the same.
  const number = (value) => {
    if (value === 0) return Object.is(value, -0) ? "-0.0" : "0.0";
    const size = Math.abs(value);
    if (size < 1e-4 || size >= 1e16) {
      const [digits, power] = value.toExponential().split("e");
      return `${digits}e${power[0]}${power.slice(1).padStart(2, "0")}`;
    }
    return Number.isInteger(value) ? `${value}.0` : String(value);
  };
  const field = (text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const csv = (grid, intervals) => {
    const rows = grid.groups.flatMap(([, lines]) => lines);
    const wide = grid.heads.map((_, k) => intervals && rows.some((row) => row.entries[k].bounds));
    const heads = grid.heads.flatMap(([name], k) => (wide[k] ? [name, `${name} low`, `${name} high`] : [name]));
    const remarked = grid.note || rows.some((row) => row.marks.length);
    const remarks = (row) => (remarked ? [[...row.marks, grid.note].filter(Boolean).join("; ")] : []);
    const lines = rows.map((row) => [row.title, ...row.entries.flatMap((entry, k) => {
      const cells = [entry.value === undefined ? entry.text : number(entry.value)];
      if (wide[k]) cells.push(...(entry.limits ? entry.limits.map(number) : entry.bounds || ["", ""]));
      return cells.map(minus);
    }), ...remarks(row)]);
    return [["method", ...heads, ...(remarked ? ["remarks"] : [])], ...lines].map((line) => `${line.map(field).join(",")}\n`).join("");
  };

  const json = (grid, intervals) => {
    const rows = grid.groups.flatMap(([group, lines]) => lines.map((row) => ({
      method: row.title, group, reference: row.reference, marks: row.marks,
      values: Object.fromEntries(grid.heads.map(([name], k) => {
        const { text, value = null, best = false, limits } = row.entries[k];
        const [low, high] = limits || [null, null];
        return [name, { text, value, best, ...(intervals ? { low, high } : {}) }];
      })),
    })));
    return `${JSON.stringify({ caption: grid.caption, note: grid.note, signatures: grid.comments, rows }, null, 1)}\n`;
  };
  return { latex, markdown, csv, json };
})();

// A file for the reader, from what the page holds.
const save = (name, type, content) => {
  const address = URL.createObjectURL(new Blob([content], { type }));
  make("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
};

(() => {
  const place = document.getElementById("copy-view");
  if (!board || !place) return;
  const FORMATS = [["latex", "LaTeX", "tex"], ["markdown", "Markdown", "md"], ["csv", "CSV", "csv"], ["json", "JSON", "json"]];
  const text = make("textarea", { readonly: true, rows: 12, "aria-label": "The table as text", spellcheck: "false" });
  const told = make("output", { "aria-live": "polite" });
  const intervals = make("input", { type: "checkbox", checked: true });
  let last = FORMATS[0];
  const write = () => { text.value = gridText[last[0]](board.grid(), intervals.checked); };
  const keep = make("button", {
    type: "button", onclick: () => save(`${board.data.name}.${last[2]}`, "text/plain", text.value),
  }, "save as a file");
  const shown = make("details", {}, make("summary", {}, "The text"), text, keep);
  const copy = async (format) => {
    last = format;
    write();
    try {
      await navigator.clipboard.writeText(text.value);
      told.textContent = `${format[1]} copied`;
    } catch {
      shown.open = true;
      text.select();
      told.textContent = `${format[1]} selected: press Ctrl+C`;
    }
  };
  place.append(
    "Copy this view as ",
    ...FORMATS.map((format) => make("button", { type: "button", "data-format": format[0], onclick: () => copy(format) }, format[1])),
    make("label", { class: "box" }, intervals, "with intervals"), told, shown,
  );
  place.hidden = false;
  intervals.addEventListener("change", write);
  state.listen(write);
})();
