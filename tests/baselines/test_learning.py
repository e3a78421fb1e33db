"""The rows of the first releases learn the tiny set; every other method's test stands in its own file."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fesbench.methods.card import Phase
from tests.baselines.learning import learned


def test_a_copy_and_a_target_are_the_ends_of_the_scale() -> None:
    found = learned("copy", steps={})
    assert found.cosine == pytest.approx(0.0, abs=1e-6)
    assert found.ratio == pytest.approx(0.0, abs=1e-6)
    assert found.psnr == pytest.approx(found.copy_psnr)
    assert found.mean_psnr < found.copy_psnr


def test_a_styled_set_holds_neutral_faces_and_asks_from_them() -> None:
    found, photos = learned("copy", steps={}, styles=("portrait",)), learned("copy", steps={})
    assert found.view.examples(Phase("", "unlabelled", 1, smoke_steps=1, paper_steps=1)) == 2 * 8
    assert found.view.n_images == photos.view.n_images
    drawn = found.view.batch("unlabelled", 2 * 8, 0, flip=False).image
    nearest = torch.cdist(found.source[:, 0].flatten(1), drawn.flatten(1)).amin(1)
    assert not nearest.any(), "what is asked from is what stands in the set"
    seen = torch.cat([drawn, found.view.images(np.arange(found.view.n_images)).image])
    targets = torch.cdist(found.target.flatten(0, 1).flatten(1), seen.flatten(1))
    assert targets.min() > 0.5, "no target does"
    assert found.copy_psnr < 30


def test_masked_regression_learns() -> None:
    found = learned("mr", steps={"ridge": 1})
    assert found.cosine > 0.7
    assert found.psnr > found.copy_psnr + 3


@pytest.mark.learn
def test_pix2pix_learns() -> None:
    found = learned("pix2pix", steps={"adversarial": 1500})
    assert found.cosine > 0.35
    assert found.psnr > found.copy_psnr
