"""Writing workbooks of numbers and texts: .xlsx, and the least .xls that readers accept.

An .xls is a stream of BIFF8 records in an OLE2 file.
CFEE's labels come in this format. Its one writer for Python (xlwt) is no longer kept, and what a fixture
needs of it is this page. Source: Microsoft, [MS-XLS] (records) and [MS-CFB] (the file around them).
"""

from __future__ import annotations

import io
import struct
from collections.abc import Mapping, Sequence

_BOF, _EOF, _BOUNDSHEET, _NUMBER, _LABEL = 0x0809, 0x000A, 0x0085, 0x0203, 0x0204
_BOOK, _SHEET = 0x0005, 0x0010
_SECTOR = 512
_LEAST_STREAM = 4096
"""Shorter streams would have to go into the "mini stream"; a longer one may end in zeros."""
_FREE, _END, _FAT = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD


Tables = Mapping[str, Sequence[Sequence[str | float | None]]]
"""Sheet name (at most 31 characters) -> rows of cells; None = an empty cell."""


def xlsx_bytes(tables: Tables) -> bytes:
    """A workbook of Excel 2007 and later."""
    import openpyxl

    book = openpyxl.Workbook(write_only=True)
    for name, rows in tables.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(list(row))
    stream = io.BytesIO()
    book.save(stream)
    return stream.getvalue()


def xls_bytes(tables: Tables) -> bytes:
    """A workbook of Excel 97 to 2003."""
    bodies = [_sheet(rows) for rows in tables.values()]
    names = [struct.pack("<BB", len(name), 1) + name.encode("utf-16-le") for name in tables]
    # where each sheet begins stands in the records before it, whose length does not depend on it
    start = len(_bof(_BOOK)) + sum(len(_record(_BOUNDSHEET, bytes(6) + name)) for name in names) + 4
    head = _bof(_BOOK)
    for name, body in zip(names, bodies, strict=True):
        head += _record(_BOUNDSHEET, struct.pack("<IH", start, 0) + name)
        start += len(body)
    return _compound(head + _record(_EOF, b"") + b"".join(bodies))


def _record(kind: int, content: bytes) -> bytes:
    return struct.pack("<HH", kind, len(content)) + content


def _bof(kind: int) -> bytes:
    return _record(_BOF, struct.pack("<HHHHII", 0x0600, kind, 0x0DBB, 1996, 0, 6))


def _sheet(rows: Sequence[Sequence[str | float | None]]) -> bytes:
    body = _bof(_SHEET)
    for i, row in enumerate(rows):
        for j, cell in enumerate(row):
            place = struct.pack("<HHH", i, j, 0)
            if isinstance(cell, str):
                text = cell.encode("utf-16-le")
                body += _record(_LABEL, place + struct.pack("<HB", len(text) // 2, 1) + text)
            elif cell is not None:
                body += _record(_NUMBER, place + struct.pack("<d", cell))
    return body + _record(_EOF, b"")


def _compound(stream: bytes) -> bytes:
    """The stream "Workbook" in an OLE2 file: header, allocation tables, directory, content."""
    size = max(_LEAST_STREAM, -(-len(stream) // _SECTOR) * _SECTOR)
    content, per_table = size // _SECTOR, _SECTOR // 4
    tables = 1
    while tables + 1 + content > tables * per_table:
        tables += 1
    first = tables + 1
    chain = [_FAT] * tables + [_END] + [*range(first + 1, first + content), _END]
    chain += [_FREE] * (tables * per_table - len(chain))
    header = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(16)
    header += struct.pack("<HHHHH6x", 0x3E, 3, 0xFFFE, 9, 6)
    header += struct.pack("<IIIIIIIII", 0, tables, tables, 0, _LEAST_STREAM, _END, 0, _END, 0)
    header += struct.pack("<109I", *range(tables), *[_FREE] * (109 - tables))
    directory = _entry("Root Entry", 5, 1, _END, 0) + _entry("Workbook", 2, _FREE, first, size)
    directory += _entry("", 0, _FREE, 0, 0) * 2
    return header + struct.pack(f"<{len(chain)}I", *chain) + directory + stream.ljust(size, b"\0")


def _entry(name: str, kind: int, child: int, first: int, size: int) -> bytes:
    """One of the directory's 128-byte entries."""
    text = (name + "\0").encode("utf-16-le") if name else b""
    entry = text.ljust(64, b"\0") + struct.pack("<HBB", len(text), kind, 1)
    return entry + struct.pack("<III36xIQ", _FREE, _FREE, child, first, size)
