"""Static checks of the written page: they need no browser and always run."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from fesbench.errors import DataError
from fesbench.records.confusion import ConfusionMatrix, load_confusion, write_confusion
from fesbench.records.record import load_record
from fesbench.reports.boards import make_boards, read_runs
from fesbench.reports.confusion import confusions
from fesbench.reports.site import build
from fesbench.reports.tables import build_table
from tests.reports.synthetic_records import EVIL, PRIVATE, ROWS, requests_table, write_cell, write_runs

VOID = {"meta", "link", "img", "br", "input", "hr"}
LOADING = {"src", "srcset", "poster", "data", "action", "formaction"}


class Page(HTMLParser):
    """Tags with their attributes; records every nesting fault."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.faults: list[str] = []
        self.texts: list[str] = []
        self.stack: list[str] = []
        self.captions = Counter[str]()
        self.feed(text)
        self.close()
        self.faults += [f"<{tag}> is never closed" for tag in self.stack]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "caption":
            self.captions[self.stack[-1]] += 1
        if tag not in VOID:
            self.stack.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if not self.stack or self.stack.pop() != tag:
            self.faults.append(f"</{tag}> at {self.getpos()}")

    def handle_data(self, data: str) -> None:
        if not self.stack or self.stack[-1] not in ("script", "style"):
            self.texts.append(data)

    def all(self, name: str) -> list[dict[str, str | None]]:
        return [attrs for tag, attrs in self.tags if tag == name]


@pytest.fixture(scope="module")
def source(site: Path) -> str:
    return (site / "index.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(source: str) -> Page:
    return Page(source)


def test_tags_nest(page: Page) -> None:
    assert page.faults == []


def test_ids_are_unique_and_fragments_lead_somewhere(page: Page) -> None:
    ids = [a["id"] for _, a in page.tags if "id" in a]
    assert len(ids) == len(set(ids))
    targets = [str(a["href"])[1:] for a in page.all("a") if str(a.get("href", "")).startswith("#")]
    assert targets
    assert set(targets) <= set(ids)
    assert {a["data-show"] for a in page.all("button") if "data-show" in a} <= set(ids)


def test_nothing_is_loaded_from_elsewhere(page: Page, source: str) -> None:
    for tag, attrs in page.tags:
        for name, value in attrs.items():
            if name in LOADING or (name == "href" and tag != "a"):
                assert value is not None
                assert not re.match(r"(?i)\s*(https?:)?//", value), (tag, name, value)
    assert not re.search(r"@import|url\(", source)
    assert [a for a in page.all("script") if "src" in a] == []
    assert [a["href"] for a in page.all("link")] == ["data:,"]


def test_every_image_is_there_with_its_size_and_words(page: Page, site: Path) -> None:
    images = page.all("img")
    assert len(images) > 20
    for attrs in images:
        with Image.open(site / str(attrs["src"])) as image:
            assert image.size == (int(str(attrs["width"])), int(str(attrs["height"])))
        assert attrs["alt"]


def test_links_to_files_lead_to_files(page: Page, site: Path) -> None:
    links = [str(a["href"]) for a in page.all("a") if not str(a["href"]).startswith("#")]
    files = [link.partition("#")[0] for link in links]
    assert {"leaderboard.csv", "leaderboard.md", "leaderboard.tex", "scores.json"} <= set(files)
    assert all((site / name).is_file() for name in files)


def test_every_table_has_a_caption(page: Page) -> None:
    assert page.captions == {"table": len(page.all("table"))}


def test_every_header_cell_has_a_scope(page: Page) -> None:
    assert all(a.get("scope") in ("col", "row", "rowgroup") for a in page.all("th"))


def test_text_from_outside_is_escaped(page: Page, source: str) -> None:
    assert "window.hacked" in source
    assert "<script>window.hacked" not in source
    assert [a.get("type") for a in page.all("script")] == ["application/json", None]
    assert any(EVIL in text for text in page.texts)
    assert any("loss is NaN at step 3 <b>" in text for text in page.texts)


def test_what_must_be_said_is_said(page: Page) -> None:
    text = " ".join(" ".join(page.texts).split())
    for words in (
        "Smoke budget.",
        "Preset tiny.",
        "Collapsed: US-GAN.",
        "Not comparable: pix2pix.",
        "not comparable: ref",
        "too few impostor pairs",
        "2 seeds",
        "not in budget smoke",
        "212 images equal another one",
        "1 test subject may not be published",
        "96.8 % right",
        "chance 12.5",
        "Score, 95 % interval",
        "real halves 31.0 at n 140",
        "FID 31.0 (28.5 to 34.5, n 140, 20 splits).",
    ):
        assert words in text, words


def test_a_private_subject_is_in_no_image(page: Page) -> None:
    assert all(PRIVATE not in str(a["alt"]) for a in page.all("img"))
    assert PRIVATE not in " ".join(page.texts)


def test_the_page_names_no_folder_of_the_machine(source: str, runs: Path, site: Path) -> None:
    assert str(runs) not in source
    assert str(site) not in source


def test_building_twice_is_the_same_and_leaves_nothing_old(runs: Path, tmp_path: Path) -> None:
    first = build(runs, tmp_path).read_bytes()
    (tmp_path / "images" / "old.png").write_bytes(b"")
    (tmp_path / "mine.txt").write_text("stays")
    assert build(runs, tmp_path).read_bytes() == first
    assert not (tmp_path / "images" / "old.png").exists()
    assert (tmp_path / "mine.txt").read_text() == "stays"


def test_two_boards_get_an_index(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    requests = requests_table(4, styles=False)
    for row in (ROWS[0], ROWS[1], ROWS[4], ROWS[6]):
        write_cell(runs, row, requests)
        write_cell(runs, replace(row, preset="paper"), requests, budget="standard")
    index = build(runs, tmp_path / "out")
    page = Page(index.read_text(encoding="utf-8"))
    assert page.faults == []
    links = {str(a["href"]) for a in page.all("a")} - {"index.html", "#main"}
    assert len(links) == 2
    for name in links:
        board = Page((tmp_path / "out" / name).read_text(encoding="utf-8"))
        assert board.faults == []
        assert len(board.all("option")) == 2
        assert all((tmp_path / "out" / str(a["src"])).is_file() for a in board.all("img"))


def test_a_row_above_real_is_called_suspicious(tmp_path: Path) -> None:
    changes = {"real": {"ecs": 0.7}, "stargan": {"ecs": 1.0}}
    write_runs(
        tmp_path / "runs", identities=12, rows=[ROWS[0], ROWS[4], ROWS[6]], styles=False, changes=changes
    )
    text = build(tmp_path / "runs", tmp_path / "out").read_text(encoding="utf-8")
    assert "Suspicious: StarGAN" in text
    assert "Suspicious: MR" not in text
    assert "Reference rows missing" in text


def test_one_row_that_only_failed_still_makes_a_page(tmp_path: Path) -> None:
    write_cell(tmp_path / "runs", replace(ROWS[4], status="failed", error="out of memory"), requests_table(2))
    page = Page(build(tmp_path / "runs", tmp_path / "out").read_text(encoding="utf-8"))
    assert page.faults == []
    assert any("out of memory" in text for text in page.texts)


def test_a_scored_row_without_samples_is_named(tmp_path: Path) -> None:
    for row in (ROWS[4], ROWS[6]):
        folder = write_cell(tmp_path / "runs", row, requests_table(3, styles=False))
    (folder / "samples.parquet").unlink()
    text = build(tmp_path / "runs", tmp_path / "out").read_text(encoding="utf-8")
    assert "No values per image: StarGAN" in text
    assert "No values per image: MR" not in text


def test_a_row_that_loses_faces_is_named(tmp_path: Path) -> None:
    requests = requests_table(2)
    # a frame of a clip is looked at like an image: 20 of 400 are few
    told = {4: {"faces_not_found": 20}, 5: {"faces_not_found": 1}, 6: {"faces_not_found": 20, "frames": 400}}
    for row, counts in told.items():
        folder = write_cell(tmp_path / "runs", ROWS[row], requests)
        record = load_record(folder)
        record.counts = {"images": 100, **counts}
        record.save(folder)
    text = build(tmp_path / "runs", tmp_path / "site").read_text()
    assert text.count("Faces lost:") == 1
    assert "no face in 20 of its 100 images" in text
    record.counts["faces_not_found"] = 200
    record.save(folder)
    assert "no face in 200 of its 400 frames" in build(tmp_path / "runs", tmp_path / "site").read_text()


def test_what_a_budget_cannot_teach_and_an_own_form_are_said(tmp_path: Path) -> None:
    requests = requests_table(2)
    for row, said in (
        (ROWS[6], {"budget_note": "known not to learn", "native": "32-color-bicubic-aa"}),
        (ROWS[4], {}),
    ):
        folder = write_cell(tmp_path / "runs", row, requests)
        record = load_record(folder)
        record.card |= said
        record.save(folder)
    text = build(tmp_path / "runs", tmp_path / "site").read_text()
    assert text.count("Known not to learn.") == text.count("It works on 32-color-bicubic-aa:") == 1
    assert "StarGAN, budget smoke" in text
    assert "Own form: StarGAN" in text
    for folder in (tmp_path / "runs").rglob("stargan-*/0"):
        record = load_record(folder)
        record.loaded = {"file": "zoo"}
        record.save(folder)
    assert "Known not to learn" not in build(tmp_path / "runs", tmp_path / "site").read_text()


def test_an_unreadable_record_is_a_note(tmp_path: Path) -> None:
    folder = write_cell(tmp_path / "runs", ROWS[4], requests_table(2, styles=False))
    copy = write_cell(tmp_path / "runs", ROWS[1], requests_table(2, styles=False))
    assert load_record(folder).status == "scored"
    (copy / "record.json").write_text("{")
    text = build(tmp_path / "runs", tmp_path / "out").read_text(encoding="utf-8")
    assert "Unreadable record" in text


def test_a_folder_that_cannot_be_written_is_named(runs: Path, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    with pytest.raises(DataError, match="--out"):
        build(runs, blocked)


@pytest.fixture
def judged(tmp_path: Path) -> Path:
    """One row of two seeds with confusion matrices, weights and an action-unit regressor."""
    requests = requests_table(6, styles=False)
    row = next(row for row in ROWS if row.id == "mr")
    for seed in (0, 1):
        folder = write_cell(tmp_path / "runs", row, requests, seed=seed)
        matrix = ConfusionMatrix(
            task="expression",
            domain="in",
            judge="judge",
            signature="judge:planted",
            requested=["anger", "fear"],
            seen=["neutral", "anger", "fear", "unreadable"],
            counts=[[1, 3 - seed, 0, 0], [0, 0, 3, 1 + seed]],
        )
        write_confusion(folder, [matrix])
        record = load_record(folder)
        record.action_unit_regressor = {"mean_correlation_on_real_test_images": 0.517}
        record.weights = {
            "vgg-face": {
                "license": "research",
                "non_commercial": True,
                "accepted": {"how": "prompt", "at": "2026-01-02T03:04:05"},
                "sha256": "pinned-1a2b3c4d",
            }
        }
        record.save(folder)
    return tmp_path / "runs"


def test_seeds_are_added_up_in_the_confusion_matrix(judged: Path) -> None:
    (board,) = make_boards(read_runs(judged)[0])
    (view,) = confusions(board, build_table(board, "expression", "in"))
    assert (view.row.id, view.judge, view.seeds) == ("mr", "judge", 2)
    shown = [(asked, [cell.text for cell in cells]) for asked, cells in view.lines]
    assert shown == [("anger", ["29", "71", "0", "0"]), ("fear", ["0", "0", "67", "33"])]
    assert view.lines[1][1][2].tip == "6 of 9 images"


def test_judge_regressor_and_weights_are_told(judged: Path, tmp_path: Path) -> None:
    page = Page(build(judged, tmp_path / "page").read_text(encoding="utf-8"))
    assert page.faults == []
    text = " ".join(" ".join(page.texts).split())
    assert "mean correlation 0.52" in text
    assert "What the judge saw" in text
    assert "vgg-face pinned-1a2b3c4d research (no commercial use) prompt, 2026-01-02" in text


def test_other_judges_are_never_added_up(judged: Path) -> None:
    folder = next(path.parent for path in sorted(judged.rglob("confusion.json")))
    found = load_confusion(folder)
    assert found is not None
    write_confusion(folder, [found.matrices[0].model_copy(update={"signature": "judge:other"})])
    (board,) = make_boards(read_runs(judged)[0])
    assert [view.seeds for view in confusions(board, build_table(board, "expression", "in"))] == [1, 1]
