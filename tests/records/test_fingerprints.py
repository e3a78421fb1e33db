"""A change of what a stage reads is noticed; a change of what it does not read is not."""

from __future__ import annotations

from pathlib import Path

import pytest

import fesbench
import fesbench.baselines
from fesbench.records.fingerprints import engine_hash, method_hash


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "fesbench"
    (root / "metrics" / "identity").mkdir(parents=True)
    for name in ("training.py", "other.py", "metrics/__init__.py", "metrics/identity/acd.py"):
        (root / name).write_text(f"# {name}\n")
    monkeypatch.setattr(fesbench, "__file__", str(root / "__init__.py"))
    return root


@pytest.mark.parametrize("changed", ["training.py", "metrics/__init__.py", "metrics/identity/acd.py"])
def test_a_changed_module_changes_the_hash(engine: Path, changed: str) -> None:
    before = engine_hash("fesbench.training", "fesbench.metrics")
    (engine / "other.py").write_text("x = 1\n")
    assert engine_hash("fesbench.training", "fesbench.metrics") == before
    (engine / changed).write_text("x = 1\n")
    assert engine_hash("fesbench.training", "fesbench.metrics") != before


@pytest.mark.parametrize("name", ["fesbench.trainings", "fesbench.metrics.nothing", "training", "torch"])
def test_a_name_that_is_no_module_is_an_error(engine: Path, name: str) -> None:
    with pytest.raises(LookupError, match=name):
        engine_hash("fesbench.training", name)


def test_a_folder_without_source_is_an_error(engine: Path) -> None:
    (engine / "empty").mkdir()
    with pytest.raises(LookupError, match=r"fesbench\.empty"):
        engine_hash("fesbench.empty")


@pytest.fixture
def baselines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    files = {
        "base.py": "import torch\n",
        "shared.py": "from fesbench.baselines import base\n",
        "one.py": "import fesbench.baselines.shared\n",
        "two.py": "def build():\n    from fesbench.baselines.shared import block\n",
        "three.py": "from .shared import block\n",
        "alone.py": "import numpy\n",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(fesbench.baselines, "__path__", [str(tmp_path)])
    return tmp_path


@pytest.mark.parametrize("method", ["one.py", "two.py", "three.py"])
@pytest.mark.parametrize(
    ("changed", "noticed"), [("base.py", True), ("shared.py", True), ("alone.py", False), ("new.py", False)]
)
def test_a_method_is_its_import_closure(baselines: Path, method: str, changed: str, noticed: bool) -> None:
    before = method_hash(baselines / method)
    (baselines / changed).write_text((baselines / changed).read_text() + "x = 1\n" if noticed else "x = 1\n")
    assert (method_hash(baselines / method) != before) is noticed


def test_a_file_from_outside_counts_with_what_it_imports(baselines: Path, tmp_path: Path) -> None:
    outside = tmp_path / "elsewhere" / "mine.py"
    outside.parent.mkdir()
    outside.write_text("from fesbench.baselines.alone import x\n")
    before = method_hash(outside)
    (baselines / "shared.py").write_text("")
    assert method_hash(outside) == before
    (baselines / "alone.py").write_text("x = 2\n")
    assert method_hash(outside) != before


def test_methods_that_share_a_base_share_its_file() -> None:
    folder = Path(fesbench.baselines.__path__[0])
    hashes = {name: method_hash(folder / f"{name}.py") for name in ("usgan", "stargan", "mr", "copy_source")}
    assert len(set(hashes.values())) == 4
