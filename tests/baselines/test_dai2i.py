"""DAI2I: published sizes, a frozen StarGAN inside, reversed labels, and what goes with VGG-19."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from fesbench.baselines._vgg import VGG19Levels
from fesbench.baselines.dai2i import analogy, sum_of_norms
from fesbench.errors import MethodError
from fesbench.methods.batches import RequestBatch
from fesbench.methods.card import Problem
from fesbench.methods.training_set import TrainingSet
from fesbench.vocabulary import EXPRESSIONS
from tests.baselines.learning import learned
from tests.factories import random_helpers


class Same(nn.Module):
    """Gives its image back, whatever the style."""

    def forward(self, image, style=None):
        return image


def test_it_has_the_published_size(build, count) -> None:
    method = build("dai2i", "paper-noperc", Problem(128, EXPRESSIONS, (), 0))
    assert count(method.generator) == 8_439_936
    assert count(method.into) == count(method.back) == 7_121_155
    assert count(method.encoder) == 764_960
    assert count(method.domain_critic) == 44_714_436
    assert count(method.classifier) == 2_832_288
    sides = [tuple(found.shape[1:]) for found in method.domain_critic(torch.zeros(1, 3, 128, 128))]
    assert sides == [(1, 8, 8), (1, 4, 4), (1, 2, 2), (1, 1, 1)]


def test_only_the_published_preset_needs_vgg(build) -> None:
    kind = type(build("dai2i"))
    assert kind.helpers_of(kind.presets["paper"]) == ("vgg19",)
    assert kind.helpers_of(kind.presets["paper-noperc"]) == kind.helpers_of(kind.presets["tiny"]) == ()
    assert "vgg19" in kind.preset_note("tiny")


@pytest.mark.parametrize("size", [28, 96, 100])
def test_a_size_that_does_not_end_at_one_pixel_is_refused(size, build) -> None:
    with pytest.raises(MethodError, match="image size"):
        build("dai2i", "paper-noperc", Problem(size, EXPRESSIONS, (), 0))


def test_between_adapters_that_do_nothing_it_is_stargan(build, requests: RequestBatch) -> None:
    method, star = build("dai2i"), build("stargan")
    method.generator.load_state_dict(build("dai2i").generator.state_dict())
    method.into = method.back = Same()
    star.generator = method.generator
    assert torch.equal(method.answer(requests), star.answer(requests))


def test_a_styled_norm_starts_as_a_plain_one(build) -> None:
    norm = build("dai2i").into.body[0].norm
    x = torch.randn(2, 32, 8, 8)
    torch.testing.assert_close(
        norm(x, torch.zeros(2, 256)), nn.functional.instance_norm(x), atol=1e-6, rtol=0
    )


def test_he_weights_let_the_style_depend_on_the_face(build, view) -> None:
    faces = build("dai2i").natively(view.images(np.arange(48))).image
    spread = {}
    for he in (False, True):
        torch.manual_seed(0)
        styles = build("dai2i", encoder_he=he).encoder(faces)
        spread[he] = styles.std(dim=0).mean().item()
    assert spread[True] > 10 * spread[False]


def test_labels_are_reversed_and_norms_are_neither_squared_nor_averaged() -> None:
    outputs = [torch.full((2, 1, 2, 2), 1.0), torch.full((2, 1, 1, 1), 3.0)]
    assert sum_of_norms(outputs, 1.0).item() == pytest.approx(2 * 2**0.5)
    assert sum_of_norms(outputs, 0.0).item() == pytest.approx(8**0.5 + 18**0.5)


def test_the_analogy_asks_for_the_same_change_in_both_domains_whatever_their_features_scale() -> None:
    draw = torch.Generator().manual_seed(0)
    face, change, other = (torch.randn(4, 8, 4, 4, generator=draw) for _ in range(3))
    assert analogy(face, face + change, 3 * face + 1, 3 * (face + change) + 1).item() < 1e-4
    assert analogy(face, face + change, face, face + other).item() > 0.5
    assert analogy(face, face + change, face, face).item() > 0.5


def _adaptation(method, view, steps: int, name: str = "adaptation") -> dict[str, float]:
    phase = next(p for p in method.phases() if p.name == name)
    method.bind(method.optimizers(phase), torch.Tensor.backward)
    torch.manual_seed(0)
    found = {}
    for step in range(steps):
        batch = view.step_batch(phase, step)
        assert (batch.source.label == view.problem.neutral).all()
        assert (batch.target.label == -1).all()
        found |= {k: float(v) for k, v in method.training_step(phase, method.natively(batch), step).items()}
    return found


@pytest.fixture(scope="session")
def two_domains(view):
    """The common training set with its last two subjects as the unlabelled domain."""
    return TrainingSet(view.store, np.arange(32), view.problem, 0, unlabelled_rows=np.arange(32, 48))


def test_adaptation_leaves_stargan_as_it_is_and_moves_all_else(build, two_domains) -> None:
    method = build("dai2i", adapter_batch=2)
    before = {k: v.clone() for k, v in method.named_parameters()}
    losses = _adaptation(method, two_domains, 2)
    moved = {k.split(".")[0] for k, v in method.named_parameters() if not torch.equal(v, before[k])}
    assert moved == {"into", "back", "encoder", "domain_critic", "classifier"}
    assert "adapter_analogy" not in losses
    assert all(p.requires_grad for p in method.generator.parameters())


def test_with_vgg_the_changes_are_compared_too(build, two_domains) -> None:
    method = build("dai2i", adapter_batch=2, perceptual=True)
    method.helpers.load_with(random_helpers(1))
    losses = _adaptation(method, two_domains, 1)
    assert losses["adapter_analogy"] > 0
    assert losses["adapter_content"] > 0


def test_vgg_s_levels_take_their_tensors_out_of_the_whole_file() -> None:
    from torchvision.models import vgg19

    with torch.device("meta"):
        names = {k: v.shape for k, v in vgg19(weights=None).state_dict().items()}
    levels = VGG19Levels()
    assert {k: v.shape for k, v in levels.state_dict().items()}.items() <= names.items()
    assert [tuple(found.shape[1:]) for found in levels(torch.zeros(1, 3, 32, 32))] == [
        (256, 8, 8),
        (512, 4, 4),
        (512, 2, 2),
    ]
    assert all(isinstance(levels.features[k], nn.ReLU) for k in levels.LEVELS)


def test_initial_weights_that_return_a_face_move_the_adapters_alone(build, two_domains) -> None:
    method = build("dai2i", adapter_batch=2)
    before = {k: v.clone() for k, v in method.named_parameters()}
    losses = _adaptation(method, two_domains, 1, "adapter-start")
    moved = {k.split(".")[0] for k, v in method.named_parameters() if not torch.equal(v, before[k])}
    assert moved == {"into", "back", "encoder"}
    assert losses.keys() == {"adapter_start"}
    assert [p.name for p in build("dai2i", "paper-noperc").phases()] == ["adversarial", "adaptation"]


@pytest.mark.learn
def test_dai2i_learns() -> None:
    """Of portraits that it saw neutral and unlabelled, whose targets it never saw."""
    phases = {"start": 500, "adversarial": 1000, "adapter-start": 600, "adaptation": 150}
    found = learned("dai2i", steps=phases, styles=("portrait",))
    assert found.cosine > 0.3
    assert found.psnr > found.mean_psnr + 3
