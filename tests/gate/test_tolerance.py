"""Tolerance files: what they may say, and how their faults are told."""

from pathlib import Path

import pytest

from fesbench.errors import UsageError
from fesbench.gate.tolerance import COST_TOLERANCES, Tolerance, default_tolerance, load_tolerances

METRICS = ("ECS", "FID", "TAR@FAR=1%")


def load(folder: Path, text: str):
    path = folder / "tolerance.toml"
    path.write_text(text)
    return load_tolerances(path, METRICS)


def test_everything_it_can_say(tmp_path: Path) -> None:
    found = load(
        tmp_path,
        'expressions = true\nignore = ["flops"]\n[metrics]\nECS = 0.02\nFID = "5%"\n"TAR@FAR=1%" = 0\n'
        '[cost]\nimages_per_second = "40%"\n',
    )
    assert found.of("ECS") == Tolerance(0.02)
    assert found.of("FID").of(30.0) == pytest.approx(1.5)
    assert found.of("TAR@FAR=1%") == Tolerance(0.0)
    assert found.cost == {**COST_TOLERANCES, "images_per_second": 0.4}
    assert (found.expressions, found.ignore) == (True, frozenset({"flops"}))


def test_defaults_follow_the_range() -> None:
    assert default_tolerance("ECS") == Tolerance(0.01)
    assert default_tolerance("FSS[arcface]") == Tolerance(0.01)  # half a percent of -1 .. 1
    assert default_tolerance("PSNR") == Tolerance(0.4)
    assert default_tolerance("FID").of(-20) == 1.0


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("[metrics]\nEXS = 1", r"'metrics\.EXS' is not known; known: ECS, FID, TAR@FAR=1%"),
        ("[metrics]\nECS = -0.1", r"'metrics\.ECS' must be a number >= 0"),
        ("[metrics]\nECS = true", r"'metrics\.ECS' must be"),
        ('[metrics]\nECS = "five"', r"'metrics\.ECS' must be"),
        ('[metrics]\nECS = "x%"', r"'metrics\.ECS' must be"),
        ("[metrics]\nECS = inf", r"'metrics\.ECS' must be"),
        ("[cost]\nflops = 0.1", r"'cost\.flops' must be a percentage"),
        ("[cost]\nprice = '1%'", r"'cost\.price' is not known"),
        ("metrics = 3", r"'metrics' must be a table"),
        ("expressions = 1", r"'expressions' must be true or false"),
        ("ignore = 'ECS'", r"'ignore' must be a list"),
        ("ignore = ['ESC']", r"ignore: ESC"),
        ("strict = true", r"'strict' is not known"),
        ("[metrics", r"cannot be read as TOML"),
    ],
)
def test_faults_name_file_and_key(tmp_path: Path, text: str, match: str) -> None:
    with pytest.raises(UsageError, match=match) as error:
        load(tmp_path, text)
    assert "tolerance.toml" in str(error.value)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"does not exist; leave --tolerance out"):
        load_tolerances(tmp_path / "none.toml", METRICS)
