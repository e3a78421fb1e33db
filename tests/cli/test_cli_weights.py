from __future__ import annotations

import json
from pathlib import Path

import pytest

from fesbench.cli.main import main

CONTENT = b"clip" * 500


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FESBENCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FESBENCH_OFFLINE", "1")
    monkeypatch.delenv("FESBENCH_ACCEPT_LICENSES", raising=False)
    return tmp_path / "home"


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stopped:
        main(["weights", *arguments])
    said = capsys.readouterr()
    return int(stopped.value.code or 0), said.out, said.err


def test_list_names_everything(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "list", "--json")
    rows = {row["name"]: row for row in json.loads(out)}
    assert code == 0
    assert rows["qualiclip"]["status"] == "no"
    assert rows["qualiclip"]["non_commercial"] is True
    assert rows["inception-tf-2015"]["bytes"] == 95_628_359
    assert "fesbench weights pull qualiclip" in rows["qualiclip"]["problem"]
    code, out, _ = run(capsys)
    assert code == 0
    assert {"name", "present", "license", "needed", "size"} <= set(out.split())


def test_pull_shows_a_restricted_license_and_asks_for_it(
    capsys: pytest.CaptureFixture[str], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, _, err = run(capsys, "pull", "qualiclip")
    assert code == 2
    assert "CC BY-NC 4.0" in err
    assert "--accept-license" in err
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("typer.confirm", lambda *arguments, **named: False)
    code, _, err = run(capsys, "pull", "qualiclip")
    assert code == 2
    assert "was not accepted; nothing was fetched" in err
    assert not (home / "weights" / "licenses.json").exists()
    monkeypatch.setattr("typer.confirm", lambda *arguments, **named: True)
    _, _, err = run(capsys, "pull", "qualiclip")
    assert "FESBENCH_OFFLINE" in err
    assert json.loads((home / "weights" / "licenses.json").read_text())["qualiclip"]["how"] == "prompt"


def test_pull_with_the_flag_does_not_ask(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    run(capsys, "pull", "vgg-face", "--accept-license")
    row = json.loads((home / "weights" / "licenses.json").read_text())["vgg-face"]
    assert row["how"] == "--accept-license"


def test_add_where_verify(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "dists_weights.pt"
    file.write_bytes(CONTENT)
    code, out, _ = run(capsys, "add", str(file))
    assert code == 0
    assert "piq-dists: checked" in out
    assert "pinned on first use" in out
    code, out, _ = run(capsys, "where", "piq-dists")
    assert code == 0
    placed = Path(out.strip())
    assert placed.read_bytes() == CONTENT
    code, out, _ = run(capsys, "verify")
    assert code == 0
    placed.write_bytes(b"other")
    code, out, err = run(capsys, "verify")
    assert code == 2
    assert "not the right files: piq-dists" in err
    code, _, err = run(capsys, "where", "piq-dists")
    assert code == 2
    assert "expected" in err


def test_where_a_file_that_no_program_may_fetch(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "pull", "lightcnn-29-v2")
    assert code == 2
    assert "Google Drive" in err
    assert "fesbench weights add FILE" in err


def test_pull_for_judges_tries_every_file_and_names_those_that_it_could_not_get(
    capsys: pytest.CaptureFixture[str], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fesbench.errors import WeightsError
    from fesbench.weights.manager import WeightsManager

    asked = []

    def pull(self: WeightsManager, name: str, progress: object = None) -> Path:
        asked.append(name)
        if name == "facex":
            raise WeightsError("no index has facex")
        return home / name

    monkeypatch.setattr(WeightsManager, "pull", pull)
    code, out, err = run(capsys, "pull", "--for", "judges")
    assert asked == ["face-api", "face-api-manifest", "facex", "fer"]
    assert out.split() == [str(home / name) for name in ("face-api", "face-api-manifest", "fer")]
    assert code == 2
    assert "no index has facex" in err


def test_pull_wants_one_name_or_a_purpose(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ((), ("fer", "--for", "judges")):
        code, _, err = run(capsys, "pull", *arguments)
        assert code == 2
        assert "--for judges" in err
    code, _, err = run(capsys, "pull", "--for", "fun")
    assert code == 2
    assert "known: judges" in err
