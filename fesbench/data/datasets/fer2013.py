"""FER-2013: 35,887 gray faces of 48 x 48 pixels from the web, seven expressions, nobody known.

What the rows are, by form:

- *csv*: every line of ``fer2013.csv``; the only form whose pixels are exact. Name "Training/0000012": usage
  and number of the line, the first being 0. Parts: Training -> train, PublicTest -> validation, PrivateTest
  -> test. The sha256 is that of the 2304 pixel bytes.
- *folder*: the JPEG copies on Kaggle, ``train/<class>`` and ``test/<class>`` (both test parts of the owner in
  one), or ``images/train`` and ``images/validation``. The part is the owner's, which such copies keep in the
  file name (``PublicTest_10118481.jpg``); where a name says none, it is the folder's.
- *fer+*: see `fesbench.data.datasets.fer2013_votes`. Its parts are those of the table.

Images that are black all over are skipped. Labels are noisy: FER+ flags 349 of the images as perhaps not
a face, and in 8,485 no expression gets more than 5 of its 10 votes. Duplicates exist, across the parts too:
they are found when a split is made. The counts by part and by expression were read in whole copies.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from fesbench.data.datasets.base import Count, Facts, Plan
from fesbench.data.datasets.fer2013_csv import USAGES, index
from fesbench.data.datasets.fer2013_votes import voted_rows
from fesbench.data.datasets.listing import counts, partial, unknown
from fesbench.data.datasets.web_faces import Tree, WebAdapter, WebFiles, WebPlan, found_by, listed, row_of
from fesbench.errors import DataError

FORMS = ("csv", "folder", "fer+")
"""In the order in which "auto" prefers them: the table first, because its pixels are exact."""

PARTS = {"train": 28_709, "validation": 3_589, "test": 3_589}
EXPRESSIONS = {
    "anger": 4_953,
    "disgust": 547,
    "fear": 5_121,
    "happiness": 8_989,
    "neutral": 6_198,
    "sadness": 6_077,
    "surprise": 4_002,
}
_NAMED_BY_FERPLUS = 35_710
"""Distinct names: its table has 35,714 lines with one, and four names stand twice."""
_NAMED_PART = re.compile(rf"(?P<usage>{'|'.join(USAGES)})_\d.*")


class Fer2013Adapter(WebAdapter):
    """See the module's text. Option ``form``: "auto", "csv", "folder" or "fer+"."""

    name = "fer2013"
    title = "FER-2013: 35,887 gray faces of 48 x 48 pixels from the web, seven expressions"
    access = (
        "Kaggle: the competition 'Challenges in Representation Learning', or copies such as msambare/fer2013"
    )
    license = "none for the images themselves; not to be shown"
    citation = (
        "Goodfellow et al. Challenges in representation learning: A report on three machine learning "
        "contests. ICONIP, 2013"
    )
    homepage = (
        "https://www.kaggle.com/c/"
        "challenges-in-representation-learning-facial-expression-recognition-challenge"
    )
    layout = """  DIR/fer2013.csv            columns emotion,pixels,Usage; the best form: its pixels are exact
or
  DIR/train/angry/*.jpg  DIR/test/...  (or DIR/images/train, DIR/images/validation)
or
  DIR/FER2013Train/fer0000000.png  DIR/FER2013Valid  DIR/FER2013Test  DIR/fer2013new.csv    (FER+)"""
    serves = "seven labels, official parts; nobody is known"
    expected = {"images": 35_887, **PARTS, **EXPRESSIONS}  # noqa: RUF012 - read only
    allowed = {"form": ("auto", *FORMS)}  # noqa: RUF012 - read only
    defaults = {"form": "auto"}  # noqa: RUF012 - read only

    def plan_of(self, files: WebFiles, options: Mapping[str, Any]) -> Plan:
        """The images in the form that is asked for.

        Raises:
            DataError: nothing of FER-2013 in the folder, or not in that form.
        """
        trees = [tree for tree in files.trees if not tree.is_mmafedb]
        present = [
            form for form, there in zip(FORMS, (files.tables, trees, files.voted), strict=True) if there
        ]
        if not present:
            other = " (its folders with 'valid' are MMAFEDB's)" if files.trees else ""
            raise DataError(f"{files.root} holds nothing of FER-2013{other}.\n{self.help()}")
        form = present[0] if options["form"] == "auto" else options["form"]
        if form not in present:
            raise DataError(
                f"{files.root} holds FER-2013 in the form {' and '.join(present)}, not in the form '{form}'; "
                "change option 'form'"
            )
        others = [name for name in present if name != form]
        notes = [f"the form '{form}' is used; {' and '.join(others)} is here too"] if others else []
        if form == "csv":
            return _csv_plan(files, notes)
        return (
            _folder_plan(files, trees, notes, options)
            if form == "folder"
            else _votes_plan(files, notes, options)
        )


ADAPTER = Fer2013Adapter()


def _csv_plan(files: WebFiles, notes: list[str]) -> Plan:
    plan, labels = index(files.tables[0])
    found = found_by([row_of("", expression, USAGES[usage]) for expression, usage in labels])
    bad = len(plan) - len(labels)
    if bad:
        notes.append(f"{bad} lines of {plan.path.name} have no valid label; each is skipped with its number")
    plan.facts = _facts(files, counts(found, ADAPTER.expected), notes)
    return plan


def _folder_plan(files: WebFiles, trees: list[Tree], notes: list[str], options: Mapping[str, Any]) -> Plan:
    if len(trees) > 1:
        raise DataError(
            f"{trees[0].base} and {trees[1].base} both hold part/class folders; give the folder of one copy"
        )
    rows = [(path, {**row, "part": part_of(path.name) or row["part"]}) for path, row in trees[0].rows()]
    images = listed(rows)
    found = found_by([image.row for image in images])
    expected = dict(ADAPTER.expected)
    unsaid = [path for path, _ in rows if not part_of(path.name)]
    if len(unsaid) < len(rows):
        notes.append(
            f"the file names say the owner's parts ({len(rows) - len(unsaid)} of {len(rows)} images: "
            "Training, PublicTest and PrivateTest), which are kept, whatever the folders are called"
        )
        if unsaid:
            notes.append(f"{len(unsaid)} names say none, such as {unsaid[0].name}; theirs is the folder's")
    else:
        notes += _by_folder(expected, found["validation"] > 0)
    notes.append("the files are JPEG or PNG copies; fer2013.csv alone has the exact pixels")
    return WebPlan(images, options, _facts(files, counts(found, expected), notes))


def part_of(name: str) -> str:
    """The part in the file name of a copy, "" where there is none.

    >>> part_of("PublicTest_10118481.jpg"), part_of("im0.png")
    ('validation', '')
    """
    match = _NAMED_PART.fullmatch(name)
    return USAGES[match["usage"]] if match else ""


def _by_folder(expected: dict[str, int], validation: bool) -> Sequence[str]:
    """What is expected, and noted, of a copy whose folders alone say the parts."""
    if validation:
        for part in PARTS:
            del expected[part]
        return [
            "the parts are those of this copy's folders; they are not FER-2013's Training, PublicTest and "
            "PrivateTest, and results on them are not those of the literature"
        ]
    expected["test"] += expected.pop("validation")
    return [
        "the folder test/ holds PublicTest and PrivateTest together; results on it are not those that "
        "the literature reports on PrivateTest"
    ]


def _votes_plan(files: WebFiles, notes: list[str], options: Mapping[str, Any]) -> Plan:
    rows, more = voted_rows(files)
    if not rows:
        raise DataError(f"no image of FER+ in {files.root} has a majority; check fer2013new.csv")
    notes += ["labels are the majority of FER+'s ten votes, not FER-2013's own", *more]
    expected = (Count("images named by FER+", len(files.voted), _NAMED_BY_FERPLUS),)
    return WebPlan(listed(rows), options, _facts(files, expected, notes), files.votes)


def _facts(files: WebFiles, found: tuple[Count, ...], notes: list[str]) -> Facts:
    return Facts(found, (*partial("FER-2013", found), *notes), unknown(files.odd))
