"""Rows that go from one lab to another: what is packed, what is refused, what is made again."""

from __future__ import annotations

import hashlib
import json
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fesbench.cli.main import main
from fesbench.errors import DataError, UsageError
from fesbench.external import reproduce as module
from fesbench.external.intake import IMAGES, MANIFEST, RECORD, Package, open_package
from fesbench.external.pack import pack
from fesbench.external.reproduce import reproduce
from fesbench.records.record import Record, Score, load_record
from fesbench.reports.boards import make_boards, read_runs
from fesbench.reports.site import build
from fesbench.reports.tables import build_table
from tests.reports.synthetic_records import ROWS, write_runs

Files = dict[str, bytes]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = [row for row in ROWS if row.id in ("copy", "real", "mr")]
    return write_runs(tmp_path_factory.mktemp("runs"), identities=3, rows=rows, styles=False)


@pytest.fixture
def packed(runs: Path, tmp_path: Path) -> Path:
    pack(runs, tmp_path / "mr.zip", method="mr", name="lab-mr", trained_on="200 avatars")
    return tmp_path / "mr.zip"


def test_a_row_comes_out_as_it_went_in(packed: Path, runs: Path, tmp_path: Path) -> None:
    found = open_package(packed)
    assert (found.manifest.name, found.manifest.trained_on) == ("lab-mr", "200 avatars")
    assert found.record.cell.method == "mr"
    assert found.protocol.name == "avatars@1+size=64"
    assert found.sha256 == hashlib.sha256(packed.read_bytes()).hexdigest()
    found.unpack_images(tmp_path / "images")
    there = {path.name: path.read_bytes() for path in (tmp_path / "images").iterdir()}
    source = next(path for path in runs.rglob("images") if path.parent.parent.name.startswith("mr-"))
    assert there == {path.name: path.read_bytes() for path in source.iterdir()}
    assert len(there) == 3 * 7
    again = tmp_path / "again.zip"
    pack(runs, again, method="mr", name="lab-mr", trained_on="200 avatars")
    assert again.read_bytes() == packed.read_bytes()


def test_what_cannot_be_packed_is_refused(runs: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="even if it is 'unknown'"):
        pack(runs, tmp_path / "a.zip", method="mr", trained_on=" ")
    with pytest.raises(UsageError, match="becomes a folder"):
        pack(runs, tmp_path / "a.zip", method="mr", trained_on="x", name="../mr")


def rewritten(path: Path, change: Callable[[Files], object], *, honest: bool = True) -> Path:
    """The file with changed members; the manifest's hashes follow where ``honest``."""
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    change(files)
    if honest and MANIFEST in files:
        told = json.loads(files[MANIFEST])
        told["files"] = {n: hashlib.sha256(c).hexdigest() for n, c in files.items() if n != MANIFEST}
        files[MANIFEST] = json.dumps(told).encode()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def edited(change: Callable[[Any], object]) -> Callable[[Files], object]:
    def apply(files: Files) -> None:
        record = json.loads(files[RECORD])
        change(record)
        files[RECORD] = json.dumps(record).encode()

    return apply


def put(text: bytes) -> Callable[[Files], object]:
    return lambda files: files.update({RECORD: text})


def first_value(value: Any) -> Callable[[Any], object]:
    def apply(record: Any) -> None:
        next(score for score in record["scores"] if score["metric"] == "ECS")["value"] = value

    return apply


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda files: files.update({"../evil.png": b"x"}), "no part of a submission"),
        (lambda files: files.update({"images/..png": b"x"}), "no part of a submission"),
        (lambda files: files.update({"/etc/passwd": b"x"}), "no part of a submission"),
        (lambda files: files.update({"images/a/b.png": b"x"}), "no part of a submission"),
        (lambda files: files.update({"run.py": b"x"}), "no part of a submission"),
        (lambda files: files.pop(RECORD), "it lacks submission.json or record.json"),
        (lambda files: files.pop(MANIFEST), "it lacks submission.json or record.json"),
        (put(b"["), "record.json"),
        (put(b"[" * 100_000), "record.json"),
        (put(b'{"cell": NaN}'), "NaN is no number"),
        (put(b'{"cell": 1e400}'), "beyond all bounds"),
        (put(b" " * 32_000_001), "'record.json' is larger than 32 MB"),
        (edited(first_value(7.0)), "ECS 7.0 lies outside 0 to 1"),
        (edited(lambda r: r["cell"].update(method="../../x")), "names what is not here"),
        (edited(lambda r: r["cell"].update(data="a/b")), "names what is not here"),
        (edited(lambda r: r["cell"].update(data_fingerprint="../x")), "its data fingerprint is none"),
        (edited(lambda r: r["cell"].update(protocol="/tmp/x.toml@1")), "of a form that cannot be scored"),
        (edited(lambda r: r["cell"].update(protocol="avatars@1+split=x")), "of a form that cannot be scored"),
        (edited(lambda r: r["cell"].update(protocol="nothing@1")), "names what is not here"),
        (edited(lambda r: r["cell"].update(protocol_hash="0" * 64)), "has other rules"),
        (edited(lambda r: r.update(error="a\x1b[31mb")), "control characters"),
        (edited(lambda r: r.update(error="a\u202eb")), "control characters"),
        (edited(lambda r: r.update(error="a\u200fb")), "control characters"),
        (edited(lambda r: r.update(error="a\ud800b")), "control characters"),
        (edited(lambda r: r["cell"].update(protocol="avatars@1.toml")), "names no installed version"),
        (edited(lambda r: r.update(error="a" * 30_000)), "endless"),
        (edited(lambda r: r.update(surprise=1)), "surprise"),
        (edited(lambda r: r["scores"][0].update(method="other")), "scores of another cell"),
    ],
)
def test_a_hostile_file_is_refused(packed: Path, change: Callable[[Files], object], why: str) -> None:
    with pytest.raises(DataError, match="is refused") as refused:
        open_package(rewritten(packed, change))
    assert why in str(refused.value)
    assert str(refused.value).isprintable()


@pytest.mark.parametrize("packing", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_packing_that_unpacks_without_a_bound_is_refused(packed: Path, packing: int) -> None:
    with zipfile.ZipFile(packed) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(packed, "w", packing) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    with pytest.raises(DataError, match="packed in a way that is not read here"):
        open_package(packed)


def test_a_damaged_stream_is_refused(packed: Path) -> None:
    with zipfile.ZipFile(packed) as archive:
        entry = archive.getinfo(RECORD)
    raw = bytearray(packed.read_bytes())
    start = entry.header_offset + 30 + len(RECORD)
    raw[start : start + 200] = b"\xff" * 200
    packed.write_bytes(raw)
    with pytest.raises(DataError, match="is refused: it cannot be read"):
        open_package(packed)


def test_edited_members_are_refused(packed: Path) -> None:
    with pytest.raises(DataError, match=r"'record\.json' is not the file of its manifest"):
        open_package(rewritten(packed, edited(first_value(0.9)), honest=False))
    with pytest.raises(DataError, match="lists other files"):
        open_package(rewritten(packed, lambda files: files.update({f"{IMAGES}x.png": b"x"}), honest=False))


def test_odd_archives_are_refused(packed: Path, tmp_path: Path) -> None:
    whole = packed.read_bytes()
    for content in (b"", b"no zip", whole[: len(whole) // 2]):
        (tmp_path / "x.zip").write_bytes(content)
        with pytest.raises(DataError, match="cannot be read"):
            open_package(tmp_path / "x.zip")
    link = zipfile.ZipInfo("images/link.png")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(packed, "a") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(DataError, match="is no plain file"):
        open_package(packed)


def test_a_bomb_is_not_unpacked(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(MANIFEST, bytes(40_000_000))
        archive.writestr(RECORD, b"{}")
    assert (tmp_path / "x.zip").stat().st_size < 100_000
    with pytest.raises(DataError, match=r"'submission\.json' is larger than 8 MB"):
        open_package(tmp_path / "x.zip")


Prepare = Callable[[dict[str, float | None]], None]


@pytest.fixture
def scored_here(monkeypatch: pytest.MonkeyPatch, packed: Path) -> Prepare:
    """Our scores in place of a scoring: the reported ones, some of them moved or missing."""

    def prepare(ours: dict[str, float | None]) -> None:
        def change(score: Score) -> dict[str, Any]:
            if score.metric not in ours:
                return {}
            value = ours[score.metric]
            return {
                "value": value,
                "low": None,
                "high": None,
                "reason": "" if value is not None else "weights",
            }

        def evaluate_folder(folder: Path, *, name: str, out: Path, **rules: Any) -> Record:
            assert len(list(folder.glob("*.png"))) == 21
            assert (rules["protocol"], rules["size"], rules["budget"]) == ("avatars@1", 64, "smoke")
            told = open_package(packed).record
            own = {"method": name, "preset": "external"}
            record = Record(
                cell=told.cell.model_copy(update=own), card={"id": name, "title": name, "citation": ""}
            )
            record.scores = [one.model_copy(update=own | change(one)) for one in told.scores]
            record.status = "scored"
            record.save(out / record.cell.folder)
            return record

        monkeypatch.setattr(module, "evaluate_folder", evaluate_folder)

    return prepare


def outcomes(package: Package, **options: Any) -> dict[str, str]:
    found = reproduce(package, **options)
    return {one.metric: one.outcome for one in found if one.expression == "all"}


def test_scores_are_made_again_or_only_reported(packed: Path, tmp_path: Path, scored_here: Prepare) -> None:
    scored_here({"FID": None, "SSIM": 0.5})
    into = tmp_path / "board"
    found = outcomes(open_package(packed), into=into)
    assert found["FID"] == "reported"
    assert found["SSIM"] == "differs"
    assert found["ECS"] == found["FSS"] == "reproduced"
    (path,) = into.rglob("record.json")
    record = load_record(path.parent)
    values = {score.metric: score.value for score in record.scores if score.expression == "all"}
    assert values["SSIM"] == 0.5  # ours stands
    reported = open_package(packed).record.scores
    assert values["FID"] == next(s.value for s in reported if (s.metric, s.expression) == ("FID", "all"))
    assert (record.submitted["reported"], record.trained_on) == (["FID"], "declared")
    assert record.submitted["differs"] > 0
    page = build(into, tmp_path / "report").read_text()
    assert "say that it was trained on: 200 avatars" in page
    assert "scores differ from those that were reported" in page
    assert "only reported: FID" in page
    assert '<small class="extra">reported</small>' in page


def test_without_images_everything_is_reported(runs: Path, tmp_path: Path) -> None:
    pack(runs, tmp_path / "x.zip", method="mr", trained_on="unknown", images=False)
    package, into = open_package(tmp_path / "x.zip"), tmp_path / "board"
    assert set(outcomes(package, into=into).values()) == {"reported"}
    (path,) = into.rglob("record.json")
    record = load_record(path.parent)
    assert record.cell.method == "mr-submitted"  # never under the plain name of a method of ours
    assert not record.losses
    assert not record.environment
    with pytest.raises(DataError, match="exists already"):
        reproduce(package, into=into)


def test_what_is_only_reported_is_not_ranked(tmp_path: Path) -> None:
    rows = [row for row in ROWS if row.id in ("copy", "real", "mr", "reggan", "stargan")]
    board = write_runs(tmp_path / "board", identities=10, rows=rows, styles=False)
    pack(board, tmp_path / "x.zip", method="mr", trained_on="unknown", images=False)
    reproduce(open_package(tmp_path / "x.zip"), into=board)
    (made,) = make_boards(read_runs(board)[0])
    cells = {row.id: row.cells["FID"] for row in build_table(made, *made.headline).rows}
    assert cells["mr-submitted"].reported
    assert cells["mr-submitted"].value == cells["mr"].value
    assert cells["mr-submitted"].rank is None
    assert not cells["mr-submitted"].best
    assert {cells[name].rank for name in ("mr", "reggan", "stargan")} >= {1}


def test_the_verbs(
    packed: Path,
    runs: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    scored_here: Prepare,
) -> None:
    def run(*arguments: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as left:
            main(["submit", *arguments])
        said = capsys.readouterr()
        return int(left.value.code or 0), said.out or said.err

    monkeypatch.chdir(tmp_path)
    code, said = run("pack", str(runs), "--method", "mr", "--trained-on", "unknown")
    assert (code, said) == (0, "mr.fesbench.zip: mr, 21 images\n")
    scored_here({})
    code, said = run("check", str(packed))
    assert code == 0
    assert "0 differs, 0 reported" in said
    scored_here({"SSIM": 0.5})
    code, said = run("check", str(packed), "--json")
    assert code == 3
    assert {one["outcome"] for one in json.loads(said)} == {"reproduced", "differs"}
    packed.write_bytes(b"no zip")
    code, said = run("check", str(packed))
    assert code == 2
    assert "is refused" in said
