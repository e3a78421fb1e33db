"""What an extractor is: a network that turns images into features, and the name of all it depends on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fesbench.errors import DataError
from fesbench.extractors.settings import Settings


@dataclass(frozen=True)
class Features:
    """What an extractor says about N images.

    Attributes:
        values: float32 (N, D); rows of invalid images are zero.
        valid: bool (N,); False where there was no usable face. Such images are counted, never dropped.
        signature: the extractor's signature at the time.
    """

    values: np.ndarray
    valid: np.ndarray
    signature: str

    def __len__(self) -> int:
        return len(self.values)


class Network(ABC):
    """What has weights, a name for all it depends on, and may be missing here.

    fesbench's own are found by their source: a class that states ``name`` and ``summary`` is in the registry,
    and is made with a `WeightsManager`.

    Attributes:
        name: the name in the registry and in protocols.
        summary: what it is, in a line.
        weights: names of its weights in the table of weights.
        pairs: whether it compares two images; stated where the name is.
        clips: whether it reads clips; stated there too.
        settings: every number that moves its values.
        smallest: shorter side in pixels below which it cannot read an image.
    """

    name: str
    summary: ClassVar[str] = ""
    weights: ClassVar[tuple[str, ...]] = ()
    pairs: ClassVar[bool] = False
    clips: ClassVar[bool] = False
    settings: Settings = Settings()
    smallest: int = 1

    @property
    @abstractmethod
    def signature(self) -> str:
        """``name:sha256[:8] of each weights file:settings``; equal ones are comparable."""

    @property
    def cache_key(self) -> str:
        """What the feature cache files values under: the signature, and what it does not spell out."""
        return self.signature

    def available(self) -> str | None:
        """None when it can run here; else the reason and the one command that fixes it."""
        return None

    def close(self) -> None:
        """Give back processes and memory; it may be used again afterwards."""
        return


class Extractor(Network):
    """Images to features, independent of how images are batched.

    Attributes:
        needs_landmarks: whether the crop comes from the image's known landmarks.
        classes: what its columns are, where each has a name: expressions of a judge, "AU12" of a regressor of
            action units; empty otherwise.
    """

    needs_landmarks: bool = False
    classes: tuple[str, ...] = ()

    @abstractmethod
    def extract(
        self, images: np.ndarray, landmarks: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Features of images.

        Args:
            images: uint8 (N, H, W, 3), RGB.
            landmarks: float (N, 68, 2) pixels in iBUG order (NaN = unknown); required where needs_landmarks.

        Returns:
            values float32 (N, D), zero where invalid, and valid bool (N,).

        Raises:
            DataError: images or landmarks of a wrong shape or type.
            WeightsError: the weights are missing or not the ones that were asked for.
        """

    def features(self, images: np.ndarray, landmarks: np.ndarray | None = None) -> Features:
        """:meth:`extract` with the signature attached."""
        values, valid = self.extract(images, landmarks)
        return Features(values, valid, self.signature)


class DerivedExtractor(Extractor):
    """A function of another extractor's features: the cache asks that one, and no network runs twice."""

    def __init__(self, base: Extractor) -> None:
        self.base, self.settings = base, base.settings
        self.needs_landmarks = base.needs_landmarks

    @abstractmethod
    def derive(self, values: np.ndarray) -> np.ndarray:
        """The base's features (N, D) -> values float32 (N, E), a row at a time: equal for any N."""

    def available(self) -> str | None:
        """None, or what the base lacks."""
        return self.base.available()

    def extract(
        self, images: np.ndarray, landmarks: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Derived from the base's features."""
        values, valid = self.base.extract(images, landmarks)
        return self.derive(values), valid

    def close(self) -> None:
        """Give back what the base holds."""
        self.base.close()


class PairExtractor(Network):
    """Two images to one number, independent of how pairs are batched and of which image comes first."""

    @abstractmethod
    def compare(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """One value a pair.

        Args:
            first: uint8 (P, H, W, 3), RGB.
            second: the same shape.

        Returns:
            float32 (P,).

        Raises:
            DataError: images of a wrong shape, type or size.
            WeightsError: the weights are missing or not the ones that were asked for.
        """


class ClipExtractor(Network):
    """Whole clips to features, independent of how clips are batched.

    Attributes:
        shortest: frames below which it cannot read a clip.
    """

    shortest: ClassVar[int] = 2

    @abstractmethod
    def extract(self, clips: np.ndarray) -> np.ndarray:
        """Features of clips.

        Args:
            clips: uint8 (N, T, H, W, 3), RGB.

        Returns:
            float32 (N, D).

        Raises:
            DataError: clips of a wrong shape or type, or too short ones.
            WeightsError: the weights are missing or not the ones that were asked for.
        """


def check_clips(network: ClipExtractor, clips: np.ndarray) -> None:
    """Refuse clips that no network can read.

    Raises:
        DataError: not uint8 (N, T, H, W, 3), or fewer frames than it needs.
    """
    if clips.dtype != np.uint8 or clips.ndim != 5 or clips.shape[-1] != 3:
        raise DataError(
            f"extractor '{network.name}' takes uint8 RGB clips (N, T, H, W, 3), "
            f"not {clips.dtype} {clips.shape}"
        )
    if clips.shape[1] < network.shortest:
        raise DataError(
            f"extractor '{network.name}' reads clips of {network.shortest} frames or more, "
            f"not of {clips.shape[1]}"
        )


def check_inputs(
    name: str, images: np.ndarray, landmarks: np.ndarray | None, *, needs_landmarks: bool
) -> None:
    """Refuse what no extractor can read.

    Raises:
        DataError: not uint8 (N, H, W, 3), or landmarks that are missing or do not fit.
    """
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] != 3:
        raise DataError(
            f"extractor '{name}' takes uint8 RGB images (N, H, W, 3), not {images.dtype} {images.shape}"
        )
    if not needs_landmarks:
        return
    if landmarks is None:
        raise DataError(f"extractor '{name}' crops by known landmarks: give landmarks of shape (N, 68, 2)")
    if landmarks.shape != (len(images), 68, 2):
        raise DataError(
            f"extractor '{name}' takes landmarks of shape ({len(images)}, 68, 2), not {landmarks.shape}"
        )


def check_pairs(network: PairExtractor, first: np.ndarray, second: np.ndarray) -> None:
    """Refuse pairs that no network can read.

    Raises:
        DataError: not two equal stacks uint8 (P, H, W, 3), or images below the smallest size.
    """
    check_inputs(network.name, first, None, needs_landmarks=False)
    if second.shape != first.shape or second.dtype != first.dtype:
        raise DataError(
            f"extractor '{network.name}' compares equal stacks, not {first.shape} with "
            f"{second.dtype} {second.shape}"
        )
    check_size(network, first)


def check_size(network: Network, images: np.ndarray) -> None:
    """Refuse images that are too small for a network.

    Raises:
        DataError: says the smallest size.
    """
    if min(images.shape[1:3]) < network.smallest:
        raise DataError(
            f"extractor '{network.name}' reads images of {network.smallest} px or more, "
            f"not of {images.shape[2]}x{images.shape[1]}"
        )


def fixed_chunks(array: np.ndarray, size: int) -> Iterator[tuple[slice, np.ndarray]]:
    """Slices of exactly ``size`` rows, the last one padded with its own last row.

    A convolution may round differently for another batch size; a constant one keeps an image's features
    the same whatever it was asked together with.

    Yields:
        the slice of rows, and the (size, ...) chunk, whose rows beyond the slice are padding.
    """
    for start in range(0, len(array), size):
        rows = slice(start, min(start + size, len(array)))
        chunk = np.ascontiguousarray(array[rows])
        if len(chunk) < size:
            chunk = np.concatenate([chunk, np.repeat(chunk[-1:], size - len(chunk), axis=0)])
        yield rows, chunk
