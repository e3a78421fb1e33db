"""What every method declares, as facts and as a page."""

from __future__ import annotations

import json
import time

import pytest

from fesbench.cli.main import main
from fesbench.methods.registry import METHODS, cards, load_method
from fesbench.runs.method_table import PAGE, facts, page, parameters, section


@pytest.fixture(scope="module")
def made() -> str:
    return page()


def test_the_page_in_the_docs_is_current(made: str) -> None:
    told = "run 'python -m fesbench.runs.method_table' and commit docs/methods.md"
    assert PAGE.read_text(encoding="utf-8") == made, told


def test_every_method_has_a_row_and_a_section_and_the_link_between_them(made: str) -> None:
    for name, card in cards().items():
        if name in METHODS.declared:
            assert made.count(f"| [`{name}`](#") == 1
            assert made.count(f"\n## `{name}`: {card.title}") == 1
    assert made.index("| [`stargan`]") < made.index("| [`real`]")
    assert "](#usgan-us-gan-2023)" in made


@pytest.mark.parametrize(
    ("name", "networks"),
    [
        ("stargan", {"generator": 8_439_936, "critic": 44_786_624}),
        ("pix2pix", {"generator": 41_832_067, "critic": 2_771_777}),
        ("copy", {}),
    ],
)
def test_parameters_are_those_of_the_published_network(name: str, networks: dict[str, int]) -> None:
    assert parameters(load_method(name)) == networks


def test_counting_takes_no_room_where_shapes_are_enough() -> None:
    kind = load_method("stargan")
    parameters(kind)
    started = time.process_time()
    parameters(kind)
    assert time.process_time() - started < 0.5  # drawing 53 million weights takes longer


def test_a_method_whose_shapes_follow_from_values_is_counted_too() -> None:
    # seven labels x three channels: 3x3 weights at each inner pixel, less at the border, and a bias a pixel
    inside = (3 * 128 - 2) ** 2
    assert parameters(load_method("mr")) == {"layer": 7 * 3 * (inside + 128**2)}


def test_a_preset_is_told_by_what_it_changes() -> None:
    told = facts(load_method("stargan"))
    assert list(told["changes"]) == ["tiny"]
    assert told["changes"]["tiny"][0] == "width 64 -> 24"
    assert all(" -> " in change for change in told["changes"]["tiny"])
    assert not any(change.startswith("betas ") for change in told["changes"]["tiny"])  # the same in both
    assert told["presets"][0].startswith("Preset `tiny`")
    assert told["built"][0].startswith("StarGAN (CVPR 2018). Choices:")
    assert "- preset `tiny` changes: width 64 -> 24; " in section(told)
    assert "preset" not in section(facts(load_method("copy")))


def test_the_verb_shows_a_method(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["methods", "show", "usgan"])
    assert "47,323,200 (generator 2,536,576, critic 44,786,624)" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["methods", "show", "usgan", "--json"])
    assert json.loads(capsys.readouterr().out)["parameters"]["critic"] == 44_786_624
