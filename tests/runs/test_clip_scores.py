"""A whole run of a protocol of clips: the reference rows, scored beside a panel of judges, to the page."""

from __future__ import annotations

import math
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fesbench.cli.main import main
from fesbench.data.images import read_image
from fesbench.data.store.aligned import AlignedStore
from fesbench.errors import DataError
from fesbench.external.evaluate import evaluate, evaluate_folder
from fesbench.external.requests_export import asked, wanted, write_sources
from fesbench.external.shares import extract_folder
from fesbench.files import fesbench_home
from fesbench.judges.panel import members_of
from fesbench.metrics.selection import metrics_of, protocol_metrics
from fesbench.progress import Reporter
from fesbench.protocol.protocol import load_protocol
from fesbench.records.frames import read_frames
from fesbench.records.record import Record
from fesbench.runs.plan import RunOptions, run
from tests.end_to_end import PROTOCOLS, find_records

pytestmark = pytest.mark.slow

VIDEO, BUDGET = str(PROTOCOLS / "video@1.toml"), "steps=3"
ROWS = {"copy", "mean-shift", "real", "warp"}
JUDGED = {"ECS-apex", "Intensity-correlation", "ECS-clip"}
AGAINST_ITSELF = "the target clip against itself"
Values = dict[tuple[str, str], dict[str, float]]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    place = tmp_path_factory.mktemp("video")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FESBENCH_HOME", str(place / "home"))
        summary = run(RunOptions("copy", VIDEO, budget=BUDGET, out=place / "runs"))
        assert summary.exit_code == 0, [record.error for record in summary.records]
        yield place / "runs"


@pytest.fixture(scope="module")
def rows(runs: Path) -> dict[str, Record]:
    return {record.cell.method: record for _, record in find_records(runs)}


@pytest.fixture(scope="module")
def values(rows: dict[str, Record]) -> Values:
    """Task and metric -> row -> its pooled score."""
    found: Values = {}
    for name, record in rows.items():
        for key, value in pooled(record).items():
            found.setdefault(key, {})[name] = value
    return found


def pooled(record: Record) -> dict[tuple[str, str], float]:
    """Task and metric -> score."""
    kept = [score for score in record.scores if score.expression == "all" and score.value is not None]
    return {(score.task, score.metric): score.value for score in kept if score.value is not None}


@pytest.fixture(scope="module")
def asked_of_others(runs: Path) -> tuple[pd.DataFrame, AlignedStore]:
    return asked(load_protocol(VIDEO), BUDGET, None, Reporter())


def test_every_metric_of_clips_is_scored_for_every_row(rows: dict[str, Record]) -> None:
    metrics = protocol_metrics(load_protocol(VIDEO))
    assert set(rows) == ROWS
    for name, record in rows.items():
        assert record.status == "scored"
        assert record.ramped is (name == "mean-shift")
        for task in {score.task for score in record.scores}:
            measured = {score.metric for score in record.scores if score.task == task}
            assert measured == set(metrics_of(task, metrics))
            assert len(measured) == 21
        clips = 4 if name == "mean-shift" else 6
        assert record.counts["images"] == clips
        if "faces_not_found" in record.counts:
            # of six frames, and under motion-transfer of four
            assert record.counts["frames"] == 4 * 6 + 4 * (clips - 4)
        unscored = {score.metric: score.reason for score in record.scores if score.value is None}
        own = {score.metric for score in record.scores if "target" in metrics[score.metric].card.needs}
        weights = unscored.pop("LPIPS-frames", "weights: alexnet")
        assert weights == AGAINST_ITSELF or weights.startswith("weights: alexnet")
        network = unscored.pop("FVD")
        assert network.startswith(("weights: i3d-kinetics-400", "needs clips of 9 frames"))
        assert unscored.pop("FD-clip").startswith("needs 10 images a side")
        assert unscored.pop("IS-clip") == "needs 10 clips, has 2"
        expected = own - {"LPIPS-frames"} if name == "real" else set()
        assert unscored == dict.fromkeys(expected, AGAINST_ITSELF)
    told = [(item.task, item.reason) for item in rows["mean-shift"].not_run]
    assert told == [("motion-transfer", "not applicable: does not control motion-transfer")]


def test_the_panel_stands_in_the_scores_that_read_a_judge_and_in_no_other(rows: dict[str, Record]) -> None:
    judges = members_of(BUDGET)
    assert judges > 1
    for record in rows.values():
        for score in (score for score in record.scores if score.value is not None):
            assert len(score.without_judge or []) == (judges if score.metric in JUDGED else 0), score.metric
            assert (f"|judges:K={judges}," in score.signature) is (score.metric in JUDGED)
        assert [check.judge for check in record.judge_checks] == ["judge", "clip-judge"]
        images, clips = record.judge_checks
        # two test subjects with a clip of two expressions each
        assert (clips.images, clips.subjects, clips.shown) == (4, 2, ["happiness", "surprise"])
        assert clips.seen == ["neutral", "happiness", "surprise", "unreadable"]
        digests = {score.metric: score.signature.partition("digest=")[2][:8] for score in record.scores}
        assert digests["ECS-clip"] != digests["ECS-apex"]
        assert clips.signature.endswith(digests["ECS-clip"])
        assert images.signature.endswith(digests["ECS-apex"])


def test_the_rows_frame_the_scale(values: Values) -> None:
    for task in ("sequence", "motion-transfer"):
        apex, sure = values[task, "ECS-apex"], values[task, "Intensity-correlation"]
        assert apex["real"] == max(apex.values())
        assert sure["real"] > sure["copy"] == 0
        assert set(values[task, "First-frame"].values()) == {1.0}
        assert len(set(values[task, "Motion-floor"].values())) == 1
        for name in ("ACD-I", "ACD-C", "Drift", "Jerk", "Motion-length"):
            assert values[task, name]["copy"] == 0
            assert min(value for row, value in values[task, name].items() if row != "copy") > 0
        assert values[task, "Motion-distance"]["copy"] == pytest.approx(math.pi / 2)
        assert values[task, "Onset-error"]["copy"] == values[task, "Apex-error"]["copy"] == 1
    for name in ("Motion-distance", "Onset-error", "Apex-error", "Flicker"):
        found = values["sequence", name]
        assert found["warp"] < found["copy"], name
    assert values["sequence", "SSIM-frames"]["warp"] > values["sequence", "SSIM-frames"]["copy"]


def test_every_frame_has_what_the_curves_show(runs: Path, rows: dict[str, Record]) -> None:
    for name, record in rows.items():
        folder = runs / record.cell.folder
        frames, samples = (
            read_frames(folder),
            pd.read_parquet(folder / "samples.parquet").set_index("request"),
        )
        assert frames is not None
        lengths = frames.groupby("request")["frame"].agg(["size", "max"])
        for task, length in (("sequence", 6), ("motion-transfer", 4)):
            asked = samples.index[samples["task"] == task]
            assert (lengths.loc[asked] == [length, length - 1]).all(axis=None)
        later = frames[frames["frame"] > 0].groupby("request")["NME"].mean()
        assert later.to_numpy() == pytest.approx(samples.loc[later.index, "NME-frames"], rel=1e-5)
        for request, clip in frames.groupby("request"):
            seen, true = (clip[column].to_numpy(float) for column in ("intensity", "true intensity"))
            expected = 0.0 if np.ptp(seen) == 0 else np.corrcoef(seen, true)[0, 1]
            told = samples.at[request, "Intensity-correlation"]
            assert told == pytest.approx(expected, abs=1e-4), (name, request)
        faces = frames.dropna(subset="face")
        assert set(faces["frame"]) <= {3, 5, 2}
        assert np.linalg.norm(np.stack(faces["face"]), axis=1) == pytest.approx(1)


def test_the_page_shows_clips_with_their_metrics(runs: Path) -> None:
    page = (runs / "report" / "index.html").read_text(encoding="utf-8")
    for words in ("Motion-distance", "Intensity-correlation", "ramped", AGAINST_ITSELF):
        assert words in page
    assert "another subject&#39;s clip" in page or "another subject's clip" in page
    assert 'id="clips"' in page
    # six requests of source, target and warp, four of the ramped row, two whose drivers are shown
    assert len(list((runs / "report" / "images").glob("*-clips-*.webp"))) == 3 * 6 + 4 + 2


def test_an_external_program_is_told_lengths_and_names_and_gets_the_drivers_frames(
    asked_of_others: tuple[pd.DataFrame, AlignedStore], tmp_path: Path
) -> None:
    requests, store = asked_of_others
    table = wanted(requests, store)
    assert (table["file"] == table["request"] + "/%04d.png").all()
    assert dict(zip(table["task"], table["length"], strict=True)) == {"sequence": 6, "motion-transfer": 4}
    driven = (table["task"] == "motion-transfer").to_numpy()
    assert (table["driver_files"] == np.where(driven, table["file"], "")).all()
    write_sources(requests, store, tmp_path)
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == set(table["request"][driven])
    for row, told in zip(requests[driven].itertuples(), table[driven].itertuples(), strict=True):
        frames = [read_image(tmp_path / (told.driver_files % frame)) for frame in range(told.length)]
        assert len(list((tmp_path / row.request).iterdir())) == told.length
        assert np.array_equal(frames[-1], store.images[row.driver])
        assert store.manifest.table["identity"][row.driver] != row.identity
        assert np.array_equal(read_image(tmp_path / told.source_file), store.images[row.source])
    stills = SimpleNamespace(table=store.manifest.table.assign(sequence=""))
    with pytest.raises(DataError, match="grants a driver whose image is the end of no clip"):
        write_sources(requests, SimpleNamespace(manifest=stills, images=store.images), tmp_path)


def test_what_shares_have_seen_of_clips_the_scoring_does_not_compute(
    runs: Path, rows: dict[str, Record], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FESBENCH_HOME", str(runs.parent / "home"))
    ours = tmp_path / "brighter"
    for file in sorted((runs / rows["warp"].cell.folder / "clips").rglob("*.png")):
        made = ours / file.parent.name / file.name
        made.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.minimum(read_image(file), 254) + np.uint8(1)).save(made)

    def known(path: Path) -> set[tuple[str, bytes]]:
        with closing(sqlite3.connect(path)) as connection:
            return set(connection.execute("SELECT extractor, content FROM features"))

    cache = fesbench_home() / "features" / "features.sqlite"
    before = known(cache)
    shares = [
        known(extract_folder(ours, (number, 2), protocol=VIDEO, budget=BUDGET, out=runs)) for number in (1, 2)
    ]
    assert min(map(len, shares)) > 30
    assert known(cache) == before
    record = evaluate_folder(ours, protocol=VIDEO, budget=BUDGET, out=runs)
    assert known(cache) == before | shares[0] | shares[1]
    assert pooled(record)["sequence", "SSIM-frames"] < 1


def test_the_real_clips_from_elsewhere_score_as_the_truth(
    runs: Path, rows: dict[str, Record], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ours = tmp_path / "truth"
    shutil.copytree(runs / rows["real"].cell.folder / "clips", ours)
    # one clip as a lossless animation
    first = sorted(ours.iterdir())[0]
    frames = [Image.open(path) for path in sorted(first.iterdir())]
    frames[0].save(
        ours / f"{first.name}.webp", save_all=True, append_images=frames[1:], lossless=True, duration=40
    )
    shutil.rmtree(first)
    record = evaluate_folder(ours, protocol=VIDEO, budget=BUDGET, out=runs)
    found, real = pooled(record), pooled(rows["real"])
    assert {key: found[key] for key in real} == real
    for task in ("sequence", "motion-transfer"):
        assert found[task, "SSIM-frames"] == pytest.approx(1)
        assert found[task, "PSNR-frames"] == pytest.approx(80)
        assert found[task, "Flicker"] == 0
    for name in ("Motion-distance", "Onset-error", "Apex-error"):
        assert found["sequence", name] == pytest.approx(0, abs=1e-6)
    assert found["sequence", "Motion-length"] == pytest.approx(1)
    assert record.not_run == []

    broken = next(path for path in ours.iterdir() if path.is_dir()) / "0001.png"
    broken.write_bytes(broken.read_bytes()[:100])
    with pytest.raises(DataError, match=r"1 of 6 clips in .* cannot be scored: .*0001.png is truncated"):
        evaluate_folder(ours, protocol=VIDEO, budget=BUDGET, out=runs)
    with pytest.raises(SystemExit) as left:
        main(["evaluate", str(ours), "--protocol", VIDEO, "--budget", BUDGET, "--dry-run"])
    assert left.value.code == 2
    assert "unreadable: 1" in capsys.readouterr().out


def test_a_function_makes_clips_of_what_the_label_grants(runs: Path, rows: dict[str, Record]) -> None:
    def still(sources: np.ndarray, requests: list[dict[str, object]]) -> np.ndarray:
        (length,) = {int(str(request["length"])) for request in requests}
        return np.repeat(sources[:, None], length, axis=1)

    record = evaluate(still, protocol=VIDEO, budget=BUDGET, out=runs, batch_size=3)
    expected = {key: value for key, value in pooled(rows["copy"]).items() if key[0] == "sequence"}
    assert pooled(record) == expected
    assert [(item.task, item.reason) for item in record.not_run] == [
        ("motion-transfer", "no images were given")
    ]
    with pytest.raises(DataError, match="must return uint8 clips of 6 frames of the sources' shape"):
        evaluate(lambda sources, _: sources, protocol=VIDEO, budget=BUDGET, out=runs)
