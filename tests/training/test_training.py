from __future__ import annotations

import csv
import errno
import json
import os
import pickle
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from fesbench.errors import DataError, MethodError, RecordError, UsageError
from fesbench.methods.base import Method
from fesbench.methods.card import Problem
from fesbench.methods.registry import methods
from fesbench.methods.training_set import TrainingSet
from fesbench.training.checkpoints import CHECKPOINT, STATE, load_checkpoint, load_tensors, save_tensors
from fesbench.training.loop import TrainingProgress, TrainingResult, train
from fesbench.vocabulary import EXPRESSIONS
from tests.factories import fake_store

STEPS = 30
KILLED = """
import sys, time
import torch
torch.set_num_threads(1)
sys.path.insert(0, {root!r})
from tests.training import test_training as here
here.run(here.small({name!r}), here.Path({folder!r}), on_progress=lambda p: time.sleep(0.02))
"""


def view(**options) -> TrainingSet:
    store = fake_store(4, 64, **options)
    return TrainingSet(store, np.arange(len(store.images)), Problem(64, EXPRESSIONS, (6, 12), 0), 0)


def small(name: str) -> Method:
    kind = methods()[name]
    hyper = replace(kind.presets["tiny"], width=2, batch_size=2)
    return kind(Problem(64, EXPRESSIONS, (6, 12), 0), hyper)


def run(method: Method, folder: Path, steps: int | dict[str, int] = STEPS, **options) -> TrainingResult:
    wanted = steps
    if isinstance(steps, int):
        wanted = {phase.name: 1 if phase.closed_form else steps for phase in method.phases()}
    settings = {"seed": 3, "device": "cpu", "save_seconds": 0.0, "steps": wanted, **options}
    return train(method, settings.pop("view", None) or view(), folder=folder, **settings)


def rows(folder: Path) -> list[tuple[str, ...]]:
    with (folder / "losses.csv").open() as stream:
        return [tuple(row.values()) for row in csv.DictReader(stream)]


def step_on_disk(folder: Path) -> int:
    try:
        return int(load_tensors(folder / STATE)[1]["step"])
    except RecordError:
        return -1


@pytest.mark.parametrize("name", ["reggan", "pix2pix"])
def test_a_killed_run_resumes_to_the_same_bits(name: str, tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    code = KILLED.format(root=str(Path(__file__).parents[2]), name=name, folder=str(killed))
    child = subprocess.Popen([sys.executable, "-c", code])
    expected = run(small(name), whole)
    until = time.monotonic() + 60
    while step_on_disk(killed) < 6 and child.poll() is None and time.monotonic() < until:
        time.sleep(0.02)
    child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL, "the run was over before it could be killed"
    assert 6 <= step_on_disk(killed) < STEPS
    assert not (killed / CHECKPOINT).exists()

    seen: list[int] = []
    found = run(small(name), killed, on_progress=lambda p: seen.append(p.step))
    assert seen[0] > 6
    assert (whole / CHECKPOINT).read_bytes() == (killed / CHECKPOINT).read_bytes()
    assert rows(whole) == rows(killed)
    assert found.losses == expected.losses
    assert found.health == expected.health


def test_ctrl_c_finishes_the_step_saves_and_resumes_to_the_same_bits(tmp_path: Path) -> None:
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    run(small("usgan"), whole)

    seen: list[int] = []

    def interrupt(progress: TrainingProgress) -> None:
        seen.append(progress.step)
        os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        run(small("usgan"), stopped, on_progress=interrupt, save_seconds=1e9)
    assert signal.getsignal(signal.SIGINT) is before
    assert [step_on_disk(stopped)] == seen
    assert seen[0] < STEPS
    run(small("usgan"), stopped)
    assert (whole / CHECKPOINT).read_bytes() == (stopped / CHECKPOINT).read_bytes()
    assert rows(whole) == rows(stopped)


def test_a_finished_run_is_not_run_again(tmp_path: Path) -> None:
    first = run(small("usgan"), tmp_path, steps=6)
    method = small("usgan")
    seen: list[int] = []
    again = run(method, tmp_path, steps=6, on_progress=lambda p: seen.append(p.step))
    assert seen == []
    assert (again.losses, again.steps) == (first.losses, {"adversarial": 6})
    trained = load_tensors(tmp_path / CHECKPOINT)[0]
    assert all(torch.equal(v, trained[k]) for k, v in method.state_dict().items())


@pytest.mark.parametrize("change", [{"inputs": "other"}, {"seed": 4}, {"steps": {"adversarial": 7}}])
def test_a_state_of_other_inputs_is_not_resumed(
    change: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(small("usgan"), tmp_path, steps=6)
    method, seen = small("usgan"), []
    step_once = method.training_step

    def watched(phase, batch, step):
        seen.append(step)
        return step_once(phase, batch, step)

    monkeypatch.setattr(method, "training_step", watched)
    run(method, tmp_path, **{"steps": {"adversarial": 6}, **change})
    assert seen[0] == 0
    logged = [int(row[1]) for row in rows(tmp_path)]
    assert logged == sorted(logged)


def test_losses_are_logged_at_every_fifth_step_once(tmp_path: Path) -> None:
    result = run(small("usgan"), tmp_path, steps=12)
    logged = [(row[1], row[2]) for row in rows(tmp_path)]
    assert len(set(logged)) == len(logged)
    assert sorted({int(step) for step, _ in logged}) == [5, 10, 12]
    values = [float(row[3]) for row in rows(tmp_path) if row[2] == "critic_gap"]
    summary = result.losses["adversarial/critic_gap"]
    assert summary["first"] == pytest.approx(values[0])
    assert summary["last"] == pytest.approx(values[-1])
    assert summary["max"] == pytest.approx(max(values))


def test_the_learning_rate_follows_the_phase(tmp_path: Path) -> None:
    seen = []

    class Watched(methods()["usgan"]):  # type: ignore[misc]
        def training_step(self, phase, batch, step):
            seen.append(self._optimizers["critic"].param_groups[0]["lr"] / self.hyper.learning_rate)
            return super().training_step(phase, batch, step)

    kind = methods()["usgan"]
    method = Watched(Problem(64, EXPRESSIONS, (), 0), replace(kind.presets["tiny"], width=2, batch_size=2))
    run(method, tmp_path, steps=8)
    assert seen == pytest.approx([1, 1, 1, 1, 1, 0.75, 0.5, 0.25])


def test_training_leaves_the_global_generator_alone(tmp_path: Path) -> None:
    torch.manual_seed(11)
    before = torch.random.get_rng_state()
    run(small("pix2pix"), tmp_path, steps=3)
    assert torch.equal(before, torch.random.get_rng_state())


def test_a_broken_number_stops_training_and_keeps_the_last_good_weights(tmp_path: Path) -> None:
    class Breaks(methods()["usgan"]):  # type: ignore[misc]
        def training_step(self, phase, batch, step):
            losses = super().training_step(phase, batch, step)
            if step == 20:
                with torch.no_grad():
                    self.critic.body[0].weight.fill_(torch.nan)
            return losses

    kind = methods()["usgan"]
    method = Breaks(Problem(64, EXPRESSIONS, (), 0), replace(kind.presets["tiny"], width=2, batch_size=2))
    noticed = []
    result = run(method, tmp_path, on_health=noticed.append)
    assert [(event.kind, event.step) for event in result.health if event.kind == "nan"] == [("nan", 21)]
    assert any(event.kind == "nan" for event in noticed)
    assert all(torch.isfinite(v).all() for v in load_tensors(tmp_path / CHECKPOINT)[0].values())


def test_what_the_data_lacks_is_said_before_training(tmp_path: Path) -> None:
    kind = methods()["ganimation"]
    problem = Problem(64, EXPRESSIONS, (), 0)
    store = fake_store(2, 64, action_units=False)
    bare = TrainingSet(store, np.arange(16), problem, 0)
    with pytest.raises(MethodError, match="not applicable: needs action_units"):
        run(kind(problem, kind.presets["tiny"]), tmp_path, view=bare)


def test_a_phase_without_steps_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MethodError, match="no training steps for phase adversarial"):
        run(small("usgan"), tmp_path, steps=0)


def test_minutes_stop_by_the_clock(tmp_path: Path) -> None:
    result = run(small("usgan"), tmp_path, steps=100_000, minutes=0.01)
    assert 1 <= result.steps["adversarial"] < 10_000
    assert (tmp_path / CHECKPOINT).exists()


def test_progress_comes_at_most_four_times_a_second_and_at_the_end(tmp_path: Path) -> None:
    seen: list[tuple[float, TrainingProgress]] = []
    run(small("usgan"), tmp_path, steps=20, on_progress=lambda p: seen.append((time.monotonic(), p)))
    gaps = np.diff([when for when, _ in seen])
    assert (gaps[:-1] >= 0.25).all()
    assert (seen[-1][1].step, seen[-1][1].steps) == (20, 20)
    assert "critic_gap" in seen[-1][1].losses


def test_an_unknown_device_or_precision_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="tpu"):
        run(small("usgan"), tmp_path, device="tpu")


def test_bf16_trains(tmp_path: Path) -> None:
    result = run(small("usgan"), tmp_path, steps=5, precision="bf16")
    assert np.isfinite(result.losses["adversarial/generator_class"]["last"])


def test_a_pickle_is_never_opened(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "boom"),))

    method = small("usgan")
    for name in ("weights.pt", CHECKPOINT):
        (tmp_path / name).write_bytes(pickle.dumps(Bomb()))
        with pytest.raises(RecordError, match="is a pickle"):
            load_checkpoint(method, tmp_path / name)
    torch.save(method.state_dict(), tmp_path / "zip.safetensors")
    with pytest.raises(RecordError, match="is a pickle"):
        load_checkpoint(method, tmp_path / "zip.safetensors")
    assert not (tmp_path / "boom").exists()


def test_a_header_of_any_length_is_no_pickle(tmp_path: Path) -> None:
    path, seen = tmp_path / "a.safetensors", set()
    for filler in range(0, 1500, 8):
        save_tensors(path, {"a": torch.ones(1)}, {"filler": "x" * filler})
        seen.add(path.read_bytes()[:2])
        assert load_tensors(path)[0]["a"] == 1
    assert {b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"} <= seen


def test_a_damaged_or_foreign_checkpoint_is_named(tmp_path: Path) -> None:
    run(small("usgan"), tmp_path, steps=1)
    path = tmp_path / CHECKPOINT
    with pytest.raises(MethodError, match="weights of 'usgan', not of 'sargan'"):
        load_checkpoint(small("sargan"), path)
    kind = methods()["usgan"]
    with pytest.raises(MethodError, match="does not fit 'usgan'"):
        load_checkpoint(kind(Problem(64, EXPRESSIONS, (), 0), kind.presets["tiny"]), path)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(RecordError, match="no readable safetensors"):
        load_checkpoint(small("usgan"), path)
    with pytest.raises(RecordError, match="train the method first"):
        load_checkpoint(small("usgan"), tmp_path / "none.safetensors")


def test_a_full_disk_says_so_and_keeps_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(small("usgan"), tmp_path, on_progress=_raise_interrupt)
    before = (tmp_path / STATE).read_bytes()

    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(DataError, match="the disk is full"):
        run(small("usgan"), tmp_path)
    monkeypatch.undo()
    assert (tmp_path / STATE).read_bytes() == before
    assert not list(tmp_path.glob(".*.tmp"))


def _raise_interrupt(progress: TrainingProgress) -> None:
    raise KeyboardInterrupt


def test_an_unwritable_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match="file"):
        run(small("usgan"), tmp_path / "file" / "run")


def test_a_damaged_state_is_named(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    run(small("usgan"), tmp_path, steps=1)
    note = load_tensors(tmp_path / STATE)[1]
    del note["health"]
    save_file({}, tmp_path / STATE, metadata={"fesbench": json.dumps(note)})
    with pytest.raises(RecordError, match="is damaged"):
        run(small("usgan"), tmp_path, steps=1)
