"""SARGAN: published sizes, and what its attention does at both of its ends."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from fesbench.baselines.sargan import AttentionResidual, Hourglass
from fesbench.methods.card import Problem
from fesbench.vocabulary import EXPRESSIONS
from tests.baselines.learning import learned
from tests.factories import steps


@pytest.fixture
def method(build):
    return build("sargan")


def test_it_has_the_published_size(build, count) -> None:
    method = build("sargan", "paper", Problem(128, EXPRESSIONS[:7], (), 0))
    assert count(method.residual.attention) == 480_705
    assert (count(method.generator), count(method.critic)) == (3_014_145, 44_778_432)


def _attention(block: AttentionResidual, value: float) -> None:
    nn.init.zeros_(block.attention[1].weight)
    nn.init.constant_(block.attention[1].bias, value)


def test_attention_of_nothing_takes_the_residual_away_and_of_one_lets_it_through_whole(method) -> None:
    block, features = method.residual, torch.randn(2, 64, 16, 16)
    _attention(block, -1e3)
    assert torch.equal(block(features), features)
    _attention(block, 1e3)
    expected = features + block.change(features)
    assert torch.equal(block(features), expected)
    # The residual branch is padded by reflection, the trunk by zeros.
    padding = [m.padding_mode for m in method.generator.modules() if isinstance(m, nn.Conv2d)]
    assert padding.count("reflect") == 2 + 7 + 1
    assert padding.count("zeros") == 4


def test_the_change_is_confined_to_where_the_attention_is(method) -> None:
    block, features = method.residual, torch.randn(1, 64, 16, 16)
    attention = torch.zeros(1, 1, 16, 16)
    attention[..., :4, :4] = 1

    class Given(nn.Module):
        def forward(self, x):
            return attention

    block.attention = Given()
    moved = (block(features) - features).abs().amax(1)[0]
    assert not moved[4:].any()
    assert not moved[:, 4:].any()
    assert moved[:4, :4].min() > 0


def test_the_hourglass_keeps_odd_sides() -> None:
    assert Hourglass(8, 4, 2)(torch.randn(1, 8, 9, 15)).shape == (1, 4, 9, 15)


def test_without_a_change_image_it_is_the_input_to_the_bit(method, requests) -> None:
    nn.init.zeros_(method.generator.last.weight)
    assert torch.equal(method.synthesize(requests), requests.source)


def test_training_logs_the_attention(method, view) -> None:
    losses = steps(method, view, 2)
    assert 0 < losses["attention_mean"] < 1
    assert losses["attention_spread"] > 0
    method.eval()
    method.residual(torch.randn(1, 64, 8, 8))
    assert method.residual.seen is None


def test_the_logged_attention_is_that_of_the_edit(method, view) -> None:
    """A step with the generator's update passes it thrice: twice for the edit, once for the cycle."""
    seen: list[torch.Tensor] = []
    method.residual.attention.register_forward_hook(lambda module, given, found: seen.append(found))
    losses = steps(method, view, method.hyper.n_critic)
    assert len(seen) == method.hyper.n_critic + 2
    edit, again, cycle = (found.mean().item() for found in seen[-3:])
    assert losses["attention_mean"] == pytest.approx(edit) == pytest.approx(again)
    assert losses["attention_mean"] != pytest.approx(cycle)


@pytest.mark.learn
def test_sargan_learns() -> None:
    found = learned("sargan", steps={"adversarial": 2000})
    assert found.cosine > 0.25
    assert found.psnr > found.copy_psnr + 0.5
