from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fesbench.data.layouts.base import Request, laid
from fesbench.data.layouts.images import cast, in_frame, seen_from, write_junk
from fesbench.errors import DataError


def test_a_frame_keeps_the_image_and_goes_on_around_it() -> None:
    face = np.arange(4 * 4 * 3, dtype=np.uint8).reshape(4, 4, 3)
    frame = in_frame(face, 8, 7)
    assert frame.shape == (7, 8, 3)
    assert np.array_equal(frame[1:5, 2:6], face)
    assert (frame[0] == face[0, 0]).all()
    assert (frame[6, 2:6] == face[3]).all()
    assert (frame[1:5, :2] == face[:, :1]).all()


def test_views_from_the_side() -> None:
    face = np.full((40, 40, 3), 200, np.uint8)
    face[:, 10:30] = 100
    assert seen_from(face, 0) is face
    half, full, mirrored = (seen_from(face, degrees)[20, :, 0].astype(int) for degrees in (45, 90, -90))
    # the far side is darker, the more the farther the face is turned
    assert abs(half[0] - 200) <= 1
    assert abs(half[39] - 200 * (1 - 0.45 / 2)) < 1.5
    assert abs(full[39] - 200 * 0.55) < 1.5
    assert np.abs(mirrored[::-1] - full).max() <= 1
    # half of the width was darker; the whole is squeezed to 1 - 0.75 / 4 and to 1 - 0.75
    lit = np.linspace(1, 1 - 0.45 / 2, 40), np.linspace(1, 0.55, 40)
    assert np.isclose((half / lit[0] < 150).sum(), 20 * (1 - 0.75 / 4), atol=1)
    assert np.isclose((full / lit[1] < 150).sum(), 20 * 0.25, atol=1)


def test_the_cast_takes_avatars_whose_sex_fits() -> None:
    from fesbench.data.avatars import attributes

    chosen = cast({"female": ("a", "b"), "male": ("x", "y")}, 4, 0)
    assert sorted(name for _, name in chosen) == ["a", "b", "x", "y"]
    assert [who for who, _ in chosen] == sorted({who for who, _ in chosen})
    for who, name in chosen:
        assert (attributes(who)["sex"] == "female") == (name in "ab")
    with pytest.raises(DataError, match="holds 1 to 4 subjects, not 5"):
        cast({"female": ("a", "b"), "male": ("x", "y")}, 5, 0)


def test_the_usual_generation_size_and_number_are_asked_where_nobody_says(tmp_path: Path) -> None:
    asked: list[Request] = []
    write = laid(identities=3, size=100, sizes=(64, 200), generations=("a", "b"))(asked.append)
    assert write(tmp_path / "x") == tmp_path / "x"
    write(tmp_path / "x", generation="b", identities=1, size=64, seed=5)
    told = [(one.generation, one.identities, one.size, one.seed) for one in asked]
    assert told == [("a", 3, 100, 0), ("b", 1, 64, 5)]
    with pytest.raises(DataError, match="needs 1 subject or more, not 0"):
        write(tmp_path / "x", identities=0)
    assert len(asked) == 2


def test_junk_is_what_desktops_leave(tmp_path: Path) -> None:
    write_junk(tmp_path / "x")
    assert (tmp_path / "x" / ".DS_Store").stat().st_size > 0
