"""Pages for raters: one self-contained HTML file each, and the key that stays at home."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from collections.abc import Mapping, Sequence
from importlib.resources import files
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from fesbench.errors import RecordError, UsageError
from fesbench.files import atomic_write_bytes
from fesbench.reports.boards import Board, make_boards, read_runs
from fesbench.study.design import DESTROYED, REAL, Kind, Trial, design

KEY = "key.json"
QUESTIONS = {
    "expression": "Which image shows {label} better?",
    "identity": "Which image is more the same person as in the first image?",
    "realism": "Which image looks more real?",
}
_TOKEN_BYTES = 6


class ShownTrial(BaseModel):
    """A trial as the key keeps it; see :class:`fesbench.study.design.Trial`."""

    model_config = ConfigDict(extra="forbid")

    token: str
    kind: Kind
    request: str
    subject: str
    left: str
    right: str


class Key(BaseModel):
    """What the pages do not say: which method is behind which image.

    Attributes:
        study: drawn at random; answers name it.
        board: the slug of the leaderboard's key: rules, data, preset and budget.
        methods: that are compared.
        seed: of the design.
        raters: the trials of each rater, from "1".
    """

    model_config = ConfigDict(extra="forbid")

    kind: str = "fesbench-study-key"
    study: str
    board: str
    methods: list[str]
    seed: int
    raters: dict[str, list[ShownTrial]]

    def digest(self, rater: str) -> str:
        """What an answers file of a rater must name: the hash of that rater's tokens in order."""
        tokens = ",".join(trial.token for trial in self.raters[rater])
        return hashlib.sha256(f"{self.study}:{rater}:{tokens}".encode()).hexdigest()[:16]


def make_study(
    runs: Path, methods: Sequence[str], *, raters: int, pairs: int, out: Path, seed: int = 0
) -> list[Path]:
    """Write ``rater-01.html`` ... and ``key.json``.

    Args:
        runs: a runs folder in which one board holds all methods and the rows ``copy`` and ``real``.
        methods: ids, two or more.
        raters: pages to write.
        pairs: trials a page, traps included.
        out: a new or empty folder.
        seed: of the design.

    Returns:
        the pages.

    Raises:
        UsageError: no board, or several, hold the methods; nothing may be shown; more trials than images; or
            ``out`` holds a study already.
        RecordError: no records, or an image that a record promises is gone.
    """
    if (out / KEY).exists():
        raise UsageError(f"{out} holds a study already; choose another folder with --out")
    board = _board(runs, methods)
    table = _shown(board, methods)
    trials = design(methods, dict(table["identity"].astype(str)), raters=raters, pairs=pairs, seed=seed)
    study = secrets.token_hex(_TOKEN_BYTES)
    key = Key(
        study=study,
        board=board.key.slug,
        methods=list(methods),
        seed=seed,
        raters={
            str(number): [_named(trial, str(table.loc[trial.request, "identity"])) for trial in mine]
            for number, mine in enumerate(trials, 1)
        },
    )
    labels = dict(table["target_expression"].astype(str))
    pages = []
    for rater, shown in key.raters.items():
        pages.append(out / f"rater-{int(rater):02d}.html")
        atomic_write_bytes(pages[-1], _page(board, key, rater, shown, labels).encode())
    atomic_write_bytes(out / KEY, key.model_dump_json(indent=1).encode())
    return pages


def _board(runs: Path, methods: Sequence[str]) -> Board:
    boards = make_boards(read_runs(runs)[0])
    wanted = {*methods, "copy", "real"}
    fitting = [board for board in boards if wanted <= set(board.methods)]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        names = "; ".join(board.key.slug for board in fitting)
        raise UsageError(
            f"{runs} holds {len(fitting)} boards with these methods ({names}); give one's folder"
        )
    there = "; ".join(", ".join(board.methods) for board in boards)
    raise UsageError(f"no board below {runs} holds {', '.join(sorted(wanted))}; there are: {there}")


def _shown(board: Board, methods: Sequence[str]) -> Any:
    """The requests of the headline task that may be shown and that every row answers."""
    table = board.requests
    table = table[(table["task"] == board.headline[0]) & (table["domain"] == board.headline[1])]
    rows = [board.first(method) for method in (*methods, "copy", "real")]
    whole = [
        bool(row["publishable"]) and all(run is not None and run.image_path(str(name)) for run in rows)
        for name, row in table.iterrows()
    ]
    table = table[np.array(whole, dtype=bool)]
    if table.empty:
        raise UsageError(
            f"no image of {board.key.protocol} may be shown to raters: no test subject is publishable, or "
            "the images are gone"
        )
    return table


def _named(trial: Trial, subject: str) -> ShownTrial:
    return ShownTrial(
        token=secrets.token_hex(_TOKEN_BYTES),
        kind=trial.kind,
        request=trial.request,
        subject=subject,
        left=trial.left,
        right=trial.right,
    )


def _page(board: Board, key: Key, rater: str, shown: Sequence[ShownTrial], labels: Mapping[str, str]) -> str:
    from jinja2 import Environment, PackageLoader, select_autoescape

    images: dict[str, str] = {}
    trials = []
    for trial in shown:
        names = {"source": ("copy", trial.request)}
        names |= {side: (getattr(trial, side), trial.request) for side in ("left", "right")}
        tokens = {}
        for side, (method, request) in names.items():
            # an image's name must not tell its method; equal images share one
            content = _image(board, method, request)
            tokens[side] = hashlib.sha256(f"{key.study}{content}".encode()).hexdigest()[:12]
            images[tokens[side]] = content
        trials.append({"token": trial.token, "label": labels[trial.request], **tokens})
    script = (files("fesbench.study") / "page.js").read_text(encoding="utf-8")
    environment = Environment(
        loader=PackageLoader("fesbench.study", "."), autoescape=select_autoescape(default=True)
    )
    facts = {
        "study": key.study,
        "rater": rater,
        "trials_hash": key.digest(rater),
        "questions": QUESTIONS,
        "trials": trials,
        "images": images,
    }
    return environment.get_template("page.html.j2").render(
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        # "<" is written as an escape, so that no text of the data can end the element
        data=json.dumps(facts).replace("<", "\\u003c"),
    )


def _image(board: Board, method: str, request: str) -> str:
    """A PNG as base64."""
    from PIL import Image

    run = board.first(REAL if method == DESTROYED else method)
    path = run.image_path(request) if run else None
    if path is None:
        raise RecordError(
            f"the image of {request} by {method} is gone; run the same command again to make it"
        )
    if method != DESTROYED:
        return base64.b64encode(path.read_bytes()).decode()
    with Image.open(path) as opened:
        ruined = destroyed(np.asarray(opened.convert("RGB")))
    buffer = BytesIO()
    Image.fromarray(ruined).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def destroyed(image: np.ndarray) -> np.ndarray:
    """The trap: an eighth of the side in blocks, shuffled, under strong noise; nobody takes it for real.

    Args:
        image: uint8 (H, W, 3).

    Returns:
        uint8 (H, W, 3), the same for the same image.
    """
    rng = np.random.default_rng(int(image.sum()))
    block = max(1, min(image.shape[:2]) // 8)
    rows, columns = image.shape[0] // block, image.shape[1] // block
    made = image.copy()
    places = [(r, c) for r in range(rows) for c in range(columns)]
    for (r, c), number in zip(places, rng.permutation(len(places)), strict=True):
        y, x = places[number]
        made[r * block : (r + 1) * block, c * block : (c + 1) * block] = image[
            y * block : (y + 1) * block, x * block : (x + 1) * block
        ]
    return np.clip(made + rng.normal(0, 60, made.shape), 0, 255).astype(np.uint8)
