"""Whether a protocol can be run: every name in it is known here, and every rule fits the others.

Reading a file already refuses misspelt keys and impossible values; this looks at what the registries know.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fesbench.errors import FesbenchError
from fesbench.protocol.protocol import Protocol
from fesbench.protocol.tasks import task_kind

if TYPE_CHECKING:
    from fesbench.protocol.schema import Task


def problems(protocol: Protocol) -> list[str]:
    """Everything that would stop a run under this protocol, one sentence each with its key."""
    return [*_data(protocol), *_split(protocol), *_tasks(protocol), *_metrics(protocol)]


def _refused(key: str, call: Callable[..., Any], *arguments: Any) -> Iterator[str]:
    """The message of a registry that does not know a name, if it does not."""
    try:
        call(*arguments)
    except FesbenchError as error:
        yield f"{key}: {error}"


def _data(protocol: Protocol) -> Iterator[str]:
    from fesbench.data.alignment.recipes import alignment
    from fesbench.data.datasets import DATASETS, dataset

    rule = protocol.data
    sets = [("data", rule.set, rule.alignment, rule.options)]
    sets += [(f"data.stand_ins.{name}", name, s.alignment, s.options) for name, s in rule.stand_ins.items()]
    sets += [("data.test_sets", extra.set, extra.alignment, extra.options) for extra in rule.test_sets]
    for key, name, recipe, options in sets:
        yield from _refused(key, dataset, name)
        yield from _refused(f"{key}.alignment", alignment, recipe)
        if name in DATASETS:
            yield from _refused(f"{key}.options", DATASETS.get(name).check_options, options)
    for extra in rule.test_sets:
        own = DATASETS.get(extra.set).domains if extra.set in DATASETS else ()
        if not extra.domain and "in" in own:
            yield f"data.test_sets: '{extra.set}' does not tell its domains apart; give it a domain"
        if extra.domain == "in":
            yield "data.test_sets: the domain 'in' is that of the training data; name another"
    own = DATASETS.get(rule.set).domains if rule.set in DATASETS else rule.unlabelled
    for domain in rule.unlabelled:
        if domain not in own:
            yield f"data.unlabelled: '{rule.set}' has no domain '{domain}'; it has {', '.join(own)}"


def _split(protocol: Protocol) -> Iterator[str]:
    from fesbench.data.datasets import DATASETS

    rule = protocol.split
    for name in (protocol.data.set, *protocol.data.stand_ins):
        known = DATASETS.get(name).identities_known if name in DATASETS else None
        if known is False and rule.by == "identity":
            yield f"split.by: nobody knows who is shown in '{name}'; write by = \"image\""
        if known is True and rule.by == "image":
            yield f"split.by: '{name}' says who is shown; leave out by, so that nobody is in two subsets"
    if rule.by == "identity" and rule.rule == "official":
        yield "split.rule: 'official' belongs to by = \"image\"; subjects are split by another rule"
    if rule.rule == "file" and not rule.file:
        yield "split.rule: a file is given with --split; write another rule into the protocol"
    named = [*rule.test_names, *rule.validation_names, *(who for names in rule.fold_names for who in names)]
    for who in sorted({who for who in named if named.count(who) > 1}):
        yield f"split: '{who}' stands in more than one subset or in more than one fold"
    if 0 < rule.n_folds < 3:
        yield "split: a k-fold form needs three folds, to test, validate and train"


def _tasks(protocol: Protocol) -> Iterator[str]:
    from fesbench.methods.card import applicable
    from fesbench.methods.registry import methods

    cards = [method.card for method in methods().values()]
    domains = _domains(protocol)
    for task in protocol.tasks:
        key = f"tasks ({task.kind})"
        reasons = [applicable(card, task.kind, task.given) for card in cards]
        if None not in reasons:
            yield f'{key}: no method and no reference row answers it with given = "{task.given}"'
        for domain in task.domains:
            if domains and domain not in domains:
                yield f"{key}.domains: the data has no domain '{domain}'; it has {', '.join(domains)}"
        yield from (f"{key}{place}: {what}" for place, what in task_kind(task.kind).slips(task, protocol))
        few = [label for label in task.smoke_labels or () if label not in task.labels]
        if few:
            yield f"{key}.smoke_labels: '{few[0]}' is none of the task's labels {', '.join(task.labels)}"
    for first, second in combinations(protocol.tasks, 2):
        shared = sorted(set(first.domains) & set(second.domains))
        if first.kind != second.kind or not shared:
            continue
        asked = task_kind(first.kind).asked
        key, twice = f"tasks ({first.kind})", sorted(asked(first) & asked(second))
        if twice:
            yield f"{key}: two of them ask for {twice[0]} in domain '{shared[0]}'; keep one of the two"
        elif first.given != second.given:
            yield (
                f"{key}: two of them share the domain '{shared[0]}' and differ in given; their figures "
                "would be pooled, so write two protocols"
            )
    if not protocol.tasks_under("smoke")[0]:
        yield 'tasks: none is run under --budget smoke; leave out from_budget = "standard" of the main one'


def _domains(protocol: Protocol) -> tuple[str, ...]:
    """The domains that requests may be in; () where only the user's files say."""
    from fesbench.data.datasets import DATASETS

    sets = [(protocol.data.set, ""), *((extra.set, extra.domain) for extra in protocol.data.test_sets)]
    found: list[str] = []
    for name, domain in sets:
        own = (domain,) if domain else DATASETS.get(name).domains if name in DATASETS else ()
        if not own:
            return ()
        found += own
    return tuple(dict.fromkeys(found))


def _metrics(protocol: Protocol) -> Iterator[str]:
    from fesbench.extractors.registry import extractor
    from fesbench.judges.shipped import SHIPPED_FOR
    from fesbench.metrics import metric
    from fesbench.metrics.selection import metrics_of

    rule = protocol.metrics
    wrong = []
    for side in ("required", "optional"):
        for name in getattr(rule, side):
            wrong += list(_refused(f"metrics.{side}", metric, name))
    wrong += list(_refused("metrics.face", extractor, rule.face))
    yield from wrong
    if wrong:
        return
    known = {name: metric(name) for name in (*rule.required, *rule.optional)}
    for name, found in known.items():
        if "gallery" in found.card.needs and rule.gallery == "none":
            yield f"metrics: {name} compares with a gallery; name one, or leave {name} out"
    yield from (f"metrics: {name} stands twice" for name in rule.required if name in rule.optional)
    if rule.judge == "shipped" and protocol.id not in SHIPPED_FOR:
        yield f'metrics.judge: only {" and ".join(SHIPPED_FOR)} have shipped judges; write judge = "trained"'
    unmeasured: list[Task] = [
        task
        for task in protocol.tasks
        if task_kind(task.kind).outputs == "image" and not metrics_of(task.kind, known)
    ]
    for task in unmeasured:
        yield f"metrics: none of {', '.join(known)} means anything for task '{task.kind}'"


def check_file(path: Path) -> Protocol:
    """Read a protocol file and refuse whatever would stop a run.

    Raises:
        ProtocolError: with every slip, one a line.
    """
    from fesbench.errors import ProtocolError
    from fesbench.protocol.protocol import parse_protocol

    protocol = parse_protocol(path)
    found = problems(protocol)
    if found:
        raise ProtocolError("\n".join(f"{path}: {problem}" for problem in found))
    return protocol
