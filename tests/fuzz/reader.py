"""What the fuzzed readers have in common."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Reader:
    """One parser of files that others wrote.

    Attributes:
        name: for the test's id.
        file: under which the content is written, below a folder of its own.
        seeds: valid contents; may write neighbors into that folder.
        read: everything that a program does to use the file, so that a value it returns is a valid one.
        tree: the contents are JSON.
        share: of the examples, one in so many; more for slow readers.
        packed: puts a spoiled content into its wrapping (a zip, a checksum), which is whole.
    """

    name: str
    file: str
    seeds: Callable[[Path], list[bytes]]
    read: Callable[[Path], object]
    tree: bool = False
    share: int = 1
    packed: Callable[[bytes], bytes] = bytes
