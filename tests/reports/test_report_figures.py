from __future__ import annotations

import math
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fesbench.reports.colors import contrast, shade
from fesbench.reports.figures import (
    Change,
    Point,
    curve,
    dumbbells,
    pareto,
    scatter,
    ticks,
)
from fesbench.reports.label_layout import Box, place_labels

FRAME = Box(0, 0, 800, 500)


def test_ticks_are_round_and_inside() -> None:
    assert ticks(0, 1, 5) == [0, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert ticks(0.86, 1.0, 6) == [0.875, 0.9, 0.925, 0.95, 0.975, 1.0]
    assert ticks(3, 3) == [3]


def test_pareto_by_hand() -> None:
    a, b, c, d = (Point(n, x, y) for n, x, y in (("a", 1, 3), ("b", 2, 2), ("c", 1.5, 1.5), ("d", 3, 0)))
    assert [p.title for p in pareto([d, c, b, a])] == ["a", "b", "d"]
    assert [p.title for p in pareto([a, Point("a2", 1, 3)])] == ["a", "a2"]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(120, 660), st.integers(60, 440)), min_size=1, max_size=12, unique=True))
def test_labels_meet_neither_each_other_nor_a_marker(spots: list[tuple[int, int]]) -> None:
    points = [(float(x), float(y), f"method {i}") for i, (x, y) in enumerate(spots)]
    boxes = [box for box, _ in place_labels(points, FRAME)]
    for i, box in enumerate(boxes):
        assert FRAME.left <= box.left
        assert box.right <= FRAME.right
        assert not any(box.meets(other) for other in boxes[:i])
        assert not any(
            box.meets(Box(x - 6, y - 6, x + 6, y + 6)) for j, (x, y, _) in enumerate(points) if j != i
        )


def test_a_crowd_is_still_told_apart_with_leaders() -> None:
    points = [(400.0 + i, 250.0, f"crowded method {i}") for i in range(10)]
    placed = place_labels(points, FRAME)
    boxes = [box for box, _ in placed]
    assert not any(a.meets(b) for i, a in enumerate(boxes) for b in boxes[:i])
    assert any(leader is not None for _, leader in placed)


def test_scatter_is_xml_with_every_title_escaped() -> None:
    points = [Point("<b>&", 0.9, 0.5, 0.89, 0.91, 0.4, 0.6), Point("real", 0.93, 1.0, kind="reference")]
    root = ET.fromstring(scatter(points, chance=0.125, x_title="FSS", y_title="ECS"))
    texts = [node.text for node in root.iter("text")]
    assert "<b>&" in texts
    assert "chance 12.5 %" in texts
    assert len(list(root.iter("circle"))) == 1
    assert len([r for r in root.iter("rect") if "reference" in r.get("class", "")]) == 1


def test_scatter_of_equal_points_does_not_divide_by_zero() -> None:
    points = [Point("a", 1, 0.5), Point("b", 1, 0.5)]
    root = ET.fromstring(scatter(points, chance=None, x_title="x", y_title="y"))
    assert len(list(root.iter("circle"))) == 2


def test_a_curve_breaks_where_the_loss_was_not_finite() -> None:
    path = ET.fromstring(curve([0, 1, 2, 3], [1.0, math.nan, 2.0, 3.0], name="<g>")).find("path")
    assert path is not None
    assert path.get("d", "").count("M") == 2
    assert "no finite value" in curve([0, 1], [math.nan, math.inf], name="g")


def test_a_long_curve_is_thinned_and_keeps_its_end() -> None:
    path = ET.fromstring(curve(list(range(5000)), [float(i) for i in range(5000)], name="g")).find("path")
    assert path is not None
    d = path.get("d", "")
    assert 100 < d.count("L") < 200
    assert d.endswith("165.0 3.0")


def test_dumbbells_draw_a_pair_for_each_style() -> None:
    rows = [Change("a<", False, [(0.9, 0.4), None]), Change("real", True, [(1.0, 1.0), (1.0, 0.9)])]
    root = ET.fromstring(dumbbells(rows, ["statue", "wild"], title="ECS"))
    assert len([c for c in root.iter("circle") if "hollow" in c.get("class", "")]) == 3


@pytest.mark.parametrize("share", [i / 50 for i in range(51)])
def test_heat_text_is_legible_in_both_themes(share: float) -> None:
    colors = shade(share)
    assert contrast(colors.light, colors.light_text) >= 4.5
    assert contrast(colors.dark, colors.dark_text) >= 4.5


def test_heat_is_monotone_in_lightness() -> None:
    light = [contrast(shade(i / 20).light, "#000000") for i in range(21)]
    dark = [contrast(shade(i / 20).dark, "#000000") for i in range(21)]
    assert light == sorted(light, reverse=True)
    assert dark == sorted(dark)
