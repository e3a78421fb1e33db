from __future__ import annotations

import contextlib
import hashlib
import io
import os
import socket
import sys
import threading
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from fesbench.errors import WeightsError
from fesbench.weights.entry import WeightsEntry
from fesbench.weights.manager import WeightsManager
from fesbench.weights.offline_guard import environment, no_network, only_checked
from fesbench.weights.table import TABLE


def manager_with(tmp_path: Path, *names: str) -> WeightsManager:
    """A manager whose named weights hold a tensor of their own."""
    table, files = {}, []
    for number, name in enumerate(names):
        buffer = io.BytesIO()
        torch.save({"number": torch.tensor(number)}, buffer)
        raw, row = buffer.getvalue(), TABLE[name]
        digest = hashlib.sha256(raw).hexdigest()
        table[name] = WeightsEntry(name, row.file, row.urls, len(raw), digest, "MIT", "Nobody.", ("FID",))
        files.append((name, raw))
    manager = WeightsManager(tmp_path / "home", table)
    for name, raw in files:
        (tmp_path / name).write_bytes(raw)
        manager.add(tmp_path / name, name)
    return manager


def piq_url(name: str) -> str:
    piq = pytest.importorskip("piq")
    return str(getattr(piq, name)._weights_url)


def test_torch_hub_finds_the_checked_files_under_each_librarys_name(tmp_path: Path) -> None:
    fidelity = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3")
    manager = manager_with(tmp_path, "piq-lpips", "piq-dists", "inception-tf-2015")
    urls = [piq_url("LPIPS"), piq_url("DISTS"), fidelity.URL_INCEPTION_V3, TABLE["inception-tf-2015"].urls[1]]
    before = os.environ.get("TORCH_HOME")
    with only_checked(manager, "piq-lpips", "piq-dists", "inception-tf-2015") as checkpoints:
        found = [int(torch.hub.load_state_dict_from_url(url)["number"]) for url in urls]
        assert len(list(checkpoints.iterdir())) == 4
    assert found == [0, 1, 2, 2]
    assert os.environ.get("TORCH_HOME") == before
    assert not checkpoints.exists()


def test_table_knows_the_cache_names_of_the_libraries() -> None:
    clip = pytest.importorskip("torch_fidelity.feature_extractor_clip")
    models = pytest.importorskip("torchvision.models")
    digest = clip.MODEL_METADATA["clip-vit-b-32"]["hash"]
    assert TABLE["clip-vit-b-32"].file == f"clip-vit-b-32-{digest}.pt"
    assert TABLE["clip-vit-b-32"].sha256 == digest
    assert TABLE["clip-vit-b-32"].urls == (clip.MODEL_URLS["clip-vit-b-32"],)
    assert TABLE["alexnet"].urls == (models.AlexNet_Weights.DEFAULT.url,)
    assert TABLE["vgg16"].urls == (models.VGG16_Weights.DEFAULT.url,)
    assert TABLE["vgg19"].urls == (models.VGG19_Weights.DEFAULT.url,)
    assert TABLE["vgg16"].sha256_prefix == "397923af"
    assert TABLE["piq-lpips"].urls == (piq_url("LPIPS"),)
    assert TABLE["piq-dists"].urls == (piq_url("DISTS"),)


def inception() -> None:
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    FeatureExtractorInceptionV3("inception-v3-compat", ["2048"])


def clip() -> None:
    from torch_fidelity.feature_extractor_clip import FeatureExtractorCLIP

    FeatureExtractorCLIP("clip-vit-b-32", ["clip"])


def dinov2() -> None:
    from torch_fidelity.feature_extractor_dinov2 import FeatureExtractorDinoV2

    FeatureExtractorDinoV2("dinov2-vit-s-14", ["dinov2"])


def dists() -> None:
    import piq

    piq.DISTS()


def vgg() -> None:
    import torchvision

    torchvision.models.vgg16(weights="DEFAULT")


def deepface() -> None:
    pytest.importorskip("deepface")
    from deepface.commons.weight_utils import download_weights_if_necessary

    download_weights_if_necessary("arcface_weights.pth", list(TABLE["arcface"].urls))


def open_clip() -> None:
    hub = pytest.importorskip("open_clip.pretrained")
    hub.download_pretrained(hub.get_pretrained_cfg("RN50", "openai"))


@pytest.mark.parametrize("library", [inception, clip, dinov2, dists, vgg, deepface, open_clip])
def test_a_library_that_would_download_is_stopped(
    tmp_path: Path, library: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_socket(*arguments: object, **named: object) -> None:
        sys.exit("a socket was opened")  # no library catches it

    monkeypatch.setattr(socket.socket, "connect", no_socket)
    # The hub's own offline switch would answer first; what is tested is that ours needs no such help.
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    for proxy in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(proxy, raising=False)
    with pytest.raises(WeightsError, match=r"wanted to fetch from .*fesbench weights list"):  # noqa: SIM117
        with only_checked(WeightsManager(tmp_path)):
            library()


def test_what_a_library_has_cached_itself_is_not_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoints = tmp_path / "torch" / "hub" / "checkpoints"
    checkpoints.mkdir(parents=True)
    torch.save({"alpha": torch.zeros(1)}, checkpoints / "dists_weights.pt")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    assert "alpha" in torch.hub.load_state_dict_from_url(piq_url("DISTS"))
    with pytest.raises(WeightsError, match="wanted to fetch"), only_checked(WeightsManager(tmp_path)):
        torch.hub.load_state_dict_from_url(piq_url("DISTS"))


def test_missing_weights_are_named_before_anything_loads(tmp_path: Path) -> None:
    with (
        pytest.raises(WeightsError, match="fesbench weights pull vgg16"),
        only_checked(WeightsManager(tmp_path), "vgg16"),
    ):
        pytest.fail("the block ran")


def test_a_refusal_that_is_swallowed_comes_out_at_the_end() -> None:
    with (
        pytest.raises(WeightsError, match=r"it wanted to fetch from localhost\b"),
        no_network("it"),
        contextlib.suppress(Exception),  # as libraries do
    ):
        urllib.request.urlopen("http://localhost:9/x")


def test_other_errors_pass_and_socket_files_are_allowed(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), no_network("it"):
        raise ZeroDivisionError
    with socket.socket(socket.AF_UNIX) as listener, no_network("it"):
        listener.bind(str(tmp_path / "s"))
        listener.listen()
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(tmp_path / "s"))


def test_only_the_thread_in_the_block_is_kept_from_the_network() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address, reached = server.getsockname(), []

        def elsewhere() -> None:
            with socket.create_connection(address, timeout=5):
                reached.append(True)

        with no_network("it"):
            thread = threading.Thread(target=elsewhere)
            thread.start()
            thread.join()
        elsewhere()
    assert reached == [True, True]


def test_hub_directory_set_by_hand_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path / "mine"))
    with pytest.raises(WeightsError, match="fresh process"), only_checked(WeightsManager(tmp_path)):
        pytest.fail("the block ran")


def test_environment_is_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FESBENCH_A", "1")
    monkeypatch.delenv("FESBENCH_B", raising=False)
    with environment(FESBENCH_A="2", FESBENCH_B="3"):
        assert (os.environ["FESBENCH_A"], os.environ["FESBENCH_B"]) == ("2", "3")
    assert os.environ["FESBENCH_A"] == "1"
    assert "FESBENCH_B" not in os.environ
