"""Face embeddings through deepface's model clients, cropped by known landmarks; and dlib's HOG detector."""

from __future__ import annotations

from typing import Any

import numpy as np

from fesbench.extractors import crops
from fesbench.extractors.base import Extractor, check_inputs
from fesbench.extractors.deepface_adapter import DLIB, PACKAGES, load_client
from fesbench.extractors.face_network import FaceNetwork
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

    @property
    def signature(self) -> str:
        """Names the weights, the chip and the range."""
        return f"dlib:{self._manager.mark('dlib')}:chip150-68pt:bilinear:rgb-0-255"

    def crop(self, image: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
        """dlib's own chip; see :func:`fesbench.extractors.crops.dlib_chip`."""
        return crops.dlib_chip(image, landmarks)

    def _answer(self, network: Any, crops: np.ndarray) -> np.ndarray:
        import torch

        chips = torch.from_numpy(crops).permute(0, 3, 1, 2).to(network.mean.device)
        return network(chips).cpu().numpy()

    def _build(self) -> Any:
        from fesbench.extractors.dlib_resnet import DlibResNet

        return self._placed(DlibResNet(checked_bytes(self._manager, "dlib")))


class TorchFaces(FaceNetwork):
    """A face embedding by one of deepface's torch models, on aligned crops. Compare embeddings by cosine.

    FaceNet was trained on detector boxes with a margin, VGG-Face on looser ones still. Pixels are in [0, 1],
    deepface's "base" normalization, on which its thresholds were tuned.

    Attributes:
        model: deepface's name.
        size: of the square input, pixels.
        zoom: of the crop around ArcFace's template; 1 is its tight framing.
    """

    packages = PACKAGES
    model: str
    size: int
    zoom: float

    @property
    def signature(self) -> str:
        """Names the weights, the crop, the filter and the range."""
        crop = f"similarity{self.size}z{self.zoom:g}"
        return f"{self.name}:{self._manager.mark(self.name)}:{crop}:bilinear-area:bgr-0-1"

    def crop(self, image: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
        """A square of :attr:`size` px; see :func:`fesbench.extractors.crops.aligned_crop`."""
        return crops.aligned_crop(image, landmarks, self.size, self.zoom)

    def _build(self) -> Any:
        return load_client(self.model, self._manager.path(self.name), self._manager.home / "deepface")

    def _answer(self, network: Any, crops: np.ndarray) -> np.ndarray:
        return np.asarray(network.forward(np.ascontiguousarray(crops[..., ::-1]) / np.float32(255)))


class ArcFace(TorchFaces):
    """ArcFace, on its own tight framing."""

    name = "arcface"
    summary = "ArcFace's 512-d face embedding, through deepface"
    weights = ("arcface",)
    model, size, zoom, dimension = "ArcFace", 112, 1.0, 512


class FaceNet512(TorchFaces):
    """FaceNet with 512 dimensions."""

    name = "facenet512"
    summary = "FaceNet's 512-d face embedding, through deepface"
    weights = ("facenet512",)
    model, size, zoom, dimension = "Facenet512", 160, 0.85, 512


class VGGFace(TorchFaces):
    """VGG-Face."""

    name = "vgg-face"
    summary = "VGG-Face's 4096-d face descriptor, through deepface"
    weights = ("vgg-face",)
    model, size, zoom, dimension = "VGG-Face", 224, 0.75, 4096


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

    @property
    def signature(self) -> str:
        """Names the detector and its upsampling rule."""
        return "dlib-hog:19.24:upsample1-below-128::rgb-0-255"

    def extract(
        self, images: np.ndarray, landmarks: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Found or not; landmarks are not used."""
        found = self.detected(images)
        return found[:, None].astype(np.float32), found

    def detected(self, images: np.ndarray) -> np.ndarray:
        """Whether at least one frontal face is found: uint8 (N, H, W, 3) RGB -> bool (N,).

        The image is upsampled once below 128 px, since the detector's window is 80 px.
        """
        check_inputs(self.name, images, None, needs_landmarks=False)
        detector = self._load()
        upsample = 1 if min(images.shape[1:3]) < 128 else 0
        found = [len(detector(np.ascontiguousarray(image), upsample)) > 0 for image in images]
        return np.array(found, dtype=bool)

    def _build(self) -> Any:
        import dlib

        return dlib.get_frontal_face_detector()
