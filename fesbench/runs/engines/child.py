"""A child process of the local engine: reads jobs, one a line, and runs each in a context of its own making.

Standard output carries events of progress, one JSON object a line; whatever libraries print goes to standard
error. Jobs of the same data share a context. The process ends with its standard input.
"""

from __future__ import annotations

import json
import os
import sys

from fesbench.context.context import RunContext
from fesbench.progress import Reporter
from fesbench.runs.engines.relay import Event, Relay
from fesbench.runs.folds import run_jobs
from fesbench.runs.job import Job


def main() -> None:
    """Run jobs until the input ends."""
    stream = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def send(event: Event) -> None:
        try:
            stream.write(json.dumps(event) + "\n")
            stream.flush()
        except BrokenPipeError:
            os._exit(1)  # without a parent that reads it there is nothing left to do

    relay = Relay(send)
    opened: tuple[Job, RunContext] | None = None
    try:
        for line in sys.stdin:
            job = Job.from_json(line)
            if opened is None or opened[0] != job.shared:
                if opened is not None:
                    opened[1].close()
                    opened = None
                # what the context tells was told by the parent
                opened = job.shared, job.open_context(Reporter())
            run_jobs([job], opened[1], relay)
            relay.send("done")
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        if opened is not None:
            opened[1].close()


if __name__ == "__main__":
    main()
