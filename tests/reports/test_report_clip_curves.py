"""Curves over the frames of clips, and the map of identities."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t

from fesbench.reports.boards import Board, make_boards, read_runs
from fesbench.reports.clip_curves import Band, band, clip_curves, panel, room
from fesbench.reports.identity_map import identity_map
from tests.reports.synthetic_clips import clip_requests, write_clip_runs
from tests.reports.synthetic_records import LABELS

PAIR = ("sequence", "in")
ORDER = ["real", "mr", "copy"]


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Board:
    requests = clip_requests(3, LABELS[:2], private=["a0222"])
    runs = write_clip_runs(tmp_path_factory.mktemp("curves") / "runs", requests)
    (found,) = make_boards(read_runs(runs)[0])
    return found


def test_a_band_is_students_over_subjects_means() -> None:
    lines = [("a", 0, 0.1), ("a", 0, 0.3), ("b", 0, 0.6), ("c", 0, 0.4), ("a", 1, 1.0), ("b", 1, np.nan)]
    found = band(pd.DataFrame(lines, columns=["identity", "frame", "v"]), "v")
    each = np.array([0.2, 0.6, 0.4])
    half = t.ppf(0.975, 2) * each.std(ddof=1) / np.sqrt(3)
    assert found.mean == pytest.approx([0.4, 1.0])
    assert found.low == pytest.approx([0.4 - half, np.nan], nan_ok=True)
    assert found.high == pytest.approx([0.4 + half, np.nan], nan_ok=True)


def test_every_row_stands_against_the_real_clips(board: Board) -> None:
    views = clip_curves(board, *PAIR, ORDER)
    assert [view.label for view in views] == ["all labels", *LABELS[:2]]
    for view in views:
        assert view.figures[1].title == "Landmark error (NME) in inter-ocular distances"
        for figure in view.figures:
            assert [(p.title, p.kind) for p in figure.panels] == [
                ("MR", "method"),
                ("Copy of the source", "reference"),
            ]
    drawn = views[0].figures[0].panels[0].figure
    assert re.findall(r'class="(\w+ \w+)" (?:d|points)', drawn) == [
        "band real",
        "mean real",
        "band own",
        "mean own",
        "mean true",
    ]
    assert "mean true" not in views[0].figures[1].panels[0].figure
    assert clip_curves(board, "motion-transfer", "in", ORDER) == []


def test_a_curve_goes_through_its_values_and_breaks_where_there_is_none() -> None:
    mean = np.array([0.0, 0.5, np.nan, 1.0, 2.0])
    drawn = panel(Band(mean, mean, mean), None, None, top=1.0, label="NME <over> time")
    (path,) = re.findall(r'class="mean own" d="([^"]+)"', drawn)
    # x runs from 30 to 192, y from 108 (0) up to 8 (1); what lies beyond the axis stays at its end
    assert path == "M30.0 108.0L70.5 58.0M151.5 8.0L192.0 8.0"
    assert "&lt;over&gt;" in drawn


def test_an_axis_has_room_for_bands_up_to_twice_the_largest_mean() -> None:
    mean, none = np.array([0.06, np.nan, 0.08]), np.full(3, np.nan)
    plain, wide = (Band(mean, none, np.array([0.07, np.nan, high])) for high in (0.12, 3.0))
    assert room([Band(mean / 2, none, none), plain]) == pytest.approx(1.05 * 0.12)
    assert room([wide]) == pytest.approx(1.05 * 0.16)
    assert room([Band(mean, none, none)]) == pytest.approx(1.05 * 0.08)


def test_the_map_holds_real_and_made_faces_of_who_may_be_shown(board: Board) -> None:
    found = identity_map(board, *PAIR, ORDER)
    assert found is not None
    assert [who for who, _ in found.subjects] == ["a0220", "a0221"]
    assert [p.title for p in found.panels] == ["MR", "Copy of the source"]
    assert found.share == pytest.approx(1)
    for part in found.panels:
        marks = re.findall(r'class="face (\w+) (who\d)"', part.figure)
        for look in ("real", "own"):
            assert sorted(marks).count((look, "who0")) == sorted(marks).count((look, "who1")) == 2
    assert identity_map(board, *PAIR, ["mr", "copy"]) is None


def test_the_map_keeps_distances(board: Board) -> None:
    found = identity_map(board, *PAIR, ORDER)
    assert found is not None
    circles = re.findall(r'class="face (\w+) who0" cx="([\d.]+)" cy="([\d.]+)"', found.panels[0].figure)
    squares = re.findall(r'class="face (\w+) who1" points="([\d.]+),([\d.]+)', found.panels[0].figure)
    assert len(circles) == len(squares) == 4
    real, own = (next(float(x) for look, x, _ in circles if look == kind) for kind in ("real", "own"))
    other = next(float(x) + 3.6 for look, x, _ in squares if look == "real")
    # faces lie along two axes at 1.1 (real) and 1.05 (made): the real ones are 1.1 sqrt(2) apart
    assert abs(real - own) / abs(real - other) == pytest.approx(0.05 / 2 / 1.1, abs=2e-3)
