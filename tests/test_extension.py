"""A method, a metric, a task kind and a data set of another package: one file each, and no edit elsewhere."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end import command, records

METHOD = '''
from dataclasses import dataclass
from typing import ClassVar

from fesbench.methods.base import Method
from fesbench.methods.card import MethodCard


@dataclass(frozen=True)
class HalfHyper:
    pass


class Half(Method):
    """Half the source's contrast."""

    card: ClassVar = MethodCard("half", "Half", "a test", 2030, frozenset(), frozenset({"expression"}))
    presets: ClassVar = {"paper": HalfHyper(), "tiny": HalfHyper()}

    def synthesize(self, requests):
        return requests.source / 2
'''

DATA = '''
import hashlib

import numpy as np

from fesbench.data.datasets.base import DatasetAdapter, Item, Plan

LABELS = ("neutral", "happiness", "sadness")
TAKES = 2


class Discs(Plan):
    """Eight subjects, each a gray level, whose mouth is a bar at a height for each label."""

    fingerprint = hashlib.sha256(b"discs 1").hexdigest()

    def __init__(self, size):
        self.size = size

    def __len__(self):
        return 8 * TAKES * len(LABELS)

    def read(self, start, stop):
        return [self._item(number) for number in range(start, stop)]

    def _item(self, number):
        who, rest = divmod(number, TAKES * len(LABELS))
        take, label = divmod(rest, len(LABELS))
        image = np.full((self.size, self.size, 3), 60 + 20 * who + 3 * take, np.uint8)
        image[(5 + 3 * label) * self.size // 16 :][:2] = 20
        row = {
            "image": f"d{who}/{LABELS[label]}{take}.png",
            "identity": f"d{who}",
            "expression": LABELS[label],
            "intensity": float(label > 0),
            "take": take,
            "sha256": hashlib.sha256(image.tobytes()).hexdigest(),
        }
        around = np.linspace(0, 2 * np.pi, 68, endpoint=False)
        marks = self.size * (0.5 + 0.3 * np.stack([np.cos(around), np.sin(around)], axis=1))
        return Item(image, row, landmarks=marks)


class DiscsAdapter(DatasetAdapter):
    name = "discs"
    title = "Discs"
    access = license = citation = homepage = layout = "made by a test"
    needs_source = False
    alignment = "none@1"

    def plan(self, source, options, size):
        return Discs(size)


ADAPTER = DiscsAdapter()
'''

METRIC = '''
from fesbench.metrics.base import Found, Metric


class Brightness(Metric):
    """Mean gray level of the outputs."""

    name = "Brightness"
    title = "mean gray level"
    source = "a test"
    meanings = {"mean": "what is averaged"}

    def settings(self):
        return {"mean": "rgb"}

    def find(self, inputs, rows):
        return Found(len(rows), inputs.generated[rows].mean(axis=(1, 2, 3)) / 255)
'''

TASK = '''
from fesbench.protocol.tasks.base import TaskKind


class OtherTake(TaskKind):
    """From the neutral image of one take to the expression of another."""

    name = "other-take"
    words = "from the neutral image of a test {one} to each expression in the other take"
    control = "expression"

    def pairs(self, ask, who, label, level):
        source = ask.index.source(who, ask.domain, 0)
        yield 0, 1, source, ask.index.find(who, label, ask.domain, take=1, intensity=level)
'''

PROTOCOL = """
id = "discs"
version = 1
title = "Discs"
summary = "Four subjects train, two validate, two are tested."

[data]
set = "discs"
size = 32
alignment = "none@1"
pairing = "take"

[split]
rule = "index"
train = 4
validation = 2
test = 2

[[tasks]]
kind = "expression"
labels = ["happiness", "sadness"]

[[tasks]]
kind = "other-take"
labels = ["happiness"]

[metrics]
required = ["SSIM", "Brightness"]
gallery = "other-take"
reference = "other-take"

[budget]
standard_steps = 1
"""

FILES = {"half.py": METHOD, "brightness.py": METRIC, "other_take.py": TASK, "discs.py": DATA}
POINTS = """
[fesbench.methods]
half = half
[fesbench.metrics]
Brightness = brightness:Brightness
[fesbench.tasks]
other-take = other_take
[fesbench.datasets]
discs = discs:ADAPTER
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an installed package of four modules, and one for results."""
    place = tmp_path_factory.mktemp("elsewhere")
    installed = place / "installed"
    info = installed / "extra-1.0.dist-info"
    info.mkdir(parents=True)
    for name, text in FILES.items():
        (installed / name).write_text(text)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: extra\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(POINTS)
    (place / "discs@1.toml").write_text(PROTOCOL)
    return place


def fesbench(place: Path, *arguments: str) -> str:
    """Standard output of a command where the package is installed."""
    path = os.pathsep.join([str(place / "installed"), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "FESBENCH_HOME": str(place / "home"), "PYTHONPATH": path}
    done = subprocess.run(
        command(*arguments), capture_output=True, text=True, env=environment, timeout=300, cwd=place
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("verb", "key", "name"),
    [("methods", "id", "half"), ("metrics", "name", "Brightness"), ("data", "name", "discs")],
)
def test_lists_show_what_a_package_adds(place: Path, verb: str, key: str, name: str) -> None:
    rows: list[dict[str, Any]] = json.loads(fesbench(place, verb, "list", "--json"))
    assert name in [row[key] for row in rows]


@pytest.mark.slow
def test_a_run_uses_all_that_a_package_adds(place: Path) -> None:
    assert "other-take" in fesbench(place, "protocols", "validate", "discs@1.toml")
    options = ("--protocol", "discs@1.toml", "--preset", "tiny", "--budget", "smoke")
    fesbench(place, "run", "--methods", "half", *options, "--out", "runs")
    found = records(place / "runs")
    assert found["half"].cell.data == "discs"
    # of the same take, or of the next one, which is lighter by three
    for task, requests, lighter in (("expression", 4, 0), ("other-take", 2, 3)):
        key = (task, "Brightness", "all")
        half, copy, real = (
            next(s for s in found[name].scores if (s.task, s.metric, s.expression) == key)
            for name in ("half", "copy", "real")
        )
        assert half.n_requested == half.n_valid == requests
        assert half.value == pytest.approx(0.25 + copy.value / 2, abs=1 / 255)
        assert real.value - copy.value == pytest.approx(lighter / 255, abs=1 / 255)
    page = (place / "runs" / "report" / "index.html").read_text()
    assert "in the other take" in page
    assert "Brightness" in page
