"""A protocol in plain words, with the counts and the hash of its split."""

from __future__ import annotations

import textwrap
from collections import Counter
from typing import TYPE_CHECKING, Any

from fesbench.errors import DataError
from fesbench.partition import BY_IMAGE, rule_in_words
from fesbench.protocol import Protocol

if TYPE_CHECKING:
    from fesbench.bench import Sources


def split_summary(protocol: Protocol, source: Sources) -> dict[str, Any]:
    """People and images per side, and the split's hash; ``reason`` where the data is not at hand."""
    from fesbench.bench import open_store
    from fesbench.data.splits import split_table
    from fesbench.partition import assignment, build_split
    from fesbench.progress import LiveReporter

    try:
        with LiveReporter() as reporter:
            store = open_store(protocol, source, reporter)
    except DataError as error:
        return {"reason": str(error)}
    split = build_split(protocol, store)
    summary: dict[str, Any] = {
        "hash": split.hash,
        "fingerprint": store.fingerprint,
        "by": protocol.split.by,
        "people": {side: len(split.side(side)) for side in ("train", "validation", "test")},
        "images": split_table(store.manifest, split).to_dict("index"),
    }
    if protocol.split.by == "image":
        summary["note"] = BY_IMAGE
    if protocol.split.n_folds:
        folds = Counter(assignment(protocol, store).values())
        summary["folds"] = dict(sorted(folds.items()))
    return summary


def describe(protocol: Protocol, summary: dict[str, Any]) -> str:
    """The rules as a person would tell them."""
    rule, split, metrics = protocol.data, protocol.split, protocol.metrics
    lines = [f"{protocol.name}  {protocol.title}", f"hash {protocol.hash}", ""]
    lines += textwrap.wrap(" ".join(protocol.summary.split()), 100)
    if protocol.paper:
        lines += ["", f"Follows {protocol.paper}. What it leaves open, and what is done here:"]
        for item in protocol.left_open:
            lines += textwrap.wrap(item, 100, initial_indent="  - ", subsequent_indent="    ")
    lines += ["", f"Data: {rule.set}, {rule.size} px, alignment {rule.alignment}."]
    if rule.stand_ins:
        lines.append(f"May also be served by: {', '.join(rule.stand_ins)} (--data).")
    for extra in rule.test_sets:
        where = f" as domain '{extra.domain}'" if extra.domain else ""
        lines.append(f"Tested on, never trained on: {extra.set}{where}, alignment {extra.alignment}.")
    lines.append(f"Split: {rule_in_words(split)}.")
    if split.by == "image":
        lines.append(f"{BY_IMAGE[0].upper()}{BY_IMAGE[1:]}; nobody can say that it is identity-disjoint.")
    lines += ["", "Tasks:"]
    for task in protocol.tasks:
        what = f"  - {task.kind} (given: {task.given}) in {', '.join(task.domains)}"
        what += f"; from budget {task.from_budget} up"
        if task.kind == "action-unit":
            what += f"; AU{', AU'.join(map(str, task.action_units))}, those that the data codes"
        if task.takes > 1:
            what += f"; {task.takes} takes a person"
        if task.samples:
            what += f"; {task.samples} of them"
        if task.kind == "augmentation":
            what += f"; {', '.join(map(str, task.factors))} synthetic images for each real one"
        if task.levels != (1.0,):
            what += f"; intensities {', '.join(f'{level:g}' for level in task.levels)}"
        if task.smoke_labels:
            what += f"; under smoke only {', '.join(task.smoke_labels)}"
        lines.append(what)
    lines += [
        "",
        f"Scores: {', '.join(metrics.required)}.",
        f"Where their weights are present: {', '.join(metrics.optional)}.",
        f"Faces by {metrics.face}; judge {metrics.judge}.",
        f"Gallery: {metrics.gallery}; reference of distribution metrics: {metrics.reference}.",
        "",
    ]
    return "\n".join(lines + _split_lines(summary))


def _split_lines(summary: dict[str, Any]) -> list[str]:
    if "reason" in summary:
        return [f"Split counts: the data is not at hand. {summary['reason']}"]
    people = summary["people"]
    who = "images" if summary["by"] == "image" else "people"
    head = f"Split {summary['hash'][:16]} of data {summary['fingerprint'][:16]}: "
    if "folds" in summary:
        listed = ", ".join(f"{fold}: {count}" for fold, count in summary["folds"].items())
        return [f"{head}{who} by fold: {listed}"]
    lines = [head + ", ".join(f"{count} {who} {side}" for side, count in people.items())]
    lines += [
        f"  {name:12s}" + "".join(f"{side} {count:<8}" for side, count in row.items())
        for name, row in summary["images"].items()
    ]
    return lines
