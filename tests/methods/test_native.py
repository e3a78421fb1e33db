"""A method with an image form of its own, and one whose layers behave otherwise in training."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import nn

from fesbench.errors import MethodError
from fesbench.evaluation.class_head import OwnDiscriminator
from fesbench.evaluation.cost import measure_cost
from fesbench.methods.base import Method, evaluating
from fesbench.methods.batches import ImageBatch, PairBatch, RequestBatch
from fesbench.methods.card import MethodCard, Phase, Problem
from fesbench.methods.conditions import label_requests
from fesbench.methods.native import Native
from fesbench.methods.training_set import TrainingSet
from fesbench.runs.job import Job
from fesbench.synthesis import to_pixels
from fesbench.training.loop import train
from fesbench.vocabulary import EXPRESSIONS
from tests.factories import fake_store


class Modal(Method):
    """Batch norm and dropout; remembers in which mode and on what it was called."""

    card: ClassVar = MethodCard("modal", "", "", 2000, frozenset({"labels"}), frozenset({"expression"}))
    presets: ClassVar[dict[str, Any]] = {"paper": None, "tiny": None}

    def build(self) -> None:
        self.calls: list[tuple[str, bool, tuple[int, ...]]] = []
        channels = self.problem.channels
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 1), nn.BatchNorm2d(channels), nn.Dropout(0.5), nn.Tanh()
        )

    def note(self, what: str, images: torch.Tensor) -> None:
        assert self.body[1].training == self.training
        self.calls.append((what, self.training, tuple(images.shape[1:])))

    def phases(self) -> tuple[Phase, ...]:
        return (Phase("only", "image", 4, paper_steps=20, smoke_steps=10),)

    def optimizers(self, phase: Phase) -> dict[str, torch.optim.Optimizer]:
        return {"it": torch.optim.SGD(self.parameters(), 1e-2)}

    def training_step(self, phase, batch, step):
        self.note("step", batch.image)
        loss = (self.body(batch.image) - batch.image).square().mean()
        self.descend("it", loss)
        return {"loss": loss.detach()}

    def synthesize(self, requests):
        self.note("synthesize", requests.source)
        return self.body(requests.source).detach()

    def class_logits(self, images):
        self.note("classify", images)
        return images.new_zeros(len(images), len(self.problem.labels))


class Gray28(Modal):
    card: ClassVar = MethodCard(
        "gray28", "", "", 2000, frozenset({"labels"}), frozenset({"expression"}), native="28-gray-bicubic-aa"
    )


@pytest.fixture(scope="module")
def view() -> TrainingSet:
    store = fake_store(4, 64)
    return TrainingSet(store, np.arange(len(store.images)), Problem(64, EXPRESSIONS, (), 0), 0)


def made(kind: type[Modal], view: TrainingSet) -> Modal:
    return kind(view.problem, None)


def asked(view: TrainingSet) -> RequestBatch:
    return label_requests(view, np.array([0, 8, 16]), [1, 5])


@pytest.mark.parametrize(("kind", "shape"), [(Modal, (3, 64, 64)), (Gray28, (1, 28, 28))])
def test_mode_and_form_are_the_engine_s_business(kind, shape, view, tmp_path: Path) -> None:
    method, requests = made(kind, view), asked(view)
    method.eval()
    train(method, view, steps={"only": 10}, folder=tmp_path, seed=0, device="cpu")
    probed = [call for call in method.calls if call[0] == "synthesize"]
    assert len(probed) == 22, "two pieces of 21 probe requests, at every step and when the phase ends"
    assert set(method.calls) == {("step", True, shape), ("synthesize", False, shape)}
    assert method.body[1].num_batches_tracked == 10, "probes must not feed the running statistics"

    method.calls.clear()
    assert method.training
    method.answer(requests)
    OwnDiscriminator(method, "").extract(to_pixels(requests.source))
    measure_cost(method, lambda n: requests[:n], batch_sizes=(2,), time_limit=0.1)
    assert {call[1:] for call in method.calls} == {(False, shape)}
    assert method.training


@dataclass(frozen=True)
class Small:
    native: str = ""


@pytest.mark.parametrize(
    ("kind", "native", "shape"),
    [
        (Modal, "32-color-bicubic-aa", (3, 32, 32)),
        (Modal, "", (3, 64, 64)),
        (Gray28, "", (1, 28, 28)),
        (Gray28, "32-gray-bicubic-aa", (1, 32, 32)),
    ],
)
def test_a_preset_may_have_a_form_of_its_own(kind, native, shape, view) -> None:
    method, requests = kind(view.problem, Small(native)), asked(view)
    assert method.native_of(method.hyper) == (native or kind.card.native)
    assert (method.problem.channels, method.problem.size) == shape[:2]
    assert method.answer(requests).shape == requests.source.shape
    assert method.calls == [("synthesize", False, shape)]


def test_the_form_of_a_preset_stands_in_the_record(monkeypatch) -> None:
    kind = type("Preset", (Modal,), {"presets": {"paper": Small(), "tiny": Small("32-color-bicubic-aa")}})
    monkeypatch.setattr(Job, "method_class", lambda self: kind)
    forms = {name: Job("modal", "avatars", name, "smoke").card()["native"] for name in kind.presets}
    assert forms == {"paper": "", "tiny": "32-color-bicubic-aa"}


def test_what_a_budget_cannot_teach_is_said_of_the_method_itself_not_of_its_children(monkeypatch) -> None:
    parent = type("Parent", (Modal,), {"presets": {"tiny": Small()}, "budget_notes": {"smoke": "too short"}})
    child = type("Child", (parent,), {})
    for kind, told in ((parent, "too short"), (child, "")):
        monkeypatch.setattr(Job, "method_class", lambda self, kind=kind: kind)
        assert Job("modal", "avatars", "tiny", "smoke").card()["budget_note"] == told
    assert Job("modal", "avatars", "tiny", "short").card()["budget_note"] == ""


def test_an_answer_does_not_depend_on_its_batch_though_training_would(view) -> None:
    method, requests = made(Modal, view), asked(view)
    whole = method.answer(requests)
    alone = torch.cat([method.answer(requests[k : k + 1]) for k in range(len(requests))])
    torch.testing.assert_close(whole, alone, atol=1e-6, rtol=0)
    assert not torch.allclose(method.synthesize(requests), whole, atol=1e-2)


def test_a_method_may_keep_a_part_of_itself_in_eval_mode(view) -> None:
    class Frozen(Modal):
        def train(self, mode: bool = True):
            super().train(mode)
            self.body[1].eval()
            return self

        def note(self, what, images):
            assert not self.body[1].training

    method = made(Frozen, view).train()
    with evaluating(method):
        assert not method.body[2].training
    assert method.body[2].training
    assert not method.body[1].training


def test_gray_answers_come_back_at_the_protocol_s_size_in_three_channels(view) -> None:
    method, requests = made(Gray28, view), asked(view)
    assert (method.problem.size, method.problem.channels, method.size) == (28, 1, 64)
    found = method.answer(requests)
    assert found.shape == requests.source.shape
    assert torch.equal(found[:, 0], found[:, 1])
    assert torch.equal(found[:, 0], found[:, 2])
    assert found.abs().max() <= 1


def test_landmarks_move_with_the_pixels(view) -> None:
    """A bright point keeps its place among its landmarks when the image shrinks by 2."""
    image = torch.full((1, 3, 56, 56), -1.0)
    image[:, :, 10:12, 20:22] = 1.0
    marks = torch.tensor([[[20.5, 10.5]] * 68])
    zero = torch.zeros(1, dtype=torch.long)
    values = {part.name: zero for part in fields(ImageBatch)}
    one = ImageBatch(**(values | {"image": image, "action_units": torch.zeros(1, 2), "landmarks": marks}))
    found = Native.parse("28-gray-bicubic-aa").batch(PairBatch(one, one)).target
    assert found.image.shape == (1, 1, 28, 28)
    row, column = divmod(int(found.image[0, 0].argmax()), 28)
    torch.testing.assert_close(found.landmarks[0, 0], torch.tensor([float(column), float(row)]))
    assert found.action_units is one.action_units


def test_clips_are_resized_frame_by_frame() -> None:
    @dataclass(frozen=True)
    class Clips:
        video: torch.Tensor
        landmarks: torch.Tensor
        label: torch.Tensor

    clips = Clips(torch.rand(2, 5, 3, 64, 64), torch.full((2, 5, 68, 2), 31.5), torch.zeros(2))
    native = Native.parse("32-color-bicubic-aa")
    found = native.batch(clips)
    assert found.video.shape == (2, 5, 3, 32, 32)
    torch.testing.assert_close(found.video[1], native.images(clips.video[1]))
    torch.testing.assert_close(found.landmarks, torch.full((2, 5, 68, 2), 15.5))
    assert native.outputs(found.video, 64).shape == clips.video.shape


def test_gray_is_luma_and_the_filter_is_antialiased() -> None:
    native = Native.parse("32-gray-bicubic-aa")
    red = torch.stack([torch.ones(32, 32), -torch.ones(32, 32), -torch.ones(32, 32)])
    torch.testing.assert_close(native.images(red[None])[0, 0, 0, 0], torch.tensor(2 * 0.299 - 1))
    stripes = torch.ones(1, 3, 128, 128)
    stripes[..., ::4] = -1.0
    assert (native.images(stripes) - 0.5).abs()[..., 4:-4].max() < 0.05, "one column in four, never lost"
    edge = torch.cat([torch.full((1, 1, 32, 16), -1.0), torch.full((1, 1, 32, 16), 0.5)], dim=3)
    wide = native.outputs(edge, 64)
    assert (wide.min(), wide.max()) == (-1, 0.5), "no ringing beyond what the method made"
    assert (wide[..., 31] - wide[..., 32]).abs().max() > 0.7, (
        "sharper than a bilinear filter, which has 0.375"
    )
    same = torch.rand(1, 3, 32, 32)
    assert Native.parse("32-color-bicubic-aa").images(same) is same


@pytest.mark.parametrize("text", ["28", "28-gray", "28-gray-nearest", "x-gray-bicubic-aa", "28-rgb-box"])
def test_an_odd_form_is_refused(text: str) -> None:
    with pytest.raises(MethodError, match="is not of the form SIZE-gray"):
        Native.parse(text)
    with pytest.raises(MethodError, match="27 pixels are fewer than 28"):
        Native.parse("27-gray-bicubic-aa")


def test_an_answer_of_another_form_is_named(view) -> None:
    class Odd(Gray28):
        def synthesize(self, requests):
            return requests.source[..., :20]

    with pytest.raises(MethodError, match=r"images of \(1, 28, 20\); its native form is \(1, 28, 28\)"):
        made(Odd, view).answer(asked(view))
