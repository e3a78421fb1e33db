from __future__ import annotations

import math

import pytest
import torch

from fesbench.methods.planes import PARSING, heat_maps, parsing_planes
from tests.factories import draw_face


def _face(size: int = 64, expression: str = "surprise") -> torch.Tensor:
    return torch.from_numpy(draw_face(0, expression, size)[1])[None]


def test_a_heat_map_is_a_gaussian_around_its_landmark() -> None:
    maps = heat_maps(torch.tensor([[[5.0, 9.0], [2.5, 0.0]]]), 28, 2.0)
    assert maps.shape == (1, 2, 28, 28)
    assert maps[0, 0, 9, 5] == 1
    assert maps[0, 0, 9, 7] == pytest.approx(math.exp(-0.5))
    assert maps[0, 0, 12, 5] == pytest.approx(math.exp(-9 / 8))
    assert maps[0, 1, 0, 2] == maps[0, 1, 0, 3] == pytest.approx(math.exp(-1 / 32))


def test_an_unknown_landmark_has_an_empty_map_and_leaves_the_others() -> None:
    marks = torch.tensor([[[5.0, 9.0], [math.nan, 3.0]]])
    maps = heat_maps(marks, 28, 2.0)
    assert not maps[0, 1].any()
    assert maps[0, 0].max() == 1


def test_each_pixel_is_in_one_part_and_outlines_are_filled() -> None:
    # the nose is a triangle with corners (10, 4), (6, 12) and (14, 12); everything else is one far point
    marks = torch.full((1, 68, 2), -50.0)
    marks[0, 27] = torch.tensor([10.0, 4.0])
    marks[0, 31:36] = torch.stack([torch.tensor([6.0, 8.0, 10.0, 12.0, 14.0]), torch.full((5,), 12.0)], dim=1)
    nose = parsing_planes(marks, 28)[0, PARSING.index("nose")]
    # at row y the triangle spans 10 - (y - 4) / 2 to 10 + (y - 4) / 2
    assert nose[8].nonzero().flatten().tolist() == [8, 9, 10, 11]
    assert nose[11].nonzero().flatten().tolist() == [7, 8, 9, 10, 11, 12, 13]
    assert not nose[3].any()
    assert not nose[12].any()


@pytest.mark.parametrize("size", [28, 64, 256])
def test_a_face_has_every_part_at_its_place_at_every_size(size: int) -> None:
    marks = _face(size)
    planes = parsing_planes(marks, size)
    assert torch.equal(planes.sum(dim=1), torch.ones(1, size, size))
    assert (planes.sum(dim=(0, 2, 3)) > 0).all()
    inside = {"left_eye": range(36, 42), "right_eye": range(42, 48), "mouth": range(60, 68)}
    for name, members in inside.items():
        x, y = marks[0, list(members)].mean(dim=0).round().long().tolist()
        assert planes[0, PARSING.index(name), y, x] == 1
    for name, middle in {"left_brow": 19, "right_brow": 24}.items():
        x, y = marks[0, middle].round().long().tolist()
        assert planes[0, PARSING.index(name), y, x] == 1
    assert planes[0, 0, 0, 0] == 1


def test_the_mouth_opens_with_the_lips() -> None:
    closed, opened = (
        parsing_planes(_face(64, name), 64)[0, PARSING.index("mouth")].sum()
        for name in ("neutral", "surprise")
    )
    assert opened > 2 * closed


def test_planes_of_a_face_do_not_depend_on_the_batch_and_unknown_faces_are_empty() -> None:
    unknown = _face()
    unknown[0, 3, 0] = torch.nan
    batch = torch.cat([_face(expression="happiness"), unknown, _face()])
    planes = parsing_planes(batch, 64)
    assert torch.equal(planes[2:], parsing_planes(_face(), 64))
    assert not planes[1].any()
    assert torch.equal(heat_maps(batch, 64, 2.0)[2:], heat_maps(_face(), 64, 2.0))
