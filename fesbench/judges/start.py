"""Where the judges of small sets begin: with the judges of ``avatars``, not with random weights.

From scratch the recipe takes as many steps as there are images to see, 60 on a fold of JAFFE, and that is too
few. Measured on sets of 8, 20 and 40 subjects that the shipped judges do not know (``docs/small_judges.py``,
docs/statistics.md): fine-tuned by the same recipe they name far more real images rightly, and stronger
augmentation helps neither way. Each judge begins with the shipped one of its seed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fesbench.judges.expression import BEGUN
from fesbench.judges.panel import JudgePanel, shipped_panel

if TYPE_CHECKING:
    from fesbench.data.store.aligned import AlignedStore

SMALL = 1000
"""Training images up to which judges are fine-tuned; measured up to 840."""

_DRAWN = "avatars"


def start_for(store: AlignedStore, images: int) -> JudgePanel | None:
    """The judges that those of a set begin with; None: with random weights.

    Args:
        store: of the set. Avatars are no other set: a shipped judge may know those that are tested.
        images: how many train.
    """
    if images > SMALL or store.data.startswith(_DRAWN):
        return None
    return shipped_panel(_DRAWN)


def begun(recipe: str, start: JudgePanel | None) -> str:
    """The version of a recipe that begins with these judges."""
    return recipe if start is None else f"{recipe}{BEGUN}{start.digest[:8]}"
