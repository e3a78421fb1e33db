"""The rows of the first releases learn the tiny set; every other method's test stands in its own file."""

from __future__ import annotations

import pytest

from tests.baselines.learning import learned


def test_a_copy_and_a_target_are_the_ends_of_the_scale() -> None:
    found = learned("copy", steps={})
    assert found.cosine == pytest.approx(0.0, abs=1e-6)
    assert found.ratio == pytest.approx(0.0, abs=1e-6)
    assert found.psnr == pytest.approx(found.copy_psnr)
    assert found.mean_psnr < found.copy_psnr


def test_masked_regression_learns() -> None:
    found = learned("mr", steps={"ridge": 1})
    assert found.cosine > 0.7
    assert found.psnr > found.copy_psnr + 3


@pytest.mark.learn
def test_pix2pix_learns() -> None:
    found = learned("pix2pix", steps={"adversarial": 1500})
    assert found.cosine > 0.35
    assert found.psnr > found.copy_psnr
