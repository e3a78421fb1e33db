"""The page in headless Chromium."""

from __future__ import annotations

import re
import shutil
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from fesbench.reports.pages import policy
from tests.reports.browser import chromium, drive

pytestmark = pytest.mark.browser

DRIVE = """
  const table = document.getElementById("table-expression-in");
  const names = () => [...table.tBodies[0].rows].map((row) => row.cells[0].dataset.value);
  const head = (index) => table.tHead.rows[0].cells[index];
  const press = (index) => {
    head(index).querySelector("button").click();
    return { names: names(), sort: head(index).ariaSort };
  };
  const shown = () => [...document.querySelectorAll('[data-panel="heat"]')].filter((p) => !p.hidden).length;
  const theme = document.getElementById("theme");
  const before = getComputedStyle(document.body).backgroundColor;
  theme.click();
  const after = getComputedStyle(document.body).backgroundColor;
  const result = {
    start: names(),
    fss: press(2),
    again: press(2),
    name: press(0),
    sorted: document.querySelectorAll("#table-expression-in [aria-sort]").length,
    heat: shown(),
    loaded: [...document.images].every((i) => i.complete && i.naturalWidth > 0),
    images: document.images.length,
    wide: document.documentElement.scrollWidth - innerWidth,
    before, after,
    hacked: typeof window.hacked,
  };
  document.querySelector("button.zoom").click();
  result.zoomed = document.querySelectorAll("dialog[open] img").length;
  document.querySelector("dialog[open] button").click();
  result.closed = !document.querySelector("dialog[open]");
  [...table.tHead.rows[0].cells].forEach((cell) => { cell.style.minWidth = "250px"; });
  dispatchEvent(new Event("beforeprint"));
  table.style.width = "min-content";
  result.printed = table.getBoundingClientRect().width;
  table.style.width = "";
  result.unfolded = document.querySelectorAll("details:not([open])").length;
  dispatchEvent(new Event("afterprint"));
  result.zoom = table.style.zoom;
  result.folded = document.querySelectorAll("details:not([open])").length;
  return result;
"""
INJECT = """
  const place = document.createElement("div");
  place.innerHTML = '<img src="images/none.png" onerror="window.hacked = 1">'
    + '<a href="javascript:window.hacked = 2">x</a>';
  document.body.append(place);
  const script = document.createElement("script");
  script.textContent = "window.hacked = 3";
  document.body.append(script);
  place.querySelector("a").click();
  await later(200);
  return { hacked: typeof window.hacked };
"""


@pytest.fixture(scope="module")
def folder(site: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    copy = tmp_path_factory.mktemp("driven") / "site"
    shutil.copytree(site, copy)
    return copy


@pytest.fixture(scope="module")
def driven(folder: Path) -> dict[str, Any]:
    return drive(folder / "index.html", DRIVE)


def test_it_loads_without_errors(driven: dict[str, Any]) -> None:
    assert driven["faults"] == []
    assert driven["hacked"] == "undefined"


def test_as_written_it_runs_under_its_own_policy(folder: Path, tmp_path: Path) -> None:
    page = folder / "index.html"
    dom, log = chromium(page.as_uri(), tmp_path / "profile")
    assert "CONSOLE" not in log
    assert '<button type="button" id="theme" aria-label=' in dom  # the script ran and named the other theme


def test_every_page_names_its_one_script_by_hash(shelf: Path) -> None:
    pages = sorted(path for path in shelf.rglob("*.html") if not path.name.startswith("driven-"))
    assert len(pages) == 11  # an index, three boards, their requests and methods
    for page in pages:
        text = page.read_text(encoding="utf-8")
        (script,) = re.findall("<script>(.*?)</script>", text, re.DOTALL)
        (told,) = re.findall('<meta http-equiv="Content-Security-Policy" content="([^"]*)">', text)
        assert unescape(told) == policy(script)
        assert text.index("Content-Security-Policy") < text.index("<title>")
        assert not re.search(r"<[a-z][^>]*\son[a-z]+=", text)


def test_what_gets_in_does_not_run(folder: Path) -> None:
    found = drive(folder / "index.html", INJECT)
    assert found["hacked"] == "undefined"
    assert len([fault for fault in found["faults"] if fault.startswith("script-src")]) == 3


def test_sorting_by_a_header_turns_around_and_keeps_missing_figures_last(driven: dict[str, Any]) -> None:
    assert driven["start"][0] == "Real images"
    assert driven["fss"]["names"][0] == "Copy of the source"
    assert driven["fss"]["sort"] == "descending"
    assert driven["again"]["sort"] == "ascending"
    figures = driven["fss"]["names"][:-1]
    assert driven["again"]["names"][:-1] == figures[::-1]
    assert driven["fss"]["names"][-1].startswith("CDAAE")
    assert driven["again"]["names"][-1].startswith("CDAAE")
    assert driven["name"]["names"] == sorted(driven["name"]["names"], key=str.casefold)
    assert driven["sorted"] == 1


def test_images_are_there_and_open_large(driven: dict[str, Any]) -> None:
    assert driven["images"] > 20
    assert driven["loaded"]
    assert driven["zoomed"] == 3
    assert driven["closed"]


def test_one_heat_map_at_a_time_and_two_themes(driven: dict[str, Any]) -> None:
    assert driven["heat"] == 1
    assert driven["before"] != driven["after"]


def test_what_is_wide_or_folded_is_printed_whole(driven: dict[str, Any]) -> None:
    assert 990 < driven["printed"] <= 1001  # of over 2,000, at the size that fits the sheet
    assert driven["unfolded"] == 0
    assert driven["folded"] > 5
    assert driven["zoom"] == ""


def test_the_page_itself_never_scrolls_sideways(driven: dict[str, Any]) -> None:
    assert driven["wide"] <= 0
