"""How a data set is prepared by itself, outside of a run: by whose rules, and what is said of the result."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fesbench.errors import DataError, LeakageError, UsageError
from fesbench.protocol import Protocol, load_protocol, protocol_files

if TYPE_CHECKING:
    from fesbench.data.store import AlignedStore
    from fesbench.progress import Reporter

_SIZE = 128
_PAIRS = 12


@dataclass(frozen=True)
class Rules:
    """Size, alignment and options, and the protocol that they come from.

    Attributes:
        size: side of the aligned pictures, pixels.
        alignment: a recipe's name.
        options: of the data set's adapter.
        protocol: the one whose split applies to the data set by itself; None: there is none.
    """

    size: int
    alignment: str
    options: Mapping[str, Any]
    protocol: Protocol | None


def rules_for(
    name: str,
    *,
    protocol: str | None = None,
    size: int | None = None,
    alignment: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> Rules:
    """How to prepare a data set.

    The rules are those of the protocol that is named, else of the newest one that carries the data set's name
    and is about it, else of the only one that is about it, else the adapter's own alignment at 128 pixels.
    What is given replaces them one by one.

    Args:
        name: of the data set.
        protocol: name or TOML file.
        size: pixels.
        alignment: a recipe's name.
        options: of the adapter; those left out keep the protocol's values.

    Raises:
        UnknownNameError: no such data set or protocol.
        UsageError: the protocol does not use the data set.
    """
    from fesbench.data.datasets import dataset

    adapter = dataset(name)
    found = _of_protocol(name, load_protocol(protocol)) if protocol else _own(name)
    found = found or Rules(_SIZE, adapter.alignment, {}, None)
    return Rules(
        size or found.size,
        alignment or found.alignment,
        {**found.options, **(options or {})},
        found.protocol,
    )


def uses(name: str) -> list[tuple[str, str]]:
    """The installed protocols that use a data set, each with how: "data", "test only" or "stand-in"."""
    found = []
    for file in protocol_files():
        rule = load_protocol(file).data
        if rule.set == name:
            found.append((file, "data"))
        elif name in (extra.set for extra in rule.test_sets):
            found.append((file, "test only"))
        elif name in rule.stand_ins:
            found.append((file, "stand-in"))
    return found


def parse_options(given: Sequence[str]) -> dict[str, Any]:
    """Options of the form ``key=value``; a value is read as TOML where it is some, else as text.

    Raises:
        UsageError: no "=".
    """
    options: dict[str, Any] = {}
    for item in given:
        key, equals, text = item.partition("=")
        if not equals or not key.strip():
            raise UsageError(f"--option '{item}' must have the form key=value, such as frames=3")
        try:
            options[key.strip()] = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            options[key.strip()] = text
    return options


def tally(store: AlignedStore) -> dict[str, Any]:
    """Counts of a store: by expression (images, people), by person, and by every column that tells apart."""
    table = store.manifest.table
    labels = [name or "(unlabelled)" for name in table["expression"]]
    people: dict[str, set[str]] = {}
    for label, who in zip(labels, table["identity"], strict=True):
        people.setdefault(label, set()).add(who)
    found: dict[str, Any] = {
        "images": len(store),
        "expressions": {
            label: {"images": count, "people": len(people[label])} for label, count in Counter(labels).items()
        },
        "identities_known": store.manifest.identities_known,
    }
    if store.manifest.identities_known:
        each = Counter(table["identity"].tolist())
        numbers = sorted(each.values())
        found["identities"] = {
            "people": len(each),
            "fewest": numbers[0],
            "median": float(np.median(numbers)),
            "most": numbers[-1],
            "images": dict(sorted(each.items())),
        }
    for column in ("part", "pose", "gaze", "lighting", "domain"):
        values = Counter(value or "(none)" for value in table[column])
        if len(values) > 1:
            found[column] = dict(values.most_common())
    return found


def repeats(store: AlignedStore, groups: np.ndarray, examples: int = 5) -> dict[str, Any]:
    """Duplicates by file and by picture, with the first groups by name.

    Args:
        store: the data.
        groups: what `fesbench.data.duplicates.duplicate_groups` found.
        examples: how many groups to name.
    """
    from fesbench.data.duplicates import group_list

    table = store.manifest.table
    files = Counter(sha256 for sha256 in table["sha256"] if sha256)
    together = group_list(groups)
    who, names = table["identity"].tolist(), table["image"].tolist()
    across = [rows for rows in together if len({who[row] for row in rows}) > 1]
    return {
        "by_file": sum(count - 1 for count in files.values()),
        "by_picture": sum(len(rows) - 1 for rows in together),
        "groups": len(together),
        "groups_of_several_identities": len(across),
        "examples": [[names[row] for row in rows[:4]] for rows in (across or together)[:examples]],
    }


def check_sides(store: AlignedStore, rules: Rules, faces: bool, reporter: Reporter) -> dict[str, Any]:
    """Look for people and pictures on two sides of the protocol's split.

    Raises:
        LeakageError: there are some.
        UsageError: ``faces`` without a split to check.
    """
    from fesbench.data.leakage import check_leakage
    from fesbench.partition import build_splits

    if rules.protocol is None:
        if faces:
            raise UsageError("--faces compares the sides of a split; name its --protocol")
        return {"protocol": None, "said": ["no protocol splits this data by itself, so no split was checked"]}
    try:
        # of a k-fold form as a whole everybody is tested: who leaks does so within a fold
        splits = build_splits(rules.protocol, store)
    except LeakageError:
        raise
    except DataError as error:
        # a small copy is prepared all the same; what cannot be run under the protocol is said by its run too
        if faces:
            raise
        return {"protocol": rules.protocol.name, "said": [f"no split was checked: {error}"]}
    with reporter.stage("check that nobody is on two sides"):
        for split in splits:
            check_leakage(store.manifest, store.images, split)
    said = [f"no person, file or picture stands on two sides of {rules.protocol.name}'s split"]
    found: dict[str, Any] = {"protocol": rules.protocol.name, "said": said}
    if not faces:
        return found
    from fesbench.data.leakage import nearest_faces
    from fesbench.data.sheets import leakage_sheet
    from fesbench.extractors.registry import extractor

    model = extractor("dlib")
    missing = model.available()
    if missing:
        raise DataError(f"--faces needs dlib's face model ({missing}); see 'fesbench doctor'")
    with reporter.stage("embed one face of each person"):
        try:
            near = [pair for split in splits for pair in nearest_faces(store, split, _PAIRS, model.extract)]
        finally:
            model.close()
    once = {(pair.first, pair.second): pair for pair in near}
    pairs = sorted(once.values(), key=lambda pair: (pair.distance, pair.first, pair.second))[:_PAIRS]
    who = store.manifest.table["identity"]
    found["faces"] = [{**pair.__dict__, "people": (who[pair.first], who[pair.second])} for pair in pairs]
    if pairs:
        said.append(
            f"nearest faces of different sides: {who[pairs[0].first]} and {who[pairs[0].second]} at distance "
            f"{pairs[0].distance:.2f} (pictures of one person: usually below 0.6); look at "
            f"{leakage_sheet(store, pairs)}"
        )
    else:
        said.append("no faces to compare: there are no landmarks, or not on two sides")
    return found


def _own(name: str) -> Rules | None:
    """The rules of the newest protocol of a data set's own name, or of the only one that is about it."""
    about = {file.split("@")[0] for file, how in uses(name) if how == "data"}
    chosen = name if name in about else next(iter(about)) if len(about) == 1 else None
    return None if chosen is None else _of_protocol(name, load_protocol(chosen))


def _of_protocol(name: str, protocol: Protocol) -> Rules:
    rule = protocol.data
    if name == rule.set:
        # with other sets to test on, the split is that of all of them together
        return Rules(rule.size, rule.alignment, rule.options, None if rule.test_sets else protocol)
    for extra in rule.test_sets:
        if extra.set == name:
            return Rules(rule.size, extra.alignment, extra.options, None)
    if name in rule.stand_ins:
        served = protocol.with_overrides(data=name)
        return Rules(rule.size, served.data.alignment, served.data.options, served)
    raise UsageError(f"protocol {protocol.name} does not use data '{name}'; it uses {rule.set}")
