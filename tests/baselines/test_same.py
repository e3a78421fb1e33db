"""``same`` borders: against the formula written out, and the transpose as the exact adjoint."""

from __future__ import annotations

import pytest
import torch

from fesbench.baselines._same import SameConv, SameTransposed


@pytest.mark.parametrize(
    ("side", "stride", "out"), [(28, 2, 14), (14, 2, 7), (7, 2, 4), (6, 1, 6), (7, 1, 7)]
)
def test_a_convolution_has_tensorflow_s_places(side: int, stride: int, out: int) -> None:
    layer, x = SameConv(1, 1, stride=stride, bias=False), torch.randn(1, 1, side, side)
    found = layer(x)[0, 0]
    assert found.shape == (out, out)
    first = max((out - 1) * stride + 5 - side, 0) // 2
    for y, z in ((0, 0), (out - 1, out - 1), (0, out // 2)):
        expected = 0.0
        for dy in range(5):
            for dz in range(5):
                row, column = y * stride + dy - first, z * stride + dz - first
                if 0 <= row < side and 0 <= column < side:
                    expected += float(layer.weight.detach()[0, 0, dy, dz] * x[0, 0, row, column])
        assert float(found.detach()[y, z]) == pytest.approx(expected, abs=1e-5)


def test_the_odd_border_pixel_is_right_and_below() -> None:
    layer = SameConv(1, 1, bias=False)
    torch.nn.init.zeros_(layer.weight)
    layer.weight.data[0, 0, 1, 1] = 1.0
    x = torch.arange(36.0).view(1, 1, 6, 6)
    assert torch.equal(layer(x), x[:, :, ::2, ::2])


@pytest.mark.parametrize(("side", "stride"), [(14, 2), (28, 2), (7, 1)])
def test_the_transpose_is_the_adjoint(side: int, stride: int) -> None:
    layer, other = SameConv(2, 3, stride=stride, bias=False), SameTransposed(3, 2, stride=stride, bias=False)
    other.weight.data = layer.weight.data
    x = torch.randn(1, 2, side, side)
    y = torch.randn(1, 3, side // stride, side // stride)
    torch.testing.assert_close((layer(x) * y).sum(), (other(y) * x).sum(), atol=1e-4, rtol=1e-4)
