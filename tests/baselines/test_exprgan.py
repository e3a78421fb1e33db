"""ExprGAN: counts, TensorFlow's padding, the controller, what each stage trains, and strength."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from fesbench.baselines._vgg import VGGFace
from fesbench.baselines.exprgan import (
    CodeCritic,
    Decoder,
    Down,
    Encoder,
    ExprGAN,
    ImageCritic,
    ShiftNorm,
    code_loss,
    expression_code,
    total_variation,
)
from fesbench.errors import MethodError
from fesbench.methods.card import Problem
from tests.baselines.learning import learned
from tests.factories import random_helpers


@pytest.fixture
def build(build):
    """A method by id that works on images as they are."""

    def make(name: str, preset: str = "tiny", problem: Problem | None = None, **changes):
        return build(name, preset, problem, native="", **changes)

    return make


@pytest.mark.parametrize(
    ("classes", "decoder", "critic"),
    [(6, 11_331_066, 9_275_349), (7, 11_458_481, 9_355_659), (8, 11_422_056, 9_435_969)],
)
def test_the_networks_have_the_published_size(classes, decoder, critic, count) -> None:
    assert count(Decoder(128, classes, 64)) == decoder
    found = ImageCritic(128, classes, 16, 1024)
    assert count(found) == critic
    if classes == 6:
        assert count(found.trunk) + count(found.readers) == 183_966
        assert count(CodeCritic()) == 6_001
        assert count(Encoder(128, 64)) == 18_234_034


def test_strided_layers_pad_as_tensorflow_does() -> None:
    layer = Down(1, 1)
    nn.init.ones_(layer.weight)
    image = torch.zeros(1, 1, 8, 8)
    image[0, 0, 0, 0] = 1.0
    assert layer(image)[0, 0].nonzero().tolist() == [[0, 0]]
    image = image.flip(-1, -2)  # row and column 7: seen from rows 2 (3 ... 7) and 3 (5 ... 9)
    assert layer(image)[0, 0].nonzero().tolist() == [[2, 2], [2, 3], [3, 2], [3, 3]]


def test_images_and_codes_have_their_shapes() -> None:
    face = Encoder(64, 4)(torch.randn(3, 3, 64, 64))
    assert face.shape == (3, 50)
    label = torch.eye(6)[:3]
    image = Decoder(64, 6, 4)(face, expression_code(label, torch.rand(3, 5)))
    assert image.shape == (3, 3, 64, 64)
    logits, code = ImageCritic(64, 6, 4, 64)(image, label)
    assert (logits.shape, code.shape) == ((3, 1), (3, 30))
    with pytest.raises(MethodError, match="multiple of 32, not 48"):
        Encoder(48, 4)


def test_all_blocks_of_a_code_share_their_sizes_and_the_sign_marks_the_class() -> None:
    strength = torch.tensor([[0.1, 0.2, 0.3, 0.4, 0.5]])
    code = expression_code(torch.tensor([[0.0, 1.0, 0.0]]), strength).unflatten(1, (3, 5))[0]
    torch.testing.assert_close(code, torch.stack([-strength[0], strength[0], -strength[0]]))


def test_the_code_is_tiled_beside_the_face(build) -> None:
    decoder = Decoder(32, 6, 4)
    assert decoder.copies == 8
    seen = []
    decoder.first.register_forward_hook(lambda _, args, __: seen.append(args[0]))
    code = torch.randn(2, 30)
    decoder(torch.zeros(2, 50), code)
    assert torch.equal(seen[0][:, 50:].unflatten(1, (8, 30)), code[:, None].expand(-1, 8, -1))
    assert [Decoder(32, k, 4).copies for k in (7, 8)] == [7, 6]


def test_tiny_starts_with_faces_that_are_seen(build, view) -> None:
    """By the published initial weights all faces of a narrow network would begin as one."""
    images, moved = view.images([0, 8, 16, 24]).image, []
    for clear in (False, True):
        method = build("exprgan", clear_start=clear)
        code = torch.full((4, 40), 0.5)
        with torch.no_grad():
            moved.append(method.decoder(method.encoder(images), code).std(0).mean().item())
    assert moved[1] > 20 * moved[0]


def test_losses_are_those_of_the_code() -> None:
    code, wanted = torch.zeros(4, 15), torch.ones(4, 15)
    wanted[:, 5:] = 0.0
    assert code_loss(code, wanted).item() == pytest.approx(1.0)  # one of three classes wholly wrong
    image = torch.zeros(2, 1, 4, 4)
    image[0, 0, 0, 0] = 2.0
    assert total_variation(image).item() == pytest.approx((4 + 4) / 2 / 4 / 2)
    x = torch.randn(6, 3, 4, 4) * 5 + 2
    made = ShiftNorm(3).eval()(x)
    torch.testing.assert_close(made.mean((0, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(made.std((0, 2, 3), unbiased=False), torch.ones(3), atol=1e-3, rtol=0)


def test_every_stage_trains_its_networks(build, view) -> None:
    method = build("exprgan", width=4, critic_width=2, hidden=16).train()
    changed = {}
    for phase in method.phases():
        method.bind(method.optimizers(phase), torch.Tensor.backward)
        before = {k: v.detach().clone() for k, v in method.named_parameters()}
        losses = method.training_step(phase, view.images([0, 5, 9, 12]), 0)
        moved = {k.split(".")[0] for k, v in method.named_parameters() if not torch.equal(v, before[k])}
        changed[phase.name] = (moved, {k for k in losses if k.startswith("generator")})
        # Both on one forward pass; the weight that `tiny` lowers is not the controller's.
        weight = 1.0 if phase.name == "controller" else 0.02
        assert losses["generator_code"].item() == pytest.approx(weight * losses["critic_code"].item())
    everything = {"encoder", "decoder", "critic", "code_critic"}
    assert changed["controller"] == ({"decoder", "critic"}, {"generator_code", "generator_realism"})
    assert changed["reconstruction"] == (everything, {"generator_code", "generator_reconstruction"})
    assert changed["refining"][0] == everything
    assert len(changed["refining"][1]) == 5


def test_the_generator_steps_through_critics_as_they_were(build, view) -> None:
    """All optimizers work on one forward pass: a critic that learns faster changes nothing of it."""
    moved = []
    for rate in (1e-3, 1.0):
        method = build("exprgan", width=4, critic_width=2, hidden=16).train()
        phase = method.phases()[0]
        optimizers = method.optimizers(phase)
        optimizers["critic"].param_groups[0]["lr"] = rate
        method.bind(optimizers, torch.Tensor.backward)
        torch.manual_seed(0)
        method.training_step(phase, view.images([0, 5, 9, 12]), 0)
        moved.append(method.decoder.first.weight.detach().clone())
    assert torch.equal(*moved)


def test_strength_scales_the_code_and_random_faces_need_no_source(build, requests) -> None:
    method = build("exprgan")
    seen = []
    method.decoder.register_forward_hook(lambda _, args, __: seen.append(args))
    half = replace(requests, intensity=torch.full_like(requests.intensity, 0.5), task="intensity")
    method.answer(half)
    blocks = seen[-1][1].unflatten(1, (8, 5))
    assert (blocks.abs() == 0.5).all()
    assert (blocks > 0).all(2).nonzero()[:, 1].tolist() == requests.target_label.tolist()
    drawn = replace(requests, task="random", source=torch.zeros_like(requests.source))
    method.answer(drawn)
    assert seen[-1][0].abs().max() <= 1
    assert seen[-1][0].std() == pytest.approx(3**-0.5, abs=0.05)
    other = replace(drawn, source=requests.source)
    assert torch.equal(method.answer(other), method.answer(drawn))


@pytest.mark.parametrize(("preset", "share"), [("paper", 1.0), ("id-mean", None)])
def test_the_identity_term_is_vgg_face_s_and_almost_nothing_as_released(preset, share, build, view) -> None:
    method = build("exprgan", preset, width=4, critic_width=2, hidden=16)
    method.helpers.load_with(random_helpers(0))
    image = view.images([0, 9]).image
    see = method.helper("vgg-face")
    torch.nn.init.zeros_(see.conv2_1.weight)  # what comes later is the same for all images
    first = see(image)[0]
    assert first.shape == (2, 64, 224, 224)
    expected = (first - see(image.flip(0))[0]).abs().mean()
    found = method._identity(image, image.flip(0))
    assert found.item() == pytest.approx(expected.item() / (224**2 if share else 1), rel=1e-4)


def test_vgg_face_has_its_layers_and_takes_them_out_of_the_whole_file() -> None:
    with torch.device("meta"):
        network = VGGFace()
    names = [name for name, _ in network.named_children()]
    assert names[:4] == ["conv1_1", "conv1_2", "conv2_1", "conv2_2"]
    assert names[4:] == [
        "conv3_1",
        "conv3_2",
        "conv3_3",
        "conv4_1",
        "conv4_2",
        "conv4_3",
        "conv5_1",
        "conv5_2",
    ]
    state = {key: torch.zeros(value.shape) for key, value in network.state_dict().items()}
    network.load_state_dict({**state, "fc8.bias": torch.zeros(2622)}, assign=True)
    assert [tuple(x.shape[1:]) for x in network(torch.zeros(1, 3, 32, 32))] == [
        (64, 224, 224),
        (128, 112, 112),
        (256, 56, 56),
        (512, 28, 28),
        (512, 14, 14),
    ]


def test_presets_without_vgg_face_say_so() -> None:
    needed = {name: ExprGAN.helpers_of(hyper) for name, hyper in ExprGAN.presets.items()}
    assert needed == {"paper": ("vgg-face",), "tiny": (), "paper-noid": (), "id-mean": ("vgg-face",)}
    assert "VGG-Face" in ExprGAN.preset_note("tiny")
    assert ExprGAN.preset_note("paper") == ""


@pytest.mark.learn
def test_exprgan_learns() -> None:
    found = learned("exprgan", steps={"controller": 10, "reconstruction": 400, "refining": 30})
    # Fifty numbers a face and so few steps: blurred faces of the right person, with a weak expression.
    assert found.cosine > 0.13
    assert found.psnr > found.mean_psnr + 1.7
