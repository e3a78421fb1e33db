"""Images unlike the training data: celebrities, portraits, statues, avatars, gathered by the user.

Columns: domain = the folder, identity = "statue-<file name up to the first _>", expression = the folder
between (in any usual spelling), "" where there is none: then nobody declared what the face shows.

No such set is published with a list, so ``sources.csv`` may say where each image comes from. An image may
be shown in reports only where that table says so.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from fesbench.data.datasets.base import DatasetAdapter, Facts
from fesbench.data.datasets.listing import Found, ListedImage, ListedPlan, counts, scan, unknown
from fesbench.data.datasets.tables import Line, read_table
from fesbench.data.datasets.user_files import is_image, label_of, who
from fesbench.errors import DataError

DOMAINS = ("celebrity", "portrait", "statue", "avatar")
SOURCES = "sources.csv"
_COLUMNS = ("image", "url", "license", "expression", "publishable")
_FILE = re.compile(
    rf"(?P<domain>{'|'.join(DOMAINS)})/(?:(?P<label>[^/]+)/)?(?P<file>[^/]+)|(?P<table>sources\.csv)",
    re.IGNORECASE,
)


class OodAdapter(DatasetAdapter):
    """See the module's text. It has no options."""

    name = "ood"
    title = "Out of distribution: celebrities, portraits, statues and avatars that you gathered"
    access = "Whatever you hold; public-domain portraits and photographs of statues are a good start"
    license = "that of each image; sources.csv says which may be shown"
    citation = "none"
    homepage = "docs/data/ood.md"
    layout = """  DIR/celebrity/name_01.jpg            no expression declared
  DIR/celebrity/neutral/name_02.jpg    the folder between declares it
  DIR/portrait/... DIR/statue/... DIR/avatar/...
  DIR/sources.csv                      optional: image,url,license,expression,publishable"""
    serves = "four domains to test on; labels where they are declared"
    domains = DOMAINS
    expected = dict.fromkeys(DOMAINS, 1)

    def plan(self, source: Path | None, options: Mapping[str, Any], size: int) -> ListedPlan:
        """The images at ``source``; ``size`` plays no part in what is read.

        Raises:
            DataError: no folder, no image in one of the domains, or a mistake in ``sources.csv``.
        """
        if source is None:
            raise DataError(self.absent())
        listing = scan(source, _FILE)
        tables = [found.path for found in listing.found if found.match["table"]]
        lines = _sources(tables[0]) if tables else {}
        rows: dict[Path, dict[str, Any]] = {}
        odd = list(listing.odd)
        for found in listing.found:
            if found.match["table"]:
                continue
            row = _row(found, lines.pop(_key(found.name), None))
            if row is None:
                odd.append(found.name)
            else:
                rows[found.path] = row
        if not rows:
            raise DataError(f"{source} holds no image in one of the four domains' folders.\n{self.help()}")
        _number(rows.values())
        images = tuple(ListedImage(path, row) for path, row in rows.items())
        facts = _facts(images, sorted(lines), bool(tables))
        return ListedPlan(images, options, Facts(*facts, unknown(odd)), tables)


ADAPTER = OodAdapter()


def _row(found: Found, line: Line | None) -> dict[str, Any] | None:
    """The columns of one file; None where it is no image, or its folder no expression."""
    folder = found.match["label"]
    label = label_of(folder) if folder else ""
    if label is None or not is_image(found.name):
        return None
    said = _expression(line) if line is not None else ""
    if line is not None and said and label and said != label:
        raise line.bad("expression", f"and the image lies in the folder '{folder}'; make the two agree")
    domain, expression = found.match["domain"].lower(), label or said
    return {
        "image": found.name,
        "identity": f"{domain}-{who(found.match['file'])}",
        "expression": expression,
        "intensity": 0.0 if expression == "neutral" else 1.0,
        "domain": domain,
        "publishable": line is not None and line.yes("publishable"),
    }


def _number(rows: Iterable[dict[str, Any]]) -> None:
    """Takes run through all images of a subject, whatever they show: each may start requests, none is the
    neutral one of another.
    """
    seen: Counter[str] = Counter()
    for row in rows:
        row["take"] = seen[row["identity"]]
        seen[row["identity"]] += 1


def _key(image: str) -> str:
    """An image's name with its domain in lower case, as `sources.csv` is compared with."""
    domain, _, rest = image.replace("\\", "/").partition("/")
    return f"{domain.lower()}/{rest}"


def _sources(path: Path) -> dict[str, Line]:
    lines: dict[str, Line] = {}
    for line in read_table(path, _COLUMNS, ("image",)):
        image = _key(line.get("image").removeprefix("./"))
        if image in lines:
            raise line.bad("image", f"which line {lines[image].number} names too; keep one of the two")
        _expression(line)
        line.yes("publishable")
        lines[image] = line
    return lines


def _expression(line: Line) -> str:
    text = line.get("expression")
    label = label_of(text) if text else ""
    if label is None:
        raise line.bad("expression", "wanted a basic or compound expression, or nothing")
    return label


def _facts(
    images: tuple[ListedImage, ...], absent: list[str], has_table: bool
) -> tuple[Any, tuple[str, ...]]:
    """Counts by domain, and the notes."""
    rows = [image.row for image in images]
    found = Counter(row["domain"] for row in rows)
    notes = []
    missing = [domain for domain in DOMAINS if not found[domain]]
    if missing:
        notes.append(f"no image of {', '.join(missing)}; such domains are not scored")
    undeclared = sum(not row["expression"] for row in rows)
    if undeclared:
        notes.append(f"{undeclared} of {len(rows)} images declare no expression")
    shown = sum(row["publishable"] for row in rows)
    if not has_table:
        notes.append(f"there is no {SOURCES}; where the images come from is not recorded, and none is shown")
    else:
        notes.append(f"{shown} of {len(rows)} images may be shown, by {SOURCES}")
    if absent:
        notes.append(f"{len(absent)} images of {SOURCES} are absent, such as {', '.join(absent[:3])}")
    return counts(found, ADAPTER.expected), tuple(notes)
