"""The verbs about data sets, on a few avatars in CK+'s layout and on tiny folders."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fesbench.cli.data import parse_options
from fesbench.cli.main import main
from fesbench.data.datasets import dataset, described
from fesbench.data.layouts.ckplus import write
from fesbench.errors import LeakageError, UnknownNameError, UsageError
from fesbench.protocol.preparation import rules_for, uses


def leave(*arguments: str) -> int:
    with pytest.raises(SystemExit) as caught:
        main(list(arguments))
    return int(caught.value.code or 0)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("ck") / "data", identities=6, frames=6, size=64)


@pytest.fixture
def copy(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path / "CK+")
    return tmp_path / "CK+"


def prepared(copy: Path, capsys: pytest.CaptureFixture[str], *more: str) -> dict[str, Any]:
    assert leave("data", "prepare", "ck+", "--from", str(copy), "--size", "48", "--json", *more) == 0
    return json.loads(capsys.readouterr().out)


def test_prepare_tells_found_missing_reasons_and_where_to_look(
    copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torn = sorted(copy.glob("cohn-kanade-images/S005/001/*.png"))[0]
    torn.write_bytes(b"")
    (copy / "odd.xyz").write_text("?")
    assert leave("data", "prepare", "ck+", "--from", str(copy), "--size", "48") == 0
    told = capsys.readouterr().out
    words = " ".join(told.split())
    assert "subjects 6 123 missing" in words
    assert "this copy is partial" in words
    assert "1 images could not be used" in words
    assert "no readable image 1" in words
    assert f"S005/001/{torn.name}: " in words
    assert "1 files not understood, such as odd.xyz" in words
    assert "aligned by dlib68-128@1" in words
    assert "nobody" not in words
    assert "no subject, file or image stands in two subsets of ck+@1" in words
    sheets = [line for line in told.splitlines() if line.endswith(".png") and line.startswith("/")]
    assert [Path(line).name for line in sheets] == ["contact-sheet.png", "failures.png"]
    assert all(Path(line).is_file() for line in sheets)


def test_two_copies_of_the_same_files_say_so(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = prepared(copy, capsys)
    other = prepared(copy.rename(copy.with_name("elsewhere")), capsys, "--workers", "1")
    assert (first["files"], first["fingerprint"]) == (other["files"], other["fingerprint"])
    gray = prepared(copy.with_name("elsewhere"), capsys, "--alignment", "dlib68-128-gray@1")
    assert gray["files"] == first["files"]
    assert gray["fingerprint"] != first["fingerprint"]
    assert gray["alignment"] == "dlib68-128-gray@1"


def test_options_reach_the_adapter(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert prepared(copy, capsys, "--option", "frames=1")["options"] == {"frames": 1, "landmarks": "files"}
    assert leave("data", "prepare", "ck+", "--from", str(copy), "--option", "frames") == 2
    assert "must have the form key=value" in capsys.readouterr().err
    assert leave("data", "prepare", "ck+", "--from", str(copy), "--option", "frame=1") == 2
    assert "Did you mean frames" in capsys.readouterr().err


def test_a_leak_is_an_error_with_the_pairs(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from fesbench.context.build import open_store
    from fesbench.progress import Reporter
    from fesbench.protocol.protocol import load_protocol
    from fesbench.protocol.split import build_split

    protocol = load_protocol("ck+").with_overrides(size=48)
    store = open_store(protocol, copy, Reporter())
    split = build_split(protocol, store)
    one, other = sorted(split.train)[0], sorted(split.test)[0]
    source = sorted(copy.glob(f"cohn-kanade-images/{one}/*/*.png"))[0]
    landmarks = sorted(copy.glob(f"Landmarks/{one}/*/*.txt"))[0]
    shutil.copy(source, sorted(copy.glob(f"cohn-kanade-images/{other}/*/*.png"))[0])
    shutil.copy(landmarks, sorted(copy.glob(f"Landmarks/{other}/*/*.txt"))[0])
    assert leave("data", "prepare", "ck+", "--from", str(copy), "--size", "48") == 2
    told = capsys.readouterr()
    assert "images of ck+" in told.out
    assert "leak between the subsets" in told.err
    assert source.name in told.err
    assert "same file" in told.err


def test_show_counts_and_names_duplicates_and_protocols(
    copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert leave("data", "show", "ck+") == 2
    assert "has not been prepared here" in capsys.readouterr().err
    prepared(copy, capsys)
    assert leave("data", "show", "ck+", "--size", "48", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert sum(n["images"] for n in found["expressions"].values()) == found["images"]
    assert found["expressions"]["neutral"]["identities"] == found["identities"]["identities"] == 6
    assert sum(found["identities"]["images"].values()) == found["images"]
    assert found["duplicates"]["by_file"] == 0
    assert found["protocols"]["ck+@1"] == "data"
    assert Path(found["sheet"]).is_file()
    assert leave("data", "show", "ck+", "--size", "48", "--option", "frames=1", "--json") == 0
    assert json.loads(capsys.readouterr().out)["images"] < found["images"]
    assert leave("data", "show", "ck+", "--size", "48") == 0
    told = capsys.readouterr().out
    assert f"{found['images']} images of 6 subjects" in told
    assert "ck+@1 (data)" in told


def test_show_without_options_is_of_what_was_prepared_last(
    copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = prepared(copy, capsys)["fingerprint"]
    assert leave("data", "prepare", "ck+", "--from", str(copy), "--size", "40") == 0
    capsys.readouterr()
    assert leave("data", "show", "ck+") == 0
    told = " ".join(capsys.readouterr().err.split())
    assert "ck+ as it was prepared last: 40 px, aligned by dlib68-128@1; 1 more in" in told
    assert leave("data", "show", "ck+", "--size", "48", "--json") == 0
    assert json.loads(capsys.readouterr().out)["fingerprint"] == first


def test_counts_without_identities_speak_of_no_subjects(capsys: pytest.CaptureFixture[str]) -> None:
    from fesbench.cli.data_tables import print_counts

    counts = {"images": 3, "expressions": {"fear": {"images": 3, "identities": 3}}, "identities_known": False}
    twice = {
        "by_file": 1,
        "by_image": 1,
        "groups": 1,
        "groups_of_several_identities": 1,
        "examples": [["a", "b"]],
    }
    print_counts({**counts, "part": {"train": 2, "test": 1}}, twice)
    told = capsys.readouterr().out
    assert "identities unknown, so a split can only go by image" in told
    assert "part: train 2, test 1" in told
    assert "a = b" in told
    assert "people" not in told
    assert "several identities" not in told


def test_verify_finds_the_damaged_store(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert leave("data", "verify", "ck+") == 2
    assert "nothing was prepared from 'ck+' here" in capsys.readouterr().err
    paths = [Path(prepared(copy, capsys, "--option", f"frames={n}")["path"]) for n in (1, 2)]
    assert leave("data", "verify", "ck+") == 0
    assert capsys.readouterr().out.split().count("good") == 2
    with open(paths[1] / "images.npy", "r+b") as stream:
        stream.seek(-5, 2)
        stream.write(b"\1\2")
    assert leave("data", "verify", "ck+", "--json") == 2
    told = capsys.readouterr()
    states = {row["path"]: row["state"] for row in json.loads(told.out)}
    assert states == {str(paths[0]): "good", str(paths[1]): "damaged"}
    assert f"delete {paths[1]}" in told.err


def test_make_writes_a_layout_that_prepare_reads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "made"
    arguments = ("data", "make", "avatars", "--out", str(out), "--layout", "ck+", "--identities", "1")
    assert leave(*arguments, "--size", "64", "--generation", "nested") == 0
    assert Path(capsys.readouterr().out.strip()) == out
    assert (out / "extended-cohn-kanade-images" / "cohn-kanade-images" / "S005").is_dir()
    assert leave(*arguments, "--generation", "third") == 2
    assert "one of plain, nested" in capsys.readouterr().err
    assert leave("data", "make", "avatars", "--out", str(out), "--generation", "nested") == 2
    assert "--generation goes with the --layout" in capsys.readouterr().err


def test_list_long_and_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert leave("data", "list", "--json") == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["ck+"]["serves"]
    assert rows["ck+"]["citation"].startswith("Lucey")
    assert leave("data", "list", "--long") == 0
    told = capsys.readouterr().out
    assert all(f"  license: {row['license']}" in told for row in rows.values())


def test_whose_rules_are_followed() -> None:
    own = rules_for("ck+")
    assert (own.size, own.alignment) == (128, "dlib68-128@1")
    assert own.protocol is not None
    assert own.protocol.id == "ck+"
    assert rules_for("ck+", size=64, alignment="mtcnn-112@1", options={"frames": 1}).options == {"frames": 1}
    stand_in = rules_for("avatars", protocol="ck+")
    assert (stand_in.alignment, stand_in.options["as_sequences"]) == ("none@1", True)
    with pytest.raises(UsageError, match="does not use data 'ck\\+'; it uses avatars"):
        rules_for("ck+", protocol="avatars")
    with pytest.raises(UnknownNameError):
        rules_for("ck")
    only = rules_for("fuse")
    assert only.protocol is not None
    assert (only.protocol.id, only.size, only.alignment) == ("fuse-28", 28, "none-gray@1")
    assert rules_for("kdef").protocol is None
    assert ("ck+@1", "stand-in") in uses("avatars")


def test_without_a_protocol_of_its_name_the_adapter_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    from fesbench.protocol import preparation

    monkeypatch.setattr(preparation, "protocol_files", lambda: {"avatars@1": None})
    found = rules_for("ck+")
    assert (found.size, found.alignment, dict(found.options)) == (128, dataset("ck+").alignment, {})
    assert found.protocol is None


def test_option_values_are_toml_where_they_can_be() -> None:
    given = ["a=1", "b=true", "c=[1, 2]", "d=labels.csv", "e=x=y", 'f="1"']
    assert parse_options(given) == {"a": 1, "b": True, "c": [1, 2], "d": "labels.csv", "e": "x=y", "f": "1"}


def test_a_leak_between_two_folds_is_found(tmp_path: Path) -> None:
    from fesbench.progress import Reporter
    from fesbench.protocol.preparation import Rules
    from fesbench.runs.leakage import check_subsets
    from tests.stores import protocol, shot, tiny_store

    rules = Rules(
        16, "none@1", {}, protocol(split={"rule": "names", "fold_names": [["a"], ["b"], ["c"], ["d"]]})
    )
    people = [shot(who, "neutral") for who in "abcd"]
    clean = tiny_store(tmp_path / "clean", people)
    assert "stands in two subsets" in check_subsets(clean, rules, False, Reporter())["said"][0]
    copied = tiny_store(tmp_path / "copied", [*people, {**shot("d", "fear"), "look": "a/neutral_.png"}])
    with pytest.raises(LeakageError, match="same image"):
        check_subsets(copied, rules, False, Reporter())


def test_the_nearest_faces_are_shown_when_asked(
    copy: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from fesbench.extractors import registry

    class Model:
        def available(self) -> str | None:
            return None

        def extract(self, images: np.ndarray, landmarks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            return images.mean(axis=(1, 2)), np.ones(len(images), bool)

        def close(self) -> None:
            closed.append(True)

    closed: list[bool] = []
    monkeypatch.setattr(registry, "extractor", lambda name: Model())
    found = prepared(copy, capsys, "--faces")
    assert closed == [True]
    assert found["faces"]
    assert all(pair["first_subset"] != pair["second_subset"] for pair in found["faces"])
    assert np.asarray(Image.open(Path(found["path"]) / "leakage.png")).ndim == 3


@pytest.mark.parametrize("name", [row["name"] for row in described() if dataset(row["name"]).needs_source])
def test_every_data_set_has_a_page_with_its_one_command(name: str) -> None:
    page = Path(__file__).parents[2] / "docs" / "data" / f"{name}.md"
    assert f"fesbench data prepare {name} --from DIR" in page.read_text(encoding="utf-8")
