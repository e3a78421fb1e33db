"""A clip of another program: a folder of frames, an animated file or a video, read whole or refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fesbench.data.images import read_image, reading, to_rgb
from fesbench.errors import DataError

FRAMES = "%04d.png"
"""Names of a clip's frames, from 0 on."""
_ANIMATED = {".webp": "WEBP", ".gif": "GIF"}
FILES = (*_ANIMATED, ".mp4")
"""Suffixes of files that may hold a clip."""
_LISTED = 5
_UNEVEN = 0.1
"""How far a frame may last from a whole number of steps, as a share of a step."""


class WrongSizeError(DataError):
    """Frames of another size than the protocol's."""


class WrongLengthError(DataError):
    """Too few or too many frames, or others than those that are asked for."""


def read_clip(path: Path, name: str, length: int, size: int) -> np.ndarray:
    """The frames of one clip, uint8 (length, size, size, 3).

    Args:
        path: a folder with ``0000.png`` and so on, or a file of `FILES`.
        name: of the path, for messages.
        length: frames that are asked for.
        size: pixels.

    Raises:
        WrongLengthError: other frames than those that are asked for.
        WrongSizeError: a frame of another size.
        DataError: a frame that cannot be read.
    """
    if path.is_dir():
        return _frames(path, name, length, size)
    return (_animation if path.suffix in _ANIMATED else _video)(path, name, length, size)


def _frames(folder: Path, name: str, length: int, size: int) -> np.ndarray:
    wanted = [FRAMES % place for place in range(length)]
    present = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
    faults = [f"{frame} is missing" for frame in wanted if frame not in present]
    faults += [f"{other} is not asked for" for other in sorted(present - set(wanted))]
    if faults:
        raise WrongLengthError(f"{name}/ must hold {wanted[0]} to {wanted[-1]}: {_listed(faults)}")
    frames, broken, odd = [], [], []
    for frame in wanted:
        try:
            image = read_image(folder / frame)
        except DataError as error:
            broken.append(str(error))
            continue
        frames.append(image)
        if image.shape[:2] != (size, size):
            odd.append(f"{name}/{frame} is {image.shape[1]}x{image.shape[0]}")
    if broken:
        raise DataError(_listed(broken))
    if odd:
        raise WrongSizeError(f"{_listed(odd)}, the protocol wants {size}x{size}")
    return np.stack(frames)


def _animation(path: Path, name: str, length: int, size: int) -> np.ndarray:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); check its permissions") from None
    with reading(content, str(path)) as image:
        if image.format != _ANIMATED[path.suffix]:
            raise DataError(f"{path} is a {image.format} file; name it so, or write what its name says")
        if image.size != (size, size):
            shown = "x".join(map(str, image.size))
            raise WrongSizeError(f"{name} is {shown}, the protocol wants {size}x{size}")
        count = getattr(image, "n_frames", 1)
        frames, lasting = [], []
        for place in range(min(count, length)):
            image.seek(place)
            image.load()
            frames.append(to_rgb(image, str(path)))
            if frames[-1].shape[:2] != (size, size):
                raise DataError(f"{path}: frame {place} is of another size; copy the file again")
            lasting.append(float(image.info.get("duration", 0)))
    times = _steps(lasting) if count < length else [1] * count
    if sum(times) != length:
        merged = "; programs merge equal frames: write .png frames instead" if count < length else ""
        raise WrongLengthError(f"{name} has {count} frames, the protocol wants {length}{merged}")
    return np.stack([frame for frame, once in zip(frames, times, strict=True) for _ in range(once)])


def _video(path: Path, name: str, length: int, size: int) -> np.ndarray:
    try:
        import av
    except ImportError:
        raise DataError(
            f"{path}: PyAV reads .mp4 files; pip install 'fesbench[video]', or write .png frames"
        ) from None
    frames: list[np.ndarray] = []
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            if stream.codec_context is None:
                raise DataError(f"{path} is damaged (of no known coding); copy the file again")
            # otherwise it paints over what is broken
            stream.codec_context.options = {"err_detect": "explode"}
            for frame in container.decode(stream):
                if frame.is_corrupt:
                    raise DataError(f"{path}: frame {len(frames)} is damaged; copy the file again")
                if (frame.width, frame.height) != (size, size):
                    shown = f"{frame.width}x{frame.height}"
                    raise WrongSizeError(f"{name} is {shown}, the protocol wants {size}x{size}")
                if len(frames) == length:
                    raise WrongLengthError(f"{name} has more frames than the {length} that are wanted")
                frames.append(frame.to_ndarray(format="rgb24"))
    except (av.FFmpegError, IndexError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is truncated or damaged ({error}); copy the file again") from None
    if len(frames) != length:
        raise WrongLengthError(f"{name} has {len(frames)} frames, the protocol wants {length}")
    return np.stack(frames)


def _steps(lasting: list[float]) -> list[int]:
    """How many frames each frame stands for, where a program merged equal ones into one that lasts longer.

    Args:
        lasting: of each frame, in any unit; the shortest is one step.

    >>> _steps([40, 120, 40]), _steps([40, 100]), _steps([0, 0])
    ([1, 3, 1], [1, 1], [1, 1])
    """
    step = min(lasting)
    times = [one / step if step > 0 else 1.0 for one in lasting]
    even = all(abs(one - round(one)) <= _UNEVEN for one in times)
    return [round(one) if even else 1 for one in times]


def _listed(faults: list[str]) -> str:
    more = f"; and {len(faults) - _LISTED} more" if len(faults) > _LISTED else ""
    return "; ".join(faults[:_LISTED]) + more
