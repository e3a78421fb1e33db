"""The HTML report: one folder that opens from disk, without a network, in any browser."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from fesbench.errors import DataError
from fesbench.files import atomic_write_bytes, locked
from fesbench.protocol.tasks import plain_kind

from . import sections, writers
from .board_data import board_data
from .boards import HEADLINE, Board, make_boards, read_runs
from .clip_curves import clip_curves
from .clips import BYTES, QUALITY, SIDE, build_players
from .confusion import confusions
from .cost import cost_table
from .data_block import data_block, folds_note
from .grid_writers import to_latex
from .identity_map import identity_map
from .image_grid import Gallery, build_gallery
from .index_page import groups, last_finished, versions
from .judges import BAR, independence, judges, mark_dependent
from .method_page import link_methods, method_pages, write_method_pages
from .notes import notes
from .pages import environment, with_own
from .paper_tables import main_grid
from .published import beside
from .reference import with_reference
from .requests_page import Place, Room, link_requests, write_requests
from .study_results import studies_of
from .table_model import Table
from .tables import build_table, domains_of
from .task_captions import caption

IMAGES = "images"
JUDGE_ACCURACY = "accuracy_on_real_test_images"
REGRESSOR_CORRELATION = "mean_correlation_on_real_test_images"


def build(runs: Path, out: Path, *, reference: bool = False) -> Path:
    """Write the report of every record below ``runs`` into ``out``; returns the page to open.

    One board (protocol, data, preset, budget) is one page; several get an index before them. What an earlier
    report left in ``out/images`` is removed; nothing else there is touched. With ``reference`` the results
    that come with fesbench stand beside those of ``runs``.

    Raises:
        RecordError: no readable record, or a damaged file beside one.
        DataError: ``out`` cannot be written.
        UsageError: no reference results stand on any of these boards.
    """
    _writable(out)
    with locked(out / ".lock"):  # two runs of one folder may end at the same time
        return _build(runs, out, reference=reference)


def _build(runs: Path, out: Path, *, reference: bool) -> Path:
    found, unreadable = read_runs(runs)
    boards = make_boards(with_reference(found) if reference else found)
    images = out / IMAGES
    _fresh(images)
    pages = [board.key.slug + ".html" for board in boards] if len(boards) > 1 else ["index.html"]
    templates = environment()
    made, drawn = [], []
    for number, (board, page) in enumerate(zip(boards, pages, strict=True)):
        place = Place(out, images, page, "" if len(boards) == 1 else f"{board.key.slug}-", f"b{number}")
        context = _context(board, place, unreadable)
        context["titles"] = {name: members[0].title for name, members in board.methods.items()}
        context["studies"] = studies_of(runs, board.key.slug)
        stem = "leaderboard" if len(boards) == 1 else board.key.slug
        context["downloads"] = _write_tables(context["tables"], out, stem)
        own_pages = method_pages(board, place.stem)
        link_methods(context["tables"], own_pages)
        context["requests_page"] = place.requests
        context["siblings"] = [(b.key, p, b is board) for b, p in zip(boards, pages, strict=True)]
        html = templates.get_template("board.html.j2").render(context)
        atomic_write_bytes(out / page, html.encode())
        write_method_pages(board, context, own_pages, out, page, templates)
        made.append((board, page, context))
        drawn.append((board, context["tables"], place))
    table = [s.model_dump(mode="json") for run in found for s in run.record.scores]
    atomic_write_bytes(out / "scores.json", json.dumps(table, indent=1, ensure_ascii=False).encode())
    if len(boards) > 1:
        html = templates.get_template("index.html.j2").render(
            groups=groups(made),
            unreadable=unreadable,
            title="fesbench leaderboards",
            **with_own(templates, "index"),
        )
        atomic_write_bytes(out / "index.html", html.encode())
    room = Room.beside(out, images).share(len(boards))
    for board, tables, place in drawn:
        write_requests(board, tables, place, templates, room)
    return out / "index.html"


def _writable(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(out, error) from None


def _fresh(images: Path) -> None:
    try:
        if images.is_dir():
            shutil.rmtree(images)
        images.mkdir(parents=True)
    except OSError as error:
        raise _unwritable(images, error) from None


def _unwritable(folder: Path, error: OSError) -> DataError:
    return DataError(f"cannot write {folder} ({error.strerror or error}); choose another folder with --out")


def _context(board: Board, place: Place, unreadable: list[str]) -> dict[str, Any]:
    pairs = [board.headline, *(pair for pair in domains_of(board) if pair != board.headline)]
    tables = [build_table(board, task, domain) for task, domain in pairs]
    table = tables[0]
    order = [row.id for row in table.rows]
    styles = [d for t, d in pairs if t == HEADLINE[0] and d != "in"]
    galleries = [
        build_gallery(board, task, domain, order, place.images, f"{place.prefix}-{number}")
        for number, (task, domain) in enumerate(pairs)
    ]
    mark_dependent(board, tables)
    link_requests(board, tables, place.requests)
    rules, why_no_rules = board.protocol
    common, differing = sections.environments(board)
    return {
        "key": board.key,
        "rules": rules,
        "why_no_rules": why_no_rules,
        "title": rules.title if rules else board.key.protocol,
        "facts": _facts(board, table),
        "notes": notes(board, tables, unreadable),
        "table": table,
        "tables": tables,
        "published": beside(board, tables),
        "marks": {t.id: sections.marks(t) for t in tables},
        "captions": {t.id: caption(t.task, t.domain, t.units) for t in tables},
        "heat_maps": sections.heat_maps(board, table),
        "confusions": confusions(board, table),
        "judges": judges(board),
        "judge_bar": BAR,
        "independence": independence(board, table),
        "unit_maps": {
            t.id: sections.heat_maps(board, t, levels=not plain_kind(t.task).by_unit) for t in tables
        },
        "data_block": data_block(board),
        "board_data": board_data(board, tables),
        "clips": [
            (player, clip_curves(board, *pair, order), identity_map(board, *pair, order))
            for player in build_players(board, pairs, order, place.images, place.prefix)
            for pair in [(player.task, player.domain)]
        ],
        "clip_rule": {"bytes": BYTES, "quality": QUALITY, "side": SIDE},
        "galleries": _shown(galleries, board.headline),
        "trade_off": sections.trade_off(table),
        "drops": sections.drops(board, table, styles) if styles else [],
        "not_run": sections.not_run(board),
        "training": [
            (row, [(run, sections.curves(run)) for run in board.methods[row.id]]) for row in table.rows
        ],
        "costs": cost_table(board, order),
        "weights": sections.weights(board),
        "common": common,
        "differing": differing,
        "cards": [(row, board.methods[row.id][0].record.card) for row in table.rows],
    }


def _shown(galleries: list[Gallery], headline: tuple[str, str]) -> dict[str, list[Gallery]]:
    kinds: dict[str, list[Gallery]] = {"headline": [], "styles": [], "tasks": []}
    for gallery in galleries:
        if (gallery.task, gallery.domain) == headline:
            kinds["headline"].append(gallery)
        elif gallery.panels:
            kinds["styles" if gallery.task == HEADLINE[0] else "tasks"].append(gallery)
    return kinds


def _facts(board: Board, table: Table) -> list[tuple[str, str]]:
    """The short list beside the title."""
    key, records = board.key, [run.record for run in board.runs]
    judged = {float(r.judge[JUDGE_ACCURACY]) for r in records if r.judge.get(JUDGE_ACCURACY) is not None}
    rules, _ = board.protocol
    facts = [
        ("Data", f"{key.data}, fingerprint {key.data_fingerprint[:8]}"),
        ("Protocol", f"{key.rules[0]}, hash {key.protocol_hash[:8]}"),
        (f"Test {table.units}", f"{table.identities}"),
        ("Images a row", f"{table.n_requests} in the headline task"),
        ("Budget, preset", f"{key.budget}, {key.preset}"),
        ("Seeds", ", ".join(str(s) for s in sorted({r.cell.seed for r in records}))),
    ]
    if rules is not None:
        facts.insert(2, ("Image size", f"{rules.data.size} × {rules.data.size} px"))
    changes = key.rules[1]
    if "labels" in changes:
        shown = changes["labels"].replace(",", ", ")
        facts.insert(2, ("Labels", f"{shown}: those that the training {table.units} show"))
    if "split" in changes:
        facts.insert(
            2, ("Your own split", f"in place of the split told beside; sha256 begins {changes['split']}")
        )
    if told := folds_note(board):
        facts.append(("Folds", told))
    if table.split_note:
        facts.append(("Split", table.split_note.removeprefix("split ")))
    if judged:
        shown = " to ".join(f"{100 * accuracy:.1f} %" for accuracy in sorted(judged))
        facts.append(("Judge on real images", f"{shown} right"))
    measured = {
        float(r.action_unit_regressor[REGRESSOR_CORRELATION])
        for r in records
        if r.action_unit_regressor.get(REGRESSOR_CORRELATION) is not None
    }
    if measured:
        shown = " to ".join(f"{correlation:.2f}" for correlation in sorted(measured))
        facts.append(("Action-unit regressor on real images", f"mean correlation {shown}"))
    if finished := last_finished(board):
        facts.append(("Records finished", finished))
    facts.append(("Made with", f"fesbench {', '.join(versions(board))}"))
    return facts


def _write_tables(tables: list[Table], out: Path, stem: str) -> list[tuple[str, str]]:
    files_written = []
    for label, suffix, text in (
        ("CSV", "csv", writers.to_csv(tables)),
        ("Markdown", "md", writers.to_markdown(tables)),
        ("LaTeX", "tex", to_latex(main_grid(tables[0]))),
    ):
        atomic_write_bytes(out / f"{stem}.{suffix}", text.encode())
        files_written.append((label, f"{stem}.{suffix}"))
    return [*files_written, ("JSON, every score", "scores.json")]
