"""StarGAN, US-GAN and GANimation come to fit eight faces from unpaired images."""

from __future__ import annotations

import pytest

from tests.baselines.learning import learned


@pytest.mark.learn
@pytest.mark.parametrize(
    ("name", "cosine", "psnr"), [("ganimation", 0.2, 23.5), ("usgan", 0.1, 24.0), ("stargan", 0.15, 20.5)]
)
def test_the_family_learns(name: str, cosine: float, psnr: float) -> None:
    """A label that is ignored has cosine 0, and a wrong one a negative; the label's mean face has 20.0 dB."""
    start = {"start": 400} if name == "stargan" else {}
    found = learned(name, steps={**start, "adversarial": 400})
    assert found.mean_psnr < 20.1
    assert found.cosine > cosine
    assert found.psnr > psnr
