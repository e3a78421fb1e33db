"""Where the images of the subjects of one subset are: what a request is made from."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from fesbench.vocabulary import EXPRESSIONS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fesbench.data.store.aligned import AlignedStore
    from fesbench.protocol.protocol import Protocol

_UNSAFE = re.compile(r"[^A-Za-z0-9._+@=-]+")


class RequestIndex:
    """Finds rows of a store by subject, expression, domain, take and intensity.

    Args:
        protocol: gives the pairing and the gallery's rule.
        store: the aligned store.
        people: the subjects of one subset, in the order in which they are asked.
    """

    def __init__(self, protocol: Protocol, store: AlignedStore, people: Sequence[str]) -> None:
        table = store.manifest.table
        self.protocol, self.table, self.people = protocol, table, list(people)
        self.rows: dict[tuple[str, str, str], list[int]] = {}
        self.domains: dict[str, list[str]] = {}
        wanted = set(people)
        for row, (who, what, domain) in enumerate(
            zip(table["identity"], table["expression"], table["domain"], strict=True)
        ):
            if who in wanted:
                self.rows.setdefault((who, what, domain), []).append(row)
                if domain not in (known := self.domains.setdefault(who, [])):
                    known.append(domain)
        self.intensity = table["intensity"].to_numpy()
        self.take = table["take"].to_numpy()
        self.sequence = table["sequence"].to_numpy()
        self.frame = table["frame"].to_numpy()
        self.image = table["image"].to_numpy()
        kept = protocol.metrics.gallery == "other-sequence"
        self.reserved = {who: self._gallery_sequence(who) if kept else None for who in self.people}
        self.untrue = tuple(f"{extra.set}." for extra in protocol.data.test_sets if not extra.truth)

    def find(self, who: str, what: str, domain: str, *, take: int = 0, intensity: float = 1.0) -> int:
        """The row of a subject's image, -1 where there is none."""
        for row in self.rows.get((who, what, domain), []):
            if self.take[row] == take and (what == "neutral" or abs(self.intensity[row] - intensity) < 1e-6):
                return row
        return -1

    def has_target(self, who: str) -> bool:
        """Whether a subject's images are of one occasion, so that one is the target image for another."""
        return not (self.untrue and who.startswith(self.untrue))

    def source(self, who: str, domain: str, take: int) -> int:
        """The image that a request starts from: the neutral one of a take; an unlabelled one where there is
        none; outside of the domain "in" whichever there is. -1 where there is nothing.
        """
        starts = ("neutral", "") if domain == "in" else ("neutral", "", *EXPRESSIONS[1:])
        shown = (self.find(who, what, domain, take=take) for what in starts)
        return next((row for row in shown if row >= 0), -1)

    def sequence_pairs(self, who: str, label: str, domain: str) -> list[tuple[int, int]]:
        """First frame and peak of each labelled sequence that is not kept for the gallery, by name."""
        peaks: dict[str, int] = {}
        for row in self.rows.get((who, label, domain), []):
            sequence = self.sequence[row]
            if sequence != self.reserved[who] and (
                sequence not in peaks or self.frame[row] > self.frame[peaks[sequence]]
            ):
                peaks[sequence] = row
        pairs = [(self.first_frame(who, sequence, domain), row) for sequence, row in sorted(peaks.items())]
        return [(first, peak) for first, peak in pairs if first >= 0]

    def first_frame(self, who: str, sequence: str, domain: str) -> int:
        """The first neutral frame of a sequence, -1 where there is none."""
        rows = [r for r in self.rows.get((who, "neutral", domain), []) if self.sequence[r] == sequence]
        return min(rows, key=lambda r: self.frame[r]) if rows else -1

    def home(self, who: str) -> str:
        """The domain of a subject's gallery image: "in", or the only one that a tested set has."""
        known = self.domains.get(who, ["in"])
        return "in" if "in" in known else known[0]

    def gallery(self, who: str) -> int:
        """The row of a subject's gallery image, never of the source's own take or sequence; -1 if none."""
        if self.protocol.metrics.gallery == "none":
            return -1
        if self.protocol.metrics.gallery == "other-take":
            return self.find(who, "neutral", self.home(who), take=1)
        reserved = self.reserved[who]
        return -1 if reserved is None else self.first_frame(who, reserved, self.home(who))

    def in_hash_order(self, rows: Sequence[int]) -> list[int]:
        """Rows in an order that is fixed by their images' names and has nothing to do with them."""
        return sorted(rows, key=lambda row: hashlib.sha256(str(self.image[row]).encode()).digest())

    def _gallery_sequence(self, who: str) -> str | None:
        """The sequence kept for the gallery: an unlabelled one, else one that the subject's name draws, so
        that no expression is kept back from every subject; none if it is the only one.
        """
        home = self.home(who)
        everything = sorted({self.sequence[r] for r in self.rows.get((who, "neutral", home), [])})
        labelled = {self.sequence[r] for e in EXPRESSIONS[1:] for r in self.rows.get((who, e, home), [])}
        if len(everything) < 2:
            return None
        drawn = everything[int(hashlib.sha256(who.encode()).hexdigest(), 16) % len(everything)]
        return next((s for s in everything if s not in labelled), drawn)


def safe_part(name: str) -> str:
    """A subject's or image's name as a part of a request's id: the same where it is safe as a file name,
    else its safe characters and a piece of its hash.
    """
    if not _UNSAFE.search(name):
        return name
    return f"{_UNSAFE.sub('-', name).strip('-')[-40:]}-{hashlib.sha256(name.encode()).hexdigest()[:6]}"
