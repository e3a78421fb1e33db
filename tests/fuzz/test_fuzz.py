"""Spoiled files of every kind that others write: a valid value, or a fesbench error that names the file.

A few examples each here; ``tox -e fuzz`` takes ten thousand.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from fesbench.errors import FesbenchError
from tests.fuzz.binary_readers import BINARIES
from tests.fuzz.label_readers import LABELS
from tests.fuzz.limits import limits
from tests.fuzz.mutations import spoiled
from tests.fuzz.reader import Reader
from tests.fuzz.text_readers import TEXTS

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "8"))


@pytest.mark.parametrize("reader", [*TEXTS, *LABELS, *BINARIES], ids=lambda reader: reader.name)
def test_a_spoiled_file_is_read_or_refused_by_name(reader: Reader, tmp_path: Path) -> None:
    path = tmp_path / reader.file
    path.parent.mkdir(parents=True, exist_ok=True)
    names = {path.name, *(folder for folder in path.parents if tmp_path in folder.parents)}
    seeds = reader.seeds(tmp_path)
    for seed in seeds:
        path.write_bytes(reader.packed(seed))
        reader.read(path)  # what it starts from is valid

    @settings(
        max_examples=max(1, EXAMPLES // reader.share),
        deadline=None,
        database=None,
        derandomize="FUZZ_EXAMPLES" not in os.environ,  # the suite's few are the same every time
        suppress_health_check=list(HealthCheck),
    )
    @given(spoiled(seeds, tree=reader.tree))
    def refused_or_read(content: bytes) -> None:
        path.write_bytes(reader.packed(content))
        said = None
        try:
            with limits():
                reader.read(path)
        except FesbenchError as error:
            said = str(error)
        assert said is None or any(str(name) in said for name in names), said

    refused_or_read()
