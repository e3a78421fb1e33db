"""What the cells of one run share: protocol, data, split, requests, judge, feature cache.

Built once, before any method: the judge is trained on training identities alone and never by a cell.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fesbench.judging import build_judge
from fesbench.partition import build_split, build_splits, rule_in_words
from fesbench.progress import Reporter
from fesbench.protocol import Protocol
from fesbench.record import NotRun
from fesbench.sources import Sources, folders_of

if TYPE_CHECKING:
    import pandas as pd

    from fesbench.data.splits import Split
    from fesbench.data.store import AlignedStore
    from fesbench.extractors.au_model import ActionUnitRegressor
    from fesbench.extractors.base import Extractor, Features, PairExtractor
    from fesbench.extractors.cache import FeatureCache
    from fesbench.extractors.judge import Judge


_LISTED = 20


@dataclass
class Bench:
    """Everything that the cells of one run share."""

    protocol: Protocol
    store: AlignedStore
    split: Split
    budget: str
    requests: pd.DataFrame
    not_run: list[NotRun]
    judge: Judge | None
    """None where the protocol has no labels."""
    judge_card: dict[str, Any]
    cache: FeatureCache
    out: Path
    regressor: ActionUnitRegressor | None = None
    """None where the training data codes no action units, or nothing asks for them."""
    regressor_card: dict[str, Any] = field(default_factory=dict)
    _extractors: dict[str, Extractor] = field(default_factory=dict, repr=False)
    _pair_extractors: dict[str, PairExtractor] = field(default_factory=dict, repr=False)

    def extractor(self, name: str) -> Extractor:
        """An extractor, made once a run: some hold worker processes."""
        from fesbench.extractors.registry import extractor

        if name not in self._extractors:
            self._extractors[name] = extractor(name, judge=self.judge, regressor=self.regressor)
        return self._extractors[name]

    def columns(self, name: str) -> tuple[str, ...]:
        """What an extractor's values are, where they have names."""
        return self.extractor(name).classes

    @property
    def data_card(self) -> dict[str, Any]:
        """What a record keeps of the data: its files, what could not be used and why, and the split."""
        info, rule = self.store.info, self.protocol.split
        failures = info.get("failures", [])
        return {
            "files": info.get("files", ""),
            "alignment": self.store.alignment,
            "images": len(self.store),
            "not_used": dict(info.get("reasons", {})),
            "not_used_first": failures[:_LISTED],
            "notes": list(info.get("notes", [])),
            "split": {
                "rule": rule_in_words(rule),
                "by": rule.by,
                "hash": self.split.hash,
                "folds": rule.n_folds,
                **{side: len(self.split.side(side)) for side in ("train", "validation", "test")},
            },
        }

    @property
    def judge_classes(self) -> tuple[str, ...]:
        """The labels that the judge tells apart."""
        return () if self.judge is None else tuple(self.judge.label_names)

    @property
    def judge_signature(self) -> str:
        """The judge as it stands in signatures; "" where there is none."""
        return "" if self.judge is None else self.judge.signature

    @property
    def judge_key(self) -> str:
        """Changes with the judge's weights."""
        return "" if self.judge is None else self.judge.cache_key

    @property
    def regressor_key(self) -> str:
        """Changes with the weights of the action-unit regressor."""
        return "" if self.regressor is None else self.regressor.cache_key

    def features(
        self, name: str, images: np.ndarray, landmarks: np.ndarray | None, identities: np.ndarray
    ) -> Features:
        """An extractor's features of images, from the cache where it has them.

        Args:
            name: of the extractor.
            images: uint8 (N, S, S, 3).
            landmarks: float32 (N, 68, 2), or None.
            identities: str (N,), whose images these are (of fold-wise extractors).
        """
        return self.cache.get(self.extractor(name), images, landmarks)

    def pair_values(self, name: str, first: np.ndarray, second: np.ndarray, pairs: np.ndarray) -> Features:
        """A pair extractor's values, from the cache where it has them.

        Args:
            name: of the pair extractor.
            first: uint8 (N, S, S, 3).
            second: uint8 (M, S, S, 3).
            pairs: int (P, 2), a row of each.
        """
        from fesbench.extractors.registry import pair_extractor

        if name not in self._pair_extractors:
            self._pair_extractors[name] = pair_extractor(name)
        return self.cache.get_pairs(self._pair_extractors[name], first, second, pairs)

    def close(self) -> None:
        """Give back what the extractors hold: worker processes, memory."""
        for made in (*self._extractors.values(), *self._pair_extractors.values()):
            made.close()
        self._extractors.clear()
        self._pair_extractors.clear()

    @property
    def signature(self) -> str:
        """Protocol, data and budget as they enter every score's signature: figures on other copies of a data
        set, or under another budget, are not comparable.
        """
        data = f"{self.store.data}-{self.store.fingerprint[:8]}"
        return f"{self.protocol.name}:{self.protocol.hash[:8]}:{data}:{self.budget}"


def open_store(protocol: Protocol, source: Sources, reporter: Reporter) -> AlignedStore:
    """The protocol's data, prepared now or found prepared; sets that are only tested on are joined to it.

    Args:
        protocol: says which data, and prepared how.
        source: the user's folder of the protocol's own data set, or a folder for each data set by name.
        reporter: shown the progress.

    Raises:
        UsageError: a folder for a data set that the protocol does not use.
    """
    from fesbench.data.join import Part, join_stores
    from fesbench.data.prepare import prepare

    rule = protocol.data
    folders = folders_of(source, rule, protocol.name)
    wanted = (rule.set, *(extra.set for extra in rule.test_sets))

    def prepared(name: str, alignment: str, options: Mapping[str, Any]) -> AlignedStore:
        with reporter.stage(f"prepare {name} at {rule.size} px") as stage:
            return prepare(
                name,
                size=rule.size,
                alignment=alignment,
                source=folders.get(name),
                options=options,
                progress=stage.update_what,
            )

    main = prepared(rule.set, rule.alignment, rule.options)
    parts = [Part(prepared(t.set, t.alignment, t.options), t.domain) for t in rule.test_sets]
    if not parts:
        return main
    with reporter.stage(f"join {' and '.join(wanted)}") as stage:
        return join_stores(main, parts, stage.update_what)


def settle_labels(protocol: Protocol, store: AlignedStore, split: Split) -> Protocol:
    """The protocol with those of its labels that the training people show; of a k-fold form those that they
    show in every fold, so that all folds ask for the same and their judges know the same labels.

    Raises:
        ProtocolError: fewer than two are left.
        DataError: see `build_split`.
    """
    if not protocol.labels:
        return protocol
    parts = build_splits(protocol, store) if protocol.split.n_folds else [split]
    shown = []
    for part in parts:
        table = store.manifest.table.iloc[part.rows(store.manifest, "train")]
        shown.append(set(table["expression"][table["domain"] == "in"]))
    return protocol.with_labels(set.intersection(*shown))


def build_bench(
    protocol: Protocol,
    *,
    budget: str,
    out: Path,
    source: Sources = None,
    reporter: Reporter | None = None,
) -> Bench:
    """Prepare everything that is shared, in the order of the pipeline.

    Raises:
        FesbenchError: data that cannot be had, a leak between the sides, a judge that cannot be built.
    """
    from fesbench.data.home import fesbench_home
    from fesbench.data.leakage import check_leakage
    from fesbench.extractors.cache import FeatureCache
    from fesbench.regressor import build_regressor, regressor_wanted
    from fesbench.requests import build_requests

    reporter = reporter or Reporter()
    store = open_store(protocol, source, reporter)
    split = build_split(protocol, store)
    protocol = settle_labels(protocol, store, split)
    with reporter.stage("check that nobody is on two sides"):
        check_leakage(store.manifest, store.images, split)
    requests, not_run = build_requests(protocol, store, split, budget)
    cache = FeatureCache(fesbench_home() / "features" / "features.sqlite")
    folder = out / f"{protocol.name}-{protocol.hash[:8]}" / f"{store.data}-{store.fingerprint[:8]}"
    judge: Judge | None = None
    card: dict[str, Any] = {}
    if protocol.labels:
        judge, card = build_judge(protocol, store, split, folder / "judge", reporter)
    regressor: ActionUnitRegressor | None = None
    regressor_card: dict[str, Any] = {}
    if regressor_wanted(protocol, requests):
        regressor, regressor_card = build_regressor(protocol, store, split, folder / "judge", reporter)
    return Bench(
        protocol, store, split, budget, requests, not_run, judge, card, cache, out, regressor, regressor_card
    )
