from __future__ import annotations

import errno
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from fesbench.errors import DataError, MethodError
from fesbench.methods.base import Method
from fesbench.methods.card import Problem
from fesbench.methods.conditions import request_batch
from fesbench.methods.registry import methods
from fesbench.methods.training_set import TrainingSet
from fesbench.synthesis import synthesize, to_pixels
from fesbench.vocabulary import EXPRESSIONS
from tests.factories import FakeStore, fake_store

PROBLEM = Problem(64, EXPRESSIONS, (6, 12), 0)


@pytest.fixture(scope="module")
def store() -> FakeStore:
    return fake_store(4, 64)


@pytest.fixture(scope="module")
def training(store: FakeStore) -> TrainingSet:
    return TrainingSet(store, np.arange(24), PROBLEM, 0)


def table(people=(2, 3), labels=(1, 5, 7), **changes: Any) -> pd.DataFrame:
    found = pd.DataFrame(
        [
            {
                "request": f"expression_in_p{who}_{EXPRESSIONS[label]}",
                "task": "expression",
                "domain": "in",
                "identity": f"p{who:03d}",
                "take": 0,
                "source": 8 * who,
                "driver": -1,
                "target": 8 * who + label,
                "source_expression": "neutral",
                "target_expression": EXPRESSIONS[label],
                "second_expression": "",
                "intensity": 1.0,
                "given": "label",
                "noise_seed": 100 * who + label,
            }
            for who in people
            for label in labels
        ]
    )
    return found.assign(**changes)


def build(name: str) -> Method:
    kind = methods()[name]
    return kind(PROBLEM, kind.presets["tiny"])


def read(folder: Path, name: str) -> np.ndarray:
    return np.asarray(Image.open(folder / "images" / f"{name}.png"))


def answering(answer) -> Method:
    """A method whose synthesize is ``answer``."""

    class Planted(methods()["copy"]):  # type: ignore[misc]
        def synthesize(self, requests):
            return answer(requests)

    return Planted(PROBLEM, None)


def test_copy_writes_the_sources_and_real_the_truth(store, training, tmp_path) -> None:
    requests = table()
    for name, column in (("copy", "source"), ("real", "target")):
        result = synthesize(build(name), requests, store, training, tmp_path / name)
        assert (result.made, result.found) == (6, 0)
        for row in requests.itertuples():
            assert np.array_equal(read(tmp_path / name, row.request), store.images[getattr(row, column)])


def test_real_without_a_truth_names_the_request(store, training, tmp_path) -> None:
    with pytest.raises(MethodError, match="expression_in_p2_anger"):
        synthesize(build("real"), table(target=-1), store, training, tmp_path)


def test_the_card_says_who_answers_with_the_target(store, training, tmp_path) -> None:
    class Truth(methods()["real"]):  # type: ignore[misc]
        card = replace(methods()["real"].card, id="truth")

    synthesize(Truth(PROBLEM, None), table(), store, training, tmp_path)
    for row in table().itertuples():
        assert np.array_equal(read(tmp_path, row.request), store.images[row.target])
    assert [name for name, kind in methods().items() if kind.card.answers_with_target] == ["real"]


def test_no_method_gets_the_truth(store, training, tmp_path) -> None:
    """Whatever the column ``target`` says, the images of a method are the same."""
    method = build("stargan")
    synthesize(method, table(), store, training, tmp_path / "a")
    synthesize(method, table(target=0), store, training, tmp_path / "b")
    for name in table()["request"]:
        assert np.array_equal(read(tmp_path / "a", name), read(tmp_path / "b", name))


def test_a_stopped_run_goes_on_and_gives_the_same_files(store, training, tmp_path) -> None:
    method, requests = build("pix2pix"), table()
    synthesize(method, requests, store, training, tmp_path / "whole", batch_size=4)

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        synthesize(method, requests, store, training, tmp_path / "cut", batch_size=4, on_progress=stop)
    # One image of the unfinished batch was written before the kill.
    first_of_next = requests["request"][4]
    half = (tmp_path / "whole" / "images" / f"{first_of_next}.png").read_bytes()
    (tmp_path / "cut" / "images" / f"{first_of_next}.png").write_bytes(half)
    (tmp_path / "cut" / "images" / ".x.png.tmp").write_bytes(b"half")
    result = synthesize(method, requests, store, training, tmp_path / "cut", batch_size=4)
    assert (result.made, result.found) == (2, 4)
    whole = {p.name: p.read_bytes() for p in (tmp_path / "whole" / "images").iterdir()}
    assert {p.name: p.read_bytes() for p in (tmp_path / "cut" / "images").iterdir()} == whole


def test_images_of_other_inputs_are_made_anew(store, training, tmp_path) -> None:
    requests = table()
    synthesize(build("copy"), requests, store, training, tmp_path, inputs="a")
    assert synthesize(build("copy"), requests, store, training, tmp_path, inputs="a").found == 6
    assert synthesize(build("copy"), requests[:3], store, training, tmp_path, inputs="b").made == 3
    assert len(list((tmp_path / "images").iterdir())) == 3


def test_progress_counts_to_the_end(store, training, tmp_path) -> None:
    seen: list[tuple[int, int]] = []
    synthesize(
        build("copy"), table(), store, training, tmp_path, batch_size=4, on_progress=lambda *p: seen.append(p)
    )
    assert seen == [(4, 6), (6, 6)]


@pytest.mark.parametrize(
    ("answer", "match"),
    [
        (lambda r: r.source[:-1], r"shape \(5, 3, 64, 64\)"),
        (lambda r: r.source[:, :, ::2], r"shape \(6, 3, 32, 64\)"),
        (lambda r: (r.source * 127).to(torch.uint8), "uint8"),
        (lambda r: [1], "list"),
        (lambda r: r.source.clone().index_fill_(0, torch.tensor([4]), torch.nan), "NaN.*p3_happiness"),
        (lambda r: r.source * torch.tensor([1, 1, 1, 1, 1, 9.0]).reshape(6, 1, 1, 1), "outside.*p3_surprise"),
    ],
)
def test_a_broken_answer_names_method_and_request(answer, match, store, training, tmp_path) -> None:
    with pytest.raises(MethodError, match=match):
        synthesize(answering(answer), table(), store, training, tmp_path)
    assert not list((tmp_path / "images").glob("*.png"))


def test_an_unsafe_or_repeated_name_is_refused(store, training, tmp_path) -> None:
    for names in (["../x", *"bcdef"], ["a"] * 6):
        with pytest.raises(MethodError, match="unique and safe"):
            synthesize(build("copy"), table().assign(request=names), store, training, tmp_path)


def test_a_full_disk_says_so(store, training, tmp_path, monkeypatch) -> None:
    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("fesbench.synthesis.os.replace", full)
    with pytest.raises(DataError, match="the disk is full"):
        synthesize(build("copy"), table(), store, training, tmp_path)


def test_an_unwritable_folder_is_named(store, training, tmp_path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match="file"):
        synthesize(build("copy"), table(), store, training, tmp_path / "file")


def test_pixels_are_rounded_to_the_nearest() -> None:
    levels = torch.tensor([-1.0, -1 + 0.49 / 127.5, -1 + 0.51 / 127.5, 0.0, 1.0, 1.0004])
    pixels = to_pixels(levels.reshape(1, 1, 1, 6).repeat(1, 3, 1, 1))
    assert pixels[0, 0, :, 0].tolist() == [0, 0, 1, 128, 255, 255]


def test_under_expression_only_the_label_speaks(store, training) -> None:
    requests = table()
    batch = request_batch(requests, store, training, PROBLEM)
    assert batch.target_label.tolist() == [1, 5, 7, 1, 5, 7]
    expected = store.manifest.landmarks[16] + training.mean_landmark_displacement[5]
    np.testing.assert_allclose(batch.target_landmarks[1], expected, atol=1e-4)
    # Happiness is action units 6 and 12 in every face of the training subjects.
    assert batch.target_action_units[1].tolist() == [1.0, 1.0]
    assert batch.noise_seed.tolist() == requests["noise_seed"].tolist()


def test_intensity_scales_displacement_and_action_units(store, training) -> None:
    batch = request_batch(table(labels=(5,), intensity=0.25), store, training, PROBLEM)
    assert batch.target_action_units[0].tolist() == [0.25, 0.25]
    moved = batch.target_landmarks[0].numpy() - store.manifest.landmarks[16]
    np.testing.assert_allclose(moved, 0.25 * training.mean_landmark_displacement[5], atol=1e-4)


def test_a_compound_mixes_its_two_labels(store, training) -> None:
    batch = request_batch(table(labels=(7,), second_expression="happiness"), store, training, PROBLEM)
    assert batch.second_label.tolist() == [5, 5]
    assert batch.target_action_units[0].tolist() == [1.0, 1.0]
    moved = batch.target_landmarks[0].numpy() - store.manifest.landmarks[16]
    mean = training.mean_landmark_displacement[[5, 7]].mean(0)
    np.testing.assert_allclose(moved, mean, atol=1e-4)


def test_transfer_grants_the_drivers_landmarks_and_no_label(store, training) -> None:
    requests = table(labels=(5,), task="transfer", given="landmarks", driver=13)
    batch = request_batch(requests, store, training, PROBLEM)
    assert batch.target_label.tolist() == [-1, -1]
    assert torch.isnan(batch.target_action_units).all()
    assert np.array_equal(batch.target_landmarks[0], store.manifest.landmarks[13])
    with pytest.raises(MethodError, match="names no driver"):
        request_batch(requests.assign(driver=-1), store, training, PROBLEM)


def test_a_label_that_the_problem_lacks_names_the_request(store, training) -> None:
    with pytest.raises(MethodError, match=r"expression_in_p2_anger.*boredom"):
        request_batch(table().assign(target_expression="boredom"), store, training, PROBLEM)
