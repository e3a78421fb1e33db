from __future__ import annotations

import hashlib
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fesbench.data.datasets import dataset
from fesbench.data.datasets.base import Item, Plan, Skipped
from fesbench.data.datasets.fer2013_csv import CsvPlan
from fesbench.data.datasets.listing import ListedPlan
from fesbench.data.prepare import prepare
from fesbench.errors import DataError, UnknownNameError

ADAPTER = dataset("fer2013")
PIXELS = " ".join(str(k % 256) for k in range(2304))
VOTES = "Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF\n"


def plan(root: Path, **options: object) -> Plan:
    return ADAPTER.plan(root, ADAPTER.check_options(options), 48)


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def table(root: Path, *lines: str, header: str = "emotion,pixels,Usage") -> Path:
    root.mkdir(parents=True, exist_ok=True)
    (root / "fer2013.csv").write_bytes(("\n".join((header, *lines)) + "\n").encode())
    return root


def listed(root: Path, **options: object) -> ListedPlan:
    found = plan(root, **options)
    assert isinstance(found, ListedPlan)
    return found


def test_a_table_that_is_gone_is_named(tmp_path: Path) -> None:
    found = plan(table(tmp_path, f"0,{PIXELS},Training"))
    (tmp_path / "fer2013.csv").unlink()
    with pytest.raises(DataError, match=r"fer2013\.csv cannot be read \(No such file"):
        found.read(0, 1)


def test_every_code_and_usage_of_the_table(tmp_path: Path) -> None:
    usages = ("Training", "PublicTest", "PrivateTest")
    table(tmp_path, *(f"{code},{PIXELS},{usages[code % 3]}" for code in range(7)))
    entries = plan(tmp_path).read(0, 7)
    found = [
        (e.row["image"], e.row["expression"], e.row["intensity"], e.row["part"], e.row["identity"])
        for e in entries
        if isinstance(e, Item)
    ]
    assert found == [
        ("Training/0000000", "anger", 1.0, "train", "?Training/0000000"),
        ("PublicTest/0000001", "disgust", 1.0, "validation", "?PublicTest/0000001"),
        ("PrivateTest/0000002", "fear", 1.0, "test", "?PrivateTest/0000002"),
        ("Training/0000003", "happiness", 1.0, "train", "?Training/0000003"),
        ("PublicTest/0000004", "sadness", 1.0, "validation", "?PublicTest/0000004"),
        ("PrivateTest/0000005", "surprise", 1.0, "test", "?PrivateTest/0000005"),
        ("Training/0000006", "neutral", 0.0, "train", "?Training/0000006"),
    ]
    first = entries[0]
    assert isinstance(first, Item)
    assert first.image.shape == (48, 48, 3)
    # row-major: the second line begins at value 48
    assert first.image[1, 0].tolist() == [48, 48, 48]
    assert first.image[0, 47].tolist() == [47, 47, 47]
    assert first.row["sha256"] == hashlib.sha256(bytes(k % 256 for k in range(2304))).hexdigest()
    assert plan(tmp_path).facts.not_understood.count == 0


def test_a_slice_is_what_it_is_of_the_whole(tmp_path: Path) -> None:
    lines = [f"{k},{' '.join(str(k + j % 2) for j in range(2304))},Training" for k in range(6)]
    found = pickle.loads(pickle.dumps(plan(table(tmp_path, *lines))))
    assert isinstance(found, CsvPlan)
    means = [[e.image[0, 0, 0] for e in found.read(a, b)] for a, b in ((0, 6), (2, 4), (5, 9))]
    assert means == [[0, 1, 2, 3, 4, 5], [2, 3], [5]]


def test_bad_lines_are_skipped_with_their_number(tmp_path: Path) -> None:
    table(
        tmp_path,
        f"0,{PIXELS},Training",
        f"0,{PIXELS} 1,Training",
        "",
        f"7,{PIXELS},Training",
        f"3,{PIXELS},Validation",
        f"3,{PIXELS.replace(' 255 ', ' 256 ', 1)},PublicTest",
        f"3,{PIXELS.replace(' 255 ', ' x ', 1)},PublicTest",
        f"3,{PIXELS}",
        f"6,{' '.join(['0'] * 2304)},PrivateTest",
        f"6,{PIXELS[:4000]}",
    )
    found = plan(tmp_path)
    entries = found.read(0, len(found))
    reasons = [(e.image, e.reason) for e in entries if isinstance(e, Skipped)]
    assert len(found) == 9
    assert isinstance(entries[0], Item)
    assert reasons == [
        ("Training/0000001", "line 3 of fer2013.csv: 2305 pixels instead of 2304"),
        ("?/0000002", "line 5 of fer2013.csv: emotion '7' instead of 0 to 6"),
        (
            "?/0000003",
            "line 6 of fer2013.csv: usage 'Validation' instead of Training, PublicTest, PrivateTest",
        ),
        ("PublicTest/0000004", "line 7 of fer2013.csv: a pixel above 255"),
        (
            "PublicTest/0000005",
            "line 8 of fer2013.csv: a pixel that is no number",
        ),
        ("?/0000006", "line 9 of fer2013.csv: 2 cells instead of 3"),
        ("PrivateTest/0000007", "every pixel has the same value; there is no face to see"),
        ("?/0000008", "line 11 of fer2013.csv: 2 cells instead of 3"),
    ]
    counts = {count.what: (count.found, count.expected) for count in found.facts.counts}
    assert counts["images"] == (5, 35887)
    assert counts["train"] == (2, 28709)
    assert counts["validation"] == (2, 3589)
    assert counts["test"] == (1, 3589)
    assert counts["happiness"] == (2, 8989)
    assert any(note.startswith("4 lines of fer2013.csv have no valid label") for note in found.facts.notes)
    assert found.facts.notes[0].startswith("this copy of FER-2013 is partial (images 5 of 35887")


def test_the_columns_go_by_their_names(tmp_path: Path) -> None:
    (tmp_path / "fer2013.csv").write_bytes(
        f'\ufeffemotion, Usage, pixels\r\n4,PublicTest,"{PIXELS}"\r\n'.encode()
    )
    (entry,) = plan(tmp_path).read(0, 1)
    assert isinstance(entry, Item)
    assert (entry.row["expression"], entry.row["part"]) == ("sadness", "validation")
    with pytest.raises(DataError, match="begins with 'label,pixels', not with FER-2013's columns"):
        plan(table(tmp_path, header="label,pixels"))


def test_the_fingerprint_follows_the_content(tmp_path: Path) -> None:
    before = plan(table(tmp_path, f"0,{PIXELS},Training")).fingerprint
    assert plan(table(tmp_path / "b" / "c", f"0,{PIXELS},Training")).fingerprint == before
    assert plan(table(tmp_path / "d", f"1,{PIXELS},Training")).fingerprint != before


def test_the_published_counts_agree_with_each_other() -> None:
    expected = ADAPTER.expected
    assert expected["images"] == expected["train"] + expected["validation"] + expected["test"] == 35887
    labels = ("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")
    assert sum(expected[label] for label in labels) == 35887
    # the classes of the Kaggle copy's train and test folders
    assert [expected[label] for label in labels] == [
        3995 + 958,
        436 + 111,
        4097 + 1024,
        7215 + 1774,
        4965 + 1233,
        4830 + 1247,
        3171 + 831,
    ]


@pytest.mark.parametrize("outer", ["", "archive/"])
def test_folders_whose_file_names_keep_the_owners_parts(tmp_path: Path, outer: str) -> None:
    classes = ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")
    root = tmp_path / "fer"
    touch(root, *(f"{outer}train/{name}/Training_{k}.jpg" for k, name in enumerate(classes)))
    touch(root, f"{outer}test/happy/PrivateTest_10.jpg", f"{outer}test/sad/PublicTest_1 (2).jpg")
    touch(root, f"{outer}train/happy/Thumbs.db", f"{outer}train/joy/x.jpg", "readme.txt")
    found = listed(root)
    columns = ("image", "identity", "expression", "part")
    rows = {image.row["image"]: tuple(image.row[c] for c in columns[1:]) for image in found.images}
    assert rows == {
        "train/angry/Training_0.jpg": ("?train/angry/Training_0.jpg", "anger", "train"),
        "train/disgust/Training_1.jpg": ("?train/disgust/Training_1.jpg", "disgust", "train"),
        "train/fear/Training_2.jpg": ("?train/fear/Training_2.jpg", "fear", "train"),
        "train/happy/Training_3.jpg": ("?train/happy/Training_3.jpg", "happiness", "train"),
        "train/neutral/Training_4.jpg": ("?train/neutral/Training_4.jpg", "neutral", "train"),
        "train/sad/Training_5.jpg": ("?train/sad/Training_5.jpg", "sadness", "train"),
        "train/surprise/Training_6.jpg": ("?train/surprise/Training_6.jpg", "surprise", "train"),
        "test/happy/PrivateTest_10.jpg": ("?test/happy/PrivateTest_10.jpg", "happiness", "test"),
        "test/sad/PublicTest_1 (2).jpg": ("?test/sad/PublicTest_1 (2).jpg", "sadness", "validation"),
    }
    assert found.facts.not_understood.first == (f"{outer}train/joy/x.jpg",)
    counts = {count.what: (count.found, count.expected) for count in found.facts.counts}
    assert (counts["test"], counts["validation"]) == ((1, 3589), (1, 3589))
    assert any("the file names say the owner's parts (9 of 9 images" in note for note in found.facts.notes)
    assert any("fer2013.csv alone has the exact pixels" in note for note in found.facts.notes)


def test_folders_with_both_test_parts_in_one(tmp_path: Path) -> None:
    touch(tmp_path, "train/angry/im0.png", "test/angry/im0.png", "test/sad/im1.png")
    found = listed(tmp_path)
    assert [image.row["part"] for image in found.images] == ["test", "test", "train"]
    counts = {count.what: (count.found, count.expected) for count in found.facts.counts}
    assert counts["test"] == (2, 7178)
    assert "validation" not in counts
    assert any("PublicTest and PrivateTest together" in note for note in found.facts.notes)
    touch(tmp_path, "test/sad/PublicTest_7.jpg")
    mixed = listed(tmp_path)
    assert any("3 names say none, such as im" in note for note in mixed.facts.notes)
    assert [image.row["part"] for image in mixed.images] == ["test", "validation", "test", "train"]


def test_the_other_kaggle_pack_has_parts_of_its_own(tmp_path: Path) -> None:
    touch(tmp_path, "images/train/angry/0.jpg", "images/validation/angry/10052.jpg")
    found = listed(tmp_path)
    assert [(p.row["image"], p.row["part"]) for p in found.images] == [
        ("train/angry/0.jpg", "train"),
        ("validation/angry/10052.jpg", "validation"),
    ]
    assert {count.what for count in found.facts.counts}.isdisjoint({"train", "validation", "test"})
    assert any("they are not FER-2013's Training, PublicTest and" in note for note in found.facts.notes)
    touch(tmp_path, "images/images/train/angry/0.jpg")
    with pytest.raises(DataError, match="give the folder of one copy"):
        plan(tmp_path)
    touch(tmp_path / "b", "x/train/angry/0.jpg", "y/train/angry/1.jpg")
    with pytest.raises(DataError, match="both hold part/class folders"):
        plan(tmp_path / "b")


def test_ferplus_votes(tmp_path: Path) -> None:
    lines = (
        "Training,fer0000000.png,4,0,0,1,3,2,0,0,0,0",
        "Training,fer0000001.png,0,6,0,1,3,0,0,0,0,0",
        "Training,,0,0,0,0,0,0,0,0,0,10",
        "PublicTest,fer0000003.png,0,0,0,0,0,0,0,9,1,0",
        "PrivateTest,fer0000004.png,0,9,0,0,0,0,0,0,0,1",
        "PrivateTest,fer0000005.png,0,5,0,0,0,0,0,0,5,0",
        "PrivateTest,fer0000006.png,6,0,0,0,0,0,4,0,0,0",
        "PrivateTest,fer0000009.png,6,0,0,0,0,0,4,0,0,0",
        "Training,fer0000001.png,0,6,0,1,3,0,0,0,0,0",  # twice, and the same
        "Training,fer0000008.png,0,6,0,1,3,0,0,0,0,0",
        "Training,fer0000008.png,0,7,0,0,3,0,0,0,0,0",
    )
    (tmp_path / "fer2013new.csv").write_text(VOTES + "\n".join(lines) + "\n")
    touch(
        tmp_path,
        *(f"data/FER2013Train/fer000000{k}.png" for k in (0, 1, 7, 8)),
        "data/FER2013Train/label.csv",
    )
    touch(tmp_path, "data/FER2013Valid/fer0000003.png")
    touch(tmp_path, *(f"data/FER2013Test/fer000000{k}.png" for k in (4, 5, 6)))
    found = listed(tmp_path)
    assert [
        (p.row["image"], p.row["expression"], p.row["part"], p.row["intensity"]) for p in found.images
    ] == [
        ("FER2013Test/fer0000006.png", "neutral", "test", 0.0),
        ("FER2013Train/fer0000001.png", "happiness", "train", 1.0),
        ("FER2013Valid/fer0000003.png", "contempt", "validation", 1.0),
    ]
    (count,) = found.facts.counts
    assert (count.found, count.expected) == (8, 35710)
    assert found.facts.notes[1:] == (
        "labels are the majority of FER+'s ten votes, not FER-2013's own",
        "1 images have a vote for 'not a face'; they are left out",
        "2 images have no expression that more than half of the votes agree on; they are left out",
        "1 images have no line in fer2013new.csv; they are left out",
        "1 images have two lines in fer2013new.csv whose votes differ; they are left out",
        "1 lines of fer2013new.csv name an image that is not here",
        "1 lines of fer2013new.csv name no image (FER+ dropped them)",
    )
    assert found.facts.not_understood.count == 0
    (tmp_path / "fer2013new.csv").write_text(f"{VOTES}Training,fer0000001.png,0,six,0,0,0,0,0,0,0,0\n")
    with pytest.raises(DataError, match="line 2, column 'happiness': found 'six'"):
        plan(tmp_path)
    (tmp_path / "fer2013new.csv").write_text(f"{VOTES}Training,fer0000001.png,5,5,0,0,0,0,0,0,0,0\n")
    with pytest.raises(DataError, match="has a majority"):
        plan(tmp_path)
    (tmp_path / "fer2013new.csv").unlink()
    with pytest.raises(DataError, match=r"put fer2013new\.csv beside them"):
        plan(tmp_path)


def test_the_table_is_preferred_and_the_choice_noted(tmp_path: Path) -> None:
    table(tmp_path / "a", f"0,{PIXELS},Training")
    touch(tmp_path, "a/fer/train/happy/1.jpg")
    found = plan(tmp_path)
    assert isinstance(found, CsvPlan)
    assert "the form 'csv' is used; folder is here too" in found.facts.notes
    assert listed(tmp_path, form="folder").images[0].row["image"] == "train/happy/1.jpg"
    with pytest.raises(DataError, match=r"in the form csv and folder, not in the form 'fer\+'"):
        plan(tmp_path, form="fer+")
    with pytest.raises(DataError, match="option 'form' must be auto, csv, folder, fer"):
        ADAPTER.check_options({"form": "zip"})
    with pytest.raises(UnknownNameError, match="Did you mean form"):
        ADAPTER.check_options({"forms": "csv"})


def test_without_images(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="fesbench data prepare fer2013 --from DIR"):
        ADAPTER.plan(None, {}, 48)
    with pytest.raises(DataError, match=r"holds nothing of FER-2013\.\n"):
        plan(tmp_path)
    touch(tmp_path, "MMAFEDB/train/happy/1.jpg", "other/valid/happy/1.jpg")
    with pytest.raises(DataError, match=r"holds nothing of FER-2013 .*are MMAFEDB's"):
        plan(tmp_path)


def test_images_of_one_flat_gray_are_skipped(tmp_path: Path) -> None:
    touch(tmp_path, "train/happy/empty.jpg")
    for name, value in (("black", 0), ("gray", 90)):
        Image.new("L", (48, 48), value).save(tmp_path / f"train/happy/{name}.jpg")
    face = np.random.default_rng(0).integers(0, 256, (48, 48), np.uint8)
    Image.fromarray(face).save(tmp_path / "train/happy/ok.png")
    store = prepare("fer2013", size=48, alignment="none@1", source=tmp_path)
    assert store.manifest.table["image"].tolist() == ["train/happy/ok.png"]
    assert {f["image"].split("/")[-1]: f["reason"][-12:] for f in store.info["failures"]} == {
        "black.jpg": " face to see",
        "gray.jpg": " face to see",
        "empty.jpg": "e file again",
    }
    assert np.array_equal(store.images[0, :, :, 1], face)
    assert not store.manifest.identities_known
