"""What of a ``.pt2`` file may be loaded: weights and a graph of arithmetic, and nothing that runs by itself.

``torch.export.load`` is not safe on a file from elsewhere. It unpickles without restriction (weights marked
``use_pickle``, custom objects, example inputs), loads compiled libraries (``data/aotinductor``), evaluates
shape expressions as Python (sympy), imports modules that a tree specification names, and resolves an
operator's name by walking ``torch``'s attributes, so that ``torch.os.system`` is an operator to it. So the
archive is read here first, and torch gets a new one that holds the checked parts alone.
"""

from __future__ import annotations

import ast
import io
import json
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any

from fesbench.errors import DataError

_EXPORT_AGAIN = "export it again with torch.export.save, from torch's own operators on the CPU"
_TARGET = re.compile(
    r"torch\.ops\.(aten|prims)\.\w+\.\w+|torch\.sym_\w+|math\.(ceil|floor|trunc|sqrt)"
    r"|_operator\.(getitem|add|sub|mul|truediv|floordiv|mod|neg|pow|eq|ne|lt|le|gt|ge|and_|or_|not_)"
)
_TOUCHES_FILES = re.compile(r"torch\.ops\.\w+\.(from_file|save|load)\w*\.\w+")
_FUNCTIONS = frozenset(
    (
        *("Symbol", "Integer", "Float", "Rational", "Add", "Mul", "Pow", "PowByNatural", "Max", "Min", "Mod"),
        *("PythonMod", "FloorDiv", "CleanDiv", "CeilDiv", "IntTrueDiv", "FloatTrueDiv", "ModularIndexing"),
        *("Where", "Equality", "Unequality", "LessThan", "GreaterThan", "StrictLessThan", "And", "Or", "Not"),
        *("StrictGreaterThan", "TruncToInt", "CeilToInt", "FloorToInt", "ToFloat", "Identity"),
    )
)
_SYNTAX = (
    ast.Expression, ast.Call, ast.Name, ast.Load, ast.Constant, ast.keyword, ast.UnaryOp, ast.USub,
    ast.BinOp, ast.Add, ast.Sub, ast.Mult, ast.Pow,
)  # fmt: skip
_KEPT = re.compile(
    r"(archive_format|archive_version|byteorder|\.data/version|models/\w+\.json"
    r"|data/weights/(weight_\d+|\w+_weights_config\.json)"
    r"|data/constants/(tensor_\d+|\w+_constants_config\.json)|data/sample_inputs/\w+\.pt)"
)
_DROPPED = re.compile(r"(\.data/serialization_id|extra/.*|\.format_version|\.storage_alignment|version)")


def checked_archive(content: bytes, name: str) -> bytes:
    """A new archive of what may be loaded.

    Args:
        content: of a ``.pt2`` file.
        name: for messages.

    Raises:
        DataError: it is no archive of torch.export, or it holds what could run code.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            broken = archive.testzip()
            records = {item.filename.partition("/")[2]: archive.read(item) for item in archive.infolist()}
    # zipfile: RuntimeError = encrypted, NotImplementedError = a compression that it does not know
    except (
        *(zipfile.BadZipFile, zlib.error, struct.error, ValueError),
        *(OSError, EOFError, RuntimeError, NotImplementedError),
    ) as error:
        raise DataError(f"{name} is no archive of torch.export ({error}); {_EXPORT_AGAIN}") from None
    graphs = [record for record in records if record.startswith("models/")]
    if broken or graphs != ["models/model.json"]:
        raise DataError(f"{name} holds no exported program; {_EXPORT_AGAIN}")
    clean = io.BytesIO()
    with zipfile.ZipFile(clean, "w") as archive:
        for record, held in records.items():
            if _KEPT.fullmatch(record):
                archive.writestr(f"program/{record}", _checked(record, held, name))
            elif not _DROPPED.fullmatch(record):
                raise DataError(f"{name} holds '{record}', which could run code; {_EXPORT_AGAIN}")
    return clean.getvalue()


def _checked(record: str, content: bytes, name: str) -> bytes:
    """A record as torch may read it."""
    if record.startswith("data/sample_inputs/"):
        return _no_examples()
    if not record.endswith(".json"):
        return content
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{name}: '{record}' is damaged ({error}); {_EXPORT_AGAIN}") from None
    if record.startswith("models/"):
        _check_graph(found, name)
        for held in _objects(found):
            if "target" in held and "metadata" in held:
                held["metadata"] = {}  # where the code came from: the one part that names Python objects
    for held in _objects(found):
        if held.get("use_pickle"):
            raise DataError(f"{name} holds a pickle in '{record}', which could run code; {_EXPORT_AGAIN}")
    return json.dumps(found).encode()


def _no_examples() -> bytes:
    """What stands for the example inputs, a pickle that nobody needs."""
    import torch

    stream = io.BytesIO()
    torch.save(((), {}), stream)
    return stream.getvalue()


def _check_graph(graph: Any, name: str) -> None:
    for held in _objects(graph):
        if "__enum__" in held or "default_factory_module" in held:
            raise DataError(f"{name} names a Python class in its inputs or outputs; {_EXPORT_AGAIN}")
        target = held.get("target")
        if isinstance(target, str) and "inputs" in held and not _arithmetic(target):
            raise DataError(f"{name} calls '{target}', which is not torch arithmetic; {_EXPORT_AGAIN}")
        expression = held.get("expr_str")
        if expression is not None and not _harmless(expression):
            raise DataError(f"{name} holds the shape '{expression}', which is no formula; {_EXPORT_AGAIN}")


def _arithmetic(target: str) -> bool:
    return bool(_TARGET.fullmatch(target)) and not _TOUCHES_FILES.fullmatch(target)


def _harmless(expression: object) -> bool:
    """Whether a shape's formula is made of numbers, symbols and known functions alone."""
    if not isinstance(expression, str):
        return False
    try:
        nodes = list(ast.walk(ast.parse(expression, mode="eval")))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    calls = [node.func for node in nodes if isinstance(node, ast.Call)]
    called = {call.id for call in calls if isinstance(call, ast.Name)}
    names = {node.id for node in nodes if isinstance(node, ast.Name)}
    words = [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    return (
        all(isinstance(node, _SYNTAX) for node in nodes)
        and all(isinstance(call, ast.Name) for call in calls)
        and called <= _FUNCTIONS
        and all(re.fullmatch(r"[su]\d+", name) for name in names - called)
        and all(re.fullmatch(r"\w+", word) for word in words)
    )


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    """Every object in a JSON value, those in texts that are JSON themselves included."""
    if isinstance(value, str) and value[:1] in ("[", "{"):
        try:
            value = json.loads(value)
        except ValueError:
            return
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _objects(item)
