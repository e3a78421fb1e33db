"""Hypothesis strategies for files that somebody spoiled: valid bytes, changed in a few places."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from typing import Any

from hypothesis import strategies as st

ODD = (
    *(b"", b"nan", b"NaN", b"inf", b"-Infinity", b"1e999", b"-1", b"0", b"1", b"2", b"0.5", b"-0.0"),
    *(b"9" * 5000, b"1" + b"0" * 400, b"9223372036854775808", b"4294967295", b"65536", b"1_0", b"0x10"),
    *(b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\xe2\x80\xae", b"\\ud800", b"\x1a", b"\r"),
    *(b'"', b"'", b"\n", b",", b";", b"\t", b"[", b"]", b"{", b"}", b"null", b"true", b"[]", b"{}", b'""'),
    *(b"../x", b"/dev/full", b"C:\\x", b"a" * 300, b"<script>", b"%s", b"1979-05-27", b"12:00:00", b"@1"),
    *(b"[" * 3000, b'{"a":' * 3000, b"avatars@2", "ä".encode(), "１".encode(), "²".encode()),
)
"""What stands in the place of a field: numbers that are none or too large, halves of characters, nesting."""

ODD_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 0.5, -0.0, 1e308, 10**400, 2**63, float("nan"), float("inf")),
    *("", "nan", "a" * 300, "../x", "\ud800", "\x00", "\u202e", "1", "avatars@2", [], {}, [[]], {"": None}),
    *([1, "a", None], {"a": {"b": []}}),
)
_TOKEN = re.compile(rb"[^\s,;:|=\"'\[\]{}<>/]+")


def _chunk(content: bytearray, at: int, extent: int) -> slice:
    start = at % (len(content) + 1)
    return slice(start, start + 1 + extent % 97)


def _flip(content: bytearray, at: int, extent: int) -> None:
    if content:
        content[at % len(content)] ^= 1 + extent % 255


def _cut(content: bytearray, at: int, extent: int) -> None:
    del content[_chunk(content, at, extent)]


def _truncate(content: bytearray, at: int, extent: int) -> None:
    del content[at % (len(content) + 1) :]


def _insert(content: bytearray, at: int, extent: int) -> None:
    start = at % (len(content) + 1)
    content[start:start] = ODD[extent % len(ODD)]


def _repeat(content: bytearray, at: int, extent: int) -> None:
    where = _chunk(content, at, extent)
    content[where] = content[where] * (2 + extent % 200)


def _swap(content: bytearray, at: int, extent: int) -> None:
    one, two = _chunk(content, at, extent), _chunk(content, extent, at)
    first, second = content[one], content[two]
    content[two] = first
    content[one] = second


def _field(content: bytearray, at: int, extent: int) -> None:
    fields = list(_TOKEN.finditer(content))
    if fields:
        start, end = fields[at % len(fields)].span()
        content[start:end] = ODD[extent % len(ODD)]


def _fields(content: bytearray, at: int, extent: int) -> None:
    """One field in the place of another."""
    fields = list(_TOKEN.finditer(content))
    if fields:
        start, end = fields[at % len(fields)].span()
        content[start:end] = fields[extent % len(fields)][0]


def _line(content: bytearray, at: int, extent: int) -> None:
    """A line twice, left out, or moved."""
    lines = content.split(b"\n")
    taken = lines.pop(at % len(lines))
    for _ in range(extent % 3):
        lines.insert(extent % (len(lines) + 1), taken)
    content[:] = b"\n".join(lines)


_CHANGES: tuple[Callable[[bytearray, int, int], None], ...] = (
    *(_flip, _cut, _truncate, _insert, _repeat, _swap, _field, _fields, _line, _field),
)
_PLACE = st.integers(0, 2**24)


def spoiled(seeds: Sequence[bytes], *, tree: bool = False) -> st.SearchStrategy[bytes]:
    """Valid contents with one to six changes, and now and then bytes that never were valid.

    Args:
        seeds: valid contents.
        tree: they are JSON; then values and keys of it are changed as well, so that it stays JSON.
    """
    change = st.tuples(st.sampled_from(_CHANGES), _PLACE, _PLACE)
    ways = [st.builds(_changed, st.sampled_from(seeds), st.lists(change, min_size=1, max_size=6))] * 4
    if tree:
        step = st.tuples(_PLACE, st.integers(0, 3), st.sampled_from(ODD_VALUES))
        ways += [st.builds(_regrown, st.sampled_from(seeds), st.lists(step, min_size=1, max_size=3))] * 4
    return st.one_of(*ways, st.binary(max_size=200))


def _changed(
    content: bytes, changes: Sequence[tuple[Callable[[bytearray, int, int], None], int, int]]
) -> bytes:
    found = bytearray(content)
    for change, at, extent in changes:
        change(found, at, extent)
    return bytes(found)


def _regrown(content: bytes, steps: Sequence[tuple[int, int, Any]]) -> bytes:
    tree = [json.loads(content)]
    for at, kind, value in steps:
        places = list(_places(tree))
        owner, key = places[at % len(places)]
        if kind == 0 and isinstance(owner, dict):
            owner[value if isinstance(value, str) else "odd"] = owner.pop(key)
        elif kind == 1 and owner is not tree:
            del owner[key]
        elif kind == 2 and isinstance(owner[key], list):
            owner[key] = owner[key] * 2
        else:
            owner[key] = deepcopy(value)  # put into itself it would have no end
    return json.dumps(tree[0]).encode()


def _places(tree: Any) -> Iterator[tuple[Any, Any]]:
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in list(items):
        yield tree, key
        yield from _places(value)
