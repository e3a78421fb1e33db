"""``fesbench curve``: points logged over all phases, a card's, a checkpoint's; a picture and a table."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from fesbench.cli.main import main
from fesbench.errors import RecordError
from fesbench.methods.registry import load_method
from fesbench.progress import Reporter
from fesbench.protocol import protocol
from fesbench.records.record import Cell, Record
from fesbench.reports.learning_curves import LearningCurve, Look, draw
from fesbench.runs.curves import curves_of
from fesbench.runs.plan import RunOptions, run
from tests.end_to_end import PIXELS, find_records

SVG = "{http://www.w3.org/2000/svg}"


def cell(method: str, **changes: object) -> Cell:
    kept = {
        "method": method,
        "protocol": "avatars@1+size=64",
        "protocol_hash": "0" * 64,
        "data": "avatars",
        "data_fingerprint": "0" * 64,
        "preset": "tiny",
        "budget": "smoke",
        "seed": 0,
    }
    return Cell(**{**kept, **changes})  # type: ignore[arg-type]


def write(runs: Path, record: Record, *rows: tuple[str, int, str, float]) -> Path:
    folder = runs / record.cell.folder
    record.save(folder)
    if rows:
        lines = ["phase,step,name,value", *(",".join(map(str, row)) for row in rows)]
        (folder / "validation.csv").write_text("\n".join(lines) + "\n")
    return folder


class Notes(Reporter):
    def __init__(self) -> None:
        self.said: list[str] = []

    def note(self, text: str, *, warning: bool = False) -> None:
        self.said.append(text)


def test_steps_are_counted_over_all_phases(tmp_path: Path) -> None:
    record = Record(
        cell=cell("reggan"), card={"title": "RegGAN"}, steps={"fit": 1, "refine": 200, "last": 100}
    )
    rows = [("refine", 112, "ECS", 0.25), ("refine", 112, "Rank-1", 1.0), ("last", 100, "ECS", 0.5)]
    write(tmp_path, record, *rows)
    (curve,) = curves_of(tmp_path, Reporter())
    assert (curve.title, curve.origin, curve.phases) == ("RegGAN", "logged", (1, 201))
    assert [(look.step, look.scores) for look in curve.looks] == [
        (113, {"ECS": 0.25, "Rank-1": 1.0}),
        (301, {"ECS": 0.5}),
    ]


def test_a_training_that_goes_on_is_drawn_as_far_as_it_is(tmp_path: Path) -> None:
    write(
        tmp_path,
        Record(cell=cell("gan")),
        ("one", 10, "ECS", 0.1),
        ("one", 20, "ECS", 0.2),
        ("two", 5, "ECS", 0.3),
    )
    (curve,) = curves_of(tmp_path, Reporter())
    assert [look.step for look in curve.looks] == [10, 20, 25]


def test_loaded_weights_have_the_point_of_their_card_and_references_none(tmp_path: Path) -> None:
    zoo = {"steps": {"adversarial": 6000}, "validation": {"images": 140, "ECS": 0.5, "Target-cosine": 0.25}}
    write(tmp_path, Record(cell=cell("stargan@zoo"), loaded={"zoo": zoo}))
    write(tmp_path, Record(cell=cell("copy"), card={"reference": True}), ("one", 1, "ECS", 0.1))
    write(tmp_path, Record(cell=cell("mine"), loaded={"file": "x"}))
    (curve,) = curves_of(tmp_path, Reporter())
    assert (curve.title, curve.origin) == ("stargan@zoo", "zoo")
    assert [(look.step, look.scores["ECS"]) for look in curve.looks] == [(6000, 0.5)]


def test_trainings_of_one_title_are_told_apart_by_what_differs(tmp_path: Path) -> None:
    for changes in ({}, {"seed": 1}, {"budget": "short"}):
        write(tmp_path, Record(cell=cell("gan", **changes)), ("one", 10, "ECS", 0.1))
    write(tmp_path, Record(cell=cell("other")), ("one", 10, "ECS", 0.1))
    titles = {curve.title for curve in curves_of(tmp_path, Reporter())}
    assert titles == {"gan, smoke, seed 0", "gan, smoke, seed 1", "gan, short, seed 0", "other"}


def test_a_folder_without_trainings_and_a_damaged_log_are_named(tmp_path: Path) -> None:
    folder = write(tmp_path, Record(cell=cell("copy"), card={"reference": True}))
    with pytest.raises(RecordError, match=r"nothing below .* was trained"):
        curves_of(tmp_path, Reporter())
    write(tmp_path, Record(cell=cell("gan")))
    (folder.parents[1] / "gan-tiny-smoke" / "0" / "validation.csv").write_text("step,value\n1,2\n")
    with pytest.raises(RecordError, match="lacks the columns name, phase"):
        curves_of(tmp_path, Reporter())


def test_the_picture_has_a_panel_a_training_with_a_line_a_score() -> None:
    looks = tuple(
        Look(10 * k, {"ECS": k / 8, "Target-cosine": -0.3 + k / 8, "images": 35}) for k in range(1, 9)
    )
    once = LearningCurve("A <b> & 'c'", (Look(6000, {"ECS": 1.0}),), "zoo")
    text = draw([LearningCurve("StarGAN", looks, phases=(40,)), once])
    root = ElementTree.fromstring(text)
    first, second = root.findall(f"{SVG}g")
    assert first.findall(f"{SVG}text")[0].text == "StarGAN"
    assert second.findall(f"{SVG}text")[0].text == "A <b> & 'c'"
    lines = [p.get("d", "") for p in first.findall(f"{SVG}path") if p.get("stroke")]
    assert [line.count("L") for line in lines] == [7, 7]  # ECS and Target-cosine, eight points each
    assert not [p for p in second.findall(f"{SVG}path") if p.get("stroke")]
    assert len(second.findall(f"{SVG}circle")) == 1
    # ECS rises to 1, which is the top of the panel; the lowest value lies inside
    places = [tuple(map(float, place.split())) for place in lines[0][1:].split("L")]
    assert places[-1][1] == min(y for _, y in places) == 24
    assert all(24 <= float(p.split()[1]) <= 128 for p in lines[1][1:].split("L"))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory):
    """A runs folder with one short training, under a protocol that is installed here."""
    place = tmp_path_factory.mktemp("curves")
    kind, known = load_method("stargan"), protocol.protocol_files()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FESBENCH_HOME", str(place / "home"))
        patch.setitem(kind.presets, "tiny", replace(kind.presets["tiny"], width=4, blocks=1, start_steps=0))
        patch.setattr(protocol, "protocol_files", lambda: {**known, "pixels@1": Path(PIXELS)})
        told = RunOptions("stargan", "pixels", preset="tiny", budget="steps=4", size=32, device="cpu")
        run(replace(told, out=place / "runs", train="always", report=False))
        yield place / "runs"


def test_a_checkpoint_is_scored_as_its_training_scored_itself(trained: Path) -> None:
    (logged,) = curves_of(trained, Reporter())
    assert [look.step for look in logged.looks] == [10, 20]
    folder = next(path for path, record in find_records(trained) if record.cell.method == "stargan")
    kept = (folder / "validation.csv").read_bytes()
    (folder / "validation.csv").unlink()
    try:
        (scored,) = curves_of(trained, Reporter())
        assert (scored.origin, len(scored.looks)) == ("checkpoint", 1)
        assert scored.looks[0].step == 20
        assert scored.looks[0].scores == pytest.approx(logged.looks[-1].scores, abs=1e-6)
        notes = Notes()
        (folder / "checkpoint.safetensors").write_bytes(b"damaged")
        with pytest.raises(RecordError, match="nothing is drawn"):
            curves_of(trained, notes)
        assert "StarGAN: its checkpoint cannot be scored here" in notes.said[-1]
    finally:
        (folder / "validation.csv").write_bytes(kept)


def test_the_verb_prints_a_table_and_writes_the_picture(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def leave(*arguments: str) -> int:
        with pytest.raises(SystemExit) as left:
            main(["curve", str(trained), *arguments])
        return int(left.value.code or 0)

    assert leave() == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[0].split() == ["training", "from", "step", "ECS", "Rank-1", "Target-cosine"]
    assert [line.split()[:3] for line in shown[1:3]] == [
        ["StarGAN", "logged", "10"],
        ["StarGAN", "logged", "20"],
    ]
    assert shown[1].split()[4] == "n/a"  # no face model measures here
    assert shown[3] == str(trained / "curves.svg")
    ElementTree.parse(trained / "curves.svg")
    assert leave("--json", "--out", str(tmp_path / "a.svg")) == 0
    points = json.loads(capsys.readouterr().out)
    assert [(p["step"], p["images"]) for p in points] == [(10, 21), (20, 21)]
    assert leave("--out", "a.png") == 2
    assert "must be named .svg" in capsys.readouterr().err


def test_help_has_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["curve", "--help"])
    assert "fesbench curve runs --out curves.svg" in " ".join(capsys.readouterr().out.split())
