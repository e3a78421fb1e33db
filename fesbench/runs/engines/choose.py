"""Which engine runs the cells, by its name."""

from __future__ import annotations

from fesbench.errors import UsageError
from fesbench.runs.engines.base import Engine

ENGINES = ("local", "slurm", "ray")


def make_engine(name: str, jobs: int = 1, shard: tuple[int, int] = (1, 1)) -> Engine:
    """What runs the cells.

    Args:
        name: one of `ENGINES`.
        jobs: cells that the local engine runs at once.
        shard: see `SpreadEngine`.

    Raises:
        UsageError: no such engine, or what it needs is not installed.
    """
    from fesbench.runs.engines.local import LocalEngine
    from fesbench.runs.engines.ray import RayEngine
    from fesbench.runs.engines.slurm import SlurmEngine

    if name not in ENGINES:
        raise UsageError(f"--engine '{name}' is none of {', '.join(ENGINES)}")
    if name == "local":
        return LocalEngine(jobs, shard)
    if jobs != 1:
        raise UsageError(f"--jobs is of the local engine; {name.title()} decides how many cells run at once")
    return SlurmEngine(shard) if name == "slurm" else RayEngine(shard)
