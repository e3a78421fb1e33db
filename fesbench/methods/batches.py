"""What methods receive: batches of training images, pairs or clips, and batches of requests.

Images are float32 (N, 3, H, W) in [-1, 1]; a request batch never holds the target image, nor anything made
from it that the task does not grant.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Self

import torch
from torch import Tensor

from fesbench.vocabulary import LANDMARK_MIRROR


class _Batch:
    """Moves and cuts every tensor field alike."""

    def to(self, device: torch.device | str) -> Self:
        """The same batch with its tensors on ``device``."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=True))

    def __getitem__(self, rows: slice | Tensor) -> Self:
        return self._each(lambda tensor: tensor[rows])

    def _each(self, change) -> Self:  # type: ignore[no-untyped-def]
        values = {f.name: getattr(self, f.name) for f in fields(self)}  # type: ignore[arg-type]
        return replace(  # type: ignore[type-var]
            self,
            **{
                name: change(value)
                for name, value in values.items()
                if isinstance(value, Tensor | ImageBatch)
            },
        )


@dataclass(frozen=True)
class ImageBatch(_Batch):
    """Labelled training images.

    Attributes:
        image: float32 (B, 3, H, W) in [-1, 1].
        label: int64 (B,), index into ``problem.labels``; -1 = unlabelled.
        action_units: float32 (B, A) in [0, 1], the columns of ``problem.action_units``; NaN = not coded.
        landmarks: float32 (B, 68, 2) x, y in pixels; NaN = unknown.
        identity: int64 (B,), a code that is the same for all images of one subject.
        intensity: float32 (B,) in [0, 1], of the expression; 0 for neutral.
        frame: int64 (B,), the frame's number in its sequence; 0 for single images.
    """

    image: Tensor
    label: Tensor
    action_units: Tensor
    landmarks: Tensor
    identity: Tensor
    intensity: Tensor
    frame: Tensor

    def __len__(self) -> int:
        return len(self.image)

    def flip(self, mask: Tensor) -> ImageBatch:
        """Mirror the images where ``mask`` (bool (B,)) is true, and their landmarks with them."""
        mirrored = _mirrored(self.landmarks, self.image.shape[-1])
        return replace(
            self,
            image=torch.where(mask[:, None, None, None], self.image.flip(-1), self.image),
            landmarks=torch.where(mask[:, None, None], mirrored, self.landmarks),
        )


@dataclass(frozen=True)
class ClipBatch(_Batch):
    """Clips from neutral to the peak, T frames at equal steps of time.

    Attributes:
        video: float32 (B, T, 3, H, W) in [-1, 1].
        label: int64 (B,), the expression at the peak, index into ``problem.labels``.
        action_units: float32 (B, T, A) in [0, 1]; NaN = not coded.
        landmarks: float32 (B, T, 68, 2) x, y in pixels; NaN = unknown.
        identity: int64 (B,), a code that is the same for all images of one subject.
        intensity: float32 (B, T) in [0, 1]; 0 for neutral.
        frame: int64 (B, T), the frame's number in its sequence.
    """

    video: Tensor
    label: Tensor
    action_units: Tensor
    landmarks: Tensor
    identity: Tensor
    intensity: Tensor
    frame: Tensor

    def __len__(self) -> int:
        return len(self.video)

    def flip(self, mask: Tensor) -> ClipBatch:
        """Mirror every frame of the clips where ``mask`` (bool (B,)) is true, and the landmarks with them."""
        apart = mask[:, None, None, None]
        mirrored = _mirrored(self.landmarks, self.video.shape[-1])
        return replace(
            self,
            video=torch.where(apart[..., None], self.video.flip(-1), self.video),
            landmarks=torch.where(apart, mirrored, self.landmarks),
        )


@dataclass(frozen=True)
class PairBatch(_Batch):
    """A ``source`` and a ``target`` image, row by row; what joins them is told by the phase's ``data``."""

    source: ImageBatch
    target: ImageBatch

    def __len__(self) -> int:
        return len(self.source)

    def to(self, device: torch.device | str) -> PairBatch:
        """The same pairs with their tensors on ``device``."""
        return PairBatch(self.source.to(device), self.target.to(device))

    def flip(self, mask: Tensor) -> PairBatch:
        """Mirror both images of the pairs where ``mask`` (bool (B,)) is true."""
        return PairBatch(self.source.flip(mask), self.target.flip(mask))


@dataclass(frozen=True)
class RequestBatch(_Batch):
    """What a method is asked to make.

    Attributes:
        source: float32 (N, 3, H, W) in [-1, 1].
        source_label: int64 (N,), index into ``problem.labels``; -1 = unknown.
        source_landmarks: float32 (N, 68, 2) pixels.
        source_action_units: float32 (N, A); NaN = not coded.
        target_label: int64 (N,), -1 where the task does not grant a label.
        second_label: int64 (N,), the other half of a compound expression; -1 = none.
        target_action_units: float32 (N, A): the label's mean vector, scaled by ``intensity`` from the
            source's; NaN where the training data has no action units.
        target_landmarks: float32 (N, 68, 2): under ``transfer`` the driver's; else the source's plus
            ``intensity`` times the label's mean displacement.
        intensity: float32 (N,) in [0, 1].
        noise_seed: int64 (N,): all the randomness that a method may use.
        given: "label", "landmarks", "action_units" or "driver".
        task: kind of the task.
        length: frames T of the clips that are asked for, which ``synthesize`` returns as (N, T, 3, H, W);
            1 = images.
        clip_intensity: float32 (N, T), of clips: the label's mean development over the training subjects,
            scaled by ``intensity``; NaN where no label is granted. None for images.
        clip_landmarks: float32 (N, T, 68, 2) pixels, of clips: the source's plus the label's mean motion,
            scaled by ``intensity`` (evenly to ``target_landmarks`` for a label that no training clip shows);
            where a driver is granted, plus the driver's own motion, scaled to the source's face. None for
            images.
        driver: float32 (N, T, 3, H, W) in [-1, 1], another subject's clip, where one is granted; else None.
        driver_landmarks: float32 (N, T, 68, 2) pixels, the driver's; None where there is no driver.
    """

    source: Tensor
    source_label: Tensor
    source_landmarks: Tensor
    source_action_units: Tensor
    target_label: Tensor
    second_label: Tensor
    target_action_units: Tensor
    target_landmarks: Tensor
    intensity: Tensor
    noise_seed: Tensor
    given: str = "label"
    task: str = "expression"
    length: int = 1
    clip_intensity: Tensor | None = None
    clip_landmarks: Tensor | None = None
    driver: Tensor | None = None
    driver_landmarks: Tensor | None = None

    def __len__(self) -> int:
        return len(self.source)


def _mirrored(landmarks: Tensor, width: int) -> Tensor:
    """The landmarks (..., 68, 2) of the mirrored faces, in images of that width."""
    turned = landmarks[..., LANDMARK_MIRROR, :] * landmarks.new_tensor([-1.0, 1.0])
    return turned + turned.new_tensor([width - 1.0, 0.0])
