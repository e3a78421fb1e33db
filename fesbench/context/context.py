"""What the cells of one run share: protocol, data, split, requests, judge, feature cache."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fesbench.errors import UsageError
from fesbench.extractors.registry import CLIP_FEATURES, CLIP_JUDGE
from fesbench.protocol.protocol import Protocol
from fesbench.protocol.split import rule_in_words
from fesbench.records.record import Cell, NotRun, Record

if TYPE_CHECKING:
    import pandas as pd

    from fesbench.data.splits.assign import Split
    from fesbench.data.store.aligned import AlignedStore
    from fesbench.extractors.base import ClipExtractor, Extractor, Features, PairExtractor
    from fesbench.extractors.cache import FeatureCache
    from fesbench.judges.action_units import ActionUnitRegressor
    from fesbench.judges.clips import ClipPanel
    from fesbench.judges.panel import JudgePanel
    from fesbench.records.judge_check import JudgeCheck
    from fesbench.records.judges import Judges


_LISTED = 20


@dataclass
class RunContext:
    """Everything that the cells of one run share."""

    protocol: Protocol
    store: AlignedStore
    split: Split
    budget: str
    requests: pd.DataFrame
    not_run: list[NotRun]
    judge: JudgePanel | None
    """None where the protocol has no labels."""
    judge_card: dict[str, Any]
    cache: FeatureCache
    out: Path
    regressor: ActionUnitRegressor | None = None
    """None where the training data codes no action units, or nothing asks for them."""
    regressor_card: dict[str, Any] = field(default_factory=dict)
    clip_judge: ClipPanel | None = None
    """None where nothing asks for it, or the training subjects show no clips of two labels."""
    judge_checks: dict[tuple[str, str], JudgeCheck | None] = field(default_factory=dict, repr=False)
    """By judge and domain, once a run."""
    _extractors: dict[str, Extractor] = field(default_factory=dict, repr=False)
    _pair_extractors: dict[str, PairExtractor] = field(default_factory=dict, repr=False)
    _clip_extractors: dict[str, ClipExtractor] = field(default_factory=dict, repr=False)

    def cell(self, method: str, *, preset: str, seed: int = 0) -> Cell:
        """The identity of one row of this run in the records."""
        return Cell(
            method=method,
            protocol=self.protocol.name,
            protocol_hash=self.protocol.hash,
            data=self.store.data,
            data_fingerprint=self.store.fingerprint,
            preset=preset,
            budget=self.budget,
            seed=seed,
        )

    def describe(self, record: Record, card: Mapping[str, Any], not_run: Sequence[NotRun] = ()) -> None:
        """Put into a record what it keeps of its method's card and of this run.

        Args:
            record: of a cell of this run.
            card: of the method.
            not_run: what this cell leaves out, beside what the run does.
        """
        record.card, record.not_run = dict(card), [*self.not_run, *not_run]
        record.judge, record.data = self.judge_card, self.data_card
        record.action_unit_regressor = self.regressor_card

    def extractor(self, name: str) -> Extractor:
        """An extractor, made once a run: some hold worker processes."""
        from fesbench.extractors.registry import MEMBERS, extractor

        if name == MEMBERS and self.judge is not None:
            return self.judge.base
        if name not in self._extractors:
            self._extractors[name] = extractor(name, judge=self.judge, regressor=self.regressor)
        return self._extractors[name]

    def columns(self, name: str) -> tuple[str, ...]:
        """What an extractor's values are, where they have names."""
        if name in (CLIP_JUDGE, CLIP_FEATURES):
            return self.clip_judge.classes if name == CLIP_JUDGE and self.clip_judge is not None else ()
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
                **{subset: len(self.split.subset(subset)) for subset in ("train", "validation", "test")},
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
    def judges(self) -> Judges | None:
        """The panel as signatures name it; None where there is none."""
        return None if self.judge is None else self.judge.judges

    @property
    def clip_judges(self) -> Judges | None:
        """The panel of clip judges as signatures name it; None where there is none."""
        return None if self.clip_judge is None else self.clip_judge.judges

    @property
    def judge_key(self) -> str:
        """Changes with the judge's weights."""
        return "" if self.judge is None else self.judge.cache_key

    @property
    def regressor_key(self) -> str:
        """Changes with the weights of the action-unit regressor."""
        return "" if self.regressor is None else self.regressor.cache_key

    def features(
        self, name: str, images: Any, landmarks: np.ndarray | None, identities: np.ndarray
    ) -> Features:
        """An extractor's features of images, from the cache where it has them.

        Args:
            name: of the extractor.
            images: uint8 (N, S, S, 3), an array or `LazyRows`.
            landmarks: float32 (N, 68, 2), or None.
            identities: str (N,), whose images these are (of fold-wise extractors).
        """
        return self.cache.get(self.extractor(name), images, landmarks)

    def clip_answers(self, name: str, answers: np.ndarray, identities: np.ndarray) -> Features:
        """What the clip judges see in clips; every clip is valid.

        Args:
            name: see `ClipPanel.read`.
            answers: float32 (N, T, members * classes), of the judges of images, for each frame.
            identities: str (N,), whose clips these are (of fold-wise judges).

        Raises:
            UsageError: there is no clip judge.
        """
        from fesbench.extractors.base import Features

        if self.clip_judge is None:
            raise UsageError(
                "clips are judged where a protocol asks for clips and its training subjects show them"
            )
        values = self.clip_judge.read(name, answers)
        return Features(values, np.ones(len(values), dtype=bool), self.clip_judge.signature)

    def clip_features(self, name: str, frames: Any, length: int) -> Features:
        """Features of whole clips by a pretrained network, from the cache where it has them.

        Args:
            name: of the extractor of clips.
            frames: uint8 (N * T, S, S, 3), a clip's frames one behind another.
            length: T.
        """
        from fesbench.extractors.registry import clip_extractor

        if name not in self._clip_extractors:
            self._clip_extractors[name] = clip_extractor(name)
        return self.cache.get_clips(self._clip_extractors[name], frames, length)

    def pair_values(self, name: str, first: Any, second: Any, pairs: np.ndarray) -> Features:
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

    def keep_features_in(self, path: Path) -> None:
        """Write features to a file of one's own; of the cache so far only read, what that file lacks."""
        from fesbench.extractors.cache import FeatureCache

        self.cache = FeatureCache(path, known=self.cache)

    def close(self) -> None:
        """Give back what the extractors hold: worker processes, memory."""
        held: tuple[dict[str, Any], ...] = (self._extractors, self._pair_extractors, self._clip_extractors)
        for made in held:
            for one in made.values():
                one.close()
            made.clear()

    @property
    def signature(self) -> str:
        """Protocol, data and budget as they enter every score's signature: scores on other copies of a data
        set, or under another budget, are not comparable.
        """
        data = f"{self.store.data}-{self.store.fingerprint[:8]}"
        return f"{self.protocol.name}:{self.protocol.hash[:8]}:{data}:{self.budget}"
