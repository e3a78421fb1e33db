"""Several runs in one folder, by chance or as shares of one command: each cell is done once, as if alone."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from fesbench.cli.main import main
from fesbench.errors import UsageError
from fesbench.progress import Reporter
from fesbench.runs.plan import RunOptions, count_cells, parse_shard
from tests.end_to_end import PIXELS, PROTOCOLS, command, fesbench, figures, find_records, records

pytestmark = pytest.mark.slow

FOLDED = str(PROTOCOLS / "folded@1.toml")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shared-home")


def at_once(home: Path, *commands: list[str]) -> list[str]:
    """What each of some processes said; all must end well."""
    environment = {**os.environ, "FESBENCH_HOME": str(home), "OMP_NUM_THREADS": "1"}
    started = [
        subprocess.Popen(command(*words), env=environment, stderr=subprocess.PIPE, text=True)
        for words in commands
    ]
    said = [process.communicate(timeout=600)[1] for process in started]
    assert [process.returncode for process in started] == [0] * len(started), said
    return said


def arguments(out: Path, protocol: str) -> list[str]:
    return [
        *("run", "--protocol", protocol, "--methods", "usgan", "--preset", "tiny"),
        *("--budget", "steps=3", "--out", str(out)),
    ]


def test_two_runs_of_one_folder_share_the_cells(tmp_path: Path, home: Path) -> None:
    alone = fesbench(*arguments(tmp_path / "alone", PIXELS), home=home)
    assert alone.returncode == 0, alone.stderr
    said = at_once(home, *[arguments(tmp_path / "shared", PIXELS)] * 2)
    one, two = records(tmp_path / "alone"), records(tmp_path / "shared")
    assert {name: figures(record) for name, record in two.items()} == {
        name: figures(record) for name, record in one.items()
    }
    # whichever came first trained, and the other one found the training done
    trained = [text for text in said if re.search("usgan: train .* s$", text, re.MULTILINE)]
    assert len(trained) <= 1
    assert all(record.status == "scored" for record in two.values())


def test_shares_of_a_folded_run_are_the_whole(tmp_path: Path, home: Path) -> None:
    alone = fesbench(*arguments(tmp_path / "alone", FOLDED), home=home)
    assert alone.returncode == 0, alone.stderr
    shared = arguments(tmp_path / "shared", FOLDED)
    at_once(home, [*shared, "--shard", "1/2"], [*shared, "--shard", "2/2"])
    one = {
        str(path.relative_to(tmp_path / "alone")): record for path, record in find_records(tmp_path / "alone")
    }
    two = {
        str(path.relative_to(tmp_path / "shared")): record
        for path, record in find_records(tmp_path / "shared")
    }
    assert set(one) == set(two)
    for name, record in one.items():
        assert figures(record) == figures(two[name]), name
        assert two[name].status == "scored"


def test_a_slurm_script_runs_a_share_of_the_same_command(
    tmp_path: Path, home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FESBENCH_HOME", str(home))
    script = tmp_path / "run it.sh"
    with pytest.raises(SystemExit) as left:
        main(
            [
                *arguments(tmp_path / "run s", PIXELS),
                "--seeds",
                "0,1",
                "--strict",
                "--emit-sbatch",
                str(script),
            ]
        )
    assert left.value.code == 0
    assert capsys.readouterr().out == f"sbatch '{script}'\n"
    assert "#SBATCH --array=1-6\n" in script.read_text()  # four reference rows, and two seeds of usgan
    text = script.read_text()
    assert "--seeds 0,1 " in text
    assert "--strict " in text
    done = subprocess.run(
        ["bash", str(script)],
        env={**os.environ, "SLURM_ARRAY_TASK_ID": "6", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    found = [record for _, record in find_records(tmp_path / "run s")]
    assert [(record.cell.method, record.cell.seed, record.status) for record in found] == [
        ("usgan", 1, "scored")
    ]


def test_an_array_has_a_task_for_every_fold_that_has_subjects(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FESBENCH_HOME", str(tmp_path))
    rules = tmp_path / "alone@1.toml"
    text = Path(FOLDED).read_text().replace("[9, 0, 0]", "[2, 0, 0]").replace('"folded"', '"alone"')
    rules.write_text(text.replace('rule = "hash"', 'rule = "each"').replace("folds = 3", "folds = 20"))
    asked = RunOptions("usgan", str(rules), size=16, preset="tiny", budget="smoke")
    # up to twenty folds, two subjects; four reference rows and a method
    assert count_cells(asked, Reporter()) == 2 * 5


@pytest.mark.parametrize("text", ["0/2", "3/2", "2", "a/b", "1/0", "-1/3"])
def test_a_share_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="i/n"):
        parse_shard(text)
