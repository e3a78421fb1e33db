"""Hashes of what a stage of a cell reads, so that a changed input is noticed and nothing runs twice."""

from __future__ import annotations

import ast
import hashlib
import importlib
from collections.abc import Iterator
from pathlib import Path

import fesbench

_BASELINES = "fesbench.baselines"


def hash_parts(*parts: object) -> str:
    """Sha256 (hex, 16 characters) of the parts' text, for a stage's inputs."""
    return hashlib.sha256("\0".join(str(part) for part in parts).encode()).hexdigest()[:16]


def engine_hash(*modules: str) -> str:
    """Hash of modules of the engine by dotted name, a package with everything in it: in a checkout they
    change without a new version number.

    Raises:
        LookupError: a name that is no module: a hash of nothing would never notice a change.
    """
    root = Path(fesbench.__file__).parent
    paths = []
    for module in modules:
        place = root.joinpath(*module.split(".")[1:])
        found = sorted(place.rglob("*.py")) if place.is_dir() else [place.with_suffix(".py")]
        if not found or not found[0].is_file() or module.split(".")[0] != fesbench.__name__:
            raise LookupError(f"'{module}' is no module of fesbench whose source can be hashed")
        paths += found
    return _hash_files(paths)


def method_hash(path: Path) -> str:
    """Hash of a method's file and of every file of ``fesbench.baselines`` that it imports, itself or through
    others: another method's file is none of them, so that a new method trains nothing anew.
    """
    folder = Path(next(iter(importlib.import_module(_BASELINES).__path__)))
    closure, waiting = {path.resolve()}, [path]
    while waiting:
        for name in _baselines_imported(waiting.pop()):
            found = (folder / f"{name}.py").resolve()
            if found not in closure and found.is_file():
                closure.add(found)
                waiting.append(found)
    return _hash_files([path, *sorted(closure - {path.resolve()})])


def _baselines_imported(path: Path) -> Iterator[str]:
    """Names of modules of ``fesbench.baselines`` that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            # relative imports exist beside fesbench's own methods alone
            names = [".".join(filter(None, (_BASELINES, node.module, a.name))) for a in node.names]
        else:
            continue
        prefix = f"{_BASELINES}."
        yield from (name[len(prefix) :].split(".")[0] for name in names if name.startswith(prefix))


def _hash_files(paths: list[Path]) -> str:
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()[:16]
