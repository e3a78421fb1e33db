"""What every layout has in common: what can be asked of it, and how a bad request is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fesbench.data.layouts.plain import empty_folder
from fesbench.errors import DataError

Progress = Callable[[int, int, str], None]
"""(images done, images in all, what is being done)."""


@dataclass(frozen=True)
class Request:
    """A folder to write; see `Layout`."""

    out: Path
    identities: int
    size: int
    seed: int
    generation: str
    progress: Progress | None

    def folder(self) -> Path:
        """The folder, made; a layout asks for it when it has nothing more to refuse."""
        return empty_folder(self.out)

    def tell(self, done: int, total: int, what: str) -> None:
        """Pass on how far the writing is."""
        if self.progress is not None:
            self.progress(done, total, what)


@dataclass(frozen=True)
class Layout:
    """How one data set lies on disk, and who writes avatars out in that way.

    Attributes:
        fill: writes a request's files.
        identities: how many subjects a folder gets where nobody says.
        least, most: how many it can have; None = any number.
        size, sizes: width of the images in pixels where nobody says, and the smallest and the largest.
        generations: the forms in which copies are found, the usual one first.
        what: what the subjects are called.
        why: why there must be so many.
    """

    fill: Callable[..., None]
    identities: int
    size: int
    least: int = 1
    most: int | None = None
    sizes: tuple[int, int] = (16, 1024)
    generations: tuple[str, ...] = ("plain",)
    what: str = "subjects"
    why: str = ""

    def __call__(
        self,
        out: Path,
        *,
        identities: int | None = None,
        size: int | None = None,
        seed: int = 0,
        generation: str | None = None,
        progress: Progress | None = None,
        **more: Any,
    ) -> Path:
        """Write avatars in this layout.

        Args:
            out: an empty or new folder.
            identities: how many subjects.
            size: width of the images in pixels.
            seed: of the avatar family.
            generation: one of ``generations``.
            progress: called with (done, total, what).
            more: what this layout alone can be asked.

        Returns:
            ``out``, to be given to ``fesbench data prepare NAME --from``.

        Raises:
            DataError: a number out of its range, a folder that is not empty or not writable, a full disk.
        """
        number = self.identities if identities is None else identities
        size = self.size if size is None else size
        chosen = generation or self.generations[0]
        if chosen not in self.generations:
            raise DataError(f"generation must be one of {', '.join(self.generations)}, not '{chosen}'")
        if self.most is not None and not self.least <= number <= self.most:
            raise DataError(
                f"a folder of this layout holds {self.least} to {self.most} {self.what}, not {number}"
            )
        if number < self.least:
            what = self.what if self.least > 1 else self.what.removesuffix("s")
            raise DataError(f"this layout needs {self.least} {what} or more{self.why}, not {number}")
        if not self.sizes[0] <= size <= self.sizes[1]:
            low, high = self.sizes
            raise DataError(f"images in this layout must be {low} to {high} pixels wide, not {size}")
        self.fill(Request(Path(out), number, size, seed, chosen, progress), **more)
        return Path(out)


def laid(**how: Any) -> Callable[[Callable[..., None]], Layout]:
    """Make a `Layout` of the function that fills its folder."""
    return lambda fill: Layout(fill, **how)
