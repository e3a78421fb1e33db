"""The pages of single requests: what is on them, within how many bytes, and who is not."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fesbench.records.nearest import nearest_path
from fesbench.records.samples import seen_column
from fesbench.reports.boards import make_boards, read_runs
from fesbench.reports.pages import environment
from fesbench.reports.request_choice import in_turn
from fesbench.reports.request_images import BLOCK, write_sprites
from fesbench.reports.requests_page import Place, Room, write_requests
from fesbench.reports.site import build
from fesbench.reports.tables import build_table
from tests.reports.synthetic_records import EVIL, PRIVATE, ROWS, draw_face, requests_table, write_cell
from tests.reports.test_report_site import Page

PAINT = (255, 0, 255)
"""The color of the images of whoever may not be shown."""


def data_of(folder: Path) -> dict[str, Any]:
    text = (folder / "requests.html").read_text(encoding="utf-8")
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text)
    assert found
    return json.loads(found[1])  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def data(site: Path) -> dict[str, Any]:
    return data_of(site)


def test_a_request_has_every_value_of_its_samples(data: dict[str, Any], runs: Path) -> None:
    part = next(p for p in data["parts"] if p["id"] == "expression/cartoon")
    row = next(i for i, r in enumerate(data["rows"]) if r["id"] == "stargan")
    samples = pd.read_parquet(next(runs.rglob("stargan-*/0/samples.parquet"))).set_index("request")
    names = [told["name"] for told in part["requests"]]
    assert len(names) == 2 * 7
    assert part["requests"][0] == {"name": names[0], "subject": "a0220", "label": "happiness"}
    for place, metric in enumerate(part["metrics"]):
        expected = samples.loc[names, metric["name"]].to_numpy()
        assert np.allclose(np.array(part["values"][place][row], float), expected, rtol=1e-3, equal_nan=True)
    (judge,) = part["judges"]
    assert judge["name"] == "judge"
    assert [part["answers"][code] for code in part["predicted"][row]] == samples.loc[
        names, "predicted"
    ].tolist()
    shares = samples.loc[names, [seen_column("judge", c) for c in judge["classes"]]].to_numpy()
    assert np.abs(np.array(part["seen"][0][row]) - 100 * shares).max() <= 0.5 + 1e-5


def test_what_is_not_a_number_is_null(data: dict[str, Any], runs: Path) -> None:
    part = data["parts"][0]
    row = next(i for i, r in enumerate(data["rows"]) if r["id"] == "ganimation")
    fss = part["values"][[m["name"] for m in part["metrics"]].index("FSS")][row]
    samples = pd.read_parquet(next(runs.rglob("ganimation-*/0/samples.parquet"))).set_index("request")["FSS"]
    lost = samples[[told["name"] for told in part["requests"]]].isna().tolist()
    assert any(lost)
    assert [value is None for value in fss] == lost


def test_a_sprite_holds_the_images_as_they_are(data: dict[str, Any], site: Path, runs: Path) -> None:
    request = data["parts"][0]["requests"][3]["name"]
    told = data["images"][request]
    with Image.open(site / told["file"]) as sheet:
        pixels = np.asarray(sheet.convert("RGB"))
    rows = {r["id"]: str(i) for i, r in enumerate(data["rows"])}
    assert told["tiles"][:2] == ["source", "target"]
    assert "copy" not in told["tiles"]
    for tile, method in (("source", "copy"), ("target", "real"), (rows["pix2pix"], "pix2pix")):
        place = told["tiles"].index(tile)
        y, x = (part * told["pitch"] for part in divmod(place, told["across"]))
        with Image.open(next(runs.rglob(f"{method}-*/0/images/{request}.png"))) as image:
            assert (pixels[y : y + 32, x : x + 32] == np.asarray(image.convert("RGB"))).all()


def test_scores_lead_to_their_requests(site: Path, data: dict[str, Any]) -> None:
    page = Page((site / "index.html").read_text(encoding="utf-8"))
    links = [str(a["href"]) for a in page.all("a") if str(a["href"]).startswith("requests.html#")]
    asked = [parse_qs(link.partition("#")[2], strict_parsing=True) for link in links]
    assert {"part": ["expression/statue"], "row": ["usgan"], "metric": ["SSIM"]} in asked
    assert {a["metric"][0] for a in asked} == {"ECS", "FSS", "SSIM", "PSNR"}
    assert {a["row"][0] for a in asked} <= {row["id"] for row in data["rows"]}


def test_the_page_is_well_formed_and_runs_files_only(site: Path) -> None:
    text = (site / "requests.html").read_text(encoding="utf-8")
    page = Page(text)
    assert page.faults == []
    assert page.captions == {"table": len(page.all("table"))}
    assert [a.get("type") for a in page.all("script")] == ["application/json", None]
    assert not [a for a in page.all("script") if "src" in a]
    assert not [a for _, a in page.tags if "style" in a or any(name.startswith("on") for name in a)]


def painted(row: str, identity: str, expression: str, domain: str) -> Image.Image:
    return (
        Image.new("RGB", (32, 32), PAINT)
        if identity == PRIVATE
        else draw_face(row, identity, expression, domain)
    )


def test_whoever_may_not_be_shown_is_in_no_file(tmp_path: Path) -> None:
    requests = requests_table(4, private=[PRIVATE], styles=False)
    folders = {row: write_cell(tmp_path / "runs", ROWS[row], requests, painter=painted) for row in (0, 1, 4)}
    # one row alone says that a0222 may not be shown
    samples = pd.read_parquet(folders[4] / "samples.parquet")
    samples.loc[samples["identity"] == "a0222", "publishable"] = False
    samples.to_parquet(folders[4] / "samples.parquet")
    out = build(tmp_path / "runs", tmp_path / "out").parent
    data = data_of(out)
    assert {told["subject"] for told in data["parts"][0]["requests"]} == {"a0220", "a0223"}
    assert "14 more requests are of subjects who may not be shown" in (out / "requests.html").read_text()
    for name in (PRIVATE, "a0222"):
        assert name not in (out / "requests.html").read_text()
    sheets = sorted((out / "images").glob("*.webp"))
    assert len(sheets) == len(data["images"]) == 14
    for path in sorted((out / "images").iterdir()):
        with Image.open(path) as image:
            assert not (np.asarray(image.convert("RGB")) == PAINT).all(axis=2).any()


def test_hostile_words_stay_words(tmp_path: Path) -> None:
    requests = requests_table(2, styles=False)
    for number in (0, 1):
        write_cell(tmp_path / "runs", ROWS[number], requests)
    write_cell(tmp_path / "runs", replace(ROWS[4], title=EVIL + "\u2028</script>"), requests)
    out = build(tmp_path / "runs", tmp_path / "out").parent
    assert EVIL + "\u2028</script>" in [row["title"] for row in data_of(out)["rows"]]
    text = (out / "requests.html").read_text(encoding="utf-8")
    assert "window.hacked" in text
    assert "<script>window.hacked" not in text
    assert Page(text).faults == []
    assert len(Page(text).all("script")) == 2


def test_the_worst_and_best_come_first_and_a_spread_between_them() -> None:
    names = [f"r{n}" for n in range(40)]
    rising = pd.Series(np.arange(40.0), names)
    rising["r39"] = math.nan
    falling = pd.Series(-np.arange(40.0), names)
    order = in_turn(names, {("a", "SSIM"): rising, ("b", "SSIM"): falling})
    assert sorted(order) == sorted(names)
    # ranks in turn, rows in turn: a's worst, b's worst, a's best, b's best (known), a's second worst
    assert [name for name in order[::2] if name not in order[1:8:2]][:4] == ["r0", "r39", "r38", "r1"]
    shuffled = in_turn(names[::-1], {("a", "SSIM"): rising[::-1], ("b", "SSIM"): falling})
    assert shuffled == order


@pytest.fixture(scope="module")
def noisy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty rows of images that no coding makes small."""
    folder = tmp_path_factory.mktemp("noisy")
    requests = requests_table(2, styles=False)
    random = np.random.default_rng(0)

    def noise(row: str, identity: str, expression: str, domain: str) -> Image.Image:
        return Image.fromarray(random.integers(0, 256, (64, 64, 3), dtype=np.uint8))

    for row in ROWS[:2]:
        write_cell(folder, row, requests, painter=noise)
    for number in range(28):
        write_cell(
            folder, replace(ROWS[4], id=f"m{number}", title=f"Method {number}"), requests, painter=noise
        )
    return folder


@pytest.mark.parametrize(
    ("images", "shown", "coding"), [(2_000_000, 14, "of quality 90"), (500_000, 4, "of quality 90")]
)
def test_thirty_rows_stay_within_their_bytes(
    noisy: Path, tmp_path: Path, images: int, shown: int, coding: str
) -> None:
    (board,) = make_boards(read_runs(noisy)[0])
    place = Place(tmp_path, tmp_path / "images", "index.html", "", "b0")
    place.images.mkdir()
    room = Room(images=images)
    write_requests(board, [build_table(board, "expression", "in")], place, environment(), room)
    written = [path.stat().st_size for path in place.images.iterdir()]
    assert sum(written) <= images
    page = (tmp_path / "requests.html").read_text()
    assert coding in page
    assert len(written) == shown, sum(written)
    told = "each with its images" if shown == 14 else f"{shown} of them with images, as many as fit into"
    assert told in page


def test_images_take_what_the_rest_of_the_report_leaves(tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    assert Room.beside(tmp_path, images) == Room(values=8_000_000, images=36_000_000)
    for name, megabytes in (
        ("images/a.webp", 20),
        ("index.html", 7),
        ("b-requests.html", 9),
        ("mine.zip", 9),
    ):
        with (tmp_path / name).open("wb") as file:
            file.truncate(megabytes * 10**6)  # takes no room on the disk
    # 60 MB less 8 for values, 20 for other images and 7 for pages; what will be written anew does not count
    assert Room.beside(tmp_path, images).images == 25_000_000
    assert Room.beside(tmp_path, images).share(4) == Room(values=2_000_000, images=6_250_000)


def test_values_are_left_out_where_they_would_not_fit(noisy: Path, tmp_path: Path) -> None:
    (board,) = make_boards(read_runs(noisy)[0])
    place = Place(tmp_path, tmp_path / "images", "index.html", "", "b0")
    place.images.mkdir()
    # 30 rows, 4 metrics of 7 bytes and 8 classes of 3: 1,560 bytes a request
    write_requests(board, [build_table(board, "expression", "in")], place, environment(), Room(values=9_400))
    assert len(data_of(tmp_path)["parts"][0]["requests"]) == 6
    assert "6 of 14 requests (in turn the worst and the best" in (tmp_path / "requests.html").read_text()


def test_a_nearest_training_image_stands_beside(tmp_path: Path) -> None:
    requests = requests_table(1, styles=False)
    for row in (0, 1, 4):
        folder = write_cell(tmp_path / "runs", ROWS[row], requests)
    samples = pd.read_parquet(folder / "samples.parquet")
    samples["nearest_training"] = ["t/kept.png", "t/private.png"] + [""] * (len(samples) - 2)
    samples.to_parquet(folder / "samples.parquet")
    kept = nearest_path(folder, "t/kept.png")
    kept.parent.mkdir()
    Image.new("RGB", (32, 32), (1, 2, 3)).save(kept)
    (board,) = make_boards(read_runs(tmp_path / "runs")[0])
    images = tmp_path / "images"
    images.mkdir()
    done = write_sprites(board, board.runs, samples["request"].tolist(), images, "x", 10**6)
    row = str(next(i for i, run in enumerate(board.runs) if run.method == "mr"))
    first, second = (done.by_request[name] for name in samples["request"][:2])
    assert first["nearest"] == {row: "t/kept.png"}
    assert first["tiles"][-1] == f"nearest {row}"
    assert first["pitch"] % BLOCK == 0
    assert second["nearest"] == {}
    with Image.open(tmp_path / first["file"]) as sheet:
        assert sheet.convert("RGB").getpixel((first["pitch"] * 3 + 5, 5)) == (1, 2, 3)
