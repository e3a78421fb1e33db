"""Kinds of tasks: found by their files, refused by name, and compared with strings nowhere else."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from pydantic import ValidationError

import fesbench
from fesbench.errors import MethodError
from fesbench.methods.card import MethodCard
from fesbench.methods.task_kinds import TASKS
from fesbench.protocol.tasks import plain_kind, task_kind
from tests.stores import protocol


def test_no_other_file_compares_the_names_of_kinds() -> None:
    package = Path(fesbench.__file__).parent
    kinds = set(TASKS.declared)
    found = []
    for path in sorted({*package.rglob("*.py"), *package.parent.glob("baselines/*.py")}):
        if {"tasks", "avatars"} & set(path.relative_to(package.parent).parts):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Compare):
                words = {n.value for n in ast.walk(node) if isinstance(n, ast.Constant)}
                told = {n.slice.value for n in ast.walk(node) if _is_column(n)}  # type: ignore[attr-defined]
                found += [f"{path}:{node.lineno} {word}" for word in words & kinds - told]
    assert found == []


def _is_column(node: ast.AST) -> bool:
    return isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant)


def test_every_kind_has_a_place_and_words_of_its_own() -> None:
    kinds = [task_kind(name) for name in TASKS.declared]
    assert len({kind.place for kind in kinds}) == len({kind.words for kind in kinds}) == len(kinds) == 10
    assert plain_kind("of another package").words == ""


def test_a_misspelt_kind_is_told_the_nearest() -> None:
    with pytest.raises(ValidationError, match=r"task kind 'expresion'.*expression"):
        protocol(tasks=[{"kind": "expresion"}])


def test_a_card_controls_kinds_and_not_what_judges_them_anew() -> None:
    facts = {"id": "m", "title": "m", "citation": "", "year": 0, "needs": frozenset()}
    MethodCard(**facts, controls=frozenset({"sequence", "random"}))  # type: ignore[arg-type]
    for wrong in ("walk", "augmentation"):
        with pytest.raises(MethodError, match=wrong):
            MethodCard(**facts, controls=frozenset({wrong}))  # type: ignore[arg-type]
