"""CDAAE: sizes of the reference build, the path of low-level features, and labels in between."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from fesbench.baselines.cdaae import ShiftNorm, squared_variation
from fesbench.errors import MethodError
from fesbench.methods.card import Problem
from fesbench.vocabulary import EXPRESSIONS
from tests.baselines.learning import learned


@pytest.mark.parametrize(
    ("labels", "both", "critic"),
    [(8, 37_330_261, 8_667_537), (7, 37_346_645, 8_666_737), (6, 37_330_261, 8_665_937)],
)
def test_the_size_of_the_card(labels, both, critic, build, count) -> None:
    method = build("cdaae", "paper", Problem(128, EXPRESSIONS[:labels], (), 0))
    assert count(method.encoder) == 18_234_034
    assert count(method.encoder) + count(method.decoder) == both
    assert (count(method.code_critic), count(method.critic)) == (6_001, critic)


def test_the_path_adds_no_parameters(build, count) -> None:
    problem = Problem(128, EXPRESSIONS, (), 0)
    assert count(build("cdaae", "caae", problem)) == count(build("cdaae", "paper", problem))


def test_the_maps_are_those_of_the_card(build) -> None:
    method = build("cdaae", "paper", Problem(128, EXPRESSIONS, (), 0))
    code, hidden = method.encoder(torch.zeros(1, 3, 128, 128))
    assert [tuple(x.shape[1:]) for x in hidden] == [
        (64, 64, 64),
        (128, 32, 32),
        (256, 16, 16),
        (512, 8, 8),
        (1024, 4, 4),
    ]
    maps: list[tuple[int, int]] = []
    for layer in method.decoder.modules():
        if isinstance(layer, torch.nn.ConvTranspose2d):
            layer.register_forward_hook(lambda _, i, o: maps.append((o.shape[1], o.shape[-1])))
    method.decoder(code, torch.zeros(1, 48), hidden)
    assert maps == [(512, 8), (256, 16), (128, 32), (64, 64), (32, 128), (16, 128), (3, 128)]


def test_the_first_layer_alone_reaches_the_decoder_behind_the_code(build, requests) -> None:
    method = build("cdaae").eval()
    code, hidden = method.encoder(requests.source[:1])
    label = torch.zeros(1, method.copies * 8)

    def moved(level: int, by: float = 0.5) -> float:
        changed = [x + by if k == level else x for k, x in enumerate(hidden)]
        apart = method.decoder(code, label, changed) - method.decoder(code, label, hidden)
        return float(apart.detach().abs().max())

    assert moved(0) > 1e-4
    assert [moved(level) for level in (1, 2, 3)] == [0.0, 0.0, 0.0]
    method.decoder.path = 2
    assert moved(1) > 1e-4
    method.decoder.path = 0
    assert moved(0) == 0.0


def test_with_he_weights_a_narrow_network_heeds_the_label_from_the_start(build, requests) -> None:
    """It has no norms: at a small width the base's weights leave next to nothing of any input."""

    def heeded(**changes) -> float:
        method = build("cdaae", **changes).eval()
        one, other = (method._signs(torch.full_like(requests.target_label, label)) for label in (1, 5))
        apart = method.make(requests.source, one)[0] - method.make(requests.source, other)[0]
        return float(apart.detach().abs().mean())

    assert heeded() > 0.01
    assert heeded(he=False) < 0.001


def test_the_path_joins_before_the_activation(build, requests) -> None:
    """A difference may be negative: it takes away from what the encoder saw."""
    method = build("cdaae").eval()
    code, hidden = method.encoder(requests.source[:1])
    layer = method.decoder.layers[len(method.decoder.layers) - 2]
    torch.nn.init.zeros_(layer.weight)
    torch.nn.init.constant_(layer.bias, -0.25)
    seen: list[torch.Tensor] = []
    method.decoder.layers[-1].register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    method.decoder(code, torch.zeros(1, method.copies * 8), hidden)
    assert torch.equal(seen[0], (hidden[0] - 0.25).relu())


def test_a_shift_norm_is_batch_norm_without_a_gain() -> None:
    layer, x = ShiftNorm(3), torch.randn(4, 3, 5, 5) * 2 + 1
    layer.shift.data = torch.tensor([1.0, 0.0, -1.0])
    expected = torch.nn.functional.batch_norm(x, None, None, bias=layer.shift, training=True)
    torch.testing.assert_close(layer(x), expected)
    assert [tuple(p.shape) for p in layer.parameters()] == [(3,)]
    torch.testing.assert_close(layer(x[:, :, 0, 0]).mean(0), layer.shift.detach(), atol=1e-6, rtol=0)


def test_variation_is_that_of_the_base_s_code() -> None:
    image = torch.zeros(2, 1, 4, 4)
    image[0, 0, 1, 1] = 2.0
    assert squared_variation(image) == pytest.approx(4 * 2.0**2 / 2 / 4 / 2)


def test_labels_are_signs_and_an_intensity_lies_between_them(build, requests) -> None:
    method = build("cdaae")
    seen: list[torch.Tensor] = []
    method.decoder.register_forward_pre_hook(lambda _, given: seen.append(given[1]))
    asked = replace(requests[0:1], source_label=torch.tensor([0]))
    for intensity in (1.0, 0.0, 0.5):
        method.answer(replace(asked, intensity=torch.tensor([intensity])))
    method.answer(replace(asked, second_label=torch.tensor([5])))
    first = [x[0, :8].tolist() for x in seen]
    assert first[0] == [-1, 1, -1, -1, -1, -1, -1, -1]
    assert first[1] == [1, -1, -1, -1, -1, -1, -1, -1]
    assert first[2] == [0, 0, -1, -1, -1, -1, -1, -1]
    assert first[3] == [-1, 1, -1, -1, -1, 1, -1, -1]
    assert torch.equal(seen[0], seen[0][:, :8].repeat(1, 6))


def test_half_of_the_pairs_go_back_to_neutral(build, view) -> None:
    method = build("cdaae", batch_size=32)
    phase = method.phases()[0]
    method.bind(method.optimizers(phase), torch.Tensor.backward)
    seen: list[tuple[torch.Tensor, ...]] = []
    method.encoder.register_forward_pre_hook(lambda _, given: seen.append(given))
    labels: list[torch.Tensor] = []
    method.critic.register_forward_pre_hook(lambda _, given: labels.append(given[1]))
    torch.manual_seed(0)
    batch = view.step_batch(phase, 0)
    method.training_step(phase, batch, 0)
    back = labels[0].argmax(1) == 0
    assert 8 <= int(back.sum()) <= 24
    assert torch.equal(seen[0][0][back], batch.target.image[back])
    assert torch.equal(seen[0][0][~back], batch.source.image[~back])
    assert torch.equal(labels[0].argmax(1)[~back], batch.target.label[~back])


def test_a_size_that_does_not_fit_is_refused(build) -> None:
    with pytest.raises(MethodError, match="power of two of at least 32 as image size, not 96"):
        build("cdaae", "tiny", Problem(96, EXPRESSIONS, (), 0))


@pytest.mark.learn
def test_cdaae_learns() -> None:
    found = learned("cdaae", steps={"adversarial": 600})
    assert found.cosine > 0.5
    assert found.psnr > found.copy_psnr + 1
