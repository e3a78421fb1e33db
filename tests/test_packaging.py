"""What is installed is what lies in the folders, and the documents name what is there."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from pkgutil import resolve_name

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


def _documents() -> Iterator[tuple[str, str]]:
    for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")):
        yield path.name, path.read_text()


def test_documents_name_only_files_that_are_there() -> None:
    pattern = re.compile(r"\b(?:fesbench|tests|baselines|reports|protocols|docs)/[\w@+./-]*\w")
    named = {(document, path) for document, text in _documents() for path in pattern.findall(text)}
    assert len(named) > 20
    assert [pair for pair in sorted(named) if not (ROOT / pair[1]).exists()] == []


def test_documents_name_only_modules_that_are_there() -> None:
    groups = {f"fesbench.{kind}" for kind in ("methods", "metrics", "extractors", "datasets", "tasks")}
    pattern = re.compile(r"\bfesbench(?:\.(?!zip\b)[a-z_]+)+\b")
    named = {(document, name) for document, text in _documents() for name in pattern.findall(text)}
    missing = []
    for document, name in sorted(named):
        try:
            resolve_name(name)
        except (ImportError, AttributeError):
            missing.append((document, name))
    assert [pair for pair in missing if pair[1] not in groups] == []


def test_the_map_names_every_layer() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = {name.strip() for layer in contracts[0]["layers"] for name in layer.split("|")}
    house = (ROOT / "CONTRIBUTING.md").read_text().split("```")[3]
    assert [name for name in sorted(layers) if not re.search(rf"\b{name}(/|\.py)", house)] == []
