"""Writing avatars out as RaFD is laid out, so that its adapter can be tried.

The traps: children whose "ethnicity" is Kid, model numbers with gaps, profile angles where no face is
found, gazes and angles beside the expressions, ``.DS_Store`` files, and the files sorted into folders by
expression, as users of StarGAN do. Sixty-seven subjects have exactly RaFD's groups and sexes.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from fesbench.data.datasets.rafd import ANGLES, GAZES, LABELS, MODELS
from fesbench.data.layouts.images import cast, check, in_frame, seen_from, write_junk
from fesbench.data.layouts.jpeg import write_jpeg
from fesbench.data.layouts.plain import empty_folder
from fesbench.vocabulary import canonical_label

GENERATIONS = ("flat", "by-expression")
IDENTITIES = 12

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


def write(
    out: Path,
    *,
    identities: int = IDENTITIES,
    size: int = 200,
    seed: int = 0,
    generation: str | None = None,
    progress: Callable[[int, int, str], None] | None = None,
) -> Path:
    """Write avatars in RaFD's layout: 120 images a subject.

    One rendered image stands for the moment that five cameras took at once; see
    `fesbench.data.layouts.images.seen_from` for the cameras beside the face. Where eyes should look aside
    the avatars look ahead: only the take differs.

    Args:
        out: an empty or new folder.
        identities: how many subjects, 1 to 67.
        size: width of the images in pixels, 64 to 681 (RaFD's own); they are 1024 / 681 times as high.
        seed: of the avatar family.
        generation: "flat", or "by-expression" with a folder for each.
        progress: called with (done, total, what) after each subject.

    Returns:
        ``out``, to be given to ``fesbench data prepare rafd --from``.

    Raises:
        DataError: a number out of its range, a folder that is not empty or not writable, a full disk.
    """
    generation = check(size, 64, 681, generation, GENERATIONS)
    cast_list = cast_of(identities, seed)
    out = empty_folder(out)
    for done, (identity, name) in enumerate(cast_list, 1):
        _write_identity(out, identity, name, size, seed, sort=generation == "by-expression")
        if progress is not None:
            progress(done, identities, "writing RaFD subjects")
    write_junk(out)
    return out


def _write_identity(out: Path, identity: int, name: str, size: int, seed: int, *, sort: bool) -> None:
    from fesbench.data.avatars.rendering import AvatarSpec, render

    moments = [(label, take) for take in range(len(GAZES)) for label in LABELS]
    specs = [AvatarSpec(identity, expression=canonical_label(label), take=take) for label, take in moments]
    height = round(size * 1024 / 681)
    for (label, take), image in zip(moments, render(specs, size, seed=seed).images, strict=True):
        folder = out / label if sort else out
        for angle in ANGLES:
            frame = in_frame(seen_from(image, int(angle) - 90), size, height)
            write_jpeg(folder / f"Rafd{angle}_{name}_{label}_{GAZES[take]}.jpg", frame)
