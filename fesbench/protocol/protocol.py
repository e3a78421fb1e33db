"""Protocols: a TOML file that fixes data, frames, alignment, split, tasks, metrics and budget.

A protocol has an id and a version (``ck+@1``); a changed rule is a new version. Every override enters its
name and its hash, so that a number made under ``--size 64`` can never stand beside one that was not.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Collection, Mapping
from importlib.metadata import entry_points
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, model_validator

from fesbench.errors import ProtocolError, UnknownNameError
from fesbench.protocol.schema import (
    BudgetRule,
    DataRule,
    MetricRule,
    SplitRule,
    StandIn,
    Strict,
    Task,
    TestSet,
)
from fesbench.vocabulary import COMPOUNDS, EXPRESSIONS

_SUBSETS = "give train, validation and test"
DEFAULTS = 1
"""Version of the values that keys take where a file says nothing."""

_ORDER: dict[str, int] = {"smoke": 0, "short": 1, "standard": 2, "paper": 3}


class Protocol(Strict):
    """One protocol, as read from its file, with the overrides applied."""

    id: str
    version: int = Field(ge=1)
    title: str
    summary: str
    paper: str = ""
    left_open: tuple[str, ...] = ()
    """What the paper leaves open, and what was chosen here."""
    labels: tuple[str, ...] = EXPRESSIONS
    data: DataRule
    split: SplitRule
    tasks: tuple[Task, ...] = Field(min_length=1)
    metrics: MetricRule
    budget: BudgetRule
    overrides: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Id, version and every override: ``avatars@1+size=64``."""
        return "".join((f"{self.id}@{self.version}", *(f"+{item}" for item in self.overrides)))

    @property
    def hash(self) -> str:
        """Sha256 (hex) of the resolved rules. Prose does not count, nor a key that keeps its default: a rule
        that fesbench learns later leaves the hashes of older protocols alone. A default that changes its
        value raises `DEFAULTS`, and with it every hash.
        """
        prose = {"title", "summary", "paper", "left_open"}
        rules = self.model_dump(mode="json", exclude=prose, exclude_defaults=True)
        rules["defaults"] = DEFAULTS
        return hashlib.sha256(json.dumps(rules, sort_keys=True).encode()).hexdigest()

    @property
    def training_hash(self) -> str:
        """Sha256 (hex) of those rules alone that training sees: labels, data, split and the budget's lengths.

        Protocols that differ in what is asked or measured share it, and weights of one serve the other.
        """
        rules = self.model_dump(mode="json", exclude_defaults=True, include={"data", "split", "budget"})
        for name in ("stand_ins", "test_sets"):
            rules["data"].pop(name, None)
        seen = [DEFAULTS, list(self.labels), rules]
        return hashlib.sha256(json.dumps(seen, sort_keys=True).encode()).hexdigest()

    def with_overrides(
        self, *, size: int | None = None, data: str | None = None, split: Path | None = None
    ) -> Protocol:
        """The protocol at another size, served by one of its stand-in data sets, or split by a file.

        Raises:
            ProtocolError: the data set is no stand-in that the protocol names, or the size is out of range.
            DataError: the split file cannot be read.
        """
        from fesbench.data.splits.files import folds_in, read_subsets, subsets_hash

        rule, notes = self.data, list(self.overrides)
        if data is not None and data != rule.set:
            if data not in rule.stand_ins:
                known = ", ".join((rule.set, *rule.stand_ins))
                raise ProtocolError(
                    f"protocol {self.name} cannot be served by data '{data}'; it takes: {known}"
                )
            stand_in = rule.stand_ins[data]
            rule = rule.model_copy(
                update={"set": data, "alignment": stand_in.alignment, "options": stand_in.options}
            )
            notes.append(f"data={data}")
        if size is not None and size != rule.size:
            rule = rule.model_copy(update={"size": size})
            notes.append(f"size={size}")
        if not 16 <= rule.size <= 1024:
            raise ProtocolError(f"--size {rule.size} is out of range; give 16 to 1024 pixels")
        subsets = self.split
        if split is not None:
            given = read_subsets(split)
            digest, folds = subsets_hash(given), folds_in(given, split)
            if folds and rule.test_sets:
                raise ProtocolError(
                    f"{split} holds folds, and {self.name} has sets that are tested once; {_SUBSETS}"
                )
            subsets = SplitRule(by=subsets.by, rule="file", file=str(split), digest=digest, folds=folds)
            notes.append(f"split={digest[:8]}")
        return self.model_copy(update={"data": rule, "split": subsets, "overrides": tuple(notes)})

    def with_labels(self, present: Collection[str]) -> Protocol:
        """The protocol with those labels alone that its data has; tasks without a label are left out.

        Raises:
            ProtocolError: fewer than two labels, or no task, are left.
        """
        kept = tuple(label for label in self.labels if label in present)
        if kept == self.labels:
            return self
        tasks = [task.model_copy(update=_only(task, present)) for task in self.tasks]
        tasks = [task for task in tasks if task.labels]
        if len(kept) < 2 or not tasks:
            raise ProtocolError(
                f"protocol {self.name} finds the labels {', '.join(kept) or '(none)'} in the training images "
                "of its data, which leaves nothing to ask; check the data with 'fesbench data show'"
            )
        note = f"labels={','.join(kept)}"
        return self.model_copy(
            update={"labels": kept, "tasks": tuple(tasks), "overrides": (*self.overrides, note)}
        )

    def folds(self) -> tuple[Protocol, ...]:
        """One protocol a fold, in each of which other subjects are tested; () where it is no k-fold form."""
        return tuple(
            self.model_copy(
                update={
                    "split": self.split.model_copy(update={"fold": k}),
                    "overrides": (*self.overrides, f"fold={k}"),
                }
            )
            for k in range(self.split.n_folds)
        )

    @model_validator(mode="after")
    def _consistent(self) -> Protocol:
        rules = self.metrics
        if "other-take" in (rules.gallery, rules.reference) and any(task.takes > 1 for task in self.tasks):
            raise ValueError("a gallery or reference of the other take needs tasks that ask for one take")
        if "ECS" in (*rules.required, *rules.optional) and not self.labels:
            raise ValueError("metric ECS needs labels")
        if self.data.test_sets and (self.split.folds or self.split.fold_names):
            raise ValueError("a set that is only tested on goes with one split, not with folds")
        if self.data.pairing == "none" and rules.gallery != "none":
            raise ValueError('pairing = "none" knows no two images of a subject: set gallery = "none"')
        return self

    def tasks_under(self, budget: str) -> tuple[list[Task], list[Task]]:
        """The tasks that this budget runs, and those that it leaves out.

        ``steps=`` and ``minutes=`` budgets run every task.
        """
        rank = _ORDER.get(budget, _ORDER["paper"])
        run = [task for task in self.tasks if _ORDER[task.from_budget] <= rank]
        return run, [task for task in self.tasks if task not in run]


def _only(task: Task, present: Collection[str]) -> dict[str, Any]:
    """The labels of a task that are there; both halves of a compound must be."""
    halves = {name: COMPOUNDS.get(name, tuple(name.split("+"))) for name in task.labels}
    few = task.smoke_labels
    return {
        "labels": tuple(name for name in task.labels if set(halves[name]) <= set(present)),
        "smoke_labels": few and (tuple(name for name in few if name in present) or None),
    }


def protocol_files() -> dict[str, Any]:
    """Every installed protocol file by name (``ck+@1``, ``ck+/10fold@1``), external packages' too."""
    found: dict[str, Any] = {}
    for entry in files("fesbench.protocols").iterdir():
        inside = entry.iterdir() if entry.is_dir() else [entry]
        prefix = f"{entry.name}/" if entry.is_dir() else ""
        # a protocol's file is named id@version.toml; other tables lie beside them
        named = [e for e in inside if "@" in e.name and e.name.endswith(".toml")]
        found |= {f"{prefix}{e.name.removesuffix('.toml')}": e for e in named}
    for point in entry_points(group="fesbench.protocols"):
        found[point.name] = Path(str(point.load()))
    return dict(sorted(found.items()))


def load_protocol(name: str) -> Protocol:
    """Load ``ck+@1``, ``ck+`` (its newest version) or a path to a TOML file.

    Raises:
        UnknownNameError: no protocol of that name.
        ProtocolError: the file is not valid; names the file, the key and the remedy.
    """
    if name.endswith(".toml"):
        return parse_protocol(Path(name))
    known = protocol_files()
    if name not in known and not (name := newest(wanted := name)):
        raise UnknownNameError("protocol", wanted, known)
    return parse_protocol(known[name])


def newest(id_: str) -> str:
    """The newest installed version of an id, such as "ck+@1"; "" where there is none."""
    versions = [name for name in protocol_files() if name.split("@")[0] == id_]
    return max(versions, key=lambda name: int(name.split("@")[1]), default="")


def parse_protocol(path: Any) -> Protocol:
    """Read and validate one protocol file.

    Raises:
        ProtocolError: unreadable, not TOML, a misspelt or missing key, a wrong value.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ProtocolError(f"{path} does not exist; 'fesbench protocols' lists the installed ones") from None
    except (OSError, ValueError, RecursionError) as error:
        raise ProtocolError(f"{path} is not a readable TOML file: {error}") from None
    try:
        protocol = Protocol.model_validate(raw)
    except ValidationError as error:
        slips = sorted(error.errors(), key=lambda item: item["type"] != "extra_forbidden")
        raise ProtocolError("\n".join(_explain(path, item) for item in slips)) from None
    expected = f"{protocol.id}@{protocol.version}.toml"
    if path.name != expected.rpartition("/")[2]:
        raise ProtocolError(f"{path}: id and version say the file must be named {expected}; rename it")
    return protocol


def _explain(path: Any, item: Mapping[str, Any]) -> str:
    where = ".".join(str(part) for part in item["loc"])
    if item["type"] == "extra_forbidden":
        owner: Any = Protocol
        for part in item["loc"][:-1]:
            owner = _child(owner, part)
        hint = UnknownNameError("key", str(item["loc"][-1]), owner.model_fields)
        return f"{path}: key '{where}' is not known: {hint}"
    if item["type"] == "missing":
        return f"{path}: key '{where}' is missing; add it (see protocols/avatars@1.toml for an example)"
    return f"{path}: key '{where}': {item['msg']} (found {item['input']!r})"


def _child(owner: Any, part: str | int) -> Any:
    nested = {
        "data": DataRule,
        "split": SplitRule,
        "tasks": Task,
        "metrics": MetricRule,
        "budget": BudgetRule,
    }
    if owner is Protocol and isinstance(part, str):
        return nested.get(part, Protocol)
    inner = {"stand_ins": StandIn, "test_sets": TestSet}
    return inner.get(str(part), owner) if owner is DataRule else owner
