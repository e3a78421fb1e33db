"""The expression judge of a protocol: train it, load it, ask it.

The classifier itself is in :mod:`fesbench.extractors.judge_model`, its training in
:mod:`fesbench.extractors.judge_training`.
"""

from __future__ import annotations

from fesbench.extractors.judge_model import Judge, JudgeFacts, shipped_judge
from fesbench.extractors.judge_training import JUDGE_RECIPE, JudgeRecipe, train_judge

__all__ = ["JUDGE_RECIPE", "Judge", "JudgeFacts", "JudgeRecipe", "shipped_judge", "train_judge"]
