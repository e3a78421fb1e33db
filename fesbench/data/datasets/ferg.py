"""FERG-DB: six stylized characters rendered in seven expressions, 256 x 256 pixels, transparent around them.

Images are composited on white. The thousands of images of one character and expression are frames of one
rig, many of them nearly the same, so option ``images`` takes some of each, evenly spaced over the running
numbers, and ``take`` is the rank among those. A neutral and an expressive image of one take do not share
pose or light: they are a pair by character only.

Counts by character are those of a public loader, whose ranges give no names; that they follow the names'
alphabet is inferred. The owner's page says 55,767 images, others 55,769, that loader 55,766.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fesbench.data.datasets.base import DatasetAdapter, Facts
from fesbench.data.datasets.listing import Found, ListedImage, ListedPlan, counts, partial, scan, unknown
from fesbench.errors import DataError
from fesbench.vocabulary import canonical_expression

CHARACTERS = {"aia": 7558, "bonnie": 10003, "jules": 7579, "malcolm": 11270, "mery": 8601, "ray": 10755}
"""Images by character (see the module's text on their order)."""

EXPRESSIONS = ("anger", "disgust", "fear", "joy", "neutral", "sadness", "surprise")
"""As the folders spell them."""

_FILE = re.compile(
    rf"(?P<who>{'|'.join(CHARACTERS)})/(?P=who)_(?P<what>{'|'.join(EXPRESSIONS)})/"
    r"(?P=who)_(?P=what)_(?P<number>\d+)\.png",
    re.IGNORECASE,
)
_DOCUMENTS = re.compile(r"[^/]+\.(?:pdf|txt|zip|md|html?|csv)", re.IGNORECASE)


class FergAdapter(DatasetAdapter):
    """See the module's text. Option ``images``: of each character and expression; 0 = all."""

    name = "ferg"
    title = "FERG-DB: 55,767 renders of six stylized characters with seven expressions"
    access = (
        "It is given to those who fill in the form of the Graphics and Imaging Laboratory of the University "
        "of Washington; its terms are not on the page"
    )
    license = "by form; terms are not published, so no image is shown in reports"
    citation = "Aneja, Colburn, Faigin, Shapiro, Mones. Modeling stylized character expressions. ACCV, 2016"
    homepage = "http://grail.cs.washington.edu/projects/deepexpr/ferg-2d-db.html"
    layout = """  DIR/aia/aia_anger/aia_anger_1.png
  DIR/<character>/<character>_<expression>/<character>_<expression>_<number>.png
DIR may be FERG_DB_256 or the folder above it; characters: aia, bonnie, jules, malcolm, mery, ray."""
    serves = "seven labels of six drawn characters"
    alignment = "none@1"
    expected = {  # noqa: RUF012 - read only
        "characters": len(CHARACTERS),
        "expressions": len(EXPRESSIONS),
        "images": sum(CHARACTERS.values()),
        **CHARACTERS,
    }
    allowed = {"images": 0}  # noqa: RUF012 - read only
    defaults = {"images": 100}  # noqa: RUF012 - read only

    def plan(self, source: Path | None, options: Mapping[str, Any], size: int) -> ListedPlan:
        """Images of the copy at ``source`` by character, expression and number, then the empty files.

        Raises:
            DataError: no folder, or no image of FERG-DB in it.
        """
        if source is None:
            raise DataError(self.absent())
        listing = scan(source, _FILE, beside=_DOCUMENTS)
        if not listing.found:
            raise DataError(f"{source} holds no image of FERG-DB.\n{self.help()}")
        cells: dict[tuple[str, str], list[Found]] = {}
        empty = [found for found in listing.found if found.path.stat().st_size == 0]
        for found in sorted(set(listing.found) - set(empty), key=lambda f: int(f.match["number"])):
            cells.setdefault((found.match["who"].lower(), found.match["what"].lower()), []).append(found)
        images: list[ListedImage] = []
        for key, files in sorted(cells.items()):
            chosen = evenly(files, options["images"])
            images += [_listed(found, *key, take) for take, found in enumerate(chosen)]
        left = sum(map(len, cells.values())) - len(images)
        # an empty file takes no place among the chosen; reading lists it among the skipped, with the reason
        images += [
            _listed(found, found.match["who"].lower(), found.match["what"].lower(), 0) for found in empty
        ]
        return ListedPlan(images, options, _facts(listing.found, len(empty), left, options, listing.odd))


ADAPTER = FergAdapter()


def evenly(files: list[Found], number: int) -> list[Found]:
    """``number`` of the files, the middles of as many equal stretches; all for 0 or too few."""
    if not 0 < number < len(files):
        return files
    return [files[(2 * k + 1) * len(files) // (2 * number)] for k in range(number)]


def _listed(found: Found, who: str, what: str, take: int) -> ListedImage:
    expression = canonical_expression(what)
    row = {
        "image": found.name,
        "identity": who,
        "expression": expression,
        "intensity": 0.0 if expression == "neutral" else 1.0,
        "frame": int(found.match["number"]),
        "take": take,
        "publishable": False,
    }
    return ListedImage(found.path, row)


def _facts(
    files: tuple[Found, ...], empty: int, left: int, options: Mapping[str, Any], odd: tuple[str, ...]
) -> Facts:
    identities = Counter(found.match["who"].lower() for found in files)
    shown = {found.match["what"].lower() for found in files}
    found = counts(
        {"characters": len(identities), "expressions": len(shown), "images": len(files), **identities},
        ADAPTER.expected,
    )
    # whose count is whose is inferred, so only the sums say whether a copy is whole
    notes = partial("FERG-DB", tuple(count for count in found if count.what not in CHARACTERS))
    notes.append("expected counts by character are attributed in the names' alphabetical order (inferred)")
    if left:
        notes.append(f"{left} images are left out by option images = {options['images']}")
    if empty:
        notes.append(f"{empty} files are empty (0 bytes); they are listed among the skipped")
    return Facts(found, tuple(notes), unknown(odd))
