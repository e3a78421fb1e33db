"""float32 that is float32: the settings under which training and synthesis run on a GPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def exact_float32() -> Iterator[None]:
    """No TF32 in convolutions and matrix products, and cuDNN kernels that are not chosen by the clock.

    The settings of before come back afterwards. A training in bfloat16 keeps its autocast.
    """
    matmul, before = torch.backends.cuda.matmul, torch.backends.cuda.matmul.allow_tf32
    with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
        matmul.allow_tf32 = False
        try:
            yield
        finally:
            matmul.allow_tf32 = before
