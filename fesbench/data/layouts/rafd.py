"""Writing avatars out as RaFD is laid out, so that its adapter can be tried.

The traps: children whose "ethnicity" is Kid, model numbers with gaps, profile angles where no face is
found, gazes and angles beside the expressions, ``.DS_Store`` files, and the files sorted into folders by
expression, as users of StarGAN do. Sixty-seven subjects have exactly RaFD's groups and sexes.
"""

from __future__ import annotations

from pathlib import Path

from fesbench.data.avatars.rendering import AvatarSpec, render
from fesbench.data.datasets.rafd import ANGLES, GAZES, LABELS, MODELS
from fesbench.data.layouts.base import Request, laid
from fesbench.data.layouts.images import cast, in_frame, seen_from, write_junk
from fesbench.data.layouts.jpeg import write_jpeg
from fesbench.vocabulary import canonical_label

GROUPS = {
    "female": (*("Caucasian", "Kid") * 6, *("Caucasian",) * 13),
    "male": (*("Caucasian", "Moroccan", "Kid") * 4, *("Caucasian", "Moroccan") * 14, *("Caucasian",) * 2),
}
"""The groups of RaFD's subjects by sex; who comes first is ours."""


def cast_of(count: int, seed: int = 0) -> list[tuple[int, str]]:
    """(Avatar, "28_Caucasian_male") of so many subjects, by ascending model number.

    Raises:
        DataError: more subjects than RaFD has (67), or none.
    """
    roles = {sex: [f"{group}_{sex}" for group in groups] for sex, groups in GROUPS.items()}
    chosen = cast(roles, count, seed)
    return [(who, f"{number}_{role}") for number, (who, role) in zip(MODELS[:count], chosen, strict=True)]


@laid(identities=12, most=67, size=200, sizes=(64, 681), generations=("flat", "by-expression"))
def write(asked: Request) -> None:
    """120 images a subject; they are 1024 / 681 times as high as wide, as RaFD's.

    One rendered image stands for the moment that five cameras took at once; see
    `fesbench.data.layouts.images.seen_from` for the cameras beside the face. Where eyes should look aside
    the avatars look ahead: only the take differs.
    """
    out = asked.folder()
    for done, (identity, name) in enumerate(cast_of(asked.identities, asked.seed), 1):
        _write_identity(out, identity, name, asked)
        asked.tell(done, asked.identities, "writing RaFD subjects")
    write_junk(out)


def _write_identity(out: Path, identity: int, name: str, asked: Request) -> None:
    moments = [(label, take) for take in range(len(GAZES)) for label in LABELS]
    specs = [AvatarSpec(identity, expression=canonical_label(label), take=take) for label, take in moments]
    height = round(asked.size * 1024 / 681)
    batch = render(specs, asked.size, seed=asked.seed)
    for (label, take), image in zip(moments, batch.images, strict=True):
        folder = out / label if asked.generation == "by-expression" else out
        for angle in ANGLES:
            frame = in_frame(seen_from(image, int(angle) - 90), asked.size, height)
            write_jpeg(folder / f"Rafd{angle}_{name}_{label}_{GAZES[take]}.jpg", frame)
