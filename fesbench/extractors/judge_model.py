"""The judge: a small expression classifier, trained on a protocol's training people alone, that scores ECS.

A judge enters a score's signature by its recipe, not by its weights: training it again on another machine
gives another file of the same recipe. Its accuracy on real held-out pictures stands beside every ECS.
"""

from __future__ import annotations

import hashlib
import json
import os
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from importlib import resources
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fesbench.errors import DataError, WeightsError
from fesbench.extractors.base import Extractor, check_inputs, fixed_chunks

RECIPE_VERSION = "cnn64-1"
INPUT = 64
_BATCH = 64
_WIDTHS = (32, 64, 128, 128)


class JudgeNetwork(nn.Module):
    """Four strided blocks of convolution, BatchNorm and ReLU, and a linear layer on the 4 x 4 map."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        first, second, third, fourth = _WIDTHS
        self.blocks = nn.Sequential(
            *_block(1, first, kernel=5, stride=2),
            *_block(first, second, kernel=3, stride=2),
            *_block(second, second, kernel=3, stride=1),
            *_block(second, third, kernel=3, stride=2),
            *_block(third, fourth, kernel=3, stride=2),
        )
        self.dropout = nn.Dropout(0.4)
        self.head = nn.Linear(fourth * (INPUT // 16) ** 2, classes)

    def forward(self, gray: Tensor) -> Tensor:
        """Logits (N, classes) of standardized gray pictures (N, 1, 64, 64)."""
        return self.head(self.dropout(self.blocks(gray).flatten(1)))


def _block(inputs: int, outputs: int, *, kernel: int, stride: int) -> tuple[nn.Module, ...]:
    convolution = nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2, bias=False)
    return convolution, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)


@dataclass(frozen=True)
class JudgeFacts:
    """What a judge's file says about it.

    Attributes:
        recipe: version of network, input and training recipe.
        classes: expression names in the order of its outputs.
        accuracy: on real held-out pictures of people it never saw, in [0, 1]; None when none were given.
        held_out: how many those were.
        data_fingerprint: of the store that it was trained on, or "".
        trained_on: number of training pictures.
        seed: of the training.
    """

    recipe: str
    classes: tuple[str, ...]
    accuracy: float | None
    held_out: int
    data_fingerprint: str
    trained_on: int
    seed: int


def to_input(images: np.ndarray) -> Tensor:
    """Gray, antialiased to 64 px, each picture standardized.

    Args:
        images: uint8 (N, H, W, 3) RGB of any size.

    Returns:
        float32 (N, 1, 64, 64), mean 0 and deviation 1 each (0 everywhere for a flat picture).
    """
    rgb = torch.from_numpy(np.ascontiguousarray(images)).float()
    # Rec. 601 luma, as in every gray conversion of the field.
    gray = (rgb @ torch.tensor([0.299, 0.587, 0.114]))[:, None]
    if gray.shape[-2:] != (INPUT, INPUT):
        gray = F.interpolate(gray, (INPUT, INPUT), mode="bilinear", antialias=True, align_corners=False)
    return standardize(gray)


def standardize(gray: Tensor) -> Tensor:
    """Mean 0 and deviation 1 for each picture of (N, 1, H, W)."""
    centered = gray - gray.mean(dim=(1, 2, 3), keepdim=True)
    return centered / (centered.square().mean(dim=(1, 2, 3), keepdim=True).sqrt() + 1e-3)


class FrozenNetwork(Extractor):
    """A `JudgeNetwork` that reads a face once and its mirror image once; every image is valid."""

    needs_landmarks = False

    def __init__(self, network: JudgeNetwork, classes: tuple[str, ...]) -> None:
        self.network = network.eval()
        self.classes = classes

    @property
    def weights_sha256(self) -> str:
        """Digest of the parameters, hex."""
        return weights_digest(self.network)

    @property
    def cache_key(self) -> str:
        """Two networks of one recipe answer differently, so the cache tells their weights apart."""
        return f"{self.signature}:{self.weights_sha256[:16]}"

    @staticmethod
    @abstractmethod
    def answers(logits: Tensor) -> Tensor:
        """From logits (N, classes) to what the features are."""

    def extract(
        self, images: np.ndarray, landmarks: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Answers float32 (N, classes), the mean of picture and mirror image; every image is valid."""
        check_inputs(self.name, images, None, needs_landmarks=False)
        values = np.zeros((len(images), len(self.classes)), dtype=np.float32)
        with torch.inference_mode():
            for rows, chunk in fixed_chunks(images, _BATCH):
                gray = to_input(chunk)
                # A mirrored face shows the same expression: one answer for both, and a better one.
                both = self.answers(self.network(torch.cat([gray, gray.flip(-1)])))
                values[rows] = both.view(2, len(chunk), -1).mean(dim=0).numpy()[: rows.stop - rows.start]
        return values, np.ones(len(images), dtype=bool)


class Judge(FrozenNetwork):
    """An expression classifier; its features are the probabilities of its classes."""

    name = "judge"

    def __init__(self, network: JudgeNetwork, facts: JudgeFacts) -> None:
        super().__init__(network, facts.classes)
        self.facts = facts

    @property
    def label_names(self) -> tuple[str, ...]:
        """Expression names in the order of the columns of its features."""
        return self.facts.classes

    @property
    def accuracy(self) -> float | None:
        """Share of real held-out pictures that it names rightly."""
        return self.facts.accuracy

    @property
    def signature(self) -> str:
        """Recipe and classes; not the weights."""
        return f"judge:{self.facts.recipe}:{','.join(self.facts.classes)}"

    @staticmethod
    def answers(logits: Tensor) -> Tensor:
        """Probabilities of the classes."""
        return torch.softmax(logits, dim=1)

    def predict(self, images: np.ndarray) -> np.ndarray:
        """The most probable class of each image, as an index into :attr:`label_names`: int64 (N,)."""
        return self.extract(images)[0].argmax(axis=1)

    def measured_on(self, images: np.ndarray, labels: np.ndarray) -> Judge:
        """The same judge with its accuracy on these real pictures, of people it never saw, in its facts.

        Args:
            images: uint8 (N, H, W, 3).
            labels: int (N,), indices into :attr:`label_names`.
        """
        if len(images) == 0 or len(images) != len(labels):
            raise DataError(
                f"a judge is measured on labelled images; got {len(images)} and {len(labels)} labels"
            )
        accuracy = float((self.predict(images) == np.asarray(labels)).mean())
        return Judge(self.network, replace(self.facts, accuracy=accuracy, held_out=len(images)))

    def save(self, path: Path) -> None:
        """One safetensors file with the facts in its header, written atomically."""
        write_network(path, self.network, {"judge": json.dumps(asdict(self.facts), sort_keys=True)})

    @classmethod
    def load(cls, path: Path) -> Judge:
        """Read and check a judge's file.

        Raises:
            WeightsError: absent, not safetensors (pickles are never opened), incomplete, of another recipe.
        """
        path = Path(path)
        try:
            raw = path.read_bytes()
        except OSError as error:
            raise WeightsError(f"judge {path} cannot be read ({error.strerror}); train it again") from None
        return _parse(raw, str(path))


def shipped_judge(protocol_id: str) -> Judge | None:
    """The judge that comes inside the package for a protocol, or None.

    Args:
        protocol_id: as in the protocol file, with or without version and overrides ("avatars", "avatars@1").

    Raises:
        WeightsError: the packaged file is damaged.
    """
    name = f"judge-{protocol_id.partition('@')[0]}.safetensors"
    found = resources.files("fesbench.extractors").joinpath(name)
    return _parse(found.read_bytes(), name) if found.is_file() else None


def _parse(raw: bytes, origin: str) -> Judge:
    state, metadata = read_safetensors(raw, f"judge {origin}")
    facts = _facts(metadata, origin)
    return Judge(filled_network(state, len(facts.classes), f"judge {origin}", RECIPE_VERSION), facts)


def filled_network(state: Mapping[str, Tensor], classes: int, what: str, recipe: str) -> JudgeNetwork:
    """A network with the tensors of a file.

    Raises:
        WeightsError: other tensors than the recipe's, or values that are not finite; ``what`` names the file.
    """
    network = JudgeNetwork(classes)
    expected = {name: (tensor.shape, tensor.dtype) for name, tensor in network.state_dict().items()}
    if {name: (tensor.shape, tensor.dtype) for name, tensor in state.items()} != expected:
        raise WeightsError(f"{what} holds other tensors than recipe {recipe}; train it again")
    if not all(torch.isfinite(tensor).all() for tensor in state.values()):
        raise WeightsError(f"{what} holds values that are not finite; train it again")
    network.load_state_dict(state)
    return network


def weights_digest(network: nn.Module) -> str:
    """Sha256 of a network's parameters and buffers, hex."""
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.contiguous().cpu().numpy().tobytes())
    return digest.hexdigest()


def write_network(path: Path, network: nn.Module, metadata: dict[str, str]) -> None:
    """A network as one safetensors file with its facts in the header, written atomically."""
    from safetensors.torch import save

    path = Path(path)
    state = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        temporary.write_bytes(save(state, metadata=metadata))
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def read_safetensors(raw: bytes, what: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata of a safetensors file.

    Args:
        raw: the file's bytes.
        what: names the file in the error, such as "judge /tmp/judge.safetensors".

    Raises:
        WeightsError: the bytes are no whole safetensors file.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        state = load(raw)
    except SafetensorError as error:
        raise WeightsError(
            f"{what} is no whole safetensors file ({error}); pickles are never opened; train it again"
        ) from None
    # What safetensors accepts begins with the length of a JSON header.
    header = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])
    return state, dict(header.get("__metadata__", {}))


def _facts(metadata: Mapping[str, str], origin: str) -> JudgeFacts:
    try:
        read = json.loads(metadata["judge"])
        facts = JudgeFacts(**{**read, "classes": tuple(read["classes"])})
    except (KeyError, TypeError, ValueError):
        raise WeightsError(f"judge {origin} lacks its facts; train it again") from None
    if facts.recipe != RECIPE_VERSION:
        raise WeightsError(
            f"judge {origin} is of recipe {facts.recipe}, this version uses {RECIPE_VERSION}; train it again"
        )
    classes_ok = len(facts.classes) >= 2 and all(isinstance(name, str) and name for name in facts.classes)
    accuracy_ok = facts.accuracy is None or (
        isinstance(facts.accuracy, float | int) and 0.0 <= facts.accuracy <= 1.0
    )
    if not (classes_ok and accuracy_ok):
        raise WeightsError(f"judge {origin} states impossible facts; train it again")
    return facts
