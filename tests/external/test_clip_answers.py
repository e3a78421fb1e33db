"""Clips of other programs: frames, animations, videos; whole ones are read exactly, all others refused."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fesbench.cli.evaluate import show_submission
from fesbench.errors import DataError
from fesbench.external.clip_answers import WrongLengthError, WrongSizeError, read_clip
from fesbench.external.submission import Submission, read_submission, write_answers

SIZE, LENGTH = 16, 5
TABLE = pd.DataFrame(
    {
        "request": ["s_1", "s_2", "e_1"],
        "task": ["sequence", "sequence", "expression"],
        "domain": "in",
        "length": [LENGTH, LENGTH, 1],
    }
)


def moving(length: int = LENGTH, size: int = SIZE) -> np.ndarray:
    """A clip of noise, which no codec keeps by chance."""
    return np.random.default_rng(length).integers(0, 256, (length, size, size, 3), dtype=np.uint8)


def few_colors(length: int = LENGTH) -> np.ndarray:
    """A bright bar that moves over a gray ground: few enough colors for a palette."""
    clip = np.full((length, SIZE, SIZE, 3), 40, dtype=np.uint8)
    for place in range(length):
        clip[place, :, 2 * place : 2 * place + 3] = (250, 40 * place, 10)
    return clip


def animate(path: Path, clip: np.ndarray, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    first, *others = (Image.fromarray(frame) for frame in clip)
    kept = {"lossless": True} if path.suffix == ".webp" else {}
    first.save(path, save_all=True, append_images=others, **{"duration": 40, **kept, **options})
    return path


def read(path: Path, length: int = LENGTH) -> np.ndarray:
    return read_clip(path, path.name, length, SIZE)


def test_frames_and_lossless_webp_are_read_bit_by_bit(tmp_path: Path) -> None:
    clip = moving()
    write_answers({"s_1": clip}, tmp_path)
    assert sorted(path.name for path in (tmp_path / "s_1").iterdir()) == [
        f"000{k}.png" for k in range(LENGTH)
    ]
    assert np.array_equal(read(tmp_path / "s_1"), clip)
    assert np.array_equal(read(animate(tmp_path / "s_2.webp", clip)), clip)


def test_a_gif_of_few_colors_is_read_exactly_also_where_it_stores_differences(tmp_path: Path) -> None:
    clip = few_colors()
    for optimize in (False, True):
        assert np.array_equal(read(animate(tmp_path / "s_1.gif", clip, optimize=optimize)), clip)


@pytest.mark.parametrize("suffix", [".webp", ".gif"])
def test_equal_frames_that_were_merged_are_told_apart_by_how_long_they_last(
    suffix: str, tmp_path: Path
) -> None:
    clip = few_colors()[[0, 0, 1, 2, 2]]
    path = animate(tmp_path / f"s_1{suffix}", clip)
    with Image.open(path) as image:
        assert image.n_frames == 3
    assert np.array_equal(read(path), clip)


@pytest.mark.parametrize("suffix", [".webp", ".gif"])
def test_another_length_size_or_kind_is_refused(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"s_1{suffix}"
    for length in (LENGTH - 1, LENGTH + 1, 1):
        with pytest.raises(WrongLengthError, match=rf"has {length} frames, the protocol wants {LENGTH}"):
            read(animate(path, few_colors(length)))
    # ten frames are asked for, and five evenly timed ones are not ten
    with pytest.raises(WrongLengthError, match="merge equal frames"):
        read(animate(path, few_colors()), 2 * LENGTH)
    with pytest.raises(WrongLengthError):
        read(animate(path, few_colors()[[0, 1, 2]], duration=[40, 40, 600_000]))
    with pytest.raises(WrongSizeError, match="is 8x8, the protocol wants 16x16"):
        read(animate(path, moving(size=8)))
    Image.fromarray(moving()[0]).save(path, format="PNG")
    with pytest.raises(DataError, match="is a PNG file"):
        read(path)


@pytest.mark.parametrize("suffix", [".webp", ".gif"])
def test_a_file_that_is_cut_anywhere_is_refused(suffix: str, tmp_path: Path) -> None:
    path = animate(tmp_path / f"s_1{suffix}", moving())
    clip, whole = read(path), path.read_bytes()
    for kept in range(0, len(whole) - 8, len(whole) // 23):
        path.write_bytes(whole[:kept])
        with pytest.raises(DataError):
            read(path)
    # behind the last frame stands only an end mark, which a GIF may lack
    for kept in range(len(whole) - 8, len(whole)):
        path.write_bytes(whole[:kept])
        try:
            assert np.array_equal(read(path), clip), kept
        except DataError:
            continue


def test_frames_that_are_missing_too_many_broken_or_of_another_size_are_named(tmp_path: Path) -> None:
    folder = tmp_path / "s_1"
    write_answers({"s_1": moving()}, tmp_path)
    (folder / ".DS_Store").write_bytes(b"not looked at")
    (folder / "0003.png").rename(folder / "0005.png")
    with pytest.raises(WrongLengthError, match=r"s_1/ must hold 0000.png to 0004.png: 0003.png is missing; "):
        read(folder)
    (folder / "0005.png").rename(folder / "0003.png")
    Image.fromarray(moving(size=8)[0]).save(folder / "0002.png")
    with pytest.raises(WrongSizeError, match=r"s_1/0002.png is 8x8, the protocol wants 16x16"):
        read(folder)
    for name in ("0001.png", "0004.png"):
        (folder / name).write_bytes((folder / name).read_bytes()[:60])
    with pytest.raises(DataError, match=r"0001.png is truncated.*; .*0004.png is truncated"):
        read(folder)
    animate(folder / "0001.png", moving(), format="GIF")
    with pytest.raises(DataError, match=r"0001.png holds several images"):
        read(folder)


def submitted(folder: Path) -> Submission:
    return read_submission(folder, TABLE, SIZE)


def test_a_folder_mixes_images_frames_and_files(tmp_path: Path) -> None:
    still, clip = moving()[0], few_colors()
    write_answers({"s_1": clip, "e_1": still}, tmp_path)
    animate(tmp_path / "s_2.gif", clip)
    found = submitted(tmp_path)
    assert found.fault() == ""
    assert np.array_equal(found.images["s_1"], clip)
    assert np.array_equal(found.images["s_2"], clip)
    assert found.identical == 1
    assert np.array_equal(found.stack(), still[None])
    assert found.warning.startswith("GIF (256 colors a frame)")
    assert found.warning.endswith("lossless WebP for s_2")
    write_answers({"s_2": clip}, tmp_path)
    (tmp_path / "s_2.gif").unlink()
    assert submitted(tmp_path).warning == ""


def test_every_fault_of_a_clip_is_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    animate(tmp_path / "s_1.webp", moving(LENGTH - 1))
    (tmp_path / "s_2.gif").write_bytes(b"GIF89a")
    (tmp_path / "s_3").mkdir()
    (tmp_path / "s_3" / "0000.png").write_bytes(b"")
    found = submitted(tmp_path)
    assert found.wrong_length == {
        "s_1": "s_1.webp has 4 frames, the protocol wants 5; programs merge equal frames: "
        "write .png frames instead"
    }
    assert list(found.unreadable) == ["s_2"]
    assert found.extra == ["s_3/0000.png"]
    assert show_submission(found, as_json=False) == 2
    assert "of the wrong length: 1\n  s_1.webp has 4 frames" in capsys.readouterr().out
    (tmp_path / "s_3" / "0000.png").unlink()
    (tmp_path / "s_3").rmdir()
    with pytest.raises(DataError, match=r"^2 of 2 images and clips in .* cannot be scored: .*s_2.gif"):
        submitted(tmp_path).stack()
    (tmp_path / "s_2.gif").unlink()
    assert f"{tmp_path}: 1 of 2 images and clips are missing: s_2/" in submitted(tmp_path).fault()
    (tmp_path / "s_2").mkdir()
    assert submitted(tmp_path).missing == ["s_2"]
    (tmp_path / "s_2.avi").write_bytes(b"RIFF")
    assert submitted(tmp_path).extra == ["s_2.avi"]
    animate(tmp_path / "s_1.gif", few_colors())
    assert submitted(tmp_path).double == ["s_1"]


def test_a_video_wants_an_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(DataError, match=r"pip install 'fesbench\[video\]'"):
        read(tmp_path / "s_1.mp4")


def test_a_video_is_read_frame_by_frame_and_a_cut_one_is_refused(tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    path, clip = tmp_path / "s_1.mp4", few_colors()
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width = stream.height = SIZE
        stream.pix_fmt, stream.bit_rate = "yuv420p", 10**6
        for frame in clip:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    found = read(path)
    assert found.shape == clip.shape
    assert np.abs(found.astype(int) - clip).mean() < 12
    with pytest.raises(WrongLengthError, match="has 5 frames, the protocol wants 6"):
        read(path, LENGTH + 1)
    with pytest.raises(WrongLengthError, match="has more frames than the 4 that are wanted"):
        read(path, LENGTH - 1)
    with pytest.raises(WrongSizeError, match="is 16x16, the protocol wants 8x8"):
        read_clip(path, path.name, LENGTH, 8)
    whole = path.read_bytes()
    for kept in (0, 20, len(whole) // 2):
        path.write_bytes(whole[:kept])
        with pytest.raises(DataError):
            read(path)
    pixels = whole.index(b"mdat") + 120
    path.write_bytes(whole[:pixels] + bytes([255] * 40) + whole[pixels + 40 :])
    with pytest.raises(DataError, match="damaged"):
        read(path)
