"""What a folder of images and clips answers: each read, every fault named, before any is scored."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fesbench.data.views import ImageRows, OnDemand, ith_range
from fesbench.errors import DataError, UsageError
from fesbench.external.clip_answers import FILES, FRAMES, WrongLengthError, WrongSizeError, read_clip
from fesbench.protocol.tasks import outputs_of

if TYPE_CHECKING:
    import pandas as pd

SUFFIX = ".png"
CLIP = 4
"""Axes of a clip; an image has one less."""
_LISTED = 10
_GROUP = ["task", "domain"]


@dataclass
class Submission:
    """A folder held against a request table.

    Attributes:
        folder: with ``<request>.png``, or a folder ``<request>`` that holds one ``.png`` of any name; for a
            clip a folder ``<request>`` with its frames, or ``<request>`` as .webp, .gif or .mp4.
        requests: the table.
        size: side of an image.
        images: request -> image uint8 (S, S, 3), or clip (T, S, S, 3), those that can be scored; read again
            where they are many.
        places: request -> its file, or its folder of frames, where that is not ``<request>.png``.
        extra: files and folders that answer no request.
        double: requests with more than one file.
        wrong_size: request -> its size in words.
        wrong_length: request of a clip -> its frames in words.
        unreadable: request -> why.
        lossy: requests that a GIF or an mp4 answers.
    """

    folder: Path
    requests: pd.DataFrame
    size: int
    images: OnDemand
    places: dict[str, Path] = field(default_factory=dict)
    extra: list[str] = field(default_factory=list)
    double: list[str] = field(default_factory=list)
    wrong_size: dict[str, str] = field(default_factory=dict)
    wrong_length: dict[str, str] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)
    lossy: list[str] = field(default_factory=list)

    @property
    def given(self) -> set[str]:
        """Requests that have a file, good or not."""
        return {*self.images, *self.double, *self.wrong_size, *self.wrong_length, *self.unreadable}

    @property
    def clips(self) -> set[str]:
        """Requests that ask for a clip."""
        return set(self.requests["request"][outputs_of(self.requests) == "clip"])

    @property
    def warning(self) -> str:
        """What does not keep the folder from being scored, in a sentence; "" = nothing."""
        if not self.lossy:
            return ""
        return (
            "GIF (256 colors a frame) and mp4 (compressed with loss) cost quality; write .png frames or "
            f"lossless WebP for {listed(self.lossy)}"
        )

    @property
    def chosen(self) -> pd.DataFrame:
        """The requests of every task and domain that any file answers: each must be answered whole."""
        return _whole_groups(self.requests, self.given)

    @property
    def missing(self) -> list[str]:
        """Requests without a file, of the tasks that are answered."""
        asked = self.chosen["request"]
        return asked[~asked.isin(self.given)].tolist()

    @property
    def identical(self) -> int:
        """How many images are equal to an earlier one."""
        return len(self.images) - len(
            {hashlib.sha256(image.tobytes()).digest() for image in self.images.values()}
        )

    def fault(self) -> str:
        """The first kind of fault that keeps the folder from being scored, in a sentence; "" = none."""
        wrong = {**self.unreadable, **self.wrong_length, **self.wrong_size}
        clips = self.clips
        answers = "clips" if clips >= set(self.requests["request"]) else "images"
        answers = "images and clips" if clips and answers == "images" else answers
        if self.double:
            return f"{self.folder}: more than one file for {listed(self.double)}; keep one answer a request"
        if self.extra:
            return (
                f"{self.folder}: {len(self.extra)} files answer no request: {listed(self.extra)}; "
                "'fesbench protocols requests' lists the wanted names (mind --budget, --size and --data)"
            )
        if not self.given:
            return f"{self.folder} holds none of the {len(self.requests)} requested {answers}"
        if missing := self.missing:
            names = listed([f"{name}/" if name in clips else f"{name}.png" for name in missing])
            return f"{self.folder}: {len(missing)} of {len(self.chosen)} {answers} are missing: {names}"
        if wrong:
            shown = "; ".join(list(wrong.values())[:_LISTED]) + _more(len(wrong))
            return f"{len(wrong)} of {len(self.chosen)} {answers} in {self.folder} cannot be scored: {shown}"
        return ""

    def stack(self) -> ImageRows:
        """The images of `chosen` in its order, without the clips: uint8 (N, S, S, 3).

        Raises:
            DataError: the folder cannot be scored.
        """
        if fault := self.fault():
            raise DataError(fault)
        clips = self.clips
        return ImageRows(self.images, [n for n in self.chosen["request"] if n not in clips], self.size)

    def report(self) -> dict[str, Any]:
        """Everything that was found, for a program."""
        tasks = [
            {
                "task": task,
                "domain": domain,
                "wanted": len(rows),
                "present": int(rows["request"].isin(self.given).sum()),
            }
            for (task, domain), rows in self.requests.groupby(_GROUP, sort=False)
        ]
        return {
            "folder": str(self.folder),
            "size": self.size,
            "tasks": tasks,
            "missing": self.missing,
            "extra": self.extra,
            "double": self.double,
            "wrong_size": self.wrong_size,
            "wrong_length": self.wrong_length,
            "unreadable": self.unreadable,
            "identical": self.identical,
            "warning": self.warning,
            "fault": self.fault(),
        }


def read_submission(
    folder: Path, requests: pd.DataFrame, size: int, share: tuple[int, int] = (1, 1)
) -> Submission:
    """Read every image and clip of a folder, once.

    Args:
        folder: the answers.
        requests: the whole table.
        size: side of an image.
        share: (i, n) = look only for the i-th of n ranges of each task and domain that is answered.

    Raises:
        UsageError: the folder does not exist.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder; give the folder that holds <request>.png images")
    entries: dict[str, list[str]] = {}
    with os.scandir(folder) as listing:  # a path object of each would take more memory than all else
        shown = sorted((entry.name, entry.is_dir()) for entry in listing if not entry.name.startswith("."))
    for file, is_folder in shown:
        entries.setdefault(file if is_folder else Path(file).stem, []).append(file)
    if share != (1, 1):
        requests = _whole_groups(requests, entries)
        groups = requests.groupby(_GROUP, sort=False).indices.values()
        mine = np.sort(np.concatenate([ith_range(rows, share) for rows in groups] or [np.zeros(0, int)]))
        requests = requests.iloc[mine].reset_index(drop=True)
        names = set(requests["request"])
        entries = {name: paths for name, paths in entries.items() if name in names}
    asked = requests[outputs_of(requests) == "clip"]
    lengths = dict(zip(asked["request"], asked["length"].astype(int), strict=True)) if len(asked) else {}
    found = Submission(folder, requests, size, OnDemand(lambda name: _read(found, name, lengths.get(name))))
    wanted = set(requests["request"])
    for name, held in entries.items():
        paths = [folder / file for file in held]
        if name in lengths:
            _take_clip(found, name, paths, lengths[name])
        else:
            files = [file for path in paths for file in (_visible(path) if path.is_dir() else [path])]
            _take_image(found, name, sorted(files), wanted=name in wanted)
    return found


def _whole_groups(requests: pd.DataFrame, names: Collection[str]) -> pd.DataFrame:
    """The requests of every task and domain of which any is among the names."""
    answered = requests["request"].isin(names)
    whole = answered.groupby([requests[name] for name in _GROUP]).transform("any")
    return requests[whole].reset_index(drop=True)


def _read(found: Submission, name: str, length: int | None) -> np.ndarray:
    """What was found under a request's name; ``length`` of a clip, None of an image."""
    from fesbench.data.images import read_image

    path = found.places.get(name, found.folder / f"{name}{SUFFIX}")
    return read_image(path) if length is None else read_clip(path, path.name, length, found.size)


def _take_image(found: Submission, name: str, paths: list[Path], *, wanted: bool) -> None:
    """Read what lies under the name of an image, or under a name that nothing asks for."""
    size = found.size
    shown = [str(path.relative_to(found.folder)) for path in paths]
    if len(paths) > 1 and (wanted or all(path.parent == found.folder for path in paths)):
        found.double.append(name)
    elif not wanted or any(path.suffix != SUFFIX for path in paths):
        found.extra += shown or [name]
    elif paths:
        if paths[0].parent != found.folder:
            found.places[name] = paths[0]
        try:
            image = _read(found, name, None)
        except DataError as error:
            found.unreadable[name] = str(error)
            return
        height, width = image.shape[:2]
        if (height, width) == (size, size):
            found.images.add(name, image)
        else:
            found.wrong_size[name] = f"{shown[0]} is {width}x{height}, the protocol wants {size}x{size}"


def _take_clip(found: Submission, name: str, paths: list[Path], length: int) -> None:
    """Read what lies under the name of a clip: a folder or a file."""
    paths = [path for path in paths if not path.is_dir() or any(_visible(path))]
    if len(paths) > 1:
        found.double.append(name)
        return
    for path in paths:
        if not path.is_dir() and path.suffix not in FILES:
            found.extra.append(path.name)
            continue
        found.places[name] = path
        try:
            found.images.add(name, _read(found, name, length))
        except WrongLengthError as error:
            found.wrong_length[name] = str(error)
        except WrongSizeError as error:
            found.wrong_size[name] = str(error)
        except DataError as error:
            found.unreadable[name] = str(error)
        if path.suffix in (".gif", ".mp4"):
            found.lossy.append(name)


def _visible(folder: Path) -> Iterator[Path]:
    return (path for path in folder.iterdir() if not path.name.startswith("."))


def listed(names: list[str]) -> str:
    """The first names, and how many more there are."""
    return ", ".join(names[:_LISTED]) + _more(len(names))


def _more(count: int) -> str:
    return f" and {count - _LISTED} more" if count > _LISTED else ""


def write_answers(answers: Mapping[str, np.ndarray], folder: Path) -> None:
    """Write images as ``<request>.png``, clips as ``<request>/0000.png`` and so on, 8-bit RGB.

    Raises:
        DataError: the disk is full or the folder not writable.
    """
    from PIL import Image

    from fesbench.files import writing

    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for name, made in answers.items():
            files = [f"{name}.png"]
            if made.ndim == CLIP:
                (folder / name).mkdir(exist_ok=True)
                files = [f"{name}/{FRAMES % frame}" for frame in range(len(made))]
            for file, image in zip(files, made.reshape(-1, *made.shape[-3:]), strict=True):
                Image.fromarray(image).save(folder / file, compress_level=1)
