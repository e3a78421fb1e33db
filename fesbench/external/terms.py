"""Under which terms a folder is looked at: the protocol's form and rules, the budget, the requests."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from fesbench.external.requests_export import asked
from fesbench.progress import Reporter
from fesbench.protocol.budget import parse_budget
from fesbench.protocol.data_folders import Sources
from fesbench.protocol.forms import suitable
from fesbench.protocol.protocol import Protocol, load_protocol

if TYPE_CHECKING:
    import pandas as pd

    from fesbench.context.context import RunContext
    from fesbench.data.store.aligned import AlignedStore


@dataclass(frozen=True)
class Terms:
    """What was asked for, as the user said it; each consequence is settled once.

    Attributes:
        protocol: name or TOML file.
        data: a stand-in data set of the protocol.
        split: a CSV with identity and subset, in place of the protocol's own split.
        source: where the data lies, if it was not prepared before.
        budget: the budget whose requests the images answer.
        size: side of the images in pixels; None = the protocol's.
        reporter: shown the progress.
    """

    protocol: str
    data: str | None = None
    split: Path | None = None
    source: Sources = None
    budget: str = "standard"
    size: int | None = None
    reporter: Reporter = field(default_factory=Reporter)

    @cached_property
    def form(self) -> str:
        """The protocol, in the form that suits the user's images."""
        return suitable(self.protocol, self.source, self.reporter, data=self.data, split=self.split)

    @cached_property
    def rules(self) -> Protocol:
        """The protocol's rules with all that the user overrides."""
        return load_protocol(self.form).with_overrides(size=self.size, data=self.data, split=self.split)

    @cached_property
    def plain_budget(self) -> str:
        """The budget as records name it."""
        return parse_budget(self.budget).text

    def requests(self) -> tuple[pd.DataFrame, AlignedStore]:
        """The request table without the scoring side's columns, and the store that its rows count in."""
        return asked(self.rules, self.budget, self.source, self.reporter)

    def open_context(self, out: Path) -> RunContext:
        """What scoring needs, the judges included; ``out`` is the runs folder."""
        from fesbench.context.folded import open_context

        return open_context(
            self.rules, budget=self.plain_budget, out=out, source=self.source, reporter=self.reporter
        )
