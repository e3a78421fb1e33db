"""A study's answers -> results: abilities, groups, agreement among raters and with metrics."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from fesbench.errors import RecordError
from fesbench.files import atomic_write_bytes
from fesbench.metrics.explain import card_of
from fesbench.reports.boards import make_boards, read_runs
from fesbench.reports.study_results import STUDIES, Agreement, Preferred, Question, StudyResults
from fesbench.study.abilities import Gap, abilities
from fesbench.study.agreement import alpha
from fesbench.study.answers import Taken, items, read_answers, votes
from fesbench.study.make import QUESTIONS, Key

LEAST_METHODS = 4
"""For a rank correlation with a metric: three methods can be in order by chance once in six."""


def read_study(answers: Path, key: Key, *, runs: Path | None = None, seed: int = 0) -> StudyResults:
    """Read the answers to a study, and keep the results for the page.

    Args:
        answers: folder of the raters' files.
        key: of the study.
        runs: the runs folder of the study; its metrics are held against the votes and the results are written
            into it. None = neither.
        seed: of the bootstrap.

    Raises:
        RecordError: no answers, or none that count.
    """
    taken = read_answers(answers, key)
    if not taken.raters:
        said = "; ".join(f"{name}: {why}" for name, why in {**taken.refused, **taken.dropped}.items())
        raise RecordError(f"no answers in {answers} count ({said})")
    scores = _scores(runs, key) if runs is not None else {}
    results = StudyResults(
        study=key.study,
        board=key.board,
        raters=len(taken.raters),
        subjects=len({t.subject for r in taken.raters for t in key.raters[r] if t.kind == "vote"}),
        items=len(items(taken, key, "realism")),
        refused=taken.refused,
        dropped=taken.dropped,
        questions=[_question(name, words, taken, key, scores, seed) for name, words in QUESTIONS.items()],
    )
    if runs is not None:
        atomic_write_bytes(runs / STUDIES / f"{key.study}.json", results.model_dump_json(indent=1).encode())
    return results


def _question(
    name: str, words: str, taken: Taken, key: Key, scores: dict[str, dict[str, float]], seed: int
) -> Question:
    found, gaps = abilities(votes(taken, key, name), key.methods, seed=seed)
    group = groups([one.method for one in found], gaps)
    agreed = alpha(items(taken, key, name))
    return Question(
        name=name,
        words=words.format(label="the expression"),
        alpha=None if math.isnan(agreed) else agreed,
        methods=[Preferred(**vars(one), group=group[one.method]) for one in found],
        metrics=[
            Agreement(
                metric=metric, rho=_rho([one.value for one in found], [own[one.method] for one in found])
            )
            for metric, own in scores.items()
        ],
    )


def groups(order: Sequence[str], gaps: Sequence[Gap]) -> dict[str, int]:
    """Rank groups: a new one begins where the interval of the difference to the group's leader excludes zero.

    Args:
        order: best first.
        gaps: of every pair.
    """
    bounds = {(g.first, g.second): (g.low, g.high) for g in gaps}
    bounds |= {(g.second, g.first): (-g.high, -g.low) for g in gaps}
    found: dict[str, int] = {}
    leader, number = order[0], 1
    for method in order:
        if method != leader and bounds[leader, method][0] > 0:
            leader, number = method, number + 1
        found[method] = number
    return found


def _scores(runs: Path, key: Key) -> dict[str, dict[str, float]]:
    """Each metric's scores of the methods on the headline task, turned so that higher is better."""
    boards = make_boards(read_runs(runs)[0])
    board = next((board for board in boards if board.key.slug == key.board), None)
    if board is None:
        raise RecordError(
            f"{runs} holds no board '{key.board}', of which the study is; give --runs its folder"
        )
    found: dict[str, dict[str, list[float]]] = {}
    for run in board.runs:
        for score in run.record.scores:
            own = (score.task, score.domain) == board.headline and score.expression == "all"
            if own and score.value is not None and run.method in key.methods:
                found.setdefault(score.metric, {}).setdefault(run.method, []).append(score.value)
    turned = {}
    for metric, values in found.items():
        card = card_of(metric)
        if card is not None and card.direction and values.keys() == set(key.methods):
            sign = -1.0 if card.direction == "lower" else 1.0
            turned[metric] = {method: sign * sum(v) / len(v) for method, v in values.items()}
    return turned


def _rho(votes: Sequence[float], scores: Sequence[float]) -> float | None:
    if len(votes) < LEAST_METHODS or len(set(scores)) < 2:
        return None
    from scipy.stats import spearmanr

    return float(spearmanr(votes, scores).statistic)
