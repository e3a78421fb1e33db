"""Plan the cells of a run, check everything that it will need, run them, and build the report."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from fesbench.errors import EXIT_CELLS_FAILED, EXIT_OK, UsageError
from fesbench.progress import Reporter
from fesbench.protocol.budget import parse_budget
from fesbench.protocol.data_folders import Sources
from fesbench.protocol.difference import superseded
from fesbench.protocol.forms import suitable
from fesbench.protocol.protocol import Protocol, load_protocol
from fesbench.records.environment import resolve_device
from fesbench.records.record import REFERENCE, Record, safe_name
from fesbench.runs.engines.choose import make_engine
from fesbench.runs.job import Job, shared_job
from fesbench.runs.loaded_weights import check_weights
from fesbench.runs.method_sets import expand
from fesbench.runs.preflight import inapplicable, preflight
from fesbench.runs.zoo import TRAIN, Train

if TYPE_CHECKING:
    from fesbench.methods.base import Method

AUTO = "auto"
CPU_SIZE = 64


@dataclass(frozen=True)
class RunOptions:
    """What ``fesbench run`` was asked for."""

    methods: str
    protocol: str
    data: str | None = None
    split: Path | None = None
    """A CSV with identity and subset, in place of the protocol's own split."""
    source: Sources = None
    seeds: tuple[int, ...] = (0,)
    preset: str = AUTO
    budget: str = AUTO
    size: int | None = None
    out: Path = Path("runs")
    device: str = AUTO
    strict: bool = False
    report: bool = True
    weights: Mapping[str, str] = field(default_factory=dict)
    """Method id -> safetensors file that is loaded instead of training."""
    train: Train = "auto"
    """Whether weights of the zoo may stand in for a training."""
    jobs: int = 1
    """Cells that are run at once; 1 = in this process."""
    engine: str = "local"
    """Where cells run: see `make_engine`."""
    shard: tuple[int, int] = (1, 1)
    """(i, n) = only the i-th of n equal shares of the cells."""


@dataclass
class RunSummary:
    """What came of a run."""

    records: list[Record]
    missing: dict[str, str] = field(default_factory=dict)
    """Metrics that print ``n/a`` throughout, with the reason."""
    page: Path | None = None

    @property
    def exit_code(self) -> int:
        """0, or 4 where some cells failed."""
        failed = any(record.status == "failed" for record in self.records)
        return EXIT_CELLS_FAILED if failed else EXIT_OK


def count_cells(options: RunOptions, reporter: Reporter) -> int:
    """How many cells a run has; of a k-fold protocol every fold that has subjects counts.

    Args:
        options: of the run.
        reporter: shown how the data of a k-fold protocol is prepared: who is in it decides.

    Raises:
        FesbenchError: a wrong option, or the data of a k-fold protocol cannot be had.
    """
    quiet = Reporter()
    form = suitable(options.protocol, options.source, quiet, data=options.data, split=options.split)
    options, protocol = _resolve(replace(options, protocol=form), quiet)
    chosen = _with_preset(select_methods(options.methods, quiet), options, quiet)
    cells = len(plan_jobs(options, chosen))
    if not protocol.split.n_folds:
        return cells
    from fesbench.context.build import open_store
    from fesbench.context.folded import used_folds

    return cells * len(used_folds(protocol, open_store(protocol, options.source, reporter)))


def run(options: RunOptions, reporter: Reporter | None = None) -> RunSummary:
    """Run every method under a protocol and build the HTML report.

    Raises:
        FesbenchError: a wrong option, data that cannot be had, or (``strict``) a metric that could not run.
    """
    from fesbench.reports.site import build

    reporter = reporter or Reporter()
    form = suitable(options.protocol, options.source, reporter, data=options.data, split=options.split)
    options = replace(options, protocol=form)
    options, protocol = _resolve(options, reporter)
    if told := superseded(protocol):
        reporter.note(told, warning=True)
    chosen = _with_preset(select_methods(options.methods, reporter), options, reporter)
    _check_writable(options.out)
    missing = preflight(protocol, strict=options.strict, methods=chosen.values(), preset=options.preset)
    for metric, reason in missing.items():
        reporter.note(f"{metric}: n/a ({reason})", warning=True)
    for name, reason in inapplicable(protocol, chosen.values(), options.preset).items():
        reporter.note(f"{name}: not applicable to {protocol.name} ({reason})", warning=True)
    engine = make_engine(options.engine, options.jobs, options.shard)
    records = engine.run(plan_jobs(options, chosen), reporter)
    page = None
    if options.report:
        with reporter.stage("report"):
            page = build(options.out, options.out / "report")
    return RunSummary(records, missing, page)


def plan_jobs(options: RunOptions, chosen: Mapping[str, type[Method]]) -> list[Job]:
    """One job a method and seed; reference rows and loaded weights have nothing to seed, so the first alone.

    Args:
        options: settled, without ``auto``.
        chosen: the methods, by id or by the path of their file.

    Raises:
        UsageError: weights for a method that is not chosen or cannot take them.
    """
    ids = {kind.card.id: kind for kind in chosen.values()}
    for name, file in options.weights.items():
        if name not in ids:
            raise UsageError(f"--weights {name}: --methods chooses no '{name}', but {', '.join(ids)}")
        check_weights(ids[name], file)
    shared = shared_job(
        options.protocol,
        data=options.data,
        size=options.size,
        split=options.split,
        source=options.source,
        budget=options.budget,
        out=options.out,
        device=options.device,
    )
    jobs = []
    for seed in options.seeds:
        for name, kind in chosen.items():
            weights = options.weights.get(kind.card.id, "")
            if seed == options.seeds[0] or not (kind.card.reference or weights):
                preset = REFERENCE if kind.card.reference else options.preset
                job = replace(shared, method=name, preset=preset, seed=seed, weights=weights)
                jobs.append(replace(job, train="always" if kind.card.reference else options.train))
    return jobs


def _resolve(options: RunOptions, reporter: Reporter) -> tuple[RunOptions, Protocol]:
    """Settle what ``auto`` means on this machine, and say so."""
    if options.train not in TRAIN:
        raise UsageError(f"--train '{options.train}' is none of {', '.join(TRAIN)}")
    # who hands cells to other machines says what device those have
    there = options.engine != "local" and options.device != AUTO
    device = options.device if there else resolve_device(options.device)
    gpu = device == "cuda"
    preset = options.preset if options.preset != AUTO else ("paper" if gpu else "tiny")
    budget = options.budget if options.budget != AUTO else ("standard" if gpu else "smoke")
    protocol = load_protocol(options.protocol)
    size = options.size
    if size is None and AUTO in (options.preset, options.budget) and not gpu:
        size = min(CPU_SIZE, protocol.data.size)
    protocol = protocol.with_overrides(size=size, data=options.data, split=options.split)
    budget = parse_budget(budget).text
    if AUTO in (options.preset, options.budget):
        why = "a CUDA device is present" if gpu else "no CUDA device"
        reporter.note(
            f"{protocol.name}: preset {preset}, budget {budget}, {protocol.data.size} px ({why}; "
            "--preset, --budget and --size choose otherwise)"
        )
    return replace(options, preset=preset, budget=budget, size=size, device=device), protocol


def select_methods(text: str, reporter: Reporter | None = None) -> dict[str, type[Method]]:
    """Parse ``all`` or ``a,@set,b``; the reference rows always come along: no leaderboard goes without them.

    Args:
        text: names, or ``all``.
        reporter: told which methods of a set are not in this fesbench yet.

    Returns:
        the methods by id, or by the absolute path of the file that declares one.

    Raises:
        UnknownNameError: a name that is neither registered nor a file, or no set's.
        UsageError: no name, two methods of one id, or a set of which no method is here.
    """
    from fesbench.methods.registry import load_method, methods

    known = methods()
    chosen = {name: method for name, method in known.items() if method.card.reference}
    if text == "all":
        return chosen | known
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise UsageError("--methods names no method; give 'all' or names from 'fesbench methods'")
    names, absent = expand(names)
    for name, left_out in absent.items():
        text = f"{name}: {', '.join(left_out)} not in this fesbench yet; left out"
        (reporter or Reporter()).note(text, warning=True)
    ids: set[str] = set()
    for name in dict.fromkeys(names):
        method = load_method(name)
        own = safe_name(method.card.id)
        if own in ids or (name not in known and own in known):
            raise UsageError(f"{name} declares the id '{own}', which another method has; rename it")
        ids.add(own)
        if not method.card.reference:
            chosen[name if name in known else os.path.abspath(name)] = method
    return chosen


def _with_preset(
    chosen: dict[str, type[Method]], options: RunOptions, reporter: Reporter
) -> dict[str, type[Method]]:
    """The methods that have the preset; ``all`` and ``@sets`` leave out others, a name does not.

    Raises:
        UsageError: no chosen method has it, or one that was named has not.
    """
    preset, trained = options.preset, {n: k for n, k in chosen.items() if not k.card.reference}
    known = dict.fromkeys(("paper", "tiny", *(name for kind in trained.values() for name in kind.presets)))
    if preset not in known:
        raise UsageError(f"--preset '{preset}' is none of {', '.join(known)}, auto")
    lacking = {name: kind.card.id for name, kind in trained.items() if preset not in kind.presets}
    if not lacking:
        return chosen
    having = ", ".join(kind.card.id for name, kind in trained.items() if name not in lacking)
    texts = [text.strip() for text in options.methods.split(",")]
    named = [lacking[name] for name in lacking if name in {*texts, *map(os.path.abspath, texts)}]
    if named:
        raise UsageError(f"--preset {preset}: {', '.join(named)} has no such preset; {having} has it")
    text = f"preset {preset}: only {having} has it; left out: {', '.join(lacking.values())}"
    reporter.note(text, warning=True)
    return {name: kind for name, kind in chosen.items() if name not in lacking}


def _check_writable(out: Path) -> None:
    from fesbench.files import atomic_write_bytes

    probe = out / ".fesbench-write-test"
    atomic_write_bytes(probe, b"")
    probe.unlink(missing_ok=True)  # another run may have been here too


def parse_shard(text: str) -> tuple[int, int]:
    """Parse ``2/5``: the second of five shares.

    Raises:
        UsageError: not two whole numbers i/n with 1 <= i <= n.

    >>> parse_shard("2/5")
    (2, 5)
    """
    part, _, parts = text.partition("/")
    try:
        found = int(part), int(parts)
    except ValueError:
        found = 0, 0
    if not 1 <= found[0] <= found[1]:
        raise UsageError(f"--shard '{text}' is not i/n with 1 <= i <= n, such as 2/5")
    return found


def parse_seeds(text: str) -> tuple[int, ...]:
    """Parse ``0,1,2``.

    Raises:
        UsageError: not a list of whole numbers >= 0.
    """
    try:
        seeds: Sequence[int] = [int(part) for part in text.split(",")]
    except ValueError:
        raise UsageError(f"--seeds '{text}' is not a list of whole numbers such as 0,1,2") from None
    if any(seed < 0 for seed in seeds):
        raise UsageError(f"--seeds '{text}' holds a negative number; seeds are >= 0")
    return tuple(dict.fromkeys(seeds))
