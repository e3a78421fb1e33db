"""The command line: quick help, plain errors, exit codes that a script can tell apart."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from fesbench.cli.main import main

HEAVY = ("torch", "torchvision", "pandas", "numpy", "scipy", "sklearn", "deepface", "dlib", "matplotlib")


def leave(*arguments: str) -> int:
    with pytest.raises(SystemExit) as caught:
        main(list(arguments))
    return int(caught.value.code or 0)


@pytest.mark.parametrize(
    ("arguments", "shown"), [(["--help"], "Benchmark and evaluation suite"), (["methods"], "StarGAN")]
)
def test_help_and_lists_import_nothing_heavy(arguments: list[str], shown: str) -> None:
    script = (
        "import sys\nfrom fesbench.cli.main import main\n"
        f"try:\n    main({arguments!r})\nexcept SystemExit:\n    pass\n"
        f"print([m for m in {HEAVY!r} if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert shown in done.stdout
    assert done.stderr.strip().endswith("[]")


def test_an_unknown_method_is_a_usage_error_with_near_names(capsys: pytest.CaptureFixture[str]) -> None:
    assert leave("run", "--methods", "stragan") == 2
    assert "Did you mean stargan" in capsys.readouterr().err


def test_an_unknown_option_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert leave("run", "--metods", "mr") == 2
    assert "--metods" in capsys.readouterr().err


def test_bad_seeds_and_budgets_are_usage_errors(capsys: pytest.CaptureFixture[str]) -> None:
    assert leave("run", "--seeds", "a") == 2
    assert leave("run", "--budget", "soon") == 2
    assert "minutes=M" in capsys.readouterr().err


def test_report_without_records_says_what_makes_them(
    capsys: pytest.CaptureFixture[str], tmp_path: object
) -> None:
    assert leave("report", str(tmp_path)) == 2
    assert "fesbench run" in capsys.readouterr().err


def test_lists_are_json_when_asked(capsys: pytest.CaptureFixture[str]) -> None:
    assert leave("protocols", "--json") == 0
    assert {row["name"] for row in json.loads(capsys.readouterr().out)} >= {"avatars@1", "ck+@1"}
    assert leave("methods", "--json") == 0
    rows = {row["id"]: row for row in json.loads(capsys.readouterr().out)}
    assert {"mr", "reggan", "stargan", "ganimation", "pix2pix", "usgan"} <= set(rows)
    assert {name for name, row in rows.items() if row["reference"]} == {"real", "copy", "mean-shift", "warp"}


def test_ckplus_without_its_folder_says_what_it_is_and_what_else_to_do(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert leave("run", "--methods", "mr", "--protocol", "ck+", "--size", "64") == 2
    told = capsys.readouterr().err
    for word in ("Cohn-Kanade", "agreement", "cohn-kanade-images", "--data avatars"):
        assert word in told


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("run", "--device", "tpu"), "none of auto, cpu, cuda"),
        (("run", "--preset", "huge"), "none of paper, tiny"),
        (("run", "--methods", ","), "names no method"),
        (("protocols", "show", "avatars", "--size", "8"), "--size 8 is out of range"),
        (("data", "make", "faces", "--out", "x"), "only 'avatars' can be made"),
        (("data", "make", "avatars", "--out", "x", "--layout", "rafdd"), "Did you mean rafd"),
        (("weights", "pull", "inception"), "Did you mean inception-tf-2015"),
    ],
)
def test_a_wrong_word_is_told_with_the_remedy(
    arguments: tuple[str, ...], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert leave(*arguments) == 2
    assert told in " ".join(capsys.readouterr().err.split())
