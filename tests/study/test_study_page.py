"""A rater's page in headless Chromium: filled by a script, left and taken up again, saved and read back."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from fesbench.study.answers import read_answers
from fesbench.study.make import Key
from tests.reports.browser import chromium, drive

pytestmark = pytest.mark.browser

# Fills the first half, is loaded anew from what the browser kept, and fills the rest.
DRIVE = """
  const id = (name) => document.getElementById(name);
  const seen = { begin: id("start").disabled, wide: 0, images: true };
  id("consent").click();
  id("start").click();
  while (id("end").hidden) {
    seen.early = seen.early || !id("next").disabled && !document.querySelector("fieldset input:checked");
    document.querySelectorAll("fieldset").forEach((field, k) => field.querySelectorAll("input")[k].click());
    seen.wide = Math.max(seen.wide, document.documentElement.scrollWidth - innerWidth);
    seen.legends = [...document.querySelectorAll("legend")].map((legend) => legend.textContent);
    if (id("place").textContent.startsWith("Pair 3 ")) {
      id("back").click();
      seen.back = [...document.querySelectorAll("fieldset input:checked")].map((radio) => radio.value);
      id("next").click();
    }
    id("next").click();
  }
  const kept = Object.keys(localStorage).map((name) => JSON.parse(localStorage[name]));
  return { seen, kept, result: result() };
"""


@pytest.fixture(scope="module")
def driven(study: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("page")
    shutil.copy(study / "rater-02.html", folder)
    return drive(folder / "rater-02.html", DRIVE, width=500)


def test_what_a_rater_saves_is_what_is_read(driven: dict[str, Any], key: Key, tmp_path: Path) -> None:
    saved = driven["result"]
    (tmp_path / "answers.json").write_text(json.dumps(saved))
    found = read_answers(tmp_path, key)
    assert not found.refused
    # the script answers left, tie and right, whatever it is shown: the traps notice it
    assert list(found.dropped) == ["2"] or list(found.raters) == ["2"]
    assert all(list(given.values()) == ["left", "tie", "right"] for given in saved["answers"].values())
    assert saved["consent"] is True
    assert saved["started"] <= saved["ended"]


def test_the_page_leads_through_it(driven: dict[str, Any]) -> None:
    seen = driven["seen"]
    assert driven["faults"] == []
    assert seen["begin"] is True  # nothing begins without consent
    assert not seen["early"]  # and no pair is left without three answers
    assert seen["back"] == ["left", "tie", "right"]
    assert seen["wide"] <= 0
    assert seen["legends"][0].startswith("Which image shows ")
    assert driven["kept"] == [
        {name: driven["result"][name] for name in ("consent", "started", "ended", "answers")} | {"place": 19}
    ]


def test_the_page_as_sent_runs_under_its_own_policy(study: Path, tmp_path: Path) -> None:
    page = study / "rater-01.html"
    text = page.read_text(encoding="utf-8")
    script = re.findall("<script>(.*?)</script>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script[0].encode()).digest()).decode()
    assert len(script) == 1
    assert (
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
        in unescape(text)
    )
    dom, log = chromium(page.as_uri(), tmp_path / "profile")
    assert "CONSOLE" not in log
    assert re.search('id="start" disabled=""', dom)
