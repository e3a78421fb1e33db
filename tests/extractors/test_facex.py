from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fesbench.errors import WeightsError
from fesbench.extractors.facex import ExpressionMobileNet, Facex, FacexSettings, network_state
from fesbench.extractors.registry import extractor
from fesbench.extractors.tflite_file import Stored, read_tensors
from fesbench.weights.manager import WeightsManager
from tests.extractors.drawn_faces import face_landmarks
from tests.extractors.outside_judges import answers, inputs, pulled
from tests.extractors.random_weights import manager_with

PREFIX = "mobilenetv2_1.00_224/"

INPUT = FacexSettings().side


def made_tensors(seed: int = 0) -> dict[str, Stored]:
    """Random weights under the file's names: bytes of either kind for some, floats for the others."""
    rng = np.random.default_rng(seed)
    found: dict[str, Stored] = {}
    for name, parameter in ExpressionMobileNet().state_dict().items():
        layer, _, kind = name.rpartition(".")
        block = layer.startswith("blocks.")
        theirs = f"block_{int(layer.split('.')[1]) + 1}_{layer.split('.')[2]}" if block else layer
        shape, deep = tuple(parameter.shape), theirs.endswith("depthwise")
        if kind == "bias":
            suffix = "MatMul_bias" if theirs == "predictis" else f"{'depthwise' if deep else 'Conv2D'}_bias"
            lead = "" if theirs == "predictis" else PREFIX
            found[f"{lead}{theirs}/{suffix}"] = Stored(rng.normal(0, 0.3, shape).astype(np.float32))
        elif theirs == "predictis":
            values = rng.integers(-127, 128, shape).astype(np.int8).view(np.uint8)
            found[f"{theirs}/kernel/transpose"] = Stored(values, 3e-4)
        elif deep:
            values = rng.integers(0, 256, (1, 3, 3, shape[0])).astype(np.uint8)
            found[f"{theirs}/depthwise_kernel"] = Stored(values, 0.004, 120)
        elif block:
            values = rng.integers(-127, 128, (shape[0], 1, 1, shape[1])).astype(np.int8).view(np.uint8)
            found[f"{theirs}/kernel"] = Stored(values, 0.02 / shape[1] ** 0.5)
        else:
            values = rng.normal(0, np.prod(shape[1:]) ** -0.5, (shape[0], *shape[2:], shape[1]))
            found[f"{theirs}/kernel"] = Stored(values.astype(np.float32))
    return found


def literal(tensors: dict[str, Stored], image: np.ndarray) -> np.ndarray:
    """Probabilities (7,) of one image (200, 200, 3) in [0, 1]: the file's operators one after the other."""

    def numbers(name: str, *, signed: bool = True) -> np.ndarray:
        stored = tensors[name]
        values = stored.values.astype(np.float64)
        if stored.values.dtype == np.uint8 and signed:
            values = np.where(values > 127, values - 256, values)
        return values if stored.scale == 0 else stored.scale * (values - stored.zero_point)

    def conv(maps: np.ndarray, name: str, relu: bool, stride: int = 1) -> np.ndarray:
        kernel = numbers(f"{name}/kernel")
        side = (len(maps) - kernel.shape[1]) // stride + 1
        out = np.zeros((side, side, len(kernel))) + numbers(f"{PREFIX}{name}/Conv2D_bias")
        for y in range(kernel.shape[1]):
            for x in range(kernel.shape[2]):
                ends = slice(y, y + side * stride, stride), slice(x, x + side * stride, stride)
                out += maps[ends][:side, :side] @ kernel[:, y, x].T
        return np.clip(out, 0, 6) if relu else out

    def depthwise(maps: np.ndarray, name: str, stride: int) -> np.ndarray:
        kernel = numbers(f"{name}/depthwise_kernel", signed=False)[0]
        padded = np.pad(maps, ((0, 1), (0, 1), (0, 0)) if stride == 2 else ((1, 1), (1, 1), (0, 0)))
        side = (len(padded) - 3) // stride + 1
        out = np.zeros((side, side, maps.shape[2])) + numbers(f"{PREFIX}{name}/depthwise_bias")
        for y in range(3):
            for x in range(3):
                ends = slice(y, y + side * stride, stride), slice(x, x + side * stride, stride)
                out += padded[ends][:side, :side] * kernel[y, x]
        return np.clip(out, 0, 6)

    maps = conv(np.pad(image, ((0, 1), (0, 1), (0, 0))), "Conv1", True, 2)
    maps = conv(depthwise(maps, "expanded_conv_depthwise", 1), "expanded_conv_project", False)
    for number in range(1, 17):
        wide = conv(maps, f"block_{number}_expand", True)
        wide = depthwise(wide, f"block_{number}_depthwise", 2 if number in (1, 3, 6, 13) else 1)
        made = conv(wide, f"block_{number}_project", False)
        maps = maps + made if maps.shape == made.shape else made
    maps = conv(maps, "Conv_1", True)
    assert maps.shape == (6, 6, 1280)
    logits = numbers("predictis/kernel/transpose") @ maps.ravel() + numbers("predictis/MatMul_bias")
    powers = np.exp(logits - logits.max())
    answer: np.ndarray = powers / powers.sum()
    return answer


def images() -> np.ndarray:
    """What the interpreter was given: gray values in all three channels, in [0, 1]."""
    return np.repeat(inputs(INPUT, 1), 3, axis=3) / np.float32(255)


def test_port_equals_a_literal_reading_in_numpy() -> None:
    tensors, given = made_tensors(), images()[:2]
    wanted = np.stack([literal(tensors, image) for image in given])
    network = ExpressionMobileNet()
    network.load_state_dict(network_state(tensors))
    with torch.inference_mode():
        found = network(torch.from_numpy(given).permute(0, 3, 1, 2)).numpy()
    assert np.abs(found - wanted).max() < 2e-5
    assert np.ptp(wanted, axis=0).max() > 0.02
    assert np.ptp(wanted, axis=1).min() > 0.02


def test_published_weights_answer_as_near_to_every_kernel_as_they_to_one_another() -> None:
    found = Facex(pulled("facex")).describe(inputs(INPUT, 1)[..., 0])
    kernels = {name: np.array(rows) for name, rows in answers()["facex"].items()}
    spread = max(np.abs(a - b).mean() for a, b in combinations(kernels.values(), 2))
    for name, wanted in kernels.items():
        assert np.abs(found - wanted).mean() < 1.5 * spread, name
        clear = np.sort(wanted, axis=1)[:, -1] - np.sort(wanted, axis=1)[:, -2] > 0.2
        assert clear.sum() >= 5
        assert (found.argmax(axis=1) == wanted.argmax(axis=1))[clear].all(), name


def test_every_stage_equals_the_interpreters_within_its_rounding() -> None:
    """Each operator on the interpreter's own inputs: it rounds them to 255 steps, which bounds the gap."""
    interpreter = pytest.importorskip("ai_edge_litert.interpreter", reason="ai-edge-litert is not installed")
    raw = pulled("facex").path("facex").read_bytes()
    network = ExpressionMobileNet()
    network.load_state_dict(network_state(read_tensors(raw)))
    plain = interpreter.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    run = interpreter.Interpreter(
        model_content=raw, experimental_op_resolver_type=plain, experimental_preserve_all_tensors=True
    )
    run.allocate_tensors()
    run.set_tensor(run.get_input_details()[0]["index"], images()[3:4])
    run.invoke()
    place = {tensor["name"].removeprefix(PREFIX): tensor["index"] for tensor in run.get_tensor_details()}

    def maps(name: str) -> torch.Tensor:
        return torch.from_numpy(run.get_tensor(place[name]).copy()).permute(0, 3, 1, 2)

    def check(layer: Any, inside: str, outside: str, *, relu: bool = False, rounded: bool = True) -> None:
        given, wanted = maps(inside), maps(outside)
        found = layer(given)
        step = given.abs().max() / 127 / 2
        weights = layer.weight.flatten(1).abs().sum(dim=1)[None, :, None, None]
        bound = 1e-4 + (step * weights if rounded else 0)
        gap = ((found.clamp(0, 6) if relu else found) - wanted).abs()
        assert (gap <= bound).all(), outside

    with torch.inference_mode():
        check(network.Conv1, "Conv1_pad/Pad", "Conv1_relu/Relu6", relu=True, rounded=False)
        at = "expanded_conv_project_BN/FusedBatchNorm"
        for number, block in enumerate(network.blocks, 1):
            name = f"block_{number}"
            check(block.expand, at, f"{name}_expand_relu/Relu6", relu=True)
            check(block.project, f"{name}_depthwise_relu/Relu6", f"{name}_project_BN/FusedBatchNorm")
            at = f"{name}_add/add" if block.residual else f"{name}_project_BN/FusedBatchNorm"
        check(network.Conv_1, at, "out_relu/Relu6", relu=True)


def test_classes_are_the_projects_names_in_facexs_order() -> None:
    # facex: anger, disgust, fear, happy, neutral, sadness, surprised.
    assert Facex.classes == ("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")


def test_signature_names_the_weights_and_the_crop(tmp_path: Path) -> None:
    made = extractor("facex", manager=WeightsManager(tmp_path))
    assert made.signature == "facex:181e9dc6:facex-1"
    assert "fesbench weights pull facex" in str(made.available())


def test_another_file_is_refused(tmp_path: Path) -> None:
    judge = Facex(manager_with(tmp_path, facex=b"text"))
    with pytest.raises(WeightsError, match="does not hold facex's MobileNetV2"):
        judge.extract(np.zeros((1, 64, 64, 3), np.uint8), face_landmarks(64)[None])


def test_crop_is_the_cascades_box_without_a_margin() -> None:
    cv2 = pytest.importorskip("cv2", reason="the faces extra is not installed")
    image = np.random.default_rng(2).integers(0, 256, (300, 320, 3), np.uint8)
    image = cv2.GaussianBlur(image, (0, 0), 3)
    # A box of 100 px around the points gives a square of 110 px: x 60..170, y 59..169.
    landmarks = np.tile(np.array([115.0, 135.0]), (68, 1))
    landmarks[0], landmarks[1] = (65 - 0.5, 85 - 0.5), (165 - 0.5, 185 - 0.5)
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    wanted = cv2.resize(gray[59:169, 60:170], (INPUT, INPUT)).astype(np.float32)
    crop = Facex(WeightsManager(Path("nowhere"))).crop(image, landmarks)
    np.testing.assert_allclose(crop[2:-2, 2:-2], wanted[2:-2, 2:-2], atol=1.5)


def test_a_large_face_is_averaged_and_not_sampled() -> None:
    """Stripes of one pixel, in a square of 600: sampling would leave stripes, the mean is gray."""
    image = np.zeros((640, 640, 3), np.uint8)
    image[::2] = 200
    landmarks = np.tile(np.array([320.0, 430.0]), (68, 1))
    extent = 600 / 1.1
    landmarks[0], landmarks[1] = np.array([320, 430]) - extent / 2, np.array([320, 430]) + extent / 2
    crop = Facex(WeightsManager(Path("nowhere"))).crop(image, landmarks)
    assert np.ptp(crop) < 80
    assert crop.mean() == pytest.approx(100, abs=3)
