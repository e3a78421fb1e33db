from __future__ import annotations

from pathlib import Path

import pytest

from fesbench.data.datasets import dataset
from fesbench.data.datasets.base import Count
from fesbench.data.datasets.listing import ListedPlan
from fesbench.errors import DataError

ADAPTER = dataset("ood")


def plan(root: Path) -> ListedPlan:
    found = ADAPTER.plan(root, ADAPTER.check_options({}), 128)
    assert isinstance(found, ListedPlan)
    return found


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def test_a_folder_of_real_looking_names(tmp_path: Path) -> None:
    touch(
        tmp_path,
        "celebrity/Grace Kelly_1955.jpg",
        "celebrity/Grace Kelly_1956.jpg",
        "celebrity/happy/Grace Kelly_1.png",
        "Statue/david.JPG",
        "statue/afraid/david_2.webp",
        "avatar/neutral/n1.png",
        "avatar/raw/n2.png",
        "avatar/notes.txt",
        "somewhere/n3.png",
        ".DS_Store",
    )
    (tmp_path / "sources.csv").write_text(
        "image,url,license,expression,publishable\n"
        "celebrity/Grace Kelly_1955.jpg,https://example.org/1,CC0,Neutral,yes\n"
        "Statue/david.JPG,https://example.org/2,CC BY,,no\n"
        "celebrity/happy/Grace Kelly_1.png,,,happiness,\n"
        "celebrity/gone.jpg,https://example.org/3,CC0,,yes\n"
    )
    found = plan(tmp_path)
    columns = ("image", "identity", "expression", "intensity", "domain", "take", "publishable")
    assert [tuple(image.row[name] for name in columns) for image in found.images] == [
        ("Statue/david.JPG", "statue-david", "", 1.0, "statue", 0, False),
        ("avatar/neutral/n1.png", "avatar-n1", "neutral", 0.0, "avatar", 0, False),
        ("celebrity/Grace Kelly_1955.jpg", "celebrity-Grace Kelly", "neutral", 0.0, "celebrity", 0, True),
        ("celebrity/Grace Kelly_1956.jpg", "celebrity-Grace Kelly", "", 1.0, "celebrity", 1, False),
        (
            "celebrity/happy/Grace Kelly_1.png",
            "celebrity-Grace Kelly",
            "happiness",
            1.0,
            "celebrity",
            2,
            False,
        ),
        ("statue/afraid/david_2.webp", "statue-david", "fear", 1.0, "statue", 1, False),
    ]
    assert found.facts.counts == (
        Count("celebrity", 3, 1),
        Count("portrait", 0, 1),
        Count("statue", 2, 1),
        Count("avatar", 1, 1),
    )
    assert found.facts.notes == (
        "no image of portrait; such domains are not scored",
        "2 of 6 images declare no expression",
        "1 of 6 images may be shown, by sources.csv",
        "1 images of sources.csv are absent, such as celebrity/gone.jpg",
    )
    assert found.facts.not_understood.first == ("avatar/notes.txt", "avatar/raw/n2.png", "somewhere/n3.png")


def test_without_a_table_nothing_is_shown_and_that_is_said(tmp_path: Path) -> None:
    touch(tmp_path, "mine/portrait/a_1.jpg", "mine/portrait/a_2.jpg", "mine/portrait/b.jpg")
    found = plan(tmp_path)
    assert [(p.row["identity"], p.row["take"], p.row["publishable"]) for p in found.images] == [
        ("portrait-a", 0, False),
        ("portrait-a", 1, False),
        ("portrait-b", 0, False),
    ]
    assert any("there is no sources.csv" in note for note in found.facts.notes)
    assert [p.row["image"] for p in plan(tmp_path / "mine" / "portrait").images] == [
        p.row["image"] for p in found.images
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "portrait/happy/a.jpg,u,l,sad,yes",
            "line 2, column 'expression': found 'sad', and the image lies in",
        ),
        ("portrait/happy/a.jpg,u,l,joyful,yes", "wanted a basic or compound expression"),
        ("portrait/happy/a.jpg,u,l,,perhaps", "column 'publishable': found 'perhaps', wanted yes or no"),
        ("portrait/x.jpg,u,l,,no\nPortrait/x.jpg,u,l,,no", "line 3, column 'image': .* line 2 names too"),
        ("portrait/happy/a.jpg,u,l", "3 cells for 5 columns"),
    ],
)
def test_bad_sources(tmp_path: Path, line: str, message: str) -> None:
    touch(tmp_path, "portrait/happy/a.jpg")
    (tmp_path / "sources.csv").write_text(f"image,url,license,expression,publishable\n{line}\n")
    with pytest.raises(DataError, match=message):
        plan(tmp_path)


def test_rights_enter_the_fingerprint(tmp_path: Path) -> None:
    touch(tmp_path, "portrait/a.jpg")
    before = plan(tmp_path).fingerprint
    (tmp_path / "sources.csv").write_text("image,publishable\nportrait/a.jpg,yes\n")
    assert plan(tmp_path).fingerprint != before


def test_without_images(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="fesbench data prepare ood --from DIR"):
        ADAPTER.plan(None, {}, 64)
    touch(tmp_path, "celebrities/a.png")
    with pytest.raises(DataError, match="no image in one of the four domains"):
        plan(tmp_path)
