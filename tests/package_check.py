"""Install the wheel that was built from the sdist into a clean environment and use it from an empty folder.

Run by ``tox -e package`` with the folder that holds both distributions. The wheel must hold the
methods, zoo files and protocols of the checkout: a file that setuptools forgot is an error here alone.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path


def main(dist: Path) -> None:
    root = Path(__file__).resolve().parent.parent
    (sdist,) = dist.glob("*.tar.gz")
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        with tarfile.open(sdist) as archive:
            archive.extractall(place / "source", filter="data")
        (source,) = (place / "source").iterdir()
        uv = [sys.executable, "-m", "uv"]
        subprocess.run(
            [*uv, "build", "--quiet", "--wheel", "--out-dir", str(place / "wheel"), str(source)], check=True
        )
        (wheel,) = (place / "wheel").glob("*.whl")
        subprocess.run([*uv, "venv", "--quiet", "--python", sys.executable, str(place / "venv")], check=True)
        python = place / "venv" / "bin" / "python"
        subprocess.run([*uv, "pip", "install", "--quiet", "--python", str(python), str(wheel)], check=True)
        empty = place / "empty"
        empty.mkdir()
        environment = {**os.environ, "FESBENCH_HOME": str(place / "home")}
        for verb, folder, ending in (
            ("methods", "baselines", ".py"),
            ("zoo", "baselines", ".safetensors"),
            ("zoo", "baselines", ".json"),
            ("protocols", "protocols", ".toml"),
        ):
            command = [str(place / "venv" / "bin" / "fesbench"), verb]
            shown = subprocess.run(
                command, cwd=empty, env=environment, capture_output=True, text=True, check=True
            ).stdout
            print(shown)
            # k-fold protocols lie one folder down
            expected = {
                path.name for depth in ("*", "*/*") for path in (root / folder).glob(f"{depth}{ending}")
            }
            listing = (
                "import importlib.resources as r\n"
                f"top = list(r.files('fesbench.{folder}').iterdir())\n"
                "print(*[p.name for q in top for p in ([q, *q.iterdir()] if q.is_dir() else [q])])"
            )
            found = subprocess.run(
                [str(python), "-c", listing],
                cwd=empty,
                env=environment,
                capture_output=True,
                text=True,
                check=True,
            ).stdout.split()
            missing = expected - set(found)
            if missing:
                raise SystemExit(f"the wheel lacks {sorted(missing)} of {folder}/")
    print("the wheel built from the sdist holds every method, zoo file and protocol of the checkout")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
