"""Li 2021: counts and shapes of its tables, what steers it, what its presets leave out."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from fesbench.baselines.li2021 import Discriminator, Generator, Li2021, Li2021Hyper, MigrationBlock
from fesbench.errors import MethodError
from fesbench.methods.card import Problem
from fesbench.vocabulary import EXPRESSIONS
from tests.baselines.learning import learned
from tests.factories import random_helpers

PROBLEM = Problem(128, EXPRESSIONS, (), 0)


def test_the_networks_have_the_published_size(count) -> None:
    method = Li2021(PROBLEM, Li2021.presets["paper"])
    oulu = Generator(6, Li2021Hyper(blocks=0))
    assert count(method.critic["image"]) == 2_769_603
    assert count(method.critic["geometry"]) == 2_836_163
    assert count(method.generator.decoder) == 386_691
    assert count(oulu.decoder) == 385_539
    assert len(method.generator.blocks) == 9
    # two 3x3 convolutions a path; batch norm thrice; the later blocks' landmark input has twice the channels
    first, later = 4 * (256 * 256 * 9 + 256) + 3 * 512, 256 * 256 * 9
    assert [count(block) for block in method.generator.blocks] == [first, *[first + later] * 8]


def test_the_maps_have_the_published_sides() -> None:
    assert Discriminator(6, 4, True)(torch.zeros(2, 6, 128, 128)).shape == (2, 1, 14, 14)
    generator, sides = Generator(7, Li2021Hyper(width=4, blocks=2)), []
    for layer in generator.decoder:
        layer.register_forward_hook(lambda _, __, out: sides.append(out.shape[-1]))
    made = generator(torch.zeros(2, 3, 128, 128), torch.zeros(2, 68, 128, 128), torch.zeros(2, 7))
    assert list(dict.fromkeys(sides)) == [64, 128, 134]
    assert made.shape == (2, 3, 128, 128)
    assert made.abs().max() <= 1
    with pytest.raises(MethodError, match="multiple of 4, not 30"):
        generator(torch.zeros(1, 3, 30, 30), torch.zeros(1, 68, 30, 30), torch.zeros(1, 7))


def test_a_block_adds_to_the_image_what_the_landmarks_let_through() -> None:
    torch.manual_seed(0)
    block = MigrationBlock(4, 8, 0.5).eval()
    image, marks = torch.randn(2, 4, 6, 6), torch.randn(2, 8, 6, 6)
    nn.init.constant_(block.landmarks[-1].bias, -100.0)
    closed, shown = block(image, marks)
    torch.testing.assert_close(closed, image)
    assert torch.equal(shown[:, 4:], closed)
    nn.init.constant_(block.landmarks[-1].bias, 100.0)
    torch.testing.assert_close(block(image, marks)[0], image + block.image(image))


def test_label_planes_are_signs_and_neutral_has_none(build) -> None:
    labels = torch.tensor([0, 1, -1])
    signs, plain = (
        build("li2021")._condition(labels),
        build("li2021", "no-smooth", width=4)._condition(labels),
    )
    assert signs.shape == (3, 7)
    assert signs[1].tolist() == [1, -1, -1, -1, -1, -1, -1]
    assert (signs[[0, 2]] == -1).all()
    assert plain[1].tolist() == [1, 0, 0, 0, 0, 0, 0]
    assert (plain[[0, 2]] == 0).all()


def test_landmarks_and_label_steer_the_image_and_unknown_landmarks_are_refused(build, requests) -> None:
    method = build("li2021", width=4)
    torch.manual_seed(0)
    for weight in (
        p for p in method.generator.parameters() if p.ndim == 4
    ):  # untrained ones let little through
        nn.init.normal_(weight, 0.0, 0.2)
    whole = method.answer(requests)
    for change in (
        {"target_landmarks": requests.target_landmarks + 3},
        {"target_label": torch.full_like(requests.target_label, 3)},
    ):
        assert (method.answer(replace(requests, **change)) - whole).abs().max() > 1e-4
    unknown = replace(requests, target_landmarks=torch.full_like(requests.target_landmarks, torch.nan))
    with pytest.raises(MethodError, match="landmarks are not known"):
        method.answer(unknown)


def test_real_and_made_images_share_the_statistics_of_the_last_norm(build, view) -> None:
    """Apart, the last batch norm would give both the mean 0 and a discriminator nothing to say."""
    method = build("li2021").train()
    pairs = view.pairs([0, 1, 2, 3])
    maps = method._maps(pairs.target.landmarks)
    for real, made in method._judge(pairs.source.image, maps, pairs.target.image, -pairs.target.image):
        assert (real.mean() - made.mean()).abs() > 0.1
        assert (real.mean() + made.mean()).abs() < 0.1


@pytest.mark.parametrize("preset", ["paper", "no-init"])
def test_the_perceptual_loss_is_vgg_19_s_and_reaches_the_generator(preset, build, view) -> None:
    method = build("li2021", preset, width=4, blocks=1)
    assert isinstance(method.generator.initial[0], nn.Conv2d) == (preset == "no-init")
    with pytest.raises(MethodError, match="needs weights 'vgg19'"):
        method.helper("vgg19")
    method.helpers.load_with(random_helpers(0))
    see = method.helper("vgg19")
    kinds = [type(layer).__name__ for layer in see.features]
    assert kinds == ["Conv2d", "ReLU", "Conv2d"]
    assert see(torch.zeros(1, 3, 8, 8)).shape == (1, 64, 8, 8)
    phase = method.phases()[0]
    method.bind(method.optimizers(phase), torch.Tensor.backward)
    losses = method.train().training_step(phase, view.pairs([0, 1]), 0)
    assert losses["generator_perceptual"] > 0


def test_vgg_19_takes_its_layers_out_of_the_whole_file() -> None:
    from fesbench.baselines._vgg import VGG19

    whole = {f"features.{n}.{part}": torch.ones(shape) for n, part, shape in FIRST}
    network = VGG19("conv1_2")
    network.load_state_dict({**whole, "classifier.0.weight": torch.ones(2, 2)}, assign=True)
    assert float(network.features[2].weight[0, 0, 0, 0].detach()) == 1.0
    with pytest.raises(RuntimeError, match="Missing key"):
        network.load_state_dict({k: v for k, v in whole.items() if k != "features.2.bias"})
    # a white image, channel by channel: (1 - mean) / spread through ones
    image, expected = torch.ones(1, 3, 3, 3), sum((1 - m) / s for m, s in zip(MEAN, SPREAD, strict=True))
    middle = 9 * expected + 1
    assert network.features[0](
        (image - torch.tensor(MEAN)[:, None, None]) / torch.tensor(SPREAD)[:, None, None]
    )[0, 0, 1, 1].item() == pytest.approx(middle, rel=1e-5)
    assert network(image)[0, 0, 1, 1].item() == pytest.approx(
        64 * (middle + 4 * (6 * expected + 1) + 4 * (4 * expected + 1)) + 1, rel=1e-5
    )


FIRST = [
    (0, "weight", (64, 3, 3, 3)),
    (0, "bias", (64,)),
    (2, "weight", (64, 64, 3, 3)),
    (2, "bias", (64,)),
]
MEAN, SPREAD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def test_presets_without_vgg_19_say_so() -> None:
    for name in ("tiny", "paper-noperc"):
        assert Li2021.helpers_of(Li2021.presets[name]) == ()
        assert "VGG-19" in Li2021.preset_note(name)
    for name in ("paper", "no-init", "no-smooth"):
        assert Li2021.helpers_of(Li2021.presets[name]) == ("vgg19",)


@pytest.mark.learn
def test_li2021_learns() -> None:
    found = learned("li2021", steps={"adversarial": 500})
    assert found.cosine > 0.55
    assert found.psnr > found.copy_psnr + 2
