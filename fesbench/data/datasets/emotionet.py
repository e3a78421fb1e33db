"""EmotioNet: web images of faces with action units, given as lists of links that the user downloads.

Labels are action units alone: ``expression`` is "" everywhere, and no unit is turned into an emotion. Nobody
knows who is shown. Many links are dead, so no two copies are equal: the store's manifest is the list of what
was used (``docs/data/emotionet.md`` says how to write it out), and listed images that are not here are
counted, not missed.

What is known of the lists: about a million lines were coded by a machine; dataFile_1000.txt (about 25,000
lines) is used by others as the part that people coded, and EmotioNet_FACS_aws_2020_24600 is taken for the
same part because of its number. Neither could be verified with the owner. Under ``coded = "all"`` the column
``part`` keeps them apart: "validation" = by hand, "train" = by machine.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fesbench.data.datasets.base import Count, DatasetAdapter, Facts
from fesbench.data.datasets.emotionet_lists import Lists
from fesbench.data.datasets.listing import Found, ListedImage, ListedPlan, scan, unknown
from fesbench.errors import DataError
from fesbench.vocabulary import UNKNOWN_IDENTITY

_FILE = re.compile(
    r"(?P<image>N_\d+_\d+\.jpe?g)"
    r"|[^/]+/(?P<list>dataFile_\d+\.txt|EmotioNet_FACS_aws[^/]*\.(?:xlsx|csv))"
    r"|(?P<pickle>aus_openface\.pkl)",
    re.IGNORECASE,
)
_HAND = re.compile(r"dataFile_1000\.txt|EmotioNet_FACS_aws_2020_24600[^/]*", re.IGNORECASE)
_BESIDE = re.compile(r"[^/]+\.(?:pdf|zip|docx?|md|html?)|readme[^/]*|(?:train|test)_ids\.csv", re.IGNORECASE)


class EmotionNetAdapter(DatasetAdapter):
    """See the module's text. Option ``coded``: "hand" (the lists that people coded) or "all"."""

    name = "emotionet"
    title = "EmotioNet: about a million web images of faces with action units, some 25,000 coded by people"
    access = (
        "The Computational Biology and Cognitive Science Lab of Ohio State University gives lists of links "
        "to researchers who sign its agreement; the images are to be downloaded from there"
    )
    license = "signed agreement, research only; images may not be passed on"
    citation = (
        "Benitez-Quiroz, Srinivasan, Martinez. EmotioNet: An accurate, real-time algorithm for the automatic "
        "annotation of a million facial expressions in the wild. CVPR, 2016"
    )
    homepage = "https://cbcsl.ece.ohio-state.edu/dbform_emotionet.html"
    layout = """  DIR/emotioNet_challenge_files_server_challenge_1.2_aws/dataFile_1000.txt    (and 1001, ...)
  or DIR/EmotioNet_FACS_aws*.xlsx (or the same as .csv)
  DIR/.../N_0000000356/N_0000000356_00190.jpg    (as the links end; folders may have any names, or be flat)"""
    serves = "action units (present, absent or not labeled)"
    identities_known = False
    allowed = {"coded": ("hand", "all")}  # noqa: RUF012 - read only
    defaults = {"coded": "hand"}  # noqa: RUF012 - read only

    def plan(self, source: Path | None, options: Mapping[str, Any], size: int) -> ListedPlan:
        """The listed images that are below ``source``, by the end of their link.

        Raises:
            DataError: no folder, no list or no image in it, no hand-coded list where only those are
                asked for, or a list that cannot be read.
        """
        if source is None:
            raise DataError(self.absent())
        listing = scan(source, _FILE, beside=_BESIDE)
        here = {f.match["image"].lower(): f for f in listing.found if f.match["image"]}
        given = [f for f in listing.found if f.match["list"]]
        used = self._used(source, given, options)
        if not here:
            raise DataError(
                f"{source} holds lists of EmotioNet and no image (N_0000000356_00190.jpg and the like); "
                f"download the links of {used[0].match['list']} into it first"
            )
        lists = Lists()
        for found in used:
            lists.read(found.path, here, by_hand=_by_hand(found))
        if not lists.coded:
            raise DataError(f"{source}: none of its {len(here)} images is in {used[0].match['list']}")
        images = _images(lists, here, options)
        notes = _notes(lists, here, given, used)
        if any(f.match["pickle"] for f in listing.found):
            notes.append(
                "aus_openface.pkl (GANimation's form) is not opened: a pickle can run anything, and its 17 "
                "intensities are OpenFace's, not EmotioNet's codes"
            )
        facts = Facts(
            (Count("listed images", len(images), len(lists.listed)),),
            tuple(notes),
            unknown([*listing.odd, *lists.odd]),
        )
        return ListedPlan(images, options, facts, [found.path for found in used])

    def _used(self, source: Path, given: Sequence[Found], options: Mapping[str, Any]) -> list[Found]:
        """The lists to read, those that people coded first: the first line on an image counts."""
        if not given:
            raise DataError(f"{source} holds no list of EmotioNet.\n{self.help()}")
        by_hand = [found for found in given if _by_hand(found)]
        if options["coded"] == "all":
            return by_hand + [found for found in given if not _by_hand(found)]
        if not by_hand:
            raise DataError(
                f"{source} holds no dataFile_1000.txt, the list that people coded (found: "
                f"{', '.join(found.name for found in given[:3])}); add it, or use what a machine coded too: "
                'coded = "all"'
            )
        return by_hand


ADAPTER = EmotionNetAdapter()


def _by_hand(found: Found) -> bool:
    return _HAND.fullmatch(found.match["list"]) is not None


def _images(lists: Lists, here: Mapping[str, Found], options: Mapping[str, Any]) -> list[ListedImage]:
    images = []
    for name, coded in sorted(lists.coded.items(), key=lambda item: item[1].tail):
        part = "" if options["coded"] == "hand" else "validation" if coded.by_hand else "train"
        row = {
            "image": coded.tail,
            "identity": f"{UNKNOWN_IDENTITY}{coded.tail}",
            "expression": "",
            "part": part,
            "publishable": False,
        }
        images.append(ListedImage(here[name].path, row, action_units=coded.action_units))
    return images


def _notes(
    lists: Lists, here: Mapping[str, Found], given: Sequence[Found], used: Sequence[Found]
) -> list[str]:
    absent, unlisted = len(lists.listed) - len(lists.coded), len(here) - len(lists.coded)
    left = [found.name for found in given if found not in used]
    said = (
        (absent, f"{absent} of {len(lists.listed)} listed images are not here (dead or unused links)"),
        (
            unlisted,
            f"{unlisted} images have no line that is understood in the lists used; they are left out",
        ),
        (len(left), f"{len(left)} lists are left out by option coded = 'hand': {', '.join(left[:10])}"),
        (lists.repeated, f"{lists.repeated} lines repeat an image; its first line counts, hand-coded first"),
        (lists.contradicting, f"{lists.contradicting} of the repeated lines have other codes"),
        (lists.outside, f"{lists.outside} codes of action units outside the vocabulary are left out"),
    )
    return [text for count, text in said if count]
