"""All folds of a k-fold protocol as one context: each identity judged by the fold that had not seen it."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fesbench.context.build import build_context, open_store, settle_labels
from fesbench.context.context import RunContext
from fesbench.data.views import part
from fesbench.extractors.registry import JUDGE, MEMBERS, REGRESSOR
from fesbench.progress import Reporter
from fesbench.protocol.data_folders import Sources
from fesbench.protocol.protocol import Protocol
from fesbench.protocol.requests import build_requests
from fesbench.protocol.split import assignment, build_split
from fesbench.protocol.tasks import outputs_of
from fesbench.records.fingerprints import hash_parts
from fesbench.records.record import FOLDS, NotRun

if TYPE_CHECKING:
    import pandas as pd

    from fesbench.data.store.aligned import AlignedStore
    from fesbench.extractors.base import Features
    from fesbench.records.judges import Judges


@dataclass
class FoldedContext(RunContext):
    """All folds as one context: every subject is tested, and judged by the judge of the own fold."""

    folds: dict[int, RunContext] = field(default_factory=dict)
    fold_of: dict[str, int] = field(default_factory=dict)

    @property
    def judges(self) -> Judges | None:
        """The panels of all folds under one digest: the judges of a seed are one judge of all folds."""
        own = super().judges
        digest = hash_parts(*(context.judges for _, context in sorted(self.folds.items())))
        return None if own is None else replace(own, digest=digest[:8])

    @property
    def judge_key(self) -> str:
        """Changes with any fold's judge."""
        return hash_parts(*(f"{k}:{context.judge_key}" for k, context in sorted(self.folds.items())))

    @property
    def regressor_key(self) -> str:
        """Changes with any fold's regressor."""
        return hash_parts(*(f"{k}:{context.regressor_key}" for k, context in sorted(self.folds.items())))

    @property
    def clip_judges(self) -> Judges | None:
        """As `judges`, of clips."""
        own = super().clip_judges
        digest = hash_parts(*(context.clip_judges for _, context in sorted(self.folds.items())))
        return None if own is None else replace(own, digest=digest[:8])

    @property
    def data_card(self) -> dict[str, Any]:
        """As `RunContext.data_card`; the folds are those that have subjects."""
        card = super().data_card
        return {**card, "split": {**card["split"], "folds": len(self.folds)}}

    def columns(self, name: str) -> tuple[str, ...]:
        """As `RunContext.columns`; of the regressors what every fold's knows."""
        if name != REGRESSOR:
            return super().columns(name)
        known = [fold.columns(name) for fold in self.folds.values()]
        return tuple(unit for unit in known[0] if all(unit in units for units in known))

    def features(
        self, name: str, images: Any, landmarks: np.ndarray | None, identities: np.ndarray
    ) -> Features:
        """As `RunContext.features`; an image's judge and regressor are those that did not see its subject."""
        if name not in (JUDGE, MEMBERS, REGRESSOR):
            return super().features(name, images, landmarks, identities)
        from fesbench.extractors.base import Features

        judges = 1 if name != MEMBERS or self.judges is None else self.judges.members
        wanted = self.columns(name) if name == REGRESSOR else self.judge_classes
        signature = self.judge_signature
        values = np.zeros((len(images), judges * len(wanted)), dtype=np.float32)
        valid = np.zeros(len(images), dtype=bool)
        numbers = np.array([self.fold_of[identity] for identity in identities])
        for fold in np.unique(numbers):
            rows = np.flatnonzero(numbers == fold)
            points = None if landmarks is None else landmarks[rows]
            context = self.folds[int(fold)]
            found = context.features(name, part(images, rows), points, identities[rows])
            own = context.columns(name) if name == REGRESSOR else context.judge_classes
            places = [own.index(column) for column in wanted]
            values[rows] = found.values[:, [k * len(own) + place for k in range(judges) for place in places]]
            valid[rows] = found.valid
            if name == REGRESSOR:
                signature = f"{found.signature.rpartition(':')[0]}:{','.join(u[2:] for u in wanted)}"
        return Features(values, valid, signature)

    def clip_answers(self, name: str, answers: np.ndarray, identities: np.ndarray) -> Features:
        """As `RunContext.clip_answers`; a clip's judges are those that did not see its subject."""
        numbers = np.array([self.fold_of[identity] for identity in identities])
        # without a clip too, so that the width is known
        found = super().clip_answers(name, answers[:0], identities[:0])
        values = np.zeros((len(answers), found.values.shape[1]), dtype=np.float32)
        for fold in np.unique(numbers):
            rows = np.flatnonzero(numbers == fold)
            values[rows] = self.folds[int(fold)].clip_answers(name, answers[rows], identities[rows]).values
        return replace(found, values=values, valid=np.ones(len(values), dtype=bool))

    def keep_features_in(self, path: Path) -> None:
        """As `RunContext.keep_features_in`, in every fold."""
        super().keep_features_in(path)
        for context in self.folds.values():
            context.keep_features_in(path)

    def close(self) -> None:
        """Close every fold's context too."""
        super().close()
        for context in self.folds.values():
            context.close()


def open_context(
    protocol: Protocol, *, budget: str, out: Path, source: Sources = None, reporter: Reporter | None = None
) -> RunContext:
    """A protocol's context; of a k-fold form one that holds every fold's.

    Raises:
        FesbenchError: data that cannot be had, a leak, a judge that cannot be built.
    """
    reporter = reporter or Reporter()
    if not protocol.split.n_folds:
        return build_context(protocol, budget=budget, out=out, source=source, reporter=reporter)
    store = open_store(protocol, source, reporter)
    protocol = settle_labels(protocol, store, build_split(protocol, store))
    folds: dict[int, RunContext] = {}
    with ExitStack() as opened:
        used = used_folds(protocol, store)
        for number, rules in used:
            reporter.note(f"fold {number} of {len(used)}")
            folds[number] = build_context(
                rules, budget=budget, out=out / FOLDS, source=source, reporter=reporter
            )
            opened.callback(folds[number].close)
        whole = _whole(protocol, folds, budget, out)
        opened.pop_all()  # from here on the whole closes its folds
    return whole


def requests_of(protocol: Protocol, store: AlignedStore, budget: str) -> tuple[pd.DataFrame, list[NotRun]]:
    """A protocol's request table with what is left out; of a k-fold form those of all folds.

    Raises:
        DataError: see `build_split` and `build_requests`.
    """
    import pandas as pd

    parts = tables_of(protocol, store, budget)
    return pd.concat([table for _, table, _ in parts], ignore_index=True), parts[0][2]


def tables_of(
    protocol: Protocol, store: AlignedStore, budget: str
) -> list[tuple[Protocol, pd.DataFrame, list[NotRun]]]:
    """The rules, the request table and what is left out; of a k-fold form one of each fold.

    Raises:
        DataError: see `build_split` and `build_requests`.
    """
    if not protocol.split.n_folds:
        return [(protocol, *build_requests(protocol, store, build_split(protocol, store), budget))]
    parts = []
    for _, rules in used_folds(protocol, store):
        table, left_out = build_requests(rules, store, build_split(rules, store), budget)
        parts.append((rules, requested_once(table), left_out))
    return parts


def requested_once(requests: pd.DataFrame) -> pd.DataFrame:
    """Without training rows: a subject trains in many folds, and each fold's generator makes its own."""
    return requests[outputs_of(requests) != "training image"].reset_index(drop=True)


def made_requests(fold: RunContext, made: Path) -> pd.DataFrame:
    """The requests of a fold that a cell answered; none where its folder ``made`` holds no images."""
    import pandas as pd

    path = made / "requests.csv"
    if not path.exists():
        return fold.requests.iloc[:0]
    answered = set(pd.read_csv(path, usecols=["request"], dtype=str)["request"])
    return fold.requests[fold.requests["request"].isin(answered)]


def _judged_clips(context: RunContext) -> tuple[str, ...]:
    """The classes of a context's clip judges; () where it has none."""
    return () if context.clip_judge is None else context.clip_judge.classes


def used_folds(protocol: Protocol, store: AlignedStore) -> list[tuple[int, Protocol]]:
    """The folds of a k-fold form that have subjects, with their rules.

    Raises:
        DataError: see `build_split`.
    """
    used = {int(subset) for subset in assignment(protocol, store).values()}
    return [(number, rules) for number, rules in enumerate(protocol.folds()) if number in used]


def _whole(protocol: Protocol, folds: dict[int, RunContext], budget: str, out: Path) -> FoldedContext:
    import pandas as pd

    first = next(iter(folds.values()))
    cards = [context.judge_card for context in folds.values() if context.judge_card]
    card: dict[str, Any] = {}
    if cards:
        n = sum(c["n"] for c in cards)
        right = sum(c["n"] * c["accuracy_on_real_test_images"] for c in cards)
        card = {**cards[0], "n": n, "accuracy_on_real_test_images": right / n}
        card["weights_sha256"] = "judges of their own for each fold"
    measured = all(context.regressor for context in folds.values())
    whole = FoldedContext(
        protocol=protocol,
        store=first.store,
        split=build_split(protocol, first.store),
        budget=budget,
        requests=requested_once(
            pd.concat([context.requests for context in folds.values()], ignore_index=True)
        ),
        not_run=first.not_run,
        judge=first.judge,
        judge_card=card,
        cache=first.cache,
        out=out,
        folds=folds,
        regressor=first.regressor if measured else None,
        regressor_card=first.regressor_card if measured else {},
        clip_judge=first.clip_judge
        if len({_judged_clips(context) for context in folds.values()}) == 1
        else None,
        fold_of={subject: number for number, context in folds.items() for subject in context.split.test},
    )
    if whole.judges is not None:
        card["judges"] = str(whole.judges)
        card.pop("members")
    return whole
