"""What a folder of images is found to answer, and the dry run that prints it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fesbench.cli.evaluate import show_submission
from fesbench.errors import DataError, UsageError
from fesbench.external.submission import Submission, read_submission

SIZE = 8
TABLE = pd.DataFrame(
    {
        "request": ["e_1", "e_2", "e_3", "t_1", "t_2"],
        "task": ["expression"] * 3 + ["transfer"] * 2,
        "domain": "in",
    }
)


def paint(path: Path, value: int = 7, size: tuple[int, int] = (SIZE, SIZE)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((*size, 3), value, np.uint8)).save(path)


def test_flat_names_and_folders_may_be_mixed(tmp_path: Path) -> None:
    paint(tmp_path / "e_1.png", 1)
    paint(tmp_path / "e_2" / "whatever it is.png", 2)
    paint(tmp_path / "e_3.png", 3)
    (tmp_path / ".hidden").write_text("not looked at")
    found = read_submission(tmp_path, TABLE, SIZE)
    assert found.fault() == ""
    assert list(found.chosen["request"]) == ["e_1", "e_2", "e_3"]
    assert found.stack()[:, 0, 0, 0].tolist() == [1, 2, 3]


def test_every_fault_is_listed_by_name(tmp_path: Path) -> None:
    paint(tmp_path / "e_1.png")
    paint(tmp_path / "e_2.png", size=(4, 6))
    (tmp_path / "e_3.png").write_bytes(b"no image")
    paint(tmp_path / "t_1" / "a.png")
    paint(tmp_path / "t_1" / "b.png")
    (tmp_path / "t_2").mkdir()
    paint(tmp_path / "odd.png")
    report = read_submission(tmp_path, TABLE, SIZE).report()
    assert report["wrong_size"] == {"e_2": "e_2.png is 6x4, the protocol wants 8x8"}
    assert list(report["unreadable"]) == ["e_3"]
    assert report["double"] == ["t_1"]
    assert report["missing"] == ["t_2"]
    assert report["extra"] == ["odd.png"]
    assert [(row["wanted"], row["present"]) for row in report["tasks"]] == [(3, 3), (2, 1)]


@pytest.mark.parametrize("other", ["e_1.jpg", "e_1/x.png"])
def test_two_files_for_a_request_are_refused(other: str, tmp_path: Path) -> None:
    paint(tmp_path / "e_1.png")
    paint(tmp_path / other)
    found = read_submission(tmp_path, TABLE, SIZE)
    assert found.double == ["e_1"]
    with pytest.raises(DataError, match="more than one file for e_1"):
        found.stack()


def test_the_files_are_gone_through_once_and_not_for_every_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paint(tmp_path / "r_7.png")
    names = [f"r_{number}" for number in range(100)]
    found = read_submission(
        tmp_path, pd.DataFrame({"request": names, "task": "expression", "domain": "in"}), SIZE
    )
    looks, given = [], Submission.given.fget
    monkeypatch.setattr(Submission, "given", property(lambda one: looks.append(1) or given(one)))
    assert found.missing == [name for name in names if name != "r_7"]
    assert len(looks) == 2


def test_another_kind_of_file_is_extra_and_its_request_missing(tmp_path: Path) -> None:
    paint(tmp_path / "e_1.png")
    paint(tmp_path / "e_2.jpg")
    found = read_submission(tmp_path, TABLE, SIZE)
    assert found.extra == ["e_2.jpg"]
    assert found.missing == ["e_2", "e_3"]


def test_identical_pictures_are_counted_and_no_fault(tmp_path: Path) -> None:
    for name in ("t_1", "t_2"):
        paint(tmp_path / f"{name}.png", 5)
    found = read_submission(tmp_path, TABLE, SIZE)
    assert (found.identical, found.fault()) == (1, "")


def test_shares_divide_every_task_that_is_answered_and_read_nothing_else(tmp_path: Path) -> None:
    for name in ("e_1", "e_3"):
        paint(tmp_path / f"{name}.png")
    (tmp_path / "e_2.png").write_bytes(b"no image")
    (tmp_path / "odd.txt").write_text("of no request")
    parts = [read_submission(tmp_path, TABLE, SIZE, (number, 3)) for number in (1, 2, 3)]
    assert [list(part.requests["request"]) for part in parts] == [["e_1"], ["e_2"], ["e_3"]]
    assert [part.fault() != "" for part in parts] == [False, True, False]
    for name in ("t_1", "t_2"):
        paint(tmp_path / f"{name}.png")
    parts = [read_submission(tmp_path, TABLE, SIZE, (number, 2)) for number in (1, 2)]
    assert [list(part.requests["request"]) for part in parts] == [["e_1", "t_1"], ["e_2", "e_3", "t_2"]]
    (tmp_path / "e_2.png").unlink()
    with pytest.raises(DataError, match=r"1 of 3 images are missing: e_2\.png"):
        read_submission(tmp_path, TABLE, SIZE, (2, 2)).stack()
    for folder in (tmp_path, tmp_path / "nothing"):
        folder.mkdir(exist_ok=True)
        assert read_submission(folder, TABLE, SIZE, (1, 9)).requests.empty


def test_an_empty_folder_and_none_at_all(tmp_path: Path) -> None:
    assert "holds none of the 5" in read_submission(tmp_path, TABLE, SIZE).fault()
    with pytest.raises(UsageError, match="is not a folder"):
        read_submission(tmp_path / "nowhere", TABLE, SIZE)


def test_the_dry_run_prints_the_names_and_leaves_with_a_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paint(tmp_path / "e_1.png")
    assert show_submission(read_submission(tmp_path, TABLE, SIZE), as_json=False) == 2
    shown = capsys.readouterr().out
    assert "missing: 2\n  e_2\n  e_3" in shown
    assert "not scored:" in shown
    for name in ("e_2", "e_3"):
        paint(tmp_path / f"{name}.png", 9)
    found = read_submission(tmp_path, TABLE, SIZE)
    assert show_submission(found, as_json=False) == 0
    assert "ready to be scored" in capsys.readouterr().out
    assert show_submission(found, as_json=True) == 0
    assert json.loads(capsys.readouterr().out)["fault"] == ""
