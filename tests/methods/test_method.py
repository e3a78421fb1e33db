from __future__ import annotations

import ast
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
import torch

from fesbench.errors import FesbenchError, MethodError, UnknownNameError, UsageError
from fesbench.methods import registry
from fesbench.methods.base import Method
from fesbench.methods.batches import ImageBatch
from fesbench.methods.card import MethodCard, Problem, applicable, decay_after
from fesbench.methods.registry import cards, load_method, methods
from fesbench.vocabulary import EXPRESSIONS
from tests.factories import fake_store

EXAMPLE = """
from typing import ClassVar
from fesbench.methods.base import Method
from fesbench.methods.card import MethodCard

class Mine(Method):
    card: ClassVar = MethodCard("mine", "Mine", "me", 2030, frozenset(), frozenset({"expression"}))
    presets: ClassVar = {"paper": None, "tiny": None}

    def synthesize(self, requests):
        return requests.source
"""


def test_every_method_and_reference_row_of_the_issue_is_registered() -> None:
    known = methods()
    assert {name for name, kind in known.items() if kind.card.reference} == {
        "copy",
        "mean-shift",
        "real",
        "warp",
    }
    wanted = {"mr", "reggan", "stargan", "ganimation", "pix2pix", "usgan"}
    assert wanted <= known.keys()
    for kind in known.values():
        assert {"paper", "tiny"} <= set(kind.presets)
        assert kind.card.reference or (kind.card.citation and kind.card.year > 2000)


def test_an_unknown_method_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean stargan"):
        load_method("star-gan")


def test_a_method_comes_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(EXAMPLE)
    assert load_method(str(path)).card.id == "mine"


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("x = 1", "exactly one Method"),
        ("import no_such_module", "does not import"),
        ("def broken(:", "does not import"),
    ],
)
def test_a_file_that_is_no_method_is_refused(tmp_path: Path, text: str, match: str) -> None:
    path = tmp_path / "mine.py"
    path.write_text(text)
    with pytest.raises(FesbenchError, match=match):
        load_method(str(path))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"does not exist; give .*'fesbench methods'"):
        load_method(str(tmp_path / "none.py"))


def test_cards_are_read_from_the_source_as_they_are() -> None:
    assert cards() == {name: kind.card for name, kind in methods().items()}
    assert list(cards())[:4] == ["copy", "mean-shift", "real", "warp"]
    years = [card.year for card in cards().values() if not card.reference]
    assert years == sorted(years)


def test_a_method_is_imported_alone() -> None:
    script = (
        "import sys\nfrom fesbench.methods.registry import cards, load_method\n"
        "cards()\nassert not any(name.startswith('fesbench.baselines.') for name in sys.modules)\n"
        "load_method('mr')\nown = [n.rpartition('.') for n in sys.modules]\n"
        "print([n for p, _, n in own if p == 'fesbench.baselines' and n[0] != '_'])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "['mr']", done.stderr


def test_a_card_that_is_no_literal_is_refused() -> None:
    source = EXAMPLE.replace('"Mine"', "title()")
    with pytest.raises(LookupError, match=r"the card of some\.module\.Mine must be"):
        list(registry._read("some.module", ast.parse(source)))


def _with_plugins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, **files: tuple[str, str]) -> None:
    """Other packages' modules, by file name, each an entry point: (name, text)."""
    for file, (_, text) in files.items():
        (tmp_path / f"{file}.py").write_text(text)
        monkeypatch.delitem(sys.modules, file, raising=False)
    monkeypatch.syspath_prepend(str(tmp_path))
    points = [EntryPoint(name, file, "fesbench.methods") for file, (name, _) in files.items()]
    monkeypatch.setattr("fesbench.registry.entry_points", lambda group: points)
    monkeypatch.setattr(registry.METHODS, "_made", {})


def test_an_external_package_adds_a_method(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _with_plugins(monkeypatch, tmp_path, good_plugin=("mine", EXAMPLE))
    assert cards()["mine"].year == 2030
    assert "good_plugin" not in sys.modules
    assert load_method("mine").card == methods()["mine"].card == cards()["mine"]


def test_a_plugin_whose_card_is_no_literal_is_imported_for_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _with_plugins(monkeypatch, tmp_path, made_plugin=("mine", EXAMPLE.replace('"Mine"', '"Mi" + str(1)')))
    assert cards()["mine"].title == "Mi1"


def test_a_broken_plugin_is_a_named_warning(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = ("bad", "raise RuntimeError('boom')")
    _with_plugins(monkeypatch, tmp_path, bad_plugin=broken, ok_plugin=("mine", EXAMPLE))
    for listed in (methods, cards):
        with pytest.warns(UserWarning, match="bad_plugin.*boom"):
            found = listed()
        assert {"mine", "stargan"} <= found.keys()
        assert "bad" not in found
    with pytest.raises(UsageError, match=r"bad_plugin.*boom"):
        load_method("bad")


@pytest.mark.parametrize(
    ("name", "match"), [("stargan", "thief.*taken by fesbench"), ("thief", "thief.*it declares stargan")]
)
def test_a_plugin_cannot_replace_a_method(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, match: str
) -> None:
    _with_plugins(monkeypatch, tmp_path, thief=(name, EXAMPLE.replace('"mine"', '"stargan"')))
    with pytest.warns(UserWarning, match=match):
        found = methods()
    assert found["stargan"].__module__ == "fesbench.baselines.stargan"
    assert "thief" not in found


@pytest.mark.parametrize(
    ("name", "task", "given", "reason"),
    [
        ("stargan", "expression", "label", None),
        ("stargan", "transfer", "landmarks", "does not control transfer"),
        ("stargan", "intensity", "label", "does not control intensity"),
        ("ganimation", "intensity", "label", None),
        ("ganimation", "expression", "landmarks", "takes no landmarks"),
        ("pix2pix", "transfer", "landmarks", None),
        ("copy", "transfer", "landmarks", None),
    ],
)
def test_what_a_task_asks_of_a_card(name: str, task: str, given: str, reason: str | None) -> None:
    assert applicable(methods()[name].card, task, given) == reason


def test_missing_action_units_make_a_method_not_applicable() -> None:
    card = methods()["ganimation"].card
    bare = Problem(64, EXPRESSIONS, (), 0)
    assert applicable(card, "expression", "label", bare) == "needs action_units"
    assert applicable(card, "expression", "label", Problem(64, EXPRESSIONS, (12,), 0)) is None


def test_a_card_with_an_unknown_need_is_refused() -> None:
    with pytest.raises(MethodError, match="telepathy"):
        MethodCard("x", "x", "x", 2000, frozenset({"telepathy"}), frozenset())  # type: ignore[arg-type]


def test_initial_weights_follow_the_seed_and_leave_the_global_generator_alone() -> None:
    kind = methods()["stargan"]

    def weights(seed: int) -> torch.Tensor:
        built: Method = kind(Problem(64, EXPRESSIONS, (), seed), kind.presets["tiny"])
        return torch.cat([p.flatten() for p in built.parameters()])

    before = torch.random.get_rng_state()
    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))
    assert torch.equal(before, torch.random.get_rng_state())


def test_decay_is_constant_then_linear_to_zero() -> None:
    rate = decay_after(0.5)
    assert [rate(7, p) for p in (0.0, 0.5, 0.75, 1.0)] == [1.0, 1.0, 0.5, 0.0]


def test_a_mirrored_batch_has_mirrored_landmarks() -> None:
    store = fake_store(1, 64)
    image = torch.from_numpy(store.images[:2]).permute(0, 3, 1, 2).float() / 127.5 - 1
    marks = torch.from_numpy(store.manifest.landmarks[:2])
    none = torch.zeros(2).long()
    batch = ImageBatch(image, none, torch.zeros(2, 0), marks, none, torch.zeros(2), none)
    flipped = batch.flip(torch.tensor([True, False]))
    assert torch.equal(flipped.image[0], image[0].flip(-1))
    assert torch.equal(flipped.image[1], image[1])
    assert torch.equal(flipped.landmarks[1], marks[1])
    # The drawn face is symmetric: its left mouth corner mirrors onto its right one, and keeps its number.
    torch.testing.assert_close(flipped.landmarks[0, 48], marks[0, 48], atol=1e-3, rtol=0)
    torch.testing.assert_close(flipped.landmarks[0, 36], marks[0, 36], atol=1e-3, rtol=0)
    twice = flipped.flip(torch.tensor([True, False]))
    torch.testing.assert_close(twice.landmarks, marks)
