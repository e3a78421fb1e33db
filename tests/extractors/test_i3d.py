"""I3D against its definition in plain steps, on seeded weights in the layout of the published file."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from fesbench.errors import DataError, WeightsError
from fesbench.extractors.i3d import I3D, I3DSettings, clip_input, same_padding
from fesbench.weights.manager import WeightsManager
from tests.extractors.random_weights import manager_with

NAME = "i3d-kinetics-400"
SHORTEST = I3D.shortest
WIDTHS = {
    "3b": (192, 64, 96, 128, 16, 32, 32),
    "3c": (256, 128, 128, 192, 32, 96, 64),
    "4b": (480, 192, 96, 208, 16, 48, 64),
    "4c": (512, 160, 112, 224, 24, 64, 64),
    "4d": (512, 128, 128, 256, 24, 64, 64),
    "4e": (512, 112, 144, 288, 32, 64, 64),
    "4f": (528, 256, 160, 320, 32, 128, 128),
    "5b": (832, 256, 160, 320, 32, 128, 128),
    "5c": (832, 384, 192, 384, 48, 128, 128),
}
State = dict[str, torch.Tensor]


def published_tensors() -> State:
    """The names and shapes of the published file."""
    draw, state = torch.Generator().manual_seed(0), {}

    def unit(name: str, inputs: int, outputs: int, kernel: int) -> None:
        scale = (2 / (inputs * kernel**3)) ** 0.5
        shape = (outputs, inputs, kernel, kernel, kernel)
        state[f"{name}.conv3d.weight"] = torch.randn(shape, generator=draw) * scale
        state[f"{name}.bn.weight"] = 1 + 0.1 * torch.randn(outputs, generator=draw)
        state[f"{name}.bn.bias"] = 0.1 * torch.randn(outputs, generator=draw)
        state[f"{name}.bn.running_mean"] = 0.1 * torch.randn(outputs, generator=draw)
        state[f"{name}.bn.running_var"] = 0.5 + torch.rand(outputs, generator=draw)
        state[f"{name}.bn.num_batches_tracked"] = torch.tensor(1)

    unit("Conv3d_1a_7x7", 3, 64, 7)
    unit("Conv3d_2b_1x1", 64, 64, 1)
    unit("Conv3d_2c_3x3", 64, 192, 3)
    for block, (inputs, *widths) in WIDTHS.items():
        b0, b1a, b1b, b2a, b2b, b3b = widths
        for branch, before, after, kernel in (
            ("b0", inputs, b0, 1),
            ("b1a", inputs, b1a, 1),
            ("b1b", b1a, b1b, 3),
            ("b2a", inputs, b2a, 1),
            ("b2b", b2a, b2b, 3),
            ("b3b", inputs, b3b, 1),
        ):
            unit(f"Mixed_{block}.{branch}", before, after, kernel)
    state["logits.conv3d.weight"] = torch.randn((400, 1024, 1, 1, 1), generator=draw) / 32
    state["logits.conv3d.bias"] = torch.randn(400, generator=draw)
    return state


def same(x: np.ndarray, kernel: Sequence[int], stride: Sequence[int], value: float) -> np.ndarray:
    """TensorFlow's padding: ceil(n / s) windows, of an odd number one more behind. ``x`` is (C, T, H, W)."""
    around = [(0, 0)]
    for n, k, s in zip(x.shape[1:], kernel, stride, strict=True):
        total = max((math.ceil(n / s) - 1) * s + k - n, 0)
        around.append((total // 2, total - total // 2))
    return np.pad(x, around, constant_values=value)


def conv(state: State, name: str, x: np.ndarray, stride: int = 1) -> np.ndarray:
    """Convolution, BatchNorm by its formula, ReLU: in two dimensions, summed over the places in time."""
    weight = state[f"{name}.conv3d.weight"]
    kernel = weight.shape[-1]
    padded = torch.from_numpy(same(x, [kernel] * 3, [stride] * 3, 0.0))
    steps = range(0, padded.shape[1] - kernel + 1, stride)
    frames = [
        sum(F.conv2d(padded[:, t + k][None], weight[:, :, k], stride=stride)[0] for k in range(kernel))
        for t in steps
    ]
    found = torch.stack([torch.as_tensor(frame) for frame in frames], dim=1)
    mean, var, gain, bias = (
        state[f"{name}.bn.{part}"][:, None, None, None]
        for part in ("running_mean", "running_var", "weight", "bias")
    )
    return ((found - mean) / torch.sqrt(var + 0.001) * gain + bias).clamp(min=0).numpy()


def pool(x: np.ndarray, kernel: Sequence[int], stride: Sequence[int]) -> np.ndarray:
    padded = same(x, kernel, stride, -np.inf)
    windows = np.lib.stride_tricks.sliding_window_view(padded, kernel, axis=(1, 2, 3))
    t, h, w = stride
    return np.ascontiguousarray(windows[:, ::t, ::h, ::w].max(axis=(4, 5, 6)))


def scores(state: State, clip: np.ndarray) -> np.ndarray:
    """Class scores (400,) of a clip float32 (3, T, 224, 224) in [-1, 1]."""

    def mixed(x: np.ndarray, block: str) -> np.ndarray:
        def unit(branch: str, x: np.ndarray) -> np.ndarray:
            return conv(state, f"Mixed_{block}.{branch}", x)

        parts = (
            unit("b0", x),
            unit("b1b", unit("b1a", x)),
            unit("b2b", unit("b2a", x)),
            unit("b3b", pool(x, (3, 3, 3), (1, 1, 1))),
        )
        return np.concatenate(parts)

    x = pool(conv(state, "Conv3d_1a_7x7", clip, 2), (1, 3, 3), (1, 2, 2))
    x = conv(state, "Conv3d_2c_3x3", conv(state, "Conv3d_2b_1x1", x))
    x = mixed(mixed(pool(x, (1, 3, 3), (1, 2, 2)), "3b"), "3c")
    x = pool(x, (3, 3, 3), (2, 2, 2))
    for block in ("4b", "4c", "4d", "4e", "4f"):
        x = mixed(x, block)
    x = mixed(mixed(pool(x, (2, 2, 2), (2, 2, 2)), "5b"), "5c")
    averaged = np.stack([x[:, t : t + 2].mean(axis=(1, 2, 3)) for t in range(x.shape[1] - 1)])
    assert x.shape[2:] == (7, 7)
    weight, bias = state["logits.conv3d.weight"][:, :, 0, 0, 0], state["logits.conv3d.bias"]
    return (averaged @ weight.numpy().T + bias.numpy()).mean(axis=0)


@pytest.fixture(scope="module")
def state() -> State:
    return published_tensors()


@pytest.fixture(scope="module")
def network(state: State, tmp_path_factory: pytest.TempPathFactory) -> I3D:
    return I3D(manager_with(tmp_path_factory.mktemp("home"), i3d_kinetics_400=state), device="cpu")


def test_scores_are_those_of_the_definition(network: I3D, state: State) -> None:
    clip = np.random.default_rng(1).integers(0, 256, (SHORTEST, 40, 32, 3), dtype=np.uint8)
    frames = torch.from_numpy(clip).permute(0, 3, 1, 2).float()
    resized = F.interpolate(frames, size=(224, 224), mode="bilinear", align_corners=False).numpy()
    expected = scores(state, np.moveaxis(2 * (resized / np.float32(255)) - 1, 1, 0))
    found = network.extract(clip[None])
    assert found.shape == (1, 400)
    assert found.dtype == np.float32
    assert np.abs(found[0] - expected).max() < 1e-3 * expected.std()
    assert expected.std() > 0.1


@pytest.mark.parametrize(
    ("length", "kernel", "stride"), [(9, 7, 2), (224, 7, 2), (5, 3, 2), (3, 2, 2), (4, 1, 1)]
)
def test_padding_is_tensorflows(length: int, kernel: int, stride: int) -> None:
    x = torch.ones(1, 1, length, 4, 4)
    ours = same_padding(x, (kernel, 1, 1), (stride, 1, 1))[0, :, :, :4, :4].numpy()
    assert np.array_equal(ours, same(x[0].numpy(), (kernel, 1, 1), (stride, 1, 1), 0.0))


def test_input_is_rgb_from_minus_one_to_one_with_time_behind_color() -> None:
    clip = np.zeros((3, 8, 8, 3), np.uint8)
    clip[1, ..., 0], clip[2, ..., 2] = 255, 51
    found = clip_input(clip, I3DSettings())
    assert found.shape == (1, 3, 3, 224, 224)
    assert found[0, :, :, 5, 7].numpy() == pytest.approx(
        np.array([[-1, 1, -1], [-1, -1, -1], [-1, -1, -0.6]])
    )


def test_clips_that_it_cannot_read_are_refused(network: I3D) -> None:
    with pytest.raises(DataError, match="reads clips of 9 frames or more, not of 8"):
        network.extract(np.zeros((2, 8, 16, 16, 3), np.uint8))
    with pytest.raises(DataError, match="takes uint8 RGB clips"):
        network.extract(np.zeros((9, 16, 16, 3), np.uint8))


def test_without_its_file_it_names_the_command(tmp_path: Path, state: State) -> None:
    reason = I3D(WeightsManager(tmp_path)).available()
    assert reason is not None
    assert f"fesbench weights pull {NAME}" in reason
    broken = I3D(manager_with(tmp_path, i3d_kinetics_400=state | {"logits.conv3d.bias": torch.zeros(399)}))
    with pytest.raises(WeightsError, match="does not hold VideoGPT's I3D"):
        broken.extract(np.zeros((1, SHORTEST, 16, 16, 3), np.uint8))
    cut = I3D(manager_with(tmp_path / "cut", i3d_kinetics_400=b"PK\x03\x04 no network"))
    with pytest.raises(WeightsError, match="does not hold VideoGPT's I3D"):
        cut.extract(np.zeros((1, SHORTEST, 16, 16, 3), np.uint8))
