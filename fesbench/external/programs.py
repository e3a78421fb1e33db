"""Networks in a file of their own: ONNX, and the exported programs of ``torch.export``.

Both hold a graph and its weights and no Python. A pickle (``.pt``, ``.pth``) is never opened.
"""

from __future__ import annotations

import hashlib
import io
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fesbench.errors import DataError, UsageError

Shape = tuple[int | None, ...]
"""A declared shape; None is a side that may vary."""

SUFFIXES = (".onnx", ".pt2")
_ORT_TYPES = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
}


class Program(ABC):
    """A network that was loaded from a file.

    Attributes:
        path: of the file.
        shapes: each input's declared shape, batch first.
        dtypes: each input's number type.
        outputs: names, in order.
        sha256: of the file, and of the file of weights beside an ONNX graph that has one.
        runtime: package and version that runs it.
    """

    def __init__(self, path: Path, sha256: str, runtime: str) -> None:
        self.path, self.sha256, self.runtime = path, sha256, runtime
        self.shapes: dict[str, Shape] = {}
        self.dtypes: dict[str, np.dtype[Any]] = {}
        self.outputs: tuple[str, ...] = ()

    @abstractmethod
    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Outputs by name.

        Raises:
            DataError: the network refuses the inputs.
        """


def open_program(path: Path) -> Program:
    """Load a network from an ``.onnx`` or ``.pt2`` file.

    Raises:
        UsageError: another kind of file, or onnxruntime is not installed.
        DataError: the file is missing, damaged, or holds what could run code.
    """
    if path.suffix not in SUFFIXES:
        raise UsageError(
            f"{path} is not opened: a pickle runs code when it is loaded; give the network as .onnx "
            "(torch.onnx.export) or .pt2 (torch.export.save), or a folder of its images"
        )
    if not path.is_file():
        raise UsageError(f"{path} does not exist")
    return OnnxProgram(path) if path.suffix == ".onnx" else TorchProgram(path)


class OnnxProgram(Program):
    """By onnxruntime, on the CPU, with its telemetry off."""

    def __init__(self, path: Path) -> None:
        beside = path.with_name(f"{path.name}.data")
        files = [path, beside] if beside.exists() else [path]
        runtime = _onnxruntime()
        digest = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
        super().__init__(path, digest, f"onnxruntime {runtime.__version__}")
        options = runtime.SessionOptions()
        options.log_severity_level = 4  # its errors are raised; its log would be a second voice
        options.use_deterministic_compute = True
        try:
            self._session = runtime.InferenceSession(
                str(path), sess_options=options, providers=["CPUExecutionProvider"]
            )
        # onnxruntime raises classes of its own, one for each way in which a file is damaged.
        except Exception as error:  # noqa: BLE001
            raise DataError(f"{path} cannot be loaded ({_first_line(error)}); export it again") from None
        for item in self._session.get_inputs():
            if item.type not in _ORT_TYPES:
                raise DataError(f"{path}: input '{item.name}' is {item.type}; only numbers can be given")
            self.shapes[item.name] = tuple(side if isinstance(side, int) else None for side in item.shape)
            self.dtypes[item.name] = np.dtype(_ORT_TYPES[item.type])
        self.outputs = tuple(item.name for item in self._session.get_outputs())

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """See `Program.run`."""
        try:
            found = self._session.run(list(self.outputs), dict(inputs))
        except Exception as error:  # noqa: BLE001 - see above
            raise DataError(f"{self.path} failed ({_first_line(error)}); check the adapter's sizes") from None
        return dict(zip(self.outputs, found, strict=True))


class TorchProgram(Program):
    """By torch, from an archive that was checked (`exported_archive`), on the CPU."""

    def __init__(self, path: Path) -> None:
        import torch

        from fesbench.external.archive import checked_archive

        content = path.read_bytes()
        super().__init__(path, hashlib.sha256(content).hexdigest(), f"torch {torch.__version__}")
        clean = checked_archive(content, str(path))
        try:
            program = torch.export.load(io.BytesIO(clean))
            # Guards are Python text of the file that torch would run; shapes are checked by the adapter.
            self._module = program.module(check_guards=False)
        # A graph that does not fit this torch fails in many classes.
        except Exception as error:  # noqa: BLE001
            raise DataError(
                f"{path} cannot be loaded by torch {torch.__version__} ({_first_line(error)}); "
                "export it again"
            ) from None
        values = {node.name: node.meta["val"] for node in program.graph.nodes if node.op == "placeholder"}
        for name in program.graph_signature.user_inputs:
            value = values.get(name)
            if not isinstance(value, torch.Tensor):
                raise DataError(f"{path}: input '{name}' is no tensor; export the network with tensors alone")
            self.shapes[name] = tuple(side if isinstance(side, int) else None for side in value.shape)
            try:
                self.dtypes[name] = torch.empty(0, dtype=value.dtype).numpy().dtype
            except TypeError:
                raise DataError(f"{path}: input '{name}' is {value.dtype}; export it in float32") from None
        self.outputs = tuple(str(name) for name in program.graph_signature.user_outputs)

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """See `Program.run`."""
        import torch

        tensors = [torch.from_numpy(np.ascontiguousarray(inputs[name])) for name in self.shapes]
        try:
            with torch.inference_mode():
                found = self._module(*tensors)
        except (RuntimeError, ValueError, TypeError, AssertionError) as error:
            raise DataError(f"{self.path} failed ({_first_line(error)}); check the adapter's sizes") from None
        made = [found] if isinstance(found, torch.Tensor) else list(found)
        # numpy has no bfloat16.
        kept = [value.float() if value.dtype == torch.bfloat16 else value for value in made]
        return {name: value.numpy() for name, value in zip(self.outputs, kept, strict=True)}


def _onnxruntime() -> Any:
    """The package, silent: it would write a device id below the home folder and report its use."""
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    try:
        import onnxruntime
    except ModuleNotFoundError:
        raise UsageError("an .onnx file needs onnxruntime: pip install 'fesbench[onnx]'") from None
    onnxruntime.disable_telemetry_events()
    return onnxruntime


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
