"""FExGAN: published sizes, the latent code, and what its card says of losses and affects."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from fesbench.baselines.fexgan import kl_to_normal
from fesbench.errors import MethodError
from fesbench.methods.card import Problem
from fesbench.vocabulary import EXPRESSIONS
from tests.baselines.drawing import drawn, random_requests
from tests.baselines.learning import learned

SEVEN = Problem(128, EXPRESSIONS[:7], (), 0)


def test_the_published_size(build, count) -> None:
    method = build("fexgan", "paper", SEVEN)
    found = [count(network) for network in (method.encoder, method.decoder, method.critic)]
    assert found == [16_430_080, 19_459_843, 2_232_584]
    running = [v.numel() for k, v in method.named_buffers() if "running" in k and "critic" not in k]
    assert sum(running) == 9_728


def test_the_maps_are_those_of_the_card(build) -> None:
    method = build("fexgan", "paper", SEVEN).eval()
    maps: dict[str, list[tuple[int, int]]] = {"encoder": [], "decoder": [], "critic": []}
    for name, found in maps.items():
        for layer in getattr(method, name).modules():
            if isinstance(layer, torch.nn.Conv2d | torch.nn.ConvTranspose2d):
                layer.register_forward_hook(
                    lambda _, i, o, found=found: found.append((o.shape[1], o.shape[-1]))
                )
    affect = torch.eye(7)[:2]
    image = method.decoder(method.encoder(torch.zeros(2, 3, 128, 128), affect)[0], affect)
    score, logits = method.critic(image)
    assert maps["encoder"] == [(128, 64), (256, 32), (512, 16), (512, 8), (512, 4), (512, 2), (128, 1)]
    assert maps["decoder"] == [(512, 2), (512, 4), (512, 8), (512, 16), (256, 32), (128, 64), (3, 128)]
    assert maps["critic"] == [(64, 64), (128, 32), (512, 16)]
    assert (score.shape, logits.shape) == ((2,), (2, 7))


@pytest.mark.parametrize("size", [48, 16])
def test_a_size_that_is_no_power_of_two_is_refused(size, build) -> None:
    with pytest.raises(MethodError, match=f"power of two of at least 32 as image size, not {size}"):
        build("fexgan", "tiny", Problem(size, EXPRESSIONS, (), 0))


def test_the_divergence_is_that_of_two_normal_distributions() -> None:
    normal = torch.distributions.Normal
    mean, log_variance = torch.randn(3, 5), torch.randn(3, 5)
    expected = torch.distributions.kl_divergence(normal(mean, (log_variance / 2).exp()), normal(0.0, 1.0))
    torch.testing.assert_close(kl_to_normal(mean, log_variance), expected.mean())
    assert kl_to_normal(torch.zeros(1, 4), torch.zeros(1, 4)) == 0


def test_a_code_starts_with_the_variance_of_the_prior(build, view) -> None:
    method = build("fexgan")
    _, log_variance = method.eval().encoder(view.images([0, 5]).image, torch.eye(8)[:2])
    assert not log_variance.any()


def test_the_decoder_sees_scaled_affects_and_the_encoder_plain_ones(build, view) -> None:
    method = build("fexgan", batch_size=64)
    phase = method.phases()[0]
    method.bind(method.optimizers(phase), torch.Tensor.backward)
    seen: dict[str, torch.Tensor] = {}
    for name in ("encoder", "decoder"):
        network = getattr(method, name)
        network.register_forward_pre_hook(lambda _, given, name=name: seen.update({name: given[1]}))
    torch.manual_seed(0)
    batch = view.step_batch(phase, 0, needs=method.card.needs)
    method.training_step(phase, batch, 0)
    plain = torch.nn.functional.one_hot(batch.target.label, 8).float()
    assert torch.equal(seen["encoder"], plain)
    strength = seen["decoder"].sum(1)
    assert torch.equal(seen["decoder"].argmax(1), batch.target.label)
    assert 0.5 <= strength.min() < 0.8
    assert 1.2 < strength.max() <= 1.5
    assert (batch.source.identity == batch.target.identity).all()
    assert (batch.source.label != batch.target.label).any()


def test_realism_counts_a_tenth_in_the_second_half(build, view) -> None:
    """With nothing else to learn, the generator's first gradient is ten times smaller."""
    gradients = {}
    for k, name in enumerate(("full", "late")):
        method = build("fexgan", target_weight=0.0, kl_weight=0.0, batch_size=4)
        torch.nn.init.zeros_(method.critic.condition.weight)
        phase = method.phases()[k]
        assert phase.name == name
        optimizers = method.optimizers(phase)
        optimizers["critic"] = torch.optim.SGD(method.critic.parameters(), 0.0)
        optimizers["generator"] = torch.optim.SGD(optimizers["generator"].param_groups[0]["params"], 0.0)
        method.bind(optimizers, torch.Tensor.backward)
        torch.manual_seed(0)
        method.training_step(phase, view.batch("any-pair", 4, 0), 0)
        gradients[name] = method.decoder.body[0].weight.grad.clone()
    full, late = gradients["full"], gradients["late"]
    assert (full - 10 * late).norm() < 1e-3 * full.norm()


def test_a_face_out_of_noise_is_the_decoder_s_alone(build, view) -> None:
    method = build("fexgan")
    requests = random_requests(view, [1, 5], [3, 4])
    images = method.answer(requests)
    code = torch.stack([torch.randn(32, generator=torch.Generator().manual_seed(seed)) for seed in (3, 3)])
    expected = method.eval().decoder(code, torch.eye(8)[[1, 5]])
    torch.testing.assert_close(images[:2], expected, atol=1e-6, rtol=0)
    assert (images[0] - images[2]).abs().max() > 1e-4


def test_an_answer_uses_no_noise_and_the_intensity(build, requests) -> None:
    method = build("fexgan")
    image = method.answer(requests)
    assert torch.equal(image, method.answer(replace(requests, noise_seed=requests.noise_seed + 9)))
    weak = method.answer(replace(requests, intensity=0.5 * requests.intensity))
    assert (image - weak).norm() > 0.1 * image.norm()


@pytest.mark.learn
def test_fexgan_learns() -> None:
    found = learned("fexgan", steps={"full": 300, "late": 300})
    # Soft: a target is any image of the subject with the label, cut at random.
    assert found.cosine > 0.25
    assert found.psnr > found.mean_psnr + 1.5
    faces = drawn(found.method, found.view)
    assert faces.cosine > 0.35
    assert faces.accuracy > 0.6
