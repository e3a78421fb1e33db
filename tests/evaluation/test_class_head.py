from __future__ import annotations

import numpy as np
import pytest
import torch

from fesbench.baselines.acgan import ACGAN
from fesbench.baselines.mr import MR
from fesbench.baselines.stargan import StarGAN
from fesbench.baselines.usgan import USGAN
from fesbench.errors import MethodError
from fesbench.evaluation.class_head import own_discriminator
from fesbench.methods.base import Method
from fesbench.methods.card import Problem
from fesbench.methods.training_set import image_tensor

LABELS = ("neutral", "happiness", "anger")


def problem(seed: int = 0) -> Problem:
    return Problem(size=64, labels=LABELS, action_units=(), seed=seed)


def made(kind: type[Method], seed: int = 0) -> Method:
    return kind(problem(seed), kind.presets["tiny"])


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (20, 64, 64, 3), dtype=np.uint8)


@pytest.mark.parametrize("kind", [StarGAN, USGAN])
def test_it_is_the_critics_class_head(kind: type[Method], images: np.ndarray) -> None:
    method = made(kind)
    found = own_discriminator(method, "title")
    assert found is not None
    values, valid = found.extract(images)
    assert method.native is not None
    with torch.inference_mode():
        logits = method.critic(method.native.images(image_tensor(images)))[1]  # type: ignore[operator]
    assert values == pytest.approx(torch.softmax(logits, 1).numpy(), abs=1e-5)
    assert valid.all()
    assert found.classes == LABELS
    assert np.array_equal(found.extract(images[3:4])[0][0], values[3])


def test_behind_the_classes_stands_the_probability_of_being_real(images: np.ndarray) -> None:
    method = made(ACGAN)
    found = own_discriminator(method, "title")
    assert found is not None
    assert found.classes == (*LABELS, "(real)")
    values, _ = found.extract(images)
    method.eval()
    with torch.inference_mode():
        score, logits = method.critic(image_tensor(images))  # type: ignore[operator]
    assert values[:, :3] == pytest.approx(torch.softmax(logits, 1).numpy(), abs=1e-5)
    assert values[:, 3] == pytest.approx(score.sigmoid().numpy(), abs=1e-5)


def test_two_trainings_share_a_signature_but_no_cache(images: np.ndarray) -> None:
    one, two = (own_discriminator(made(StarGAN, seed), "stargan-tiny-smoke") for seed in (0, 1))
    assert one is not None
    assert two is not None
    assert one.signature == two.signature == "discriminator:stargan-tiny-smoke:neutral,happiness,anger"
    assert one.cache_key != two.cache_key
    assert one.cache_key.startswith(one.signature)


def test_a_method_without_a_class_head_has_none() -> None:
    assert own_discriminator(made(MR), "mr") is None


def test_logits_of_another_shape_or_that_are_not_finite_are_refused(images: np.ndarray) -> None:
    class Odd(StarGAN):
        def class_logits(self, images: torch.Tensor) -> torch.Tensor:
            return torch.zeros(len(images), 2)

    class Broken(StarGAN):
        def class_logits(self, images: torch.Tensor) -> torch.Tensor:
            return torch.full((len(images), 3), torch.nan)

    for kind, words in ((Odd, r"class_logits gave \(16, 2\), not \(16, 3\)"), (Broken, "not finite")):
        found = own_discriminator(made(kind), "odd")
        assert found is not None
        with pytest.raises(MethodError, match=words):
            found.extract(images)
