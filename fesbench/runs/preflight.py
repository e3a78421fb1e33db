"""What a run will need and cannot have here, asked before all else."""

from __future__ import annotations
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from fesbench.protocol.budget import parse_budget
from fesbench.records.record import REFERENCE
from fesbench.runs.cell import CellPlan
from fesbench.records.environment import resolve_device
from fesbench.errors import EXIT_CELLS_FAILED, EXIT_OK, UsageError, WeightsError
from fesbench.progress import Reporter
from fesbench.protocol.protocol import Protocol, load_protocol
from fesbench.records.record import Record, safe_name
from fesbench.protocol.data_folders import Sources

if TYPE_CHECKING:
    from fesbench.methods.base import Method


def preflight(protocol: Protocol, *, strict: bool) -> dict[str, str]:
    """Which metrics, and which count of every record, cannot be had here, and why; asked before all else.

    Packages, weights with their digests and licenses, and images that are too small for a network.

    Raises:
        WeightsError: ``strict``, and a metric cannot run.
    """
    from fesbench.metrics.selection import DETECTOR, metric_reasons
    from fesbench.extractors.registry import network

    reasons = metric_reasons(protocol)
    if reason := network(DETECTOR).available():
        reasons["faces_not_found"] = reason
    if strict and reasons:
        listed = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
        raise WeightsError(f"--strict, and these metrics cannot run: {listed}")
    return reasons
