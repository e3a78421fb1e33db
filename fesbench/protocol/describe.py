"""A protocol in plain words, with the counts and the hash of its split."""

from __future__ import annotations

import textwrap
from collections import Counter
from typing import TYPE_CHECKING, Any

from fesbench.protocol.protocol import Protocol
from fesbench.protocol.schema import ALWAYS, ALWAYS_OF_CLIPS
from fesbench.protocol.split import BY_IMAGE, rule_in_words
from fesbench.protocol.tasks import task_kind

if TYPE_CHECKING:
    from fesbench.data.store.aligned import AlignedStore


def summary_of(protocol: Protocol, store: AlignedStore) -> dict[str, Any]:
    """Subjects and images per subset (of a k-fold form: subjects per fold), and the hash."""
    from fesbench.data.splits.assign import split_table
    from fesbench.data.splits.files import subsets_hash
    from fesbench.protocol.split import assignment, build_split

    split, subsets = build_split(protocol, store), assignment(protocol, store)
    summary: dict[str, Any] = {
        "hash": subsets_hash(subsets) if protocol.split.n_folds else split.hash,
        "fingerprint": store.fingerprint,
        "by": protocol.split.by,
        "people": {subset: len(split.subset(subset)) for subset in ("train", "validation", "test")},
        "images": split_table(store.manifest, split).to_dict("records"),
    }
    if protocol.split.by == "image":
        summary["note"] = BY_IMAGE
    if protocol.split.n_folds:
        folds = Counter(subsets.values())
        summary["folds"] = {fold: folds[fold] for fold in sorted(folds, key=int)}
    return summary


def describe(protocol: Protocol, summary: dict[str, Any] | None = None) -> str:
    """The rules as a subject would tell them; with a `summary_of` its data also the counts."""
    lines = [f"{protocol.name}  {protocol.title}", f"hash {protocol.hash}", ""]
    lines += textwrap.wrap(" ".join(protocol.summary.split()), 100)
    if protocol.left_open:
        told = f"Follows {protocol.paper}. What it leaves open" if protocol.paper else "What is open"
        lines += ["", f"{told}, and what is done here:"]
        for item in protocol.left_open:
            lines += textwrap.wrap(item, 100, initial_indent="  - ", subsequent_indent="    ")
    lines += ["", *rules_told(protocol), ""]
    return "\n".join(lines + ([] if summary is None else split_lines(summary)))


def rules_told(protocol: Protocol) -> list[str]:
    """The rules alone, without the protocol's prose, a sentence or a task a line."""
    rule, split, metrics = protocol.data, protocol.split, protocol.metrics
    lines = [f"Data: {rule.set}, {rule.size} px, alignment {rule.alignment}."]
    if rule.stand_ins:
        lines.append(f"May also be served by: {', '.join(rule.stand_ins)} (--data).")
    for extra in rule.test_sets:
        where = f" as domain '{extra.domain}'" if extra.domain else ""
        truth = "" if extra.truth else ", no target images"
        lines.append(f"Tested on, never trained on: {extra.set}{where}, alignment {extra.alignment}{truth}.")
    if rule.unlabelled:
        lines.append(f"Training subjects' images of {', '.join(rule.unlabelled)} are given without labels.")
    lines.append(f"Split: {rule_in_words(split)}.")
    if split.by == "image":
        lines.append(f"{BY_IMAGE[0].upper()}{BY_IMAGE[1:]}; nobody can say that it is identity-disjoint.")
    lines += ["", "Tasks:"]
    for task in protocol.tasks:
        what = f"  - {task.kind} (given: {task.given}) in {', '.join(task.domains)}"
        what += f"; from budget {task.from_budget} up"
        what += task_kind(task.kind).described(task, protocol)
        if task.takes > 1:
            what += f"; {task.takes} takes a subject"
        if task.samples:
            what += f"; {task.samples} of them"
        if task.levels != (1.0,):
            what += f"; intensities {', '.join(f'{level:g}' for level in task.levels)}"
        if task.smoke_labels:
            what += f"; under smoke and short only {', '.join(task.smoke_labels)}"
        if task.smoke_subjects:
            what += f"; under smoke and short only the first {task.smoke_subjects} subjects by name"
        lines.append(what)
    clips = any(task_kind(task.kind).outputs == "clip" for task in protocol.tasks)
    return [
        *lines,
        "",
        f"Scores: {', '.join(metrics.required)}.",
        f"Where their weights are present: {', '.join(metrics.optional) or 'nothing more'}.",
        f"Under every protocol, where they mean something: {', '.join(ALWAYS)}.",
        *([f"Under every protocol that scores clips: {', '.join(ALWAYS_OF_CLIPS)}."] if clips else []),
        f"Faces by {metrics.face}; judge {metrics.judge}.",
        f"Gallery: {metrics.gallery}; reference of distribution metrics: {metrics.reference}.",
    ]


def split_lines(summary: dict[str, Any]) -> list[str]:
    """The counts of a split, by subset (of a k-fold form: by fold) and by expression."""
    if "reason" in summary:
        return [f"Split counts: the data is not at hand. {summary['reason']}"]
    who = "images" if summary["by"] == "image" else "subjects"
    subsets = ("test",) if "folds" in summary else ("train", "validation", "test")
    counted = summary.get("folds") or summary["people"]
    form = "by fold: " if "folds" in summary else ""
    told = ", ".join(f"{name}: {count}" if form else f"{count} {name}" for name, count in counted.items())
    lines = [f"Split {summary['hash'][:16]} of data {summary['fingerprint'][:16]}; {who} {form}{told}"]
    for row in summary["images"]:
        cells = [_cell(row, subset, who) for subset in subsets]
        lines.append(f"  {row['expression']:24s}" + "".join(f"{cell:32s}" for cell in cells).rstrip())
    return lines


def _cell(row: dict[str, Any], subset: str, who: str) -> str:
    name = f"{subset} " if subset != "test" else "tested "
    people = "" if who == "images" else f" of {row[f'{subset}_people']} subjects"
    return f"{name}{row[subset]}{people}"
