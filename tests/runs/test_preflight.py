"""What a run lacks is said before it starts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from fesbench.errors import WeightsError
from fesbench.extractors.faces import DlibDetector
from fesbench.protocol.protocol import load_protocol
from fesbench.runs.preflight import preflight
from tests.tiny_method import Shade

PIXELS = Path(__file__).parents[1] / "protocols" / "pixels@1.toml"


def test_a_count_that_no_record_would_hold_is_said_beforehand(monkeypatch: pytest.MonkeyPatch) -> None:
    protocol = load_protocol(str(PIXELS))
    assert preflight(protocol, strict=True) == {}
    monkeypatch.setattr(DlibDetector, "available", lambda self: "package: dlib (pip install x)")
    assert preflight(protocol, strict=False) == {"faces_not_found": "package: dlib (pip install x)"}
    with pytest.raises(WeightsError, match="faces_not_found: package: dlib"):
        preflight(protocol, strict=True)


def test_a_wrong_file_is_found_before_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FESBENCH_HOME", str(tmp_path / "home"))
    file = tmp_path / "home" / "weights" / "weights-inception-2015-12-05-6726825d.pth"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"cut short")
    text = PIXELS.read_text().replace("optional = []", 'optional = ["FID", "NME"]')
    (tmp_path / "pixels@1.toml").write_text(text)
    found = preflight(load_protocol(str(tmp_path / "pixels@1.toml")), strict=False)
    assert found == {"FID": "weights: inception-tf-2015 (fesbench weights pull inception-tf-2015)"}


def test_a_method_whose_helper_has_no_weights_here_stops_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FESBENCH_HOME", str(tmp_path))

    class Helped(Shade):
        card = replace(Shade.card, id="helped", helpers=("inception-tf-2015",))

    protocol = load_protocol(str(PIXELS))
    with pytest.raises(WeightsError, match=r"method 'helped' needs weights: .* \(fesbench weights pull"):
        preflight(protocol, strict=False, methods=[Helped])
