"""Adam for the parts of a method, as most papers train them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn


def adam(
    rate: float, betas: tuple[float, float], **parts: nn.Module | Sequence[nn.Module]
) -> dict[str, torch.optim.Optimizer]:
    """One Adam a name, for a network or for several that move together; what they share moves once.

    Args:
        rate: learning rate.
        betas: of both moments.
        parts: the networks of each.
    """
    return {
        name: torch.optim.Adam(
            nn.ModuleList([part] if isinstance(part, nn.Module) else part).parameters(), rate, betas
        )
        for name, part in parts.items()
    }
