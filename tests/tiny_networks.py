"""A tiny network that is exported in every way; its outputs are whole gray levels, so rounding moves none."""

from __future__ import annotations

import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

LABELS = ("happiness", "anger", "contempt", "disgust", "fear", "sadness", "surprise")


class Tinter(nn.Module):
    """Mixes the source's channels and adds a shade for the label: (N, 3, S, S), (N, 7) -> (N, 3, S, S)."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        draw = torch.Generator().manual_seed(seed)
        self.mix = nn.Parameter(torch.rand(3, 3, generator=draw) / 4)
        self.shade = nn.Parameter(torch.rand(len(LABELS), 3, generator=draw) - 0.5)

    def forward(self, image: Tensor, label: Tensor) -> Tensor:
        mixed = torch.einsum("nchw,dc->ndhw", image, self.mix) + (label @ self.shade)[:, :, None, None]
        return ((torch.tanh(mixed) * 127.5 + 127.5).round() - 127.5) / 127.5


def save_pt2(network: nn.Module, inputs: tuple[Tensor, ...], path: Path, *, dynamic: bool = True) -> Path:
    """``torch.export.save``, with a batch size that may vary or the inputs' own."""
    sides = tuple({0: torch.export.Dim("n")} for _ in inputs) if dynamic else None
    torch.export.save(torch.export.export(network.eval(), inputs, dynamic_shapes=sides), path)
    return path


def save_onnx(network: nn.Module, inputs: tuple[Tensor, ...], names: tuple[str, ...], path: Path) -> Path:
    """``torch.onnx.export`` with a batch size that may vary."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network.eval(),
            inputs,
            str(path),
            input_names=list(names),
            output_names=["made"],
            dynamic_shapes=tuple({0: torch.export.Dim("n")} for _ in inputs),
            verbose=False,
        )
    return path


def tinter_inputs(size: int) -> tuple[Tensor, Tensor]:
    """Inputs to export with."""
    return torch.zeros(2, 3, size, size), torch.zeros(2, len(LABELS))
