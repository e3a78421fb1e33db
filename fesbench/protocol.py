"""Protocols: a TOML file that fixes data, frames, alignment, split, tasks, metrics and budget.

A protocol has an id and a version (``ck+@1``); a changed rule is a new version. Every override enters its
name and its hash, so that a number made under ``--size 64`` can never stand beside one that was not.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping
from importlib.metadata import entry_points
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from fesbench.errors import ProtocolError, UnknownNameError
from fesbench.vocabulary import EXPRESSIONS

Budget = Literal["smoke", "standard", "paper"]
TaskKind = Literal["expression", "transfer", "intensity", "compound"]
_ORDER: dict[str, int] = {"smoke": 0, "standard": 1, "paper": 2}


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class StandIn(_Strict):
    """Another data set that may serve this protocol's rules (``--data avatars``)."""

    alignment: str = "none@1"
    options: dict[str, Any] = Field(default_factory=dict)


class DataRule(_Strict):
    """Which data, prepared how."""

    set: str
    size: int = Field(ge=32, le=1024)
    alignment: str
    pairing: Literal["take", "sequence"]
    """``take``: the source is the neutral image of the same person and take; ``sequence``: the first frame of
    the target's own sequence."""
    options: dict[str, Any] = Field(default_factory=dict)
    stand_ins: dict[str, StandIn] = Field(default_factory=dict)


class SplitRule(_Strict):
    """Who trains, who validates, who is tested; identities, never images."""

    rule: Literal["index", "hash"]
    seed: int = 0
    train: int | None = None
    validation: float
    test: float

    @model_validator(mode="after")
    def _counts(self) -> SplitRule:
        if self.rule == "index" and self.train is None:
            raise ValueError("rule 'index' needs the counts train, validation and test")
        if self.rule == "hash" and not 0 < self.validation + self.test < 1:
            raise ValueError(
                "rule 'hash' needs validation and test as fractions that leave people to train on"
            )
        return self


class Task(_Strict):
    """What is asked: one kind, with what it grants, in which domains."""

    kind: TaskKind
    given: Literal["label", "landmarks", "action_units"] = "label"
    domains: tuple[str, ...] = ("in",)
    labels: tuple[str, ...] = EXPRESSIONS[1:]
    smoke_labels: tuple[str, ...] | None = None
    """Fewer labels under ``--budget smoke``."""
    levels: tuple[float, ...] = (1.0,)
    """Intensities, for ``intensity``."""
    from_budget: Budget = "smoke"
    """The smallest budget under which the task is run."""

    @model_validator(mode="after")
    def _known(self) -> Task:
        for label in (*self.labels, *(self.smoke_labels or ())):
            if label not in EXPRESSIONS and self.kind != "compound":
                raise ValueError(f"unknown expression '{label}'; known: {', '.join(EXPRESSIONS)}")
        return self


class MetricRule(_Strict):
    """Which metrics, computed with which extractors."""

    required: tuple[str, ...]
    optional: tuple[str, ...] = ()
    face: str = "dlib"
    judge: Literal["shipped", "trained"] = "trained"
    gallery: Literal["other-take", "other-sequence"]
    reference: Literal["other-take", "halves"]


class BudgetRule(_Strict):
    """Training length under ``--budget standard``, in the method's own steps."""

    standard_steps: int = Field(gt=0)


class Protocol(_Strict):
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
        """Sha256 (hex) of the resolved rules; prose does not count."""
        rules = self.model_dump(mode="json", exclude={"title", "summary", "paper", "left_open"})
        return hashlib.sha256(json.dumps(rules, sort_keys=True).encode()).hexdigest()

    def with_overrides(self, *, size: int | None = None, data: str | None = None) -> Protocol:
        """The protocol at another size, or served by one of its stand-in data sets.

        Raises:
            ProtocolError: the data set is no stand-in that the protocol names, or the size is out of range.
        """
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
        if not 32 <= rule.size <= 1024:
            raise ProtocolError(f"--size {rule.size} is out of range; give 32 to 1024 pixels")
        return self.model_copy(update={"data": rule, "overrides": tuple(notes)})

    def tasks_under(self, budget: str) -> tuple[list[Task], list[Task]]:
        """The tasks that this budget runs, and those that it leaves out.

        ``steps=`` and ``minutes=`` budgets run every task.
        """
        rank = _ORDER.get(budget, 2)
        run = [task for task in self.tasks if _ORDER[task.from_budget] <= rank]
        return run, [task for task in self.tasks if task not in run]


def protocol_files() -> dict[str, Any]:
    """Every installed protocol file by name (``ck+@1``), fesbench's own and those of outside packages."""
    entries = files("fesbench.protocols").iterdir()
    found: dict[str, Any] = {e.name.removesuffix(".toml"): e for e in entries if e.name.endswith(".toml")}
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
    if name not in known:
        versions = [full for full in known if full.split("@")[0] == name]
        if not versions:
            raise UnknownNameError("protocol", name, known)
        name = max(versions, key=lambda full: int(full.split("@")[1]))
    return parse_protocol(known[name])


def parse_protocol(path: Any) -> Protocol:
    """Read and validate one protocol file.

    Raises:
        ProtocolError: unreadable, not TOML, a misspelt or missing key, a wrong value.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ProtocolError(f"{path} does not exist; 'fesbench protocols' lists the installed ones") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ProtocolError(f"{path} is not a readable TOML file: {error}") from None
    try:
        protocol = Protocol.model_validate(raw)
    except ValidationError as error:
        slips = sorted(error.errors(), key=lambda item: item["type"] != "extra_forbidden")
        raise ProtocolError("\n".join(_explain(path, item) for item in slips)) from None
    expected = f"{protocol.id}@{protocol.version}.toml"
    if path.name != expected:
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
    return StandIn if owner is DataRule and part == "stand_ins" else owner
