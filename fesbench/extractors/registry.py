"""Extractors by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from fesbench.errors import UnknownNameError, UsageError
from fesbench.extractors.base import Extractor
from fesbench.extractors.weights import WeightsManager

if TYPE_CHECKING:
    from fesbench.extractors.judge_model import Judge

GROUP = "fesbench.extractors"
"""Entry-point group: a callable that takes a :class:`WeightsManager` and returns an :class:`Extractor`."""

EXTRACTORS: dict[str, str] = {
    "dlib": "dlib's 128-d face descriptor, through deepface; offline with the faces extra",
    "arcface": "ArcFace's 512-d face embedding, through deepface",
    "facenet512": "FaceNet's 512-d face embedding, through deepface",
    "vgg-face": "VGG-Face's 4096-d face descriptor, through deepface",
    "inception-tf-2015": "Inception pool3 features of FID and KID, through torch-fidelity",
    "judge": "the protocol's expression classifier: a probability for each expression",
    "dlib-hog": "dlib's frontal face detector: is a face found at all",
}


def extractor_names() -> dict[str, str]:
    """Every registered name with its line; those of outside packages name their package."""
    outside = {point.name: f"from {point.value}" for point in entry_points(group=GROUP)}
    return {**outside, **EXTRACTORS}


def extractor(name: str, *, judge: Judge | None = None, manager: WeightsManager | None = None) -> Extractor:
    """Make an extractor; nothing heavy is loaded before its first use.

    Args:
        name: one of :func:`extractor_names`.
        judge: the classifier that the name ``judge`` stands for.
        manager: the weights manager; the default one lies under the fesbench home.

    Raises:
        UnknownNameError: no such extractor.
        UsageError: ``judge`` without a judge.
    """
    if name == "judge":
        if judge is None:
            raise UsageError(
                "extractor 'judge' needs the protocol's judge: train one, or use the shipped one"
            )
        return judge
    if manager is None:
        from fesbench.data.home import fesbench_home

        manager = WeightsManager(fesbench_home())
    builtin = _builtin(name)
    if builtin is not None:
        return builtin(manager)
    for point in entry_points(group=GROUP, name=name):
        made = point.load()(manager)
        if not isinstance(made, Extractor):
            raise UsageError(f"extractor '{name}' from {point.value} is no fesbench Extractor")
        return made
    raise UnknownNameError("extractor", name, extractor_names())


def _builtin(name: str) -> Callable[[WeightsManager], Extractor] | None:
    if name == "inception-tf-2015":
        from fesbench.extractors.inception import Inception

        return Inception
    from fesbench.extractors.faces import FACE_MODELS, DlibDetector, DlibFaces, TorchFaces

    if name == "dlib":
        return DlibFaces
    if name == "dlib-hog":
        return lambda manager: DlibDetector()
    models = {model.name: model for model in FACE_MODELS}
    return partial(TorchFaces, model=models[name]) if name in models else None
