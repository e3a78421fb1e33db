from __future__ import annotations

import errno
import os
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fesbench.data.datasets.ckplus_files import read_facs, read_landmarks
from fesbench.data.datasets.sequences import sequences_of
from fesbench.data.layouts.ckplus import FOLDERS, identity_names, write
from fesbench.data.prepare import prepare
from fesbench.data.store.aligned import AlignedStore
from fesbench.errors import DataError

IDENTITIES = 4


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("made") / "ck"
    return write(out, identities=IDENTITIES, frames=6, size=96, generation="nested")


@pytest.fixture(scope="module")
def store(copy: Path, tmp_path_factory: pytest.TempPathFactory) -> AlignedStore:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FESBENCH_HOME", str(tmp_path_factory.mktemp("ck")))
        return prepare("ck+", size=64, alignment="dlib68-128@1", source=copy)


def test_the_adapter_reads_back_what_was_written(store: AlignedStore) -> None:
    names = identity_names(IDENTITIES)
    table = store.manifest.table
    expected = {
        (f"{name}_{s.number:03d}", s.expression if s.labelled else "")
        for k, name in enumerate(names)
        for s in sequences_of(k)
    }
    peaks = table[table["expression"] != "neutral"]
    labelled = set(zip(peaks["sequence"], peaks["expression"], strict=True))
    assert labelled == {item for item in expected if item[1]}
    assert set(table["sequence"]) == {item[0] for item in expected}
    assert set(table["identity"]) == set(names)
    assert len(store) == IDENTITIES * (5 * 3 + 4 * 3)
    assert store.info["failures"] == []
    assert store.info["not_understood"]["count"] == 0
    counts = {count["what"]: count["found"] for count in store.info["counts"]}
    assert (counts["subjects"], counts["sequences"], counts["labelled sequences"]) == (4, 20, 16)
    assert not table["publishable"].any()


def test_faces_are_aligned_and_landmarks_with_them(store: AlignedStore) -> None:
    corners = store.manifest.landmarks[:, [36, 39, 42, 45]].mean(axis=1)
    assert np.allclose(corners, ((0.490 + 0.25) / 1.5 * 64, (0.2213 + 0.25) / 1.5 * 64), atol=1.5)
    assert (store.images.std(axis=(1, 2)) > 5).all()


def test_action_units_survive_in_fifths(store: AlignedStore) -> None:
    from fesbench.data.avatars.rendering import AvatarSpec, render

    sequence = sequences_of(0)[0]
    truth = render([AvatarSpec(0, expression=sequence.expression)], 16).action_units[0]
    table = store.manifest.table
    row = np.flatnonzero((table["sequence"] == f"{identity_names(4)[0]}_001") & (table["intensity"] == 1))[-1]
    found = store.manifest.action_units[row]
    present = truth >= 0.1
    assert (found[~present] == 0).all()
    # a fifth of the scale, or the stand-in 0.6 where the code gives no intensity
    assert ((np.abs(found - truth) <= 0.1 + 1e-6) | (found == np.float32(0.6)))[present].all()
    assert present.sum() >= 3


def test_the_traps_are_there(copy: Path) -> None:
    roots = {kind: copy / name for kind, name in FOLDERS["nested"].items()}
    names = identity_names(IDENTITIES)
    assert (roots["image"] / ".DS_Store").exists()
    empty = roots["emotion"] / names[0] / "005"
    assert empty.is_dir()
    assert not list(empty.iterdir())
    modes = {}
    for name in names:
        with Image.open(roots["image"] / name / "001" / f"{name}_001_00000001.png") as image:
            modes[name] = (image.mode, image.size)
    assert list(modes.values()) == [("L", (640, 490))] * 3 + [("RGB", (640, 480))]
    text = (roots["emotion"] / names[0] / "001" / f"{names[0]}_001_00000006_emotion.txt").read_text()
    assert re.fullmatch(r"   \d\.0000000e\+00\n", text)
    facs = [read_facs(path) for path in roots["facs"].rglob("*_facs.txt")]
    assert len(facs) == 5 * IDENTITIES
    assert sum(one.without_intensity for one in facs) > 0
    points = read_landmarks(roots["landmarks"] / names[0] / "001" / f"{names[0]}_001_00000001_landmarks.txt")
    assert (points > 0).all()


def test_both_generations_give_the_same_data(copy: Path, store: AlignedStore, tmp_path: Path) -> None:
    for kind, name in FOLDERS["nested"].items():
        target = tmp_path / "plain" / FOLDERS["plain"][kind]
        target.parent.mkdir(exist_ok=True)
        target.symlink_to(copy / name)
    again = prepare("ck+", size=64, alignment="dlib68-128@1", source=tmp_path / "plain")
    assert again.fingerprint == store.fingerprint
    made = write(tmp_path / "made", identities=1, frames=6, size=64, landmarks=False)
    assert sorted(path.name for path in made.iterdir()) == ["Emotion", "FACS", "cohn-kanade-images"]


def test_names_have_ckplus_gaps_and_jumps() -> None:
    names = identity_names(123)
    assert len(set(names)) == 123
    assert names[0] == "S005"
    assert names[-9:] == ("S160", "S501", "S502", "S503", "S504", "S505", "S506", "S895", "S999")
    assert identity_names(1) == ("S005",)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"identities": 124}, "holds 1 to 123 subjects, not 124"),
        ({"identities": 0}, "not 0"),
        ({"frames": 5}, "needs 6 frames"),
        ({"size": 500}, "64 to 480 pixels wide, not 500"),
        ({"generation": "third"}, "must be one of plain, nested"),
    ],
)
def test_bad_requests(tmp_path: Path, options: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        write(tmp_path / "x", **{"identities": 1, **options})  # type: ignore[arg-type]
    assert not (tmp_path / "x").exists()


def test_a_full_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(DataError, match=r"S005_001_00000001\.png: the disk is full"):
        write(tmp_path / "x", identities=1, frames=6, size=64)
