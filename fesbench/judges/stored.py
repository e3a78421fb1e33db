"""What every network that fesbench trains itself has: facts, a digest, and a way to a file and back."""

from __future__ import annotations

import copy
import hashlib
import json
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, Self, TypeVar

import torch
from torch import Tensor, nn

from fesbench.errors import WeightsError


@dataclass(frozen=True)
class Facts(ABC):
    """What the file of a trained network says about it.

    Attributes:
        recipe: version of network, input and training recipe.
        held_out: how many real images of subjects it never saw it was measured on.
        data_fingerprint: of the store that it was trained on, or "".
        trained_on: number of training images.
        seed: of the training.
    """

    recipe: str
    held_out: int
    data_fingerprint: str
    trained_on: int
    seed: int

    @property
    @abstractmethod
    def outputs(self) -> tuple[object, ...]:
        """What its outputs stand for, in their order."""

    @property
    @abstractmethod
    def possible(self) -> bool:
        """Whether its values can be true, whatever the file they come from."""


@dataclass(frozen=True)
class ClassFacts(Facts):
    """Of a classifier of expressions.

    Attributes:
        classes: expression names in the order of its outputs.
    """

    classes: tuple[str, ...]

    @property
    def outputs(self) -> tuple[str, ...]:
        """Expression names in the order of its outputs."""
        return self.classes

    @property
    def possible(self) -> bool:
        """Two or more names."""
        return (
            isinstance(self.classes, tuple)
            and len(self.classes) >= 2
            and all(isinstance(name, str) and name for name in self.classes)
        )


FactsType = TypeVar("FactsType", bound=Facts)


class StoredNetwork(ABC, Generic[FactsType]):
    """A network with its facts.

    Attributes:
        name: of its kind, in signatures and in files.
        title: what it is called in messages.
        recipe: the version of the recipe that its files must state.
        facts_type: of its facts.
    """

    name: str
    network: nn.Module
    title: ClassVar[str]
    recipe: ClassVar[str]
    facts_type: ClassVar[type[Facts]]

    def __init__(self, network: nn.Module, facts: FactsType) -> None:
        self.network = network.eval()
        self.facts = facts

    @classmethod
    @abstractmethod
    def empty(cls, facts: FactsType) -> nn.Module:
        """The network of such facts, with any weights."""

    @property
    def signature(self) -> str:
        """Recipe and outputs; not the weights."""
        return f"{self.name}:{self.facts.recipe}:{','.join(str(output) for output in self.facts.outputs)}"

    @property
    def weights_sha256(self) -> str:
        """Digest of the parameters, hex."""
        return weights_digest(self.network)

    @property
    def cache_key(self) -> str:
        """Two networks of one recipe answer differently, so the cache tells their weights apart."""
        return f"{self.signature}:{self.weights_sha256[:16]}"

    @classmethod
    def states(cls, recipe: str) -> bool:
        """Whether a file of this recipe can be one of its networks."""
        return recipe == cls.recipe

    def halved(self) -> Self:
        """The same network with weights that half precision holds exactly."""
        network = copy.deepcopy(self.network)
        network.load_state_dict(_to(network.state_dict(), torch.float16))
        return type(self)(network, self.facts)

    def save(self, path: Path, *, half: bool = False) -> None:
        """One safetensors file with the facts in its header, written atomically.

        Args:
            path: of the file.
            half: in half precision, by which what is `halved` loses nothing.
        """
        from safetensors.torch import save

        path = Path(path)
        state = _to(self.network.state_dict(), torch.float16 if half else torch.float32)
        metadata = {self.name: json.dumps(asdict(self.facts), sort_keys=True)}
        temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            temporary.write_bytes(save(state, metadata=metadata))
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read and check a file.

        Raises:
            WeightsError: absent, not safetensors (pickles are never opened), incomplete, of another recipe.
        """
        try:
            raw = Path(path).read_bytes()
        except OSError as error:
            raise WeightsError(
                f"{cls.title} {path} cannot be read ({error.strerror}); train it again"
            ) from None
        return cls.parse(raw, str(path))

    @classmethod
    def parse(cls, raw: bytes, origin: str) -> Self:
        """The network of a file's bytes; ``origin`` names the file in errors.

        Raises:
            WeightsError: as `load`.
        """
        what = f"{cls.title} {origin}"
        state, metadata = _read_safetensors(raw, what)
        try:
            read = json.loads(metadata[cls.name])
            make: Callable[..., Any] = cls.facts_type
            facts = make(**{key: tuple(v) if isinstance(v, list) else v for key, v in read.items()})
        except (KeyError, TypeError, ValueError, AttributeError):
            raise WeightsError(f"{what} lacks its facts; train it again") from None
        if not cls.states(facts.recipe):
            raise WeightsError(
                f"{what} is of recipe {facts.recipe}, this version uses {cls.recipe}; train it again"
            )
        if not facts.possible:
            raise WeightsError(f"{what} states impossible facts; train it again")
        state = _to(state, torch.float32)
        network = cls.empty(facts)
        expected = {name: (tensor.shape, tensor.dtype) for name, tensor in network.state_dict().items()}
        if {name: (tensor.shape, tensor.dtype) for name, tensor in state.items()} != expected:
            raise WeightsError(f"{what} holds other tensors than recipe {cls.recipe}; train it again")
        if not all(torch.isfinite(tensor).all() for tensor in state.values()):
            raise WeightsError(f"{what} holds values that are not finite; train it again")
        network.load_state_dict(state)
        return cls(network, facts)


def _to(state: Mapping[str, Tensor], precision: torch.dtype) -> dict[str, Tensor]:
    """Parameters in single or half precision; counters as they are."""
    single = (torch.float16, torch.float32)
    return {
        name: (tensor.to(precision) if tensor.dtype in single else tensor).contiguous()
        for name, tensor in state.items()
    }


def weights_digest(network: nn.Module) -> str:
    """Sha256 of a network's parameters and buffers, hex."""
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.contiguous().cpu().numpy().tobytes())
    return digest.hexdigest()


def _read_safetensors(raw: bytes, what: str) -> tuple[dict[str, Tensor], dict[str, str]]:
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
