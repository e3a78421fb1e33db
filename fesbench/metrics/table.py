"""The table of metrics, made from their declarations; ``python -m fesbench.metrics.table`` writes it down."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"
_HEAD = """\
# Metrics

Made from the declarations by `python -m fesbench.metrics.table`; `fesbench metrics list` prints the same. The
definition of each stands above its class in `fesbench/metrics/`. *Needs* is what a metric reads beside the
generated images. With another face model a metric is called `NAME[model]`, such as `Rank-1[arcface]`; a
Fréchet distance on any extractor is `FD-<extractor>`. [Weights](weights.md) has more on files and licenses.

| name | title | better | range | unit | extractor | needs | weights | license of the weights | source |
|---|---|---|---|---|---|---|---|---|---|
"""


def rows() -> list[dict[str, Any]]:
    """One row a registered metric, in the registry's order; texts are plain."""
    from fesbench.extractors.registry import weights_of
    from fesbench.metrics import METRICS
    from fesbench.weights.table import TABLE

    found = []
    for name, card in METRICS.all().items():
        weights = list(weights_of(card.extractor))
        found.append(
            {
                "name": name,
                "title": card.title,
                "direction": card.direction,
                "range": f"{_number(card.low)} to {_number(card.high)}",
                "unit": card.unit,
                "extractor": card.extractor,
                "needs": sorted(card.needs),
                "tasks": sorted(card.tasks),
                "weights": weights,
                "license": "; ".join(dict.fromkeys(TABLE[w].license for w in weights)),
                "per_sample": card.per_sample,
                "source": card.source,
            }
        )
    return found


def page() -> str:
    """The docs' page, Markdown: fesbench's own metrics, without those of external packages."""
    from fesbench.metrics import METRICS

    lines = []
    for row in rows():
        if row["name"] not in METRICS.declared:
            continue
        cells = (
            f"`{row['name']}`",
            row["title"],
            row["direction"],
            row["range"],
            row["unit"],
            row["extractor"] or "pixels",
            ", ".join(row["needs"]),
            ", ".join(f"`{name}`" for name in row["weights"]),
            row["license"],
            row["source"],
        )
        lines.append("| " + " | ".join(cell.replace("|", "\\|") or "-" for cell in cells) + " |")
    return _HEAD + "\n".join(lines) + "\n"


def _number(value: float) -> str:
    return ("-∞" if value < 0 else "∞") if math.isinf(value) else f"{value:g}"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
