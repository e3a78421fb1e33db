from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

from fesbench.errors import WeightsError
from fesbench.weights.entry import WeightsEntry
from fesbench.weights.manager import WeightsManager
from fesbench.weights.packages import PackageSource
from fesbench.weights.table import TABLE
from tests.loopback import Server, answer

CONTENT = b"weights" * 100


def restricted(url: str = "http://127.0.0.1:9/net.pth") -> WeightsEntry:
    terms = "CC BY-NC 4.0"
    return WeightsEntry("net", "net.pth", (url,), None, None, terms, "Nobody.", ("Q",), non_commercial=True)


def test_nothing_is_fetched_or_added_before_the_license_is_accepted(tmp_path: Path, server: Server) -> None:
    server.answers["/net.pth"] = answer(CONTENT)
    manager = WeightsManager(tmp_path / "home", {"net": restricted(server.url + "/net.pth")})
    words = r"CC BY-NC 4\.0.*fesbench weights pull net --accept-license.*FESBENCH_ACCEPT_LICENSES=net"
    with pytest.raises(WeightsError, match=words):
        manager.pull("net")
    file = tmp_path / "net.pth"
    file.write_bytes(CONTENT)
    with pytest.raises(WeightsError, match=words):
        manager.add(file)
    assert server.asked == []
    manager.accept_license("net", how="prompt")
    assert manager.pull("net").read_bytes() == CONTENT
    assert manager.available("net") is None


def test_files_that_are_here_already_wait_for_it_too(tmp_path: Path) -> None:
    manager = WeightsManager(tmp_path / "home", {"net": replace(restricted(), non_commercial=False)})
    (tmp_path / "net.pth").write_bytes(CONTENT)
    manager.add(tmp_path / "net.pth")
    later = WeightsManager(tmp_path / "home", {"net": restricted()})
    assert later.status("net").word == "license"
    assert "--accept-license" in str(later.available("net"))
    assert "--accept-license" in str(later.status("net"))
    for use in (later.path, later.pull):
        with pytest.raises(WeightsError, match="--accept-license"):
            use("net")
    later.accept_license("net", how="prompt")
    assert later.path("net").read_bytes() == CONTENT
    assert later.status("net").word == "pinned"


def test_a_package_that_is_installed_was_taken_under_its_terms(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = tmp_path / "site" / "no_such_net"
    module.mkdir(parents=True)
    (module / "__init__.py").touch()
    (module / "net.pth").write_bytes(CONTENT)
    monkeypatch.syspath_prepend(tmp_path / "site")
    digest = hashlib.sha256(CONTENT).hexdigest()
    source = PackageSource("no-such-net", "1.0", "no_such_net/net.pth")
    row = replace(restricted(), urls=(), sha256=digest, package=source)
    manager = WeightsManager(tmp_path / "home", {"net": row})
    assert manager.path("net") == module / "net.pth"
    assert manager.licenses_in_use(["net"])["net"]["non_commercial"] is True
    (module / "net.pth").unlink()
    with pytest.raises(WeightsError, match="--accept-license"):
        manager.pull("net")


def test_the_variable_accepts_by_name_and_is_written_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager = WeightsManager(tmp_path / "home", {"net": restricted()})
    monkeypatch.setenv("FESBENCH_ACCEPT_LICENSES", "other,all")
    assert manager.license_problem("net") is not None
    monkeypatch.setenv("FESBENCH_ACCEPT_LICENSES", "other, net")
    assert manager.license_problem("net") is None
    monkeypatch.delenv("FESBENCH_ACCEPT_LICENSES")
    assert manager.license_problem("net") is None
    row = json.loads((manager.folder / "licenses.json").read_text())["net"]
    assert (row["license"], row["how"]) == ("CC BY-NC 4.0", "FESBENCH_ACCEPT_LICENSES")
    assert row["at"].endswith("+00:00")


def test_other_terms_must_be_accepted_again(tmp_path: Path) -> None:
    manager = WeightsManager(tmp_path / "home", {"net": restricted()})
    manager.accept_license("net", how="prompt")
    changed = {"net": replace(restricted(), license="CC BY-NC-SA 4.0")}
    assert WeightsManager(tmp_path / "home", changed).license_problem("net") is not None


def test_a_record_can_say_which_licenses_it_used(tmp_path: Path) -> None:
    manager = WeightsManager(tmp_path / "home", {"net": restricted(), "dlib": TABLE["dlib"]})
    manager.accept_license("net", how="prompt")
    used = manager.licenses_in_use(["net", "dlib", "net"])
    assert list(used) == ["dlib", "net"]
    assert used["dlib"] == {
        "license": "CC0-1.0",
        "non_commercial": False,
        "accepted": None,
        "sha256": "55533b28",
    }
    assert used["net"]["accepted"]["how"] == "prompt"
    assert used["net"]["sha256"] == "unpinned"


def test_damaged_acceptances_are_named(tmp_path: Path) -> None:
    manager = WeightsManager(tmp_path, {"net": restricted()})
    manager.folder.mkdir(parents=True)
    (manager.folder / "licenses.json").write_text("[]")
    with pytest.raises(WeightsError, match=r"licenses\.json is damaged"):
        manager.path("net")


def test_the_table_marks_what_excludes_commercial_use() -> None:
    marked = {name for name, row in TABLE.items() if row.non_commercial}
    assert marked == {"dlib-landmarks", "vgg-face", "inception-clean-fid", "qualiclip"}
    hints = ("non-commercial", "by-nc", "exclude commercial")
    assert marked == {name for name, row in TABLE.items() if any(h in row.license.lower() for h in hints)}
