"""`folder` by itself: the form that suits the number of subjects, and what is said of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from fesbench.cli.main import main
from fesbench.errors import DataError
from fesbench.progress import Reporter
from fesbench.protocol.forms import suitable
from fesbench.protocol.protocol import load_protocol
from fesbench.protocol.split import assignment, build_split, build_splits, rule_in_words
from tests.end_to_end import MINI
from tests.stores import shot, tiny_store


class Told(Reporter):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str, *, warning: bool = False) -> None:
        self.notes.append(text)


def people(root: Path, count: int) -> Path:
    for who in range(count):
        for label in ("neutral", "happy"):
            (root / label).mkdir(parents=True, exist_ok=True)
            (root / label / f"p{who:02d}_1.png").touch()
    return root


@pytest.mark.parametrize(
    ("count", "form"),
    [(3, "folder/loso"), (14, "folder/loso"), (15, "folder/5fold"), (39, "folder/5fold"), (40, "folder")],
)
def test_the_number_of_subjects_decides_and_is_said(tmp_path: Path, count: int, form: str) -> None:
    told = Told()
    assert suitable("folder", people(tmp_path, count), told) == form
    assert told.notes[0].startswith(f"folder: {count} subjects by name, so {form} is used")
    assert suitable("folder", {"": tmp_path}, told) == form
    assert suitable("folder", {"folder": tmp_path}, told) == form


def test_whoever_says_more_gets_what_was_said(tmp_path: Path) -> None:
    told, source = Told(), people(tmp_path, 5)
    assert suitable("folder@1", source, told) == "folder@1"
    assert suitable("jaffe", source, told) == "jaffe"
    assert suitable("folder", source, told, data="avatars") == "folder"
    assert suitable("folder", source, told, split=Path("mine.csv")) == "folder"
    assert told.notes == []


def test_a_folder_that_is_not_there_decides_nothing(tmp_path: Path) -> None:
    assert suitable("folder", tmp_path / "gone", Told()) == "folder"
    assert suitable("folder", None, Told()) == "folder"


def test_one_subject_is_left_out_at_a_time(tmp_path: Path) -> None:
    store = tiny_store(tmp_path / "few", [shot(who, "neutral") for who in ("c", "a", "b", "d")])
    rules = load_protocol("folder/loso")
    assert assignment(rules, store) == {"a": "0", "b": "1", "c": "2", "d": "3"}
    assert [sorted(split.test) for split in build_splits(rules, store)] == [["a"], ["b"], ["c"], ["d"]]
    second, last = (build_split(rules.folds()[fold], store) for fold in (1, 3))
    assert (sorted(second.validation), sorted(second.train)) == (["c"], ["a", "d"])
    assert sorted(last.validation) == ["a"]
    assert rule_in_words(rules.split) == "subjects by name, one a fold, each tested once"


def test_too_many_subjects_to_leave_out_one_by_one(tmp_path: Path) -> None:
    store = tiny_store(tmp_path / "many", [shot(f"p{k:02d}", "neutral") for k in range(21)])
    with pytest.raises(DataError, match=r"21 subjects would be as many trainings.*20 at the most.*5fold"):
        assignment(load_protocol("folder/loso"), store)


def test_an_empty_subset_names_the_forms_the_columns_and_the_template(tmp_path: Path) -> None:
    store = tiny_store(tmp_path / "few", [shot(who, "neutral") for who in ("a", "b", "c")])
    with pytest.raises(DataError) as caught:
        build_split(load_protocol("folder@1"), store)
    for part in (
        "subset of 'tiny' is empty with 3 subjects",
        "folder/5fold@1, folder/loso@1",
        "the columns identity and subset (train, validation, test)",
        "'fesbench protocols split folder --template' writes one",
    ):
        assert part in str(caught.value)


def test_the_template_is_a_split_that_can_be_given_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "split.csv"
    with pytest.raises(SystemExit):
        main(["protocols", "split", MINI, "--out", str(out), "--template"])
    assert "18 subjects written" in capsys.readouterr().out
    lines = out.read_text().splitlines()
    assert lines[0] == "identity,subset,images"
    subsets = [line.split(",")[1] for line in lines[1:]]
    assert [subsets.count(name) for name in ("train", "validation", "test")] == [12, 2, 4]
