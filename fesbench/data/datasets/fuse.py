"""FER-2013 and MMAFEDB joined, as in Mortara's report, from one folder that holds both.

Rows are those of the two adapters; names begin with "fer2013/" and "mmafedb/", parts are kept. MMAFEDB almost
certainly contains FER-2013, so the joined set counts it twice. Nothing is dropped here, where only names are
seen: the protocol's split finds duplicates by perceptual hash and drops them (``split.duplicates = "drop"``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from fesbench.data.datasets import fer2013, mmafedb
from fesbench.data.datasets.base import Facts, Item, Plan, Skipped, Unknown
from fesbench.data.datasets.web_faces import WebAdapter, WebFiles
from fesbench.vocabulary import UNKNOWN_IDENTITY


@dataclass
class JoinedPlan(Plan):
    """Several plans one after the other, their images' names led by the set's.

    Attributes:
        plans: (name of the set, plan), in order.
        facts: counts, notes and the files that none of them understands.
    """

    plans: Sequence[tuple[str, Plan]]
    facts: Facts = field(default_factory=Facts)

    @property
    def fingerprint(self) -> str:
        """Sha256 (hex) of the plans' fingerprints."""
        joined = ":".join(f"{name}={plan.fingerprint}" for name, plan in self.plans)
        return hashlib.sha256(joined.encode()).hexdigest()

    def __len__(self) -> int:
        return sum(len(plan) for _, plan in self.plans)

    def read(self, start: int, stop: int) -> list[Item | Skipped]:
        """Read a range, which may reach over the end of one set into the next."""
        found: list[Item | Skipped] = []
        first = 0
        for name, plan in self.plans:
            low, high = max(start - first, 0), min(stop - first, len(plan))
            if low < high:
                found += [_prefixed(entry, name) for entry in plan.read(low, high)]
            first += len(plan)
        return found


class FuseAdapter(WebAdapter):
    """See the module's text. It has no options."""

    name = "fuse"
    title = "fuse: FER-2013 and MMAFEDB joined, 163,567 small faces with many duplicates"
    access = (
        "FER-2013: Kaggle: the competition 'Challenges in Representation Learning', or copies such as "
        "msambare/fer2013. MMAFEDB: Kaggle, mahmoudima/mma-facial-expression"
    )
    license = "none for FER-2013's images, unclear for MMAFEDB's; not to be shown"
    citation = (
        "Goodfellow et al. Challenges in representation learning: A report on three machine learning "
        "contests. ICONIP, 2013. MMA FACIAL EXPRESSION, Kaggle data set mahmoudima/mma-facial-expression"
    )
    homepage = (
        "https://www.kaggle.com/c/"
        "challenges-in-representation-learning-facial-expression-recognition-challenge and "
        "https://www.kaggle.com/datasets/mahmoudima/mma-facial-expression"
    )
    layout = """  DIR/fer2013.csv    (or another form of FER-2013, in a folder of its own: see 'fer2013')
  DIR/MMAFEDB/train/angry/*.jpg  DIR/MMAFEDB/valid/...  DIR/MMAFEDB/test/..."""
    serves = "seven labels, official parts; nobody is known; duplicates to be dropped"
    expected = {  # noqa: RUF012 - read only
        f"{adapter.name} {what}": number
        for adapter in (fer2013.ADAPTER, mmafedb.ADAPTER)
        for what, number in adapter.expected.items()
        if what in ("images", *fer2013.PARTS)
    }

    def plan_of(self, files: WebFiles, options: Mapping[str, Any]) -> JoinedPlan:
        """Both sets' images, one after the other.

        Raises:
            DataError: not both sets in the folder.
        """
        sets = (fer2013.ADAPTER, mmafedb.ADAPTER)
        plans = [(one.name, one.plan_of(files, one.check_options({}))) for one in sets]
        return JoinedPlan(plans, _facts(plans))


ADAPTER = FuseAdapter()


def _facts(plans: Sequence[tuple[str, Plan]]) -> Facts:
    found = tuple(
        replace(count, what=f"{name} {count.what}")
        for name, plan in plans
        for count in plan.facts.counts
        if count.what in ("images", *fer2013.PARTS)
    )
    notes = [
        *(f"{name}: {note}" for name, plan in plans for note in plan.facts.notes),
        "duplicates of the two sets are in this store; a split finds them by perceptual hash, and drops them "
        'where its protocol says split.duplicates = "drop"',
    ]
    # both plans come from one look through the folder and list the same files
    odd = plans[0][1].facts.not_understood if plans else Unknown()
    return Facts(found, tuple(notes), odd)


def _prefixed(entry: Item | Skipped, name: str) -> Item | Skipped:
    if isinstance(entry, Skipped):
        return Skipped(f"{name}/{entry.image}", entry.reason)
    image = f"{name}/{entry.row['image']}"
    return replace(entry, row={**entry.row, "image": image, "identity": f"{UNKNOWN_IDENTITY}{image}"})
