"""Which form of a protocol suits the user's own images, whose number of subjects nobody knows beforehand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from fesbench.vocabulary import UNKNOWN_IDENTITY

if TYPE_CHECKING:
    from pathlib import Path

    from fesbench.progress import Reporter
    from fesbench.protocol.data_folders import Sources

OWN = "folder"
LOSO, FIVE_FOLDS = f"{OWN}/loso", f"{OWN}/5fold"
FEW, SOME = 15, 40
"""Below ``FEW`` subjects one is left out at a time, below ``SOME`` there are five folds. The hash split of
``folder@1`` leaves a subset empty for 43 % of the sets of 10 subjects, 24 % of 15, 13 % of 20 and 1.5 % of
40."""


def suitable(
    name: str, source: Sources, reporter: Reporter, *, data: str | None = None, split: Path | None = None
) -> str:
    """The form of the protocol that suits the user's images: ``folder`` by itself means the one that their
    number of subjects asks for; every other name means itself.

    Args:
        name: of a protocol, as the user gave it.
        source: the user's folder; None: the one that was given last.
        reporter: told what is chosen.
        data: a stand-in data set, which is as large as the plain form needs.
        split: the user's own split, which needs no other form.
    """
    if name != OWN or data not in (None, OWN) or split is not None:
        return name
    folder = source.get("", source.get(OWN)) if isinstance(source, Mapping) else source
    count = _subjects(folder)
    if count is None:
        return name
    chosen, why = OWN, "one split"
    if count < FEW:
        chosen, why = LOSO, "one is left out at a time"
    elif count < SOME:
        chosen, why = FIVE_FOLDS, "each is tested in one of five folds"
    reporter.note(f"{OWN}: {count} subjects by name, so {chosen} is used ({why}); {OWN}@1 is one split")
    return chosen


def _subjects(folder: Path | None) -> int | None:
    """How many subjects a folder of images names; None: nobody can say, or it is not there."""
    from fesbench.data.datasets.folder import ADAPTER
    from fesbench.data.prepare import remembered

    folder = folder or remembered(OWN)
    if folder is None or not folder.is_dir():
        return None
    named = {str(image.row["identity"]) for image in ADAPTER.plan(folder, {}, 0).images}
    known = {who for who in named if not who.startswith(UNKNOWN_IDENTITY)}
    return len(known) or None
