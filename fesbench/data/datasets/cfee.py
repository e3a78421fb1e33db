"""CFEE (Compound Facial Expressions of Emotion): 230 subjects, neutral, 6 basic and 15 compound expressions.

One image a subject and category. An image's name says its code and its subject ("02_339_3470.jpg"); what a
code means stands in the workbook at the root and nowhere else. Codes 01 to 26 lie on disk, the sheet names
22: images of the others are left out and counted. That 02 is happiness, 03 sadness and so on is often
repeated and could not be verified; it is not assumed here.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fesbench.data.datasets.base import DatasetAdapter, Facts
from fesbench.data.datasets.cfee_labels import Annotation, read_annotation
from fesbench.data.datasets.listing import (
    Found,
    ListedImage,
    ListedPlan,
    counts,
    incomplete,
    partial,
    scan,
    unknown,
)
from fesbench.errors import DataError
from fesbench.vocabulary import COMPOUNDS, EXPRESSIONS, canonical_label

CATEGORIES = (*(name for name in EXPRESSIONS if name != "contempt"), *COMPOUNDS)
IDENTITIES = 230
WORKBOOK = "AU_annotation_all_subjects"

_FILE = re.compile(
    rf"(?P<code>\d\d)_(?P<identity>\d{{3}})_(?P<number>\d+)\.jpe?g|{WORKBOOK}\.xlsx?", re.IGNORECASE
)
_DOCUMENTS = re.compile(r"[^/]+\.(?:pdf|txt|zip|docx?|rtf|md|html?)", re.IGNORECASE)


class CfeeAdapter(DatasetAdapter):
    """See the module's text. Option ``codes``: {"01": "neutral", ...} in place of the sheet "summary"."""

    name = "cfee"
    title = "CFEE, Compound Facial Expressions of Emotion: 230 subjects in 22 categories, one image each"
    access = (
        "It is given to researchers who sign the agreement of the Computational Biology and Cognitive "
        "Science Lab of Ohio State University (a form on its home page)"
    )
    license = "signed agreement, research only; images may not be passed on"
    citation = "Du, Tao, Martinez. Compound facial expressions of emotion. PNAS 111(15), 2014"
    homepage = "https://cbcsl.ece.ohio-state.edu/compound.html"
    layout = f"""  DIR/{WORKBOOK}.xls       (sheet "summary": code and name of each category)
  DIR/01-04/Images1/02_339_3470.jpg    (code, subject, running number; .jpg or .JPG)
  DIR/05-08/Images2/... and so on to DIR/21-26/Images6/...
DIR may be CFEE_Database_230 or the folder above it."""
    serves = "22 labels (15 compounds), action units where readable"
    expected = {  # noqa: RUF012 - read only
        "subjects": IDENTITIES,
        "images": IDENTITIES * len(CATEGORIES),
        **dict.fromkeys(CATEGORIES, IDENTITIES),
    }
    defaults = {"codes": {}}  # noqa: RUF012 - read only

    def check_options(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """All options; the labels of ``codes`` in the vocabulary's spelling.

        Raises:
            UnknownNameError: an unknown option.
            DataError: ``codes`` is no table of two-digit codes and known, different expressions.
        """
        known = super().check_options(options)
        codes = known["codes"]
        if not isinstance(codes, Mapping) or not all(re.fullmatch(r"\d\d", str(code)) for code in codes):
            raise DataError(
                f'option \'codes\' must be a table such as {{"01" = "neutral", "02" = ...}}, found {codes!r}'
            )
        labels = {str(code): canonical_label(str(name)) for code, name in sorted(codes.items())}
        if len(set(labels.values())) < len(labels):
            raise DataError("option 'codes' gives one expression to two codes; each has its own")
        return {**known, "codes": labels}

    def plan(self, source: Path | None, options: Mapping[str, Any], size: int) -> ListedPlan:
        """The images of the copy at ``source``, by subject and code.

        Raises:
            DataError: no folder, no image of CFEE in it, or nothing that says what the codes mean.
        """
        if source is None:
            raise DataError(self.absent())
        listing = scan(source, _FILE, beside=_DOCUMENTS)
        files = [found for found in listing.found if found.match["code"]]
        books = sorted((found for found in listing.found if not found.match["code"]), key=lambda f: f.name)
        if not files:
            raise DataError(f"{source} holds no image of CFEE.\n{self.help()}")
        annotation = self._annotation(source, books, options["codes"])
        images = _images([found for found in files if found.match["code"] in annotation.names], annotation)
        if not images:
            raise DataError(
                f"{source} has images of codes {', '.join(sorted({f.match['code'] for f in files}))} and "
                f"none of those that are named: {', '.join(sorted(annotation.names))}"
            )
        facts = _facts(images, files, annotation, unknown(listing.odd))
        return ListedPlan(images, options, facts, [found.path for found in books[:1]])

    def _annotation(self, source: Path, books: list[Found], codes: Mapping[str, str]) -> Annotation:
        if not books and not codes:
            raise DataError(
                f"{source} holds images of CFEE without {WORKBOOK}.xls, whose sheet 'summary' says which "
                "code is which expression. Codes are not guessed: an order from memory would mislabel "
                "images without anybody seeing it. Give the folder that holds the workbook too, or, where "
                'it is lost, name the codes yourself: codes = {"01" = "neutral", ...}'
            )
        if not books:
            return Annotation(
                dict(codes), notes=["there is no workbook: codes are named by option codes, no action units"]
            )
        annotation = read_annotation(books[0].path, codes)
        if codes:
            annotation.notes.insert(0, "codes are named by option codes, not by the workbook")
        if len(books) > 1:
            annotation.notes.append(f"{books[1].name} is not read, {books[0].name} is")
        return annotation


ADAPTER = CfeeAdapter()


def _images(files: list[Found], annotation: Annotation) -> list[ListedImage]:
    images, seen = [], Counter[tuple[str, str]]()
    for found in sorted(files, key=lambda f: (f.match["identity"], f.match["code"], int(f.match["number"]))):
        key = found.match["identity"], found.match["code"]
        expression = annotation.names[key[1]]
        row = {
            "image": found.name,
            "identity": key[0],
            "expression": expression,
            "intensity": 0.0 if expression == "neutral" else 1.0,
            "take": seen[key],
            "pose": "frontal",
            "publishable": False,
        }
        seen[key] += 1
        images.append(ListedImage(found.path, row, action_units=annotation.action_units.get(key)))
    return images


def _facts(images: list[ListedImage], files: list[Found], annotation: Annotation, odd: Any) -> Facts:
    identities = Counter(str(image.row["identity"]) for image in images)
    shown = Counter(str(image.row["expression"]) for image in images)
    found = counts({"subjects": len(identities), "images": len(images), **shown}, ADAPTER.expected)
    notes = partial("CFEE", found) + incomplete(identities, len(CATEGORIES))
    unnamed = Counter(f.match["code"] for f in files if f.match["code"] not in annotation.names)
    if unnamed:
        notes.append(
            f"{unnamed.total()} images of {len(unnamed)} codes that are not named "
            f"({', '.join(sorted(unnamed))}) are left out"
        )
    again = sum(image.row["take"] > 0 for image in images)
    if again:
        notes.append(
            f"{again} images are another one of the same subject and category; they are take 1 and on, by "
            "running number"
        )
    coded = sum(image.action_units is not None for image in images)
    notes.append(f"action units are known for {coded} of {len(images)} images")
    return Facts(found, (*notes, *annotation.notes), odd)
