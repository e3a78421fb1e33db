"""What a budget buys: the page and the picture in the docs are those of the points that are checked in."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest

from fesbench.methods.registry import METHODS
from fesbench.reports.learning_curves import Look
from fesbench.runs.learning_page import (
    BAR,
    DATA,
    PAGE,
    PICTURE,
    Training,
    merged,
    page,
    picture,
    read_points,
    write_points,
)

TOLD = "run 'python -m fesbench.runs.learning_page' and commit docs/learning.md and docs/images/learning.svg"


@pytest.fixture(scope="module")
def known() -> list[Training]:
    return read_points(DATA)


def test_page_and_picture_in_the_docs_are_current_and_small(known: list[Training]) -> None:
    assert PAGE.read_text(encoding="utf-8") == page(known), TOLD
    assert PICTURE.read_text(encoding="utf-8") == picture(known), TOLD
    assert PICTURE.stat().st_size < 60_000


def test_every_measured_method_is_ours_and_has_a_row(known: list[Training]) -> None:
    text = page(known)
    for one in known:
        assert one.method in METHODS.declared
        assert text.count(f"| `{one.method}` | {one.budget}") == 1
        assert [look.step for look in one.looks] == sorted({look.step for look in one.looks})
        assert 1 <= len(one.looks) <= 8


def test_points_come_back_from_the_file_as_they_were(tmp_path: Path) -> None:
    looks = (Look(10, {"ECS": 0.125, "images": 35.0}), Look(20, {"ECS": 0.5, "Rank-1": 1.0, "images": 35.0}))
    told = [
        Training("stargan", "smoke", "avatars@1+size=64", "logged", looks),
        Training("stargan", "short", "avatars@1+size=64", "zoo", looks[1:]),
    ]
    write_points(told, tmp_path / "a.csv")
    assert read_points(tmp_path / "a.csv") == told
    with (tmp_path / "a.csv").open() as stream:
        assert [row["Rank-1"] for row in csv.DictReader(stream)] == ["", "1", "1"]


def test_what_was_measured_again_takes_the_place_of_what_was_known() -> None:
    def of(method: str, budget: str, step: int) -> Training:
        return Training(method, budget, "avatars@1+size=64", "logged", (Look(step, {"ECS": 0.5}),))

    known = [of("attgan", "smoke", 1), of("stargan", "short", 2), of("stargan", "smoke", 3)]
    new = [of("stargan", "short", 9), of("cgan", "smoke", 8)]
    assert merged(known, new) == [known[0], new[1], new[0], known[2]]
    dot = replace(of("stargan", "short", 5), origin="zoo")
    assert merged(known, [dot]) == known, "the zoo's dot is of the training whose curve is there"
    assert merged(known[::2], [dot]) == [known[0], dot, known[2]]


def test_learned_is_above_every_bar() -> None:
    def ended(**changes: float) -> Training:
        scores = {**BAR, **{name.replace("_", "-"): value for name, value in changes.items()}}
        return Training("stargan", "smoke", "avatars@1", "logged", (Look(10, {"images": 35.0, **scores}),))

    assert ended().learned
    for name in ("ECS", "Rank_1", "Target_cosine"):
        assert not ended(**{name: 0.1}).learned
    text = page([ended(ECS=0.1)])
    assert "| `stargan` | smoke | 10 | 0.10 | 0.50 | 0.20 | **not learned** |" in text
    assert "Not learned in `smoke`: `stargan` (ECS 0.10)." in text
