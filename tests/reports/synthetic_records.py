"""Synthetic record folders: the same files as a run leaves, with figures drawn from seeded generators."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw

from fesbench.protocol.protocol import load_protocol
from fesbench.records.record import Cell, Health, NotRun, Record, Score
from fesbench.records.samples import seen_column
from fesbench.statistics.null import NullBand

LABELS = ("anger", "contempt", "disgust", "fear", "happiness", "sadness", "surprise")
STYLES = ("statue", "portrait", "cartoon", "wild")
STYLE_LABELS = ("happiness", "surprise")
PER_SAMPLE = ("ECS", "FSS", "SSIM", "PSNR")
PROTOCOL = load_protocol("avatars@1").with_overrides(size=64)
HASH = PROTOCOL.hash
FINGERPRINT = "5d90aa17" + "1" * 56

EVIL = "CDAAE <script>window.hacked = 1</script><img src=x onerror=window.hacked=2>\"'&"
PRIVATE = "a0221"
JUDGE = {
    "origin": "shipped",
    "signature": "judge:77aa01bc",
    "accuracy_on_real_test_images": 0.968,
    "n": 320,
    "chance": 0.125,
}
ENVIRONMENT = {
    "fesbench": "0.1.0",
    "git": {"commit": "0f3e9a1", "dirty": False},
    "python": "3.11.9",
    "platform": "Linux-6.1-x86_64",
    "device": {"kind": "cpu", "cores": 2, "threads": 1},
    "packages": {"numpy": "2.3.1", "torch": "2.10.0"},
}

Painter = Callable[[str, str, str, str], Image.Image]
"""(row, identity, expression, domain) -> image; row "source" and "target" are the real ones."""


@dataclass(frozen=True)
class Row:
    """How a synthetic method behaves."""

    id: str
    title: str
    year: int
    ecs: float
    fss: float
    ssim: float
    fid: float | None
    tar: float
    reference: bool = False
    given: str = "label"
    preset: str = "tiny"
    health: tuple[Health, ...] = ()
    invalid: float = 0.0
    drop: float = 0.25
    parameters: int = 0
    fid_signature: str = "ref:test-real"
    status: str = "scored"
    error: str = ""
    citation: str = ""


ROWS = (
    Row("real", "Real images", 0, 0.962, 0.934, 1.0, 0.0, 0.93, reference=True, drop=0.06),
    Row("copy", "Copy of the source", 0, 0.0, 0.999, 0.83, 41.2, 0.995, reference=True, drop=0.0),
    Row("mean-shift", "Mean shift", 0, 0.31, 0.967, 0.842, 48.0, 0.95, reference=True, drop=0.6),
    Row("warp", "Landmark warp", 0, 0.47, 0.948, 0.861, 37.5, 0.91, reference=True, drop=0.2),
    Row(
        "mr",
        "MR",
        2020,
        0.71,
        0.951,
        0.884,
        52.3,
        0.92,
        parameters=2_654_208,
        citation="N. Khan et al. Masked regression for facial expression synthesis. 2020.",
    ),
    Row(
        "reggan",
        "RegGAN",
        2022,
        0.74,
        0.936,
        0.879,
        33.9,
        0.88,
        parameters=1_482_115,
        citation="RegGAN: regression GAN for expression synthesis. 2022.",
    ),
    Row(
        "stargan",
        "StarGAN",
        2018,
        0.69,
        0.902,
        0.851,
        35.1,
        0.79,
        parameters=3_316_992,
        drop=0.4,
        citation="Y. Choi et al. StarGAN: unified generative adversarial networks. CVPR 2018.",
    ),
    Row(
        "ganimation",
        "GANimation",
        2018,
        0.52,
        0.941,
        0.863,
        39.6,
        0.9,
        parameters=3_320_640,
        invalid=0.012,
        citation="A. Pumarola et al. GANimation: anatomically-aware facial animation. ECCV 2018.",
    ),
    Row(
        "pix2pix",
        "pix2pix",
        2017,
        0.66,
        0.874,
        0.872,
        61.7,
        0.71,
        parameters=3_413_827,
        drop=0.5,
        invalid=0.031,
        citation="P. Isola et al. Image-to-image translation with conditional adversarial networks. 2017.",
    ),
    Row(
        "usgan",
        "US-GAN",
        2021,
        0.14,
        0.958,
        0.846,
        47.8,
        0.93,
        parameters=1_207_363,
        health=(
            Health(
                kind="condition-collapse", step=640, message="outputs hardly change with the label: 0.004"
            ),
        ),
        citation="A. Akram, N. Khan. US-GAN: ultimate skip connection for expression synthesis. 2021.",
    ),
)


def draw_face(row: str, identity: str, expression: str, domain: str, size: int = 32) -> Image.Image:
    """A small face whose mouth and brows follow the expression; methods get a tint so that rows differ."""
    seed = [ord(c) for c in identity]
    rng = np.random.default_rng(seed)
    skin = tuple(int(v) for v in rng.integers(120, 235, 3))
    image = Image.new("RGB", (size, size), (96, 110, 130) if domain == "in" else (190, 188, 180))
    pen = ImageDraw.Draw(image)
    pen.ellipse((size * 0.15, size * 0.05, size * 0.85, size * 0.95), fill=skin)
    bend = (len(expression) % 5 - 2) / 2
    for x in (0.35, 0.65):
        pen.ellipse((size * (x - 0.05), size * 0.38, size * (x + 0.05), size * 0.48), fill=(20, 20, 30))
    pen.arc(
        (size * 0.35, size * 0.6, size * 0.65, size * (0.8 + 0.05 * bend)),
        0,
        180,
        fill=(120, 30, 30),
        width=2,
    )
    if row not in ("source", "target"):
        tint = Image.new(
            "RGB", (size, size), tuple(int(v) for v in np.random.default_rng(len(row)).integers(0, 255, 3))
        )
        image = Image.blend(image, tint, 0.12)
    return image


def requests_table(identities: int, *, private: Sequence[str] = (), styles: bool = True) -> pd.DataFrame:
    """One line a request: headline requests, then two labels of each style."""
    lines = []
    for number in range(identities):
        name = f"a{220 + number:04d}"
        jobs = [("in", label) for label in LABELS]
        if styles:
            jobs += [(style, label) for style in STYLES for label in STYLE_LABELS]
        for domain, label in jobs:
            lines.append(
                {
                    "request": f"expression-{domain}-{name}-0-{label}",
                    "task": "expression",
                    "domain": domain,
                    "identity": name,
                    "target_expression": label,
                    "publishable": name not in private,
                }
            )
    return pd.DataFrame(lines)


def samples_of(row: Row, requests: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Per-request values; identities share an effect, so that clusters matter."""
    rng = np.random.default_rng([seed, *[ord(c) for c in row.id]])
    table = requests.copy()
    names = sorted(table.identity.unique())
    effect = dict(zip(names, np.random.default_rng(5).normal(0, 1, len(names)), strict=True))
    person = table.identity.map(effect).to_numpy()
    ease = table.target_expression.map(
        {name: 0.12 * np.cos(2.1 * i) for i, name in enumerate(LABELS)}
    ).to_numpy()
    out = (table.domain != "in").to_numpy()
    chance = np.clip(row.ecs + (ease if 0 < row.ecs < 0.95 else 0) + 0.04 * person * (row.ecs > 0), 0, 1)
    chance = np.where(out, chance * (1 - row.drop), chance)
    hit = rng.random(len(table)) < chance
    table["ECS"] = hit.astype(float)
    table["FSS"] = np.clip(
        row.fss - 0.03 * out * (row.drop > 0) + 0.012 * person + rng.normal(0, 0.012, len(table)), -1, 1
    )
    table["SSIM"] = np.clip(row.ssim - 0.02 * out + 0.01 * person + rng.normal(0, 0.01, len(table)), 0, 1)
    table["PSNR"] = 26 + 10 * (row.ssim - 0.85) + 0.5 * person + rng.normal(0, 0.5, len(table))
    if row.id == "real":
        table["PSNR"] = np.nan
        table["SSIM"] = np.nan
    if row.invalid:
        missing = rng.random(len(table)) < row.invalid
        table.loc[missing, "FSS"] = np.nan
    wrong = rng.choice(LABELS, len(table))
    table["predicted"] = np.where(hit, table.target_expression, np.where(row.ecs == 0, "neutral", wrong))
    for label in ("neutral", *LABELS):
        sure = 0.6 + 0.3 * np.cos(np.arange(len(table))) ** 2
        shares = np.where(table["predicted"] == label, sure, (1 - sure) / len(LABELS))
        table[seen_column("judge", label)] = shares.astype(np.float32)
    return table


def _interval(values: np.ndarray, clusters: np.ndarray) -> tuple[float, float, float]:
    means = pd.Series(values).groupby(clusters).mean().to_numpy()
    half = 1.96 * means.std(ddof=1) / np.sqrt(len(means)) if len(means) > 1 else 0.0
    return float(values.mean()), float(values.mean() - half), float(values.mean() + half)


def scores_of(row: Row, cell: Cell, samples: pd.DataFrame) -> list[Score]:
    """Scores with intervals from the samples; TAR, Rank-1 and FID are stated."""
    scores: list[Score] = []

    def add(
        metric: str,
        domain: str,
        expression: str,
        part: pd.DataFrame,
        numbers: tuple[float, float, float] | None,
        extra: str,
        reason: str = "",
    ) -> None:
        valid = (
            int(part[metric].notna().sum()) if metric in part and numbers else (len(part) if numbers else 0)
        )
        value, low, high = numbers or (None, None, None)
        status = "n/a" if value is None else ("collapsed" if row.health else "ok")
        name = cell.protocol
        scores.append(
            Score(
                protocol=name, data=cell.data, method=cell.method, preset=cell.preset, seed=cell.seed,
                budget=cell.budget, given=row.given, task="expression", domain=domain, expression=expression,
                metric=metric, value=value, low=low, high=high, n_requested=len(part), n_valid=valid,
                identities=part.identity.nunique(), judge="judge:77aa01bc",
                status=status,
                signature=f"{metric}|{extra}|n:{valid}/{len(part)}|p:{name}:{HASH[:8]}|b:{cell.budget}|v:0.1.0",
                reason=reason,
                null=NullBand(140, 20, 31.0, 28.5, 34.5, value) if metric == "FID" and value else None,
            )
        )  # fmt: skip

    for domain, part in samples.groupby("domain", sort=False):
        groups = [("all", part), *part.groupby("target_expression")]
        for expression, piece in groups:
            for metric, extra in (
                ("ECS", "x:judge:77aa01bc"),
                ("FSS", "x:dlib:1d5b2f90"),
                ("SSIM", "x:piq"),
                ("PSNR", "x:piq"),
            ):
                kept = piece[piece[metric].notna()]
                if kept.empty:
                    add(metric, domain, expression, piece, None, extra, "the target against itself")
                    continue
                add(
                    metric,
                    domain,
                    expression,
                    piece,
                    _interval(kept[metric].to_numpy(), kept.identity.to_numpy()),
                    extra,
                )
        if domain == "in":
            for metric, value in (("TAR@FAR=1%", row.tar), ("Rank-1", row.tar * 0.97)):
                add(
                    metric,
                    domain,
                    "all",
                    part,
                    (value, value - 0.04, min(1, value + 0.03)),
                    "x:dlib:1d5b2f90",
                )
            add(
                "TAR@FAR=0.1%",
                domain,
                "all",
                part,
                None,
                "x:dlib:1d5b2f90",
                "too few impostor pairs: 1560 < 10000",
            )
        if row.fid is None:
            add("FID", domain, "all", part, None, "x:inception-tf-2015", "weights: inception-tf-2015")
        else:
            add(
                "FID",
                domain,
                "all",
                part,
                (row.fid, row.fid * 0.96, row.fid * 1.05),
                f"x:inception-tf-2015:6726825d|{row.fid_signature}",
            )
    return scores


def write_cell(
    runs: Path,
    row: Row,
    requests: pd.DataFrame,
    *,
    seed: int = 0,
    budget: str = "smoke",
    painter: Painter = draw_face,
    protocol: str = "avatars@1+size=64",
    data: str = "avatars",
) -> Path:
    """One cell's folder with everything a run leaves."""
    cell = Cell(
        method=row.id, protocol=protocol, protocol_hash=HASH, data=data, data_fingerprint=FINGERPRINT,
        preset=row.preset, budget=budget, seed=seed,
    )  # fmt: skip
    folder = runs / cell.folder
    folder.mkdir(parents=True)
    samples = samples_of(row, requests, seed)
    failed = row.status == "failed"
    record = Record(
        cell=cell,
        card={
            "id": row.id, "title": row.title, "citation": row.citation, "year": row.year,
            "needs": ["labels", "pairs"], "controls": ["expression"], "reference": row.reference,
        },
        status=row.status,
        health=list(row.health),
        scores=[] if failed else scores_of(row, cell, samples),
        not_run=[
            NotRun(task=task, domain="in", reason="not in budget smoke") for task in ("transfer", "intensity")
        ],
        judge=JUDGE,
        environment=ENVIRONMENT,
        counts={"identical": 212 if row.health else 0, "faces_not_found": int(samples.FSS.isna().sum())},
        error=row.error,
    )  # fmt: skip
    if row.parameters:
        record.cost = {
            "parameters": row.parameters, "parameters_synthesis": row.parameters // 3,
            "flops": row.parameters * 310,
            "images_per_second": {"1": 21.4, "4": 30.1, "16": 38.2}, "latency_p50_ms": 41.2,
            "latency_p95_ms": 47.9, "latency_repeats": 30, "memory_mb": 0.0 if row.id == "mr" else 212.5,
            "memory_kind": "rss-peak-growth", "device": "cpu", "threads": 1, "training_seconds": 61.0,
        }  # fmt: skip
    for stage, seconds in (("train", 61.2), ("synthesize", 8.4), ("score", 22.0)):
        record.finish(stage, seconds=seconds, inputs="ab" * 32)
    record.status = row.status  # type: ignore[assignment]
    record.save(folder)
    if failed:
        return folder
    samples.to_parquet(folder / "samples.parquet")
    requests.to_csv(folder / "requests.csv", index=False)
    (folder / "images").mkdir()
    painted = {"copy": "source", "real": "target"}.get(row.id, row.id)
    for line in requests.itertuples():
        painter(painted, line.identity, line.target_expression, line.domain).save(
            folder / "images" / f"{line.request}.png", compress_level=1
        )
    if row.parameters:
        _write_losses(folder / "losses.csv", row)
    return folder


def _write_losses(path: Path, row: Row) -> None:
    rng = np.random.default_rng(row.parameters)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["phase", "step", "name", "value"])
        for name, start, end in (
            ("g/adversarial", 0.2, 1.6),
            ("g/reconstruction", 0.9, 0.12),
            ("d/real", 0.7, 0.35),
        ):
            for step in range(0, 1000, 10):
                value = end + (start - end) * np.exp(-step / 220) + rng.normal(0, 0.03)
                writer.writerow(["adversarial", step, name, f"{value:.5f}"])


def write_runs(
    runs: Path,
    *,
    identities: int = 12,
    rows: Sequence[Row] = ROWS,
    private: Sequence[str] = (),
    styles: bool = True,
    painter: Painter = draw_face,
    changes: Mapping[str, Mapping[str, object]] | None = None,
) -> Path:
    """All rows of one leaderboard; ``changes`` alters rows by id."""
    requests = requests_table(identities, private=private, styles=styles)
    for row in rows:
        write_cell(runs, replace(row, **dict((changes or {}).get(row.id, {}))), requests, painter=painter)
    return runs
