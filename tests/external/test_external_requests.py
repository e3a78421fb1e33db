"""What an external program is told, and what becomes of its images; judge and metrics are not run."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fesbench.cli.main import main
from fesbench.context.context import RunContext
from fesbench.data.store.aligned import AlignedStore
from fesbench.errors import EXIT_CELLS_FAILED, DataError, UsageError
from fesbench.external.evaluate import CellsFailedError, evaluate, evaluate_folder
from fesbench.external.requests_export import asked, wanted, write_sources
from fesbench.extractors.cache import FeatureCache
from fesbench.progress import Reporter
from fesbench.protocol.protocol import Protocol, load_protocol
from fesbench.protocol.requests import build_requests
from fesbench.protocol.split import build_split
from fesbench.records.record import Cell, NotRun, Record, load_record
from tests.end_to_end import MINI


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shared-home")


@pytest.fixture(autouse=True)
def _shared_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FESBENCH_HOME", str(home))


@pytest.fixture
def mini() -> tuple[Protocol, pd.DataFrame, AlignedStore]:
    protocol = load_protocol(MINI).with_overrides(size=32, data=None)
    requests, store = asked(protocol, "standard", None, Reporter())
    return protocol, requests, store


@pytest.fixture
def scoring(monkeypatch: pytest.MonkeyPatch) -> list[pd.DataFrame]:
    """All of ``evaluate_folder`` but judge, reference rows and metrics; gives the tables that were scored."""
    scored: list[pd.DataFrame] = []

    def context(
        protocol: Protocol, *, budget: str, out: Path, source: Path | None, reporter: Reporter
    ) -> Any:
        from fesbench.context.build import open_store

        store = open_store(protocol, source, reporter)
        split = build_split(protocol, store)
        requests, not_run = build_requests(protocol, store, split, budget)
        cache = FeatureCache(out / "features.sqlite")
        return RunContext(protocol, store, split, budget, requests, not_run, None, {}, cache, out)

    monkeypatch.setattr("fesbench.context.folded.open_context", context)
    monkeypatch.setattr("fesbench.runs.folds.run_jobs", lambda *_, **__: [])
    monkeypatch.setattr(
        "fesbench.evaluation.score.score_cell",
        lambda context, record, requests, *_, **__: scored.append(requests),
    )
    return scored


def answer(folder: Path, requests: pd.DataFrame, size: int = 32) -> Path:
    """Gray images for these requests."""
    folder.mkdir()
    for name in requests["request"]:
        Image.fromarray(np.full((size, size, 3), 90, np.uint8)).save(folder / f"{name}.png")
    return folder


def test_the_table_names_pictures_and_holds_no_row_and_no_truth(mini) -> None:
    _, requests, store = mini
    table = wanted(requests, store)
    assert set(table.columns).isdisjoint({"source", "driver", "target", "noise_seed"})
    assert (table["file"] == table["request"] + ".png").all()
    names = set(store.manifest.table["image"])
    assert set(table["source_image"]) <= names
    truth = build_requests(mini[0], store, build_split(mini[0], store), "standard")[0]["target"]
    images = store.manifest.table["image"].to_numpy()
    shown = set(table.astype(str).to_numpy().ravel())
    assert shown.isdisjoint(images[truth])


def test_a_transfer_grants_its_drivers_landmarks_alone(mini) -> None:
    _, requests, store = mini
    table = wanted(requests, store)
    transfer = (table["task"] == "transfer").to_numpy()
    assert transfer.any()
    assert not transfer.all()
    assert (table.loc[~transfer, "target_landmarks"] == "").all()
    for text, driver in zip(
        table.loc[transfer, "target_landmarks"], requests.loc[transfer, "driver"], strict=True
    ):
        marks = json.loads(text)
        assert len(marks) == 68
        assert marks == [
            [round(float(x), 2), round(float(y), 2)] for x, y in store.manifest.landmarks[driver]
        ]


def test_landmarks_that_nobody_knows_are_left_empty(mini) -> None:
    _, requests, store = mini
    marks = store.manifest.landmarks.copy()
    transfer = requests[requests["task"] == "transfer"]
    marks[transfer["driver"].iloc[0], 5, 1] = np.nan
    manifest = SimpleNamespace(table=store.manifest.table, landmarks=marks)
    column = wanted(transfer, SimpleNamespace(manifest=manifest))["target_landmarks"]
    assert column.iloc[0] == ""


def test_the_folder_holds_every_source_and_nothing_else(mini, tmp_path: Path) -> None:
    _, requests, store = mini
    write_sources(requests, store, tmp_path / "sources")
    table = wanted(requests, store)
    files = {path.name for path in (tmp_path / "sources").iterdir()}
    assert files == set(table["source_file"])
    row = requests[requests["task"] == "transfer"].iloc[0]
    with Image.open(tmp_path / "sources" / f"{row.request}.png") as image:
        assert np.array_equal(np.asarray(image), store.images[row.source])


def test_a_folder_that_cannot_be_written_says_so(mini, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match="cannot write"):
        write_sources(mini[1], mini[2], tmp_path / "file")


def test_the_command_writes_table_and_pictures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, sources = tmp_path / "requests.csv", tmp_path / "sources"
    with pytest.raises(SystemExit) as left:
        main(["protocols", "requests", MINI, "--size", "32", "--out", str(out), "--sources", str(sources)])
    assert not left.value.code
    table = pd.read_csv(out, keep_default_na=False)
    assert f"{len(table)} requests written" in capsys.readouterr().out
    assert all((sources / name).is_file() for name in table["source_file"])


def test_a_function_is_asked_for_what_the_label_alone_grants(
    scoring: list[pd.DataFrame], tmp_path: Path
) -> None:
    seen: list[dict[str, object]] = []

    def paint(sources: np.ndarray, requests: list[dict[str, object]]) -> np.ndarray:
        assert len(sources) == len(requests)
        seen.extend(requests)
        return 255 - sources

    record = evaluate(paint, protocol=MINI, size=32, out=tmp_path, batch_size=7)
    assert {request["given"] for request in seen} == {"label"}
    assert set(seen[0]).isdisjoint({"source", "driver", "target", "target_landmarks"})
    assert record.cell.method == "paint"
    assert set(scoring[0]["task"]) == {"expression"}
    assert set(scoring[0]["request"]) == {request["request"] for request in seen}
    assert record.not_run == [NotRun(task="transfer", domain="in", reason="no images were given")]
    made = tmp_path / record.cell.folder / "images" / f"{seen[8]['request']}.png"
    with Image.open(made) as image:
        assert np.asarray(image).shape == (32, 32, 3)


def test_a_function_gets_the_sources_of_its_requests(mini, scoring, tmp_path: Path) -> None:
    _, requests, store = mini
    rows = requests.set_index("request")["source"]

    def check(sources: np.ndarray, batch: list[dict[str, object]]) -> np.ndarray:
        for image, request in zip(sources, batch, strict=True):
            assert np.array_equal(image, store.images[rows[request["request"]]])
        return sources

    assert evaluate(check, protocol=MINI, size=32, out=tmp_path, batch_size=4).status == "scored"


def test_a_function_of_another_shape_is_refused(scoring: list[pd.DataFrame], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="must return uint8 images of the sources' shape"):
        evaluate(lambda sources, _: sources / 255, protocol=MINI, size=32, out=tmp_path)
    assert not scoring


def test_a_protocol_without_labels_cannot_be_answered_by_a_function(tmp_path: Path) -> None:
    text = Path(MINI).read_text().replace('given = "label"', 'given = "landmarks"\nfrom_budget = "standard"')
    head, _, rest = text.partition("[[tasks]]")
    last = rest.rpartition("[[tasks]]")[2]
    only = tmp_path / "only@1.toml"
    only.write_text(f"{head}[[tasks]]{last}".replace('id = "mini"', 'id = "only"'))
    with pytest.raises(UsageError, match="nothing by its label alone"):
        evaluate(lambda sources, _: sources, protocol=str(only), size=32, out=tmp_path)


def test_a_folder_may_answer_the_transfer(mini, scoring, tmp_path: Path, monkeypatch) -> None:
    requests = mini[1]
    chosen = requests[requests["task"] == "transfer"]
    said: list[str] = []
    reporter = Reporter()
    monkeypatch.setattr(reporter, "note", lambda text, **_: said.append(text))
    monkeypatch.setattr(
        "fesbench.runs.preflight.preflight", lambda *_, **__: {"FID": "weights: inception-tf-2015"}
    )
    record = evaluate_folder(
        answer(tmp_path / "ours", chosen), protocol=MINI, size=32, out=tmp_path / "runs", reporter=reporter
    )
    assert "FID: n/a (weights: inception-tf-2015)" in said
    assert list(scoring[0]["request"]) == list(chosen["request"])
    assert {(item.task, item.domain) for item in record.not_run} == {
        ("expression", "in"),
        ("expression", "cartoon"),
    }


@pytest.mark.parametrize(
    ("option", "kept"), [([], None), (["none"], []), (["vgg19, facex"], ["facex", "vgg19"])]
)
def test_declared_networks_are_in_the_record(
    mini, scoring, tmp_path: Path, monkeypatch, option: list[str], kept: list[str] | None
) -> None:
    monkeypatch.setattr("fesbench.reports.site.build", lambda out, to: to / "index.html")
    chosen = mini[1][mini[1]["task"] == "expression"]
    given = [text for value in option for text in ("--trained-with", value)]
    place = answer(tmp_path / "ours", chosen)
    rules = ["--protocol", MINI, "--size", "32", "--out", str(tmp_path / "runs"), "--name", "ours"]
    with pytest.raises(SystemExit) as left:
        main(["evaluate", str(place), *rules, *given])
    assert left.value.code in (0, None)
    (file,) = (tmp_path / "runs").rglob("record.json")
    assert load_record(file.parent).trained_with == kept


def test_an_unknown_network_is_refused_with_the_known_ones(capsys) -> None:
    with pytest.raises(SystemExit) as left:
        main(["evaluate", "nowhere", "--protocol", MINI, "--trained-with", "facey"])
    assert left.value.code not in (0, None)
    assert "facex" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["../up", ".hidden", "-x", "a/b", "two words", "<lambda>"])
def test_a_name_that_is_unsafe_in_a_path_is_refused_before_any_work(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="becomes a folder"):
        evaluate_folder(tmp_path, protocol=MINI, name=name, out=tmp_path)
    with pytest.raises(UsageError, match="becomes a folder"):
        evaluate(lambda sources, _: pytest.fail("was asked"), protocol=MINI, name=name, out=tmp_path)


def test_failed_reference_rows_are_told_after_the_record_is_saved(
    mini, scoring, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, requests, _ = mini
    folder = answer(tmp_path / "ours", requests[requests["task"] == "expression"])

    def beside(plans: list[Any], context: Any, *_: object, **__: object) -> list[Record]:
        facts = {
            "protocol": context.protocol.name,
            "protocol_hash": "0" * 64,
            "data": "d",
            "preset": "reference",
        }
        cells = [
            Cell(method=name, data_fingerprint="0" * 64, budget="standard", seed=0, **facts)
            for name in ("copy", "warp")
        ]
        return [Record(cell=cells[0], status="scored"), Record(cell=cells[1], status="failed", error="no")]

    monkeypatch.setattr("fesbench.runs.folds.run_jobs", beside)
    with pytest.raises(CellsFailedError, match=r"reference rows failed: warp \(") as caught:
        evaluate_folder(folder, protocol=MINI, size=32, out=tmp_path / "runs")
    assert caught.value.exit_code == EXIT_CELLS_FAILED == 4
    saved = next((tmp_path / "runs").rglob("record.json")).parent
    assert load_record(saved).status == "scored"
    assert str(saved) in str(caught.value)


@pytest.mark.parametrize("as_json", [False, True])
def test_the_dry_run_of_the_command_scores_nothing(
    mini, as_json: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fesbench.context.folded.open_context", lambda *_, **__: pytest.fail("was scored"))
    monkeypatch.chdir(tmp_path)
    folder = answer(tmp_path / "ours", mini[1][mini[1]["task"] == "expression"].iloc[1:])
    arguments = ["evaluate", str(folder), "--protocol", MINI, "--size", "32", "--dry-run"]
    with pytest.raises(SystemExit) as left:
        main([*arguments, "--json"] if as_json else arguments)
    assert left.value.code == 2
    missing = mini[1]["request"].iloc[0]
    shown = capsys.readouterr().out
    if as_json:
        assert json.loads(shown)["missing"] == [missing]
    else:
        assert f"missing: 1\n  {missing}" in shown
        assert "images equal another one" in shown
    assert {path.name for path in tmp_path.iterdir()} == {"ours"}


def test_a_request_may_be_answered_by_a_folder_of_its_name(mini, scoring, tmp_path: Path) -> None:
    chosen = mini[1][mini[1]["task"] == "transfer"]
    folder = answer(tmp_path / "ours", chosen)
    first = chosen["request"].iloc[0]
    (folder / first).mkdir()
    (folder / f"{first}.png").rename(folder / first / "0001.png")
    record = evaluate_folder(folder, protocol=MINI, size=32, out=tmp_path / "runs", made_by={"by": "me"})
    assert (tmp_path / "runs" / record.cell.folder / "images" / f"{first}.png").is_file()
    assert record.parameters == {"by": "me"}


def test_a_network_is_asked_by_the_command(
    scoring: list[pd.DataFrame], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "net.pth").write_bytes(b"a pickle")
    with pytest.raises(SystemExit) as left:
        main(["evaluate", str(tmp_path / "net.pth"), "--protocol", MINI, "--out", str(tmp_path)])
    assert left.value.code == 2
    assert "a pickle runs code" in " ".join(capsys.readouterr().err.split())
    assert not scoring


def test_a_faulty_folder_is_refused_before_the_bench_is_opened(
    mini, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = answer(tmp_path / "ours", mini[1][mini[1]["task"] == "expression"].iloc[1:])
    monkeypatch.setattr(
        "fesbench.context.folded.open_context", lambda *_, **__: pytest.fail("a judge would be trained")
    )
    with pytest.raises(DataError, match=r"1 of .* images are missing"):
        evaluate_folder(folder, protocol=MINI, size=32, out=tmp_path / "runs")


def test_the_record_of_a_command_keeps_the_command_and_what_it_says_of_its_training(
    tmp_path, scoring
) -> None:
    path = tmp_path / "echo.toml"
    for lines, known in (("", "unknown"), ('\ntrained_on = "CelebA"', "declared")):
        path.write_text(f'command = \'cp "$SOURCES"/*.png "$OUT"\'{lines}')
        record = evaluate(
            path, protocol=MINI, budget="smoke", size=32, out=tmp_path / "runs", name=f"echo-{known}"
        )
        assert (record.trained_on, record.status) == (known, "scored")
        assert record.parameters["command"].startswith("cp ")
        assert record.parameters["log"] == f"commands/echo-{known}.log"
        assert set(scoring[-1]["task"]) == {"expression"}
