"""Where the judges that come with fesbench serve: under protocols of avatars that test nobody they know."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fesbench.errors import UsageError
from fesbench.judges.panel import JudgePanel, shipped_panel
from fesbench.vocabulary import EXPRESSIONS

if TYPE_CHECKING:
    from fesbench.data.splits.assign import Split
    from fesbench.data.store.aligned import AlignedStore
    from fesbench.protocol.protocol import Protocol

SHIPPED = "avatars"
SHIPPED_FOR = (SHIPPED, "avatars-video")
"""Protocols, and data sets of the same names, that may ask for them."""


def shipped_serve(protocol: Protocol, store: AlignedStore, split: Split) -> bool:
    """Whether they judge under a protocol: it asks for them with all of their labels, and tests nobody whom
    they were trained on (as a split of your own may, or clips of their own family of avatars).
    """
    if not (protocol.metrics.judge == "shipped" and protocol.id == store.data and store.data in SHIPPED_FOR):
        return False
    return protocol.labels == EXPRESSIONS and not split.test & _taught(store)


def _taught(store: AlignedStore) -> set[str]:
    """The names that their training subjects have in a set of avatars."""
    from fesbench.data.datasets import avatars, avatars_video
    from fesbench.judges.packaged import FAMILY, TRAINING

    name = avatars.identity_name if store.data == SHIPPED else avatars_video.subject_name
    family = store.info.get("options", {}).get("seed", FAMILY)
    return {name(number) for number in TRAINING} if family == FAMILY else set()


def packaged_panel(members: int) -> JudgePanel:
    """The first so many of them.

    Raises:
        UsageError: there are none for the avatars of this version.
    """
    from fesbench.data.avatars import source_sha256

    panel = shipped_panel(SHIPPED, members)
    if panel is None or panel.members[0].facts.data_fingerprint != source_sha256():
        raise UsageError(
            "the packaged judges were not made for the avatars of this version; "
            "make them again with 'python -m fesbench.judges.packaged'"
        )
    return panel


def refuse_shipped(protocol: Protocol, store: AlignedStore) -> None:
    """Refuse a protocol that asks for judges that are not shipped.

    Raises:
        UsageError: says what to write instead.
    """
    own_data = store.data == protocol.data.set and not protocol.data.stand_ins
    if protocol.metrics.judge == "shipped" and own_data and protocol.id not in SHIPPED_FOR:
        raise UsageError(
            f"protocol {protocol.name} asks for shipped judges, which {' and '.join(SHIPPED_FOR)} alone "
            'have; write judge = "trained" in its [metrics]'
        )
