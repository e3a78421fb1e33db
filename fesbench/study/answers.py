"""Answers that came back: foreign, tampered and unfinished files are refused, careless raters dropped."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from fesbench.errors import RecordError
from fesbench.study.abilities import Vote
from fesbench.study.design import REAL
from fesbench.study.make import QUESTIONS, Key, ShownTrial

LARGEST = 2_000_000
"""Bytes; a page's answers have some ten thousand."""
MISSED = 0.25
"""Share of the destroyed images that a rater may take for the more real one, or tie with it."""
FLIPPED = 0.5
"""Share of answers to repeated pairs that a rater may turn round."""
Choice = Literal["left", "right", "tie"]


class Answers(BaseModel):
    """One rater's file, as the page writes it."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["fesbench-study-answers"]
    study: str
    rater: str
    trials: str
    consent: bool
    device: dict[str, Any]
    started: str
    ended: str
    answers: dict[str, dict[str, Choice]]
    check: str


@dataclass(frozen=True)
class Taken:
    """What is left of a folder of answers.

    Attributes:
        raters: answers by rater.
        refused: file name -> why it was not read.
        dropped: rater -> which traps were failed.
    """

    raters: dict[str, Answers]
    refused: dict[str, str]
    dropped: dict[str, str]


def load_key(path: Path) -> Key:
    """The key of a study.

    Raises:
        RecordError: absent, damaged, or no key.
    """
    try:
        return Key.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        said = error.strerror if isinstance(error, OSError) else "it is no key of a study"
        raise RecordError(f"{path} cannot be read ({said}); give --key the key.json of the study") from None


def read_answers(folder: Path, key: Key) -> Taken:
    """Every ``*.json`` of a folder.

    Raises:
        RecordError: the folder holds none.
    """
    paths = sorted(folder.glob("*.json"))
    if not paths:
        raise RecordError(f"{folder} holds no answers (*.json); put the raters' files there")
    read: dict[str, dict[str, Answers]] = {}
    refused = {}
    for path in paths:
        found = _read(path, key)
        if isinstance(found, str):
            refused[path.name] = found
        else:
            read.setdefault(found.rater, {})[path.name] = found
    raters, dropped = {}, {}
    for rater, files in sorted(read.items(), key=lambda item: int(item[0])):
        first, *others = files.values()
        if any(other.answers != first.answers for other in others):
            refused |= dict.fromkeys(files, f"several files answer rater {rater}'s page differently")
            continue
        failed = _failed(first, key.raters[rater])
        if failed:
            dropped[rater] = failed
        else:
            raters[rater] = first
    return Taken(raters, refused, dropped)


def _read(path: Path, key: Key) -> Answers | str:
    """A file's answers, or why they are refused."""
    if path.stat().st_size > LARGEST:
        return f"larger than {LARGEST // 1_000_000} MB"
    try:
        found = Answers.model_validate(json.loads(path.read_bytes()))
    except (OSError, ValueError, RecursionError):
        return "no answers of a study"
    if found.study != key.study:
        return "of another study"
    if found.rater not in key.raters:
        return f"the study has no rater {found.rater!r}"
    if found.trials != key.digest(found.rater):
        return "made from another page than the one that was sent out"
    if not found.consent:
        return "the rater did not consent"
    tokens = [trial.token for trial in key.raters[found.rater]]
    if not found.answers.keys() <= set(tokens) or any(
        not given.keys() <= QUESTIONS.keys() for given in found.answers.values()
    ):
        return "it answers what was not asked"
    done = sum(found.answers.get(token, {}).keys() == QUESTIONS.keys() for token in tokens)
    if done < len(tokens):
        return f"unfinished: {done} of {len(tokens)} pairs answered"
    if found.check != checksum(found.answers, tokens):
        return "changed after it was saved"
    return found


def checksum(answers: dict[str, dict[str, Choice]], tokens: Iterable[str]) -> str:
    """FNV-1a (32 bits) of all answers in the order of the page, as eight hexadecimal digits."""
    lines = [" ".join([token, *(answers[token][name] for name in QUESTIONS)]) for token in tokens]
    value = 0x811C9DC5
    for byte in "\n".join(lines).encode():
        value = (value ^ byte) * 0x01000193 & 0xFFFFFFFF
    return f"{value:08x}"


def _failed(given: Answers, trials: list[ShownTrial]) -> str:
    """Which traps a rater failed, in words; "" where none."""
    ruined = [trial for trial in trials if trial.kind == "destroyed"]
    missed = sum(given.answers[t.token]["realism"] != ("left" if t.left == REAL else "right") for t in ruined)
    pairs = [(trial, _first_showing(trial, trials)) for trial in trials if trial.kind == "repeat"]
    turned = sum(
        {given.answers[again.token][name], given.answers[first.token][name]} in ({"left"}, {"right"})
        for again, first in pairs
        for name in QUESTIONS
    )
    said = []
    if ruined and missed > MISSED * len(ruined):
        said.append(f"took {missed} of {len(ruined)} destroyed images for real")
    if pairs and turned > FLIPPED * len(pairs) * len(QUESTIONS):
        said.append(f"turned round {turned} of {len(pairs) * len(QUESTIONS)} answers to repeated pairs")
    return "; ".join(said)


def _first_showing(again: ShownTrial, trials: list[ShownTrial]) -> ShownTrial:
    """The vote of which a trial is the repeat; its sides are swapped."""
    shown = (again.request, again.right, again.left)
    return next(t for t in trials if t.kind == "vote" and (t.request, t.left, t.right) == shown)


def votes(taken: Taken, key: Key, question: str) -> list[Vote]:
    """Every answer to a question, traps left out."""
    won = {"left": 1.0, "right": 0.0, "tie": 0.5}
    return [
        Vote(rater, trial.subject, trial.left, trial.right, won[given.answers[trial.token][question]])
        for rater, given in taken.raters.items()
        for trial in key.raters[rater]
        if trial.kind == "vote"
    ]


def items(taken: Taken, key: Key, question: str) -> list[list[str]]:
    """The answers of all raters to each item, as the method that won or "tie"."""
    found: dict[tuple[str, frozenset[str]], list[str]] = {}
    for rater, given in taken.raters.items():
        for trial in key.raters[rater]:
            if trial.kind == "vote":
                choice = given.answers[trial.token][question]
                told = "tie" if choice == "tie" else str(getattr(trial, choice))
                found.setdefault((trial.request, frozenset((trial.left, trial.right))), []).append(told)
    return list(found.values())
