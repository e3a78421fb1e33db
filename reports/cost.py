"""The cost table: what each method takes to train and to run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .boards import Board


@dataclass(frozen=True)
class CostTable:
    """Columns (key, title) and rows (title, texts with their sort values)."""

    columns: list[tuple[str, str]]
    rows: list[tuple[str, list[tuple[str, float | None]]]]
    settings: str = ""
    """How all of it was measured alike."""


def _count(value: float) -> str:
    for limit, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= limit:
            return f"{value / limit:.3g} {unit}"
    return f"{value:.0f}"


def _seconds(value: float) -> str:
    return (
        f"{value:.0f} s"
        if value < 120
        else (f"{value / 60:.1f} min" if value < 7200 else f"{value / 3600:.1f} h")
    )


def _plain(value: float) -> str:
    return f"{value:.4g}" if abs(value) < 1e4 else f"{value:,.0f}".replace(",", " ")


_KNOWN: dict[str, tuple[str, Callable[[float], str]]] = {
    "parameters": ("parameters, all", _count),
    "parameters_synthesis": ("parameters, synthesis", _count),
    "flops": ("FLOPs an image", _count),
    "images_per_second": ("images/s", _plain),
    "latency_p50_ms": ("latency p50, ms", _plain),
    "latency_p95_ms": ("latency p95, ms", _plain),
    "memory_mb": ("peak memory, MiB", _plain),
    "training_seconds": ("training", _seconds),
    "validation_seconds": ("validation while training", _seconds),
}
_SETTINGS = ("device", "threads", "frames", "memory_kind", "latency_repeats")
"""How it was measured: said once where all rows agree, else a column each."""


def cost_table(board: Board, order: Sequence[str]) -> CostTable | None:
    """Every cost that a record holds; unknown ones keep their own names. None where there is none."""
    entries: list[tuple[str, dict[str, Any]]] = []
    for method in order:
        for run in board.methods[method]:
            if run.record.cost and not run.reference:
                entries.append((board.label(run), _flat(run.record.cost)))
    keys = list(dict.fromkeys(key for _, cost in entries for key in cost))
    if not keys:
        return None
    alike = [k for k in _SETTINGS if k in keys and len({str(c[k]) for _, c in entries if k in c}) == 1]
    shown = sorted((k for k in keys if k not in alike), key=_place)
    rows = [(title, [_show(key, cost) for key in shown]) for title, cost in entries]
    settings = [f"{key.replace('_', ' ')} {next(c[key] for _, c in entries if key in c)}" for key in alike]
    return CostTable([(key, _title(key)) for key in shown], rows, ", ".join(settings))


def _flat(cost: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in cost.items():
        if key in ("reference", "quartiles"):
            continue  # what the gate judges speeds with, not costs of the method
        if isinstance(value, Mapping):
            flat |= {f"{key}@{part}": item for part, item in value.items()}
        elif value is not None:
            flat[key] = value
    return flat


def _place(key: str) -> tuple[int, int]:
    base, _, part = key.partition("@")
    known = list(_KNOWN)
    return known.index(base) if base in known else len(known), int(part) if part.isdigit() else 0


def _title(key: str) -> str:
    base, _, part = key.partition("@")
    title = _KNOWN[base][0] if base in _KNOWN else base.replace("_", " ")
    return f"{title}, batch {part}" if part else title


def _show(key: str, cost: Mapping[str, Any]) -> tuple[str, float | None]:
    value = cost.get(key)
    if value is None:
        return "n/a", None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value), None
    if key == "memory_mb" and value == 0 and cost.get("memory_kind") == "rss-peak-growth":
        return "under an earlier peak", None
    base = key.partition("@")[0]
    return (_KNOWN[base][1] if base in _KNOWN else _plain)(float(value)), float(value)
