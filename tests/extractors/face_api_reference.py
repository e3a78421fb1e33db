"""A literal reading in numpy of face-api's expression net, layer by layer as its TypeScript says.

And a manifest of its layout with random weights.

Source: npm's @vladmandic/face-api 1.7.15, ``src/faceFeatureExtractor/denseBlock.ts`` and
``src/common/depthwiseSeparableConv.ts``.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

Weights = dict[str, np.ndarray]


def layout() -> list[tuple[str, tuple[int, ...]]]:
    """Names and shapes in the order of the published manifest."""
    found: list[tuple[str, tuple[int, ...]]] = []
    widths = (3, 32, 64, 128, 256)
    for block in range(4):
        for conv in range(4):
            inputs = widths[block] if conv == 0 else widths[block + 1]
            name, outputs = f"dense{block}/conv{conv}", widths[block + 1]
            if (block, conv) == (0, 0):
                found.append((f"{name}/filters", (3, 3, inputs, outputs)))
            else:
                found.append((f"{name}/depthwise_filter", (3, 3, inputs, 1)))
                found.append((f"{name}/pointwise_filter", (1, 1, inputs, outputs)))
            found.append((f"{name}/bias", (outputs,)))
    return [*found, ("fc/weights", (256, 7)), ("fc/bias", (7,))]


def made_files(seed: int = 0) -> tuple[bytes, bytes]:
    """A manifest and its shard with random weights, rounded to bytes as the published ones are."""
    rng = np.random.default_rng(seed)
    entries: list[dict[str, Any]] = []
    shard = b""
    for name, shape in layout():
        entry: dict[str, Any] = {"name": name, "shape": list(shape), "dtype": "float32"}
        if name.endswith("bias"):
            shard += rng.normal(0, 0.3, shape).astype("<f4").tobytes()
        else:
            fan = 9 if "depthwise" in name else int(np.prod(shape[:-1]))
            entry["quantization"] = {"dtype": "uint8", "scale": 3.5 / 255 / fan**0.5, "min": -1.7 / fan**0.5}
            shard += rng.integers(0, 256, shape, np.uint8).tobytes()
        entries.append(entry)
    return json.dumps([{"weights": entries, "paths": ["shard.bin"]}]).encode(), shard


def weights(manifest: bytes, shard: bytes) -> Weights:
    """The tensors, read one number after the other."""
    found, at = {}, 0
    for entry in json.loads(manifest)[0]["weights"]:
        count = int(np.prod(entry["shape"]))
        if "quantization" in entry:
            scale, low = entry["quantization"]["scale"], entry["quantization"]["min"]
            values = [byte * scale + low for byte in shard[at : at + count]]
            at += count
        else:
            values = np.frombuffer(shard[at : at + 4 * count], "<f4").tolist()
            at += 4 * count
        found[entry["name"]] = np.array(values, np.float32).astype(np.float64).reshape(entry["shape"])
    assert at == len(shard)
    return found


def run(w: Weights, image: np.ndarray) -> np.ndarray:
    """Probabilities (7,) of one image (112, 112, 3) in [0, 255], in float64."""
    maps = (image.astype(np.float64) - np.array([122.782, 117.001, 104.298])) / 255
    for block in range(4):
        name = f"dense{block}"
        if block == 0:
            maps = _conv(maps, w[f"{name}/conv0/filters"], 2) + w[f"{name}/conv0/bias"]
        else:
            maps = _separable(maps, w, f"{name}/conv0", 2)
        out1 = np.maximum(maps, 0)
        out2 = _separable(out1, w, f"{name}/conv1", 1)
        out3 = _separable(np.maximum(out1 + out2, 0), w, f"{name}/conv2", 1)
        out4 = _separable(np.maximum(out1 + (out2 + out3), 0), w, f"{name}/conv3", 1)
        maps = np.maximum(out1 + (out2 + (out3 + out4)), 0)
    assert maps.shape == (7, 7, 256)
    logits = maps.mean(axis=(0, 1)) @ w["fc/weights"] + w["fc/bias"]
    powers = np.exp(logits - logits.max())
    answer: np.ndarray = powers / powers.sum()
    return answer


def _separable(maps: np.ndarray, w: Weights, name: str, stride: int) -> np.ndarray:
    kernel = w[f"{name}/depthwise_filter"]
    padded, side = _same(maps, stride)
    out = np.zeros((side, side, maps.shape[2]))
    for y in range(3):
        for x in range(3):
            out += _step(padded, y, x, side, stride) * kernel[y, x, :, 0]
    found: np.ndarray = out @ w[f"{name}/pointwise_filter"][0, 0] + w[f"{name}/bias"]
    return found


def _conv(maps: np.ndarray, kernel: np.ndarray, stride: int) -> np.ndarray:
    padded, side = _same(maps, stride)
    out = np.zeros((side, side, kernel.shape[3]))
    for y in range(3):
        for x in range(3):
            out += _step(padded, y, x, side, stride) @ kernel[y, x]
    return out


def _same(maps: np.ndarray, stride: int) -> tuple[np.ndarray, int]:
    """TensorFlow's "same": as many borders as the last step needs, the odd one at the end."""
    side = -(-len(maps) // stride)
    extra = max((side - 1) * stride + 3 - len(maps), 0)
    before, after = extra // 2, extra - extra // 2
    return np.pad(maps, ((before, after), (before, after), (0, 0))), side


def _step(padded: np.ndarray, y: int, x: int, side: int, stride: int) -> np.ndarray:
    return padded[y : y + side * stride : stride, x : x + side * stride : stride][:side, :side]
