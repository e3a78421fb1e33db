"""From a score to its request in headless Chromium, from disk: clicks, a toggle, and pixels."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.reports.browser import chromium, drive, driven_copy
from tests.reports.test_report_view import CONTRAST

pytestmark = pytest.mark.browser

CLICK = """
  document.querySelector('#table-expression-in a[href*="row=pix2pix"][href*="metric=SSIM"]').click();
  return {};
"""
DRIVE = """
  const all = (selector) => [...document.querySelectorAll(selector)];
  const until = async (test) => { while (!test()) await later(); };
  const rows = () => all("#requests tbody tr").map((row) => [...row.cells].map((cell) => cell.textContent));
  const loaded = performance.getEntriesByType("resource").map((entry) => entry.name);
  const result = { worst: rows(), before: loaded };
  const form = document.getElementById("choose");
  const choose = async (name, value) => {
    form.elements[name].value = value;
    form.dispatchEvent(new Event("change", { bubbles: true }));
    await later();
  };
  await choose("order", "best");
  result.best = rows();
  await choose("label", "fear");
  result.fear = rows();
  document.querySelector("#requests tbody a").click();
  const tiles = document.getElementById("tiles");
  await until(() => tiles.dataset.painted === "image");
  result.open = location.hash;
  const title = () => document.getElementById("request-title").textContent;
  result.title = title();
  result.name = document.getElementById("request-name").textContent;
  result.figures = all("#tiles figcaption b").map((node) => node.textContent);
  result.chosen = all("#tiles .chosen b").map((node) => node.textContent);
  result.words = all("#tiles canvas").map((canvas) => canvas.getAttribute("aria-label"));
  result.values = all("#values tbody tr").map((row) => [...row.cells].map((cell) => cell.textContent));
  result.judged = all("#judges td.top").length;
  result.hints = ["clip", "no-judges", "no-images"].filter((id) => !document.getElementById(id).hidden);
  result.asked = all("#judges th.asked").map((node) => node.textContent);
  result.listed = !document.getElementById("list").hidden;
  result.wide = document.documentElement.scrollWidth - innerWidth;
  document.querySelector('[data-view="difference"]').click();
  result.view = tiles.dataset.painted;
  result.different = all("#tiles canvas").map((canvas) => canvas.getAttribute("aria-label"));
  result.pixels = all("#tiles canvas").map((canvas) => {
    const pen = canvas.getContext("2d");
    return [...pen.getImageData(0, 0, canvas.width, canvas.height).data];
  });
  document.getElementById("theme").click();
  await later();
  result.theme = document.documentElement.dataset.theme;
  result.still = title();
  document.getElementById("next").click();
  await until(() => tiles.dataset.painted && title() !== result.title);
  result.second = title();
  result.kept = document.documentElement.dataset.theme;
  result.address = location.hash;
  result.hacked = typeof window.hacked;
  return result;
"""
PIXELS = "--allow-file-access-from-files"
"""Lets the test read what was painted; the page itself reads no pixel."""


@pytest.fixture(scope="module")
def folder(site: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    copy = tmp_path_factory.mktemp("driven") / "a site"
    shutil.copytree(site, copy)
    return copy


@pytest.fixture(scope="module")
def driven(folder: Path) -> dict[str, Any]:
    return drive(
        folder / "requests.html", DRIVE, PIXELS, fragment="#part=expression/in&row=pix2pix&metric=SSIM"
    )


def test_a_click_on_a_score_opens_its_requests(folder: Path, driven: dict[str, Any]) -> None:
    dom, log = chromium(driven_copy(folder / "index.html", CLICK).as_uri(), folder / "profile")
    assert "CONSOLE" not in log
    listed = re.search(r'<table class="plain" id="requests">.*?</table>', dom, re.DOTALL)
    assert listed
    shown = re.findall(r'<td class="num">([\d.]+)</td>', listed[0])
    assert shown == [row[2] for row in driven["worst"]]
    assert "Of pix2pix." in listed[0]


def test_nothing_goes_wrong_on_the_way(driven: dict[str, Any]) -> None:
    assert driven["faults"] == []
    assert driven["hacked"] == "undefined"
    assert driven["wide"] <= 0


def test_requests_stand_worst_or_best_first_or_by_what_was_asked(driven: dict[str, Any]) -> None:
    worst, best = ([float(row[2]) for row in driven[order]] for order in ("worst", "best"))
    assert len(worst) == 7 * 7
    assert worst == sorted(worst)
    assert best == sorted(best, reverse=True)
    assert {row[1] for row in driven["fear"]} == {"fear"}
    assert len(driven["fear"]) == 7


def test_among_right_or_wrong_answers_the_judge_s_probability_decides(folder: Path) -> None:
    rows = """return { rows: [...document.querySelectorAll("#requests tbody tr")].map(
      (row) => [...row.cells].map((cell) => cell.textContent)) };"""
    view = "#part=expression/in&row=pix2pix&metric=ECS"
    told = {}
    for order in ("worst", "best"):
        shown = drive(folder / "requests.html", rows, fragment=f"{view}&order={order}")["rows"]
        told[order] = [(float(row[2]), int(row[3].split("; ")[1].split(" % ")[0])) for row in shown]
        assert all(row[3].endswith(f" % {row[1]}") for row in shown)
    assert {value for value, _ in told["worst"]} == {0, 100}
    assert len({share for _, share in told["worst"]}) > 10
    assert told["worst"] == sorted(told["worst"])
    assert told["best"] == sorted(told["best"], reverse=True)


def test_images_are_loaded_only_where_a_request_is_opened(driven: dict[str, Any]) -> None:
    assert not [name for name in driven["before"] if name.endswith(".webp")]


def test_a_request_shows_every_method(driven: dict[str, Any]) -> None:
    assert "request=expression-in-" in driven["open"]
    assert not driven["listed"]
    assert driven["title"] == f"{driven['fear'][0][0]}, fear"
    assert driven["second"] == f"{driven['fear'][1][0]}, fear"
    assert driven["figures"][:2] == ["source", "target"]
    assert driven["chosen"] == ["pix2pix"]
    assert len(driven["figures"]) == 10
    assert len(driven["words"]) == 10
    assert all(word.endswith(", fear") for word in driven["words"])
    values = {row[0]: row[1:] for row in driven["values"]}
    assert len(values) == 10
    assert driven["fear"][0][2] in values["pix2pix"]
    assert driven["asked"] == ["fear (asked)"]
    assert driven["judged"] == 10
    assert driven["hints"] == []


def test_the_theme_and_the_request_stand_in_one_address(driven: dict[str, Any], folder: Path) -> None:
    assert driven["theme"] == driven["kept"] == "dark"
    assert "theme=dark" in driven["address"]
    assert driven["still"] == driven["title"]
    again = drive(
        folder / "requests.html",
        """return {
          theme: document.documentElement.dataset.theme,
          title: document.getElementById("request-title").textContent,
        };""",
        fragment=driven["address"],
    )
    assert again == {"theme": "dark", "title": driven["second"], "faults": []}


@pytest.mark.parametrize(
    ("page", "fragment"),
    [
        ("requests.html", "#part=expression/in&row=pix2pix"),
        ("requests.html", "#part=expression/in&row=pix2pix&request=expression-in-a0220-0-fear"),
        ("method-reggan.html", ""),
    ],
)
def test_every_text_has_the_contrast_of_aa_in_both_themes(folder: Path, page: str, fragment: str) -> None:
    found = drive(folder / page, CONTRAST, fragment=fragment)
    for theme in ("light", "dark"):
        assert found[theme]["poor"] == []
        assert found[theme]["seen"] > 100
    assert found["light"]["paper"] != found["dark"]["paper"]


def test_the_toggle_shows_the_difference_against_the_target(driven: dict[str, Any], runs: Path) -> None:
    assert driven["view"] == "difference"
    assert all("difference against the target" in word for word in driven["different"])
    request = driven["name"].split(": ")[1]

    def image(method: str) -> np.ndarray:
        with Image.open(next(runs.rglob(f"{method}-*/0/images/{request}.png"))) as found:
            return np.asarray(found.convert("RGB")).astype(int)

    for title, method in (("target", "real"), ("pix2pix", "pix2pix"), ("source", "copy")):
        shown = np.array(driven["pixels"][driven["figures"].index(title)]).reshape(32, 32, 4)[..., :3]
        expected = np.minimum(255, 4 * np.abs(image(method) - image("real")))
        assert np.abs(shown - expected).max() == 0, title
