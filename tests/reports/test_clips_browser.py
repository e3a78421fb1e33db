"""Clips in headless Chromium: they play, stop, and stand at one frame together."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from fesbench.reports.site import build
from tests.reports.browser import chromium, drive
from tests.reports.synthetic_clips import LENGTH, clip_requests, gray, write_clip_runs
from tests.reports.synthetic_records import LABELS

pytestmark = pytest.mark.browser

PARTS = """
  const player = document.querySelector(".player");
  const [button, slider, told] = ["button", "input", "output"].map((name) => player.querySelector(name));
  const place = (image) => getComputedStyle(image).objectPosition;
  const places = () => [...new Set([...player.querySelectorAll("img")].map(place))];
  const scrub = (frame) => { slider.value = frame; slider.dispatchEvent(new Event("input")); };
  const wait = async (ms) => { player.scrollIntoView({ behavior: "instant" }); await later(ms); };
"""
PLAY = f"""{PARTS}
  const result = {{ hidden: player.querySelector(".playback").hidden, start: slider.value }};
  result.button = button.textContent;
  result.frames = [];
  for (let i = 0; i < 55; i += 1) {{ await wait(50); result.frames.push(Number(slider.value)); }}
  result.place = [slider.value, ...places()];
  scrub(3);
  result.scrubbed = [slider.value, told.textContent, slider.getAttribute("aria-valuetext")];
  result.scrubbed.push(button.textContent, ...places());
  await wait(250);
  result.stays = slider.value;
  button.click();
  await wait(350);
  result.on = [button.textContent, Number(slider.value) !== 3];
  button.click();
  const stopped = slider.value;
  await wait(250);
  result.off = [button.textContent, slider.value === stopped];
  document.querySelector(".film").open = true;
  result.film = [...document.querySelectorAll(".film tbody tr")].map((row) =>
    [...row.querySelectorAll("img")].map(place));
  result.images = player.querySelectorAll("img").length;
  result.loaded = [...document.images].every((i) => i.complete && i.naturalWidth > 0);
  result.wide = document.documentElement.scrollWidth - innerWidth;
  return result;
"""
SHOW = f"{PARTS} scrub(4); document.body.replaceChildren(player); return {{}};"
QUIET = f"{PARTS} await wait(1500); return {{ frame: slider.value, button: button.textContent }};"

NARROW = """
  document.querySelector(".film").open = true;
  const strips = [...document.querySelectorAll(".film .scroll")];
  return { screen: innerWidth, hidden: strips.map((strip) => strip.scrollWidth - strip.clientWidth) };
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    runs = write_clip_runs(folder / "runs", clip_requests(2, LABELS[:2]))
    return build(runs, folder / "site")


@pytest.fixture(scope="module")
def played(page: Path) -> dict[str, Any]:
    return drive(page, PLAY)


def at(frame: int) -> str:
    return f"{100 * (frame - 1) / (LENGTH - 1):g}% 0px"


def test_it_plays_from_disk_under_the_pages_policy_without_a_fault(played: dict[str, Any]) -> None:
    assert played["faults"] == []
    assert played["hidden"] is False
    assert (played["start"], played["button"]) == (str(LENGTH), "pause")
    assert played["loaded"]
    assert played["wide"] <= 0


def test_the_frames_run_in_order_from_the_first_to_the_last(played: dict[str, Any]) -> None:
    frames = played["frames"]
    assert set(frames) == set(range(1, LENGTH + 1))
    steps = {b - a for a, b in itertools.pairwise(frames)}
    assert steps == {0, 1, 1 - LENGTH}


def test_all_clips_stand_at_the_one_frame(played: dict[str, Any]) -> None:
    assert played["images"] == 12
    frame, *places = played["place"]
    assert places == [at(int(frame))]
    assert played["scrubbed"] == ["3", f"3 of {LENGTH}", f"3 of {LENGTH}", "play", at(3)]
    assert played["stays"] == "3"
    assert played["on"] == ["pause", True]
    assert played["off"] == ["play", True]


def test_film_strips_stand_still_at_their_frames(played: dict[str, Any]) -> None:
    assert played["film"] == [[at(frame) for frame in range(1, LENGTH + 1)]] * 12


def test_film_strips_show_all_their_frames_on_a_narrow_screen(page: Path) -> None:
    found = drive(page, NARROW, width=500)
    assert found["screen"] <= 500
    assert found["hidden"] == [0] * 4


def test_the_frame_that_is_seen_is_the_one_that_is_told(page: Path, tmp_path: Path) -> None:
    drive(page, SHOW)
    shot = tmp_path / "shot.png"
    copy = page.with_name(f"driven-{page.name}").as_uri()
    chromium(copy, tmp_path / "profile", f"--screenshot={shot}")
    with Image.open(shot) as image:
        levels = {color for _, color in image.convert("RGB").getcolors(1 << 20)}
    for row in ("real", "copy", "mr"):
        assert any(max(abs(part - gray(row, 3)) for part in color) <= 2 for color in levels), row


def test_who_wants_less_motion_starts_it_himself(page: Path, tmp_path: Path) -> None:
    drive(page, QUIET)
    copy = page.with_name(f"driven-{page.name}").as_uri()
    dom, _ = chromium(copy, tmp_path / "profile", "--force-prefers-reduced-motion", "--dump-dom")
    assert f'{{"frame":"{LENGTH}","button":"play","faults":[]}}' in dom.replace("&quot;", '"')
