"""What a table says above itself."""

from __future__ import annotations

from fesbench.protocol.tasks import plain_kind


def caption(task: str, domain: str, units: str) -> str:
    """A table's caption: what was asked, and over what the intervals are."""
    where = "" if domain == "in" else f", domain {domain}"
    one = "image" if units == "images" else "subject"
    words = plain_kind(task).words.format(one=one, units=units)
    return f"Task {task}{where}{': ' if words else ''}{words}. Score, 95 % interval over {units}"
