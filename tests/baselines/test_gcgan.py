"""GC-GAN: published sizes, TensorFlow's padding, the contrast of embeddings, which loss moves what."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from fesbench.baselines import gcgan
from fesbench.baselines.gcgan import Up5, contrast, conv5, coordinates, slow_decay, summed
from fesbench.errors import MethodError
from fesbench.methods.card import Problem
from fesbench.methods.conditions import label_requests
from fesbench.vocabulary import EXPRESSIONS
from tests.baselines.learning import learned

SIX = ("neutral", "happiness", "surprise", "anger", "disgust", "fear")


def test_its_networks_have_the_published_sizes(build, count) -> None:
    with torch.device("meta"):
        method = build("gcgan", "paper", Problem(128, SIX, (), 0))
    own = [count(part) for part in (method.encoder, method.embedder, method.decoder, method.critic)]
    assert own == [17_941_888, 56_680, 3_438_787, 2_594_055]
    assert sum(own[:3]) == 21_437_355
    code, maps = method.encoder(torch.zeros(2, 3, 64, 64, device="meta"))
    assert [tuple(x.shape) for x in (code, *maps)] == [
        (2, 128),
        (2, 64, 32, 32),
        (2, 128, 16, 16),
        (2, 256, 8, 8),
    ]
    assert method.decoder(code, torch.zeros(2, 32, device="meta"), maps).shape == (2, 3, 64, 64)


def test_convolutions_pad_as_tensorflow_does() -> None:
    """One before and two behind at stride 2: the first output sees inputs -1 to 3, the last 61 to 65."""
    layer = conv5(1, 1)
    torch.nn.init.ones_(layer[1].weight)
    torch.nn.init.zeros_(layer[1].bias)
    row = layer(torch.eye(64)[None, None].cumsum(-1).sign())[0, 0]
    image = torch.zeros(1, 1, 64, 64)
    image[..., 0, 0] = 1
    seen = layer(image)[0, 0]
    assert row.shape == (32, 32)
    assert (seen > 0).nonzero().tolist() == [[0, 0]]
    image = image.flip(-1, -2)
    assert (layer(image)[0, 0] > 0).nonzero().tolist() == [[30, 30], [30, 31], [31, 30], [31, 31]]


def test_the_transposed_convolution_is_the_adjoint_of_the_convolution() -> None:
    torch.manual_seed(0)
    down, up = conv5(2, 3), Up5(3, 2)
    with torch.no_grad():
        up.weight.copy_(down[1].weight)
        up.bias.zero_()
        down[1].bias.zero_()
    x, y = torch.randn(1, 2, 16, 16), torch.randn(1, 3, 8, 8)
    torch.testing.assert_close((down(x) * y).sum(), (x * up(y)).sum())


def test_the_contrast_pulls_one_label_together_and_pushes_two_apart_up_to_the_margin() -> None:
    one = torch.tensor([[0.0, 0.0], [0.0, 0.0], [0.0, 0.0], [1.0, 1.0]])
    other = torch.tensor([[1.0, 2.0], [1.0, 1.0], [3.0, 0.0], [1.0, 1.0]])
    near, far = contrast(one, other, torch.tensor([True, False, False, False]), 5.0)
    assert near.item() == pytest.approx(0.5 * 5 / 4)
    assert far.item() == pytest.approx(0.5 * (3 + 0 + 5) / 4)


def test_landmarks_become_numbers_of_the_image() -> None:
    marks = torch.full((1, 68, 2), 31.5)
    marks[0, 0], marks[0, 1] = torch.tensor([0.0, 63.0]), torch.tensor([-4.0, 90.0])
    found = coordinates(marks, 64)
    assert found.shape == (1, 136)
    assert found[0, :6].tolist() == [-1, 1, -1, 1, 0, 0]


def test_every_loss_is_that_of_the_card_and_moves_its_own_networks(build, view, monkeypatch) -> None:
    monkeypatch.setattr(gcgan, "gradient_penalty", lambda critic, real, fake: torch.tensor(0.3))
    monkeypatch.setattr(torch, "randperm", lambda n, device: torch.arange(n).roll(1))
    method = build("gcgan", shift=0.0, n_critic=1)
    for part in (method.encoder, method.embedder, method.decoder):
        part.eval()  # so that no statistics move between the updates
    batch = view.batch("take-pair", 4, 0, flip=False)
    sent, moved = {}, {}
    optimizers = method.optimizers(method.phases()[0])

    def descend(name, loss):
        sent[name] = loss.detach()
        free = {key: p for key, p in method.named_parameters() if p.requires_grad}
        gradients = torch.autograd.grad(loss, list(free.values()), allow_unused=True)
        named = zip(free, gradients, strict=True)
        moved[name] = {key.split(".")[0] for key, g in named if g is not None and g.abs().sum() > 0}

    method.descend = descend
    method.training_step(method.phases()[0], batch, 0)
    landmarks, target, label = coordinates(batch.target.landmarks, 64), batch.target.image, batch.target.label
    with torch.no_grad():
        embedding = method.embedder(landmarks)
        code, maps = method.encoder(batch.source.image)
        made = method.decoder(code, embedding, maps)
        score, logits, features = method.critic(made)
        distance = (made - target).abs().sum() / 4
        likeness = (features - method.critic(target)[2]).abs().sum() / 4
        classes = F.cross_entropy(logits, label)
    torch.testing.assert_close(sent["encoder"], distance + 1e-3 * likeness + 1e-4 * classes)
    torch.testing.assert_close(sent["decoder"], distance - 1e-3 * score.mean() + 1e-4 * classes)
    torch.testing.assert_close(summed(made, target), distance)
    right, real_logits, _ = method.critic(target)
    gap, known = right.mean() - score.mean(), F.cross_entropy(real_logits, label)
    back = (method.embedder.decoder(embedding) - landmarks).square().sum() / 4
    near, far = contrast(embedding, embedding.roll(1, 0), label == label.roll(1), 5.0)
    torch.testing.assert_close(sent["critic"], -gap + 10 * 0.3 + 1e-4 * known)
    assert near + far > 0.5
    torch.testing.assert_close(sent["embedder"], 1e-4 * (near + far + back))
    assert moved["critic"] == {"critic"}
    assert moved["embedder"] == {"embedder"}
    assert moved["encoder"] == {"encoder"}
    assert moved["decoder"] == {"decoder", "embedder"}
    held = {
        name: {id(p) for group in o.param_groups for p in group["params"]} for name, o in optimizers.items()
    }
    assert held["encoder"] == {id(p) for p in method.encoder.parameters()}
    assert held["decoder"] > {id(p) for p in method.embedder.encoder.parameters()}
    assert not held["decoder"] & {id(p) for p in method.embedder.decoder.parameters()}


def test_the_rate_falls_by_two_percent_in_20_000_batches_and_stops() -> None:
    assert slow_decay(0, 0.0) == 1
    assert slow_decay(20_000, 0.5) == pytest.approx(0.98)
    assert slow_decay(10**7, 0.9) == pytest.approx(1 / 6)


def test_the_embedding_separates_labels_after_training_the_embedder_alone(build, view) -> None:
    """The card: same-label pairs lie nearer than others, and these near or beyond the margin of 5."""
    method = build("gcgan")
    labels = torch.from_numpy(view.labels)
    every = view.images(np.arange(view.n_images))
    landmarks = coordinates(every.landmarks, 64)
    method.bind({"embedder": torch.optim.Adam(method.embedder.parameters(), 1e-3)}, torch.Tensor.backward)
    torch.manual_seed(0)
    for _ in range(300):
        method._embedder_step(landmarks, labels)
    method.eval()
    with torch.no_grad():
        apart = torch.cdist(*[method.embedder(landmarks)] * 2).square()
    same = labels[:, None] == labels[None]
    assert apart[same].mean() < 0.2 * apart[~same].mean()
    assert apart[~same].mean() > 4.5


def test_it_works_at_64_px_whatever_the_size_of_the_images(build, view) -> None:
    method = build("gcgan", problem=Problem(32, EXPRESSIONS, (), 0)).eval()
    assert (method.size, method.problem.size) == (32, 64)
    requests = label_requests(view, np.array([0]), [5, 7])
    small = replace(
        requests,
        source=F.interpolate(requests.source, size=32, mode="area"),
        target_landmarks=(requests.target_landmarks + 0.5) / 2 - 0.5,
    )
    assert method.answer(small).shape == (2, 3, 32, 32)
    logits = method.classify(small.source)
    assert logits.shape == (2, len(EXPRESSIONS))


def test_landmarks_steer_the_output_and_must_be_known(build, requests) -> None:
    method = build("gcgan")  # in training mode, whose norms make small differences large
    other = replace(requests, target_landmarks=requests.target_landmarks.flip(0))
    assert (method.synthesize(requests) - method.synthesize(other)).abs().max() > 1e-3
    unknown = replace(requests, target_landmarks=torch.full_like(requests.target_landmarks, torch.nan))
    with pytest.raises(MethodError, match="landmarks are not known"):
        method.synthesize(unknown)


@pytest.mark.learn
def test_gcgan_learns() -> None:
    """Few steps leave its images blurred, hardly nearer to the target than the source is."""
    found = learned("gcgan", steps={"adversarial": 280})
    assert found.cosine > 0.45
    assert found.psnr > found.mean_psnr + 4
