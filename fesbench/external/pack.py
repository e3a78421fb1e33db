"""A row of a run as one file to hand in: its record, its images, and what it was trained on."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import fesbench
from fesbench.errors import DataError, UsageError
from fesbench.external.intake import IMAGES, MANIFEST, RECORD, Manifest
from fesbench.files import atomic_write
from fesbench.gate.collect import find_row
from fesbench.records.record import safe_name

_WHEN = (1980, 1, 1, 0, 0, 0)
"""The same row gives the same bytes."""


def pack(
    run: Path,
    out: Path,
    *,
    trained_on: str,
    method: str | None = None,
    name: str | None = None,
    images: bool = True,
) -> Manifest:
    """Write a submission.

    Args:
        run: a record's folder, or a folder of records.
        out: the file, ``*.fesbench.zip`` by custom.
        trained_on: in words, what the method was trained on and selected by.
        method: which method of the folder.
        name: of the row; default: the method's id.
        images: also the images, so that others can score them again.

    Raises:
        UsageError: several rows, or several seeds; no words on the training.
        DataError: the record is not scored, or the file cannot be written.
    """
    if not trained_on.strip():
        raise UsageError("--trained-on: say what the method was trained on, even if it is 'unknown'")
    cells = find_row(run, method)
    if len(cells) > 1:
        raise UsageError(f"{run} holds {len(cells)} seeds of the row; give the folder of one")
    folder, record = cells[0]
    if record.status != "scored":
        raise DataError(
            f"{folder} is not scored yet (it stands at '{record.status}'); run its cell to the end"
        )
    members = {RECORD: folder / "record.json"}
    if images:
        members |= {f"{IMAGES}{path.name}": path for path in sorted((folder / "images").glob("*.png"))}
    manifest = Manifest(
        fesbench=fesbench.__version__,
        name=safe_name(name or record.cell.method),
        trained_on=trained_on.strip(),
        files={member: hashlib.sha256(path.read_bytes()).hexdigest() for member, path in members.items()},
    )

    def contents() -> Iterator[tuple[str, bytes]]:
        yield MANIFEST, manifest.model_dump_json(indent=1).encode()
        for member, path in members.items():
            yield member, path.read_bytes()

    def write(stream: object) -> None:
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:  # type: ignore[call-overload]
            for member, content in contents():
                archive.writestr(zipfile.ZipInfo(member, _WHEN), content, zipfile.ZIP_DEFLATED)

    atomic_write(out, write)
    return manifest
