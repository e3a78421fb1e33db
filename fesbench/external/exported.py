"""Ask an exported network for a protocol's images.

The network gets what a method inside fesbench gets, and nothing of the target image.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from fesbench.errors import DataError, UsageError
from fesbench.external.adapter import LABEL_INPUTS, Adapter, What
from fesbench.external.programs import Program

if TYPE_CHECKING:
    import pandas as pd

    from fesbench.data.store.aligned import AlignedStore
    from fesbench.methods.batches import RequestBatch
    from fesbench.methods.card import Problem
    from fesbench.protocol.protocol import Protocol

BATCH = 16
RESIZE = "bilinear-antialias"
_TOLERANCE = 1e-3
_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)


class ExportedNetwork:
    """A program with its adapter, fitted to images of one size.

    Args:
        program: the network.
        adapter: what its inputs are.
        size: side of the protocol's images.

    Raises:
        UsageError: program and adapter do not fit; says which input and key.
    """

    def __init__(self, program: Program, adapter: Adapter, size: int) -> None:
        self.program, self.adapter, self.protocol_size = program, adapter, size
        self.size = adapter.size or size
        if set(adapter.inputs) != set(program.shapes):
            raise UsageError(
                f"{program.path} takes {', '.join(program.shapes)}; the adapter's [inputs] name "
                f"{', '.join(adapter.inputs)}"
            )
        self.output = adapter.output or program.outputs[0]
        if self.output not in program.outputs or (not adapter.output and len(program.outputs) > 1):
            raise UsageError(
                f"{program.path} gives {', '.join(program.outputs)}; name one as 'output' in the adapter"
            )
        takes = set(adapter.inputs.values())
        if takes & LABEL_INPUTS and not adapter.labels:
            raise UsageError(f"the adapter of {program.path} feeds a label; give the order as 'labels'")
        if "target_action_units" in takes and not adapter.action_units:
            raise UsageError(f"the adapter of {program.path} feeds action units; give 'action_units'")
        firsts = {shape[0] for shape in program.shapes.values() if shape}
        fixed = {side for side in firsts if side is not None}
        if len(fixed) > 1:
            raise UsageError(f"{program.path} has inputs of different batch sizes; export it with one")
        self.batch = fixed.pop() if fixed else BATCH

    def card(self) -> dict[str, Any]:
        """What a record keeps: file, digest, adapter and the filter that fits the sizes."""
        program = self.program
        card: dict[str, Any] = {"program": program.path.name, "sha256": program.sha256}
        card["runtime"] = program.runtime
        card["adapter"] = self.adapter.model_dump(mode="json")
        if self.size != self.protocol_size:
            card["resize"] = f"{self.protocol_size}-{self.size}-{self.protocol_size}:{RESIZE}"
        return card

    def answer(self, batch: RequestBatch, problem: Problem) -> np.ndarray:
        """Images for some requests.

        Args:
            batch: at most ``self.batch`` requests.
            problem: names the batch's labels and action units.

        Returns:
            uint8 (N, S, S, 3), S the protocol's size.

        Raises:
            DataError: an output of the wrong shape, not finite, or outside of its range.
        """
        count = len(batch)
        feeds = {name: self._feed(name, what, batch, problem) for name, what in self.adapter.inputs.items()}
        # Always the same batch size: a fixed one may be declared, and rounding may depend on it.
        padded = {
            name: np.concatenate([value, np.repeat(value[-1:], self.batch - count, axis=0)])
            for name, value in feeds.items()
        }
        found = self.program.run({name: self._fitted(name, value) for name, value in padded.items()})
        return self._pictures(found[self.output][:count], count)

    def _feed(self, name: str, what: What, batch: RequestBatch, problem: Problem) -> np.ndarray:
        if what == "source":
            return self._source(batch)
        if what in LABEL_INPUTS:
            index = self._labels(batch, problem)
            return np.eye(len(self.adapter.labels), dtype=np.float32)[index] if "hot" in what else index
        if what == "target_action_units":
            return self._units(batch, problem)
        if what == "target_landmarks":
            scale = self.size / self.protocol_size
            return (batch.target_landmarks.numpy() + 0.5) * scale - 0.5
        shape = self.program.shapes[name][1:]
        if None in shape:
            raise UsageError(f"{self.program.path}: noise input '{name}' must have a fixed shape: {shape}")
        draws = [np.random.default_rng(int(seed)).standard_normal(shape) for seed in batch.noise_seed]  # type: ignore[arg-type]
        return np.stack(draws).astype(np.float32)

    def _source(self, batch: RequestBatch) -> np.ndarray:
        pixels = self.adapter.source_pixels
        images = (resized(batch.source.numpy(), self.size) + 1) / 2
        if pixels.channels == "gray":
            images = np.einsum("nchw,c->nhw", images, _LUMA)[:, None]
        elif pixels.channels == "bgr":
            images = images[:, ::-1]
        low, high = pixels.range
        images = (images * (high - low) + low).astype(np.float32)
        return images.transpose(0, 2, 3, 1) if pixels.layout == "nhwc" else images

    def _labels(self, batch: RequestBatch, problem: Problem) -> np.ndarray:
        names = [problem.labels[code] for code in batch.target_label.tolist()]
        lacking = sorted(set(names) - set(self.adapter.labels))
        if lacking:
            raise UsageError(
                f"the protocol asks for {', '.join(lacking)}, which the adapter's 'labels' do not name; "
                "a task is answered whole or not at all"
            )
        return np.array([self.adapter.labels.index(name) for name in names], dtype=np.int64)

    def _units(self, batch: RequestBatch, problem: Problem) -> np.ndarray:
        lacking = [unit for unit in self.adapter.action_units if unit not in problem.action_units]
        if lacking:
            raise UsageError(
                f"the protocol's training data codes no AU{lacking[0]}, which the network takes; "
                f"it codes {', '.join(map(str, problem.action_units)) or 'none'}"
            )
        columns = [problem.action_units.index(unit) for unit in self.adapter.action_units]
        return batch.target_action_units.numpy()[:, columns]

    def _fitted(self, name: str, value: np.ndarray) -> np.ndarray:
        """An input of the declared shape and type."""
        shape = self.program.shapes[name]
        if len(shape) == 1 and value.ndim == 2 and value.shape[1] == 1:
            value = value[:, 0]
        fits = len(shape) == value.ndim and all(
            a in (None, b) for a, b in zip(shape[1:], value.shape[1:], strict=True)
        )
        if not fits:
            shown = [side if side is not None else "n" for side in shape]
            raise UsageError(
                f"{self.program.path}: input '{name}' has shape {shown}, the adapter gives "
                f"{['n', *value.shape[1:]]}; check 'size', 'labels', 'action_units' and the pixels' layout"
            )
        return np.ascontiguousarray(value, dtype=self.program.dtypes[name])

    def _pictures(self, output: np.ndarray, count: int) -> np.ndarray:
        pixels, who = self.adapter.output_pixels, f"{self.program.path}: output '{self.output}'"
        planes = 1 if pixels.channels == "gray" else 3
        sides = (planes, self.size, self.size)
        wanted = (count, *sides) if pixels.layout == "nchw" else (count, *sides[1:], planes)
        if output.shape != wanted:
            raise DataError(f"{who} has shape {output.shape}, expected {wanted}; check the adapter")
        images = output.astype(np.float32)
        images = images.transpose(0, 3, 1, 2) if pixels.layout == "nhwc" else images
        low, high = pixels.range
        scaled = (images - low) / (high - low)
        if not np.isfinite(scaled).all():
            raise DataError(f"{who} holds values that are not finite")
        if scaled.min() < -_TOLERANCE or scaled.max() > 1 + _TOLERANCE:
            raise DataError(
                f"{who} reaches from {images.min():g} to {images.max():g}, outside of output_pixels.range "
                f"[{low:g}, {high:g}]"
            )
        scaled = scaled.repeat(3, axis=1) if planes == 1 else scaled
        scaled = scaled[:, ::-1] if pixels.channels == "bgr" else scaled
        fitted = resized(scaled, self.protocol_size)
        return (fitted * 255).round().clip(0, 255).astype(np.uint8).transpose(0, 2, 3, 1)


def exported_images(
    network: ExportedNetwork, protocol: Protocol, store: AlignedStore, requests: pd.DataFrame
) -> Iterator[tuple[str, np.ndarray]]:
    """A network's images for those of a protocol's tasks that its inputs can answer.

    Args:
        network: with its adapter.
        protocol: of one split; a k-fold form is asked fold by fold, since the means that stand for a label
            are those of the training subjects.
        store: of the protocol.
        requests: its request table.

    Yields:
        request, image uint8 (S, S, 3).
    """
    from fesbench.methods.conditions import request_batch
    from fesbench.methods.training_set import TrainingSet
    from fesbench.protocol.split import build_split
    from fesbench.protocol.tasks import task_kind
    from fesbench.protocol.training_rows import labelled_rows, problem_of

    split = build_split(protocol, store)
    problem = problem_of(protocol, store, split, seed=0)
    rows = labelled_rows(protocol, store, split, "train")
    training = TrainingSet(store, rows, problem, 0)
    for (task, given, _), group in requests.groupby(["task", "given", "domain"], sort=False):
        with_source = bool((group["source"] >= 0).all())
        if task_kind(task).outputs != "image" or not network.adapter.answers(
            task, given, with_source=with_source
        ):
            continue
        for start in range(0, len(group), network.batch):
            part = group.iloc[start : start + network.batch]
            made = network.answer(request_batch(part, store, training, problem), problem)
            yield from zip(part["request"], made, strict=True)


def resized(images: np.ndarray, size: int) -> np.ndarray:
    """Float (N, C, H, W) at another size; the very array where it has that size."""
    if images.shape[-2:] == (size, size):
        return images
    import torch

    tensor = torch.from_numpy(np.ascontiguousarray(images))
    found = torch.nn.functional.interpolate(tensor, (size, size), mode="bilinear", antialias=True)
    return found.numpy()
