"""A BibTeX entry out of a card's citation, "Authors, where, when, identifiers: Title"."""

from __future__ import annotations

import re

_NAME = re.compile(r"(?:[A-Z]|d')[^\d,:]*")
_SIGNS = str.maketrans({**{sign: f"\\{sign}" for sign in "&%$#_"}, **dict.fromkeys("\\{}~^")})


def bibtex(method: str, title: str, citation: str, year: int) -> str:
    """What a reader can paste; only what the citation says, the rest of its words as a note.

    >>> told = "He et al., IEEE TIP 28(11), 2019, arXiv 1711.10678: AttGAN & more"
    >>> print(bibtex("attgan", "AttGAN", told, 2019))
    @misc{attgan-2019,
      title = {AttGAN \\& more},
      author = {He and others},
      year = {2019},
      eprint = {1711.10678},
      archiveprefix = {arXiv},
      note = {IEEE TIP 28(11), 2019, arXiv 1711.10678}
    }
    """
    head, colon, named = citation.partition(": ")
    named, _, beside = named.partition("; ")
    authors = _authors(head) if colon else []
    rest = head.split(", ")[len(authors) :]
    whole = not authors
    fields = {
        "title": title if whole else named,
        "author": " and ".join(re.sub(r" et al\.$", " and others", one) for one in authors),
        "year": str(year) if year else "",
    }
    if found := re.search(r"\barXiv (\d{4}\.\d{4,5})", citation if not whole else ""):
        fields |= {"eprint": found[1], "archiveprefix": "arXiv"}
    if found := re.search(r"\bdoi (10\.\S+?)(?=[,:;]|$)", head if not whole else ""):
        fields["doi"] = found[1]
    fields["note"] = citation if whole else "; ".join(filter(None, (", ".join(rest), beside)))
    key = re.sub(r"[^A-Za-z0-9-]", "", method)
    key += f"-{year}" if year and not key.endswith(str(year)) else ""
    lines = [
        f"  {name} = {{{' '.join(text.translate(_SIGNS).split())}}}" for name, text in fields.items() if text
    ]
    return f"@misc{{{key},\n" + ",\n".join(lines) + "\n}"


def _authors(head: str) -> list[str]:
    """The names that a citation begins with; none where it begins with other words or says nothing beside.

    >>> _authors("Fan, Jiang, Lan, Lan, IEEE Access 11, 2023")
    ['Fan', 'Jiang', 'Lan', 'Lan']
    """
    found = []
    for part in head.split(", "):
        if not _NAME.fullmatch(part):
            break
        found.append(part)
    return found if len(found) < len(head.split(", ")) else []
