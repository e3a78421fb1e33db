"""A folder looked at in shares by real processes, then scored: to the bit what one process finds."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fesbench.cli.main import main
from fesbench.errors import EXIT_USAGE
from fesbench.external.requests_export import asked
from fesbench.progress import Reporter
from fesbench.protocol.protocol import load_protocol
from fesbench.records.samples import SAMPLES
from tests.end_to_end import PROTOCOLS, command, fesbench, figures, find_records, records

BUDGET = "steps=2"
Features = dict[tuple[str, bytes], tuple[int, bytes]]


def features(path: Path) -> Features:
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT extractor, content, valid, vector FROM features")
        return {(extractor, content): (valid, vector) for extractor, content, valid, vector in rows}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder ``mine`` of answers, scored by one process under ``one``; ``home`` has all but features."""
    place = tmp_path_factory.mktemp("shares")
    (place / "mine").mkdir()
    rules = (PROTOCOLS / "quick@1.toml").read_text(encoding="utf-8")
    for some, others in (
        ("identities = [3, 1, 2]", "identities = [3, 1, 6]"),
        ("test = 2", "test = 6"),
        ('"Target-cosine"', '"FSS", "Rank-1", "FD-dlib"'),
    ):
        assert some in rules
        rules = rules.replace(some, others)
    (place / "quick@1.toml").write_text(rules, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FESBENCH_HOME", str(place / "first"))
        requests, store = asked(load_protocol(str(place / "quick@1.toml")), BUDGET, None, Reporter())
    rng = np.random.default_rng(0)
    for name, source in zip(requests["request"], requests["source"], strict=True):
        noise = rng.integers(-9, 10, (32, 32, 1))
        image = np.clip(store.images[source].astype(int) + noise, 0, 255).astype(np.uint8)
        Image.fromarray(image).save(place / "mine" / f"{name}.png")
    done = fesbench(*words(place, "one"), home=place / "first")
    assert done.returncode == 0, done.stderr
    shutil.copytree(place / "first", place / "home", ignore=shutil.ignore_patterns("features"))
    return place


def words(place: Path, out: str, *more: str) -> list[str]:
    asked_for = ["--protocol", str(place / "quick@1.toml"), "--budget", BUDGET, "--out", str(place / out)]
    return ["evaluate", str(place / "mine"), *asked_for, *more]


@pytest.mark.slow
def test_two_processes_and_a_merge_equal_one_process(place: Path) -> None:
    environment = {**os.environ, "FESBENCH_HOME": str(place / "home"), "OMP_NUM_THREADS": "1"}
    held = place / "two" / "features" / "mine"

    def start(share: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(command(*words(place, "two", "--shard", share)), env=environment)

    def known(share: str) -> Features:
        path = held / f"{share}.sqlite"
        try:
            return features(path) if path.exists() else {}
        except sqlite3.OperationalError:  # the table is in the making
            return {}

    first, second = start("1/2"), start("2/2")
    end = time.monotonic() + 600
    while len(known("1-of-2")) < 10 and time.monotonic() < end:
        time.sleep(0.02)
    first.send_signal(signal.SIGKILL)
    assert first.wait() == -signal.SIGKILL
    before = known("1-of-2")
    again = start("1/2")
    assert (again.wait(600), second.wait(600)) == (0, 0)
    shares = [known("1-of-2"), known("2-of-2")]
    assert not (place / "two" / "report").exists()
    assert not (place / "home" / "features").exists()
    assert before.items() < shares[0].items()
    whole = features(place / "first" / "features" / "features.sqlite")
    for share in shares:
        assert share.items() <= whole.items()
        assert len(share) > 40

    merged = fesbench(*words(place, "two"), home=place / "home")
    assert merged.returncode == 0, merged.stderr
    assert features(place / "home" / "features" / "features.sqlite") == whole
    assert not list(held.glob("*.sqlite*"))
    wanted, found = records(place / "one"), records(place / "two")
    assert set(found) == set(wanted) > {"mine", "copy"}
    for name, record in found.items():
        assert figures(record) == figures(wanted[name])
        for told in ("anchors", "counts", "judge_checks"):
            assert getattr(record, told) == getattr(wanted[name], told)
    folders = {folder.relative_to(place / "two") for folder, _ in find_records(place / "two")}
    for folder in folders:
        table = folder / SAMPLES
        assert (place / "two" / table).read_bytes() == (place / "one" / table).read_bytes()


@pytest.mark.slow
def test_a_share_that_is_missing_is_computed_by_the_merge(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(place / "first", place / "other", ignore=shutil.ignore_patterns("features"))
    monkeypatch.setenv("FESBENCH_HOME", str(place / "other"))
    for arguments in (words(place, "some", "--shard", "3/3"), words(place, "some")):
        with pytest.raises(SystemExit) as left:
            main(arguments)
        assert left.value.code == 0
    assert features(place / "other/features/features.sqlite") == features(
        place / "first/features/features.sqlite"
    )
    assert figures(records(place / "some")["mine"]) == figures(records(place / "one")["mine"])


@pytest.mark.parametrize("wrong", ["3/2", "0/2", "2", "a/b"])
def test_a_wrong_share_is_refused(wrong: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["evaluate", str(tmp_path), "--shard", wrong])
    assert left.value.code == EXIT_USAGE
    assert f"--shard '{wrong}' is not i/n" in capsys.readouterr().err


@pytest.mark.parametrize("other", ["--dry-run", "--json"])
def test_a_share_has_nothing_to_print(other: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["evaluate", str(tmp_path), "--shard", "1/2", other])
    assert left.value.code == EXIT_USAGE
    assert "--shard scores nothing" in capsys.readouterr().err
