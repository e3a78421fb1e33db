"""From a runs folder to results: what goes out, what comes back, what is refused, what the page shows."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import spearmanr

from fesbench.cli.main import main
from fesbench.errors import RecordError, UsageError
from fesbench.reports.boards import read_runs
from fesbench.reports.site import build
from fesbench.reports.study_results import STUDIES
from fesbench.study.answers import checksum, load_key, read_answers
from fesbench.study.design import REAL
from fesbench.study.make import KEY, QUESTIONS, Key, destroyed, make_study
from fesbench.study.results import read_study
from tests.study.conftest import METHODS

BETTER = ["reggan", "mr", "stargan", "usgan"]


def answered(key: Key, rater: str, choose: Callable[[Any], str]) -> dict[str, Any]:
    """A file as the page would save it."""
    trials = key.raters[rater]
    answers: Any = {trial.token: dict.fromkeys(QUESTIONS, choose(trial)) for trial in trials}
    return {
        "kind": "fesbench-study-answers",
        "study": key.study,
        "rater": rater,
        "trials": key.digest(rater),
        "consent": True,
        "device": {"screen": [390, 844], "ratio": 3, "touch": True},
        "started": "2026-01-01T10:00:00.000Z",
        "ended": "2026-01-01T10:10:00.000Z",
        "answers": answers,
        "check": checksum(answers, [trial.token for trial in trials]),
    }


def sensible(trial: Any) -> str:
    order = [REAL, *BETTER, "destroyed"]
    return "left" if order.index(trial.left) < order.index(trial.right) else "right"


def write(folder: Path, *files: dict[str, Any]) -> Path:
    folder.mkdir(exist_ok=True)
    for number, content in enumerate(files):
        (folder / f"answers-{number}.json").write_text(json.dumps(content))
    return folder


def test_a_page_shows_no_method_and_no_private_subject(study: Path, key: Key) -> None:
    for page in study.glob("*.html"):
        text = page.read_text()
        assert not any(f'"{name}"' in text for name in (*METHODS, "destroyed", "a0221"))
        assert "http" not in text.replace("http-equiv", "")
    assert all(trial.subject != "a0221" for mine in key.raters.values() for trial in mine)


def test_sensible_raters_order_the_methods(tmp_path: Path, key: Key, runs: Path) -> None:
    files = [answered(key, rater, sensible) for rater in key.raters]
    found = read_study(write(tmp_path / "answers", *files), key, runs=runs)
    ours = {
        (run.method, score.metric): score.value
        for run in read_runs(runs)[0]
        for score in run.record.scores
        if (score.task, score.domain, score.expression) == ("expression", "in", "all")
    }
    assert (found.raters, found.refused, found.dropped) == (6, {}, {})
    assert [question.name for question in found.questions] == list(QUESTIONS)
    for question in found.questions:
        assert [m.method for m in question.methods] == BETTER
        assert question.alpha == pytest.approx(1.0)
        assert question.methods[0].share == 1.0
        rho = {m.metric: m.rho for m in question.metrics}
        for metric, sign in (("ECS", 1), ("FID", -1)):
            expected = spearmanr([sign * ours[method, metric] for method in BETTER], [4, 3, 2, 1]).statistic
            assert rho[metric] == pytest.approx(expected)
    assert (runs / STUDIES / f"{key.study}.json").is_file()
    page = build(runs, tmp_path / "report").read_text()
    assert 'href="#study"' in page
    assert "6 raters answered three questions" in page
    (runs / STUDIES / "x.json").write_text("{}")
    with pytest.raises(RecordError, match="'fesbench study read' writes"):
        build(runs, tmp_path / "report")
    (runs / STUDIES / "x.json").unlink()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"study": "abc"}, "of another study"),
        ({"rater": "77"}, "the study has no rater '77'"),
        ({"trials": "0" * 16}, "made from another page"),
        ({"consent": False}, "did not consent"),
        ({"kind": "x"}, "no answers of a study"),
        ({"check": "00000000"}, "changed after it was saved"),
        ({"more": 1}, "no answers of a study"),
    ],
)
def test_foreign_and_changed_files_are_refused(
    tmp_path: Path, key: Key, change: dict[str, Any], why: str
) -> None:
    content = answered(key, "1", sensible) | change
    found = read_answers(write(tmp_path / "answers", content), key)
    assert not found.raters
    assert why in found.refused["answers-0.json"]


def test_unfinished_doubled_and_damaged_files_are_refused(tmp_path: Path, key: Key) -> None:
    unfinished = answered(key, "1", sensible)
    unfinished["answers"].pop(key.raters["1"][0].token)
    alien = answered(key, "2", sensible)
    alien["answers"]["deadbeef"] = {"realism": "left"}
    turned = answered(key, "2", lambda trial: {"left": "right", "right": "left"}[sensible(trial)])
    flipped = answered(key, "3", sensible)
    flipped["answers"][key.raters["3"][0].token]["realism"] = "tie"
    folder = write(
        *(tmp_path / "answers", unfinished, alien, flipped),
        *(answered(key, "2", sensible), turned, answered(key, "4", sensible), answered(key, "4", sensible)),
    )
    (folder / "broken.json").write_bytes(b"{\xff")
    (folder / "deep.json").write_text("[" * 100_000)
    (folder / "huge.json").write_text(" " * 2_000_001)
    found = read_answers(folder, key)
    assert list(found.raters) == ["4"]  # the same file twice is one file
    assert found.refused == {
        "answers-0.json": "unfinished: 19 of 20 pairs answered",
        "answers-1.json": "it answers what was not asked",
        "answers-2.json": "changed after it was saved",
        "answers-3.json": "several files answer rater 2's page differently",
        "answers-4.json": "several files answer rater 2's page differently",
        "broken.json": "no answers of a study",
        "deep.json": "no answers of a study",
        "huge.json": "larger than 2 MB",
    }


def test_who_fails_the_traps_is_dropped_and_counted(tmp_path: Path, key: Key) -> None:
    always_left = answered(key, "1", lambda trial: "left")
    blind = answered(
        key,
        "2",
        lambda trial: "right" if trial.left == REAL else "left" if trial.right == REAL else sensible(trial),
    )
    found = read_answers(write(tmp_path / "answers", always_left, blind, answered(key, "3", sensible)), key)
    assert list(found.raters) == ["3"]
    assert "turned round 3 of 3 answers to repeated pairs" in found.dropped["1"]
    assert found.dropped["2"] == "took 1 of 1 destroyed images for real"
    with pytest.raises(RecordError, match="holds no answers"):
        read_answers(tmp_path, key)


def test_the_trap_is_a_ruin_of_the_image() -> None:
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    ruined = destroyed(image)
    assert (ruined.shape, ruined.dtype) == (image.shape, np.uint8)
    assert np.array_equal(ruined, destroyed(image))
    flat = destroyed(np.full((64, 64, 3), 128, np.uint8))
    assert 50 < flat.std() < 65


def test_what_cannot_be_made_is_refused(runs: Path, study: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds a study already"):
        make_study(runs, METHODS, raters=2, pairs=10, out=study)
    with pytest.raises(UsageError, match=r"no board below .* holds copy, mr, real, sargan; there are: "):
        make_study(runs, ["mr", "sargan"], raters=2, pairs=10, out=tmp_path)
    with pytest.raises(RecordError, match="no key of a study"):
        load_key(next(study.glob("*.html")))
    with pytest.raises(RecordError, match=r"No such file.*key\.json of the study"):
        load_key(tmp_path / KEY)


def test_the_verbs(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def run(*arguments: str) -> str:
        with pytest.raises(SystemExit) as left:
            main(["study", *arguments])
        assert left.value.code == 0
        return capsys.readouterr().out

    out = tmp_path / "study"
    said = run(
        "make", str(runs), "--methods", "mr, usgan", "--raters", "2", "--pairs", "10", "--out", str(out)
    )
    assert said.startswith("2 pages in ")
    key = load_key(out / KEY)
    folder = write(tmp_path / "answers", *[answered(key, rater, sensible) for rater in key.raters])
    said = run("read", str(folder), "--key", str(out / KEY))
    assert "2 raters, 8 pairs of images" in said
    assert "Which image looks more real? (Krippendorff's alpha" in said
    assert json.loads(run("read", str(folder), "--key", str(out / KEY), "--json"))["raters"] == 2
    assert int(run("power", "--preference", "60")) > 2
