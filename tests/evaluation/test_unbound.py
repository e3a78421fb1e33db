"""Metrics whose network a protocol does not have."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from fesbench.evaluation.score import unbound_reasons
from fesbench.metrics import metric


def test_without_a_judge_whatever_asks_it_has_no_value_and_says_why() -> None:
    context = cast(Any, SimpleNamespace(judge=None, regressor=object(), clip_judge=None))
    asked = {name: metric(name) for name in ("ECS", "HES", "IS-clip", "SSIM", "FSS")}
    found = unbound_reasons(context, asked, None)
    assert set(found) == {"ECS", "HES", "IS-clip"}
    assert found["HES"] == found["ECS"] == "the protocol has no labels"


def test_with_all_networks_every_metric_is_measured() -> None:
    networks = {"judge": object(), "regressor": object(), "clip_judge": object()}
    asked = {name: metric(name) for name in ("ECS", "HES", "IS-clip", "FD-clip", "SSIM")}
    for folds, missing in ((0, set()), (5, {"FD-clip"})):
        protocol = SimpleNamespace(split=SimpleNamespace(n_folds=folds))
        context = cast(Any, SimpleNamespace(protocol=protocol, **networks))
        assert set(unbound_reasons(context, asked, cast(Any, object()))) == missing
