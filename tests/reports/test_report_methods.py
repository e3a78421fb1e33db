"""The page of each method: what it holds, what it is called, and whose words stay words."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from fesbench.records.record import load_record
from fesbench.reports.bibtex import bibtex
from fesbench.reports.boards import Board, make_boards, read_runs
from fesbench.reports.method_page import method_pages
from fesbench.reports.site import build
from tests.reports.synthetic_records import EVIL, PRIVATE, ROWS, requests_table, write_cell
from tests.reports.test_report_site import Page


def page_of(folder: Path, method: str) -> Page:
    return Page((folder / f"method-{method}.html").read_text(encoding="utf-8"))


def words(page: Page) -> str:
    return " ".join(" ".join(page.texts).split())


@pytest.fixture(scope="module")
def reggan(site: Path) -> Page:
    return page_of(site, "reggan")


def test_every_row_leads_to_a_page_of_its_own(site: Path) -> None:
    board = Page((site / "index.html").read_text(encoding="utf-8"))
    linked = {str(a["href"]) for a in board.all("a") if str(a["href"]).startswith("method-")}
    assert linked == {path.name for path in site.glob("method-*.html")}
    assert len(linked) == 11
    for name in linked:
        page = Page((site / name).read_text(encoding="utf-8"))
        assert page.faults == [], name
        assert page.captions == ({"table": len(page.all("table"))} if page.all("table") else {})
        ids = [a["id"] for _, a in page.tags if "id" in a]
        assert len(ids) == len(set(ids))


def test_a_page_tells_card_citation_scores_training_and_cost(reggan: Page) -> None:
    text = words(reggan)
    for told in (
        "Learns from labels, pairs",
        "Seeds 0, 1",
        "RegGAN: regression GAN for expression synthesis. 2022.",
        "Metric expression in distribution expression statue",
        "by requested expression",
        "RegGAN, seed 1",
        "Health: nothing noticed",
        "g/reconstruction",
        "1.48 M",
    ):
        assert told in text, told
    (copy,) = [str(a["data-copy"]) for a in reggan.all("button") if "data-copy" in a]
    assert copy.startswith("@misc{reggan-2022,\n  title = {RegGAN},")


def test_its_scores_lead_to_its_requests(reggan: Page, site: Path) -> None:
    links = [str(a["href"]) for a in reggan.all("a") if "requests.html#" in str(a["href"])]
    assert len(links) == 4 * 5  # metrics with values of single requests, in five domains
    assert all("row=reggan" in link for link in links)
    assert (site / links[0].partition("#")[0]).is_file()


def test_a_contact_sheet_shows_source_target_and_this_method(reggan: Page, site: Path) -> None:
    board = Page((site / "index.html").read_text(encoding="utf-8"))
    strips = [str(a["src"]) for a in reggan.all("img")]
    assert {str(a["alt"]).partition(":")[0] for a in reggan.all("img")} == {"source", "target", "RegGAN"}
    assert set(strips) <= {str(a["src"]) for a in board.all("img")}
    assert all(PRIVATE not in str(a["alt"]) for a in reggan.all("img"))
    with Image.open(site / strips[0]) as image:
        assert image.height == 32


def test_what_differs_comes_from_the_card_and_the_method_s_file(tmp_path: Path) -> None:
    folder = write_cell(tmp_path / "runs", ROWS[6], requests_table(1, styles=False))
    record = load_record(folder)
    record.card |= {"notes": "a note on the card", "preset_note": "without <b>that</b>"}
    record.save(folder)
    text = words(page_of(build(tmp_path / "runs", tmp_path / "out").parent, "stargan"))
    assert "a note on the card" in text
    assert "without <b>that</b>" in text
    assert "As the method's file says" in text
    record.trained_on = "unknown"
    record.save(folder)
    text = words(page_of(build(tmp_path / "runs", tmp_path / "out").parent, "stargan"))
    assert "As the method's file says" not in text


def test_a_failed_row_says_why_and_runs_nothing(site: Path) -> None:
    page = page_of(site, "cdaae")
    assert EVIL in words(page)
    assert "loss is NaN at step 3 <b>" in words(page)
    assert "It has no score here." in words(page)
    assert len(page.all("script")) == 1


def test_a_reference_row_is_not_cited(site: Path) -> None:
    text = words(page_of(site, "warp"))
    assert "How to cite" not in text
    assert "@misc" not in text


def test_names_of_pages_are_safe_and_different(tmp_path: Path) -> None:
    for row in (0, 1):
        write_cell(tmp_path, ROWS[row], requests_table(1, styles=False))
    (board,) = make_boards(read_runs(tmp_path)[0])
    run = board.runs[0]
    names = ["../../etc/x", "..-..-etc-x", "MR", "mr", "a#b?c%d"]
    pages = method_pages(Board(board.key, {name: [run] for name in names}), "")
    assert len({page.lower() for page in pages.values()}) == 5
    assert all(re.fullmatch(r"method-[A-Za-z0-9.-]+\.html", page) for page in pages.values())


def test_markup_in_a_citation_cannot_end_its_entry() -> None:
    made = bibtex("x", "X", "Doe, 2020: A } title \\input{secret} of 50 % & more", 2020)
    assert "title = {A  title input" not in made
    assert "title = {A title inputsecret of 50 \\% \\& more}" in made
    assert made.count("{") == made.count("}")


def test_a_citation_without_names_is_a_note() -> None:
    made = bibtex("cdiff", "Conditional diffusion", "no publication: a baseline of fesbench", 2023)
    assert made == (
        "@misc{cdiff-2023,\n  title = {Conditional diffusion},\n  year = {2023},\n"
        "  note = {no publication: a baseline of fesbench}\n}"
    )


def test_a_single_image_row_has_its_page_in_every_board(tmp_path: Path) -> None:
    requests = requests_table(2, styles=False)
    for row in (ROWS[0], ROWS[4]):
        write_cell(tmp_path / "runs", row, requests)
        write_cell(tmp_path / "runs", replace(row, preset="paper"), requests, budget="standard")
    out = build(tmp_path / "runs", tmp_path / "out").parent
    pages = sorted(path.name for path in out.glob("*-method-mr.html"))
    assert len(pages) == 2
    for name in pages:
        back = Page((out / name).read_text(encoding="utf-8")).all("a")[2]["href"]
        assert name == str(back).removesuffix(".html") + "-method-mr.html"
