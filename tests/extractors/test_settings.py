"""No number moves an extractor's values unseen: each is a field of its settings, and each field shows."""

from __future__ import annotations

import ast
import re
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

import fesbench.extractors
from fesbench.extractors.loading import major_version
from fesbench.extractors.registry import EXTRACTORS
from fesbench.extractors.settings import Settings
from fesbench.weights.manager import WeightsManager

FOLDER = Path(fesbench.extractors.__file__).parent
CLASSES: dict[str, Any] = {name: EXTRACTORS.get(name) for name in EXTRACTORS.declared}

RECIPES = {
    "aligned-1": "244a95f2",
    "chip-1": "1ea55dc3",
    "clean-1": "a6f92495",
    "clip-1": "0ab61552",
    "dino-1": "27f5d09d",
    "face-api-1": "c898ee0f",
    "facex-1": "acd27971",
    "fer-1": "72fb22f1",
    "hog-1": "ba572ec7",
    "hog-fine-1": "da740862",
    "level-1": "dab75058",
    "mesh-1": "ddd09533",
    "native-1": "2e3c4087",
    "piq-1": "9732d355",
    "tf1-1": "f40d2039",
    "v0.1-1": "97628773",
    "videogpt-1": "73a32b6d",
}
"""A recipe's digest. Never change one: a default that changes gives the recipe the next number."""

EVERYWHERE = {
    0: "no shift, first axis",
    1: "one step, last axis",
    2: "halves, and the length of [-1, 1]",
    3: "color channels, and the axis behind rows and columns",
    0.5: "half a pixel, half a side",
}
"""Numbers that may stand anywhere."""

SCOPES = {
    "cache": "files values and computes none",
    "feature_file": "keeps values and computes none",
    "dlib_resnet": "reads a file's format and the layers that it holds; another number reads no file",
    "cascade_crop.cascade_crop": "rounding tolerance of a whole number",
    "face_api._WIDTHS": "layers of the published file, which loads into no others",
    "face_api.ExpressionNet": "layers of the published file, which loads into no others",
    "face_api.network_state": "axes of the published file",
    "face_mesh.POINTS": "points of the published file, which loads into no others",
    "face_mesh._TRUNK": "layers of the published file, which loads into no others",
    "face_mesh.FaceMeshNetwork": "layers of the published file, which loads into no others",
    "face_mesh._Head": "layers of the published file, which loads into no others",
    "face_mesh.network_state": "names of the published file's layers",
    "facex._BLOCKS": "layers of the published file, which loads into no others",
    "facex.ExpressionMobileNet": "layers of the published file, which loads into no others",
    "facex._Block": "layers of the published file, which loads into no others",
    "tflite_file": "reads a file's format; another number reads no file",
    "fer.MiniXception": "layers of the published file, which loads into no others",
    "fer._WIDTHS": "layers of the published file, which loads into no others",
    "fer._state": "names of the published file's layers",
    "lightcnn.light_cnn_29_v2": "layers of the published file, which loads into no others",
    "qualiclip.image_tower": "layers of the published file, which loads into no others",
    "qualiclip._WIDTH": "layers of the published file, which loads into no others",
    "qualiclip.PROMPTS": "rows of the published file, checked on loading",
    "dinov2.PATCH": "layers of the published file, which loads into no others",
    "perceptual._CHANNELS": "layers of the published file, checked on loading",
    "perceptual.LPIPSDistance._compare": "names of the published file's layers",
    "i3d.CLASSES": "layers of the published file, which loads into no others",
    "i3d._BLOCKS": "layers of the published file, which loads into no others",
    "i3d.I3DNetwork": "layers of the published file, which loads into no others",
    "i3d.Unit": "of the published network",
    "inception.CLASSES": "rows of the published file; a name for the layer in the signature",
    "base.check_clips": "shapes that are refused",
    "base.check_inputs": "shapes that are refused",
    "crops.warp": "rounding tolerance of a whole number",
    "face_network._BATCH": "a row does not depend on its batch (tests of each network)",
    "full_image._BATCH": "a row does not depend on its batch (tests of each network)",
    "table.HELD": "bytes in memory; a file holds the same values",
    "perceptual._BATCH": "a pair does not depend on its batch (tests of each network)",
}
"""Where other numbers may stand: "module" or "module.name"."""

NAMES = {
    "dimension": "length of a feature, which the network gives",
    "smallest": "refuses, computes nothing",
    "shortest": "refuses, computes nothing",
}
"""Class attributes that hold numbers."""


def perturbed(value: Any) -> Any:
    """Another value of the same kind, near it."""
    if isinstance(value, tuple):
        return (*value[:-1], perturbed(value[-1]))
    return value + "x" if isinstance(value, str) else value + 1 if isinstance(value, int) else value + 1e-7


@pytest.mark.parametrize("name", list(CLASSES))
def test_every_field_moves_signature_and_cache_key(name: str, manager: WeightsManager) -> None:
    base = CLASSES[name](manager)
    own = base.settings
    assert own.recipe, "an extractor names its recipe"
    assert str(own) in base.signature.split(":")
    made = [
        CLASSES[name](manager, settings=replace(own, **{f.name: perturbed(getattr(own, f.name))}))
        for f in fields(own)
    ]
    assert len({one.signature for one in (base, *made)}) == 1 + len(fields(own))
    assert len({one.cache_key for one in (base, *made)}) == 1 + len(fields(own))
    assert not {"|", " "} & set("".join(one.signature for one in made))
    assert not made or len(base.signature) < 100


def test_a_default_does_not_change_under_its_recipes_name() -> None:
    kinds = {type(cls.settings) for cls in CLASSES.values() if cls.settings.recipe}
    assert {kind.recipe: kind().digest for kind in kinds} == RECIPES


def test_the_cache_key_holds_defaults_and_libraries(manager: WeightsManager, monkeypatch: Any) -> None:
    detector = CLASSES["dlib-hog"](manager)
    before = detector.cache_key
    assert major_version("torch").isdigit()
    assert major_version("no_such_module") == ""
    if detector.available() is None:
        assert re.fullmatch(r"dlib-hog:hog-1#[0-9a-f]{8}@dlib-\d+,torch-\d+", before)
    monkeypatch.setattr("fesbench.extractors.loading.major_version", lambda module: "99")
    assert detector.cache_key == before.partition("@")[0] + "@dlib-99,torch-99"
    monkeypatch.undo()
    monkeypatch.setattr(Settings, "digest", property(lambda self: "another"))
    assert (detector.signature, detector.cache_key != before) == ("dlib-hog:hog-1", True)


def test_every_field_is_read() -> None:
    read = {
        node.attr
        for path in FOLDER.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute)
    }
    for name, cls in CLASSES.items():
        assert {f.name for f in fields(cls.settings)} <= read, name


def test_no_number_stands_outside_settings() -> None:
    found, used = [], set()
    for path in sorted(FOLDER.rglob("*.py")):
        module = ".".join(path.relative_to(FOLDER).with_suffix("").parts)
        for scope, number, line in numbers(ast.parse(path.read_text(encoding="utf-8")), module):
            covering = [known for known in SCOPES if scope == known or scope.startswith(f"{known}.")]
            used |= set(covering)
            if not covering and number not in EVERYWHERE:
                found.append(f"{path.name}:{line}: {number} in {scope}")
    assert not found, "make it a field of the settings, or give a reason above"
    assert used == set(SCOPES), "a reason for numbers that are no more"


def numbers(tree: ast.Module, module: str) -> list[tuple[str, float, int]]:
    """(scope, number, line) of every numeric literal outside settings, indices and `NAMES`."""
    found: list[tuple[str, float, int]] = []

    def walk(node: ast.AST, scope: str) -> None:
        if isinstance(node, ast.ClassDef) and node.name.endswith("Settings"):
            return
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("Settings"):
            return
        if isinstance(node, ast.Subscript):
            walk(node.value, scope)
            return
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = [leaf.id for target in targets for leaf in ast.walk(target) if isinstance(leaf, ast.Name)]
            if set(NAMES) & set(names):
                return
            if scope == module and names:
                scope = f"{module}.{names[0]}"
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            scope = f"{scope}.{node.name}"
        if isinstance(node, ast.Constant) and type(node.value) in (int, float):
            found.append((scope, node.value, node.lineno))
        for child in ast.iter_child_nodes(node):
            walk(child, scope)

    walk(tree, module)
    return found
