from __future__ import annotations

import hashlib
import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from fesbench.data.images import decode_image, load_image, read_image
from fesbench.errors import DataError

RGB = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)


def encoded(image: Image.Image, kind: str = "PNG", **how: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **how)
    return stream.getvalue()


PNG = encoded(Image.fromarray(RGB))
JPEG = encoded(Image.fromarray(RGB), "JPEG")


def test_rgb_and_its_hash(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(PNG)
    image, sha256 = load_image(tmp_path / "a.png")
    assert np.array_equal(image, RGB)
    assert image.dtype == np.uint8
    assert image.flags.writeable
    assert sha256 == hashlib.sha256(PNG).hexdigest()


def test_gray_and_bilevel_become_rgb() -> None:
    gray = RGB[..., 0]
    assert np.array_equal(decode_image(encoded(Image.fromarray(gray)), "g"), np.repeat(gray[..., None], 3, 2))
    black = decode_image(encoded(Image.fromarray(gray > 128)), "b")
    assert np.array_equal(black[..., 1], np.where(gray > 128, 255, 0))


def test_16_bit_gray_is_scaled_not_clipped() -> None:
    values = np.array([[0, 257, 32768, 65535, 128, 129]], np.uint16)
    image = decode_image(encoded(Image.fromarray(values)), "d")
    # value * 255 / 65535, rounded: 128 is just under half a step, 129 just over
    assert image[0, :, 0].tolist() == [0, 1, 128, 255, 0, 1]
    tiff = decode_image(encoded(Image.fromarray(values), "TIFF"), "t")
    assert np.array_equal(tiff, image)


def test_32_bit_and_float_are_refused() -> None:
    wide = encoded(Image.fromarray(np.array([[0, 70000]], np.int32)), "TIFF")
    with pytest.raises(DataError, match=r"w\.tif holds 32-bit values"):
        decode_image(wide, "w.tif")
    with pytest.raises(DataError, match="floating-point"):
        decode_image(encoded(Image.fromarray(np.zeros((2, 2), np.float32)), "TIFF"), "f.tif")


def test_palette_is_looked_up() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putdata([1, 0])
    assert decode_image(encoded(image), "p").tolist() == [[[200, 100, 50], [10, 20, 30]]]


def test_transparency_is_composited_on_white() -> None:
    rgba = np.array([[[200, 0, 0, 255], [200, 0, 0, 0], [0, 0, 0, 128]]], np.uint8)
    image = decode_image(encoded(Image.fromarray(rgba)), "r")
    assert image.tolist() == [[[200, 0, 0], [255, 255, 255], [127, 127, 127]]]
    gray = decode_image(encoded(Image.fromarray(np.array([[[9, 0]]], np.uint8), "LA")), "l")
    assert gray.tolist() == [[[255, 255, 255]]]
    palette = Image.new("P", (2, 1))
    palette.putpalette([10, 20, 30, 200, 100, 50])
    palette.putdata([1, 0])
    assert decode_image(encoded(palette, transparency=0), "p").tolist() == [[[200, 100, 50], [255, 255, 255]]]


def test_cmyk_becomes_rgb() -> None:
    image = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    red = decode_image(encoded(image, "JPEG", quality=95), "c.jpg")
    assert np.abs(red.astype(int) - (255, 0, 0)).max() <= 3


def test_exif_rotation_is_applied() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # shown after a quarter turn clockwise
    image = decode_image(encoded(Image.fromarray(RGB), exif=exif), "e")
    assert np.array_equal(image, np.rot90(RGB, -1))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"x\.png is empty \(0 bytes\)"),
        (b"anger,happy\n1,2\n", r"x\.png is not an image file"),
        (PNG[: len(PNG) // 2], r"x\.png is truncated or damaged"),
        (JPEG[: len(JPEG) - 60], r"x\.png is truncated or damaged"),
        (PNG[:40] + b"\0\0\0\0" + PNG[44:], r"x\.png is not an image file, or its head is damaged"),
    ],
)
def test_bad_files_are_named_with_a_remedy(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "x.png").write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_image(tmp_path / "x.png")


def test_missing_folder_and_animation(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        read_image(tmp_path / "none.png")
    with pytest.raises(DataError, match="is a folder"):
        read_image(tmp_path)
    frames = [Image.fromarray(RGB), Image.fromarray(RGB[::-1].copy())]
    with pytest.raises(DataError, match="several images"):
        decode_image(encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]), "a.gif")


@settings(max_examples=300)
@given(st.sampled_from([PNG, JPEG]), st.data())
def test_damage_never_escapes_as_another_error(whole: bytes, data: st.DataObject) -> None:
    content = bytearray(whole[: data.draw(st.integers(0, len(whole)))])
    for _ in range(data.draw(st.integers(0, 4))):
        if content:
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        image = decode_image(bytes(content), "fuzz")
    except DataError:
        return
    assert image.dtype == np.uint8
    assert image.ndim == 3
