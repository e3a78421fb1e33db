"""The embedded procedural face set: free of licenses, exact in its annotation, deterministic.

A landmark-driven height field with deferred shading: identity and FACS action units give feature curves,
the curves give landmarks, masks and heights, and one shading pass gives the picture. See
``docs/avatars.md``.
"""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path

from fesbench.data.avatars.expressions import COMPOUNDS
from fesbench.data.avatars.identity import person
from fesbench.data.avatars.rendering import STYLES, AvatarBatch, AvatarSpec, render
from fesbench.errors import UsageError
from fesbench.vocabulary import EXPRESSIONS

__all__ = [
    "COMPOUNDS",
    "EXPRESSIONS",
    "STYLES",
    "AvatarBatch",
    "AvatarSpec",
    "attributes",
    "render",
    "source_sha256",
]

_YOUNGEST, _OLDEST = 18, 75


def attributes(identity: int, *, seed: int = 0) -> dict[str, object]:
    """What is known of a person.

    Returns:
        ``sex`` ("female" or "male"), ``age`` (years, 18 to 75), ``skin`` (1 lightest ... 6 darkest),
        ``glasses`` (bool).

    Raises:
        UsageError: negative identity or seed.
    """
    if identity < 0 or seed < 0:
        raise UsageError(f"identity {identity} and seed {seed} must not be negative.")
    who = person(seed, identity)
    return {
        "sex": "male" if who["male"] else "female",
        "age": round(_YOUNGEST + (_OLDEST - _YOUNGEST) * who["age"]),
        "skin": 1 + min(5, int(who["tone"] * 6)),
        "glasses": bool(who["glasses"]),
    }


@functools.cache
def source_sha256() -> str:
    """Hash of this package's own sources: the data's version, and the seed they are measured with."""
    folder = Path(__file__).parent
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py"), key=lambda p: p.relative_to(folder).as_posix()):
        digest.update(path.relative_to(folder).as_posix().encode() + b"\0")
        # Line endings may differ between checkouts; the drawing does not.
        digest.update(path.read_bytes().replace(b"\r\n", b"\n") + b"\0")
    return digest.hexdigest()
