"""Face embeddings through deepface's model clients, cropped by known landmarks; and dlib's HOG detector."""

from __future__ import annotations

from typing import Any

import numpy as np

from fesbench.extractors import crops
from fesbench.extractors.base import Extractor, check_inputs
from fesbench.extractors.deepface_adapter import DLIB, PACKAGES, load_client
from fesbench.extractors.face_network import FaceNetwork
from fesbench.extractors.hog import HogSettings, boxes
from fesbench.extractors.loading import LoadedNetwork
from fesbench.weights.state_dict import checked_bytes


class DlibFaces(FaceNetwork):
    """dlib's 128-d face descriptor, computed in torch out of dlib's own file (see `dlib_resnet`).

    Distances of this model are Euclidean; the customary threshold is 0.6.

    Source: D. E. King, dlib's ``dlib_face_recognition_resnet_model_v1``.
    """

    name = "dlib"
    summary = "dlib's 128-d face descriptor; offline with the faces extra"
    weights = ("dlib",)
    dimension = 128
    packages = DLIB
    settings: crops.ChipSettings = crops.ChipSettings()

    def crop(self, image: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
        """dlib's own chip; see :func:`fesbench.extractors.crops.dlib_chip`."""
        return crops.dlib_chip(image, landmarks, self.settings)

    def _answer(self, network: Any, crops: np.ndarray) -> np.ndarray:
        import torch

        chips = torch.from_numpy(crops).permute(0, 3, 1, 2).to(network.mean.device)
        return network(chips).cpu().numpy()

    def _build(self) -> Any:
        from fesbench.extractors.dlib_resnet import DlibResNet

        return self._placed(DlibResNet(checked_bytes(self._manager, "dlib"), self.settings))


class TorchFaces(FaceNetwork):
    """A face embedding by one of deepface's torch models, on aligned crops. Compare embeddings by cosine.

    FaceNet was trained on detector boxes with a margin, VGG-Face on looser ones still. Pixels are in [0, 1],
    deepface's "base" normalization, on which its thresholds were tuned.

    Attributes:
        model: deepface's name.
    """

    packages = PACKAGES
    model: str
    settings: crops.AlignedSettings = crops.AlignedSettings()

    def crop(self, image: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
        """See :func:`fesbench.extractors.crops.aligned_crop`."""
        return crops.aligned_crop(image, landmarks, self.settings)

    def _build(self) -> Any:
        return load_client(self.model, self._manager.path(self.name), self._manager.home / "deepface")

    def _answer(self, network: Any, crops: np.ndarray) -> np.ndarray:
        return np.asarray(
            network.forward(np.ascontiguousarray(crops[..., ::-1]) / np.float32(self.settings.full))
        )


class ArcFace(TorchFaces):
    """ArcFace, on its own tight framing."""

    name = "arcface"
    summary = "ArcFace's 512-d face embedding, through deepface"
    weights = ("arcface",)
    model, dimension = "ArcFace", 512


class FaceNet512(TorchFaces):
    """FaceNet with 512 dimensions."""

    name = "facenet512"
    summary = "FaceNet's 512-d face embedding, through deepface"
    weights = ("facenet512",)
    model, dimension = "Facenet512", 512
    settings = crops.AlignedSettings(size=160, zoom=0.85)


class VGGFace(TorchFaces):
    """VGG-Face."""

    name = "vgg-face"
    summary = "VGG-Face's 4096-d face descriptor, through deepface"
    weights = ("vgg-face",)
    model, dimension = "VGG-Face", 4096
    settings = crops.AlignedSettings(size=224, zoom=0.75)


FACE_MODELS: tuple[type[TorchFaces], ...] = (ArcFace, FaceNet512, VGGFace)


class DlibDetector(LoadedNetwork, Extractor):
    """dlib's HOG frontal face detector, on the whole image: is there a face at all?

    ``values`` (N, 1) is 1 where it found one, else 0; ``valid`` says the same, so that faces that were not
    found are counted like every other invalid image.
    """

    name = "dlib-hog"
    summary = "dlib's frontal face detector: is a face found at all"
    dimension = 1
    packages = DLIB
    settings: HogSettings = HogSettings()

    def extract(
        self, images: np.ndarray, landmarks: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Found or not; landmarks are not used."""
        found = self.detected(images)
        return found[:, None].astype(np.float32), found

    def detected(self, images: np.ndarray) -> np.ndarray:
        """Whether at least one frontal face is found: uint8 (N, H, W, 3) RGB -> bool (N,)."""
        check_inputs(self.name, images, None, needs_landmarks=False)
        detector = self._load()
        return np.array([len(boxes(detector, image, self.settings)) > 0 for image in images], dtype=bool)

    def _build(self) -> Any:
        import dlib

        return dlib.get_frontal_face_detector()
