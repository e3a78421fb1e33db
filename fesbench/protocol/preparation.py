"""How a data set is prepared by itself, outside of a run: by whose rules, and what is said of the result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fesbench.errors import UsageError
from fesbench.protocol.protocol import Protocol, load_protocol, protocol_files

_SIZE = 128


@dataclass(frozen=True)
class Rules:
    """Size, alignment and options, and the protocol that they come from.

    Attributes:
        size: side of the aligned images, pixels.
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
