"""A worker process that turns dlib chips into descriptors: ``python -m fesbench.extractors.dlib_worker``.

It speaks over its standard input and output: a little-endian uint32 count and that many 150 x 150 x 3 bytes
in; the count and that many rows of 128 float64 out. It ends when its input ends, so it never outlives its
parent, whatever became of that one. Plain bytes and no pickle; and no re-import of the parent's main module,
which multiprocessing's spawn needs and scripts without a main guard break.
"""

from __future__ import annotations

import os
import signal
import struct
import sys
from pathlib import Path
from typing import IO, Any, BinaryIO

import numpy as np

CHIP = (150, 150, 3)
CHIP_BYTES = 150 * 150 * 3
DIMENSION = 128
COUNT = struct.Struct("<I")


def read_exactly(stream: IO[bytes], size: int) -> bytes | None:
    """Read ``size`` bytes, or None when the stream ended before."""
    data = stream.read(size)
    return data if len(data) == size else None


def describe(client: Any, chips: np.ndarray) -> np.ndarray:
    """Descriptors through deepface's Dlib client.

    Args:
        client: deepface's DlibClient.
        chips: uint8 (N, 150, 150, 3) RGB.

    Returns:
        float64 (N, 128).
    """
    if len(chips) == 0:
        return np.zeros((0, DIMENSION))
    # The client takes BGR in [0, 1] and multiplies by 255; for whole values the way there and back is exact.
    scaled = chips[..., ::-1].astype(np.float32) / 255.0
    return np.asarray(client.forward(scaled), dtype=np.float64).reshape(len(chips), -1)


def serve(weights: Path, home: Path, requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer until the requests end. Says count 0 once the model is loaded."""
    from fesbench.extractors.deepface_adapter import load_client

    client = load_client("Dlib", weights, home)
    answers.write(COUNT.pack(0))
    answers.flush()
    while (header := read_exactly(requests, COUNT.size)) is not None:
        (count,) = COUNT.unpack(header)
        data = read_exactly(requests, count * CHIP_BYTES)
        if data is None:
            return
        values = describe(client, np.frombuffer(data, dtype=np.uint8).reshape(count, *CHIP))
        answers.write(COUNT.pack(count) + values.astype("<f8").tobytes())
        answers.flush()


def main() -> None:
    """Serve with the weights file and the deepface home given as arguments."""
    # Ctrl-C reaches the whole process group; the parent decides, and closes our input.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Libraries that print must not garble the answers.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    serve(Path(sys.argv[1]), Path(sys.argv[2]), sys.stdin.buffer, answers)


if __name__ == "__main__":
    main()
