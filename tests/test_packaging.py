"""What is installed is what lies in the folders."""

from __future__ import annotations

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_every_package_is_installed_and_no_other() -> None:
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    mapped = [ROOT / name for name in ("baselines", "protocols", "reports")]
    inside = [ROOT / "fesbench", *(path.parent for path in (ROOT / "fesbench").rglob("__init__.py"))]
    found = {".".join(path.relative_to(ROOT).parts) for path in inside}
    found |= {f"fesbench.{path.name}" for path in mapped}
    assert set(listed) == found
    assert len(listed) == len(set(listed))


def test_no_folder_of_modules_lacks_its_init() -> None:
    folders = {path.parent for path in (ROOT / "fesbench").rglob("*.py")}
    assert [str(folder) for folder in sorted(folders) if not (folder / "__init__.py").exists()] == []
