"""Reading any image file as uint8 RGB, or saying in one sentence why not.

What is done to which file: gray, 1-bit and YCbCr become RGB; 16-bit gray is scaled to 8 bits (value * 255 /
65535, rounded); palettes are looked up; CMYK is converted; transparent pixels (RGBA, LA, transparent
palettes) are composited on white; the EXIF orientation is applied. Animations and float images are refused.
"""

from __future__ import annotations

import hashlib
import io
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fesbench.errors import DataError
from fesbench.files import writing

if TYPE_CHECKING:
    from PIL import Image

_BROKEN = (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, OverflowError)


def read_image(path: Path) -> np.ndarray:
    """The image in a file: uint8 (H, W, 3) RGB.

    Raises:
        DataError: missing, empty, truncated, no image at all, or of a kind that is refused.
    """
    return load_image(path)[0]


def load_image(path: Path) -> tuple[np.ndarray, str]:
    """The image in a file, uint8 (H, W, 3) RGB, and the file's sha256 (hex).

    Raises:
        DataError: see `read_image`.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path} does not exist") from None
    except IsADirectoryError:
        raise DataError(f"{path} is a folder, not an image file") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); check its permissions") from None
    return decode_image(content, str(path)), hashlib.sha256(content).hexdigest()


def decode_image(content: bytes, name: str) -> np.ndarray:
    """Decode an image file's bytes: uint8 (H, W, 3) RGB; ``name`` is for messages.

    Raises:
        DataError: see `read_image`.

    >>> decode_image(b"P5 2 1 255 \\x00\\xff", "two.pgm").tolist()
    [[[0, 0, 0], [255, 255, 255]]]
    """
    with reading(content, name) as image:
        if getattr(image, "is_animated", False) and image.format in ("GIF", "PNG", "WEBP", "TIFF"):
            raise DataError(f"{name} holds several images; give one image a file")
        image.load()
        return to_rgb(image, name)


@contextmanager
def reading(content: bytes, name: str) -> Iterator[Image.Image]:
    """An image file's bytes, opened; whatever is wrong with them while it is read is said in one sentence.

    Raises:
        DataError: empty, truncated, no image at all, or enormous.
    """
    from PIL import Image, UnidentifiedImageError

    if not content:
        raise DataError(f"{name} is empty (0 bytes); copy the file again")
    try:
        with warnings.catch_warnings():
            # Pillow warns about metadata that it repairs and about large images; neither changes pixels
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(content)) as image:
                yield image
    except DataError:
        raise
    except UnidentifiedImageError:
        raise DataError(
            f"{name} is not an image file, or its head is damaged; replace or remove it"
        ) from None
    except Image.DecompressionBombError:
        raise DataError(f"{name} claims to be enormous; it is damaged or hostile, replace it") from None
    except (*_BROKEN, struct.error, zlib.error) as error:
        raise DataError(f"{name} is truncated or damaged ({error}); copy the file again") from None


def to_rgb(image: Image.Image, name: str) -> np.ndarray:
    """The pixels of an opened image, uint8 (H, W, 3) RGB; ``name`` is for messages.

    Raises:
        DataError: of a kind that is refused.
    """
    from PIL import Image, ImageOps

    image = ImageOps.exif_transpose(image)
    if image.mode == "F":
        raise DataError(f"{name} holds floating-point values, whose range is unknown; save it as 8-bit PNG")
    if image.mode.startswith("I"):
        return _from_16_bit(np.asarray(image).astype(np.int64), name)
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, rgba)
    return np.array(image.convert("RGB"))


def _from_16_bit(values: np.ndarray, name: str) -> np.ndarray:
    if values.min() < 0 or values.max() > 65535:
        raise DataError(f"{name} holds 32-bit values, whose range is unknown; save it as 8-bit PNG")
    gray = ((values * 255 + 32767) // 65535).astype(np.uint8)
    return np.repeat(gray[..., None], 3, axis=2)


def write_png(path: Path, image: np.ndarray) -> None:
    """Write a uint8 image, (H, W, 3) RGB or (H, W) gray, as PNG.

    Raises:
        DataError: the disk is full or the folder not writable.

    >>> from tempfile import mkdtemp
    >>> path = Path(mkdtemp()) / "gray.png"
    >>> write_png(path, np.array([[7, 9]], np.uint8))
    >>> read_image(path)[0, :, 0].tolist()
    [7, 9]
    """
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "PNG", compress_level=3)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(stream.getvalue())
