"""The page in headless Chromium: a driver script is put into a copy of the page, and the DOM is read back."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.browser

WATCH = """<script>
window.faults = [];
addEventListener("error", (e) => faults.push(String(e.message || (e.target && e.target.src))), true);
const { error } = console;
console.error = (...words) => { faults.push(words.join(" ")); error(...words); };
</script>"""

DRIVE = """<script>
addEventListener("load", () => {
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
  result.faults = faults;
  const out = document.createElement("pre");
  out.id = "result";
  out.textContent = JSON.stringify(result);
  document.body.append(out);
});
</script>"""


def chromium(page: Path, profile: Path, *, width: int = 1400) -> tuple[str, str]:
    """DOM after loading, and what the browser logged."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    assert browser is not None
    options = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--enable-logging=stderr",
        "--virtual-time-budget=4000",
        "--dump-dom",
    ]
    done = subprocess.run(
        [browser, *options, f"--user-data-dir={profile}", f"--window-size={width},1000", page.as_uri()],
        capture_output=True,
        text=True,
        timeout=110,
        check=True,
    )
    return done.stdout, done.stderr


@pytest.fixture(scope="module")
def driven(site: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], str]:
    folder = tmp_path_factory.mktemp("driven") / "site"
    shutil.copytree(site, folder)
    page = folder / "index.html"
    text = page.read_text(encoding="utf-8")
    page.write_text(text.replace("<head>", f"<head>{WATCH}", 1).replace("</body>", f"{DRIVE}</body>", 1))
    dom, log = chromium(page, folder.parent / "profile")
    found = re.search(r'<pre id="result">(.*?)</pre>', dom, re.DOTALL)
    assert found, log
    return json.loads(unescape(found[1])), log


def test_it_loads_without_errors(driven: tuple[dict[str, Any], str]) -> None:
    result, log = driven
    assert result["faults"] == []
    assert "CONSOLE" not in log
    assert result["hacked"] == "undefined"


def test_sorting_by_a_header_turns_around_and_keeps_missing_figures_last(
    driven: tuple[dict[str, Any], str],
) -> None:
    result, _ = driven
    assert result["start"][0] == "Real images"
    assert result["fss"]["names"][0] == "Copy of the source"
    assert result["fss"]["sort"] == "descending"
    assert result["again"]["sort"] == "ascending"
    figures = result["fss"]["names"][:-1]
    assert result["again"]["names"][:-1] == figures[::-1]
    assert result["fss"]["names"][-1].startswith("CDAAE")
    assert result["again"]["names"][-1].startswith("CDAAE")
    assert result["name"]["names"] == sorted(result["name"]["names"], key=str.casefold)
    assert result["sorted"] == 1


def test_images_are_there_and_open_large(driven: tuple[dict[str, Any], str]) -> None:
    result, _ = driven
    assert result["images"] > 20
    assert result["loaded"]
    assert result["zoomed"] == 3


def test_one_heat_map_at_a_time_and_two_themes(driven: tuple[dict[str, Any], str]) -> None:
    result, _ = driven
    assert result["heat"] == 1
    assert result["before"] != result["after"]


def test_the_page_itself_never_scrolls_sideways(driven: tuple[dict[str, Any], str]) -> None:
    assert driven[0]["wide"] <= 0
