from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fesbench.data.datasets import dataset
from fesbench.data.datasets.base import Count
from fesbench.data.datasets.emotionet_lists import Lists
from fesbench.data.datasets.listing import ListedPlan
from fesbench.data.layouts.workbooks import xlsx_bytes
from fesbench.errors import DataError, UnknownNameError
from fesbench.vocabulary import ACTION_UNITS

ADAPTER = dataset("emotionet")
AWS = "https://s3.us-east-2.amazonaws.com/emotionet/Images"
SERVER = "http://cbcsnas01.ece.ohio-state.edu/EmotioNet/Images"
HAND = "emotioNet_challenge_files_server_challenge_1.2_aws/dataFile_1000.txt"
MACHINE = "emotioNet_challenge_files_server_challenge_1.2_aws/dataFile_1001.txt"

A = "N_0000000356/N_0000000356_00190.jpg"
B = "N_0000000356/N_0000000356_00277.jpg"
C = "N_0000001204/N_0000001204_00001.jpg"


def line(tail: str, codes: dict[int, int | str], *, site: str = AWS, absent: int = 0) -> list[str]:
    units = [str(codes.get(unit, absent)) for unit in range(1, 61)]
    return [f"{site}/{tail}", "http://farm5.example.com/1.jpg", *units]


def put(root: Path, *images: str, **lists: list[list[str]]) -> Path:
    for name in images:
        path = root / "Images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    for which, lines in lists.items():
        path = root / {"hand": HAND, "machine": MACHINE}[which]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join("\t".join(cells) + "\n" for cells in lines))
    return root


def plan(root: Path, **options: object) -> ListedPlan:
    found = ADAPTER.plan(root, ADAPTER.check_options(options), 128)
    assert isinstance(found, ListedPlan)
    return found


def images(found: ListedPlan) -> list[str]:
    return [image.row["image"] for image in found.images]


def units(found: ListedPlan, image: str) -> dict[int, float]:
    (vector,) = [p.action_units for p in found.images if p.row["image"] == image]
    assert vector is not None
    return dict(zip(ACTION_UNITS, vector.tolist(), strict=True))


def notes(found: ListedPlan) -> str:
    return "\n".join(found.facts.notes)


def test_a_real_list_gives_every_column(tmp_path: Path) -> None:
    root = put(
        tmp_path / "above",
        A,
        C,
        hand=[line(C, {12: 1, 25: 1}), line(A, {1: 1, 4: 1, 43: 999}), line(B, {6: 1})],
    )
    found = plan(root)
    assert [dict(image.row) for image in found.images] == [
        {"image": name, "identity": f"?{name}", "expression": "", "part": "", "publishable": False}
        for name in (A, C)
    ]
    assert {u for u, value in units(found, C).items() if value == 1} == {12, 25}
    first = units(found, A)
    assert {u for u, value in first.items() if value == 1} == {1, 4}
    assert np.isnan(first[43])
    assert sum(value == 0 for value in first.values()) == len(ACTION_UNITS) - 3
    assert found.facts.counts == (Count("listed images", 2, 3),)
    assert "1 of 3 listed images are not here" in notes(found)
    assert images(plan(root.parent)) == [A, C]
    assert not ADAPTER.identities_known


def test_999_is_masked_and_not_taken_for_absent(tmp_path: Path) -> None:
    found = plan(put(tmp_path, A, hand=[line(A, {2: 0, 5: 1, 9: ""}, absent=999)]))
    known = {unit: value for unit, value in units(found, A).items() if not np.isnan(value)}
    assert known == {2: 0.0, 5: 1.0}


def test_both_generations_of_links_and_flat_folders(tmp_path: Path) -> None:
    put(tmp_path, hand=[line(A, {1: 1}, site=SERVER), line(C, {2: 1})])
    (tmp_path / "imgs").mkdir()
    for name in (A, C):
        (tmp_path / "imgs" / Path(name).name).touch()
    assert images(plan(tmp_path)) == [A, C]


def test_the_same_list_in_both_generations_is_one(tmp_path: Path) -> None:
    put(tmp_path, A, B, hand=[line(A, {1: 1}), line(B, {2: 1})])
    older = tmp_path / "emotioNet_challenge_files_server_challenge_1.2" / "dataFile_1000.txt"
    older.parent.mkdir()
    older.write_text("\t".join(line(A, {1: 1}, site=SERVER)) + "\n")
    found = plan(tmp_path)
    assert images(found) == [A, B]
    assert found.facts.counts == (Count("listed images", 2, 2),)
    assert "1 lines repeat an image" in notes(found)
    assert "other codes" not in notes(found)


def test_hand_coded_lines_come_first_and_sides_are_named(tmp_path: Path) -> None:
    put(tmp_path, A, B, machine=[line(A, {12: 1}), line(B, {12: 1})], hand=[line(A, {4: 1})])
    by_hand, every = plan(tmp_path), plan(tmp_path, coded="all")
    assert images(by_hand) == [A]
    assert f"1 lists are left out by option coded = 'hand': {MACHINE}" in notes(by_hand)
    assert "1 images have no line" in notes(by_hand)
    assert [(p.row["image"], p.row["part"]) for p in every.images] == [(A, "validation"), (B, "train")]
    assert units(every, A)[4] == 1
    assert units(every, A)[12] == 0
    assert "1 of the repeated lines have other codes" in notes(every)
    assert by_hand.fingerprint != every.fingerprint


def test_lists_that_only_a_machine_coded_have_to_be_asked_for(tmp_path: Path) -> None:
    put(tmp_path, A, machine=[line(A, {12: 1})])
    with pytest.raises(DataError, match=r"holds no dataFile_1000\.txt.*coded = \"all\""):
        plan(tmp_path)
    assert images(plan(tmp_path, coded="all")) == [A]


def test_lines_that_are_not_understood_are_named(tmp_path: Path) -> None:
    lines = [
        line(A, {1: 1}),
        line(B, {1: 2}),
        line(B, {1: "x"}),
        line(B, {1: 1})[:40],
        [*line(B, {}), "1"],
        ["http://elsewhere.org/cat.jpg", "", *["0"] * 60],
        [*line(C, {51: 1, 2: 1}), ""],
    ]
    found = plan(put(tmp_path, A, B, C, hand=lines))
    assert images(found) == [A, C]
    assert found.facts.not_understood.count == 5
    assert found.facts.not_understood.first == tuple(f"dataFile_1000.txt:{k}" for k in range(2, 7))
    assert "1 images have no line that is understood" in notes(found)
    assert "1 codes of action units outside the vocabulary" in notes(found)


@pytest.mark.parametrize("kind", ["xlsx", "csv"])
def test_workbooks_with_quoted_links_and_a_head(tmp_path: Path, kind: str) -> None:
    put(tmp_path, A, B, C)
    head = ["URL", "URL orig", *(f"'AU {unit}'" for unit in range(1, 61))]
    rows = [[f"'{cells[0]}'", f"'{cells[1]}'", *cells[2:]] for cells in (line(A, {1: 1}), line(B, {60: 1}))]
    path = tmp_path / f"EmotioNet_FACS_aws_2020_24600.{kind}"
    if kind == "csv":
        path.write_text("\n".join(",".join(row) for row in (head, *rows)) + "\n")
    else:
        numbers = [[*row[:2], *map(float, row[2:])] for row in rows]
        path.write_bytes(xlsx_bytes({"Sheet1": [head, numbers[0]], "Sheet2": [head, numbers[1]]}))
    found = plan(tmp_path)
    assert images(found) == [A, B]
    assert units(found, A)[1] == 1
    assert found.facts.not_understood.count == 0
    assert "1 codes of action units outside the vocabulary" in notes(found)


def test_a_head_says_where_the_units_stand(tmp_path: Path) -> None:
    path = tmp_path / "EmotioNet_FACS_aws_mine.csv"
    path.write_text(f"URL,URL orig,AU12,AU4\n{AWS}/{A},x,1,999\n")
    lists = Lists()
    lists.read(path, {Path(A).name.lower()}, by_hand=False)
    vector = lists.coded[Path(A).name.lower()].action_units
    assert vector[ACTION_UNITS.index(12)] == 1
    assert np.isnan(vector).sum() == len(ACTION_UNITS) - 1


def test_a_pickle_is_never_opened(tmp_path: Path) -> None:
    put(tmp_path, A, hand=[line(A, {1: 1})])
    (tmp_path / "aus_openface.pkl").write_bytes(b"cos\nsystem\n(S'touch opened'\ntR.")
    (tmp_path / "train_ids.csv").touch()
    found = plan(tmp_path)
    assert "aus_openface.pkl (GANimation's form) is not opened" in notes(found)
    assert found.facts.not_understood.count == 0


def test_folders_that_do_not_do(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no list of EmotioNet"):
        plan(put(tmp_path, A))
    with pytest.raises(DataError, match=r"none of its 1 images is in dataFile_1000\.txt"):
        plan(put(tmp_path, hand=[line(B, {1: 1})]))
    (tmp_path / "Images" / A).unlink()
    with pytest.raises(DataError, match=r"no image .*download the links of dataFile_1000\.txt"):
        plan(tmp_path)
    with pytest.raises(DataError, match="fesbench data prepare emotionet --from DIR"):
        ADAPTER.plan(None, ADAPTER.check_options({}), 128)
    with pytest.raises(DataError, match="'hand' or 'all'"):
        ADAPTER.check_options({"coded": "machine"})
    with pytest.raises(UnknownNameError):
        ADAPTER.check_options({"list": 1})
    for name in ("Images", "other"):
        path = tmp_path / name / A
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    with pytest.raises(DataError, match="the same image"):
        plan(tmp_path)
