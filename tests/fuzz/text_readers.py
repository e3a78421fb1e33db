"""Readers of TOML, CSV and JSON."""

from __future__ import annotations

import hashlib
import json
import shutil
import zipfile
from collections.abc import Callable
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from tempfile import mkdtemp

from fesbench.data.splits.files import folds_in, read_subsets, subsets_hash
from fesbench.external.adapter import load_adapter
from fesbench.external.command import load_command
from fesbench.external.intake import MANIFEST, RECORD, open_package
from fesbench.external.pack import pack
from fesbench.gate.baselines import load_rows, save_rows
from fesbench.gate.claims import parse_claims
from fesbench.gate.collect import find_row, take_snapshot
from fesbench.gate.tolerance import load_tolerances
from fesbench.protocol.describe import rules_told
from fesbench.protocol.protocol import parse_protocol, protocol_files
from fesbench.records.record import load_record
from fesbench.reports.published import parse_published
from fesbench.reports.site import build
from fesbench.runs.method_sets import parse_sets
from fesbench.study.answers import Answers, checksum, load_key, read_answers
from fesbench.study.make import KEY, QUESTIONS, Key, make_study
from tests.fuzz.reader import Reader
from tests.reports.synthetic_records import ROWS, write_runs

_COMMAND = b"""
command = "python edit.py --in {requests} --out {out}"
minutes = 2.5
tasks = ["expression", "intensity"]
size = 128
trained_on = "faces"
[words]
happiness = "a smile"
"""
_ADAPTER = b"""
labels = ["neutral", "anger", "happiness"]
action_units = [1, 2, 12]
size = 128
output = "image"
[inputs]
image = "source"
label = "target_label_one_hot"
[source_pixels]
channels = "bgr"
range = [0.0, 1.0]
layout = "nhwc"
"""
_TOLERANCES = b"""
expressions = true
ignore = ["memory_mb", "FID"]
[metrics]
ECS = 0.02
FSS = "3%"
[cost]
latency_p50_ms = "25%"
"""
_FOLDS = b"1-fold 10 subjects\nS130/007 Angry\nS005/001 Happy\n2-fold\nS010/002 Sad\n3-fold\nS011/001 Fear\n"


@lru_cache(maxsize=1)
def runs() -> Path:
    """A small folder of records."""
    rows = [row for row in ROWS if row.id in ("copy", "real", "mr", "stargan")]
    return write_runs(Path(mkdtemp()) / "runs", identities=3, rows=rows, styles=False)


def _record() -> Path:
    return next(runs().rglob("mr-*/0"))


def _of(*contents: bytes) -> Callable[[Path], list[bytes]]:
    return lambda _: list(contents)


def _installed(*names: str) -> Callable[[Path], list[bytes]]:
    return lambda _: [protocol_files()[name].read_bytes() for name in names]


def _beside(name: str) -> Callable[[Path], list[bytes]]:
    """A table that lies beside the protocols."""
    return lambda _: [(Path(str(protocol_files()["avatars@2"])).parent / name).read_bytes()]


def _protocol(path: Path) -> None:
    protocol = parse_protocol(path)
    assert protocol.hash
    assert protocol.training_hash
    assert rules_told(protocol)


def _split(path: Path) -> None:
    found = read_subsets(path)
    folds_in(found, path)
    assert subsets_hash(found)


def _records(_: Path) -> list[bytes]:
    return [(_record() / RECORD).read_bytes()]


def _reported(folder: Path) -> list[bytes]:
    """A folder of records, of which one is spoiled."""
    shutil.copytree(runs(), folder / "runs", dirs_exist_ok=True)
    shutil.rmtree(next((folder / "runs").rglob("mr-*")))
    shutil.copytree(_record(), folder / "runs" / "spoiled", dirs_exist_ok=True)
    return _records(folder)


def _built(path: Path) -> None:
    build(path.parents[1], path.parents[2] / "report")


def _baselines(folder: Path) -> list[bytes]:
    snapshots = [take_snapshot(find_row(runs(), name)) for name in ("mr", "stargan")]
    save_rows(snapshots[:1], folder / "one.json")
    save_rows(snapshots, folder / "two.json")
    return [(folder / name).read_bytes() for name in ("one.json", "two.json")]


@lru_cache(maxsize=1)
def _package() -> dict[str, bytes]:
    path = Path(mkdtemp()) / "mr.fesbench.zip"
    pack(runs(), path, method="mr", name="lab-mr", trained_on="200 avatars")
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _zipped(members: dict[str, bytes]) -> bytes:
    stream = BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


def _with_record(record: bytes) -> bytes:
    """A package whose manifest fits the record, whatever that holds."""
    members = {**_package(), RECORD: record}
    manifest = json.loads(members[MANIFEST])
    manifest["files"][RECORD] = hashlib.sha256(record).hexdigest()
    return _zipped({**members, MANIFEST: json.dumps(manifest).encode()})


@lru_cache(maxsize=1)
def _study() -> Path:
    folder = Path(mkdtemp())
    make_study(runs(), ["mr", "stargan"], raters=2, pairs=4, out=folder)
    return folder


def _key() -> Key:
    return load_key(_study() / KEY)


def _answers(_: Path) -> list[bytes]:
    key = _key()
    trials = key.raters["1"]
    given = {trial.token: dict.fromkeys(QUESTIONS, "left") for trial in trials}
    told = Answers(
        kind="fesbench-study-answers",
        study=key.study,
        rater="1",
        trials=key.digest("1"),
        consent=True,
        device={"screen": [390, 844], "touch": True},
        started="2026-01-01T10:00:00.000Z",
        ended="2026-01-01T10:10:00.000Z",
        answers=given,  # type: ignore[arg-type]
        check=checksum(given, [trial.token for trial in trials]),  # type: ignore[arg-type]
    )
    return [told.model_dump_json().encode()]


def _answered(path: Path) -> None:
    taken = read_answers(path.parent, _key())
    assert {*taken.raters, *taken.dropped} <= {"1"}
    assert bool(taken.refused) != bool(taken.raters or taken.dropped)


TEXTS = (
    Reader("protocol", "avatars@2.toml", _installed("avatars@2"), _protocol),
    Reader("protocol-folds", "10fold@1.toml", _installed("ck+/10fold@1"), _protocol),
    Reader("protocol-two-sets", "cfee-to-ood@1.toml", _installed("cfee-to-ood@1"), _protocol),
    Reader(
        "split",
        "split.csv",
        _of(b"identity,subset\nS005,train\nS010,test\nS011,validation\n", _FOLDS),
        _split,
    ),
    Reader("record", "record.json", _records, lambda path: load_record(path.parent), tree=True),
    Reader("report", "runs/spoiled/record.json", _reported, _built, tree=True, share=20),
    Reader("submission", "row.zip", lambda _: [_zipped(_package())], open_package),
    Reader("submitted-record", "row.zip", _records, open_package, tree=True, packed=_with_record),
    Reader(
        "submission-manifest",
        "row.zip",
        lambda _: [_package()[MANIFEST]],
        open_package,
        tree=True,
        packed=lambda manifest: _zipped({**_package(), MANIFEST: manifest}),
    ),
    Reader("study-answers", "answers.json", _answers, _answered, tree=True),
    Reader("study-key", KEY, lambda _: [(_study() / KEY).read_bytes()], load_key, tree=True),
    Reader("baseline", "baseline.json", _baselines, load_rows, tree=True),
    Reader(
        "tolerances", "t.toml", _of(_TOLERANCES), lambda path: load_tolerances(path, ("ECS", "FSS", "FID"))
    ),
    Reader("command", "command.toml", _of(_COMMAND), load_command),
    Reader("adapter", "adapter.toml", _of(_ADAPTER), load_adapter),
    Reader("claims", "claims.toml", _beside("claims.toml"), parse_claims),
    Reader("method-sets", "method-sets.toml", _beside("method-sets.toml"), parse_sets),
    Reader("published", "published.csv", _beside("published.csv"), parse_published),
)
