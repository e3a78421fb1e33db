"""One cell to run as data: everything an engine needs to run it anywhere, as text and numbers."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fesbench.context.context import RunContext
from fesbench.errors import DataError, UsageError
from fesbench.protocol.data_folders import Sources
from fesbench.protocol.protocol import Protocol, load_protocol
from fesbench.runs.loaded_weights import row_name

if TYPE_CHECKING:
    from fesbench.methods.base import Method
    from fesbench.progress import Reporter
    from fesbench.records.record import Cell


@dataclass(frozen=True)
class Job:
    """One cell to run; of a k-fold protocol, in all its folds or in one.

    Attributes:
        method: a method's id, or the path of the ``.py`` file that declares it.
        protocol: name, or path of a TOML file.
        preset: of the method.
        budget: as `parse_budget` reads it.
        seed: of the training.
        data: a stand-in data set of the protocol; None = its own.
        size: side of the images in pixels; None = the protocol's.
        split: path of a CSV with identity and side; None = the protocol's own split.
        source: folder of each data set by name ("" = the protocol's own); empty = prepared or embedded.
        store: fingerprint that the prepared data must have; "" = any.
        weights: path of a safetensors file to load instead of training; "" = train.
        zoo: those weights are the zoo's, made by fesbench itself.
        train: "never", "auto" or "always"; whether the zoo's weights may stand in: see `fesbench.runs.zoo`.
        fold: the one fold to run, of a k-fold protocol; None = all.
        out: the runs folder.
        device: "auto", "cpu" or "cuda".
    """

    method: str
    protocol: str
    preset: str
    budget: str
    seed: int = 0
    data: str | None = None
    size: int | None = None
    split: str | None = None
    source: dict[str, str] | None = None
    store: str = ""
    weights: str = ""
    zoo: bool = False
    train: str = "always"
    fold: int | None = None
    out: str = "runs"
    device: str = "auto"

    def to_json(self) -> str:
        """The job on one line.

        >>> Job.from_json(Job("mr", "avatars", "tiny", "smoke").to_json()).method
        'mr'
        """
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Job:
        """Read a job back.

        Raises:
            UsageError: the text is no job: no JSON object, or an unknown or missing key.
        """
        try:
            return cls(**json.loads(text))
        except (ValueError, TypeError) as error:
            known = ", ".join(field.name for field in fields(cls))
            raise UsageError(f"not a job ({error}); its keys are {known}") from None

    def rules(self) -> Protocol:
        """The protocol with this job's overrides.

        Raises:
            ProtocolError: see `load_protocol` and `Protocol.with_overrides`.
        """
        split = Path(self.split) if self.split else None
        return load_protocol(self.protocol).with_overrides(size=self.size, data=self.data, split=split)

    def method_class(self) -> type[Method]:
        """The method, imported.

        Raises:
            FesbenchError: no such method, or its file cannot be loaded.
        """
        from fesbench.methods.registry import load_method

        return load_method(self.method)

    @property
    def trains(self) -> bool:
        """Whether the cell trains in steps: it loads no weights, and its method is not fitted at once."""
        from fesbench.methods.base import Method

        return not self.weights and self.method_class().optimizers is not Method.optimizers

    def cell(self, context: RunContext) -> Cell:
        """The cell's identity in the records of a run."""
        name = row_name(self.method_class().card.id, self.weights, zoo=self.zoo)
        return context.cell(name, preset=self.preset, seed=self.seed)

    def card(self) -> dict[str, Any]:
        """The method's card as a record keeps it: with the helpers, form and note of the job's preset."""
        kind = self.method_class()
        card = asdict(kind.card)
        card |= {"needs": sorted(card["needs"]), "controls": sorted(card["controls"])}
        hyper = kind.hyper_of(self.preset)
        card["helpers"], card["native"] = kind.helpers_of(hyper), kind.native_of(hyper)
        card["preset_note"] = kind.preset_note(self.preset)
        card["budget_note"] = "" if self.weights else kind.budget_note(self.budget)
        loaded = "zoo" if self.zoo else Path(self.weights).name
        return card | ({"title": f"{card['title']} ({loaded})"} if self.weights else {})

    @property
    def shared(self) -> Job:
        """What jobs that can share one context have in common."""
        return replace(
            self, method="", preset="", seed=0, weights="", zoo=False, train="", fold=None, device=""
        )

    def open_context(self, reporter: Reporter) -> RunContext:
        """Open what the job needs beside its method; the caller closes it.

        Raises:
            FesbenchError: see `open_context`.
            DataError: the data is not what the job was planned for.
        """
        from fesbench.context.folded import open_context

        source = {name: Path(folder) for name, folder in self.source.items()} if self.source else None
        context = open_context(
            self.rules(), budget=self.budget, out=Path(self.out), source=source, reporter=reporter
        )
        if self.store and context.store.fingerprint != self.store:
            found = context.store.fingerprint
            context.close()
            raise DataError(
                f"the data of {context.protocol.name} has the fingerprint {found[:8]} here, and the job was "
                f"planned for {self.store[:8]}; give the same files with --from"
            )
        return context


def shared_job(
    protocol: str,
    *,
    budget: str,
    data: str | None = None,
    size: int | None = None,
    split: Path | None = None,
    source: Sources = None,
    out: Path = Path("runs"),
    device: str = "auto",
) -> Job:
    """What the jobs of one command have in common, its paths absolute: a job without method and preset."""
    folders = source if source is None or isinstance(source, Mapping) else {"": source}
    return Job(
        method="",
        protocol=os.path.abspath(protocol) if protocol.endswith(".toml") else protocol,
        preset="",
        budget=budget,
        data=data,
        size=size,
        split=None if split is None else os.path.abspath(split),
        source=None if folders is None else {name: os.path.abspath(path) for name, path in folders.items()},
        out=os.path.abspath(out),
        device=device,
    )
