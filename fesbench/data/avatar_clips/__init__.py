"""Clips of the embedded faces: from neutral to the peak, with the exact annotation of every frame.

It drives the parameters of the avatars' renderer, which it leaves alone: the first frame of a clip is to the
byte the neutral image of its take. See ``docs/avatars.md``.
"""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path

from fesbench.data.avatar_clips.rendering import AvatarClip, render_clip
from fesbench.data.avatar_clips.timing import ClipSpec, Motion, motion

__all__ = ["AvatarClip", "ClipSpec", "Motion", "clips_sha256", "motion", "render_clip"]


@functools.cache
def clips_sha256() -> str:
    """Hash of the sources of the avatars and of their clips: the version of the data."""
    from fesbench.data.avatars import source_sha256

    digest = hashlib.sha256(source_sha256().encode())
    for path in sorted(Path(__file__).parent.glob("*.py")):
        # Line endings may differ between checkouts; the drawing does not.
        digest.update(path.name.encode() + b"\0" + path.read_bytes().replace(b"\r\n", b"\n") + b"\0")
    return digest.hexdigest()
