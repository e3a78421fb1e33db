"""What every kind of task has: its facts, and the plain way to ask every label of every subject."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

from fesbench.protocol.image_index import safe_part
from fesbench.vocabulary import EXPRESSIONS

if TYPE_CHECKING:
    from fesbench.protocol.image_index import RequestIndex
    from fesbench.protocol.protocol import Protocol as Rules
    from fesbench.protocol.schema import Task

GALLERY_TAKE = 1
SMOKE_SAMPLES = 20
"""Under ``smoke``: images a label of a random task, and sources of an action-unit task."""

Row = dict[str, Any]


class MetricFacts(Protocol):
    """What a kind looks at to tell whether a metric means something for it."""

    @property
    def extractor(self) -> str:
        """Name of the extractor that the metric reads."""

    @property
    def needs(self) -> Collection[str]:
        """The sets of images that it reads."""

    @property
    def reads_clips(self) -> bool:
        """Whether it reads clips; else images."""


@dataclass(frozen=True)
class Ask:
    """One task in one domain of a run.

    Attributes:
        task: as the protocol has it.
        domain: one of the task's.
        index: finds the images of the subjects who are asked.
        coded: action units that the training rows code.
        smoke: whether the run is so short that few images are asked for (``smoke`` and ``short``).
    """

    task: Task
    domain: str
    index: RequestIndex
    coded: Collection[int]
    smoke: bool

    @property
    def labels(self) -> tuple[str, ...]:
        """What is asked of each subject."""
        return self.task.smoke_labels if self.smoke and self.task.smoke_labels else self.task.labels

    @property
    def samples(self) -> int:
        """How many sources or images a label; 0 = all there are."""
        most = self.task.samples
        return min(most or SMOKE_SAMPLES, SMOKE_SAMPLES) if self.smoke else most

    @property
    def sequences(self) -> bool:
        """Whether a source is the first frame of its target's sequence."""
        return self.index.protocol.data.pairing == "sequence"

    def other_subject(self, who: str, label: str) -> int:
        """The image of the next subject (cyclically) who shows a label; -1 where nobody else does."""
        people = self.index.people
        start = people.index(who)
        for other in people[start + 1 :] + people[:start]:
            rows = self.index.rows.get((other, label, self.domain), [])
            rows = [row for row in rows if self.index.intensity[row] >= 1 - 1e-6]
            if rows:
                return rows[-1] if self.sequences else rows[0]
        return -1


class TaskKind:
    """One kind of task. A kind is a class with a name, in a file of its own.

    Class attributes:
        name: in protocols and records.
        words: what it asks, for a caption; ``{one}`` and ``{units}`` stand for subject and subjects, or image
            and images where nobody knows who is shown.
        place: order of its table on the page.
        control: what a method must control to answer it; "" = the kind itself.
        given: what it grants where a protocol says nothing; `grants` lists what a protocol may say.
        outputs: what a request makes: an "image", scored one by one; a "training image" for a recognizer,
            made from subjects who train; a "clip".
        defaults: other keys of [[tasks]] where a protocol says nothing.
        columns: of the request table that no other kind has, with what the rows of other kinds say there.
        every: asks in every take, or for every sequence, not in the first ``takes`` or for the last one.
        numbered: a subject is asked for one thing several times, told apart by a number.
        by_label: asks for labels of the protocol.
        one_label: a label says all of what is asked; not so where there are two, or levels.
        by_unit: asks for one action unit at a time.
        has_source: starts from an image of the subject who is asked for.
    """

    name: ClassVar[str]
    words: ClassVar[str] = ""
    place: ClassVar[int] = 100
    control: ClassVar[str] = ""
    given: ClassVar[str] = "label"
    grants: ClassVar[tuple[str, ...]] = ("label", "landmarks", "action_units")
    outputs: ClassVar[Literal["image", "training image", "clip"]] = "image"
    defaults: ClassVar[Mapping[str, Any]] = {}
    columns: ClassVar[Mapping[str, Any]] = {}
    every: ClassVar[bool] = False
    numbered: ClassVar[bool] = False
    by_label: ClassVar[bool] = True
    one_label: ClassVar[bool] = True
    by_unit: ClassVar[bool] = False
    has_source: ClassVar[bool] = True

    @property
    def subset(self) -> str:
        """Whose images a request starts from."""
        return "train" if self.outputs == "training image" else "test"

    # How a [[tasks]] table is checked.

    def check(self, task: Task) -> None:
        """Refuse values that make no sense for the kind.

        Raises:
            ValueError: says which and what is known.
        """
        if task.given not in self.grants:
            raise ValueError(f"task '{self.name}' grants {' or '.join(self.grants)}, not {task.given}")
        if {"length", "standard_length"} & task.model_fields_set and self.outputs != "clip":
            raise ValueError(f"task '{self.name}' has no length, since it asks for images")
        for label in (*task.labels, *(task.smoke_labels or ())):
            self.check_label(label)

    def check_label(self, label: str) -> None:
        """Refuse what cannot be asked for.

        Raises:
            ValueError: it is no expression.
        """
        if label not in EXPRESSIONS:
            raise ValueError(f"unknown expression '{label}'; known: {', '.join(EXPRESSIONS)}")

    def slips(self, task: Task, rules: Rules) -> Iterator[tuple[str, str]]:
        """What does not fit the rest of the protocol: (key, sentence)."""
        if not self.by_label:
            return
        odd = [label for label in task.labels if label not in rules.labels]
        if odd and rules.labels:
            known = ", ".join(rules.labels)
            yield ".labels", f"'{odd[0]}' is none of the protocol's labels {known}"
        if not rules.labels:
            yield "", "it asks for labels, and the protocol has none"
        if self.has_source and self.subset == "test" and "neutral" in task.labels and "in" in task.domains:
            yield ".labels", "'neutral' asks for the source itself; leave it out in the domain \"in\""

    def asked(self, task: Task) -> set[str]:
        """What is asked of each subject, by name."""
        return set(task.labels)

    # What is asked.

    def rows(self, ask: Ask) -> Iterator[Row]:
        """The requests of a task in a domain, in a fixed order."""
        for who in ask.index.people:
            for label in ask.labels:
                for level in ask.task.levels:
                    for number, take, source, target in self.pairs(ask, who, label, level):
                        driver = self.driver(ask, who, label)
                        if driver is not None:
                            yield self.row(
                                ask,
                                who=who,
                                what=label,
                                number=number,
                                take=take,
                                source=source,
                                target=target,
                                driver=driver,
                                level=level,
                            )

    def pairs(self, ask: Ask, who: str, label: str, level: float) -> Iterator[tuple[int, int, int, int]]:
        """Sources and target images of one subject and label: (running number, take, source, target)."""
        index = ask.index
        if ask.sequences:
            pairs = index.sequence_pairs(who, label, ask.domain)
            for number, (source, target) in enumerate(pairs if self.every else pairs[-1:]):
                yield number, 0, source, target
            return
        for take in self.takes(ask):
            source = index.source(who, ask.domain, take)
            if source >= 0:
                target = -1
                if index.has_target(who):
                    target = index.find(who, label, ask.domain, take=take, intensity=level)
                yield take, take, source, target

    def takes(self, ask: Ask) -> Iterable[int]:
        """The takes that are asked for, where the data has takes."""
        return range(int(ask.index.take.max()) + 1 if self.every else ask.task.takes)

    def driver(self, ask: Ask, who: str, label: str) -> int | None:
        """The image of another subject that is granted, -1 = none; None: nothing can be asked."""
        return -1

    def complete(self, task: Task, shown: Sequence[Row]) -> bool:
        """Whether the requests that have a target image are all that is asked."""
        return True

    def halves(self, what: str) -> tuple[str, str]:
        """The one or two labels of what is asked."""
        return what, ""

    def row(
        self,
        ask: Ask,
        *,
        who: str,
        what: str,
        source: int,
        target: int = -1,
        driver: int = -1,
        number: int = 0,
        take: int = 0,
        unit: int = 0,
        level: float = 1.0,
    ) -> Row:
        """One request; ``what`` is a label, a compound or "AU12", ``number`` counts within subject and it."""
        parts = [self.name, ask.domain, safe_part(who), what]
        if ask.task.levels != (1.0,):
            parts.append(f"{level:g}")
        if ask.task.takes > 1 or self.numbered:
            parts.append(str(number))
        name = "_".join(parts)
        first, second = ("", "") if unit else self.halves(what)
        return {
            "request": name,
            "task": self.name,
            "domain": ask.domain,
            "identity": who,
            "take": take,
            "source": source,
            "driver": driver,
            "target": target,
            "source_expression": "" if source < 0 else str(ask.index.table["expression"].iloc[source]),
            "target_expression": first,
            "second_expression": second,
            "action_unit": unit,
            "intensity": level,
            "given": ask.task.given,
            "noise_seed": int.from_bytes(hashlib.sha256(name.encode()).digest()[:7], "big"),
        }

    # What it means.

    def files(self, request: str, length: int) -> tuple[str, ...]:
        """The files that hold what is made for a request of ``length`` frames, in a cell's folder."""
        return (f"images/{request}.png",)

    def measures(self, metric: MetricFacts) -> bool:
        """Whether a metric means something for the kind."""
        return metric.reads_clips == (self.outputs == "clip")

    def described(self, task: Task, rules: Rules) -> str:
        """What a description of the protocol says of the task beside what all kinds have."""
        return f"; {', '.join(task.labels)}" if task.labels != rules.labels[1:] else ""
