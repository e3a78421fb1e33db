"""The program of one worker of `fesbench.data.preparing`: reads chunks of a plan, answers with the results.

It gets ``sys.path`` and the job first, then (start, stop) as often as asked, and ends with the pipe.
"""

from __future__ import annotations

import os
import pickle
import sys

from fesbench.data.preparing import message, read_message
from fesbench.errors import FesbenchError


def main() -> None:
    """Serve until standard input ends."""
    answers = os.fdopen(os.dup(1), "wb")
    # what a library prints must not get between the answers
    os.dup2(2, 1)
    questions = sys.stdin.buffer
    path = read_message(questions)
    if path is None:
        return
    sys.path[:] = pickle.loads(path)
    content = read_message(questions)
    if content is None:
        return
    job = pickle.loads(content)
    while (question := read_message(questions)) is not None:
        start, stop = pickle.loads(question)
        try:
            answer = ("done", job.chunk(start, stop))
        except FesbenchError as error:
            answer = ("error", str(error))
        try:
            answers.write(message(pickle.dumps(answer, pickle.HIGHEST_PROTOCOL)))
            answers.flush()
        except BrokenPipeError:
            return  # whoever asked is gone


if __name__ == "__main__":
    main()
