"""What every registered method must do, whatever its networks, phases, data or own image size are."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from fesbench.methods.base import Method
from fesbench.methods.batches import RequestBatch
from fesbench.methods.card import Phase, Problem
from fesbench.methods.conditions import request_batch
from fesbench.methods.precision import exact_float32
from fesbench.methods.registry import methods
from fesbench.methods.training_set import TrainingSet
from fesbench.synthesis import to_pixels
from fesbench.training.checkpoints import CHECKPOINT, STATE, load_checkpoint
from fesbench.training.loop import train
from tests.factories import fake_clips, fake_store

CARDS = {name: kind.card for name, kind in methods().items()}
ALL = [name for name in CARDS if name != "real"]
TRAINED = [name for name in ALL if not CARDS[name].reference]
CLOSED_FORM = {"lsrf", "mr"}
ITERATIVE = [name for name in TRAINED if name not in CLOSED_FORM]
STEPS = 50
UNITS = (1, 2, 4, 5, 6, 7, 12, 15, 23, 26)
SIZE, LABELS = 32, ("neutral", "happiness", "surprise")
"""Of the images in tests that train, so few and small that they take less than two seconds a method."""


def answering(control: str) -> list[str]:
    return [name for name in TRAINED if control in CARDS[name].controls]


@dataclass
class Trained:
    """A method after some steps in each of its phases.

    Attributes:
        initial: its parameters before.
        losses: by phase and name, every value.
        frozen: parameters that a phase left without gradients, though it found them with gradients.
    """

    method: Method
    initial: dict[str, torch.Tensor]
    losses: dict[str, list[torch.Tensor]]
    frozen: list[str]


def make_view(size: int, people: int = 6) -> TrainingSet:
    """Some people as training subjects; two more as unlabelled images of another domain."""
    store = fake_store(people + 2, size)
    rows, others = np.arange(8 * people), np.arange(8 * people, 8 * people + 16)
    return TrainingSet(store, rows, Problem(size, LABELS, UNITS, 0), 0, unlabelled_rows=others)


@functools.lru_cache
def make_clip_view(size: int, people: int = 4) -> TrainingSet:
    """Some people as training subjects, in clips from neutral to the peak."""
    store = fake_clips(people, size)
    return TrainingSet(store, np.arange(len(store.images)), Problem(size, LABELS, UNITS, 0), 0)


@pytest.fixture(scope="module")
def small_view() -> TrainingSet:
    return make_view(SIZE)


def seen(name: str, view: TrainingSet) -> TrainingSet:
    """What a method is trained on: the view, or clips where it needs them."""
    return make_clip_view(view.problem.size) if "sequences" in CARDS[name].needs else view


def small(name: str, view: TrainingSet, device: str = "cpu") -> tuple[Method, tuple[Phase, ...]]:
    """A fresh ``tiny`` method whose phases take two samples a batch."""
    kind = methods()[name]
    method = kind(view.problem, kind.presets["tiny"]).to(device)
    phases = tuple(replace(phase, batch_size=min(2, phase.batch_size)) for phase in method.phases())
    method.phases = lambda: phases  # type: ignore[method-assign]
    return method, phases


def train_a_little(name: str, view: TrainingSet, device: str = "cpu") -> Trained:
    method, phases = small(name, view, device)
    initial = {k: v.detach().clone() for k, v in method.named_parameters() if v.requires_grad}
    losses: dict[str, list[torch.Tensor]] = {}
    frozen: list[str] = []
    with torch.random.fork_rng(), exact_float32():
        torch.manual_seed(0)
        method.train()
        for phase in phases:
            if phase.closed_form:
                method.fit(phase, view)
                continue
            method.bind(method.optimizers(phase), torch.Tensor.backward)
            learning = {k for k, v in method.named_parameters() if v.requires_grad}
            # what a method does first for its initial weights is cut short
            first = max(0, getattr(method.hyper, "start_steps", 0) - 5)
            for step in range(first, first + max(2 * phase.calls_per_update, STEPS // len(phases))):
                batch = view.step_batch(phase, step, needs=method.card.needs).to(device)
                for key, value in method.training_step(phase, method.natively(batch), step).items():
                    losses.setdefault(f"{phase.name}/{key}", []).append(value)
            frozen += [k for k, v in method.named_parameters() if k in learning and not v.requires_grad]
    return Trained(method, initial, losses, frozen)


@pytest.fixture(scope="module")
def trained(small_view):
    """A method trained a little, once a module."""
    found: dict[str, Trained] = {}

    def make(name: str) -> Trained:
        if name not in found:
            found[name] = train_a_little(name, seen(name, small_view))
        return found[name]

    return make


def asked(view: TrainingSet, control: str, name: str):
    """Requests of a task kind from two subjects, with what the task grants and no more."""
    from fesbench.methods.conditions import label_requests

    rows = np.unique(view.store.manifest.table["identity"], return_index=True)[1][:2]
    found = replace(label_requests(view, rows, [1, 2]), task=control)
    nothing = torch.full_like(found.target_label, -1)
    if control == "random":
        return replace(
            found,
            source=torch.zeros_like(found.source),
            source_label=nothing,
            source_landmarks=torch.full_like(found.source_landmarks, torch.nan),
            source_action_units=torch.full_like(found.source_action_units, torch.nan),
            target_landmarks=torch.full_like(found.target_landmarks, torch.nan),
        )
    if control == "transfer":
        given = "landmarks" if "landmarks" in CARDS[name].needs else "action_units"
        other = "target_landmarks" if given == "action_units" else "target_action_units"
        unknown = torch.full_like(getattr(found, other), torch.nan)
        return replace(found, target_label=nothing, second_label=nothing, given=given, **{other: unknown})
    if control == "action-unit":
        units = torch.nan_to_num(found.source_action_units)
        units[torch.arange(len(found)), torch.arange(len(found)) % 2 * 4] = 1.0
        return replace(found, target_label=nothing, target_action_units=units, given="action_units")
    return found


@pytest.mark.parametrize("name", ALL)
def test_an_image_does_not_depend_on_its_batch(name, build, requests) -> None:
    method = build(name)
    whole = method.answer(requests)
    alone = torch.cat([method.answer(requests[k : k + 1]) for k in range(len(requests))])
    reverse = method.answer(requests[torch.arange(len(requests) - 1, -1, -1)]).flip(0)
    assert whole.shape == requests.source.shape
    torch.testing.assert_close(whole, alone, atol=2e-5, rtol=0)
    torch.testing.assert_close(whole, reverse, atol=2e-5, rtol=0)
    # In the files that are scored: a rounding of the last bit may cross a half, by one level, hardly ever.
    apart = np.abs(to_pixels(whole).astype(int) - to_pixels(alone))
    assert apart.max() <= 1
    assert (apart > 0).mean() < 1e-3


@pytest.mark.parametrize("name", ALL)
def test_synthesis_draws_from_no_global_generator(name, build, requests) -> None:
    method = build(name)
    torch.manual_seed(1)
    first = method.answer(requests)
    state = torch.random.get_rng_state()
    torch.manual_seed(2)
    assert torch.equal(first, method.answer(requests))
    torch.manual_seed(1)
    assert torch.equal(state, torch.random.get_rng_state())


@pytest.mark.parametrize("name", ALL)
def test_images_stay_in_range(name, build, requests) -> None:
    images = build(name).answer(requests)
    assert images.min() >= -1
    assert images.max() <= 1
    assert not images.requires_grad


@pytest.mark.parametrize("name", ITERATIVE)
def test_initial_weights_follow_the_seed_alone(name, small_view) -> None:
    kind = methods()[name]

    def weights(seed: int, disturbed: int) -> dict[str, torch.Tensor]:
        torch.manual_seed(disturbed)
        method = kind(replace(small_view.problem, seed=seed), kind.presets["tiny"])
        return {k: v for k, v in method.named_parameters() if v.ndim > 1}

    first, again, other = weights(3, 1), weights(3, 2), weights(4, 1)
    assert all(torch.equal(value, again[key]) for key, value in first.items())
    assert any(not torch.equal(value, other[key]) for key, value in first.items())


@pytest.mark.parametrize("name", ITERATIVE)
def test_training_changes_every_network_and_breaks_no_number(name, trained) -> None:
    found = trained(name)
    values = [value for every in found.losses.values() for value in every]
    assert all(v.ndim == 0 and not v.requires_grad and math.isfinite(v) for v in values)
    after = dict(found.method.named_parameters())
    assert all(bool(torch.isfinite(v).all()) for v in (*after.values(), *found.method.buffers()))
    # The last bias of a Wasserstein critic has no slope.
    unmoved = [k for k, v in found.initial.items() if torch.equal(v, after[k])]
    assert [k for k in unmoved if not k.endswith(".bias")] == []


@pytest.mark.parametrize("name", ITERATIVE)
def test_a_step_leaves_every_network_as_trainable_as_it_was(name, trained) -> None:
    assert trained(name).frozen == []


@pytest.mark.parametrize("name", ITERATIVE)
def test_a_broken_off_training_resumes_to_the_bit_and_its_checkpoint_gives_the_same_images(
    name, small_view, tmp_path: Path
) -> None:
    small_view = seen(name, small_view)
    # too few people for health probes, which would cost more than training
    alone = make_view(SIZE, people=1)

    def run(method: Method, folder: Path) -> None:
        phases = method.phases()
        wanted = {phase.name: 1 if phase.closed_form else 2 * phase.calls_per_update for phase in phases}
        wanted[_last(phases)] = 10
        train(
            method,
            small_view,
            validation=alone,
            steps=wanted,
            folder=folder,
            seed=3,
            device="cpu",
            save_seconds=0,
        )

    whole, cut = small(name, small_view)[0], small(name, small_view)[0]
    run(whole, tmp_path / "whole")
    last, step_once = _last(cut.phases()), cut.training_step

    def breaks(phase, batch, step):
        if phase.name == last and step == 7:
            raise RuntimeError("the lights went out")
        return step_once(phase, batch, step)

    cut.training_step = breaks
    with pytest.raises(RuntimeError, match="the lights went out"):
        run(cut, tmp_path / "cut")
    assert (tmp_path / "cut" / STATE).exists()
    run(small(name, small_view)[0], tmp_path / "cut")
    assert (tmp_path / "whole" / CHECKPOINT).read_bytes() == (tmp_path / "cut" / CHECKPOINT).read_bytes()
    assert (tmp_path / "whole/losses.csv").read_text() == (tmp_path / "cut/losses.csv").read_text()

    loaded = small(name, small_view)[0]
    load_checkpoint(loaded, tmp_path / "whole" / CHECKPOINT)
    control = "expression" if "expression" in CARDS[name].controls else sorted(CARDS[name].controls)[0]
    requests = asked(small_view, control, name)
    assert torch.equal(loaded.answer(requests), whole.answer(requests))


def _last(phases: tuple[Phase, ...]) -> str:
    """The last phase that has steps."""
    return [phase.name for phase in phases if not phase.closed_form][-1]


@pytest.mark.parametrize("name", TRAINED)
def test_a_phase_says_how_long_it_goes(name, build) -> None:
    for phase in build(name).phases():
        assert phase.paper_calls(lambda phase: 2000) >= phase.smoke_steps >= 1
        assert 0 < phase.learning_rate(0, 0.0) <= 1.0


@pytest.mark.parametrize("name", answering("expression"))
def test_the_label_changes_the_image(name, request, build, requests) -> None:
    images = build(name).answer(requests) if name in CLOSED_FORM else _made(request, name, "expression")
    assert (images[0] - images[1]).abs().max() > 1e-4


def _made(request: pytest.FixtureRequest, name: str, control: str) -> torch.Tensor:
    view = seen(name, request.getfixturevalue("small_view"))
    return request.getfixturevalue("trained")(name).method.answer(asked(view, control, name))


@pytest.mark.parametrize("name", [*answering("compound"), "mean-shift"])
def test_a_compound_differs_from_both_of_its_labels(name, request, build, requests) -> None:
    if name in ITERATIVE:
        method = request.getfixturevalue("trained")(name).method
        requests = asked(request.getfixturevalue("small_view"), "compound", name)
    else:
        method = build(name)
    first, second = requests[0:1], requests[1:2]
    mixed = replace(
        first,
        second_label=second.target_label,
        target_action_units=torch.maximum(first.target_action_units, second.target_action_units),
        target_landmarks=(first.target_landmarks + second.target_landmarks) / 2,
        task="compound",
    )
    image = method.answer(mixed)
    assert (image - method.answer(first)).abs().max() > 1e-4
    assert (image - method.answer(second)).abs().max() > 1e-4


@pytest.mark.parametrize("name", [name for name in answering("intensity") if name in ITERATIVE])
def test_the_intensity_changes_the_image(name, trained, small_view) -> None:
    full = asked(small_view, "intensity", name)
    weak = replace(
        full,
        intensity=0.25 * full.intensity,
        target_action_units=0.75 * full.source_action_units + 0.25 * full.target_action_units,
        target_landmarks=0.75 * full.source_landmarks + 0.25 * full.target_landmarks,
    )
    method = trained(name).method
    assert (method.answer(full) - method.answer(weak)).abs().max() > 1e-4


@pytest.mark.parametrize(
    ("name", "control"),
    [(name, control) for control in ("transfer", "action-unit") for name in answering(control)],
)
def test_what_a_driver_shows_changes_the_image(name, control, request, small_view) -> None:
    if name in CLOSED_FORM:
        pytest.skip("a closed form's own tests")
    images = _made(request, name, control)
    assert bool(torch.isfinite(images).all())
    assert (images[0] - images[1]).abs().max() > 1e-4


@pytest.mark.parametrize("name", answering("random"))
def test_faces_out_of_noise_follow_the_request_s_seed(name, trained, small_view) -> None:
    requests, method = asked(small_view, "random", name), trained(name).method
    images = method.answer(requests)
    assert bool(torch.isfinite(images).all())
    assert (images[0] - images[2]).abs().max() > 1e-4, "two seeds of one label"
    same = replace(requests, noise_seed=torch.full_like(requests.noise_seed, 5))
    torch.testing.assert_close(*(method.answer(same)[row] for row in (0, 2)), atol=2e-5, rtol=0)


def clips_asked(view: TrainingSet, task: str, length: int) -> RequestBatch:
    """Happiness and surprise from two subjects; under ``motion-transfer`` as the next subject shows them."""
    table = view.store.manifest.table
    rows = []
    for who, other in (("p000", "p001"), ("p001", "p002")):
        for label in LABELS[1:]:
            clip = table.index[table["sequence"] == f"{who}_{label}"]
            driver = table.index[table["sequence"] == f"{other}_{label}"]
            rows.append(
                {
                    "request": f"{who}_{label}",
                    "task": task,
                    "source": clip[0],
                    "driver": driver[-1] if task == "motion-transfer" else -1,
                    "source_expression": "neutral",
                    "target_expression": label,
                    "second_expression": "",
                    "intensity": 1.0,
                    "given": "driver" if task == "motion-transfer" else "label",
                    "noise_seed": 3 if who == "p000" else 4,
                    "length": length,
                }
            )
    return request_batch(pd.DataFrame(rows), view.store, view, view.problem)


CLIPS = [(name, control) for control in ("sequence", "motion-transfer") for name in answering(control)]


@pytest.mark.parametrize(("name", "control"), CLIPS)
def test_a_clip_has_its_length_and_depends_on_its_request_alone(name, control, trained) -> None:
    view, method = make_clip_view(SIZE), trained(name).method
    for length in (16, 5):
        requests = clips_asked(view, control, length)
        state = torch.random.get_rng_state()
        clips = method.answer(requests)
        assert torch.equal(state, torch.random.get_rng_state())
        assert clips.shape == (4, length, 3, SIZE, SIZE)
        assert -1 <= clips.min() <= clips.max() <= 1
        alone = torch.cat([method.answer(requests[k : k + 1]) for k in (3, 1)])
        torch.testing.assert_close(clips[[3, 1]], alone, atol=5e-5, rtol=0)
    assert (clips[:, -1] - clips[:, 0]).abs().amax((1, 2, 3)).min() > 1e-4, "a clip moves"
    assert (clips[0] - clips[1])[-1].abs().max() > 1e-4, "labels, or what drivers show, differ"
    assert (clips[0] - clips[2]).abs().max() > 1e-3, "sources, or noises, differ"


@pytest.mark.gpu
@pytest.mark.parametrize("name", ITERATIVE)
def test_a_cuda_device_gives_the_cpu_s_images_and_trains(name, small_view) -> None:
    small_view = seen(name, small_view)
    here, there = small(name, small_view)[0], small(name, small_view, "cuda")[0]
    control = "expression" if "expression" in CARDS[name].controls else sorted(CARDS[name].controls)[0]
    requests = asked(small_view, control, name)
    with exact_float32():
        torch.testing.assert_close(
            there.answer(requests.to("cuda")).cpu(), here.answer(requests), atol=1e-3, rtol=0
        )
    values = [float(v[-1]) for v in train_a_little(name, small_view, "cuda").losses.values()]
    assert values
    assert all(map(math.isfinite, values))
