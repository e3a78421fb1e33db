"""Things by name: found without being imported, imported when asked for, from fesbench itself or elsewhere.

fesbench's own entries are found by reading the source of a package: what a module declares stands in it as
literals, so that a list of cards costs no import of torch. Others come from installed packages through an
entry-point group, or from a ``.py`` file.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, Generic, TypeVar

from fesbench.errors import FesbenchError, UnknownNameError, UsageError

T = TypeVar("T")


@dataclass(frozen=True)
class Declared:
    """What is known of an entry before its module is imported.

    Attributes:
        name: by which it is asked for.
        module: dotted name of its module.
        attribute: what declares it there.
        facts: the literals of its declaration, by key.
    """

    name: str
    module: str
    attribute: str
    facts: Mapping[str, Any] = field(default_factory=dict)


Reader = Callable[[str, ast.Module], Iterator[Declared]]
"""Finds what a module declares: (dotted name, parsed source) -> entries."""


class Registry(Generic[T]):
    """The entries of one kind.

    Args:
        kind: in messages, such as "metric".
        package: dotted name of the package whose modules declare fesbench's own.
        read: finds the declarations in a module's source.
        group: entry-point group of other packages' entries.
        accept: an imported attribute -> the entry; raises ``TypeError`` where it is none.
    """

    def __init__(
        self, kind: str, package: str, read: Reader, group: str, accept: Callable[[str, Any], T]
    ) -> None:
        self.kind, self.package, self.group = kind, package, group
        self._read, self._accept = read, accept
        self._made: dict[str, T] = {}

    @cached_property
    def declared(self) -> dict[str, Declared]:
        """fesbench's own entries by name, in the order of their modules; nothing is imported."""
        found: dict[str, Declared] = {}
        for module, path in _modules(self.package):
            for entry in self._read(module, ast.parse(path.read_bytes(), filename=str(path))):
                if entry.name in found:
                    raise LookupError(
                        f"{self.kind} '{entry.name}' is declared in {found[entry.name].module} and {module}"
                    )
                found[entry.name] = entry
        return found

    def points(self) -> dict[str, EntryPoint]:
        """The entries of other packages by name; a name that fesbench has itself is said and left out."""
        found: dict[str, EntryPoint] = {}
        for point in entry_points(group=self.group):
            if point.name in self.declared or point.name in found:
                owner = "fesbench" if point.name in self.declared else found[point.name].value
                self._warn(f"{self._plugin(point)}: the name is taken by {owner}; it is left out")
            else:
                found[point.name] = point
        return found

    def names(self) -> list[str]:
        """Every name; imports nothing."""
        return [*self.declared, *self.points()]

    def known(self) -> dict[str, Declared | None]:
        """What every entry declares, not imported; None where an external one's source does not say."""
        return {**self.declared, **{name: self._peek(point) for name, point in self.points().items()}}

    def _peek(self, point: EntryPoint) -> Declared | None:
        try:
            spec = importlib.util.find_spec(point.module)  # imports the packages above the module
            source = ast.parse(Path(spec.origin).read_bytes())  # type: ignore[union-attr, arg-type]
            return next((e for e in self._read(point.module, source) if e.name == point.name), None)
        except Exception:  # noqa: BLE001 - it is told when the entry is imported
            return None

    def __contains__(self, name: str) -> bool:
        return name in self._made or name in self.declared or name in self.points()

    def get(self, name: str) -> T:
        """The entry of a name; imports its module.

        Raises:
            UnknownNameError: no such name; says the nearest.
            UsageError: an external package's entry that does not load or is none.
        """
        if name not in self._made:
            if name in self.declared:
                entry = self.declared[name]
                value = getattr(importlib.import_module(entry.module), entry.attribute)
                self._made[name] = self._accept(name, value)
            elif (point := self.points().get(name)) is not None:
                self._made[name] = self._load(point)
            else:
                raise UnknownNameError(self.kind, name, self.names())
        return self._made[name]

    def all(self) -> dict[str, T]:
        """Every entry by name; an external one that is broken is named in a warning and left out."""
        found = {name: self.get(name) for name in self.declared}
        for name in self.points():
            try:
                found[name] = self.get(name)
            except FesbenchError as error:
                self._warn(str(error))
        return found

    def _load(self, point: EntryPoint) -> T:
        try:
            return self._accept(point.name, point.load())
        except Exception as error:
            # somebody else's package must not stop ours with a traceback of its own
            raise UsageError(f"{self._plugin(point)} cannot be loaded: {error!r}") from error

    def _plugin(self, point: EntryPoint) -> str:
        return f"{self.kind} plug-in '{point.name}' ({point.value})"

    def _warn(self, text: str) -> None:
        warnings.warn(text, stacklevel=3)


def _modules(package: str) -> Iterator[tuple[str, Path]]:
    """The modules of a package and of those inside it, by dotted name, sorted; private ones are left out."""
    for folder in importlib.import_module(package).__path__:
        root = Path(folder)
        for path in sorted(root.rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            if not any(part.startswith("_") for part in parts):
                yield ".".join((package, *parts)), path


def literals(body: list[ast.stmt]) -> dict[str, Any]:
    """The names that statements bind to literals, such as the attributes of a class.

    >>> literals(ast.parse("name = 'SSIM'; needs = frozenset({'source'}); low = -1.0; n = len('x')").body)
    {'name': 'SSIM', 'needs': frozenset({'source'}), 'low': -1.0}
    """
    found = {}
    for node in body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        value = getattr(node, "value", None)
        if isinstance(node, ast.Assign | ast.AnnAssign) and value is not None:
            for target in targets:
                if isinstance(target, ast.Name) and (known := _literal(value)) is not _NONE:
                    found[target.id] = known
    return found


def literal_call(node: ast.expr, positional: tuple[str, ...] = ()) -> dict[str, Any]:
    """The arguments of a call that are literals, by name.

    Args:
        node: the call.
        positional: names of the positional arguments.

    >>> literal_call(ast.parse("Card('mr', year=2021, steps=count())", mode="eval").body, ("id",))
    {'id': 'mr', 'year': 2021}
    """
    if not isinstance(node, ast.Call):
        return {}
    given = [*zip(positional, node.args, strict=False), *((k.arg, k.value) for k in node.keywords if k.arg)]
    return {name: known for name, value in given if (known := _literal(value)) is not _NONE}


_NONE = object()
"""What is no literal; None is one."""


def _literal(node: ast.expr) -> Any:
    """The value of a literal, a ``frozenset(...)`` of one included."""
    try:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "frozenset":
            return frozenset(ast.literal_eval(node.args[0])) if node.args else frozenset()
        return ast.literal_eval(node)
    except ValueError:
        return _NONE


def load_file(path: Path, kind: str) -> ModuleType:
    """Import a ``.py`` file that belongs to no package.

    Raises:
        UsageError: it does not exist or does not import.
    """
    if not path.is_file():
        raise UsageError(f"{path} does not exist; give a {kind}'s file or a name from 'fesbench {kind}s'")
    spec = importlib.util.spec_from_file_location(f"fesbench_{kind}_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise UsageError(f"{path} is no Python file that can be loaded")
    module = importlib.util.module_from_spec(spec)
    # Where inspect finds a class's file, whose hash a record keeps.
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise UsageError(f"{path} does not import: {error!r}") from error
    return module
