"""Keras' and TensorFlow's ``same`` borders, which are not even for even sizes, for ported 5x5 networks."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


class SameConv(nn.Conv2d):
    """A convolution to ``ceil(side / stride)`` pixels; the odd border pixel is right and below."""

    def __init__(
        self, channels: int, out: int, kernel: int = 5, stride: int = 2, *, bias: bool = True
    ) -> None:
        super().__init__(channels, out, kernel, stride, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) -> (N, out, ceil(H / stride), ceil(W / stride))."""
        (top, bottom), (left, right) = (self._border(side) for side in x.shape[2:])
        return super().forward(F.pad(x, (left, right, top, bottom)))

    def _border(self, side: int) -> tuple[int, int]:
        kernel, stride = self.kernel_size[0], self.stride[0]
        total = max((-(-side // stride) - 1) * stride + kernel - side, 0)
        return total // 2, total - total // 2


class SameTransposed(nn.ConvTranspose2d):
    """The transpose of `SameConv` on an output of ``stride`` times the side."""

    def __init__(
        self, channels: int, out: int, kernel: int = 5, stride: int = 2, *, bias: bool = True
    ) -> None:
        super().__init__(channels, out, kernel, stride, bias=bias)

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """(N, channels, H, W) -> (N, out, stride * H, stride * W)."""
        found = super().forward(x, output_size)
        stride = self.stride[0]
        first = max(self.kernel_size[0] - stride, 0) // 2
        height, width = (side * stride for side in x.shape[2:])
        return found[:, :, first : first + height, first : first + width]
