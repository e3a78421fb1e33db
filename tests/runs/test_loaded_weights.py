"""``fesbench run --weights``: loaded instead of trained; what is known of the training is in each score."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from fesbench.errors import MethodError, RecordError, UsageError
from fesbench.methods.registry import load_method
from fesbench.records.record import Record
from fesbench.records.signature import Signature
from fesbench.runs.convert_weights import convert
from fesbench.runs.loaded_weights import check_weights, load_into, parse_weights, row_name
from fesbench.runs.plan import RunOptions, run, select_methods
from tests import tiny_method
from tests.end_to_end import PIXELS, figures, find_records, records
from tests.runs.authors_networks import StarGenerator, seeded

METHOD = tiny_method.__file__
LABELS = ["neutral", "happiness"]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shared-home")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("place")


@pytest.fixture(autouse=True)
def _shared_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FESBENCH_HOME", str(home))


def run_shade(out: Path, **weights: Path) -> dict[str, Record]:
    """Every record by its row, after a run of the tiny method."""
    given = {name: str(path) for name, path in weights.items()}
    summary = run(
        RunOptions(
            METHOD, PIXELS, preset="tiny", budget="steps=1", size=32, out=out, report=False, weights=given
        )
    )
    assert summary.exit_code == 0, [record.error for record in summary.records]
    return {record.cell.method: record for _, record in find_records(out)}


def weights_file(path: Path, shift: float, note: Mapping[str, object] | None) -> Path:
    header = None if note is None else {"fesbench": json.dumps(note)}
    save_file({"shift": torch.full((1,), shift)}, path, metadata=header)
    return path


def scored(record: Record) -> list[str]:
    return [score.signature for score in record.scores if score.signature]


def own_labels(home: Path, place: Path) -> list[str]:
    (checkpoint,) = place.rglob("shade-tiny-*/0/checkpoint.safetensors")
    from fesbench.training.checkpoints import load_tensors

    return list(load_tensors(checkpoint)[1]["labels"])


@pytest.fixture(scope="module")
def trained(home: Path, place: Path) -> Record:
    """The tiny method, trained by fesbench."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FESBENCH_HOME", str(home))
        return run_shade(place / "trained")["shade"]


def test_our_checkpoint_gives_the_scores_of_its_training(trained: Record, place: Path) -> None:
    (checkpoint,) = (place / "trained").rglob("shade-tiny-*/0/checkpoint.safetensors")
    found = run_shade(place / "trained", shade=checkpoint)
    loaded = found[row_name("shade", str(checkpoint))]
    assert found["shade"].stages == trained.stages
    assert figures(loaded) == figures(trained)
    assert loaded.trained_on == "fesbench"
    assert (loaded.steps, "training_seconds" in loaded.cost) == ({}, False)
    assert [Signature.parse(line).key() for line in scored(loaded)] == [
        Signature.parse(line).key() for line in scored(trained)
    ]
    assert not any("trained:" in line for line in [*scored(loaded), *scored(trained)])


def test_two_files_never_mix_and_every_score_says_what_is_known(
    trained: Record, home: Path, place: Path, tmp_path: Path
) -> None:
    labels = own_labels(home, place)
    said = weights_file(tmp_path / "a.safetensors", 0.5, {"labels": labels, "trained_on": "CelebA"})
    bare = weights_file(tmp_path / "b.safetensors", -0.5, {"labels": labels})
    out = tmp_path / "runs"
    found = run_shade(out, shade=said)
    found = run_shade(out, shade=bare)
    first, second = (found[row_name("shade", str(path))] for path in (said, bare))
    assert (first.trained_on, second.trained_on) == ("declared", "unknown")
    assert figures(first) != figures(second)
    assert first.loaded["note"]["trained_on"] == "CelebA"
    assert first.loaded["sha256"] != second.loaded["sha256"]
    assert {Signature.parse(line).comparable().get("trained") for line in scored(first)} == {None}
    for record, words in ((first, "|trained:declared|"), (second, "|trained:unknown|")):
        assert scored(record)
        assert all(words in line for line in scored(record))
    assert not any("trained:" in line for line in scored(found["copy"]))
    # the same file again does nothing twice; another content under the same name is another row
    assert run_shade(out, shade=bare)[second.cell.method].stages == second.stages
    weights_file(bare, 0.25, {"labels": labels})
    assert len(run_shade(out, shade=bare)) == len(found) + 1


def test_a_checkpoint_of_another_split_is_no_more_than_declared(
    trained: Record, place: Path, tmp_path: Path
) -> None:
    (checkpoint,) = (place / "trained").rglob("shade-tiny-*/0/checkpoint.safetensors")
    from fesbench.training.checkpoints import load_tensors

    note = load_tensors(checkpoint)[1]
    other = weights_file(tmp_path / "other.safetensors", 0.125, note | {"split": "0" * 64})
    assert run_shade(tmp_path / "runs", shade=other)[row_name("shade", str(other))].trained_on == "declared"


def test_a_converted_file_is_scored_on_what_it_knows(trained: Record, place: Path, tmp_path: Path) -> None:
    seven = load_method("usgan").release.labels  # without contempt
    network = seeded(StarGenerator(7, 16, 1, skip=True))
    out = tmp_path / "usgan.safetensors"
    torch.save(network.state_dict(), tmp_path / "usgan_87_G.ckpt")
    convert(load_method("usgan"), tmp_path / "usgan_87_G.ckpt", out, size=32, preset="tiny")
    options = RunOptions(
        "usgan", PIXELS, preset="tiny", budget="steps=1", size=32, out=place / "trained", report=False
    )
    assert run(replace(options, weights={"usgan": str(out)})).exit_code == 0
    found = records(place / "trained")
    record = found[row_name("usgan", str(out))]
    assert record.trained_on == "declared"
    assert record.loaded["note"]["converted"]["file"] == "usgan_87_G.ckpt"
    asked = {
        score.expression for score in record.scores if score.task == "expression" and score.domain == "in"
    }
    assert asked == {"all", *seven} - {"neutral"}
    assert {score.expression for score in found["copy"].scores} > asked
    reasons = [(told.task, told.domain, told.reason) for told in record.not_run]
    assert ("expression", "in", "not applicable: the weights do not know contempt") in reasons
    assert not any(domain == "cartoon" and "contempt" in reason for _, domain, reason in reasons)
    (signature,) = {
        s.signature for s in record.scores if (s.metric, s.domain, s.expression) == ("PSNR", "in", "all")
    }
    assert "|trained:declared|" in signature


def test_what_cannot_be_loaded_is_said_before_the_run(tmp_path: Path) -> None:
    for value in ("stargan", "=x", "stargan="):
        with pytest.raises(UsageError, match=r"METHOD=FILE\.safetensors"):
            parse_weights([value])
    with pytest.raises(UsageError, match=r"nowhere\.safetensors does not exist"):
        parse_weights([f"stargan={tmp_path}/nowhere.safetensors"])
    good = weights_file(tmp_path / "good.safetensors", 0.5, {"method": "stargan"})
    assert parse_weights([f"stargan={good}"]) == {"stargan": str(good)}
    with pytest.raises(UsageError, match="'stargan' twice"):
        parse_weights([f"stargan={good}", f"stargan={good}"])
    known = select_methods("copy,mr,stargan")
    check_weights(known["stargan"], str(good))
    with pytest.raises(UsageError, match="holds weights of 'stargan'"):
        check_weights(known["mr"], str(good))
    with pytest.raises(UsageError, match="learns nothing"):
        check_weights(known["copy"], str(good))
    with pytest.raises(UsageError, match=r"--methods chooses no 'stargan', but .*shade"):
        run_shade(tmp_path / "runs", stargan=good)
    pickle = tmp_path / "net.pth"
    pickle.write_bytes(b"\x80\x04")
    with pytest.raises(RecordError, match="is a pickle"):
        check_weights(known["stargan"], str(pickle))


def test_weights_that_do_not_say_their_labels_are_refused(tmp_path: Path) -> None:
    from fesbench.methods.card import Problem

    file = weights_file(tmp_path / "bare.safetensors", 0.5, None)
    method = tiny_method.Shade(Problem(32, tuple(LABELS), (), 0), tiny_method.ShadeHyper())
    with pytest.raises(MethodError, match=r"bare\.safetensors: .*do not say for which labels"):
        load_into(method, str(file))
