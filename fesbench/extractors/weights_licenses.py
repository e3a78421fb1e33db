"""Licenses that exclude commercial use: shown before the first use, and the acceptance written down."""

from __future__ import annotations

import os
from pathlib import Path

from fesbench.extractors.weights_entry import WeightsEntry
from fesbench.extractors.weights_pins import JsonTable

VARIABLE = "FESBENCH_ACCEPT_LICENSES"


class Licenses:
    """A small JSON file: name -> license, how and when it was accepted."""

    def __init__(self, path: Path) -> None:
        self._table = JsonTable(path, key="license", remedy="remove it and accept the licenses again")

    def accepted(self, entry: WeightsEntry) -> dict[str, str] | None:
        """The acceptance of these very terms, or None.

        A name in ``FESBENCH_ACCEPT_LICENSES`` (comma-separated) accepts, and is written down.
        """
        row = self._table.read().get(entry.name)
        if row is not None and row["license"] == entry.license:
            return {key: str(value) for key, value in row.items()}
        if entry.name in (name.strip() for name in os.environ.get(VARIABLE, "").split(",")):
            return self.accept(entry, how=VARIABLE)
        return None

    def accept(self, entry: WeightsEntry, how: str) -> dict[str, str]:
        """Write down that the terms were accepted, and how."""
        row = {"license": entry.license, "how": how}
        return {key: str(value) for key, value in self._table.set(entry.name, row).items()}

    def problem(self, entry: WeightsEntry) -> str | None:
        """None when the weights may be used; else their terms and the ways to accept them."""
        if not entry.non_commercial or self.accepted(entry) is not None:
            return None
        return (
            f"license: {entry.license}; accept it with: fesbench weights pull {entry.name} --accept-license "
            f"(or {VARIABLE}={entry.name})"
        )
