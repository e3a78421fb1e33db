from __future__ import annotations

import multiprocessing
import sqlite3
import warnings
from pathlib import Path

import numpy as np
import pytest

from fesbench.data.views import RowsOf
from fesbench.errors import DataError
from fesbench.extractors import feature_file
from fesbench.extractors.base import ClipExtractor, Extractor, check_clips, fixed_chunks
from fesbench.extractors.cache import FeatureCache
from fesbench.extractors.content import content_key
from fesbench.extractors.feature_file import FeatureFile
from tests.extractors.drawn_faces import face_images, face_landmarks


class Means(Extractor):
    """Mean color of each image; counts what it was asked for."""

    def __init__(self, signature: str = "means:1", needs_landmarks: bool = False) -> None:
        self.name = "means"
        self.needs_landmarks = needs_landmarks
        self._signature = signature
        self.asked = 0

    @property
    def signature(self) -> str:
        return self._signature

    def extract(
        self, images: np.ndarray, landmarks: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        self.asked += len(images)
        values = images.mean(axis=(1, 2), dtype=np.float64).astype(np.float32)
        return values, values[:, 0] < 200


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "features" / "features.sqlite"


def test_second_asking_computes_nothing_and_gives_the_same_bits(path: Path) -> None:
    images = face_images(150, 16)
    images[3] = 255
    first = Means()
    made = FeatureCache(path).get(first, images)
    again = Means()
    seen: list[tuple[int, int]] = []
    kept = FeatureCache(path).get(again, images, on_progress=lambda done, total: seen.append((done, total)))
    assert (first.asked, again.asked) == (150, 0)
    assert np.array_equal(made.values, kept.values)
    assert np.array_equal(made.valid, kept.valid)
    assert not kept.valid[3]
    assert kept.values.dtype == np.float32
    assert kept.values.flags.writeable
    assert kept.signature == "means:1"
    assert seen == [(150, 150)]


def test_equal_images_are_computed_once_and_order_is_kept(path: Path) -> None:
    images = face_images(5, 16)[[0, 1, 0, 2, 1, 0]]
    extractor = Means()
    features = FeatureCache(path).get(extractor, images)
    assert extractor.asked == 3
    assert np.array_equal(features.values, Means().extract(images)[0])


def test_one_changed_pixel_is_another_image(path: Path) -> None:
    images = face_images(1, 16)
    FeatureCache(path).get(Means(), images)
    images[0, 5, 5, 1] ^= 1
    extractor = Means()
    features = FeatureCache(path).get(extractor, images)
    assert extractor.asked == 1
    assert np.array_equal(features.values, extractor.extract(images)[0])


def test_another_signature_is_another_feature(path: Path) -> None:
    images = face_images(2, 16)
    FeatureCache(path).get(Means("means:1"), images)
    other = Means("means:2")
    FeatureCache(path).get(other, images)
    assert other.asked == 2


def test_landmarks_count_only_where_they_are_used(path: Path) -> None:
    images, landmarks = face_images(2, 16), np.stack([face_landmarks(16)] * 2)
    moved = landmarks + np.float32(0.25)
    plain, cropping = Means("plain"), Means("cropping", needs_landmarks=True)
    cache = FeatureCache(path)
    for points in (landmarks, moved, landmarks):
        cache.get(plain, images, points)
        cache.get(cropping, images, points)
    assert plain.asked == 2
    assert cropping.asked == 4


def test_shape_is_part_of_the_content() -> None:
    wide = np.zeros((2, 8, 3), np.uint8)
    assert content_key(wide) != content_key(wide.reshape(8, 2, 3))


def test_a_memory_map_gives_the_same_keys(path: Path, tmp_path: Path) -> None:
    images = face_images(3, 16)
    np.save(tmp_path / "images.npy", images)
    cache = FeatureCache(path)
    cache.get(Means(), images)
    extractor = Means()
    cache.get(extractor, np.load(tmp_path / "images.npy", mmap_mode="r"))
    assert extractor.asked == 0


def test_nothing_asked_nothing_given(path: Path) -> None:
    features = FeatureCache(path).get(Means(), np.zeros((0, 16, 16, 3), np.uint8))
    assert features.values.shape == (0, 3)


@pytest.mark.parametrize("rows", [[], [2, -1, 0]])
def test_landmarks_that_are_looked_up_reach_an_extractor_as_an_array(rows: list[int], path: Path) -> None:
    class Corners(Means):
        def extract(
            self, images: np.ndarray, landmarks: np.ndarray | None = None
        ) -> tuple[np.ndarray, np.ndarray]:
            assert isinstance(landmarks, np.ndarray)
            return landmarks[:, 0], np.isfinite(landmarks).all(axis=(1, 2))

    known = np.stack([face_landmarks(16, shift=(step, 0)) for step in range(3)])
    places = np.array(rows, dtype=np.int64)
    images, looked_up = face_images(3, 16)[: len(rows)], RowsOf(known, places, 0)
    features = FeatureCache(path).get(Corners(needs_landmarks=True), images, looked_up)
    wanted = np.where(places[:, None] >= 0, known[places, 0], 0)
    assert np.array_equal(features.values, wanted)


def test_what_was_done_before_a_failure_is_kept(path: Path) -> None:
    images = face_images(130, 16)

    class Failing(Means):
        def extract(
            self, images: np.ndarray, landmarks: np.ndarray | None = None
        ) -> tuple[np.ndarray, np.ndarray]:
            if self.asked >= 64:
                raise RuntimeError("power cut")
            return super().extract(images, landmarks)

    with pytest.raises(RuntimeError, match="power cut"):
        FeatureCache(path).get(Failing(), images)
    extractor = Means()
    FeatureCache(path).get(extractor, images)
    assert extractor.asked == 130 - 64


@pytest.mark.parametrize("damage", ["noise", "cut", "other schema"])
def test_a_damaged_file_is_set_aside_with_a_warning(path: Path, damage: str) -> None:
    images = face_images(40, 16)
    FeatureCache(path).get(Means(), images)
    if damage == "noise":
        path.write_bytes(b"not a database at all" * 100)
    elif damage == "cut":
        raw = path.read_bytes()
        path.write_bytes(raw[: len(raw) // 2])
    else:
        path.unlink()
        with sqlite3.connect(path) as connection:
            connection.execute("CREATE TABLE features (a)")
        connection.close()
    extractor = Means()
    with pytest.warns(UserWarning, match=r"is damaged .* set aside"):
        features = FeatureCache(path).get(extractor, images)
    assert np.array_equal(features.values, extractor.extract(images)[0])
    assert path.with_name(path.name + ".damaged").exists()
    after = Means()
    FeatureCache(path).get(after, images)
    assert after.asked == 0


def test_a_flipped_bit_in_a_row_is_noticed(path: Path) -> None:
    images = face_images(2, 16)
    truth = FeatureCache(path).get(Means(), images).values
    with sqlite3.connect(path) as connection:
        connection.execute(
            "UPDATE features SET vector = zeroblob(12) WHERE content = ?", (content_key(images[0]),)
        )
    connection.close()
    extractor = Means()
    assert np.array_equal(FeatureCache(path).get(extractor, images).values, truth)
    assert extractor.asked == 1


def test_an_unusable_place_warns_once_and_still_answers(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    cache = FeatureCache(tmp_path / "file" / "features.sqlite")
    images = face_images(2, 16)
    with pytest.warns(UserWarning, match=r"cannot be used .* FESBENCH_HOME") as caught:
        first = cache.get(Means(), images)
    assert len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.array_equal(cache.get(Means(), images).values, first.values)


def test_features_that_are_not_finite_are_refused(path: Path) -> None:
    class Broken(Means):
        def extract(
            self, images: np.ndarray, landmarks: np.ndarray | None = None
        ) -> tuple[np.ndarray, np.ndarray]:
            return np.full((len(images), 3), np.nan, np.float32), np.ones(len(images), bool)

    with pytest.raises(DataError, match="extractor 'means'"):
        FeatureCache(path).get(Broken(), face_images(1, 16))


def _fill(path: str, start: int) -> None:
    images = face_images(120, 16, seed=5)[start : start + 80]
    FeatureCache(Path(path)).get(Means(), images)


def test_processes_share_one_file(path: Path) -> None:
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_fill, args=(str(path), start)) for start in (0, 20, 40)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    extractor = Means()
    FeatureCache(path).get(extractor, face_images(120, 16, seed=5))
    assert extractor.asked == 0


def test_what_another_file_knows_is_read_and_not_written(path: Path, tmp_path: Path) -> None:
    images, extractor = face_images(5, 16), Means()
    made = FeatureCache(path).get(extractor, images[:3])
    own = FeatureCache(tmp_path / "own.sqlite", known=FeatureCache(path))
    found = own.get(extractor, images)
    assert extractor.asked == 5
    assert np.array_equal(found.values[:3], made.values)
    again = Means()
    FeatureCache(tmp_path / "own.sqlite").get(again, images)
    FeatureCache(path).get(again, images)
    assert again.asked == 3 + 2


def test_features_move_into_another_file(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images, other = face_images(150, 16), tmp_path / "share.sqlite"
    for signature in ("means:1", "means:2"):
        made = FeatureCache(other).get(Means(signature), images)
    monkeypatch.setattr(feature_file, "MOST", 64)
    cache = FeatureCache(path)
    written, write = [], FeatureFile._write

    def killed(self: FeatureFile, records: list[tuple[str, bytes, int, bytes, int]]) -> None:
        write(self, records)
        written.append(len(records))
        if len(written) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(FeatureFile, "_write", killed)
    with pytest.raises(KeyboardInterrupt):
        cache.file.take(other)
    assert other.exists()
    cache.file.take(other)
    assert written == [64, 64, 64, 64, 64, 64, 44]
    assert not other.exists()
    again = Means("means:2")
    kept = cache.get(again, images)
    assert again.asked == 0
    assert np.array_equal(kept.values, made.values)


def test_a_damaged_file_is_not_taken_and_set_aside(path: Path, tmp_path: Path) -> None:
    other = tmp_path / "share.sqlite"
    other.write_bytes(b"no database at all" * 100)
    with pytest.warns(UserWarning, match="share.sqlite is damaged"):
        FeatureCache(path).file.take(other)
    assert not other.exists()
    assert (tmp_path / "share.sqlite.damaged").exists()


def test_a_file_stays_where_its_features_cannot_be_kept(tmp_path: Path) -> None:
    other = tmp_path / "share.sqlite"
    FeatureCache(other).get(Means(), face_images(3, 16))
    (tmp_path / "file").write_text("no folder")
    cache = FeatureCache(tmp_path / "file" / "features.sqlite")
    with pytest.warns(UserWarning, match="cannot be used"):
        cache.file.take(other)
    assert cache.file.broken
    again = Means()
    FeatureCache(other).get(again, face_images(3, 16))
    assert again.asked == 0


def test_fixed_chunks_pad_the_last_one() -> None:
    parts = list(fixed_chunks(np.arange(5), 2))
    assert [(rows.start, rows.stop, chunk.tolist()) for rows, chunk in parts] == [
        (0, 2, [0, 1]),
        (2, 4, [2, 3]),
        (4, 5, [4, 4]),
    ]


def test_clips_are_known_by_all_of_their_frames_in_order(tmp_path: Path) -> None:
    class Last(ClipExtractor):
        """A clip's first and last red value; counts the clips that it was asked for."""

        name, signature, asked = "last", "last:1", 0

        def extract(self, clips: np.ndarray) -> np.ndarray:
            check_clips(self, clips)
            self.asked += len(clips)
            return clips[:, [0, -1], 0, 0, 0].astype(np.float32)

    extractor, cache = Last(), FeatureCache(tmp_path / "features.sqlite")
    frames = np.arange(6, dtype=np.uint8)[:, None, None, None] * np.ones((6, 4, 4, 3), np.uint8)
    found = cache.get_clips(extractor, frames, 3)
    assert found.values.tolist() == [[0, 2], [3, 5]]
    assert (found.valid.tolist(), found.signature, extractor.asked) == ([True, True], "last:1", 2)
    again = cache.get_clips(extractor, frames[[3, 4, 5, 2, 1, 0, 0, 1, 2]], 3)
    assert again.values.tolist() == [[3, 5], [2, 0], [0, 2]]
    assert extractor.asked == 3
    assert len(cache.get_clips(extractor, frames[:0], 3).values) == 0
