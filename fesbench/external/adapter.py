"""The adapter file of an exported network: what each of its inputs is, and how images are laid out."""

from __future__ import annotations

import math
import tomllib
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from fesbench.errors import DataError, UsageError
from fesbench.protocol.tasks import task_kind
from fesbench.vocabulary import ACTION_UNITS, canonical_expression

What = Literal[
    "source", "target_label_one_hot", "target_label_index", "target_action_units", "target_landmarks", "noise"
]

_SHAPE = {"target_action_units", "target_landmarks"}
LABEL_INPUTS = {"target_label_one_hot", "target_label_index"}


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Pixels(_Model):
    """How an image is laid out."""

    channels: Literal["rgb", "bgr", "gray"] = "rgb"
    range: tuple[float, float] = (-1.0, 1.0)
    """What black and white are."""
    layout: Literal["nchw", "nhwc"] = "nchw"

    @field_validator("range")
    @classmethod
    def _differ(cls, value: tuple[float, float]) -> tuple[float, float]:
        if not -math.inf < value[0] < value[1] < math.inf:
            raise ValueError("must be two rising numbers, black and white")
        return value


class Adapter(_Model):
    """What a network's inputs are; the adapter file."""

    inputs: dict[str, What] = Field(min_length=1)
    """The network's name of an input -> what it is given."""
    output: str = ""
    """Name of the output that is the image; the only one, if not said."""
    size: int | None = Field(None, ge=16, le=2048)
    """Side of its images in pixels; the protocol's, if not said."""
    labels: tuple[str, ...] = ()
    """Expressions in the network's order."""
    action_units: tuple[int, ...] = ()
    """Action units in the network's order."""
    source_pixels: Pixels = Pixels()
    output_pixels: Pixels = Pixels()

    @field_validator("labels")
    @classmethod
    def _known_labels(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        try:
            found = tuple(canonical_expression(name) for name in value)
        except DataError as error:
            raise ValueError(str(error)) from None
        if len(set(found)) != len(found):
            raise ValueError("names an expression twice")
        return found

    @field_validator("action_units")
    @classmethod
    def _known_units(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        odd = [unit for unit in value if unit not in ACTION_UNITS]
        if odd or len(set(value)) != len(value):
            raise ValueError(f"must be different units among {', '.join(map(str, ACTION_UNITS))}")
        return value

    def answers(self, task: str, given: str, *, with_source: bool) -> bool:
        """Whether the inputs carry what a task asks for."""
        takes = set(self.inputs.values())
        if with_source != ("source" in takes):
            return False
        if given != "label":
            return f"target_{given}" in takes
        if task_kind(task).by_unit:
            return "target_action_units" in takes
        if not task_kind(task).one_label:
            return bool(takes & _SHAPE)
        return bool(takes & (LABEL_INPUTS | _SHAPE))


def load_adapter(path: Path) -> Adapter:
    """Read an adapter file.

    Raises:
        UsageError: it is missing, no TOML, or a key of it is wrong; names the first.
    """
    try:
        return Adapter.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise UsageError(
            f"{path} does not exist; it says what the network's inputs are (docs/external.md), or give "
            "another one with --adapter"
        ) from None
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise UsageError(f"{path}: '{key}': {first['msg'].removeprefix('Value error, ')}") from None
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{path} cannot be read as TOML ({error})") from None
