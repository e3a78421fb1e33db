"""Any program as a model: a TOML file names a shell command that turns requests into images.

The command gets a work folder and leaves ``<request>.png`` in it; what it made is scored like a folder of
images. It runs with the rights of whoever asks for it, like a Makefile.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import subprocess
import time
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from fesbench.errors import DataError, UsageError
from fesbench.external.exported import RESIZE, resized
from fesbench.external.requests_export import asked, wanted, write_sources
from fesbench.protocol.tasks import task_kind
from fesbench.vocabulary import canonical_label

if TYPE_CHECKING:
    import pandas as pd

    from fesbench.data.store.aligned import AlignedStore
    from fesbench.progress import Reporter
    from fesbench.protocol.data_folders import Sources
    from fesbench.protocol.protocol import Protocol

SUFFIX = ".toml"
_LOOK = 0.2
"""Seconds between two looks at the process."""
_PATIENCE = 5
"""Seconds that a command has to end when it is told to."""
_SAID = 200


class CommandAdapter(BaseModel):
    """What the TOML file says."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    command: str = Field(min_length=1)
    """For the shell, run in the file's folder."""
    minutes: float = Field(default=60, gt=0)
    """After so long it is ended."""
    tasks: tuple[str, ...] = ("expression",)
    """What it is asked for; every image of each."""
    size: int | None = Field(default=None, ge=16, le=2048)
    """Side of its images in pixels; the protocol's, if not said."""
    words: dict[str, str] = Field(default_factory=dict)
    """Expression -> what the program calls it, such as a prompt."""
    trained_on: str = ""
    """What is known of its training, in words."""

    @field_validator("tasks")
    @classmethod
    def _known_tasks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            try:
                clip = task_kind(name).outputs == "clip"
            except UsageError as error:
                raise ValueError(str(error)) from None
            if clip:
                raise ValueError(f"'{name}' asks for clips; give a folder of them instead")
        return value

    @field_validator("words")
    @classmethod
    def _known_words(cls, value: dict[str, str]) -> dict[str, str]:
        try:
            return {canonical_label(name): word for name, word in value.items()}
        except DataError as error:
            raise ValueError(str(error)) from None


def load_command(path: Path) -> CommandAdapter:
    """Read the file that names a command.

    Raises:
        UsageError: it is missing, no TOML, or a key of it is wrong; names the first.
    """
    try:
        return CommandAdapter.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise UsageError(f"{path}: '{key}': {first['msg'].removeprefix('Value error, ')}") from None
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{path} cannot be read as TOML ({error})") from None


def images_of_command(
    path: Path,
    work: Path,
    log: Path,
    protocol: Protocol,
    *,
    budget: str,
    source: Sources,
    reporter: Reporter,
) -> tuple[Path, dict[str, Any]]:
    """Run a command on what a protocol asks for.

    Args:
        path: of the TOML file.
        work: an empty folder: gets ``requests.csv`` and ``sources/``, and ``images/`` for the answers.
        log: file of everything that the command prints; kept whatever happens.
        protocol, budget, source: what is asked, and where the data lies.
        reporter: shown how many images there are.

    Returns:
        the folder of the images, at the protocol's size; what the record keeps of the program.

    Raises:
        UsageError: the file is wrong, or the protocol asks for none of its tasks.
        DataError: the command failed or did not end in time; names the log and its last line.
    """
    adapter = load_command(path)
    requests, store = asked(protocol, budget, source, reporter)
    requests = requests[requests["task"].isin(adapter.tasks)].reset_index(drop=True)
    if not len(requests):
        raise UsageError(
            f"{path}: tasks: {protocol.name} asks for none of {', '.join(adapter.tasks)} under budget "
            f"{budget}; 'fesbench protocols show' tells its tasks"
        )
    size = adapter.size or store.size
    prepare_work(work, requests, store, adapter.words, size)
    started = time.monotonic()
    with reporter.stage(f"{path.name}: command", total=len(requests)) as stage:
        run_command(
            path, adapter, work, log, size, lambda: stage.update(len(list((work / "images").glob("*.png"))))
        )
    card: dict[str, Any] = {
        "command": adapter.command,
        "adapter": path.name,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "seconds": round(time.monotonic() - started, 1),
        "log": f"{log.parent.name}/{log.name}",
    }
    if adapter.trained_on:
        card["trained_on"] = adapter.trained_on
    if size != store.size:
        card["resize"] = f"{store.size}-{size}-{store.size}:{RESIZE}"
        _fit(work / "images", size, store.size)
    return work / "images", card


def prepare_work(
    work: Path, requests: pd.DataFrame, store: AlignedStore, words: dict[str, str], size: int
) -> None:
    """Write what a command reads: ``requests.csv``, ``sources/<request>.png``, and an empty ``images/``.

    The table has the columns of `wanted`, and for each expression column one with the program's words:
    ``target_words`` and so on, the expression itself where it has none.
    """
    table = wanted(requests, store)
    for column in ("source", "target", "second"):
        names = table[f"{column}_expression"]
        table[f"{column}_words"] = [words.get(name, name.replace("_", " ")) for name in names]
    table.to_csv(work / "requests.csv", index=False)
    write_sources(requests, store, work / "sources")
    (work / "images").mkdir()
    if size != store.size:
        _fit(work / "sources", store.size, size)


def _fit(folder: Path, size: int, wanted_size: int) -> None:
    """Resize the images of one side to another; those of any other size stay, and are named when read."""
    from PIL import Image

    from fesbench.data.images import read_image

    for path in sorted(folder.glob("*.png")):
        try:
            image = read_image(path)
        except DataError:
            continue
        if image.shape[:2] == (size, size):
            scaled = resized(image.transpose(2, 0, 1)[None].astype(np.float32), wanted_size)[0]
            pixels = scaled.round().clip(0, 255).astype(np.uint8).transpose(1, 2, 0)
            Image.fromarray(pixels).save(path, compress_level=1)


def run_command(
    path: Path, adapter: CommandAdapter, work: Path, log: Path, size: int, on_look: Any = lambda: None
) -> None:
    """Run the command in the folder of its file; it and all that it started end with it.

    Its environment holds ``WORK``, ``REQUESTS``, ``SOURCES``, ``OUT`` and ``SIZE``.

    Raises:
        DataError: it failed, or did not end in time.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    work, log = work.resolve(), log.resolve()
    places = {
        "WORK": work,
        "REQUESTS": work / "requests.csv",
        "SOURCES": work / "sources",
        "OUT": work / "images",
    }
    environment = {**os.environ, **{name: str(place) for name, place in places.items()}, "SIZE": str(size)}
    ends = time.monotonic() + 60 * adapter.minutes
    with log.open("wb") as stream:
        stream.write(f"$ {adapter.command}\n".encode())
        stream.flush()
        process = subprocess.Popen(
            adapter.command,
            shell=True,
            cwd=path.resolve().parent,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            while True:
                try:
                    code = process.wait(_LOOK)
                    break
                except subprocess.TimeoutExpired:
                    on_look()
                if time.monotonic() > ends:
                    raise DataError(
                        f"{path}: the command did not end within {adapter.minutes:g} minutes and was ended; "
                        f"raise 'minutes', or see {log}"
                    )
        finally:
            _end(process)
    if code:
        said = log.read_bytes().decode(errors="replace").strip().splitlines()[-1][:_SAID]
        how = f"was ended by signal {-code}" if code < 0 else f"left with code {code}"
        raise DataError(f"{path}: the command {how}: {said} (all of it in {log})")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the command's whole group: politely, then not."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        try:
            process.wait(_PATIENCE)
            if number == signal.SIGTERM and _alone(process.pid):
                return
        except subprocess.TimeoutExpired:
            continue


def _alone(group: int) -> bool:
    """Whether nobody of a process group is left."""
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return True
    return False
