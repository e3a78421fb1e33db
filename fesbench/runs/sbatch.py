"""A Slurm script that runs the cells of one command as an array, a share of them a task."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

_SCRIPT = """\
#!/bin/bash
# Submit with: sbatch {name}   Options such as partition, time and GPUs go below or on sbatch's command line.
# Submitting it again resumes: what is done is not done twice. Each task ends by building the report.
#SBATCH --job-name=fesbench
#SBATCH --array=1-{cells}
#SBATCH --output=fesbench-%A_%a.log
#SBATCH --requeue
cd {here} && exec {python} -m fesbench {command} --shard "$SLURM_ARRAY_TASK_ID/{cells}"
"""


def sbatch_script(arguments: Sequence[str], *, name: str, cells: int, here: str, python: str) -> str:
    """The text of the script.

    Args:
        arguments: of the command line behind ``fesbench``, without ``--shard``.
        name: of the script's file.
        cells: tasks of the array, >= 1.
        here: folder in which the command was given.
        python: the interpreter.
    """
    quoted = {"name": name, "here": here, "python": python}
    return _SCRIPT.format(
        cells=cells,
        command=shlex.join(arguments),
        **{key: shlex.quote(value) for key, value in quoted.items()},
    )
