"""A method's own image size and channels, where they are not the protocol's, and the way there and back."""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, TypeVar

from torch import Tensor
from torch.nn import functional as F

from fesbench.errors import MethodError

SMALLEST = 28
_CHANNELS = {"gray": 1, "color": 3}
_LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue (ITU-R BT.601)."""

Batch = TypeVar("Batch")


@dataclass(frozen=True)
class Native:
    """What a method works on.

    Attributes:
        size: side of the square images, pixels.
        channels: 1 (luma) or 3.
        filter: how the engine resizes, both ways; ``bicubic-aa`` is torch's antialiased bicubic filter, kept
            within the range of each plane, since it rings at edges.
    """

    size: int
    channels: int
    filter: str

    @classmethod
    def parse(cls, text: str) -> Native:
        """Read ``28-gray-bicubic-aa``, as cards and signatures have it.

        >>> Native.parse("28-gray-bicubic-aa")
        Native(size=28, channels=1, filter='bicubic-aa')

        Raises:
            MethodError: another form, an unknown filter, or fewer than 28 pixels.
        """
        size, _, rest = text.partition("-")
        channels, _, chosen = rest.partition("-")
        if not size.isdecimal() or channels not in _CHANNELS or chosen != "bicubic-aa":
            raise MethodError(f"native '{text}' is not of the form SIZE-gray|color-bicubic-aa")
        if int(size) < SMALLEST:
            raise MethodError(f"native '{text}': {size} pixels are fewer than {SMALLEST}")
        return cls(int(size), _CHANNELS[channels], chosen)

    def batch(self, batch: Batch) -> Batch:
        """A batch of any kind at the native size: images and planes resized, landmarks moved along."""
        changed: dict[str, Any] = {}
        values = {part.name: getattr(batch, part.name) for part in fields(batch)}  # type: ignore[arg-type]
        planes = {name: value for name, value in values.items() if _is_image(name, value)}
        for name, value in values.items():
            if is_dataclass(value):
                changed[name] = self.batch(value)
            elif name in planes:
                changed[name] = self.images(value)
            elif planes and name.endswith("landmarks") and value is not None:
                # pixel centers lie at whole numbers
                width = next(iter(planes.values())).shape[-1]
                changed[name] = (value + 0.5) * (self.size / width) - 0.5
        return replace(batch, **changed)  # type: ignore[type-var]

    def images(self, images: Tensor) -> Tensor:
        """Float (..., C, H, W) -> (..., C, size, size); three channels become luma for a gray method."""
        if self.channels == 1 and images.shape[-3] == 3:
            weights = images.new_tensor(_LUMA)[:, None, None]
            images = (images * weights).sum(dim=-3, keepdim=True)
        return _resize(images, self.size)

    def outputs(self, images: Tensor, size: int) -> Tensor:
        """What the method made, float (..., channels, native, native) -> (..., 3, size, size).

        Raises:
            MethodError: another shape than the native one.
        """
        wanted = (self.channels, self.size, self.size)
        if tuple(images.shape[-3:]) != wanted:
            made = tuple(images.shape[-3:])
            raise MethodError(f"the method made images of {made}; its native form is {wanted}")
        images = _resize(images, size)
        return images.expand(*images.shape[:-3], 3, size, size) if self.channels == 1 else images


def _resize(images: Tensor, size: int) -> Tensor:
    if images.shape[-2:] == (size, size):
        return images
    flat = images.reshape(-1, *images.shape[-3:])
    lowest, highest = flat.amin((-2, -1), keepdim=True), flat.amax((-2, -1), keepdim=True)
    flat = F.interpolate(flat, size=(size, size), mode="bicubic", antialias=True, align_corners=False)
    return flat.clamp(lowest, highest).reshape(*images.shape[:-2], size, size)


def _is_image(name: str, value: object) -> bool:
    """Images (N, C, H, W), clips (N, T, C, H, W) and drawn planes; landmarks of clips have four axes too."""
    if not isinstance(value, Tensor) or not value.is_floating_point():
        return False
    return value.ndim >= 4 and not name.endswith("landmarks")
