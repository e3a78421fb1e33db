"""What synthesis costs: parameters, operations, speed, latency and memory.

Of a method that makes clips alone, a frame is an image, and latency is that of a whole clip.

Measured on ready request batches, without gradients and after a warm-up; reading, alignment and writing are
not part of it. On a GPU times come from CUDA events; on a CPU from the wall clock, and only as many repeats
are taken as fit the time limit. A batch size that would not fit is left out, never extrapolated.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn

from fesbench.errors import MethodError
from fesbench.evaluation.cost_reference import WORKLOAD, ReferenceNetwork, reference_requests
from fesbench.methods.base import Method, evaluating
from fesbench.metrics.base import MetricCard

BATCH_SIZES = (1, 8, 32)
REPEATS = 50
WARM_UPS = 3
REFERENCE_BATCH = 8
REFERENCE_SECONDS = 0.25

RequestFactory = Callable[[int], Any]
"""Number of requests -> a RequestBatch of that many."""


@dataclass(frozen=True)
class Cost:
    """Cost of one method's synthesis.

    Attributes:
        parameters: All parameters of the method, discriminators included.
        parameters_synthesis: Those of the modules that synthesis calls.
        flops: Floating-point operations for one image, two per multiply-add, of the operations that torch's
            counter knows (convolutions, matrix products, attention); element-wise work is not counted.
        images_per_second: By batch size, from the median step; sizes beyond the time limit are left out.
        latency_p50_ms, latency_p95_ms: One request at a time.
        latency_repeats: Steps behind the two.
        memory_mb: Peak, in MiB (2**20 bytes).
        memory_kind: "cuda-allocated-peak", or "rss-peak-growth": how far the process's resident peak rose,
            0 when an earlier peak of the same process was higher.
        device: Name of the device.
        threads: CPU threads of torch.
        frames: Of each request: 1 for images, or those of a clip.
        quartiles: By batch size, the images/s that a quarter and three quarters of the steps stayed under.
        reference: Speed of the fixed workload on the same device, "before" and "after" the method: the
            yardstick for other machines, and its two ends tell how steady this one was.
    """

    parameters: int
    parameters_synthesis: int
    flops: int
    images_per_second: dict[int, float]
    latency_p50_ms: float
    latency_p95_ms: float
    latency_repeats: int
    memory_mb: float
    memory_kind: str
    device: str
    threads: int
    frames: int = 1
    quartiles: dict[int, list[float]] = field(default_factory=dict)
    reference: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """For JSON: batch sizes become text keys."""
        found = asdict(self)
        for name in ("images_per_second", "quartiles"):
            found[name] = {str(size): rate for size, rate in found[name].items()}
        return found


def _card(name: str, title: str, direction: str, unit: str, source: str) -> MetricCard:
    return MetricCard(
        name=name,
        title=title,
        direction="higher" if direction == "higher" else "lower",
        low=0.0,
        high=float("inf"),
        unit=unit,
        extractor="",
        needs=frozenset(),
        source=source,
        per_sample=False,
    )


_COSTS = (
    ("parameters", "parameters of the method", "lower", "", "count"),
    ("parameters_synthesis", "parameters used in synthesis", "lower", "", "count"),
    ("flops", "operations for one image", "lower", "FLOP", "torch.utils.flop_counter"),
    ("images_per_second", "throughput by batch size", "higher", "images/s", "median step"),
    ("latency_p50_ms", "median latency of one image", "lower", "ms", "batch size 1"),
    ("latency_p95_ms", "95th percentile latency of one image", "lower", "ms", "batch size 1"),
    ("memory_mb", "peak memory of synthesis", "lower", "MiB", "see memory_kind"),
)

COST_CARDS = {row[0]: _card(*row) for row in _COSTS}
"""Cards of the scores in a :class:`Cost`, by field name."""


def measure_cost(
    method: Any,
    make_requests: RequestFactory,
    *,
    batch_sizes: Sequence[int] = BATCH_SIZES,
    time_limit: float = 3.0,
    frames: int = 1,
) -> Cost:
    """Measure a method's synthesis where its parameters lie.

    Args:
        method: An ``nn.Module`` with ``synthesize(requests)``; an optional ``max_batch`` caps the batch
            sizes.
        make_requests: Gives a request batch of any size.
        batch_sizes: For throughput.
        time_limit: Seconds of timed steps in all (a first untimed step, the count of operations and one
            second for the fixed workload come on top).
        frames: Of each request; 1 for images.

    Raises:
        MethodError: the method returned another number of images than requested.
    """
    device = _device(method)
    largest = getattr(method, "max_batch", None) or max(batch_sizes)
    sizes = sorted({1} | {min(size, largest) for size in batch_sizes})
    clock = _Clock(method, make_requests, device)
    before = _reference_speed(device)
    with torch.no_grad(), evaluating(method), _peak_memory(device) as memory:
        flops, used = _operations(method, clock.requests(1))
        ends = time.perf_counter() + time_limit
        steps = clock.steps(1, time_limit / 2)
        latency = float(np.median(steps))
        rates, quartiles = {1: frames / latency}, {1: _quartiles(frames, steps)}
        for size in sizes[1:]:
            left = (ends - time.perf_counter()) / max(1, sum(s >= size for s in sizes))
            # Work grows at most linearly with the batch, so this foretells from above what a step takes.
            if 2 * size * latency <= max(left, 0):
                found = clock.steps(size, left)
                made = frames * size
                rates[size], quartiles[size] = made / float(np.median(found)), _quartiles(made, found)
    return Cost(
        parameters=sum(p.numel() for p in method.parameters()),
        parameters_synthesis=used,
        flops=flops // frames,
        images_per_second=rates,
        latency_p50_ms=1e3 * latency,
        latency_p95_ms=1e3 * float(np.quantile(steps, 0.95)),
        latency_repeats=len(steps),
        memory_mb=memory["mb"],
        memory_kind="cuda-allocated-peak" if device.type == "cuda" else "rss-peak-growth",
        device=torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        threads=torch.get_num_threads(),
        frames=frames,
        quartiles=quartiles,
        reference={"workload": WORKLOAD, "before": before, "after": _reference_speed(device)},
    )


def _quartiles(size: int, steps: Sequence[float]) -> list[float]:
    slow, fast = np.quantile(steps, [0.75, 0.25])
    return [size / float(slow), size / float(fast)]


def _reference_speed(device: torch.device) -> dict[str, float]:
    """Median latency of one image and images/s in batches of the fixed workload."""
    clock = _Clock(ReferenceNetwork().to(device), reference_requests, device)
    with torch.no_grad():
        latency = float(np.median(clock.steps(1, REFERENCE_SECONDS)))
        step = float(np.median(clock.steps(REFERENCE_BATCH, REFERENCE_SECONDS)))
    return {"latency_p50_ms": 1e3 * latency, "images_per_second": REFERENCE_BATCH / step}


class _Clock:
    """Times synthesis steps on one device."""

    def __init__(self, method: Any, make_requests: RequestFactory, device: torch.device) -> None:
        self.synthesize, self.make_requests, self.device = _synthesis(method), make_requests, device

    def requests(self, size: int) -> Any:
        batch = self.make_requests(size)
        return batch.to(self.device) if hasattr(batch, "to") else batch

    def steps(self, size: int, seconds: float) -> list[float]:
        """Seconds of each of at most REPEATS steps, warm-ups left out; at least one."""
        requests = self.requests(size)
        ends = time.perf_counter() + seconds
        for _ in range(WARM_UPS):
            self._step(requests, size)
            if time.perf_counter() > ends - seconds / 2:
                break
        found = [self._step(requests, size)]
        while len(found) < REPEATS and time.perf_counter() + found[-1] < ends:
            found.append(self._step(requests, size))
        return found

    def _step(self, requests: Any, size: int) -> float:
        if self.device.type != "cuda":
            start = time.perf_counter()
            images = self.synthesize(requests)
            seconds = time.perf_counter() - start
        else:
            first, last = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            first.record()
            images = self.synthesize(requests)
            last.record()
            torch.cuda.synchronize(self.device)
            seconds = first.elapsed_time(last) / 1e3
        if len(images) != size:
            raise MethodError(f"synthesize returned {len(images)} images for {size} requests")
        return max(seconds, 1e-9)


def _synthesis(method: Any) -> Callable[[Any], Any]:
    """A method's images of the protocol's size; of another module what it makes."""
    found: Callable[[Any], Any] = method.answer if isinstance(method, Method) else method.synthesize
    return found


def _operations(method: nn.Module, requests: Any) -> tuple[int, int]:
    """Counted operations of one step, and the parameters of the modules that it calls."""
    from torch.utils.flop_counter import FlopCounterMode

    called: set[nn.Module] = {method}

    def remember(module: nn.Module, _: object) -> None:
        called.add(module)

    hooks = [module.register_forward_pre_hook(remember) for module in method.modules()]
    try:
        with FlopCounterMode(display=False) as counter:
            _synthesis(method)(requests)
    finally:
        for hook in hooks:
            hook.remove()
    used = {id(p): p.numel() for module in called for p in module.parameters(recurse=False)}
    return int(counter.get_total_flops()), sum(used.values())


@contextmanager
def _peak_memory(device: torch.device) -> Iterator[dict[str, float]]:
    """Fill ``mb`` on leaving: peak allocated memory on a GPU, growth of the resident peak on a CPU."""
    found = {"mb": 0.0}
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        yield found
        torch.cuda.synchronize(device)
        found["mb"] = torch.cuda.max_memory_allocated(device) / 2**20
        return
    unit = 1 if sys.platform == "darwin" else 1024  # ru_maxrss is in bytes there, in KiB on Linux
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield found
    found["mb"] = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * unit / 2**20


def _device(method: nn.Module) -> torch.device:
    for tensor in (*method.parameters(), *method.buffers()):
        return tensor.device
    return torch.device("cpu")
