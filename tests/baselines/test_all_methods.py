"""What every registered method must do."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from fesbench.methods.registry import methods
from fesbench.synthesis import to_pixels
from tests.factories import steps

ALL = [name for name, kind in methods().items() if name != "real"]
TRAINED = [name for name, kind in methods().items() if not kind.card.reference]
ADVERSARIAL = [name for name in TRAINED if name != "mr"]


@pytest.mark.parametrize("name", ALL)
def test_an_image_does_not_depend_on_its_batch(name, build, requests) -> None:
    method = build(name)
    whole = method.synthesize(requests)
    alone = torch.cat([method.synthesize(requests[k : k + 1]) for k in range(len(requests))])
    reverse = method.synthesize(requests[torch.arange(len(requests) - 1, -1, -1)]).flip(0)
    assert whole.shape == requests.source.shape
    torch.testing.assert_close(whole, alone, atol=2e-5, rtol=0)
    torch.testing.assert_close(whole, reverse, atol=2e-5, rtol=0)
    # In the files that are scored: a rounding of the last bit may cross a half, by one level, hardly ever.
    apart = np.abs(to_pixels(whole).astype(int) - to_pixels(alone))
    assert apart.max() <= 1
    assert (apart > 0).mean() < 1e-3


@pytest.mark.parametrize("name", ALL)
def test_synthesis_draws_from_no_global_generator(name, build, requests) -> None:
    method = build(name)
    torch.manual_seed(1)
    first = method.synthesize(requests)
    state = torch.random.get_rng_state()
    torch.manual_seed(2)
    assert torch.equal(first, method.synthesize(requests))
    torch.manual_seed(1)
    assert torch.equal(state, torch.random.get_rng_state())


@pytest.mark.parametrize("name", ALL)
def test_images_stay_in_range(name, build, requests) -> None:
    images = build(name).synthesize(requests)
    assert images.min() >= -1
    assert images.max() <= 1
    assert not images.requires_grad


@pytest.mark.parametrize("name", ADVERSARIAL)
def test_training_changes_every_network_and_returns_detached_scalars(name, build, view) -> None:
    method = build(name)
    before = {k: v.clone() for k, v in method.named_parameters() if v.requires_grad}
    phase = method.phases()[-1]
    method.bind(method.optimizers(phase), torch.Tensor.backward)
    for step in range(5):
        losses = method.training_step(phase, view.batch(phase.data, 4, step, needs=method.card.needs), step)
    assert all(v.ndim == 0 and not v.requires_grad and math.isfinite(v) for v in losses.values())
    after = dict(method.named_parameters())
    frozen = [k for k, v in before.items() if not k.startswith("layer.") and torch.equal(v, after[k])]
    assert frozen == []


@pytest.mark.parametrize("name", ADVERSARIAL)
def test_a_generator_step_leaves_the_critic_trainable(name, build, view) -> None:
    method = build(name)
    steps(method, view, 5)
    assert all(p.requires_grad for p in method.critic.parameters())


@pytest.mark.parametrize("name", TRAINED)
def test_a_phase_says_how_long_it_goes(name, build) -> None:
    for phase in build(name).phases():
        assert phase.paper_steps >= phase.smoke_steps >= 1
        assert phase.learning_rate(0, 0.0) == 1.0


@pytest.mark.parametrize("name", ["stargan", "usgan", "reggan", "mr", "mean-shift"])
def test_the_label_changes_the_image(name, build, requests) -> None:
    images = build(name).synthesize(requests)
    assert (images[0] - images[1]).abs().max() > 1e-3


@pytest.mark.parametrize("name", ["stargan", "usgan", "reggan", "mr", "mean-shift"])
def test_a_compound_differs_from_both_of_its_labels(name, build, requests) -> None:
    from dataclasses import replace

    method = build(name)
    mixed = replace(requests[0:1], second_label=requests.target_label[1:2])
    image = method.synthesize(mixed)
    assert (image - method.synthesize(requests[0:1])).abs().max() > 1e-4
    assert (image - method.synthesize(requests[1:2])).abs().max() > 1e-4
