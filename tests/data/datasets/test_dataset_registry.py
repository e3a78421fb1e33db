"""The data sets by name: listed from their sources, imported one by one, others' found beside them."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from fesbench import registry
from fesbench.data.datasets import DATASETS, DESCRIBED, dataset, described
from fesbench.errors import UnknownNameError, UsageError

MINE = """
from fesbench.data.datasets.base import DatasetAdapter

class Mine(DatasetAdapter):
    name, title, access, license = "mine", "t", "a", "l"
    citation = "c"
    homepage = "h"
    serves = "faces"
    layout, needs_source = "l", True

    def plan(self, source, options, size):
        raise NotImplementedError

ADAPTER = Mine()
"""


@pytest.fixture
def others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[EntryPoint]:
    """Entry points of other packages; the module ``my_faces`` can be imported."""
    points: list[EntryPoint] = []
    (tmp_path / "my_faces.py").write_text(MINE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(registry, "entry_points", lambda group: points)
    monkeypatch.setattr(DATASETS, "_made", dict(DATASETS._made))
    monkeypatch.delitem(sys.modules, "my_faces", raising=False)
    return points


def test_what_is_listed_is_what_the_adapters_say() -> None:
    rows = described()
    assert [row["name"] for row in rows] == sorted(DATASETS.names())
    assert {"avatars", "ck+", "folder", "fuse"} <= {row["name"] for row in rows}
    for row in rows:
        adapter = dataset(row["name"])
        assert row == {key: getattr(adapter, key) for key in DESCRIBED}


def test_fuse_quotes_the_two_sets_that_it_joins() -> None:
    one, two, both = dataset("fer2013"), dataset("mmafedb"), dataset("fuse")
    assert both.access == f"FER-2013: {one.access}. MMAFEDB: {two.access}"
    assert both.citation == f"{one.citation}. {two.citation}"
    assert both.homepage == f"{one.homepage} and {two.homepage}"


def test_a_list_imports_no_data_set_and_one_name_one_module() -> None:
    script = (
        "import sys; from fesbench.data.datasets import dataset, described; described();"
        "heavy = {'numpy', 'torch', 'pandas', 'PIL', 'fesbench.data.datasets.kdef'} & set(sys.modules);"
        "assert not heavy, heavy; dataset('kdef');"
        "assert not {'torch', 'fesbench.data.datasets.rafd'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_another_package_adds_a_data_set_in_one_file(others: list[EntryPoint]) -> None:
    others.append(EntryPoint("mine", "my_faces:ADAPTER", "fesbench.datasets"))
    (row,) = [row for row in described() if row["name"] == "mine"]
    assert row["serves"] == "faces"
    assert dataset("mine").title == "t"


def test_a_taken_name_and_a_broken_package_are_told(others: list[EntryPoint]) -> None:
    others += [
        EntryPoint("kdef", "my_faces:ADAPTER", "fesbench.datasets"),
        EntryPoint("gone", "no_such_module", "fesbench.datasets"),
        EntryPoint("odd", "my_faces:Mine", "fesbench.datasets"),
    ]
    with pytest.warns(UserWarning, match="name is taken by fesbench"):
        assert "kdef" in DATASETS.names()
    assert type(dataset("kdef")).__module__ == "fesbench.data.datasets.kdef"
    with pytest.warns(UserWarning, match="'gone'"):
        assert not {"gone", "odd"} & {row["name"] for row in described()}
    with pytest.raises(UsageError, match="no DatasetAdapter instance"):
        dataset("odd")


def test_the_nearest_name_is_told() -> None:
    with pytest.raises(UnknownNameError, match="kdef"):
        dataset("kdeff")
