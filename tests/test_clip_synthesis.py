"""Clips on disk: T frames a request, resumable, checked, and the same however they are batched."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from fesbench.errors import MethodError
from fesbench.methods.batches import RequestBatch
from fesbench.methods.card import Problem
from fesbench.methods.training_set import TrainingSet
from fesbench.synthesis import is_made, request_files, synthesize
from fesbench.vocabulary import EXPRESSIONS
from tests.factories import FakeStore, fake_store
from tests.fading_method import Fading

PROBLEM = Problem(64, EXPRESSIONS, (), 0)


@pytest.fixture(scope="module")
def store() -> FakeStore:
    return fake_store(4, 64)


@pytest.fixture(scope="module")
def training(store: FakeStore) -> TrainingSet:
    return TrainingSet(store, np.arange(16), PROBLEM, 0)


def asked(*, images: bool = False, length: int = 4) -> pd.DataFrame:
    """A clip of happiness and one of surprise for two subjects; with an image of happiness for each."""
    tasks = [("sequence", "happiness", length), ("sequence", "surprise", length)]
    tasks += [("expression", "happiness", 1)] if images else []
    rows = [
        {
            "request": f"{task}_p{who}_{label}",
            "task": task,
            "source": 8 * who,
            "driver": -1,
            "target": -1,
            "source_expression": "neutral",
            "target_expression": label,
            "second_expression": "",
            "intensity": 1.0,
            "given": "label",
            "noise_seed": 100 * who,
            "length": frames,
        }
        for who in (2, 3)
        for task, label, frames in tasks
    ]
    return pd.DataFrame(rows)


def fading() -> Fading:
    return Fading(PROBLEM, None)


def answering(answer: Callable[[RequestBatch], torch.Tensor], native: str = "") -> Fading:
    class Planted(Fading):
        card: ClassVar = dataclasses.replace(Fading.card, native=native)

        def synthesize(self, requests: RequestBatch) -> torch.Tensor:
            return answer(requests)

    return Planted(PROBLEM, None)


def written(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*.png")}


def test_every_frame_is_a_file_beside_the_images(store, training, tmp_path: Path) -> None:
    requests = asked(images=True)
    result = synthesize(fading(), requests, store, training, tmp_path)
    assert (result.made, result.found) == (6, 0)
    expected = {f"images/expression_p{who}_happiness.png" for who in (2, 3)}
    expected |= {
        f"clips/sequence_p{who}_{label}/000{frame}.png"
        for who in (2, 3)
        for label in ("happiness", "surprise")
        for frame in range(4)
    }
    assert set(written(tmp_path)) == expected == {n for names in request_files(requests) for n in names}
    for frame, light in enumerate((1, 2 / 3, 1 / 3, 0)):
        found = np.asarray(Image.open(tmp_path / f"clips/sequence_p3_surprise/000{frame}.png"))
        assert np.abs(found - store.images[24] * light).max() <= 0.51
    # batches do not change a byte
    for size in (1, 3):
        again = tmp_path / str(size)
        synthesize(fading(), requests, store, training, again, batch_size=size)
        assert written(again) == {k: v for k, v in written(tmp_path).items() if k in expected}


def test_clips_of_two_lengths_are_asked_apart(store, training, tmp_path: Path) -> None:
    requests = asked().assign(length=[4, 2, 4, 2])
    synthesize(fading(), requests, store, training, tmp_path)
    counts = [len(list((tmp_path / "clips" / name).iterdir())) for name in requests["request"]]
    assert counts == [4, 2, 4, 2]


def test_a_clip_that_lacks_a_frame_is_made_again_whole(store, training, tmp_path: Path) -> None:
    requests = asked()
    synthesize(fading(), requests, store, training, tmp_path, batch_size=1, inputs="a")
    before = written(tmp_path)
    clip = tmp_path / "clips" / "sequence_p2_surprise"
    (clip / "0002.png").unlink()
    (clip / "0001.png").write_bytes(b"of an earlier try")
    (clip / ".0002.png.tmp").write_bytes(b"half")
    assert not is_made(requests, tmp_path)
    result = synthesize(fading(), requests, store, training, tmp_path, batch_size=1, inputs="a")
    assert (result.made, result.found) == (1, 3)
    assert written(tmp_path) == before
    assert is_made(requests, tmp_path)
    assert not list(clip.glob(".*"))


def test_clips_of_other_inputs_are_deleted(store, training, tmp_path: Path) -> None:
    synthesize(fading(), asked(), store, training, tmp_path, inputs="a")
    result = synthesize(fading(), asked(length=2)[:1], store, training, tmp_path, inputs="b")
    assert result.made == 1
    assert sorted(written(tmp_path)) == [f"clips/sequence_p2_happiness/000{k}.png" for k in (0, 1)]


def test_a_native_form_serves_clips_too(store, training, tmp_path: Path) -> None:
    def small(requests: RequestBatch) -> torch.Tensor:
        assert requests.source.shape[1:] == (1, 28, 28)
        return requests.source[:, None].repeat(1, requests.length, 1, 1, 1)

    synthesize(answering(small, "28-gray-bicubic-aa"), asked(), store, training, tmp_path)
    assert Image.open(tmp_path / "clips/sequence_p2_happiness/0003.png").size == (64, 64)


def broken(value: float) -> Callable[[RequestBatch], torch.Tensor]:
    """Clips with one odd pixel in frame 3 of the third request."""

    def answer(requests: RequestBatch) -> torch.Tensor:
        clips = requests.source[:, None].repeat(1, requests.length, 1, 1, 1)
        clips[2, 3, 1, 5, 5] = value
        return clips

    return answer


@pytest.mark.parametrize(
    ("answer", "match"),
    [
        (lambda r: r.source, r"shape \(4, 3, 64, 64\).*expected \(4, 4, 3, 64, 64\)"),
        (lambda r: r.source[:, None].repeat(1, 3, 1, 1, 1), r"shape \(4, 3, 3, 64, 64\)"),
        (lambda r: torch.zeros(4, 4, 3, 64, 64, dtype=torch.uint8), "uint8"),
        (broken(torch.nan), "NaN.*'sequence_p3_happiness', frame 3"),
        (broken(-1.5), "outside.*'sequence_p3_happiness', frame 3"),
    ],
)
def test_a_broken_clip_is_named(answer, match, store, training, tmp_path: Path) -> None:
    with pytest.raises(MethodError, match=match):
        synthesize(answering(answer), asked(), store, training, tmp_path)
    assert not written(tmp_path)
