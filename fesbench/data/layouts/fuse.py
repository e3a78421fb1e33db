"""Writing avatars out as FER-2013 and MMAFEDB beside each other; the second contains the first.

See `fesbench.data.layouts.fer2013` and `fesbench.data.layouts.mmafedb` for the traps of each. With FER-2013
as folders, every second of its images that MMAFEDB holds is the same file to the byte; as a table, all of
them are copies that only a perceptual hash finds.
"""

from __future__ import annotations

from typing import Any

from fesbench.data.layouts import fer2013, mmafedb
from fesbench.data.layouts.base import Request, laid
from fesbench.data.layouts.web_faces import MIXED, SIZE


@laid(identities=30, least=15, why=MIXED, size=SIZE, generations=("csv", "folder"))
def write(asked: Request) -> None:
    """Both sets; a third of the subjects are in both. Generations: FER-2013's form."""
    how: dict[str, Any] = {"size": asked.size, "seed": asked.seed, "progress": asked.progress}
    mmafedb.write(asked.out, identities=asked.identities, **how)
    third = asked.identities // 3
    fer2013.write(asked.out / "fer2013", identities=third, generation=asked.generation, **how)
