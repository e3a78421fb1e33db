"""Hashes of what a stage of a cell reads, so that a changed input is noticed and nothing runs twice."""

from __future__ import annotations

import hashlib
from pathlib import Path

import fesbench


def hash_parts(*parts: object) -> str:
    """Sha256 (hex, 16 characters) of the parts' text, for a stage's inputs."""
    return hashlib.sha256("\0".join(str(part) for part in parts).encode()).hexdigest()[:16]


def engine_hash(*patterns: str) -> str:
    """Hash of files of the engine: in a checkout they change without a new version number."""
    root = Path(fesbench.__file__).parent
    paths = [path for pattern in patterns for path in sorted(root.glob(pattern))]
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()[:16]
