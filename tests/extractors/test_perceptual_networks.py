"""LPIPS and DISTS against their reference packages on the same random weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch

from fesbench.errors import DataError, WeightsError
from fesbench.extractors import perceptual
from fesbench.extractors.perceptual import DISTSDistance, LPIPSDistance, LPIPSVGGDistance
from fesbench.extractors.registry import network, pair_extractor, pair_names
from fesbench.weights.manager import WeightsManager
from tests.extractors.drawn_faces import face_images
from tests.extractors.random_weights import manager_with, trunk_state

TRUNKS = {"alex": "alexnet", "vgg": "vgg16"}
CHANNELS = {"alex": (64, 192, 384, 256, 256), "vgg": (64, 128, 256, 512, 512)}


@pytest.fixture(scope="module")
def trunks() -> dict[str, dict[str, torch.Tensor]]:
    return {name: trunk_state(name) for name in TRUNKS.values()}


def linear_state(net: str) -> dict[str, torch.Tensor]:
    draw = torch.Generator().manual_seed(1)
    return {
        f"lin{level}.model.1.weight": torch.rand((1, width, 1, 1), generator=draw)
        for level, width in enumerate(CHANNELS[net])
    }


def pairs(size: int = 48) -> tuple[np.ndarray, np.ndarray]:
    images = face_images(6, size)
    return images[:3], images[3:]


def tensors(images: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255


@pytest.fixture
def lpips_of(tmp_path: Path, trunks: dict[str, Any]) -> Any:
    def make(net: str) -> LPIPSDistance:
        states = {f"lpips_{net}": linear_state(net), TRUNKS[net]: trunks[TRUNKS[net]]}
        kind = {"alex": LPIPSDistance, "vgg": LPIPSVGGDistance}[net]
        return kind(manager_with(tmp_path / net, **states))

    return make


@pytest.mark.filterwarnings("ignore:The parameter 'pretrained'", "ignore:Arguments other than a weight enum")
@pytest.mark.parametrize("net", ["alex", "vgg"])
def test_lpips_is_the_reference_packages(net: str, lpips_of: Any, trunks: dict[str, Any]) -> None:
    lpips = pytest.importorskip("lpips", reason="the lpips package is not installed")
    extractor, (first, second) = lpips_of(net), pairs()
    assert extractor.available() is None
    reference = lpips.LPIPS(net=net, pretrained=False, pnet_rand=True, verbose=False)
    # The package cuts the trunk into slices, under the layers' own numbers.
    own = {key.removeprefix("features."): value for key, value in trunks[TRUNKS[net]].items()}
    sliced = {key: own[".".join(key.split(".")[1:])] for key in reference.net.state_dict()}
    reference.net.load_state_dict(sliced)
    missing, odd = reference.load_state_dict(linear_state(net), strict=False)
    assert not odd
    assert not [key for key in missing if key.startswith("lin0")]
    with torch.inference_mode():
        theirs = reference(2 * tensors(first) - 1, 2 * tensors(second) - 1).flatten().numpy()
        wrong = reference(tensors(first), tensors(second)).flatten().numpy()
    ours = extractor.compare(first, second)
    assert ours == pytest.approx(theirs, rel=1e-5)
    # The range trap: [0, 1] without saying so gives other values.
    assert not np.allclose(ours, wrong, rtol=1e-2)


def test_lpips_on_vgg_is_piqs(lpips_of: Any, trunks: dict[str, Any]) -> None:
    import piq

    first, second = pairs()
    weights = list(linear_state("vgg").values())
    with mock.patch("torch.hub.load_state_dict_from_url", return_value=weights), fake_vgg(trunks["vgg16"]):
        reference = piq.LPIPS(reduction="none")
    with torch.inference_mode():
        theirs = reference(tensors(first), tensors(second)).numpy()
    # ImageNet's mean and deviation on [0, 1] are LPIPS's shift and scale on [-1, 1].
    assert lpips_of("vgg").compare(first, second) == pytest.approx(theirs, rel=1e-5)


def fake_vgg(state: dict[str, torch.Tensor]) -> Any:
    """In the place of piq's torchvision constructor, which would fetch the trunk."""
    from torchvision import models

    with torch.device("meta"):
        trunk = models.vgg16(weights=None)
    trunk.features.load_state_dict(
        {key.removeprefix("features."): value for key, value in state.items()}, assign=True
    )
    return mock.patch("piq.perceptual.vgg16", return_value=trunk)


@pytest.fixture
def dists_state() -> dict[str, torch.Tensor]:
    draw = torch.Generator().manual_seed(2)
    return {key: torch.rand((1, 1475, 1, 1), generator=draw) / 1475 for key in ("alpha", "beta")}


def test_dists_is_piqs_and_downloads_nothing(
    tmp_path: Path, trunks: dict[str, Any], dists_state: dict[str, torch.Tensor]
) -> None:
    import piq

    first, second = pairs()
    with (
        mock.patch("torch.hub.load_state_dict_from_url", return_value=dists_state),
        fake_vgg(trunks["vgg16"]),
    ):
        reference = piq.DISTS(reduction="none")
    with torch.inference_mode():
        theirs = reference(tensors(first), tensors(second)).numpy()
    extractor = DISTSDistance(manager_with(tmp_path, piq_dists=dists_state, vgg16=trunks["vgg16"]))
    with mock.patch("torch.hub.load_state_dict_from_url") as fetched:
        assert extractor.compare(first, second) == pytest.approx(theirs, rel=1e-5)
    fetched.assert_not_called()
    assert extractor.signature.startswith("dists:")


class TestEveryPairExtractor:
    @pytest.fixture(params=["alex", "vgg", "dists"])
    def extractor(self, request: Any, lpips_of: Any, tmp_path: Path, trunks: Any, dists_state: Any) -> Any:
        if request.param != "dists":
            return lpips_of(request.param)
        # DISTS is 0 for equal images because its weights sum to 1.
        total = sum(value.sum() for value in dists_state.values())
        scaled = {key: value / total for key, value in dists_state.items()}
        return DISTSDistance(manager_with(tmp_path, piq_dists=scaled, vgg16=trunks["vgg16"]))

    def test_batch_order_and_side_do_not_matter(self, extractor: Any, monkeypatch: Any) -> None:
        monkeypatch.setattr(perceptual, "_BATCH", 2)
        first, second = pairs(32)
        whole = extractor.compare(first, second)
        assert whole.dtype == np.float32
        assert np.array_equal(extractor.compare(first[2:], second[2:]), whole[2:])
        assert np.array_equal(extractor.compare(first[::-1], second[::-1]), whole[::-1])
        assert extractor.compare(second, first) == pytest.approx(whole, rel=1e-5)
        assert extractor.compare(first[:0], second[:0]).shape == (0,)

    def test_equal_images_have_no_distance_and_noise_adds_to_it(self, extractor: Any) -> None:
        image = face_images(1, 32).repeat(4, axis=0)
        noise = np.random.default_rng(0).normal(size=image.shape[1:])
        levels = np.array([0, 5, 20, 60])[:, None, None, None]
        found = extractor.compare(image, (image + levels * noise).clip(0, 255).astype(np.uint8))
        assert found[0] == pytest.approx(0, abs=1e-5)
        assert (np.diff(found) > 0).all()

    def test_unequal_stacks_and_small_images_are_refused(self, extractor: Any) -> None:
        first, second = pairs(32)
        with pytest.raises(DataError, match="equal stacks"):
            extractor.compare(first, second[:2])
        with pytest.raises(DataError, match="32 px or more, not of 16x16"):
            extractor.compare(first[:, :16, :16], second[:, :16, :16])


def test_the_signature_follows_either_file(tmp_path: Path, trunks: dict[str, Any]) -> None:
    made = [
        LPIPSDistance(
            manager_with(
                tmp_path / str(n), lpips_alex=linear_state("alex"), alexnet=trunk_state("alexnet", n)
            )
        ).signature
        for n in (0, 1)
    ]
    assert made[0] != made[1]
    assert made[0].endswith(":v0.1-1")


def test_files_of_another_kind_are_named(tmp_path: Path, trunks: dict[str, Any]) -> None:
    wrong = {"lin0.model.1.weight": torch.zeros(1)}
    faults: list[tuple[dict[str, Any], str]] = [
        ({"lpips_alex": wrong, "alexnet": trunks["alexnet"]}, "does not hold the linear layers of LPIPS"),
        ({"lpips_alex": linear_state("alex"), "alexnet": wrong}, "does not hold torchvision's alexnet"),
        ({"lpips_alex": [1], "alexnet": trunks["alexnet"]}, "does not hold the linear layers of LPIPS"),
        ({"lpips_alex": b"plain", "alexnet": trunks["alexnet"]}, "does not hold the linear layers"),
    ]
    for number, (states, message) in enumerate(faults):
        extractor = LPIPSDistance(manager_with(tmp_path / str(number), **states))
        with pytest.raises(WeightsError, match=message):
            extractor.compare(*pairs(32))
    extractor = DISTSDistance(manager_with(tmp_path / "d", piq_dists=wrong, vgg16=trunks["vgg16"]))
    with pytest.raises(WeightsError, match="does not hold the weights of DISTS"):
        extractor.compare(*pairs(32))


def test_missing_weights_name_the_one_command(tmp_path: Path, trunks: dict[str, Any]) -> None:
    extractor = LPIPSDistance(manager_with(tmp_path, lpips_alex=linear_state("alex")))
    assert extractor.available() == "weights: alexnet (fesbench weights pull alexnet)"
    with pytest.raises(WeightsError, match="fesbench weights pull alexnet"):
        extractor.compare(*pairs(32))


def test_pair_extractors_by_name(manager: WeightsManager) -> None:
    for name in pair_names():
        made = pair_extractor(name, manager=manager)
        assert made.name == name
        assert made.signature.startswith(f"{name}:")
        assert "|" not in made.signature
    assert len({pair_extractor(name, manager=manager).signature for name in pair_names()}) == 3


def test_a_network_is_of_either_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FESBENCH_HOME", str(tmp_path))
    assert network("dists").smallest == 32
    assert network("qualiclip").smallest == 32
    assert network("dlib-hog").name == "dlib-hog"
