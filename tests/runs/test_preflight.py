"""What a run lacks is said before it starts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from fesbench.errors import WeightsError
from fesbench.extractors.faces import DlibDetector
from fesbench.methods.registry import load_method
from fesbench.protocol.protocol import load_protocol
from fesbench.runs.plan import RunOptions, run
from fesbench.runs.preflight import inapplicable, preflight
from tests.tiny_method import Shade

MESH = {"Pose-distance[face-mesh]": "weights: face-mesh (fesbench weights pull face-mesh)"}
PIXELS = Path(__file__).parents[1] / "protocols" / "pixels@1.toml"


def test_a_count_that_no_record_would_hold_is_said_beforehand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FESBENCH_HOME", str(tmp_path))
    protocol = load_protocol(str(PIXELS))
    # Measured where its weights are: nobody need have them.
    assert preflight(protocol, strict=True) == MESH
    monkeypatch.setattr(DlibDetector, "available", lambda self: "package: dlib (pip install x)")
    lacking = preflight(protocol, strict=False)
    assert lacking == {**MESH, "faces_not_found": "package: dlib (pip install x)"}
    with pytest.raises(WeightsError, match="cannot run: faces_not_found: package: dlib"):
        preflight(protocol, strict=True)


def test_a_wrong_file_is_found_before_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FESBENCH_HOME", str(tmp_path / "home"))
    file = tmp_path / "home" / "weights" / "weights-inception-2015-12-05-6726825d.pth"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"cut short")
    text = PIXELS.read_text().replace("optional = []", 'optional = ["FID", "NME"]')
    (tmp_path / "pixels@1.toml").write_text(text)
    found = preflight(load_protocol(str(tmp_path / "pixels@1.toml")), strict=False)
    assert found == {"FID": "weights: inception-tf-2015 (fesbench weights pull inception-tf-2015)", **MESH}


def test_a_method_whose_helper_has_no_weights_here_stops_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FESBENCH_HOME", str(tmp_path))

    class Helped(Shade):
        card = replace(Shade.card, id="helped", helpers=("inception-tf-2015",))

    protocol = load_protocol(str(PIXELS))
    with pytest.raises(WeightsError, match=r"method 'helped' needs weights: .* \(fesbench weights pull"):
        preflight(protocol, strict=False, methods=[Helped])


def test_a_size_that_a_method_cannot_take_is_said_before_a_judge_is_trained() -> None:
    rules = load_protocol("fuse-28")
    kinds = [load_method(name) for name in ("acgan", "stargan", "mortara", "mr")]
    told = inapplicable(rules, kinds, "paper")
    assert told["acgan"] == "acgan needs a power of two of at least 32 as image size, not 28"
    assert told["stargan"].startswith("the StarGAN critic needs an image size that is a multiple of 64")
    # the narrow preset chooses its critic's depth from the size
    assert set(inapplicable(rules, kinds, "tiny")) == {"acgan"}
    assert inapplicable(load_protocol("avatars"), kinds, "paper") == {}


def test_a_cell_of_such_a_size_is_not_applicable_and_not_failed(tmp_path: Path) -> None:
    options = RunOptions(
        "acgan", str(PIXELS), preset="tiny", budget="steps=1", size=48, out=tmp_path, report=False
    )
    summary = run(options)
    (record,) = (record for record in summary.records if record.cell.method == "acgan")
    assert (record.status, summary.exit_code) == ("scored", 0)
    assert record.scores == []
    assert {found.reason for found in record.not_run} >= {
        "not applicable: acgan needs a power of two of at least 32 as image size, not 48"
    }
