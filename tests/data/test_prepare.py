from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fesbench.data import prepare as module
from fesbench.data.datasets import DATASETS
from fesbench.data.datasets.base import Count, DatasetAdapter, Facts, Item, Plan, Skipped, Unknown
from fesbench.data.images import load_image
from fesbench.data.prepare import prepare
from fesbench.errors import DataError, UnknownNameError


class FolderPlan(Plan):
    def __init__(self, root: Path, reads: list[int]) -> None:
        self.files, self.reads = sorted(root.glob("*.png")), reads
        self.facts = Facts((Count("images", len(self.files), 9),), ("a note",), Unknown(1, ("odd.txt",)))

    @property
    def fingerprint(self) -> str:
        return " ".join(f"{p.name}:{p.stat().st_size}" for p in self.files)

    def __len__(self) -> int:
        return len(self.files)

    def read(self, start: int, stop: int) -> list[Item | Skipped]:
        found: list[Item | Skipped] = []
        for k in range(start, stop):
            self.reads.append(k)
            try:
                image, sha256 = load_image(self.files[k])
            except DataError as error:
                found.append(Skipped(self.files[k].name, str(error)))
                continue
            found.append(Item(image, {"image": self.files[k].name, "identity": "p", "sha256": sha256}))
        return found


class FolderAdapter(DatasetAdapter):
    name, title, access, license, citation = "folder", "t", "a", "l", "c"
    homepage, layout, needs_source = "h", "l", True
    defaults = {"mirror": False}  # noqa: RUF012

    def __init__(self) -> None:
        self.reads: list[int] = []

    def plan(self, source: Path | None, options: Mapping[str, Any], size: int) -> Plan:
        if source is None:
            raise DataError("bring a folder")
        return FolderPlan(source, self.reads)


@pytest.fixture
def adapter(monkeypatch: pytest.MonkeyPatch) -> FolderAdapter:
    adapter = FolderAdapter()
    monkeypatch.setitem(DATASETS._made, "folder", adapter)
    monkeypatch.setattr(module, "_CHUNK", 2)
    return adapter


@pytest.fixture
def source(tmp_path: Path) -> Path:
    root = tmp_path / "images"
    root.mkdir()
    for k in range(5):
        pixels = np.random.default_rng(k).integers(0, 256, (20, 20, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / f"{k}.png")
    return root


def run(source: Path | None = None, **how: Any) -> Any:
    return prepare("folder", **{"size": 16, "alignment": "none@1", "source": source, **how})


def test_progress_reuse_and_what_the_store_says(adapter: FolderAdapter, source: Path) -> None:
    seen: list[tuple[int, int, str]] = []
    store = run(source, progress=lambda *step: seen.append(step))
    assert seen == [(k, 5, "preparing folder") for k in (0, 2, 4, 5)]
    assert store.images.shape == (5, 16, 16, 3)
    assert store.info["counts"] == [{"what": "images", "found": 5, "expected": 9}]
    assert store.info["notes"] == ["a note"]
    assert store.info["not_understood"] == {"count": 1, "first": ["odd.txt"]}
    assert store.info["options"] == {"mirror": False}
    again = run(source, verify=True)
    assert again.path == store.path
    assert adapter.reads == [0, 1, 2, 3, 4]


def test_each_setting_has_its_own_store(adapter: FolderAdapter, source: Path) -> None:
    paths = [run(source).path, run(source, size=20).path, run(source, options={"mirror": True}).path]
    (source / "5.png").write_bytes((source / "0.png").read_bytes())
    paths.append(run(source).path)
    assert len(set(paths)) == 4


def test_a_folder_given_once_is_remembered(adapter: FolderAdapter, source: Path) -> None:
    with pytest.raises(DataError, match="bring a folder"):
        run()
    first = run(source)
    assert run().path == first.path
    assert len(run(size=20)) == 5


def test_a_store_outlives_its_source(adapter: FolderAdapter, source: Path) -> None:
    first = run(source)
    shutil.rmtree(source)
    assert run().path == first.path
    with pytest.raises(DataError, match=r"is gone, and no store was made from it at size 20"):
        run(size=20)


def test_an_interrupted_preparation_goes_on(
    adapter: FolderAdapter, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(done: int, total: int, what: str) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(source, progress=interrupt)
    store = run(source)
    assert adapter.reads == [0, 1, 2, 3, 4]
    assert store.manifest.table["image"].tolist() == [f"{k}.png" for k in range(5)]


def test_bad_files_are_counted_and_named(adapter: FolderAdapter, source: Path) -> None:
    (source / "1.png").write_bytes(b"")
    (source / "2.png").write_text("no image")
    (source / "3.png").write_bytes((source / "3.png").read_bytes()[:200])
    Image.new("RGB", (20, 10)).save(source / "4.png")
    store = run(source)
    assert len(store) == 1
    reasons = {failure["image"]: failure["reason"] for failure in store.info["failures"]}
    assert list(reasons) == ["1.png", "2.png", "3.png", "4.png"]
    for image, words in zip(reasons, ("empty", "not an image", "truncated", "not square"), strict=True):
        assert words in reasons[image]
    assert store.info["reasons"] == {"not-square": 1, "unreadable": 3}


def test_the_files_fingerprint_goes_by_content_alone(
    adapter: FolderAdapter, source: Path, tmp_path: Path
) -> None:
    digests = sorted(hashlib.sha256(path.read_bytes()).hexdigest() for path in source.iterdir())
    expected = hashlib.sha256("\n".join(digests).encode()).hexdigest()
    store = run(source)
    assert store.files == store.info["files"] == expected
    other = tmp_path / "elsewhere"
    shutil.copytree(source, other)
    (other / "0.png").rename(other / "renamed.png")
    assert run(other, size=20).files == expected
    (other / "renamed.png").unlink()
    assert run(other).files != expected


def test_an_empty_data_set(adapter: FolderAdapter, tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    with pytest.raises(DataError, match="gave not a single usable image; check the folder"):
        run(tmp_path / "nothing")


def test_a_damaged_store_is_refused_not_rebuilt(adapter: FolderAdapter, source: Path) -> None:
    store = run(source)
    (store.path / "images.npy").write_bytes(b"")
    with pytest.raises(DataError, match="delete that folder and prepare the data again"):
        run(source)
    shutil.rmtree(store.path)
    assert len(run(source)) == 5


def test_names_and_sizes_are_checked(adapter: FolderAdapter, source: Path) -> None:
    with pytest.raises(UnknownNameError, match="Did you mean folder"):
        prepare("fodler", size=16, alignment="none@1")
    with pytest.raises(UnknownNameError, match="Did you mean none@1"):
        run(source, alignment="none")
    with pytest.raises(UnknownNameError, match="Did you mean mirror"):
        run(source, options={"miror": True})
    with pytest.raises(DataError, match="size 4 is too small"):
        run(source, size=4)


def test_a_damaged_memory_of_sources(adapter: FolderAdapter, source: Path) -> None:
    run(source)
    memory = Path(os.environ["FESBENCH_HOME"]) / "sources.json"
    memory.write_text("{")
    with pytest.raises(DataError, match=r"sources\.json is damaged"):
        run()


def test_faces_without_landmarks_go_through_dlib(adapter: FolderAdapter, tmp_path: Path) -> None:
    pytest.importorskip("dlib")
    from fesbench.data.avatars.rendering import AvatarSpec, render

    batch = render([AvatarSpec(1)], 256)
    root = tmp_path / "faces"
    root.mkdir()
    Image.fromarray(batch.images[0]).save(root / "a.png")
    Image.new("RGB", (256, 256), "gray").save(root / "b.png")
    Image.fromarray(np.concatenate([batch.images[0]] * 2, axis=1)).save(root / "c.png")
    store = run(root, alignment="dlib68-128@1", size=96)
    assert store.info["reasons"] == {"no-face": 1, "several-faces": 1}
    assert [failure["reason"] for failure in store.info["failures"]] == [
        "no face found",
        "several faces found (2)",
    ]
    eyes = store.manifest.landmarks[0, [36, 39, 42, 45]].mean(axis=0)
    # dlib's template puts the middle of the eye corners here
    assert np.allclose(eyes, ((0.490 + 0.25) / 1.5 * 96, (0.2213 + 0.25) / 1.5 * 96), atol=2)


def test_images_that_are_enlarged_are_counted(adapter: FolderAdapter, tmp_path: Path) -> None:
    for name, side in (("a.png", 16), ("b.png", 16), ("c.png", 32), ("d.png", 48)):
        (tmp_path / "small").mkdir(exist_ok=True)
        Image.fromarray(np.full((side, side, 3), side, np.uint8)).save(tmp_path / "small" / name)
    store = run(tmp_path / "small", size=32)
    (note,) = [note for note in store.info["notes"] if "ENLARGED" in note]
    assert note.startswith("2 of 4 images are ENLARGED to 32 px, 2.0 times in the middle")
    store = run(tmp_path / "small")
    assert not [note for note in store.info["notes"] if "ENLARGED" in note]
