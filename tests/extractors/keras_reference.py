"""A slow, literal reading of a Keras model file: layer by layer, by its own config, in float64 numpy."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np


def run(raw: bytes, images: np.ndarray) -> dict[str, np.ndarray]:
    """The output of every layer for images (N, H, W, C)."""
    import h5py

    outputs: dict[str, np.ndarray] = {}
    with h5py.File(io.BytesIO(raw), "r") as file:
        config = json.loads(file.attrs["model_config"])["config"]
        for layer in config["layers"]:
            name, group = layer["name"], file["model_weights"][layer["name"]]
            weights = [np.array(group[path], np.float64) for path in group.attrs["weight_names"]]
            inputs = (
                [outputs[node[0]] for node in layer["inbound_nodes"][0]] if layer["inbound_nodes"] else []
            )
            outputs[name] = LAYERS[layer["class_name"]](inputs, layer["config"], weights, images)
    return outputs


def _padded(x: np.ndarray, kernel: int, stride: int, padding: str, value: float) -> np.ndarray:
    """TensorFlow's SAME: what is odd of the border goes to the end."""
    if padding == "valid":
        return x
    pads = [(0, 0)]
    for side in x.shape[1:3]:
        extra = max((-(-side // stride) - 1) * stride + kernel - side, 0)
        pads.append((extra // 2, extra - extra // 2))
    return np.pad(x, [*pads, (0, 0)], constant_values=value)


def _windows(x: np.ndarray, kernel: int, stride: int) -> np.ndarray:
    """(N, H', W', C, kernel, kernel)."""
    return np.lib.stride_tricks.sliding_window_view(x, (kernel, kernel), (1, 2))[:, ::stride, ::stride]


def _conv(inputs: list[Any], config: Any, weights: list[Any], images: np.ndarray) -> np.ndarray:
    (size, _), (stride, _) = config["kernel_size"], config["strides"]
    seen = _windows(_padded(inputs[0], size, stride, config["padding"], 0.0), size, stride)
    return np.einsum("nhwcij,ijco->nhwo", seen, weights[0]) + (weights[1] if config["use_bias"] else 0.0)


def _separable(inputs: list[Any], config: Any, weights: list[Any], images: np.ndarray) -> np.ndarray:
    (size, _), (stride, _) = config["kernel_size"], config["strides"]
    seen = _windows(_padded(inputs[0], size, stride, config["padding"], 0.0), size, stride)
    deep = np.einsum("nhwcij,ijc->nhwc", seen, weights[0][..., 0])
    return deep @ weights[1][0, 0]


def _norm(inputs: list[Any], config: Any, weights: list[Any], images: np.ndarray) -> np.ndarray:
    gamma, beta, mean, variance = weights
    return (inputs[0] - mean) / np.sqrt(variance + config["epsilon"]) * gamma + beta


def _activation(inputs: list[Any], config: Any, weights: list[Any], images: np.ndarray) -> np.ndarray:
    if config["activation"] == "relu":
        return np.maximum(inputs[0], 0.0)
    assert config["activation"] == "softmax"
    powers = np.exp(inputs[0] - inputs[0].max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def _pool(inputs: list[Any], config: Any, weights: list[Any], images: np.ndarray) -> np.ndarray:
    (size, _), (stride, _) = config["pool_size"], config["strides"]
    return _windows(_padded(inputs[0], size, stride, config["padding"], -np.inf), size, stride).max((-2, -1))


LAYERS = {
    "InputLayer": lambda inputs, config, weights, images: images.astype(np.float64),
    "Conv2D": _conv,
    "SeparableConv2D": _separable,
    "BatchNormalization": _norm,
    "Activation": _activation,
    "MaxPooling2D": _pool,
    "Add": lambda inputs, config, weights, images: inputs[0] + inputs[1],
    "GlobalAveragePooling2D": lambda inputs, config, weights, images: inputs[0].mean(axis=(1, 2)),
}
