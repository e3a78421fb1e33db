"""How every page of a report is made: templates, one style sheet, and scripts under a strict policy."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

import fesbench

SCRIPTS = (
    "state.js", "sort.js", "app.js", "board.js", "controls.js", "grid.js", "figures.js", "compare.js",
    "clips.js",
)  # fmt: skip
"""Of every page, in this order, as one inline script: a page opens from disk, where ``'self'`` would let any
file of the disk run, so that the policy names the script by its hash.
"""
STYLES = ("style.css", "clips.css")


def environment() -> Environment:
    """Templates that escape everything, with ``style_sheet``, ``script`` and its ``policy`` at hand."""
    made = Environment(
        loader=PackageLoader("fesbench.reports", "templates"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    here = files("fesbench.reports") / "templates"
    script = "\n".join((here / name).read_text(encoding="utf-8") for name in SCRIPTS)
    made.globals |= {
        "style_sheet": "\n".join((here / name).read_text(encoding="utf-8") for name in STYLES),
        "script": script,
        "policy": policy(script),
        "version": fesbench.__version__,
    }
    return made


def policy(script: str) -> str:
    """The content security policy of a page with this one inline script.

    Nothing is fetched but images beside the page, and nothing runs but the script. Styles may be inline: heat
    maps carry their colors in ``style`` attributes, which no hash can stand for.
    """
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        f"default-src 'none'; img-src 'self' data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; "
        "base-uri 'none'; form-action 'none'"
    )


def with_own(templates: Environment, name: str) -> dict[str, str]:
    """For a page with more: ``name.js`` behind the common script, ``name.css`` behind the style sheet.

    Where there is no such file, what all pages have.
    """
    here = files("fesbench.reports") / "templates"
    made = {"script": f"{name}.js", "style_sheet": f"{name}.css"}
    for key, file in made.items():
        own = here / file
        added = [own.read_text(encoding="utf-8")] if own.is_file() else []
        made[key] = "\n".join([str(templates.globals[key]), *added])
    return {**made, "policy": policy(made["script"])}
