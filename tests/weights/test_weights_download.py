from __future__ import annotations

import hashlib
import http.server
import os
import signal
import socket
import stat
import struct
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from fesbench.errors import DataError, FesbenchError, WeightsError
from fesbench.weights import download as weights_download
from fesbench.weights.download import download, opened
from fesbench.weights.entry import WeightsEntry
from fesbench.weights.manager import WeightsManager
from tests.loopback import Server, answer, ranged

CONTENT = bytes(range(256)) * 3000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


def manager_of(tmp_path: Path, *urls: str, sha256: str | None = SHA256, prefix: str = "") -> WeightsManager:
    size = len(CONTENT) if sha256 else None
    row = WeightsEntry("net", "net.pth", urls, size, sha256, "MIT", "Nobody.", ("FID",), sha256_prefix=prefix)
    return WeightsManager(tmp_path / "home", {"net": row})


def left_on_disk(manager: WeightsManager) -> list[str]:
    return sorted(path.name for path in manager.folder.iterdir()) if manager.folder.exists() else []


def pull_fails(manager: WeightsManager, words: str, error: type[FesbenchError] = WeightsError) -> str:
    with pytest.raises(error, match=words) as caught:
        manager.pull("net")
    assert "\n" not in str(caught.value)
    assert not manager.status("net").present
    return str(caught.value)


def test_a_broken_download_goes_on_where_it_stopped(tmp_path: Path, server: Server) -> None:
    manager = manager_of(tmp_path, server.url + "/net.pth")
    server.answers["/net.pth"] = ranged(CONTENT, cut=300_000)
    pull_fails(manager, f"broke off after 300000 of {len(CONTENT)} bytes")
    assert left_on_disk(manager) == [".net.pth.partial", ".net.pth.partial.json"]
    # A network that is gone in between does no harm to what is there.
    server.answers["/net.pth"] = answer(b"", status=503)
    assert "try again later" in pull_fails(manager, "answers 503")
    server.answers["/net.pth"] = ranged(CONTENT)
    seen: list[int] = []
    assert manager.pull("net", lambda done, total: seen.append(done)).read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=300000-", "bytes=300000-"]
    assert seen[0] > 300_000
    assert left_on_disk(manager) == ["net.pth"]


def test_an_interrupted_download_goes_on(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights_download, "_CHUNK", 100_000)
    manager = manager_of(tmp_path, server.url + "/net.pth")
    server.answers["/net.pth"] = ranged(CONTENT)

    def interrupt(done: int, total: int | None) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        manager.pull("net", interrupt)
    assert manager.pull("net").read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=100000-"]


def test_another_version_on_the_server_starts_anew(tmp_path: Path, server: Server) -> None:
    manager = manager_of(tmp_path, server.url + "/net.pth", sha256=None)
    server.answers["/net.pth"] = ranged(CONTENT[::-1], etag='"old"', cut=1000)
    pull_fails(manager, "broke off")
    server.answers["/net.pth"] = ranged(CONTENT, etag='"new"')
    assert manager.pull("net").read_bytes() == CONTENT
    assert manager.mark("net") == f"pinned-{SHA256[:8]}"


def test_a_resumed_file_is_checked_whole(tmp_path: Path, server: Server) -> None:
    manager = manager_of(tmp_path, server.url + "/net.pth")
    server.answers["/net.pth"] = ranged(CONTENT, cut=1000)
    pull_fails(manager, "broke off")
    (manager.folder / ".net.pth.partial").write_bytes(b"?" * 1000)
    server.answers["/net.pth"] = ranged(CONTENT)
    pull_fails(manager, f"expected {SHA256[:12]}")
    assert left_on_disk(manager) == []


@pytest.mark.parametrize(
    ("later", "asked"),
    [
        # No ranges: the whole file comes.
        (answer(CONTENT, ETag='"v1"'), [None, "bytes=1000-"]),
        # What lies here is longer than the file.
        (ranged(CONTENT), [None, f"bytes={len(CONTENT) + 5}-", None]),
    ],
)
def test_servers_that_do_not_go_on_start_over(
    tmp_path: Path, server: Server, later: object, asked: list[str | None]
) -> None:
    manager = manager_of(tmp_path, server.url + "/net.pth")
    server.answers["/net.pth"] = ranged(CONTENT, cut=1000)
    pull_fails(manager, "broke off")
    if len(asked) == 3:
        (manager.folder / ".net.pth.partial").write_bytes(b"?" * (len(CONTENT) + 5))
    server.answers["/net.pth"] = later  # type: ignore[assignment]
    assert manager.pull("net").read_bytes() == CONTENT
    assert server.ranges == asked


def test_another_part_than_asked_for_is_refused(tmp_path: Path, server: Server) -> None:
    manager = manager_of(tmp_path, server.url + "/net.pth")
    server.answers["/net.pth"] = ranged(CONTENT, cut=1000)
    pull_fails(manager, "broke off")
    server.answers["/net.pth"] = ranged(CONTENT, shift=-10)
    pull_fails(manager, "another part of the file")
    assert left_on_disk(manager) == []


@pytest.mark.parametrize("note", ["", "{", '{"url": 3}', "[]"])
def test_a_damaged_note_starts_anew(tmp_path: Path, server: Server, note: str) -> None:
    server.answers["/f"] = ranged(CONTENT)
    (tmp_path / "f").write_bytes(b"half")
    (tmp_path / "f.json").write_text(note)
    assert download(server.url + "/f", tmp_path / "f", None) == SHA256
    assert server.ranges == [None]
    assert not (tmp_path / "f.json").exists()


def test_a_known_digest_needs_no_version_of_the_server(tmp_path: Path, server: Server) -> None:
    manager = manager_of(tmp_path, server.url + "/net.pth")
    server.answers["/net.pth"] = ranged(CONTENT[::-1], etag=None, cut=1000)
    pull_fails(manager, "broke off")
    server.answers["/net.pth"] = ranged(CONTENT, etag=None)
    # The parts are of two files: that is noticed at the end, and the next attempt starts anew.
    pull_fails(manager, f"expected {SHA256[:12]}")
    assert manager.pull("net").read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=1000-", None]
    unknown = manager_of(tmp_path / "other", server.url + "/net.pth", sha256=None)
    server.answers["/net.pth"] = ranged(CONTENT, etag=None, cut=1000)
    pull_fails(unknown, "broke off")
    assert left_on_disk(unknown) == []


def test_a_weak_etag_cannot_be_resumed(tmp_path: Path, server: Server) -> None:
    manager = manager_of(tmp_path, server.url + "/net.pth")
    server.answers["/net.pth"] = ranged(CONTENT, etag='W/"v1"', cut=1000)
    pull_fails(manager, "broke off")
    assert left_on_disk(manager) == []


def test_redirect_to_a_login_page(tmp_path: Path, server: Server) -> None:
    server.answers["/net.pth"] = answer(b"", status=302, Location="/login")
    server.answers["/login"] = answer(b"<!doctype html><title>Log in</title>", Content_Type="text/html")
    manager = manager_of(tmp_path, server.url + "/net.pth")
    assert "login page" in pull_fails(manager, "is a web page")
    assert left_on_disk(manager) == []


def reset(request: http.server.BaseHTTPRequestHandler) -> None:
    request.send_response(200)
    request.send_header("Content-Length", str(len(CONTENT)))
    request.end_headers()
    request.wfile.write(CONTENT[:5000])
    # Linger 0: the connection ends by RST.
    request.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    request.connection.close()


FAULTS = {
    "reset": (reset, "broke"),
    "gone": (answer(b"", status=404), "the file is gone from there"),
    "server fault": (answer(b"", status=500), "answers 500.*try again later"),
    "too many": (answer(b"", status=429), "answers 429.*try again later"),
    "packed": (answer(CONTENT, Content_Encoding="gzip"), "packed .gzip.*something on the way changes files"),
    "length too long": (answer(CONTENT, length=len(CONTENT) + 9), f"offers {len(CONTENT) + 9} bytes"),
    "length too short": (answer(CONTENT, length=9), "offers 9 bytes"),
    "circle": (answer(b"", status=301, Location="/net.pth"), "infinite loop"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_named_with_a_remedy_and_leaves_nothing(
    tmp_path: Path, server: Server, fault: str
) -> None:
    server.answers["/net.pth"], words = FAULTS[fault]
    manager = manager_of(tmp_path, server.url + "/net.pth")
    assert "weights add FILE" in pull_fails(manager, words)
    assert left_on_disk(manager) == []
    assert manager.sha256("net") == SHA256


@pytest.mark.parametrize("sent", [b"", CONTENT[:5000]])
def test_a_silent_server_is_given_up(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr(weights_download, "_TIMEOUT", 0.2)
    done = threading.Event()

    def silent(request: http.server.BaseHTTPRequestHandler) -> None:
        if sent:
            request.send_response(200)
            request.send_header("Content-Length", str(len(CONTENT)))
            request.end_headers()
            request.wfile.write(sent)
        done.wait(5)

    server.answers["/net.pth"] = silent
    manager = manager_of(tmp_path, server.url + "/net.pth")
    pull_fails(manager, r"did not answer within 0\.2 s")
    done.set()
    assert left_on_disk(manager) == []


def test_https_is_never_left_by_a_redirect() -> None:
    import urllib.request

    handler, request = weights_download._Redirects(), urllib.request.Request("https://a.example/f")
    with pytest.raises(WeightsError, match="not https"):
        handler.redirect_request(request, None, 302, "", {}, "http://b.example/f")  # type: ignore[arg-type]
    followed = handler.redirect_request(request, None, 302, "", {}, "https://b.example/f")  # type: ignore[arg-type]
    assert followed is not None
    assert followed.full_url == "https://b.example/f"


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_read_only_folder_is_named(tmp_path: Path, server: Server) -> None:
    server.answers["/net.pth"] = answer(CONTENT)
    manager = manager_of(tmp_path, server.url + "/net.pth")
    manager.folder.mkdir(parents=True)
    manager.folder.chmod(stat.S_IRUSR | stat.S_IXUSR)
    pull_fails(manager, "make the folder writable", DataError)


def test_a_disk_that_refuses_is_not_asked_for_every_mirror(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.answers["/net.pth"] = server.answers["/mirror"] = answer(CONTENT)

    def refuse(out: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(weights_download, "_flush", refuse)
    manager = manager_of(tmp_path, server.url + "/net.pth", server.url + "/mirror")
    pull_fails(manager, r"cannot write .*permission denied; make the folder writable", DataError)
    assert server.asked == ["/net.pth"]
    assert left_on_disk(manager) == []


def test_the_beginning_of_a_digest_must_fit(tmp_path: Path, server: Server) -> None:
    server.answers["/net.pth"] = answer(CONTENT)
    wrong = manager_of(tmp_path, server.url + "/net.pth", sha256=None, prefix="00000000")
    pull_fails(wrong, "expected 00000000")
    assert wrong.mark("net") == "unpinned"
    assert left_on_disk(wrong) == []
    right = manager_of(tmp_path, server.url + "/net.pth", sha256=None, prefix=SHA256[:8])
    right.pull("net")
    assert right.mark("net") == f"pinned-{SHA256[:8]}"


def test_offline_stops_every_way_to_the_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FESBENCH_OFFLINE", "1")
    monkeypatch.setattr(socket, "socket", None)
    with pytest.raises(WeightsError, match="FESBENCH_OFFLINE"):
        download("http://127.0.0.1:9/f", tmp_path / "f", None)


def test_opened_gives_the_answer(server: Server) -> None:
    server.answers["/f"] = answer(b"text")
    with opened(server.url + "/f", {}) as got:
        assert got.read() == b"text"


PULL = """
import sys
from pathlib import Path
from fesbench.weights.entry import WeightsEntry
from fesbench.weights.manager import WeightsManager
home, url, sha256, size = sys.argv[1:]
row = WeightsEntry("net", "net.pth", (url,), int(size), sha256, "MIT", "Nobody.", ("FID",))
print("start", flush=True)
print(WeightsManager(Path(home), {"net": row}).pull("net"), flush=True)
"""


def start_pull(manager: WeightsManager) -> subprocess.Popen[str]:
    row = manager.entry("net")
    arguments = [str(manager.home), row.urls[0], str(row.sha256), str(row.bytes)]
    command = [sys.executable, "-c", textwrap.dedent(PULL), *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "start\n"
    return process


def test_two_processes_fetch_once(tmp_path: Path, server: Server) -> None:
    def slow(request: http.server.BaseHTTPRequestHandler) -> None:
        time.sleep(0.4)
        answer(CONTENT)(request)

    server.answers["/net.pth"] = slow
    manager = manager_of(tmp_path, server.url + "/net.pth")
    both = [start_pull(manager) for _ in range(2)]
    assert [process.communicate(timeout=20)[0] for process in both] == [f"{manager.folder}/net.pth\n"] * 2
    assert server.asked == ["/net.pth"]
    assert left_on_disk(manager) == ["net.pth"]


def test_a_killed_pull_neither_blocks_nor_spoils_the_next(tmp_path: Path, server: Server) -> None:
    stuck, done = threading.Event(), threading.Event()

    def endless(request: http.server.BaseHTTPRequestHandler) -> None:
        ranged(CONTENT, cut=2_000)(request)
        request.wfile.flush()
        stuck.set()
        done.wait(10)

    server.answers["/net.pth"] = endless
    manager = manager_of(tmp_path, server.url + "/net.pth")
    process = start_pull(manager)
    assert stuck.wait(10)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=10)
    done.set()
    server.answers["/net.pth"] = ranged(CONTENT)
    assert manager.pull("net").read_bytes() == CONTENT
    assert left_on_disk(manager) == ["net.pth"]
