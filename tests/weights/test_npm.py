from __future__ import annotations

import base64
import hashlib
import io
import json
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from fesbench.errors import WeightsError
from fesbench.weights.entry import WeightsEntry
from fesbench.weights.manager import WeightsManager
from fesbench.weights.npm import NpmSource, registry_url
from tests.loopback import Answer, Server, answer

CONTENT = bytes(range(256)) * 40
SOURCE = NpmSource("@no-such/faces", "1.7.15", "model/net.bin")
PAGE, ARCHIVE = "/npm/@no-such%2Ffaces", "/files/faces-1.7.15.tgz"


def packed(*names: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name in ("package.json", *names):
            member = tarfile.TarInfo(f"package/{name}")
            member.size = len(CONTENT)
            archive.addfile(member, io.BytesIO(CONTENT))
    return buffer.getvalue()


def page(server: Server, *versions: str) -> Answer:
    listed = {version: {"dist": {"tarball": server.url + ARCHIVE}} for version in versions}
    return answer(json.dumps({"name": SOURCE.distribution, "versions": listed}).encode())


@pytest.fixture
def manager(tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> WeightsManager:
    for variable in ("npm_config_registry", "NPM_CONFIG_USERCONFIG", "npm_config_userconfig"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("NPM_CONFIG_REGISTRY", server.url + "/npm/")
    digest = hashlib.sha256(CONTENT).hexdigest()
    row = WeightsEntry("net", "net.bin", (), len(CONTENT), digest, "MIT", "Nobody.", ("ECS",), package=SOURCE)
    return WeightsManager(tmp_path / "home", {"net": row})


def left_on_disk(manager: WeightsManager) -> list[str]:
    return sorted(path.name for path in manager.folder.iterdir()) if manager.folder.exists() else []


def test_one_file_is_taken_out_of_the_archive(manager: WeightsManager, server: Server) -> None:
    server.answers[PAGE] = page(server, "1.7.14", "1.7.15")
    server.answers[ARCHIVE] = answer(packed("model/net.bin", "model/other.bin"))
    assert manager.pull("net").read_bytes() == CONTENT
    assert server.asked == [PAGE, ARCHIVE]
    assert left_on_disk(manager) == ["net.bin"]
    assert manager.pull("net").read_bytes() == CONTENT
    assert len(server.asked) == 2


def test_the_file_and_not_the_archive_is_what_is_checked(manager: WeightsManager, server: Server) -> None:
    server.answers[PAGE] = page(server, "1.7.15")
    server.answers[ARCHIVE] = answer(packed("model/net.bin"))
    manager.table["net"] = replace(manager.table["net"], sha256="0" * 64)
    with pytest.raises(WeightsError, match="expected 000000000000"):
        manager.pull("net")
    assert left_on_disk(manager) == []


@pytest.mark.parametrize(
    ("listing", "content", "words"),
    [
        (b'{"versions": {"1.7.1": {}}}', b"", "has no @no-such/faces 1.7.15"),
        (b'{"error": "not found"}', b"", "does not answer as an npm registry"),
        (b"<html>log in</html>", b"", "does not answer as an npm registry"),
        (b'{"versions": {"1.7.15": {"dist": {"tarball": "file:///etc/passwd"}}}}', b"", "has no @no-such"),
        (None, packed("model/nets.bin"), "does not hold model/net.bin"),
        (None, packed("../model/net.bin"), "does not hold model/net.bin"),
        (None, packed("model/net.bin")[:100], "cannot be unpacked"),
        (None, b"<html>log in</html>", "is a web page"),
    ],
    # by number: an archive holds the time, and workers that collect in different seconds would disagree
    ids=range(8),
)
def test_a_bad_registry_or_archive_is_named_and_leaves_nothing(
    manager: WeightsManager, server: Server, listing: bytes | None, content: bytes, words: str
) -> None:
    server.answers[PAGE] = page(server, "1.7.15") if listing is None else answer(listing)
    server.answers[ARCHIVE] = answer(content)
    with pytest.raises(WeightsError, match=words) as caught:
        manager.pull("net")
    assert "weights add FILE" in str(caught.value)
    assert left_on_disk(manager) == []


def test_offline_asks_no_registry(
    manager: WeightsManager, server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FESBENCH_OFFLINE", "1")
    with pytest.raises(WeightsError, match="FESBENCH_OFFLINE"):
        manager.pull("net")
    with pytest.raises(WeightsError, match="FESBENCH_OFFLINE"):
        SOURCE.fetch(tmp_path / "x", None)
    assert server.asked == []


def test_a_login_is_sent_but_never_shown(
    manager: WeightsManager, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str | None] = []

    def guarded(request: object) -> None:
        seen.append(request.headers.get("Authorization"))  # type: ignore[attr-defined]
        answer(b"", status=401)(request)  # type: ignore[arg-type]

    server.answers[PAGE] = guarded
    monkeypatch.setenv("NPM_CONFIG_REGISTRY", server.url.replace("//", "//user:s%40cret@") + "/npm")
    with pytest.raises(WeightsError, match="answers 401") as caught:
        manager.pull("net")
    assert "cret" not in str(caught.value)
    assert seen == ["Basic " + base64.b64encode(b"user:s@cret").decode()]


def test_the_registry_is_the_one_that_npm_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("NPM_CONFIG_REGISTRY", "npm_config_registry", "npm_config_userconfig"):
        monkeypatch.delenv(variable, raising=False)
    file = tmp_path / "npmrc"
    monkeypatch.setenv("NPM_CONFIG_USERCONFIG", str(file))
    assert registry_url("@a/b") == "https://registry.npmjs.org"
    file.write_text(
        "; registry=https://no.example\nregistry = https://all.example/npm/\n@a:registry=https://a.example\n"
    )
    assert registry_url("@a/b") == "https://a.example"
    assert registry_url("plain") == "https://all.example/npm"
    monkeypatch.setenv("NPM_CONFIG_REGISTRY", "https://env.example/")
    assert registry_url("plain") == "https://env.example"
