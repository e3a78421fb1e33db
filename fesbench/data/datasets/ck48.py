"""CK+48: what copies of CK+ on Kaggle and in recognizers' repositories are, by the names of their files.

``anger/S010_004_00000017.png``: the last three frames of CK+'s 327 labelled sequences, 48 x 48 pixels, in
seven folders, 981 images of 118 subjects. No frame is neutral, so nothing can start from one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

IMAGES = 981
_FILE = re.compile(
    r"(?:.*/)?(?:anger|contempt|disgust|fear|happy|sadness|surprise)/S\d{3}_\d{3}_\d{8}\.\w+", re.IGNORECASE
)


def recognized(paths: Iterable[str]) -> str:
    """What to tell of files that are CK+48's, "" where most of them are not.

    >>> recognized(["CK+48/anger/S010_004_00000017.png"])[:24]
    'these images are CK+48 ('
    >>> recognized(["anger/anna_01.png"])
    ''
    """
    names = list(paths)
    count = sum(_FILE.fullmatch(name) is not None for name in names)
    if 2 * count <= len(names):
        return ""
    return (
        f"these images are CK+48 ({count} of its {IMAGES}): the last three frames of CK+'s labelled "
        "sequences at 48 px, seven expressions of known subjects and NO NEUTRAL IMAGE. They serve what "
        "starts from no image: faces drawn at random (task 'random' of a protocol of your own). To turn a "
        "neutral face into an expression takes CK+ itself, whose sequences begin neutral: 'fesbench data "
        "prepare ck+' says who gives it"
    )
