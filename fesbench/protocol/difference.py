"""Two protocols side by side, in words; and which version follows one."""

from __future__ import annotations

from fesbench.protocol.describe import rules_told
from fesbench.protocol.protocol import Protocol, newest


def successor(protocol: Protocol) -> str:
    """The newest installed version of a protocol's id, such as "avatars@2"; "" where the protocol is it.

    >>> from fesbench.protocol.protocol import load_protocol
    >>> successor(load_protocol("avatars@1")), successor(load_protocol("avatars"))
    ('avatars@2', '')
    """
    name = newest(protocol.id)
    return name if name and int(name.rpartition("@")[2]) > protocol.version else ""


def superseded(protocol: Protocol) -> str:
    """One sentence on the version that follows a protocol; "" where it is the newest."""
    name = successor(protocol)
    own = f"{protocol.id}@{protocol.version}"
    return f"{own} is superseded by {name}; 'fesbench protocols diff {own} {name}' says how" if name else ""


def difference(first: Protocol, second: Protocol) -> list[str]:
    """What differs between two protocols, line by line as `describe` tells their rules, and what follows."""
    told, also = rules_told(first), rules_told(second)
    lines: list[str] = []
    for protocol, own, other in ((first, told, also), (second, also, told)):
        alone = [line for line in own if line.strip() and line not in other]
        if alone:
            lines += [f"Only in {protocol.name}:", *(f"  {line.strip()}" for line in alone)]
    if first.hash == second.hash:
        return [f"{first.name} and {second.name} have the same rules (hash {first.hash[:16]})"]
    if first.training_hash == second.training_hash:
        lines.append(
            "Training sees the same under both: what was trained under one can be asked under the other."
        )
    else:
        lines.append(
            "Training sees other data, labels, subjects or lengths: what was trained is not the same."
        )
    lines.append("Their hashes differ, so their figures never stand in one column.")
    return lines
