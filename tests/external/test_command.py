"""A command as a model: what it gets, what is kept, how it ends; the documented examples run on stand-ins."""

from __future__ import annotations

import csv
import functools
import os
import re
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fesbench.errors import DataError, UsageError
from fesbench.external import command
from fesbench.external import evaluate as module
from fesbench.external.command import CommandAdapter, images_of_command, load_command, run_command
from fesbench.external.requests_export import asked
from fesbench.progress import Reporter
from fesbench.protocol.protocol import load_protocol
from tests.end_to_end import PIXELS

DOCUMENT = Path(__file__).parents[2] / "docs" / "external.md"
ASKED = 2 * 7 + 2
"""Two subjects: seven labels, and happiness as cartoons."""
COPY = 'cp "$SOURCES"/*.png "$OUT"'


@pytest.fixture(scope="module", autouse=True)
def _home(tmp_path_factory: pytest.TempPathFactory):
    """One home, whose data is opened once, and two of its five test subjects."""

    @functools.cache
    def few(name: str, budget: str):
        requests, store = asked(
            load_protocol(PIXELS).with_overrides(size=32, data=None), budget, None, Reporter()
        )
        people = sorted(set(requests["identity"]))[:2]
        return requests[requests["identity"].isin(people)].reset_index(drop=True), store

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FESBENCH_HOME", str(tmp_path_factory.mktemp("home")))
        patch.setattr(command, "asked", lambda protocol, budget, source, reporter: few(protocol.name, budget))
        yield


def asked_of(path: Path, folder: Path, budget: str = "smoke") -> tuple[dict[str, np.ndarray], dict]:
    """The images that a command makes for the small protocol at 32 px, and its card."""
    work = folder / "work"
    work.mkdir()
    protocol = load_protocol(PIXELS).with_overrides(size=32, data=None)
    made, card = images_of_command(
        path, work, folder / "commands" / "x.log", protocol, budget=budget, source=None, reporter=Reporter()
    )
    return {p.stem: np.asarray(Image.open(p)) for p in sorted(made.glob("*.png"))}, card


def table(folder: Path) -> dict[str, dict[str, str]]:
    with open(folder / "work" / "requests.csv") as stream:
        return {row["request"]: row for row in csv.DictReader(stream)}


def written(folder: Path, **lines: object) -> Path:
    path = folder / "it.toml"
    path.write_text("\n".join(f"{key} = {value!r}" for key, value in lines.items()))
    return path


def test_a_command_gets_sources_and_words_and_its_images_come_back(tmp_path: Path) -> None:
    path = written(tmp_path, command=f'{COPY}; echo "size $SIZE in $PWD"')
    path.write_text(path.read_text() + '\n[words]\nhappy = "a smile"\n')
    made, card = asked_of(path, tmp_path)
    rows = table(tmp_path)
    assert len(made) == len(rows) == ASKED
    assert {row["target_words"] for row in rows.values() if row["target_expression"] == "happiness"} == {
        "a smile"
    }
    assert "fear" in {row["target_words"] for row in rows.values()}
    assert all(image.shape == (32, 32, 3) for image in made.values())
    assert "target" not in next(iter(rows.values()))
    log = (tmp_path / "commands" / "x.log").read_text().splitlines()
    assert log == [f"$ {load_command(path).command}", f"size 32 in {tmp_path}"]
    assert (card["command"], card["log"]) == (load_command(path).command, "commands/x.log")
    assert "resize" not in card


def test_another_size_is_resized_there_and_back_and_told(tmp_path: Path) -> None:
    path = written(tmp_path, command=COPY, size=64)
    made, card = asked_of(path, tmp_path)
    assert {Image.open(p).size for p in (tmp_path / "work" / "sources").glob("*.png")} == {(64, 64)}
    assert {image.shape for image in made.values()} == {(32, 32, 3)}
    assert card["resize"].startswith("32-64-32:")


def test_only_the_tasks_that_it_names_are_asked_for(tmp_path: Path) -> None:
    path = written(tmp_path, command=COPY, tasks=["transfer"])
    assert len(asked_of(path, tmp_path, "standard")[0]) == len(table(tmp_path)) > 0
    assert {row["task"] for row in table(tmp_path).values()} == {"transfer"}
    assert all(row["target_landmarks"] for row in table(tmp_path).values())
    (tmp_path / "second").mkdir()
    with pytest.raises(UsageError, match="asks for none of transfer under budget smoke"):
        asked_of(path, tmp_path / "second")


def test_a_failure_names_the_log_and_its_last_line(tmp_path: Path) -> None:
    adapter = CommandAdapter(command="echo starts; echo no weights >&2; exit 3")
    with pytest.raises(DataError, match=r"left with code 3: no weights \(all of it in .*x\.log\)"):
        run_command(tmp_path / "it.toml", adapter, tmp_path, tmp_path / "x.log", 32)
    assert "starts" in (tmp_path / "x.log").read_text()


def test_a_command_that_hangs_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    adapter = CommandAdapter(command='sleep 300 & echo $! > "$WORK/child"; wait', minutes=0.01)
    started = time.monotonic()
    with pytest.raises(DataError, match=r"did not end within 0\.01 minutes and was ended"):
        run_command(tmp_path / "it.toml", adapter, tmp_path, tmp_path / "x.log", 32)
    assert time.monotonic() - started < 30
    child = int((tmp_path / "child").read_text())
    for _ in range(50):
        if not _runs(child):
            break
        time.sleep(0.1)
    assert not _runs(child)


def _runs(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"  # a zombie has ended; its parent has not looked


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ({}, "'command': Field required"),
        ({"command": "x", "minuts": 3}, "'minuts': Extra inputs"),
        ({"command": "x", "minutes": 0}, "'minutes': Input should be greater than 0"),
        ({"command": "x", "tasks": ["sequence"]}, "'tasks': 'sequence' asks for clips"),
        (
            {"command": "x", "tasks": ["expresion"]},
            "'tasks': no task kind 'expresion'. Did you mean expression",
        ),
    ],
)
def test_a_wrong_file_is_refused_by_its_key(tmp_path: Path, lines: dict, told: str) -> None:
    with pytest.raises(UsageError, match=re.escape(told)):
        load_command(written(tmp_path, **lines))


def test_words_are_of_known_expressions(tmp_path: Path) -> None:
    path = written(tmp_path, command="x")
    path.write_text(path.read_text() + '\n[words]\nhapy = "a"\n')
    with pytest.raises(UsageError, match="unknown expression 'hapy'"):
        load_command(path)


def test_evaluate_scores_what_the_command_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = {}

    def scored(folder: Path, **options):
        seen.update(options, files=len(list(folder.iterdir())))

    monkeypatch.setattr(module, "evaluate_folder", scored)
    path = written(tmp_path, command=COPY, trained_on="CelebA")
    module.evaluate(path, protocol=PIXELS, size=32, budget="smoke", out=tmp_path / "runs")
    assert (seen["name"], seen["files"]) == ("it", ASKED)
    assert seen["made_by"]["trained_on"] == "CelebA"
    assert (tmp_path / "runs" / "commands" / "it.log").is_file()


def blocks(heading: str) -> list[str]:
    """The code blocks below a heading of the documentation."""
    part = DOCUMENT.read_text().split(f"### {heading}\n")[1].split("\n##")[0]
    return re.findall(r"```\w+\n(.*?)```", part, flags=re.S)


@pytest.fixture
def stand_ins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of modules that stand for packages, found before the real ones by the command."""
    folder = tmp_path / "stand-ins"
    folder.mkdir()
    monkeypatch.setenv("PYTHONPATH", str(folder))
    monkeypatch.setenv("PYTHON", sys.executable)
    return folder


EDITOR = """
from PIL import ImageOps

class _Made:
    def __init__(self, images): self.images = images

class StableDiffusionInstructPix2PixPipeline:
    @classmethod
    def from_pretrained(cls, name):
        assert name == "timbrooks/instruct-pix2pix"
        return cls()
    def to(self, device): return self
    def __call__(self, prompt, image, generator):
        assert generator.seed > 0 and image.size == (512, 512)
        print(prompt)
        return _Made([ImageOps.invert(image)])
"""
TORCH = """
class cuda:
    is_available = staticmethod(lambda: False)

class Generator:
    def __init__(self, device): assert device == "cpu"
    def manual_seed(self, seed):
        self.seed = seed
        return self
"""


def test_the_documented_image_editor_runs(tmp_path: Path, stand_ins: Path) -> None:
    (stand_ins / "diffusers.py").write_text(EDITOR)
    (stand_ins / "torch.py").write_text(TORCH)
    toml, script = blocks("An image editor of diffusers")
    (tmp_path / "edit.toml").write_text(toml)
    (tmp_path / "edit.py").write_text(script)
    made, card = asked_of(tmp_path / "edit.toml", tmp_path)
    assert len(made) == ASKED
    assert card["trained_on"].startswith("LAION-5B")
    log = (tmp_path / "commands" / "x.log").read_text()
    assert log.count("make this person smile\n") == 2 + 2
    name = next(iter(made))
    source = np.asarray(Image.open(tmp_path / "work" / "sources" / f"{name}.png").resize((32, 32)))
    assert np.abs(made[name].astype(int) - (255 - source.astype(int))).mean() < 4


DRIVER = """
import argparse
from pathlib import Path
from PIL import Image

parser = argparse.ArgumentParser()
for name in "sdo": parser.add_argument(f"-{name}", type=Path)
given = parser.parse_args()
(given.o / "animations").mkdir(parents=True)
both = Image.blend(Image.open(given.s), Image.open(given.d).resize((512, 512)), 0.5)
both.save(given.o / "animations" / f"{given.s.stem}--{given.d.stem}.jpg")
"""


def test_the_documented_driver_runs(tmp_path: Path, stand_ins: Path) -> None:
    toml, script = blocks("A face that drives another")
    (tmp_path / "drive.toml").write_text(toml.replace("[words]", "tasks = ['expression']\n[words]"))
    (tmp_path / "drive.py").write_text(script)
    (tmp_path / "inference.py").write_text(DRIVER)
    (tmp_path / "drivers").mkdir()
    shades = {}
    for number, label in enumerate(re.findall(r'^(\w+) = "\w+\.jpg"$', toml, flags=re.M)):
        shades[label] = 30 * number
        Image.new("RGB", (40, 40), (shades[label],) * 3).save(tmp_path / "drivers" / f"{label}.jpg")
    made, card = asked_of(tmp_path / "drive.toml", tmp_path)
    assert len(made) == ASKED
    assert card["resize"].startswith("32-512-32:")
    for name, row in table(tmp_path).items():
        source = np.asarray(Image.open(tmp_path / "work" / "sources" / f"{name}.png")).mean()
        assert made[name].mean() == pytest.approx((source + shades[row["target_expression"]]) / 2, abs=3)


NETWORK = """
import numpy as np

class InferenceSession:
    def __init__(self, path): assert path.endswith("net.onnx") and open(path).read() == "network"
    def run(self, outputs, given):
        assert given["image"].shape == (1, 3, 32, 32) and given["image"].dtype == np.float32
        return [np.full((1, 3, 32, 32), given["class"][0] / 10, dtype=np.float32)]
"""
DOCKER = """#!{python}
import os, subprocess, sys

# a container that is none: mounted folders under their names outside
given, mounts, variables = sys.argv[1:], {{}}, {{}}
assert given[:4] == ["run", "--rm", "--network", "none"]
rest = given[4:]
while rest[0] in ("-v", "-e"):
    kind, value, *rest = rest
    if kind == "-v":
        outside, inside = value.split(":")[:2]
        mounts[inside] = outside
    else:
        name, value = value.split("=")
        variables[name] = value
assert rest[:2] == ["onnx-runtime", "python"]

def outside(text):
    for inside, place in mounts.items():
        text = text.replace(inside, place)
    return text

script = outside(open(outside(rest[2])).read())
inner = {{**os.environ, **{{name: outside(value) for name, value in variables.items()}}}}
sys.exit(subprocess.call([{python!r}, "-c", script], env=inner))
"""


def test_the_documented_container_runs(
    tmp_path: Path, stand_ins: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (stand_ins / "onnxruntime.py").write_text(NETWORK)
    (stand_ins / "docker").write_text(DOCKER.format(python=sys.executable))
    (stand_ins / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", f"{stand_ins}{os.pathsep}{os.environ['PATH']}")
    toml, script = blocks("A class-conditional network in a container")
    (tmp_path / "contained.toml").write_text(toml)
    (tmp_path / "classes.py").write_text(script)
    (tmp_path / "net.onnx").write_text("network")
    made, _ = asked_of(tmp_path / "contained.toml", tmp_path)
    assert len(made) == ASKED
    for name, row in table(tmp_path).items():
        shown = round((int(row["target_words"]) / 10 + 1) * 127.5)
        assert (made[name] == shown).all()
