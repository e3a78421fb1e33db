"""A submission file is read as hostile: every member is checked before a byte of it is believed.

Nothing is unpacked by zipfile itself; a member's name is one of a few forms, its size is capped whatever its
header says, and its hash stands in the manifest.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import stat
import struct
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NoReturn

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fesbench.errors import DataError, FesbenchError
from fesbench.metrics.explain import card_of
from fesbench.protocol.protocol import Protocol, load_protocol
from fesbench.records.record import Record, safe_name

MANIFEST, RECORD, IMAGES = "submission.json", "record.json", "images/"
_NAME = re.compile(r"submission\.json|record\.json|images/[A-Za-z0-9_.+@=-]{1,180}\.png")
_LARGEST = {MANIFEST: 8_000_000, RECORD: 32_000_000}
_LARGEST_IMAGE = 16_000_000
_LARGEST_IN_ALL = 8_000_000_000
MOST_MEMBERS = 200_000
_LONGEST_TEXT = 20_000
_CONTROL = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
"""Also the signs that turn the direction of writing, which can make a name read as another, and halves of
characters, which no file can hold."""


class Manifest(BaseModel):
    """``submission.json``.

    Attributes:
        name: of the method's row.
        trained_on: the submitter's words on what it was trained on.
        files: sha256 by member, the manifest left out.
    """

    model_config = ConfigDict(extra="forbid")

    kind: Literal["fesbench-submission"] = "fesbench-submission"
    schema_version: Literal[1] = 1
    fesbench: str
    name: str
    trained_on: str = Field(min_length=1)
    files: dict[str, str]


@dataclass(frozen=True)
class Package:
    """A submission that may be believed to be what it says it is, and no more.

    Attributes:
        path: the file.
        sha256: of the file.
        manifest: its own words.
        record: as reported.
        protocol: the one that the record names, as it is installed here.
        images: request ids of the images inside.
    """

    path: Path
    sha256: str
    manifest: Manifest
    record: Record
    protocol: Protocol
    images: tuple[str, ...]

    def unpack_images(self, folder: Path) -> None:
        """Write the images as ``<request>.png``.

        Raises:
            DataError: the file changed in between, or the folder cannot be written.
        """
        from fesbench.files import atomic_write_bytes

        with zipfile.ZipFile(self.path) as archive:
            for request in self.images:
                content = _read(archive, f"{IMAGES}{request}.png", self.path)
                if hashlib.sha256(content).hexdigest() != self.manifest.files[f"{IMAGES}{request}.png"]:
                    _refuse(self.path, "it changed while it was read")
                atomic_write_bytes(folder / f"{request}.png", content)


def open_package(path: Path) -> Package:
    """Read and check everything but the pixels.

    Raises:
        DataError: with the first reason for which it is refused.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = _members(archive, path)
            manifest = _parse(Manifest, _read(archive, MANIFEST, path), path, MANIFEST)
            if set(manifest.files) != names - {MANIFEST}:
                _refuse(path, "its manifest lists other files than it holds")
            for name, digest in manifest.files.items():
                if hashlib.sha256(_read(archive, name, path)).hexdigest() != digest:
                    _refuse(path, f"'{name}' is not the file of its manifest")
            record = _parse(Record, _read(archive, RECORD, path), path, RECORD)
    # zipfile: RuntimeError = encrypted, NotImplementedError = a feature that it does not know
    except (
        *(zipfile.BadZipFile, zlib.error, struct.error),
        *(OSError, EOFError, RuntimeError, NotImplementedError, ValueError),
    ) as error:
        _refuse(path, f"it cannot be read ({error})")
    protocol = _check_record(record, manifest, path)
    images = tuple(sorted(n.removeprefix(IMAGES).removesuffix(".png") for n in names if n.startswith(IMAGES)))
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return Package(path, digest, manifest, record, protocol, images)


def _refuse(path: Path, why: str) -> NoReturn:
    raise DataError(f"{path} is refused: {why}")


def _members(archive: zipfile.ZipFile, path: Path) -> set[str]:
    """The members' names, each of a known form and size."""
    entries = archive.infolist()
    if len(entries) > MOST_MEMBERS:
        _refuse(path, f"it holds {len(entries)} files, more than {MOST_MEMBERS}")
    names = [entry.filename for entry in entries]
    if len(set(names)) < len(names):
        _refuse(path, "it holds a file twice")
    for entry in entries:
        if not _NAME.fullmatch(entry.filename) or ".." in entry.filename:
            _refuse(path, f"it holds {entry.filename[:80]!a}, which is no part of a submission")
        kind = stat.S_IFMT(entry.external_attr >> 16)
        if kind not in (0, stat.S_IFREG):
            _refuse(path, f"'{entry.filename}' is no plain file")
        # zipfile unpacks bzip2 and lzma without a bound: a few bytes would fill the memory
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            _refuse(path, f"'{entry.filename}' is packed in a way that is not read here")
        if entry.flag_bits & 1:
            _refuse(path, f"'{entry.filename}' is encrypted")
    if sum(entry.file_size for entry in entries) > _LARGEST_IN_ALL:
        _refuse(path, f"it unpacks to more than {_LARGEST_IN_ALL // 1_000_000_000} GB")
    if not {MANIFEST, RECORD} <= set(names):
        _refuse(path, f"it lacks {MANIFEST} or {RECORD}; 'fesbench submit pack' makes one")
    return set(names)


def _read(archive: zipfile.ZipFile, name: str, path: Path) -> bytes:
    """A member, never more of it than is allowed, whatever its header says."""
    limit = _LARGEST.get(name, _LARGEST_IMAGE)
    with archive.open(name) as stream:
        content = stream.read(limit + 1)
    if len(content) > limit:
        _refuse(path, f"'{name}' is larger than {limit // 1_000_000} MB")
    return content


def _parse(kind: type[Any], content: bytes, path: Path, name: str) -> Any:
    def no_number(text: str) -> NoReturn:
        raise ValueError(f"{text} is no number")

    try:
        raw = json.loads(content, parse_constant=no_number)
        _check_texts(raw)
        return kind.model_validate(raw)
    except (ValueError, RecursionError) as error:
        first = error.errors()[0] if isinstance(error, ValidationError) else None
        said = f"'{'.'.join(map(str, first['loc']))}': {first['msg']}" if first else str(error)
        _refuse(path, f"{name}: {ascii(said[:200])[1:-1]}")


def _check_texts(raw: Any) -> None:
    """No control characters, no endless texts, and no number beyond a float's range, anywhere."""
    waiting = [raw]
    while waiting:
        held = waiting.pop()
        if isinstance(held, dict):
            waiting += [*held.keys(), *held.values()]
        elif isinstance(held, list):
            waiting += held
        elif isinstance(held, str) and (len(held) > _LONGEST_TEXT or _CONTROL.search(held)):
            raise ValueError(f"a text holds control characters or is endless: {held[:40]!r}")
        elif isinstance(held, float) and not math.isfinite(held):
            raise ValueError("a number is beyond all bounds")


def _check_record(record: Record, manifest: Manifest, path: Path) -> Protocol:
    """The record speaks of a protocol as it is installed here, and of values that can be."""
    cell = record.cell
    try:
        for part in (manifest.name, cell.method, cell.preset, cell.budget, cell.data):
            safe_name(part)
        head, _, tail = cell.protocol.partition("@")
        version, *overrides = tail.split("+")
        if not version.isdecimal():
            _refuse(path, f"its protocol '{cell.protocol}' names no installed version")
        changes = dict(item.split("=", 1) for item in overrides)
        size = int(changes["size"]) if "size" in changes else None
        if set(changes) - {"size", "data"} or head.startswith((".", "/")) or ".." in head:
            _refuse(path, f"its protocol '{cell.protocol}' is of a form that cannot be scored from a package")
        rules = load_protocol(f"{head}@{version}").with_overrides(size=size, data=changes.get("data"))
    except (FesbenchError, ValueError) as error:
        _refuse(path, f"its record names what is not here: {error}")
    if rules.hash != cell.protocol_hash:
        _refuse(path, f"its protocol {cell.protocol} has other rules than the one installed here")
    if not re.fullmatch(r"[0-9a-f]{64}", cell.data_fingerprint):
        _refuse(path, "its data fingerprint is none")
    for score in record.scores:
        if (score.protocol, score.method, score.preset) != (cell.protocol, cell.method, cell.preset):
            _refuse(path, "it holds scores of another cell")
        card = card_of(score.metric)
        low, high = (-math.inf, math.inf) if card is None else (card.low, card.high)
        if score.value is not None and not low - 1e-6 <= score.value <= high + 1e-6:
            _refuse(path, f"{score.metric} {score.value} lies outside {low:g} to {high:g}")
    return rules
