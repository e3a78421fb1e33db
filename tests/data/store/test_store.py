from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from fesbench.data.store.aligned import AlignedStore
from fesbench.data.store.writer import StoreWriter
from fesbench.errors import DataError
from fesbench.vocabulary import ACTION_UNITS

SIZE, COUNT = 16, 30


def image(k: int) -> np.ndarray:
    return np.random.default_rng(k).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)


def add(writer: StoreWriter, k: int) -> None:
    if k % 7 == 3:
        writer.skip(f"i{k}", "no face found")
        return
    row = {"image": f"i{k}", "identity": f"p{k % 5}", "sha256": f"{k:064x}", "expression": "fear", "frame": k}
    points = None if k % 4 == 0 else np.full((68, 2), k / 3)
    units = None if k % 6 == 0 else np.full(len(ACTION_UNITS), 0.1)
    writer.add(image(k), row, landmarks=points, action_units=units)


def write(path: Path, *, stop: int = COUNT, size: int = SIZE) -> AlignedStore | None:
    with StoreWriter(path, size=size) as writer:
        while writer.done < stop:
            add(writer, writer.done)
        return writer.finish({"notes": ["n"]}, data="d", alignment="none@1") if stop == COUNT else None


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_what_is_written_is_read(tmp_path: Path) -> None:
    store = write(tmp_path / "s")
    assert store is not None
    kept = [k for k in range(COUNT) if k % 7 != 3]
    assert np.array_equal(store.images, np.stack([image(k) for k in kept]))
    assert store.manifest.table["frame"].tolist() == kept
    assert np.isnan(store.manifest.landmarks[0]).all()
    assert np.allclose(store.manifest.landmarks[1], 1 / 3)
    assert (store.size, store.alignment, store.data, len(store)) == (SIZE, "none@1", "d", len(kept))
    assert store.info["failures"][0] == {"image": "i3", "reason": "no face found", "key": "unreadable"}
    assert store.info["notes"] == ["n"]
    assert isinstance(store.images, np.memmap)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["s"]
    AlignedStore.open(tmp_path / "s", verify=True)


@pytest.mark.parametrize("stop", [0, 1, 4, 17, COUNT - 1])
def test_an_interrupted_writer_goes_on_to_the_same_bytes(tmp_path: Path, stop: int) -> None:
    write(tmp_path / "whole")
    write(tmp_path / "part", stop=stop)
    write(tmp_path / "part")
    assert content(tmp_path / "part") == content(tmp_path / "whole")


@pytest.mark.parametrize("damage", ["torn journal", "torn image", "lost image", "garbage"])
def test_what_a_crash_tore_is_done_again(tmp_path: Path, damage: str) -> None:
    write(tmp_path / "whole")
    write(tmp_path / "part", stop=20)
    images, journal = (tmp_path / "part.partial" / name for name in ("images.npy", "journal.jsonl"))
    if damage == "torn journal":
        journal.write_bytes(journal.read_bytes()[:-50])
    elif damage == "torn image":
        images.write_bytes(images.read_bytes()[:-50])
    elif damage == "lost image":  # a power cut may keep the later write and lose the earlier
        whole = images.read_bytes()
        images.write_bytes(whole[:-1000] + bytes(1000))
    else:
        journal.write_bytes(journal.read_bytes() + b'{"row": \n[1]\n')
        images.write_bytes(images.read_bytes() + b"xyz")
    write(tmp_path / "part")
    assert content(tmp_path / "part") == content(tmp_path / "whole")


def test_a_killed_process_goes_on(tmp_path: Path) -> None:
    """A real SIGKILL in the middle of writing, several times over."""
    script = (
        "import sys, time; from pathlib import Path; sys.path.insert(0, sys.argv[2])\n"
        "from test_store import *\n"
        "with StoreWriter(Path(sys.argv[1]), size=SIZE) as writer:\n"
        "    print(writer.done, flush=True)\n"
        "    while writer.done < COUNT - 1:\n"
        "        add(writer, writer.done); time.sleep(0.01)\n"
        "    time.sleep(60)\n"
    )
    starts = []
    for _ in range(2):
        process = subprocess.Popen(
            [sys.executable, "-c", script, str(tmp_path / "s"), str(Path(__file__).parent)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        starts.append(int(process.stdout.readline()))
        journal = tmp_path / "s.partial" / "journal.jsonl"
        deadline = time.monotonic() + 20
        while journal.read_bytes().count(b"\n") < starts[-1] + 6 and time.monotonic() < deadline:
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        process.stdout.close()
    assert starts[0] == 0
    assert starts[1] >= 6
    assert not (tmp_path / "s").exists()
    write(tmp_path / "s")
    write(tmp_path / "whole")
    assert content(tmp_path / "s") == content(tmp_path / "whole")


def test_fingerprint_depends_on_pixels_labels_and_landmarks_not_on_order(tmp_path: Path) -> None:
    def built(name: str, order: list[int], **change: object) -> str:
        with StoreWriter(tmp_path / name, size=SIZE) as writer:
            for k in order:
                row = {"image": f"i{k}", "identity": "p", "expression": "fear", "intensity": 1.0}
                pixels, points = image(k), np.full((68, 2), 1.0)
                if k == 0:
                    row.update({key: value for key, value in change.items() if key in row})
                    points[5] += float(change.get("shift", 0))  # type: ignore[arg-type]
                    pixels[0, 0, 0] ^= int(change.get("bit", 0))  # type: ignore[call-overload]
                writer.add(pixels, row, landmarks=points)
            return writer.finish({}, data="d", alignment="a").fingerprint

    base = built("a", [0, 1, 2])
    assert built("b", [2, 0, 1]) == base
    others = [
        built("c", [0, 1, 2], expression="anger"),
        built("d", [0, 1, 2], shift=1),
        built("e", [0, 1, 2], bit=1),
        built("f", [0, 1]),
    ]
    assert len({base, *others}) == 5


def test_wrong_images_are_refused(tmp_path: Path) -> None:
    with StoreWriter(tmp_path / "s", size=SIZE) as writer:
        for bad in (np.zeros((8, 8, 3), np.uint8), np.zeros((SIZE, SIZE, 3), np.float32)):
            with pytest.raises(DataError, match="'x' must be uint8"):
                writer.add(bad, {"image": "x", "identity": "p"})
        with pytest.raises(DataError, match="expected 136 values"):
            writer.add(image(0), {"image": "x", "identity": "p"}, landmarks=np.zeros((5, 2)))


def test_an_empty_data_set_is_refused_with_the_reasons(tmp_path: Path) -> None:
    with StoreWriter(tmp_path / "s", size=SIZE) as writer:
        writer.skip("a.png", "no face found")
        with pytest.raises(
            DataError, match=r"not a single usable image \(1 skipped: a\.png: no face found\)"
        ):
            writer.finish({}, data="d", alignment="none@1")


def test_a_full_disk_is_told_and_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "s", stop=10)
    with StoreWriter(tmp_path / "s", size=SIZE) as writer:

        class Full:
            def write(self, content: bytes) -> int:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

            def close(self) -> None:
                pass

        real, writer._images = writer._images, Full()  # type: ignore[assignment]
        with pytest.raises(
            DataError, match=r"s\.partial: the disk is full; free space, or point FESBENCH_HOME"
        ):
            add(writer, 11)
        real.close()
    write(tmp_path / "s")
    write(tmp_path / "whole")
    assert content(tmp_path / "s") == content(tmp_path / "whole")


def test_a_disk_that_fills_at_the_end_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(DataError, match="the disk is full"):
            write(tmp_path / "s")
    assert not (tmp_path / "s").exists()
    assert not list((tmp_path / "s.partial").glob("*.tmp"))
    assert write(tmp_path / "s") is not None


def test_an_unwritable_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match="a part of this path is a file"):
        StoreWriter(tmp_path / "file" / "s", size=SIZE)
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    if os.geteuid() != 0:  # root may write anywhere
        with pytest.raises(DataError, match="permission denied; make the folder writable"):
            StoreWriter(locked / "s", size=SIZE)


def test_permission_errors_are_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(DataError, match="permission denied; make the folder writable"):
        StoreWriter(tmp_path / "s", size=SIZE)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("images.npy", lambda b: b[:-1], "images.npy is truncated"),
        ("images.npy", lambda b: b"", "images.npy is truncated"),
        ("images.npy", lambda b: b.replace(b"(26, ", b"(25, "), "should hold"),
        ("images.npy", None, "images.npy is missing"),
        ("manifest.parquet", lambda b: b[:40], "manifest.parquet is damaged"),
        ("manifest.parquet", None, "manifest.parquet does not exist"),
        ("store.json", lambda b: b[:40], "store.json is not readable"),
        ("store.json", lambda b: b.replace(b'"schema": 2', b'"schema": 9'), "it has schema 9"),
        ("store.json", lambda b: b.replace(b'"fingerprint"', b'"footprint"'), "lacks fingerprint"),
        ("store.json", None, "is no prepared store"),
    ],
)
def test_damaged_stores_are_refused_with_a_remedy(
    tmp_path: Path, name: str, change: object, message: str
) -> None:
    write(tmp_path / "s")
    path = tmp_path / "s" / name
    if change is None:
        path.unlink()
    else:
        before = path.read_bytes()
        path.write_bytes(change(before))  # type: ignore[operator]
        assert path.read_bytes() != before
    with pytest.raises(DataError, match=message) as caught:
        AlignedStore.open(tmp_path / "s")
    assert "prepare" in str(caught.value)


def test_verify_finds_one_changed_bit(tmp_path: Path) -> None:
    write(tmp_path / "s")
    path = tmp_path / "s" / "images.npy"
    changed = bytearray(path.read_bytes())
    changed[128 + 2 * SIZE * SIZE * 3 + 5] ^= 1
    path.write_bytes(bytes(changed))
    AlignedStore.open(tmp_path / "s")
    with pytest.raises(DataError, match=r"image 'i2' \(row 2\) has changed"):
        AlignedStore.open(tmp_path / "s", verify=True)


def test_verify_finds_a_changed_label(tmp_path: Path) -> None:
    store = write(tmp_path / "s")
    assert store is not None
    store.manifest.table.loc[0, "expression"] = "anger"
    store.manifest.save(tmp_path / "s" / "manifest.parquet")
    with pytest.raises(DataError, match="its labels or landmarks have changed"):
        AlignedStore.open(tmp_path / "s", verify=True)


def test_store_json_is_plain_json(tmp_path: Path) -> None:
    write(tmp_path / "s")
    assert json.loads((tmp_path / "s" / "store.json").read_text())["rows"] == 26
