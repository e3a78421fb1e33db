"""What each kind of task asks, in plain words, in the order of the page.

``{one}`` and ``{units}`` stand for subject and subjects, or image and images where nobody knows who is shown.
"""

from __future__ import annotations

TASKS: dict[str, str] = {
    "expression": "from the neutral image of a test {one} to each expression",
    "transfer": "another {one}'s landmarks are granted",
    "intensity": "each expression at several levels, scored together",
    "action-unit": "one action unit at a time is set to each level, the others stay as the source has them; "
    "no image shows the truth, so distances are to the sources and say how far they were left",
    "compound": "two expressions in one face",
    "sequence": "a video",
    "random": "images of an expression out of nothing: no source, no subject to keep",
    "identity-verification": "every image of each test {one} is answered, and asked who it shows",
    "augmentation": "synthetic images of training {units} are added to the real ones when a recognizer is "
    "trained; it is tested on real images of test {units}. Every recognizer takes the same number of "
    "steps, and half of each batch is added. A gain below that of the controls is no gain",
}


def caption(task: str, domain: str, units: str) -> str:
    """A table's caption: what was asked, and over what the intervals are."""
    where = "" if domain == "in" else f", domain {domain}"
    one = "image" if units == "images" else "subject"
    words = TASKS.get(task, "").format(one=one, units=units)
    return f"Task {task}{where}{': ' if words else ''}{words}. Figure, 95 % interval over {units}"
