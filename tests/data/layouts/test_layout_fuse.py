from __future__ import annotations

from pathlib import Path

import pytest

from fesbench.data.layouts.fuse import write
from fesbench.data.prepare import prepare
from fesbench.data.splits.assign import Split
from fesbench.data.splits.leakage import find_leakage
from fesbench.errors import DataError


@pytest.mark.parametrize(("generation", "to_the_byte"), [("csv", 0), ("folder", 18 + 1)])
def test_each_image_of_fer2013_is_found_again_in_mmafedb(
    tmp_path: Path, generation: str, to_the_byte: int
) -> None:
    source = write(tmp_path / "made", identities=15, generation=generation)
    store = prepare("fuse", size=48, alignment="none@1", source=source)
    table = store.manifest.table
    first = table["image"].str.startswith("fer2013/")
    odd_one = 1 if generation == "folder" else 0
    assert int(first.sum()) == 5 * 7 + 2 + odd_one
    assert int((~first).sum()) == 15 * 7 + 2
    split = Split(frozenset(table["identity"][first]), frozenset(), frozenset(table["identity"][~first]))
    pairs = find_leakage(store.manifest, store.images, split)
    # every image of the shared subjects once, and FER-2013's own two duplicates once more
    assert {pair.kind for pair in pairs} <= {"file", "image"}
    assert len(pairs) == 5 * 7 + 2
    assert sum(pair.kind == "file" for pair in pairs) == to_the_byte
    copies = {int(pair.second.rsplit("im", 1)[1].split(".")[0]) for pair in pairs}
    assert copies == set(range(35))


def test_bad_requests(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="needs 15 subjects or more"):
        write(tmp_path / "x", identities=10)
    with pytest.raises(DataError, match="must be one of csv, folder"):
        write(tmp_path / "x", generation="images")
