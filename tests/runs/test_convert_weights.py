"""Authors' checkpoints become ours: the converted network makes the images of the authors' own."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import sparse
from torch import Tensor, nn

from fesbench.cli.main import main
from fesbench.errors import DataError, MethodError, UsageError
from fesbench.methods.card import Problem
from fesbench.methods.registry import load_method
from fesbench.runs.convert_weights import convert, read_authors
from fesbench.runs.loaded_weights import load_into
from fesbench.training.checkpoints import load_tensors
from fesbench.vocabulary import EXPRESSIONS
from tests.runs import authors_networks as authors

RAFD = ("anger", "contempt", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")
SPELLED = ("angry", "contemptuous", "disgusted", "fearful", "happy", "neutral", "sad", "surprised")
FACES = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(3)) * 2 - 1


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch):
    """A method whose preset ``paper`` is narrow, so that a test is quick."""

    def make(name: str, **changes: object):
        kind = load_method(name)
        monkeypatch.setitem(kind.presets, "paper", replace(kind.presets["paper"], **changes))
        return kind

    return make


def saved(network: nn.Module, path: Path) -> Path:
    torch.save(network.state_dict(), path)
    return path


def loaded(kind, path: Path, problem: Problem):
    method = kind(problem, kind.presets["paper"])
    load_into(method, str(path))
    return method.eval()


def hot(label: str, order: tuple[str, ...]) -> Tensor:
    return torch.nn.functional.one_hot(torch.tensor([order.index(label)] * len(FACES)), len(order)).float()


def same(found: Tensor, wanted: Tensor) -> None:
    assert wanted.std() > 0.05  # the signal is alive
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("name", "blocks", "order", "given"),
    [("stargan", 2, RAFD, SPELLED), ("usgan", 1, tuple(load_method("usgan").release.labels), ())],
)
def test_star_generators_make_the_authors_images(narrow, tmp_path, name, blocks, order, given) -> None:
    kind = narrow(name, width=8, **({"blocks": blocks} if name == "stargan" else {}))
    network = authors.seeded(authors.StarGenerator(len(order), 8, blocks, skip=name == "usgan"))
    out = tmp_path / "ours.safetensors"
    note = convert(kind, saved(network, tmp_path / "200000-G.ckpt"), out, labels=given, size=32)
    assert tuple(note["labels"]) == order
    method = loaded(kind, out, Problem(32, EXPRESSIONS, (), 0))
    with torch.no_grad():
        for label in order:
            made = method.generator(FACES, hot(label, EXPRESSIONS))
            same(made, network(FACES, hot(label, order)))


def test_ganimation_makes_the_authors_images_and_its_units_are_known(narrow, tmp_path) -> None:
    kind = narrow("ganimation", width=8, blocks=2)
    units = kind.release.action_units
    network = authors.seeded(authors.GANimationGenerator(len(units), 8, 2))
    out = tmp_path / "ours.safetensors"
    convert(kind, saved(network, tmp_path / "net_epoch_30_id_G.pth"), out, size=32)
    mine = (12, 11, 1, 45)  # of which the release does not know 11
    method = loaded(kind, out, Problem(32, EXPRESSIONS, mine, 0))
    wanted, theirs = torch.zeros(2, 4), torch.zeros(2, len(units))
    for place, unit in enumerate(mine):
        wanted[:, place] = 0.2 + 0.1 * place
        if unit in units:
            theirs[:, units.index(unit)] = wanted[:, place]
    with torch.no_grad():
        same(method.generator(FACES, wanted)[0], network(FACES, theirs))


def test_pix2pix_makes_the_authors_images(narrow, tmp_path) -> None:
    kind = narrow("pix2pix", width=8)
    network = authors.seeded(authors.UnetGenerator(6, 5, 8))
    network(torch.rand(4, 6, 32, 32))  # running statistics that nobody reads
    out = tmp_path / "ours.safetensors"
    convert(kind, saved(network, tmp_path / "latest_net_G.pth"), out, size=32)
    method = loaded(kind, out, Problem(32, EXPRESSIONS, (), 0))
    inputs = torch.cat([FACES, FACES.flip(3)], dim=1)
    with torch.no_grad():
        # the authors' test path stays in training mode, on batches of one
        wanted = torch.cat([network.train()(one[None]) for one in inputs])
        same(method.generator(inputs), wanted)


def test_sargan_makes_the_authors_images(narrow, tmp_path) -> None:
    kind = narrow("sargan", width=8)
    order = kind.release.labels
    network = authors.seeded(authors.SARGenerator(len(order), 8))
    out = tmp_path / "ours.safetensors"
    convert(kind, saved(network, tmp_path / "sargan_100_G.ckpt"), out, size=32)
    method = loaded(kind, out, Problem(32, EXPRESSIONS, (), 0))
    with torch.no_grad():
        for label in order:
            same(method.generator(FACES, hot(label, EXPRESSIONS)), network(FACES, hot(label, order)))


@pytest.mark.parametrize("inject", [True, False])
def test_attgan_makes_the_images_of_its_port(narrow, tmp_path, inject) -> None:
    kind, faces = narrow("attgan", width=4, units=8), nn.functional.interpolate(FACES, size=64)
    order = ("anger", "fear", "happiness", "neutral", "young")
    network = authors.seeded(authors.AttGenerator(len(order), 4, 5, inject=inject))
    draw = torch.Generator().manual_seed(1)
    for name, tensor in network.named_buffers():
        if "running" in name:
            tensor.copy_(torch.rand(tensor.shape, generator=draw) + (0.5 if name.endswith("var") else 0))
    torch.save({"G": network.state_dict()}, tmp_path / "weights.199.pth")
    out = tmp_path / "ours.safetensors"
    convert(kind, tmp_path / "weights.199.pth", out, labels=order, size=64)
    mine = ("neutral", "happiness", "anger")
    method = loaded(kind, out, Problem(64, mine, (), 0))
    network.eval()
    with torch.no_grad():
        for label, strength in (("happiness", 2.0), ("anger", -1.0)):
            ours, theirs = torch.full((2, 3), -1.0), torch.full((2, len(order)), -0.5)
            ours[:, mine.index(label)] = strength
            theirs[:, order.index(label)] = strength / 2  # their labels are half as large
            theirs[:, [order.index(name) for name in order if name not in mine]] = 0.0
            same(method.generator(faces, ours), network(faces, theirs))


def test_lsrf_takes_the_authors_matrices(tmp_path) -> None:
    kind, side = load_method("lsrf"), 32
    draw, matrices = np.random.default_rng(0), {}
    for label, pixels in (("happy", 5), ("sad", 5)):
        dense = np.zeros((side * side, side * side + 1))
        for row in range(len(dense)):
            chosen = draw.choice(side * side, pixels - (row == 7), replace=False)  # one row has one less
            dense[row, chosen] = draw.normal(0.1, 0.1, len(chosen))
        dense[:, -1] = draw.normal(0.2, 0.1, side * side)
        matrices[label] = sparse.csr_matrix(dense)
        (tmp_path / "lsrf" / label).mkdir(parents=True)
        file = f"lsrf_weights_N2HAS_f-5_img-size_{side}.npz"
        sparse.save_npz(tmp_path / "lsrf" / label / file, matrices[label])
    out = tmp_path / "ours.safetensors"
    assert convert(kind, tmp_path / "lsrf", out, size=side)["labels"] == ["neutral", "happiness", "sadness"]
    method = loaded(kind, out, Problem(side, ("sadness", "neutral", "happiness"), (), 0))
    pixels = (FACES.double().numpy() + 1) / 2
    for label, index in (("sad", 0), ("happy", 2)):
        made = (method.layer(FACES, torch.tensor([index, index])) + 1) / 2
        for channel in range(3):
            flat = np.hstack([pixels[:, channel].reshape(2, -1), np.ones((2, 1))])
            wanted = (matrices[label] @ flat.T).T.clip(0, 1).reshape(2, side, side)
            np.testing.assert_allclose(made[:, channel].numpy(), wanted, atol=1e-5)
    with pytest.raises(MethodError, match="choose the preset"):
        convert(kind, tmp_path / "lsrf", tmp_path / "x.safetensors", size=side, preset="f1")
    sparse.save_npz(tmp_path / "lsrf" / "sad" / "omp_weights_1.npz", matrices["sad"])
    with pytest.raises(MethodError, match="one matrix a label is needed"):
        convert(kind, tmp_path / "lsrf", tmp_path / "x.safetensors", size=side)
    assert not (tmp_path / "x.safetensors").exists()


def test_cyclegan_makes_the_authors_images_there_and_back(narrow, tmp_path) -> None:
    kind = narrow("cyclegan", width=4, blocks=2)
    networks = {}
    for number, label in enumerate(("happy", "fearful")):
        (tmp_path / "nets" / label).mkdir(parents=True)
        for way in "AB":
            networks[label, way] = authors.seeded(authors.ResnetGenerator(4, 2), 2 * number + (way == "B"))
            saved(networks[label, way], tmp_path / "nets" / label / f"latest_net_G_{way}.pth")
    out = tmp_path / "ours.safetensors"
    assert convert(kind, tmp_path / "nets", out, size=32)["labels"] == ["neutral", "fear", "happiness"]
    method = loaded(kind, out, Problem(32, ("neutral", "fear", "happiness"), (), 0))
    with torch.no_grad():
        for (label, way), network in networks.items():
            pair = method.translations["happiness" if label == "happy" else "fear"]
            same((pair.there if way == "A" else pair.back)(FACES), network(FACES))


def test_masked_regression_takes_the_authors_matrices(tmp_path) -> None:
    kind, side = load_method("mr"), 32
    draw = np.random.default_rng(0)
    y, x = np.divmod(np.arange(side * side), side)
    near = (abs(y[:, None] - y) <= 1) & (abs(x[:, None] - x) <= 1)
    matrices = {}
    for label in ("happy", "anger"):
        (tmp_path / "mr" / label).mkdir(parents=True)
        for number in (1, 2, 3):
            dense = np.hstack(
                [near * draw.normal(0.1, 0.05, near.shape), draw.normal(0, 0.05, (side * side, 1))]
            )
            matrices[label, number] = sparse.csr_matrix(dense)
            sparse.save_npz(
                tmp_path / "mr" / label / f"mr_weights_dec-10-2019_{number}.npz", matrices[label, number]
            )
    out = tmp_path / "ours.safetensors"
    assert convert(kind, tmp_path / "mr", out, size=side)["labels"] == ["neutral", "anger", "happiness"]
    method = loaded(kind, out, Problem(side, ("anger", "neutral", "happiness"), (), 0))
    pixels = (FACES.double().numpy() + 1) / 2
    for label, index in (("anger", 0), ("happy", 2)):
        made = (method.layer(FACES, torch.tensor([index, index])) + 1) / 2
        for channel, number in enumerate((3, 2, 1)):  # theirs: blue first
            flat = np.hstack([pixels[:, channel].reshape(2, -1), np.ones((2, 1))])
            wanted = (matrices[label, number] @ flat.T).T.clip(0, 1).reshape(2, side, side)
            np.testing.assert_allclose(made[:, channel].numpy(), wanted, atol=1e-5)


def test_wrappers_of_training_scripts_are_taken_off(tmp_path) -> None:
    state = authors.StarGenerator(7, 4, 1).state_dict()
    wrapped = {"epoch": 3, "state_dict": {f"module.{name}": tensor.half() for name, tensor in state.items()}}
    torch.save(wrapped, tmp_path / "a.pth")
    found, labels = read_authors(tmp_path / "a.pth")
    assert (list(found), labels) == (list(state), [])
    assert found["main.0.weight"].dtype == torch.float32


def test_what_is_no_file_of_tensors_is_refused(tmp_path) -> None:
    class Evil:
        def __reduce__(self):
            return (Path(tmp_path / "ran").touch, ())

    (tmp_path / "evil.ckpt").write_bytes(pickle.dumps({"main.0.weight": Evil()}))
    torch.save(nn.Conv2d(1, 1, 1), tmp_path / "whole.pth")
    torch.save({"epoch": 3}, tmp_path / "none.pth")
    for name in ("evil.ckpt", "whole.pth"):
        with pytest.raises(
            DataError, match=r"holds more than tensors, or is damaged .* state_dict\(\) alone"
        ):
            read_authors(tmp_path / name)
    assert not (tmp_path / "ran").exists()
    with pytest.raises(DataError, match="holds no tensors by name"):
        read_authors(tmp_path / "none.pth")
    with pytest.raises(DataError, match=r"holds no LABEL/\*\.npz or \*\.pth"):
        read_authors(tmp_path)


def test_what_cannot_be_converted_says_why_and_writes_nothing(narrow, tmp_path) -> None:
    kind = narrow("stargan", width=8, blocks=2)
    file = saved(authors.StarGenerator(8, 8, 2), tmp_path / "g.ckpt")
    out = tmp_path / "ours.safetensors"
    with pytest.raises(UsageError, match="for which labels it was trained, in which order, is not known"):
        convert(kind, file, out, size=32)
    with pytest.raises(MethodError, match=r"shape \(8, 11, 7, 7\)"):
        convert(kind, file, out, labels=SPELLED[:7], size=32)
    with pytest.raises(UsageError, match=r"must be named \.safetensors"):
        convert(kind, file, tmp_path / "ours.pth", labels=SPELLED)
    with pytest.raises(MethodError, match=r"holds 'main\.0\.weight', which the authors' U-Net does not have"):
        convert(load_method("pix2pix"), file, out)
    with pytest.raises(MethodError, match="the authors of 'reggan' published are known"):
        convert(load_method("reggan"), file, out, labels=SPELLED)
    state = torch.load(file, weights_only=True)
    torch.save(state | {"style.weight": torch.zeros(1)}, file)
    with pytest.raises(MethodError, match=r"holds 'style\.weight', which the authors' generator"):
        convert(kind, file, out, labels=SPELLED, size=32)
    assert not out.exists()


def test_the_verb_writes_a_file_that_declares_its_training(narrow, tmp_path, capsys) -> None:
    narrow("stargan", width=8, blocks=2)
    file = saved(authors.StarGenerator(8, 8, 2), tmp_path / "g.ckpt")
    out = tmp_path / "ours.safetensors"
    with pytest.raises(SystemExit) as left:
        main(
            [
                "weights",
                "convert",
                "stargan",
                str(file),
                "--out",
                str(out),
                "--labels",
                ",".join(SPELLED),
                "--size",
                "32",
            ]
        )
    assert not left.value.code
    assert capsys.readouterr().out.strip() == str(out)
    tensors, note = load_tensors(out)
    assert note["trained_on"] == "by its authors, as g.ckpt"
    assert (note["method"], note["labels"]) == ("stargan", list(RAFD))
    assert all(name.startswith("generator.") for name in tensors)
