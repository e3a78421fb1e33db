"""StarGAN v2: published sizes, styles by label and seed, and which network learns from what."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from fesbench.baselines.starganv2 import (
    DownBlock,
    LabelCritic,
    LabelLinear,
    Mapping,
    StarGANv2Hyper,
    StyleBlock,
    StyleEncoder,
    StyleGenerator,
    squared_gradient,
)
from fesbench.errors import MethodError
from fesbench.methods.card import Problem
from fesbench.vocabulary import EXPRESSIONS
from tests.baselines.learning import learned
from tests.factories import steps


@pytest.fixture
def build(build):
    """A method by id that works on images as they are and begins with its losses."""

    def make(name: str, preset: str = "tiny", problem: Problem | None = None, **changes):
        return build(name, preset, problem, **{"native": "", "start_steps": 0} | changes)

    return make


@pytest.mark.parametrize(
    ("preset", "size", "labels", "expected"),
    [
        ("paper", 128, 7, [33_632_003, 6_542_272, 20_963_904, 20_737_671]),
        ("paper", 128, 8, [33_632_003, 7_363_072, 20_996_736, 20_738_184]),
        ("tiny", 64, 7, [384_739, 108_208, 258_304, 251_479]),
    ],
)
def test_starganv2_has_the_published_size(preset, size, labels, expected, build, count) -> None:
    hyper = build("starganv2").presets[preset]
    hyper = replace(hyper, base=1 << 10) if preset == "tiny" else hyper
    networks = (
        StyleGenerator(size, hyper),
        Mapping(labels, hyper),
        StyleEncoder(size, labels, hyper),
        LabelCritic(size, labels, hyper),
    )
    assert [count(network) for network in networks] == expected


def test_three_networks_have_the_published_size_at_256_px_with_two_labels(count) -> None:
    hyper = StarGANv2Hyper()
    networks = Mapping(2, hyper), StyleEncoder(256, 2, hyper), LabelCritic(256, 2, hyper)
    assert [count(network) for network in networks] == [2_438_272, 20_916_928, 20_852_290]


@pytest.mark.parametrize("size", [16, 48, 100])
def test_a_side_that_is_no_power_of_two_is_refused(size, build) -> None:
    with pytest.raises(MethodError, match="power of two of at least 32"):
        build("starganv2", "tiny", Problem(size, EXPRESSIONS, (), 0))


def test_blocks_keep_the_spread_of_what_they_add() -> None:
    x, style = torch.randn(2, 4, 8, 8), torch.randn(2, 3)
    down, up = DownBlock(4, 4, normed=False, down=True), StyleBlock(4, 4, 3, up=True)
    for block in (down, up):
        nn.init.zeros_(block.second.weight)
        nn.init.zeros_(block.second.bias)
    torch.testing.assert_close(down(x), nn.functional.avg_pool2d(x, 2) / 2**0.5)
    torch.testing.assert_close(up(x, style), x.repeat_interleave(2, 2).repeat_interleave(2, 3) / 2**0.5)


def test_a_style_sets_scale_and_shift_of_normed_channels() -> None:
    norm = StyleBlock(4, 4, 3, up=False).norms[0]
    x, style = 5 + 3 * torch.randn(2, 4, 16, 16), torch.randn(2, 3)
    scale, shift = norm.scale(style).chunk(2, 1)
    found = norm(x, style)
    torch.testing.assert_close(found.mean((2, 3)), shift, atol=1e-4, rtol=0)
    torch.testing.assert_close(found.std((2, 3), correction=0), (1 + scale).abs(), atol=1e-3, rtol=0)


def test_every_row_uses_its_label_s_own_layer() -> None:
    layer = LabelLinear(3, 4, 5)
    nn.init.normal_(layer.bias)
    x, label = torch.randn(2, 4), torch.tensor([2, 0])
    expected = torch.stack([layer.weight[k] @ row + layer.bias[k] for k, row in zip(label, x, strict=True)])
    torch.testing.assert_close(layer(x, label), expected)


def test_the_output_is_not_bounded_before_synthesis(build) -> None:
    generator = StyleGenerator(32, build("starganv2").hyper)
    with torch.no_grad():
        generator.exit.bias += 5
        assert generator(torch.zeros(1, 3, 32, 32), torch.zeros(1, 16)).min() > 1


def test_the_penalty_of_a_linear_critic_is_half_its_squared_weights() -> None:
    weight = torch.randn(3, 4, 4)

    class Linear(nn.Module):
        def forward(self, image, label):
            return (image * weight).sum(dim=(1, 2, 3)) * (1 + label)

    logits, penalty = squared_gradient(Linear(), torch.randn(2, 3, 4, 4), torch.tensor([0, 2]))
    assert logits.shape == (2,)
    torch.testing.assert_close(penalty, weight.square().sum() * (1 + 9) / 4)


def test_mapping_and_encoder_learn_from_noise_alone(build, view) -> None:
    method = build("starganv2", batch_size=2)
    taken: list[tuple[str, ...]] = []
    descend = method.descend

    def recorded(name, loss, *others, **options):
        taken.append((name, *others))
        if others:
            before = {k: v.clone() for k, v in method.named_parameters()}
        descend(name, loss, *others, **options)
        if others:
            moved = {k.split(".")[0] for k, v in method.named_parameters() if not torch.equal(v, before[k])}
            assert moved == {"generator", "mapping", "encoder"}

    method.descend = recorded
    losses = steps(method, view, 1)
    assert taken == [("critic",), ("critic",), ("generator", "mapping", "encoder"), ("generator",)]
    assert losses["generator_diversity"] > 0


def test_the_mapping_network_s_rate_is_a_hundredth(build) -> None:
    method = build("starganv2", learning_rate=1e-4, mapping_rate=1e-6)
    rates = {k: v.param_groups[0]["lr"] for k, v in method.optimizers(method.phases()[0]).items()}
    assert rates == {"generator": 1e-4, "encoder": 1e-4, "critic": 1e-4, "mapping": 1e-6}
    for preset in method.presets.values():
        assert preset.mapping_rate == pytest.approx(preset.learning_rate / 100)


def test_diversity_counts_less_and_less(build, view, monkeypatch) -> None:
    method = build("starganv2", batch_size=2, diversity_steps=10, start_steps=3)
    seen: list[float] = []
    loss = method._generator_loss
    monkeypatch.setattr(method, "_generator_loss", lambda *args: seen.append(args[-1]) or loss(*args))
    (phase,) = method.phases()
    method.bind(method.optimizers(phase), torch.Tensor.backward)
    for step in (3, 8, 33):
        method.training_step(phase, view.step_batch(phase, step), step)
    assert seen == [1.0, 1.0, 0.5, 0.5, 0.0, 0.0]


def test_initial_weights_that_return_a_face_move_the_generator_alone(build, view) -> None:
    method = build("starganv2", batch_size=4, start_steps=2)
    before = {k: v.clone() for k, v in method.named_parameters()}
    assert steps(method, view, 2).keys() == {"generator_start"}
    moved = {k.split(".")[0] for k, v in method.named_parameters() if not torch.equal(v, before[k])}
    assert moved == {"generator"}
    assert torch.equal(method.average_generator.exit.weight, method.generator.exit.weight)
    assert "generator_cycle" in steps(method, view, 3)


def test_a_style_scale_makes_styles_quieter_and_nothing_else(build) -> None:
    torch.manual_seed(0)
    loud = build("starganv2", style_scale=1.0).state_dict()
    torch.manual_seed(0)
    quiet = build("starganv2", style_scale=0.5).state_dict()
    for name, value in loud.items():
        halved = "generator.decode" in name and name.endswith("scale.weight")
        torch.testing.assert_close(quiet[name], value / 2 if halved else value)


def test_references_are_two_subjects_of_the_wanted_label(build, view) -> None:
    method = build("starganv2", batch_size=4)
    batch = view.step_batch(method.phases()[0], 0)
    assert torch.equal(batch.source.label, batch.target.label)
    assert bool((batch.source.identity != batch.target.identity).all())


def test_a_style_follows_label_and_seed_and_not_the_source(build, requests) -> None:
    method = build("starganv2").eval()
    styles = method.styles(requests)
    again = method.styles(replace(requests, source=-requests.source))
    assert torch.equal(styles, again)
    seeded = method.styles(replace(requests, noise_seed=requests.noise_seed + 100))
    labeled = method.styles(replace(requests, target_label=requests.target_label.roll(1)))
    for other in (seeded, labeled):
        assert ((styles - other).abs().amax(dim=1) > 1e-3).all()


def test_a_mean_style_is_one_answer_a_label(build, requests) -> None:
    method = build("starganv2", mean_style=True).eval()
    styles = method.styles(requests)
    seeded = method.styles(replace(requests, noise_seed=requests.noise_seed + 100))
    assert torch.equal(styles, seeded)
    torch.testing.assert_close(styles[0], styles[3])
    noise = torch.randn(4000, 16, generator=torch.Generator().manual_seed(9))
    expected = method.average_mapping(method.mapping, noise, torch.ones(4000).long()).mean(0)
    assert (styles[0] - expected).norm() < 0.1 * expected.norm() + 0.05


def test_only_averaged_weights_synthesize(build, requests) -> None:
    method = build("starganv2").eval()
    before = method.synthesize(requests[:2])
    for parameter in method.parameters():
        nn.init.zeros_(parameter)
    assert torch.equal(before, method.synthesize(requests[:2]))
    for average in (method.average_generator.exit, method.average_mapping.last):
        average.bias += 0.5
        assert not torch.equal(before, method.synthesize(requests[:2]))


def test_weights_of_another_order_of_labels_are_permuted(build, requests) -> None:
    method = build("starganv2").eval()
    order = [2, 0, 1, 3, 4, 5, 6, 7]
    other = build("starganv2", "tiny", Problem(64, tuple(EXPRESSIONS[k] for k in order), (), 0)).eval()
    other.import_state(method.state_dict(), labels=EXPRESSIONS)
    place = torch.tensor([order.index(k) for k in requests.target_label.tolist()])
    torch.testing.assert_close(
        other.synthesize(replace(requests, target_label=place)), method.synthesize(requests)
    )


@pytest.mark.learn
def test_starganv2_learns() -> None:
    # a style holds identity too, so that two seeds differ by more than the label; a mean style does not
    found = learned("starganv2", steps={"adversarial": 1100}, diversity_steps=500, mean_style=True)
    assert found.cosine > 0.3
    assert found.psnr > found.mean_psnr + 2
    assert recovered(found.method, found.source[:, 0]) < 0.95


def recovered(method, source: torch.Tensor) -> float:
    """Distance of the encoder's reading of a made image from its style, over that from another image's."""
    label = torch.arange(len(source)) % 2 + 1
    noise = torch.randn(len(source), method.hyper.latent, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        style = method.mapping(noise, label)
        read = method.encoder(method.generator(source, style), label)
    other = style.roll(2, 0)
    return float((read - style).abs().mean() / (read - other).abs().mean())
