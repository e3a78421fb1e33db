"""A file of fer's layout with random weights: the same layers under the same names, and Keras' own config."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np


def fer_file(seed: int = 0) -> bytes:
    """The bytes of an HDF5 file as Keras 2 saved it."""
    import h5py

    rng = np.random.default_rng(seed)
    layers: list[dict[str, Any]] = []
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:

        def layer(kind: str, name: str, inputs: list[str], weights: dict[str, Any], **config: Any) -> str:
            nodes = [[[source, 0, 0, {}] for source in inputs]] if inputs else []
            layers.append({"class_name": kind, "name": name, "config": config, "inbound_nodes": nodes})
            group = file.create_group(f"model_weights/{name}")
            paths = [f"{name}_1/{weight}:0" for weight in weights]
            for path, values in zip(paths, weights.values(), strict=True):
                group[path] = np.asarray(values, np.float32)
            group.attrs["weight_names"] = paths
            return name

        _network(layer, rng)
        file.attrs["model_config"] = json.dumps({"class_name": "Model", "config": {"layers": layers}})
    return buffer.getvalue()


def _network(layer: Any, rng: np.random.Generator) -> None:
    def conv(number: int, source: str, i: int, o: int, size: int, padding: str, stride: int = 1) -> str:
        weights = {"kernel": rng.normal(0, (size * size * i) ** -0.5, (size, size, i, o))}
        if o == 7:
            weights["bias"] = rng.normal(0, 1, 7)
        config = {"kernel_size": [size, size], "strides": [stride, stride], "padding": padding}
        return str(layer("Conv2D", f"conv2d_{number}", [source], weights, **config, use_bias=o == 7))

    def separable(number: int, source: str, i: int, o: int) -> str:
        weights = {
            "depthwise_kernel": rng.normal(0, 1 / 3, (3, 3, i, 1)),
            "pointwise_kernel": rng.normal(0, i**-0.5, (1, 1, i, o)),
        }
        config = {"kernel_size": [3, 3], "strides": [1, 1], "padding": "same"}
        return str(layer("SeparableConv2D", f"separable_conv2d_{number}", [source], weights, **config))

    def norm(number: int, source: str, width: int) -> str:
        gamma, variance = rng.uniform(0.5, 1.5, width), rng.uniform(0.01, 2, width)
        beta, mean = rng.normal(0, 0.3, width), rng.normal(0, 0.3, width)
        weights = {"gamma": gamma, "beta": beta, "moving_mean": mean, "moving_variance": variance}
        return str(
            layer("BatchNormalization", f"batch_normalization_{number}", [source], weights, epsilon=1e-3)
        )

    def activation(name: str, source: str, kind: str = "relu") -> str:
        return str(layer("Activation", name, [source], {}, activation=kind))

    top = str(layer("InputLayer", "input_1", [], {}))
    top = activation("activation_1", norm(1, conv(1, top, 1, 8, 3, "valid"), 8))
    top = activation("activation_2", norm(2, conv(2, top, 8, 8, 3, "valid"), 8))
    for k, (i, o) in enumerate([(8, 16), (16, 32), (32, 64), (64, 128)]):
        short = norm(3 * k + 3, conv(k + 3, top, i, o, 1, "same", 2), o)
        main = activation(f"activation_{k + 3}", norm(3 * k + 4, separable(2 * k + 1, top, i, o), o))
        main = norm(3 * k + 5, separable(2 * k + 2, main, o, o), o)
        config = {"pool_size": [3, 3], "strides": [2, 2], "padding": "same"}
        pooled = layer("MaxPooling2D", f"max_pooling2d_{k + 1}", [main], {}, **config)
        top = str(layer("Add", f"add_{k + 1}", [pooled, short], {}))
    top = conv(7, top, 128, 7, 3, "same")
    top = str(layer("GlobalAveragePooling2D", "global_average_pooling2d_1", [top], {}))
    activation("predictions", top, "softmax")
