"""Record folders -> runs, boards and tables. A board holds only what may stand in one table."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fesbench.errors import FesbenchError, RecordError
from fesbench.protocol.tasks import plain_kind
from fesbench.records.record import EXTERNAL, FOLDS, RECORD_NAME, Record, load_record
from fesbench.records.samples import SAMPLE_COLUMNS, read_samples

if TYPE_CHECKING:
    import pandas as pd

    from fesbench.protocol.protocol import Protocol
    from fesbench.records.judge_check import JudgeCheck

HEADLINE = ("expression", "in")


@dataclass(frozen=True)
class Run:
    """One cell's folder and its record."""

    folder: Path
    record: Record
    shipped: bool = False
    """Whether it came with fesbench (``reports/reference``)."""

    @property
    def family(self) -> tuple[str, ...]:
        """What rows must have in common, whatever their preset, to stand in one table."""
        cell = self.record.cell
        return (cell.protocol, cell.protocol_hash, cell.data, cell.data_fingerprint, cell.budget)

    @property
    def method(self) -> str:
        """The method's id."""
        return self.record.cell.method

    @property
    def title(self) -> str:
        """The method's name for readers."""
        return str(self.record.card.get("title") or self.method)

    @property
    def reference(self) -> bool:
        """Whether this row frames the scale instead of competing."""
        return bool(self.record.card.get("reference", False))

    @property
    def external(self) -> bool:
        """Whether its images were made elsewhere (``fesbench evaluate``)."""
        return self.record.cell.preset == EXTERNAL

    @property
    def given(self) -> str:
        """What the headline task granted, as the scores say; ``label`` before there are scores."""
        found = {s.given for s in self.record.scores if (s.task, s.domain) == HEADLINE}
        return sorted(found)[0] if found else "label"

    @cached_property
    def samples(self) -> pd.DataFrame | None:
        """Per-request values, indexed by request; None before scoring.

        Raises:
            RecordError: the file is damaged or lacks a column.
        """
        table = read_samples(self.folder)
        return None if table is None else table.set_index("request")

    @cached_property
    def losses(self) -> pd.DataFrame | None:
        """Columns phase, step, name, value; None where nothing was trained step by step."""
        return self._logged("losses.csv")

    @cached_property
    def validation(self) -> pd.DataFrame | None:
        """What was scored while it was trained, in the same columns; None where nobody looked.

        Raises:
            RecordError: the file is damaged or lacks a column.
        """
        return self._logged("validation.csv")

    def _logged(self, name: str) -> pd.DataFrame | None:
        import pandas as pd

        path = self.folder / name
        if not path.is_file():
            return None
        try:
            table = pd.read_csv(path)
        except (OSError, ValueError) as error:
            raise RecordError(f"{path} cannot be read ({error}); delete it or run the cell again") from None
        missing = {"phase", "step", "name", "value"} - set(table)
        if missing:
            raise RecordError(f"{path} lacks the columns {', '.join(sorted(missing))}; run the cell again")
        return table if len(table) else None

    def image_path(self, request: str) -> Path | None:
        """The generated image of a request, of a clip the last frame; None where it was not made."""
        path = self.folder / "images" / f"{request}.png"
        if path.is_file():
            return path
        return max((self.folder / "clips" / request).glob("*.png"), default=None)


@dataclass(frozen=True)
class BoardKey:
    """What all rows of one leaderboard have in common."""

    protocol: str
    protocol_hash: str
    data: str
    data_fingerprint: str
    preset: str
    budget: str

    @property
    def rules(self) -> tuple[str, dict[str, str]]:
        """The protocol's name with its version, and its overrides."""
        # An id may itself hold a plus sign ("ck+@1"): overrides begin behind the version.
        head, _, tail = self.protocol.partition("@")
        version, *overrides = tail.split("+")
        return f"{head}@{version}", dict(item.split("=", 1) for item in overrides if "=" in item)

    @property
    def slug(self) -> str:
        """A file name for the board's page."""
        parts = (
            self.protocol,
            self.protocol_hash[:8],
            self.data,
            self.data_fingerprint[:8],
            self.preset,
            self.budget,
        )
        return "".join(c if c.isalnum() or c in "-." else "-" for c in "-".join(parts))


@dataclass
class Board:
    """All runs of one leaderboard, by method, each with its seeds."""

    key: BoardKey
    methods: dict[str, list[Run]] = field(default_factory=dict)
    _known: dict[tuple[str, str, str, str], pd.Series | None] = field(default_factory=dict, repr=False)
    """Values that were asked for before: ranks, pairs and drops ask for the same ones many times."""

    @property
    def runs(self) -> list[Run]:
        """Every run, methods in order, seeds in order."""
        return [run for runs in self.methods.values() for run in runs]

    @cached_property
    def protocol(self) -> tuple[Protocol | None, str]:
        """The rules these records were made under, or None and why their words cannot be shown.

        Somebody's own split is not at hand: it stands in the facts, and here are the words of the version.
        """
        from fesbench.protocol.protocol import load_protocol

        name, changes = self.key.rules
        try:
            size = int(changes["size"]) if "size" in changes else None
            found = load_protocol(name).with_overrides(size=size, data=changes.get("data"))
            if "labels" in changes:
                found = found.with_labels(changes["labels"].split(","))
        except (FesbenchError, ValueError) as error:
            return None, f"the protocol file is not installed here ({error})"
        if "split" not in changes and found.hash != self.key.protocol_hash:
            return None, "the protocol file installed here has other rules than these records"
        return found, ""

    @cached_property
    def headline(self) -> tuple[str, str]:
        """Task and domain of the leaderboard: ``HEADLINE``; where a protocol does not ask for it (random
        images, action units), the first that was scored.
        """
        pairs = {(s.task, s.domain) for run in self.runs for s in run.record.scores}
        if HEADLINE in pairs or not pairs:
            return HEADLINE
        return min(pairs, key=lambda p: (plain_kind(p[0]).place, p[1] != "in", p))

    @cached_property
    def data(self) -> dict[str, Any]:
        """What the records keep of the data; {} for records of before they kept any."""
        return next((run.record.data for run in self.runs if run.record.data), {})

    @cached_property
    def judge_checks(self) -> dict[tuple[str, str], JudgeCheck]:
        """How each judge does on the real images of each domain, as the first record that knows it says."""
        found: dict[tuple[str, str], JudgeCheck] = {}
        for run in self.runs:
            for check in run.record.judge_checks:
                found.setdefault((check.judge, check.domain), check)
        return found

    @property
    def by_image(self) -> bool:
        """Whether identities are unknown, so that images were split and intervals are over images."""
        return self.data.get("split", {}).get("by") == "image"

    @property
    def units(self) -> str:
        """What intervals resample: "subjects" or "images"."""
        return "images" if self.by_image else "subjects"

    def subjects(self, task: str, domain: str) -> int:
        """How many subjects (or images) a task in a domain asks for; 0 where no row has its samples."""
        table = self.requests
        return int(table[(table["task"] == task) & (table["domain"] == domain)]["identity"].nunique())

    def label(self, run: Run) -> str:
        """A run's title, with its seed where the row has several."""
        return f"{run.title}, seed {run.record.cell.seed}" if len(self.methods[run.method]) > 1 else run.title

    def first(self, method: str) -> Run | None:
        """The first seed's run of a method."""
        runs = self.methods.get(method)
        return runs[0] if runs else None

    def values(self, method: str, metric: str, task: str, domain: str) -> pd.Series | None:
        """Per-request values of a metric, meaned over seeds; None where not every seed has them."""
        key = (method, metric, task, domain)
        if key not in self._known:
            self._known[key] = self._read(*key)
        return self._known[key]

    def _read(self, method: str, metric: str, task: str, domain: str) -> pd.Series | None:
        import pandas as pd

        found = []
        for run in self.methods.get(method, []):
            table = run.samples
            if table is None or metric not in table:
                return None
            part = table[(table["task"] == task) & (table["domain"] == domain)]
            found.append(pd.to_numeric(part[metric], errors="coerce"))
        if not found or found[0].empty:
            return None
        # A request that is not valid under one seed is not valid in the mean: no hidden re-weighting.
        values = pd.concat(found, axis=1).mean(axis=1, skipna=False)
        return None if values.isna().all() else values

    @cached_property
    def requests(self) -> pd.DataFrame:
        """Every request that some row was scored on, with its subject and whether it may be shown.

        A subject is shown only where every row that knows the request says so.
        """
        import pandas as pd

        columns = list(SAMPLE_COLUMNS[1:])
        parts = [run.samples[columns] for run in self.runs if run.samples is not None]
        if not parts:
            return pd.DataFrame(columns=columns).astype({"publishable": bool})
        whole = pd.concat(parts)
        allowed = whole["publishable"].fillna(False).astype(bool).groupby(level=0).all()
        table = whole[~whole.index.duplicated()].sort_index()
        return table.assign(publishable=allowed.reindex(table.index))


def read_runs(folder: Path) -> tuple[list[Run], list[str]]:
    """Every cell below ``folder``, and a message for each record that cannot be read.

    Raises:
        RecordError: there is no readable record at all.
    """
    found = sorted(folder.rglob(RECORD_NAME)) if folder.is_dir() else []
    # the folds of a k-fold run are runs of their own, reported where somebody asks for their folder
    paths = [path for path in found if FOLDS not in path.relative_to(folder).parts]
    if not paths:
        raise RecordError(f"no records below {folder}; 'fesbench run --out {folder}' makes them")
    runs, unreadable = [], []
    for path in paths:
        try:
            runs.append(Run(path.parent, load_record(path.parent)))
        except RecordError as error:
            # The page names the place below the folder that was asked for, not this machine's disk.
            unreadable.append(str(error).replace(f"{folder}/", ""))
    if not runs:
        raise RecordError(unreadable[0])
    return runs, unreadable


def make_boards(runs: Iterable[Run]) -> list[Board]:
    """Group runs so that protocol, data, preset and budget never mix.

    Reference rows and external images have no size of their own: where their preset is not one that a trained
    method uses, they join every board of their protocol, data and budget.
    """
    families: dict[tuple[str, ...], list[Run]] = {}
    for run in runs:
        families.setdefault(run.family, []).append(run)
    boards = []
    for (protocol, digest, data, fingerprint, budget), members in sorted(families.items()):
        own = {r.record.cell.preset for r in members if not r.reference and not r.external}
        # Without a trained row there is one board, not one for each word that stands for "no preset".
        for preset in sorted(own) or sorted({r.record.cell.preset for r in members})[:1]:
            board = Board(BoardKey(protocol, digest, data, fingerprint, preset, budget))
            for run in sorted(members, key=lambda r: (r.method, r.record.cell.seed)):
                if run.record.cell.preset == preset or run.record.cell.preset not in own:
                    board.methods.setdefault(run.method, []).append(run)
            boards.append(board)
    return boards


def scores(runs: Path) -> list[dict[str, Any]]:
    """Every score below a runs folder, one object a score: the form of ``fesbench report --json``.

    Raises:
        RecordError: no record, or a damaged one (a script must not read less than it asked for).
    """
    found, unreadable = read_runs(runs)
    if unreadable:
        raise RecordError(unreadable[0])
    return [score.model_dump(mode="json") for run in found for score in run.record.scores]
