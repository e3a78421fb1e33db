"""Registries: entries are found without an import, loaded one by one, and others' mistakes are said."""

from __future__ import annotations

import ast
import importlib
import sys
from importlib.metadata import EntryPoint

import pytest

from fesbench import registry
from fesbench.errors import UnknownNameError, UsageError
from fesbench.registry import Declared, Registry, literal_call, literals, load_file

RED = "class Red:\n    name = 'red'\n    wave = 700.0\n    made = len('x')\n"
GREEN = "import no_such_module\n\nclass Green:\n    name = 'green'\n"


def read(module, tree):
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and "name" in (facts := literals(node.body)):
            yield Declared(facts["name"], module, node.name, facts)


def accept(name, value):
    if not hasattr(value, "wave"):
        raise TypeError(f"{value!r} is no color")
    return value()


@pytest.fixture
def colors(tmp_path, monkeypatch):
    """A registry of a package of two modules, one of which does not import, and other packages' entries."""
    package = tmp_path / "paint_box"
    (package / "deep").mkdir(parents=True)
    for name, text in {
        "__init__": "",
        "red": RED,
        "_private": RED,
        "deep/__init__": "",
        "deep/green": GREEN,
    }.items():
        (package / f"{name}.py").write_text(text)
    outside = tmp_path / "outside.py"
    outside.write_text("class Blue:\n    name, wave = 'blue', 450.0\n\n\nodd = 3\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    made = Registry("color", "paint_box", read, "paint.colors", accept)
    points: list[EntryPoint] = []
    monkeypatch.setattr(registry, "entry_points", lambda group: points if group == "paint.colors" else [])
    made.external = points
    importlib.invalidate_caches()
    yield made
    for name in [m for m in sys.modules if m.partition(".")[0] in ("paint_box", "outside")]:
        del sys.modules[name]


def point(name, value):
    return EntryPoint(name, value, "paint.colors")


def test_listing_imports_no_module(colors):
    colors.external.append(point("blue", "outside:Blue"))
    assert colors.names() == ["green", "red", "blue"]
    assert colors.declared["red"] == Declared("red", "paint_box.red", "Red", {"name": "red", "wave": 700.0})
    assert "red" in colors
    assert "blue" in colors
    assert "pink" not in colors
    assert not {"paint_box.red", "paint_box.deep.green", "outside"} & set(sys.modules)


def test_a_look_up_imports_one_module_once(colors):
    found = colors.get("red")
    assert found.wave == 700.0
    assert colors.get("red") is found
    assert "paint_box.deep.green" not in sys.modules


def test_entries_of_other_packages_are_loaded_by_name(colors):
    colors.external.append(point("blue", "outside:Blue"))
    assert colors.get("blue").wave == 450.0


def test_a_miss_names_the_nearest(colors):
    with pytest.raises(UnknownNameError, match="Did you mean green"):
        colors.get("greeen")


def test_a_taken_name_is_said(colors):
    colors.external += [
        point("red", "outside:Blue"),
        point("blue", "outside:Blue"),
        point("blue", "again:Blue"),
    ]
    with pytest.warns(UserWarning, match="taken by") as caught:
        assert colors.names() == ["green", "red", "blue"]
    assert [str(w.message) for w in caught] == [
        "color plug-in 'red' (outside:Blue): the name is taken by fesbench; it is left out",
        "color plug-in 'blue' (again:Blue): the name is taken by outside:Blue; it is left out",
    ]


def test_broken_entries_of_others_stop_only_those_who_ask_for_them(colors, tmp_path):
    (tmp_path / "paint_box" / "deep" / "green.py").write_text(GREEN.partition("\n")[2] + "    wave = 550.0\n")
    colors.external += [
        point("gone", "no_such_module:X"),
        point("odd", "outside:odd"),
        point("blue", "outside:Blue"),
    ]
    for name, reason in (("gone", "No module named"), ("odd", "3 is no color")):
        with pytest.raises(UsageError, match=reason):
            colors.get(name)
    with pytest.warns(UserWarning, match="color plug-in") as caught:
        assert list(colors.all()) == ["green", "red", "blue"]
    assert "'gone' (no_such_module:X) cannot be loaded" in str(caught[0].message)


def test_ones_own_broken_module_is_an_error(colors):
    with pytest.raises(ModuleNotFoundError):
        colors.get("green")


def test_a_name_declared_twice_is_an_error(colors, tmp_path):
    (tmp_path / "paint_box" / "ruby.py").write_text(RED)
    with pytest.raises(LookupError, match=r"'red' is declared in paint_box\.red and paint_box\.ruby"):
        colors.names()


def test_literals_alone_are_facts():
    tree = ast.parse(
        "a: int = 1\nb = {'k': ('x', None)}\nc = frozenset()\nd = a + 1\ne: int\n(f, g) = 1, 2\nf()\n"
    )
    assert literals(tree.body) == {"a": 1, "b": {"k": ("x", None)}, "c": frozenset()}
    call = ast.parse("f(x, 'two', *rest, low=-1, needs=frozenset({'a'}), other=x, **more)", mode="eval").body
    assert literal_call(call, ("one", "two")) == {"two": "two", "low": -1, "needs": frozenset({"a"})}


def test_a_file_is_loaded_under_a_name_of_its_kind(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(RED)
    found = load_file(path, "color")
    assert found.Red.name == "red"
    assert sys.modules.pop("fesbench_color_mine") is found
    with pytest.raises(UsageError, match="does not exist; give a color's file"):
        load_file(tmp_path / "none.py", "color")
    path.write_text("import no_such_module")
    with pytest.raises(UsageError, match="does not import"):
        load_file(path, "color")
