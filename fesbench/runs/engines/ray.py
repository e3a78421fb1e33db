"""Run cells as tasks of Ray: on the cluster that ``RAY_ADDRESS`` names, or on this machine's cores and GPUs.

A task whose worker or node is lost is started again and resumes. The cluster of this machine lives as long as
the run; it reports to nobody, and what it writes lies in FESBENCH_HOME.
"""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import fesbench
from fesbench.errors import UsageError
from fesbench.files import fesbench_home
from fesbench.progress import Reporter
from fesbench.runs.engines.relay import Inbox, Relay, Shown
from fesbench.runs.engines.spread import Planned, SpreadEngine, record_death, run_text
from fesbench.runs.job import Job

_LOOK = 0.5
"""Seconds between two looks at the tasks."""
_PATIENCE = 30
"""Seconds that interrupted tasks have to save where they stand."""
_STARTS = 3
"""Tries to start: Ray waits 30 s for its own processes, which is short where others keep the cores busy."""
_RETRIES = 2
"""Times that a cell is started again because its worker was lost; it may have killed that worker itself."""
_SHARE = 0.25
"""Of a GPU, for a cell that trains nothing in steps."""
_STORE = 100 * 2**20
"""Bytes of Ray's object store on this machine; all that travels is text."""
_LONGEST = 107 - len("/session_2026-11-28_16-43-58_099301_4194304/sockets/plasma_store")
"""A socket's path may have 107 bytes; what is left of them for the folder."""


def work(cell: int, text: str, inbox: Any) -> None:
    """What runs on a worker: a job's text in, a record on the shared disk out."""
    worker = secrets.token_hex(4)  # of this try
    run_text(text, Relay(lambda event: inbox.put.remote(cell, worker, event)))


class RayEngine(SpreadEngine):
    """Hands each cell to Ray.

    Args:
        shard: see `SpreadEngine`.

    Raises:
        UsageError: Ray is not installed.
    """

    def __init__(self, shard: tuple[int, int] = (1, 1)) -> None:
        super().__init__(shard)
        self.address = os.environ.get("RAY_ADDRESS", "")
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        if not self.address:
            # With a token of its own Ray writes none into ~/.ray.
            os.environ.setdefault("RAY_AUTH_MODE", "token")
            os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
            # Cells measure speed, which is to be that of other engines.
            os.environ.setdefault("RAY_worker_niceness", "0")
        try:
            import ray  # noqa: F401 - it reads its settings when it is imported
        except ImportError:
            raise UsageError("--engine ray needs Ray; install it with: pip install 'fesbench[ray]'") from None

    def hand_out(self, planned: Sequence[Planned], reporter: Reporter) -> None:
        """See `SpreadEngine.hand_out`; on Ctrl-C every task is interrupted and saves where it stands."""
        import ray

        with _Cluster(self.address) as cluster:
            gpus = [_gpus(item.job) for item in planned]
            if any(gpus) and not ray.cluster_resources().get("GPU"):
                reporter.note("this cluster has no GPU; the cells wait for one", warning=True)
            inbox = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(Inbox).remote()
            task = ray.remote(num_cpus=1, max_retries=_RETRIES)(work)
            waiting = {
                task.options(num_gpus=share).remote(number, item.job.to_json(), inbox): item
                for number, (item, share) in enumerate(zip(planned, gpus, strict=True))
            }
            try:
                cluster.follow(waiting, inbox, reporter)
            finally:
                for one in waiting:
                    ray.cancel(one)
                if waiting:
                    ray.wait(list(waiting), num_returns=len(waiting), timeout=_PATIENCE)


def _gpus(job: Job) -> float:
    """Of GPUs, how many a cell takes: one to train in steps, a share of one to make and score images."""
    if job.device != "cuda":
        return 0
    return 1 if job.trains else _SHARE


class _Cluster:
    """The cluster at an address, or "" = one that lives for the block; its logs stay if a task died."""

    def __init__(self, address: str) -> None:
        self._address, self._died = address, False

    def __enter__(self) -> Self:
        import ray

        root = str(Path(fesbench.__file__).resolve().parent.parent)
        own = {k: v for k, v in os.environ.items() if k.startswith("FESBENCH_") or k == "OMP_NUM_THREADS"}
        own["PYTHONPATH"] = os.pathsep.join(part for part in (root, os.environ.get("PYTHONPATH", "")) if part)
        options: dict[str, Any] = {"runtime_env": {"env_vars": own}, "log_to_driver": False}
        if not self._address:
            folder = fesbench_home().resolve() / "ray"
            if len(os.fsencode(folder)) > _LONGEST:
                folder = Path(tempfile.gettempdir()) / "fesbench-ray"
            options |= {"_temp_dir": str(folder), "object_store_memory": _STORE, "include_dashboard": False}
        for tries in range(1, _STARTS + 1):
            try:
                found = ray.init(self._address or "local", logging_level="warning", **options)
                break
            except Exception as error:  # noqa: BLE001 - Ray raises no class of its own here
                ray.shutdown()
                if tries == _STARTS:
                    where = f"joined at {self._address}" if self._address else "started"
                    raise UsageError(f"Ray cannot be {where}: {str(error).splitlines()[0]}") from None
        self.session = found.address_info["session_dir"]
        return self

    def __exit__(self, *error: object) -> None:
        import ray

        ray.shutdown()
        if not self._address and not self._died:
            shutil.rmtree(self.session, ignore_errors=True)

    def follow(self, waiting: dict[Any, Planned], inbox: Any, reporter: Reporter) -> None:
        """Show what the tasks tell until all are done; those that are leave ``waiting``."""
        import ray

        cells = len(waiting)
        with ExitStack() as opened, reporter.stage("cells", total=cells) as stage:
            shown: dict[int, tuple[str, Shown]] = {}
            while waiting:
                done, _ = ray.wait(list(waiting), num_returns=len(waiting), timeout=_LOOK)
                for cell, worker, event in ray.get(inbox.take.remote()):
                    if cell not in shown or shown[cell][0] != worker:
                        if cell in shown:
                            shown[cell][1].close()
                            reporter.note("a worker was lost; its cell goes on elsewhere", warning=True)
                        shown[cell] = worker, opened.enter_context(Shown(reporter))
                    shown[cell][1].show(event)
                for one in done:
                    item = waiting.pop(one)
                    self._settle(one, item, reporter)
                    stage.update(cells - len(waiting), detail=item.cell.method)

    def _settle(self, task: Any, item: Planned, reporter: Reporter) -> None:
        """Leave a failed record where a task died; what a method does wrong is in its record already."""
        import ray

        try:
            ray.get(task)
        except ray.exceptions.RayError as error:
            self._died = True
            said = str(error).strip().splitlines()
            record_death(item, f"its task died: {said[-1]}; Ray's logs: {self.session}/logs", reporter)
