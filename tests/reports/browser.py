"""Pages in headless Chromium: a driver script goes into a copy of the page, and its result is read back.

The page's own policy stays in force: the copy's names the driver's script beside the page's own.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path
from typing import Any

WATCH = """
window.faults = [];
addEventListener("error", (e) => faults.push(String(e.message || (e.target && e.target.src))), true);
addEventListener("securitypolicyviolation", (e) => faults.push(`${e.violatedDirective} ${e.sample}`));
const { error } = console;
console.error = (...words) => { faults.push(words.join(" ")); error(...words); };
"""
"""Collects what goes wrong in ``faults``; stands first in the page."""

DRIVER = """
addEventListener("load", async () => {
  const later = (ms = 30) => new Promise((done) => setTimeout(done, ms));
  const returned = await (async () => { %s })().catch((e) => ({ error: String(e.stack || e) }));
  const out = document.createElement("pre");
  out.id = "result";
  out.textContent = JSON.stringify({ ...returned, faults });
  document.body.append(out);
});
"""


def chromium(page: str, profile: Path, *options: str, width: int = 1400) -> tuple[str, str]:
    """DOM of an address after loading, and what the browser logged."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    assert browser is not None
    fixed = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--enable-logging=stderr",
        "--virtual-time-budget=4000",
    ]
    done = subprocess.run(
        [
            *(browser, *fixed, *(options or ["--dump-dom"])),
            *(f"--user-data-dir={profile}", f"--window-size={width},1000", page),
        ],
        capture_output=True,
        text=True,
        timeout=110,
        check=True,
    )
    return done.stdout, done.stderr


def driven_copy(page: Path, script: str) -> Path:
    """A copy of a page, beside it, that runs ``script``: the body of an async function with ``later()``."""
    text = page.read_text(encoding="utf-8")
    scripts = [WATCH, DRIVER % script]
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(one.encode()).digest()).decode()}'" for one in scripts
    )
    assert text.count("script-src ") == 1
    text = text.replace("script-src ", f"script-src {hashes} ")
    text = re.sub(r'(<meta http-equiv="Content-Security-Policy"[^>]*>)', rf"\1<script>{WATCH}</script>", text)
    text = text.replace("</body>", f"<script>{scripts[1]}</script></body>", 1)
    copy = page.with_name(f"driven-{page.name}")
    copy.write_text(text, encoding="utf-8")
    return copy


def drive(page: Path, script: str, *options: str, fragment: str = "", width: int = 1400) -> dict[str, Any]:
    """What ``script``, the body of an async function, returns in the page, and ``faults``.

    A copy of the page is left beside it. ``later()`` waits in it.
    """
    copy = driven_copy(page, script)
    address, profile = copy.as_uri() + fragment, page.parent / ".profile"
    dom, log = chromium(address, profile, "--dump-dom", *options, width=width)
    found = re.search(r'<pre id="result">(.*?)</pre>', dom, re.DOTALL)
    assert found, log
    result: dict[str, Any] = json.loads(unescape(found[1]))
    assert "error" not in result, result["error"]
    return result
