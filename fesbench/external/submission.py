"""What a folder of images answers: each file read once, every fault by name, before anything is scored."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fesbench.errors import DataError, UsageError

if TYPE_CHECKING:
    import pandas as pd

SUFFIX = ".png"
_LISTED = 10
_GROUP = ["task", "domain"]


@dataclass
class Submission:
    """A folder held against a request table.

    Attributes:
        folder: with ``<request>.png``, or a folder ``<request>`` that holds one ``.png`` of any name.
        requests: the table.
        size: side of an image.
        images: request -> image uint8 (S, S, 3), those that can be scored.
        extra: files and folders that answer no request.
        double: requests with more than one file.
        wrong_size: request -> its size in words.
        unreadable: request -> why.
    """

    folder: Path
    requests: pd.DataFrame
    size: int
    images: dict[str, np.ndarray] = field(default_factory=dict)
    extra: list[str] = field(default_factory=list)
    double: list[str] = field(default_factory=list)
    wrong_size: dict[str, str] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)

    @property
    def given(self) -> set[str]:
        """Requests that have a file, good or not."""
        return {*self.images, *self.double, *self.wrong_size, *self.unreadable}

    @property
    def chosen(self) -> pd.DataFrame:
        """The requests of every task and domain that any file answers: each must be answered whole."""
        answered = self.requests["request"].isin(self.given)
        groups = self.requests[_GROUP].apply(tuple, axis=1)
        return self.requests[groups.isin(set(groups[answered]))].reset_index(drop=True)

    @property
    def missing(self) -> list[str]:
        """Requests without a file, of the tasks that are answered."""
        return [name for name in self.chosen["request"] if name not in self.given]

    @property
    def identical(self) -> int:
        """How many images are equal to an earlier one."""
        return len(self.images) - len({image.tobytes() for image in self.images.values()})

    def fault(self) -> str:
        """The first kind of fault that keeps the folder from being scored, in a sentence; "" = none."""
        wrong = {**self.unreadable, **self.wrong_size}
        if self.double:
            return f"{self.folder}: more than one file for {listed(self.double)}; keep one .png a request"
        if self.extra:
            return (
                f"{self.folder}: {len(self.extra)} files answer no request: {listed(self.extra)}; "
                "'fesbench protocols requests' lists the wanted names (mind --budget, --size and --data)"
            )
        if not self.given:
            return f"{self.folder} holds none of the {len(self.requests)} requested images"
        if self.missing:
            names = listed([f"{name}.png" for name in self.missing])
            return f"{self.folder}: {len(self.missing)} of {len(self.chosen)} images are missing: {names}"
        if wrong:
            shown = "; ".join(list(wrong.values())[:_LISTED]) + _more(len(wrong))
            return f"{len(wrong)} of {len(self.chosen)} images in {self.folder} cannot be scored: {shown}"
        return ""

    def stack(self) -> np.ndarray:
        """The images of `chosen` in its order, uint8 (N, S, S, 3).

        Raises:
            DataError: the folder cannot be scored.
        """
        if fault := self.fault():
            raise DataError(fault)
        return np.stack([self.images[name] for name in self.chosen["request"]])

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
            "unreadable": self.unreadable,
            "identical": self.identical,
            "fault": self.fault(),
        }


def read_submission(folder: Path, requests: pd.DataFrame, size: int) -> Submission:
    """Read every image of a folder, once.

    Raises:
        UsageError: the folder does not exist.
    """
    from fesbench.data.images import read_image

    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder; give the folder that holds <request>.png images")
    found = Submission(folder, requests, size)
    files: dict[str, list[Path]] = {}
    for path in sorted(_visible(folder)):
        name = path.name if path.is_dir() else path.stem
        files.setdefault(name, []).extend(sorted(_visible(path)) if path.is_dir() else [path])
    wanted = set(requests["request"])
    for name, paths in files.items():
        shown = [str(path.relative_to(folder)) for path in paths]
        if len(paths) > 1 and (name in wanted or all(path.parent == folder for path in paths)):
            found.double.append(name)
        elif name not in wanted or any(path.suffix != SUFFIX for path in paths):
            found.extra += shown or [name]
        elif paths:
            try:
                image = read_image(paths[0])
            except DataError as error:
                found.unreadable[name] = str(error)
                continue
            height, width = image.shape[:2]
            if (height, width) == (size, size):
                found.images[name] = image
            else:
                found.wrong_size[name] = f"{shown[0]} is {width}x{height}, the protocol wants {size}x{size}"
    return found


def _visible(folder: Path) -> Iterator[Path]:
    return (path for path in folder.iterdir() if not path.name.startswith("."))


def listed(names: list[str]) -> str:
    """The first names, and how many more there are."""
    return ", ".join(names[:_LISTED]) + _more(len(names))


def _more(count: int) -> str:
    return f" and {count - _LISTED} more" if count > _LISTED else ""
