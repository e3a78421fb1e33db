"""Run cells as Slurm jobs, by submitit; the command that was given waits for them and shows what is done.

Partition, account, time and GPUs are sbatch's own: its environment variables (``SBATCH_PARTITION``,
``SBATCH_ACCOUNT``, ``SBATCH_TIMELIMIT``, ``SBATCH_GPUS``) decide over what is asked for here. A job that is
preempted or runs into its time limit is queued again and resumes.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fesbench.errors import UsageError
from fesbench.progress import Reporter
from fesbench.runs.engines.spread import Planned, SpreadEngine, record_death, run_text

_LOOK = 2.0
"""Seconds between two looks at the queue."""
_MINUTES = 24 * 60


class CellTask:
    """What runs on a node: a job's text in, a record on the shared disk out."""

    def __call__(self, text: str) -> None:
        """Run the job."""
        run_text(text, Reporter())

    def checkpoint(self, text: str) -> Any:
        """Preempted, or out of time: queue it again; the cell resumes where its checkpoint stands."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self, text)


class SlurmEngine(SpreadEngine):
    """Hands each cell to Slurm.

    Args:
        shard: see `SpreadEngine`.
        cluster: of submitit: "slurm", or "local" for processes of this machine, which tests use.

    Raises:
        UsageError: submitit is not installed.
    """

    def __init__(self, shard: tuple[int, int] = (1, 1), cluster: str = "slurm") -> None:
        super().__init__(shard)
        self.cluster = cluster
        try:
            import submitit  # noqa: F401
        except ImportError:
            raise UsageError(
                "--engine slurm needs submitit; install it with: pip install 'fesbench[slurm]'"
            ) from None

    def hand_out(self, planned: Sequence[Planned], reporter: Reporter) -> None:
        """See `SpreadEngine.hand_out`; on Ctrl-C every job is canceled."""
        import submitit

        logs = Path(planned[0].job.out) / "slurm"
        executor = submitit.AutoExecutor(folder=logs, cluster=self.cluster)
        gpus = 1 if planned[0].job.device == "cuda" else 0
        executor.update_parameters(name="fesbench", timeout_min=_MINUTES, gpus_per_node=gpus)
        with executor.batch():
            handles = [executor.submit(CellTask(), item.job.to_json()) for item in planned]
        reporter.note(f"{len(handles)} jobs handed in; logs in {logs}")
        waiting = dict(zip(range(len(planned)), handles, strict=True))
        try:
            with reporter.stage("cells", total=len(planned)) as stage:
                while waiting:
                    for number in [k for k, handle in waiting.items() if handle.done()]:
                        _settle(waiting.pop(number), planned[number], reporter)
                        stage.update(len(planned) - len(waiting), detail=planned[number].cell.method)
                    if waiting:
                        time.sleep(_LOOK)
        finally:
            for handle in waiting.values():
                handle.cancel()


def _settle(handle: Any, item: Planned, reporter: Reporter) -> None:
    """Leave a failed record where a job died; what a method does wrong is in its record already."""
    error = handle.exception()
    if error is None:
        return
    said = str(error).strip().splitlines()
    why = said[-1] if said else type(error).__name__
    text = f"its job {handle.job_id} died: {why}; see {handle.paths.stderr}"
    record_death(item, text, reporter)
