"""Extractors by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from fesbench.errors import UnknownNameError, UsageError
from fesbench.extractors.base import Extractor, Network, PairExtractor
from fesbench.weights.manager import WeightsManager
from fesbench.weights.table import TABLE

if TYPE_CHECKING:
    from fesbench.extractors.full_image import WholePicture

GROUP = "fesbench.extractors"
"""Entry-point group: a callable that takes a :class:`WeightsManager` and returns an :class:`Extractor`."""

EXTRACTORS: dict[str, str] = {
    "dlib": "dlib's 128-d face descriptor, through deepface; offline with the faces extra",
    "arcface": "ArcFace's 512-d face embedding, through deepface",
    "facenet512": "FaceNet's 512-d face embedding, through deepface",
    "vgg-face": "VGG-Face's 4096-d face descriptor, through deepface",
    "inception-tf-2015": "Inception pool3 features of FID and KID, through torch-fidelity",
    "inception-tf-2015-clean": "the same network and weights, with clean-fid's resize",
    "inception-tf-2015-logits": "Inception class scores of IS, from the features of FID",
    "inception-clean-fid": "Inception pool3 features as clean-fid computes them, from its own file",
    "clip-vit-b-32": "CLIP ViT-B/32's 512-d image embedding, through torch-fidelity",
    "dinov2-vit-b-14": "DINOv2 ViT-B/14's 768-d class token, as torch-fidelity computes it",
    "dinov2-vit-l-14": "DINOv2 ViT-L/14's 1024-d class token, as torch-fidelity computes it",
    "judge": "the protocol's expression classifier: a probability for each expression",
    "fer": "fer's expression classifier, trained on FER-2013: a judge that no protocol has trained",
    "lightcnn-29-v2": "Light CNN's 256-d face embedding, on its published crop",
    "qualiclip": "QualiCLIP's cosines with its prompts about quality, at native resolution",
    "au-regressor": "the protocol's action-unit regressor: an intensity for each action unit",
    "discriminator": "a method's own class head: what an auxiliary-classifier model says of itself",
    "dlib-landmarks": "dlib's 68 landmarks, detected on the image itself",
    "dlib-hog": "dlib's frontal face detector: is a face found at all",
}

JUDGE, REGRESSOR, DISCRIMINATOR = "judge", "au-regressor", "discriminator"
BOUND = frozenset({JUDGE, REGRESSOR, DISCRIMINATOR})
"""Extractors that a protocol or a method trains: they are given with them and are not made from a name."""

_WEIGHTS = {
    "inception-tf-2015-clean": ("inception-tf-2015",),
    "inception-tf-2015-logits": ("inception-tf-2015",),
    "lpips-alex": ("lpips-alex", "alexnet"),
    "lpips-vgg": ("lpips-vgg", "vgg16"),
    "dists": ("piq-dists", "vgg16"),
}

PAIR_EXTRACTORS: dict[str, str] = {
    "lpips-alex": "LPIPS 0.1 on AlexNet, the reference",
    "lpips-vgg": "LPIPS 0.1 on VGG-16",
    "dists": "DISTS on VGG-16, by piq",
}


def extractor_names() -> dict[str, str]:
    """Every registered name with its line; those of external packages name their package."""
    outside = {point.name: f"from {point.value}" for point in entry_points(group=GROUP)}
    return {**outside, **EXTRACTORS}


def extractor(
    name: str,
    *,
    judge: Extractor | None = None,
    regressor: Extractor | None = None,
    manager: WeightsManager | None = None,
) -> Extractor:
    """Make an extractor; nothing heavy is loaded before its first use.

    Args:
        name: one of :func:`extractor_names`.
        judge: the classifier that the name ``judge`` stands for.
        regressor: what the name ``au-regressor`` stands for.
        manager: the weights manager; the default one lies under the fesbench home.

    Raises:
        UnknownNameError: no such extractor.
        UsageError: ``judge`` or ``au-regressor`` without one, or ``discriminator``.
    """
    if name == "judge":
        if judge is None:
            raise UsageError(
                "extractor 'judge' needs the protocol's judge: train one, or use the shipped one"
            )
        return judge
    if name == REGRESSOR:
        if regressor is None:
            raise UsageError(
                "extractor 'au-regressor' needs a protocol whose training data codes action units and whose "
                "metrics ask for them"
            )
        return regressor
    if name == DISCRIMINATOR:
        raise UsageError("extractor 'discriminator' belongs to a trained method; it is used in its own run")
    manager = manager or _default_manager()
    builtin = _builtin(name)
    if builtin is not None:
        return builtin(manager)
    for point in entry_points(group=GROUP, name=name):
        made = point.load()(manager)
        if not isinstance(made, Extractor):
            raise UsageError(f"extractor '{name}' from {point.value} is no fesbench Extractor")
        return made
    raise UnknownNameError("extractor", name, extractor_names())


def pair_extractor(name: str, *, manager: WeightsManager | None = None) -> PairExtractor:
    """Make a pair extractor; nothing heavy is loaded before its first use.

    Raises:
        UnknownNameError: no such pair extractor.
    """
    if name not in PAIR_EXTRACTORS:
        raise UnknownNameError("pair extractor", name, PAIR_EXTRACTORS)
    from fesbench.extractors.perceptual import DISTSDistance, LPIPSDistance

    manager = manager or _default_manager()
    if name == "dists":
        return DISTSDistance(manager)
    return LPIPSDistance(manager, "vgg" if name == "lpips-vgg" else "alex")


def weights_of(name: str) -> tuple[str, ...]:
    """Entries of the table of weights that an extractor loads; () for none, or for those of another package.

    Most weights are called like their extractor.
    """
    return tuple(entry for entry in _WEIGHTS.get(name, (name,)) if entry in TABLE)


def network(name: str) -> Network:
    """The extractor or pair extractor of a name, to ask whether it is available and what it depends on."""
    return pair_extractor(name) if name in PAIR_EXTRACTORS else extractor(name)


def _default_manager() -> WeightsManager:
    from fesbench.files import fesbench_home

    return WeightsManager(fesbench_home())


def _builtin(name: str) -> Callable[[WeightsManager], Extractor] | None:
    if name.startswith(("inception-", "clip-vit-", "dinov2-vit-")):
        return _whole_picture(name)
    if name == "qualiclip":
        from fesbench.extractors.qualiclip import QualiCLIP

        return QualiCLIP
    if name == "lightcnn-29-v2":
        from fesbench.extractors.lightcnn import LightCNN

        return LightCNN
    if name == "fer":
        from fesbench.extractors.fer import Fer

        return Fer
    if name == "dlib-landmarks":
        from fesbench.extractors.landmarks import DlibLandmarks

        return DlibLandmarks
    from fesbench.extractors.faces import FACE_MODELS, DlibDetector, DlibFaces, TorchFaces

    if name == "dlib":
        return DlibFaces
    if name == "dlib-hog":
        return lambda manager: DlibDetector()
    models = {model.name: model for model in FACE_MODELS}
    return partial(TorchFaces, model=models[name]) if name in models else None


def _whole_picture(name: str) -> Callable[[WeightsManager], Extractor] | None:
    from fesbench.extractors import clip as clip_features
    from fesbench.extractors import dinov2, inception

    known: tuple[type[WholePicture | inception.InceptionLogits], ...] = (
        inception.Inception,
        inception.InceptionClean,
        inception.InceptionLogits,
        inception.CleanFidInception,
        clip_features.ClipFeatures,
        dinov2.DinoV2,
        dinov2.DinoV2Large,
    )
    return {made.name: made for made in known}.get(name)
