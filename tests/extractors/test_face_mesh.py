from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from fesbench.data.avatars.rendering import AvatarSpec, render
from fesbench.errors import WeightsError
from fesbench.extractors.face_mesh import FaceMesh, FaceMeshNetwork, MeshSettings, network_state
from fesbench.extractors.registry import extractor
from fesbench.extractors.tflite_file import Stored
from fesbench.metrics.control.head_pose import MESH
from fesbench.weights.manager import WeightsManager
from tests.extractors.drawn_faces import face_landmarks
from tests.extractors.outside_judges import answers, inputs, pulled
from tests.extractors.random_weights import manager_with

INPUT = MeshSettings().side

TRUNK = [16, 16, 16, 32, 32, 32, 64, 64, 64, *[128] * 6]
"""Channels of the maps before each block of the file's trunk, and behind the last."""


def made_tensors() -> dict[str, Stored]:
    """Random weights under the file's names, in the file's order of axes."""
    rng = np.random.default_rng(0)
    found: dict[str, Stored] = {}

    def put(name: str, *shape: int, spread: float) -> None:
        found[name] = Stored(rng.normal(0, spread, shape).astype(np.float32))

    def conv(number: int, inputs: int, outputs: int, side: int) -> None:
        name = f"conv2d_{number}" if number else "conv2d"
        put(f"{name}/Kernel", outputs, side, side, inputs, spread=(side * side * inputs) ** -0.5)
        put(f"{name}/Bias", outputs, spread=0.1)

    def block(depthwise: int, pointwise: int, inputs: int, outputs: int) -> None:
        name = f"depthwise_conv2d_{depthwise}" if depthwise else "depthwise_conv2d"
        put(f"{name}/Kernel", 1, 3, 3, inputs, spread=0.3)
        put(f"{name}/Bias", inputs, spread=0.1)
        conv(pointwise, inputs, outputs, 1)

    conv(0, 3, 16, 3)
    for k, (before, after) in enumerate(pairwise(TRUNK)):
        block(k, k + 1, before, after)
    for depthwise, pointwise in ((14, 15), (15, 16), (16, 17), (22, 27)):
        block(depthwise, pointwise, 128, 128)
    for narrow, depthwise, last, outputs in ((18, 17, 20, 1404), (28, 23, 30, 1)):
        conv(narrow, 128, 32, 1)
        block(depthwise, narrow + 1, 32, 32)
        conv(last, 32, outputs, 3)
    wide = [TRUNK[0], *TRUNK[1:], 128, 128, 128, 32, 32]
    for number, channels in [*enumerate(wide), (25, 128), (26, 32), (27, 32)]:
        put(f"p_re_lu_{number}/Alpha" if number else "p_re_lu/Alpha", 1, 1, channels, spread=0.5)
    return found


def literal(tensors: dict[str, Stored], image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points (1404,) and log odds (1,) of an image (192, 192, 3): the file's operators one after another."""
    used: set[str] = set()

    def get(name: str) -> np.ndarray:
        used.add(name)
        return tensors[name].values.astype(np.float64)

    def windows(maps: np.ndarray, stride: int) -> Iterator[tuple[int, int, np.ndarray]]:
        """Each place of a 3 x 3 kernel and what lies under it, with TensorFlow's borders (SAME)."""
        side = -(-len(maps) // stride)
        border = max((side - 1) * stride + 3 - len(maps), 0)
        ends = (border // 2, border - border // 2)
        padded = np.pad(maps, (ends, ends, (0, 0)))
        for y in range(3):
            for x in range(3):
                yield (
                    y,
                    x,
                    padded[y : y + side * stride : stride, x : x + side * stride : stride][:side, :side],
                )

    def conv(maps: np.ndarray, number: int, *, stride: int = 1, valid: bool = False) -> np.ndarray:
        name = f"conv2d_{number}" if number else "conv2d"
        kernel, bias = get(f"{name}/Kernel"), get(f"{name}/Bias")
        if kernel.shape[1] == 1:
            return maps @ kernel[:, 0, 0].T + bias
        if valid:
            return np.einsum("oyxc,yxc->o", kernel, maps)[None, None] + bias
        return bias + sum(part @ kernel[:, y, x].T for y, x, part in windows(maps, stride))

    def prelu(maps: np.ndarray, number: int) -> np.ndarray:
        alpha = get(f"p_re_lu_{number}/Alpha" if number else "p_re_lu/Alpha")
        return np.where(maps >= 0, maps, alpha * maps)

    def block(maps: np.ndarray, depthwise: int, pointwise: int, slope: int, stride: int = 1) -> np.ndarray:
        name = f"depthwise_conv2d_{depthwise}" if depthwise else "depthwise_conv2d"
        kernel = get(f"{name}/Kernel")[0]
        deep = get(f"{name}/Bias") + sum(part * kernel[y, x] for y, x, part in windows(maps, stride))
        made = conv(deep, pointwise)
        if stride == 2:
            half = len(maps) // 2
            maps = maps.reshape(half, 2, half, 2, -1).max(axis=(1, 3))
        more = made.shape[-1] - maps.shape[-1]
        return prelu(made + np.pad(maps, ((0, 0), (0, 0), (0, more))), slope)

    maps = prelu(conv(image.astype(np.float64), 0, stride=2), 0)
    for k in range(14):
        maps = block(maps, k, k + 1, k + 1, stride=2 if k in (2, 5, 8, 11) else 1)
    assert maps.shape == (6, 6, 128)
    mesh = block(maps, 14, 15, 15, stride=2)
    mesh = block(block(mesh, 15, 16, 16), 16, 17, 17)
    mesh = block(prelu(conv(mesh, 18), 18), 17, 19, 19)
    flag = block(maps, 22, 27, 25, stride=2)
    flag = block(prelu(conv(flag, 28), 26), 23, 29, 27)
    answer = conv(mesh, 20, valid=True)[0, 0], conv(flag, 30, valid=True)[0, 0]
    assert used == set(tensors)
    return answer


def images() -> np.ndarray:
    return inputs(INPUT, 3) / np.float32(255)


def test_port_equals_a_literal_reading_in_numpy() -> None:
    tensors, given = made_tensors(), images()[:2]
    network = FaceMeshNetwork()
    network.load_state_dict(network_state(tensors))
    with torch.inference_mode():
        points, odds = network(torch.from_numpy(given).permute(0, 3, 1, 2))
    for row, image in enumerate(given):
        wanted, flag = literal(tensors, image)
        assert wanted.std() > 0.1
        np.testing.assert_allclose(points[row].numpy(), wanted, atol=1e-4 * np.abs(wanted).max())
        np.testing.assert_allclose(odds[row].numpy(), flag, atol=1e-4 * np.abs(wanted).max())


def test_published_weights_answer_as_the_interpreter() -> None:
    """Every 40th number and the log odds, as ai-edge-litert 2.3.0 gives them."""
    mesh = FaceMesh(pulled("face-mesh"))
    found, wanted = mesh.describe(inputs(INPUT, 3)), np.array(answers()["face-mesh"])
    assert np.abs(found[:, :-1:40] - wanted[:, :-1]).max() < 2e-3
    np.testing.assert_allclose(found[:, -1], 1 / (1 + np.exp(-wanted[:, -1])), rtol=2e-3)


def test_points_lie_on_the_face_and_noise_has_none() -> None:
    mesh = FaceMesh(pulled("face-mesh"))
    batch = render([AvatarSpec(who, expression=e) for who in range(3) for e in ("neutral", "surprise")], 128)
    values, valid = mesh.extract(batch.images, batch.landmarks)
    assert valid.all()
    own = mesh.settings
    for row, known in enumerate(batch.landmarks):
        low, high = known.min(axis=0), known.max(axis=0)
        extent = (high - low).max()
        center = (low + high) / 2 - (0, own.rise * extent)
        points = values[row, :-1].reshape(-1, 3)[:, :2]
        seen = (points + 0.5 - own.side / 2) * own.box * extent / own.side + center
        eyes = np.linalg.norm(known[36] - known[45])
        for ibug in (33, 36, 39, 42, 45):
            assert np.linalg.norm(seen[MESH[ibug]] - known[ibug]) < 0.2 * eyes, ibug
        # Forehead, nasion, tip, chin; either side: the mesh is neither mirrored nor upside down.
        assert seen[10, 1] < seen[168, 1] < seen[4, 1] < seen[152, 1]
        assert seen[234, 0] < seen[4, 0] < seen[454, 0]
    noise = np.random.default_rng(0).integers(0, 256, batch.images.shape, np.uint8)
    values, valid = mesh.extract(noise, batch.landmarks)
    assert not valid.any()
    assert not values.any()


def test_an_image_does_not_depend_on_its_batch(tmp_path: Path) -> None:
    mesh = FaceMesh(pulled("face-mesh"))
    batch = render([AvatarSpec(who) for who in range(3)], 64)
    together, _ = mesh.extract(batch.images, batch.landmarks)
    alone, _ = mesh.extract(batch.images[2:], batch.landmarks[2:])
    np.testing.assert_array_equal(alone[0], together[2])


def test_signature_names_the_weights_and_the_crop(tmp_path: Path) -> None:
    made = extractor("face-mesh", manager=WeightsManager(tmp_path))
    assert made.signature == "face-mesh:2efcb4f4:mesh-1"
    assert "fesbench weights pull face-mesh" in str(made.available())


def test_another_file_is_refused(tmp_path: Path) -> None:
    mesh = FaceMesh(manager_with(tmp_path, face_mesh=b"text"))
    with pytest.raises(WeightsError, match="does not hold the landmark network"):
        mesh.extract(np.zeros((1, 64, 64, 3), np.uint8), face_landmarks(64)[None])
