"""A protocol in plain words, with the counts and the hash of its split."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

from fesbench.errors import DataError
from fesbench.protocol import Protocol


def split_summary(protocol: Protocol, source: Path | None) -> dict[str, Any]:
    """People and images per side, and the split's hash; ``reason`` where the data is not at hand."""
    from fesbench.bench import build_split, open_store
    from fesbench.data.splits import split_table
    from fesbench.progress import LiveReporter

    try:
        with LiveReporter() as reporter:
            store = open_store(protocol, source, reporter)
    except DataError as error:
        return {"reason": str(error)}
    split = build_split(protocol, store)
    return {
        "hash": split.hash,
        "fingerprint": store.fingerprint,
        "people": {side: len(getattr(split, side)) for side in ("train", "validation", "test")},
        "images": split_table(store.manifest, split).to_dict("index"),
    }


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
    if split.rule == "index":
        lines.append(
            f"Split: people by fixed ranges, {split.train} train, {split.validation:g} validate, "
            f"{split.test:g} tested."
        )
    else:
        lines.append(
            f"Split: people by sha256('{split.seed}:identity'), {split.validation:.0%} validate, "
            f"{split.test:.0%} tested."
        )
    lines += ["", "Tasks:"]
    for task in protocol.tasks:
        what = f"  - {task.kind} (given: {task.given}) in {', '.join(task.domains)}"
        what += f"; from budget {task.from_budget} up"
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
    lines = [
        f"Split {summary['hash'][:16]} of data {summary['fingerprint'][:16]}: "
        + ", ".join(f"{count} people {side}" for side, count in people.items())
    ]
    lines += [
        f"  {name:12s}" + "".join(f"{side} {count:<8}" for side, count in row.items())
        for name, row in summary["images"].items()
    ]
    return lines
