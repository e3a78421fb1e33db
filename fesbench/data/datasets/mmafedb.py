"""MMAFEDB: 127,680 small faces from Kaggle, seven expressions, gray and color mixed, nobody known.

Rows: the name is ``part/class/file``, the part the folder's (valid -> validation). Where most of the images
come from is not known. One thing is inferred from counts, not documented: 28,709, 3,589 and 3,589 images of
its three parts are saved as color, exactly the sizes of FER-2013's three parts. So it almost certainly holds
the whole of FER-2013, part for part: whoever joins the two counts it twice, and whoever trains on one and
tests on the other tests on what was trained. That its files have 48 x 48 pixels is not verified; another
square size is resized, what is not square is skipped with its reason, as are images of one flat color.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fesbench.data.datasets.base import Facts
from fesbench.data.datasets.listing import counts, partial, unknown
from fesbench.data.datasets.web_faces import WebAdapter, WebFiles, WebPlan, found_by, listed
from fesbench.errors import DataError

IMAGES = {
    "train": {
        "neutral": 29_384,
        "happiness": 28_592,
        "sadness": 12_223,
        "surprise": 8_113,
        "anger": 6_566,
        "fear": 4_859,
        "disgust": 3_231,
    },
    "validation": {
        "neutral": 5_839,
        "happiness": 5_475,
        "sadness": 2_236,
        "surprise": 1_474,
        "anger": 1_017,
        "fear": 659,
        "disgust": 656,
    },
    "test": {
        "neutral": 5_858,
        "happiness": 5_459,
        "sadness": 2_177,
        "surprise": 1_475,
        "anger": 1_041,
        "fear": 691,
        "disgust": 655,
    },
}
CONTAINS_FER2013 = (
    "MMAFEDB almost certainly contains FER-2013, part for part: 28709, 3589 and 3589 of its images, those "
    "saved as color, are as many as FER-2013's three parts have; joined with FER-2013 it needs a search for "
    "duplicates, and neither may be a test of the other"
)


class MmafedbAdapter(WebAdapter):
    """See the module's text. It has no options."""

    name = "mmafedb"
    title = "MMAFEDB: 127,680 small faces from Kaggle, seven expressions"
    access = "Kaggle, mahmoudima/mma-facial-expression"
    license = "unclear; not to be shown"
    citation = "MMA FACIAL EXPRESSION, Kaggle data set mahmoudima/mma-facial-expression"
    homepage = "https://www.kaggle.com/datasets/mahmoudima/mma-facial-expression"
    layout = """  DIR/MMAFEDB/train/angry/*.jpg    angry disgust fear happy neutral sad surprise
  DIR/MMAFEDB/valid/...
  DIR/MMAFEDB/test/..."""
    serves = "seven labels, official parts; nobody is known"
    expected = {  # noqa: RUF012 - read only
        "images": sum(sum(part.values()) for part in IMAGES.values()),
        **{part: sum(numbers.values()) for part, numbers in IMAGES.items()},
        **{f"{part} {label}": count for part, numbers in IMAGES.items() for label, count in numbers.items()},
    }

    def plan_of(self, files: WebFiles, options: Mapping[str, Any]) -> WebPlan:
        """The images of MMAFEDB's folder.

        Raises:
            DataError: nothing of MMAFEDB in the folder, or two copies.
        """
        trees = [tree for tree in files.trees if tree.is_mmafedb]
        if not trees:
            other = (
                " (folders train and test without valid, in no folder called MMAFEDB, are FER-2013's form)"
                if files.trees
                else ""
            )
            raise DataError(f"{files.root} holds nothing of MMAFEDB{other}.\n{self.help()}")
        if len(trees) > 1:
            raise DataError(
                f"{trees[0].base} and {trees[1].base} both are MMAFEDB; give the folder of one copy"
            )
        images = listed(trees[0].rows())
        found = counts(found_by([image.row for image in images]), self.expected)
        notes = (*partial("MMAFEDB", found[: 1 + len(IMAGES)]), CONTAINS_FER2013)
        return WebPlan(images, options, Facts(found, notes, unknown(files.odd)))


ADAPTER = MmafedbAdapter()
