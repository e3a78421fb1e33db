"""Losses that two or more methods share."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F


def gradient_penalty(critic: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor) -> Tensor:
    """WGAN-GP: mean over samples of (|gradient| - 1)^2 on the lines between real and fake images.

    The gradient is that of the sum over a sample's realism map, its norm goes over all input values of the
    sample (Gulrajani et al. 2017, as in StarGAN's code). It is computed in float32 under autocast too: in
    bfloat16 a gradient's norm is too coarse to be held at 1.

    Args:
        critic: image -> realism map.
        real, fake: (N, 3, H, W); no gradient flows into either.
    """
    with torch.autocast(real.device.type, enabled=False):
        share = torch.rand(len(real), 1, 1, 1, device=real.device)
        between = torch.lerp(fake.detach().to(real), real.detach(), share).requires_grad_(True)
        (gradient,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
        return (gradient.flatten(1).norm(dim=1) - 1).square().mean()


def total_variation(images: Tensor) -> Tensor:
    """Sum over the batch (N, C, H, W) of absolute differences between neighbors, as in GANimation's code."""
    return images.diff(dim=-1).abs().sum() + images.diff(dim=-2).abs().sum()


def said(score: Tensor, real: bool) -> Tensor:
    """Mean binary cross-entropy of realism logits of any shape with one answer for all of them."""
    return F.binary_cross_entropy_with_logits(score, torch.full_like(score, float(real)))
