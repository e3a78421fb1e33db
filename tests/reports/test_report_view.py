"""What a reader chooses on the page, in headless Chromium: view, link, copies, comparison, figures."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from fesbench.reports.boards import make_boards, read_runs
from fesbench.reports.grid_writers import WRITERS
from fesbench.reports.paper_tables import main_grid
from fesbench.reports.ranking import common_values
from fesbench.reports.tables import build_table
from fesbench.statistics.intervals import cluster_sums
from fesbench.statistics.paired import difference_of_means
from tests.reports.browser import chromium, drive

pytestmark = pytest.mark.browser

LINK = (
    "#compare?theme=dark&expression=happiness&year=2018,2020&references=no&columns=FSS,ECS"
    "&sort=FSS:ascending&a=stargan&b=mr&by=FSS"
)
LOOK = """
  const table = document.getElementById("table-expression-in");
  const visible = (node) => node.getClientRects().length > 0;
  const heads = () => [...table.tHead.rows[0].cells];
  const word = (cell) => cell.innerText.match(/[\\w@=%-]+/)[0];
  const look = () => ({
    rows: [...table.querySelectorAll("tbody tr[data-row]")].filter(visible).map((row) => row.dataset.row),
    columns: heads().filter(visible).map(word),
    sorted: heads().filter((cell) => cell.ariaSort).map((cell) => [word(cell), cell.ariaSort]),
    dark: document.documentElement.dataset.theme === "dark",
    value: table.querySelector('[data-row="mr"]').cells[1].innerText.split(/\\s/)[0],
    compared: document.querySelector("#compare svg")?.getAttribute("aria-label"),
    chosen: [...document.querySelectorAll("#compare select")].map((select) => select.value),
    heading: document.querySelector("#view .table-view:not([hidden]) caption").innerText,
    hash: location.hash,
  });
"""
CHOOSE = """
  const start = look();
  const text = (format) => {
    document.querySelector(`#copy-view [data-format=${format}]`).click();
    return document.querySelector("#copy-view textarea").value;
  };
  const formats = ["latex", "markdown", "csv", "json"];
  const texts = () => Object.fromEntries(formats.map((name) => [name, text(name)]));
  const copies = texts();
  const intervals = document.querySelector("#copy-view input");
  intervals.click();
  const short = texts();
  intervals.click();
  const labelled = (words) => [...document.querySelectorAll("#controls label, #compare label")]
    .find((label) => label.innerText.startsWith(words) || label.textContent.startsWith(words));
  // one entry of the history for each: a browser joins those of one moment
  const tick = async (words) => { labelled(words).querySelector("input").click(); await later(); };
  const select = async (words, value) => {
    const node = labelled(words).querySelector("select");
    node.value = value;
    node.dispatchEvent(new Event("change"));
    await later();
  };
  document.querySelectorAll("#controls details").forEach((one) => { one.open = true; });
  await tick("pairs of one subject");
  const filtered = look();
  await tick("TAR@FAR=1%");
  await tick("SSIM");
  const narrowed = { ...look(), told: document.querySelector("#controls output").innerText, ...texts() };
  table.tHead.rows[0].cells[2].querySelector("button").click();
  const ordered = look();
  await later();
  history.back(); await later(150);
  const back = look();
  history.back(); await later(150);
  history.back(); await later(150);
  const further = look();
  history.forward(); await later(150);
  const forward = look();
  document.querySelector('nav.sections a[href="#cost"]').click();
  await later();
  const linked = look();
  await select("Task and domain", "table-expression-cartoon");
  const other = look();
  await select("Task and domain", "table-expression-in");
  await select("Compare", "mr");
  await select("with", "reggan");
  await select("by", "FSS");
  const compared = look();
  const cells = (row) => [...row.cells].map((cell) => cell.innerText);
  const lines = [...document.querySelectorAll("#compare tbody tr")].map(cells);
  const svg = document.querySelector("#compare svg");
  return {
    start, copies, short, filtered, narrowed, ordered, back, further, forward, linked, other, compared, lines,
    dots: svg.querySelectorAll("circle").length,
    svg: figureFile.asSvg(document.querySelector("svg.scatter")),
    pdfs: [...document.querySelectorAll("svg.scatter, svg.dumbbells")]
      .map((one) => btoa(String.fromCharCode(...figureFile.asPdf(one)))),
    wide: document.documentElement.scrollWidth - innerWidth };
"""
CONTRAST = """
  document.querySelectorAll("details").forEach((one) => { one.open = true; });
  const parts = (text) => text.match(/[\\d.]+/g).map(Number);
  const linear = (c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4);
  const light = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  const behind = (node) => {
    for (let one = node; one; one = one.parentElement) {
      const color = parts(getComputedStyle(one).backgroundColor);
      if (color.length < 4 || color[3] === 1) return color;
      if (color[3] > 0) throw new Error("half transparent background");
    }
    throw new Error("no background");
  };
  const look = (theme) => {
    state.set({ theme });
    const poor = new Set();
    let seen = 0;
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
      const node = walker.currentNode.parentElement;
      const told = walker.currentNode.data.trim() && node.getClientRects().length;
      if (!told || node.closest("script, .skip, title")) continue;
      const style = getComputedStyle(node), color = node.closest("svg") ? style.fill : style.color;
      const [a, b] = [light(parts(color)), light(behind(node))].sort((x, y) => y - x);
      const ratio = (a + 0.05) / (b + 0.05), size = parseFloat(style.fontSize);
      seen += 1;
      const least = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700) ? 3 : 4.5;
      if (ratio < least) poor.add(`${node.tagName}.${node.className} ${color} ${ratio.toFixed(2)}`);
    }
    return { poor: [...poor], seen, paper: getComputedStyle(document.body).backgroundColor };
  };
  return { light: look("light"), dark: look("dark") };
"""


@pytest.fixture(scope="module")
def folder(site: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    copy = tmp_path_factory.mktemp("view") / "site"
    shutil.copytree(site, copy)
    return copy


@pytest.fixture(scope="module")
def chosen(folder: Path) -> dict[str, Any]:
    return drive(folder / "index.html", LOOK + CHOOSE)


def test_a_link_shows_the_same_view(folder: Path) -> None:
    found = drive(folder / "index.html", LOOK + "return { ...look(), top: scrollY }", fragment=LINK)
    assert found["faults"] == []
    assert found["columns"] == ["Method", "ECS", "FSS"]
    assert found["sorted"] == [["FSS", "ascending"]]
    assert set(found["rows"]) == {"stargan", "ganimation", "mr", "cdaae"}
    assert found["rows"][0] == "stargan"
    assert found["rows"][-1] == "cdaae"  # without a value: last either way
    assert found["dark"]
    assert found["compared"].startswith("FSS: StarGAN minus MR, 8 subjects")
    assert found["top"] > 300  # scrolled to the section


def test_every_choice_stands_in_the_address_and_back_undoes_it(chosen: dict[str, Any]) -> None:
    assert chosen["faults"] == []
    assert set(chosen["filtered"]["rows"]) >= {"mr", "real"}
    assert "family=pairs+of+one+subject" in chosen["filtered"]["hash"]
    gone = {"TAR@FAR=1%", "SSIM"}
    assert set(chosen["start"]["columns"]) - set(chosen["narrowed"]["columns"]) == gone
    assert chosen["narrowed"]["told"].endswith("5 of 7 columns")
    assert chosen["ordered"]["sorted"] == [["FSS", "descending"]]
    assert chosen["ordered"]["rows"] != chosen["narrowed"]["rows"]
    same = ("rows", "columns", "sorted")
    assert [chosen["back"][key] for key in same] == [chosen["narrowed"][key] for key in same]
    assert chosen["further"]["columns"] == chosen["start"]["columns"]
    assert "TAR@FAR=1%" not in chosen["forward"]["columns"]
    assert "SSIM" in chosen["forward"]["columns"]
    assert chosen["linked"]["hash"] == "#cost?" + chosen["forward"]["hash"].removeprefix("#")
    assert chosen["linked"]["columns"] == chosen["forward"]["columns"]
    assert "domain cartoon" in chosen["other"]["heading"]
    assert chosen["wide"] <= 0


def test_copies_are_what_fesbench_writes(chosen: dict[str, Any], runs: Path) -> None:
    board = make_boards(read_runs(runs)[0])[0]
    grid = main_grid(build_table(board, *board.headline))
    for name, told in chosen["copies"].items():
        if name == "json":
            assert json.loads(told) == json.loads(WRITERS[name](grid))
            assert json.loads(chosen["short"][name]) == json.loads(WRITERS[name](grid, intervals=False))
        else:
            assert told == WRITERS[name](grid)
            assert chosen["short"][name] == WRITERS[name](grid, intervals=False)


def test_a_chosen_view_is_copied_as_it_is_seen(chosen: dict[str, Any], runs: Path) -> None:
    board = make_boards(read_runs(runs)[0])[0]
    metrics = ["ECS", "FSS", "Rank-1", "PSNR", "FID"]
    whole = WRITERS["csv"](main_grid(build_table(board, *board.headline), metrics)).splitlines()
    titles = {line.split(",")[0].strip('"'): line for line in whole}
    shown = chosen["narrowed"]["csv"].splitlines()
    assert shown[0] == whole[0]
    assert len(shown) == len(chosen["narrowed"]["rows"]) + 1
    assert all(titles[line.split(",")[0].strip('"')] == line for line in shown)
    assert "family, by training data: pairs of one subject" in chosen["narrowed"]["latex"].splitlines()[0]


def test_two_methods_are_compared_by_the_estimator_of_the_ranks(chosen: dict[str, Any], runs: Path) -> None:
    board = make_boards(read_runs(runs)[0])[0]
    values, people = common_values(board, ["mr", "reggan"], "FSS", "expression", "in")
    (a, n), (b, _) = (cluster_sums(values[name], people) for name in ("mr", "reggan"))
    test = difference_of_means(a, n, b, n, seed=0)
    line = next(line for line in chosen["lines"] if line[0] == "FSS")
    assert line[1] == f"{test.value:+.3f}"
    assert line[2] == f"{test.low:+.3f} to {test.high:+.3f}"
    assert line[3] == f"{test.higher}, {test.lower}, 8"
    assert line[5] == "MR is better"
    assert test.low > 0
    assert chosen["dots"] == 8
    assert chosen["compared"]["chosen"] == ["mr", "reggan", "FSS"]


def test_figures_become_files(chosen: dict[str, Any], tmp_path: Path) -> None:
    assert chosen["svg"].startswith('<svg xmlns="http://www.w3.org/2000/svg"')
    assert "var(" not in chosen["svg"]
    assert "class=" not in chosen["svg"]
    assert 'fill="rgb(29, 92, 148)"' in chosen["svg"]
    assert len(chosen["pdfs"]) >= 3
    if shutil.which("pdftotext") is None:
        pytest.skip("no pdftotext here: install poppler-utils")
    told = []
    for number, text in enumerate(chosen["pdfs"]):
        path = tmp_path / f"{number}.pdf"
        path.write_bytes(base64.b64decode(text))
        done = subprocess.run(["pdftotext", "-raw", path, "-"], capture_output=True, text=True, check=True)
        assert done.stderr == ""
        told.append(done.stdout)
    assert any("MR minus RegGAN" in text for text in told)
    assert any("FSS, cosine to the source →" in text and "chance 12.5 %" in text for text in told)


def test_every_text_has_the_contrast_of_aa_in_both_themes(folder: Path) -> None:
    found = drive(folder / "index.html", CONTRAST)
    for theme, paper in (("light", "rgb(253, 253, 251)"), ("dark", "rgb(20, 22, 26)")):
        assert found[theme]["poor"] == []
        assert found[theme]["seen"] > 500
        assert found[theme]["paper"] == paper


INDEX = """
  const visible = (node) => node.getClientRects().length > 0;
  const lines = [...document.querySelectorAll("#boards-table tbody")];
  const rows = () => lines.flatMap((body) => [...body.rows]).filter(visible).map((row) => row.innerText);
  const found = { start: rows() };
  const selects = [...document.querySelectorAll("#index-controls select")];
  found.chosen = selects.find((one) => one.value === "mine@1")?.parentElement.innerText.split("\\n")[0];
  state.set({ protocol: "", sort: "3:descending" });
  await later();
  const told = document.querySelector("#index-controls output").innerText;
  return { ...found, all: rows(), hash: location.hash, told };
"""


def test_the_index_is_by_protocol_data_and_version(shelf: Path) -> None:
    found = drive(shelf / "index.html", INDEX, fragment="#protocol=mine%401")
    assert found["faults"] == []
    assert found["chosen"].startswith("Protocol")
    assert [row.split()[0] for row in found["start"]] == ["mine@1", "as"]
    assert "0.0.9" in found["start"][1]
    assert [row.split()[0] for row in found["all"]] == ["avatars@1", "size", "size", "mine@1", "as"]
    assert "superseded by avatars@2" in found["all"][0]
    assert "tiny, smoke" in found["all"][1]
    assert "paper, smoke" in found["all"][2]
    assert found["told"] == "3 of 3 leaderboards"
    assert found["hash"] == "#sort=3%3Adescending"


def test_it_prints_whole(folder: Path, tmp_path: Path) -> None:
    if shutil.which("pdftotext") is None:
        pytest.skip("no pdftotext here: install poppler-utils")
    out = tmp_path / "page.pdf"
    chromium((folder / "index.html").as_uri(), tmp_path / "profile", f"--print-to-pdf={out}")
    text = subprocess.run(["pdftotext", out, "-"], capture_output=True, text=True, check=True).stdout
    assert "Copy this view" not in text
    assert re.search(r"Data fingerprint", text)
    assert "Task expression, domain cartoon" in text  # what is folded on the screen
