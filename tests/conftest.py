"""Shared fixtures: a home of its own for every test, one thread, and skips that say why."""

from __future__ import annotations

import os
import shutil
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from fesbench.weights.manager import WeightsManager
from tests.loopback import Server, serving

pytest_plugins = ["tests.evidence"]


def pytest_configure() -> None:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    import torch

    torch.set_num_threads(1)


@pytest.hookimpl(wrapper=True)
def pytest_collect_file() -> Generator[None, list[pytest.Collector], list[pytest.Collector]]:
    """Tests hold no examples: without this each of their files would be collected twice."""
    found = yield
    return [node for node in found if type(node) is pytest.Module]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    import torch

    browser = shutil.which("chromium") or shutil.which("google-chrome")
    for item in items:
        if "gpu" in item.keywords and not torch.cuda.is_available():
            item.add_marker(pytest.mark.skip(reason="no CUDA device on this machine"))
        if "browser" in item.keywords and browser is None:
            item.add_marker(pytest.mark.skip(reason="no chromium on PATH"))


@pytest.fixture(autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the caches of whoever runs it."""
    home: Path = tmp_path_factory.mktemp("home")
    for name in ("HOME", "FESBENCH_HOME", "DEEPFACE_HOME", "TORCH_HOME", "HF_HOME", "MPLCONFIGDIR"):
        monkeypatch.setenv(name, str(home))


@pytest.fixture
def manager(tmp_path: Path) -> WeightsManager:
    return WeightsManager(tmp_path / "home")


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as running:
        yield running
