"""Who trains, who validates, who is tested: a protocol's split rule applied to a data set."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fesbench.errors import DataError
from fesbench.vocabulary import UNKNOWN_IDENTITY

if TYPE_CHECKING:
    from fesbench.data.splits.assign import Split
    from fesbench.data.store.aligned import AlignedStore
    from fesbench.protocol.protocol import Protocol
    from fesbench.protocol.schema import SplitRule

BY_IMAGE = "split by image: identities unknown"


def build_split(protocol: Protocol, store: AlignedStore) -> Split:
    """The protocol's disjoint split of a data set.

    Raises:
        DataError: a subset would be empty, a listed subject is not there, or the data does not say who is
            shown and the protocol splits by identity.
    """
    from fesbench.data.splits.assign import SUBSETS, Split, split_by_fold, split_of

    rule = protocol.split
    subsets = assignment(protocol, store)
    if rule.fold is not None:
        split = split_by_fold(
            {who: int(subset) for who, subset in subsets.items() if subset.isdigit()}, rule.fold
        )
        others = {who for who, subset in subsets.items() if not subset.isdigit()}
        return Split(split.train, split.validation, split.test | others)
    if rule.n_folds:
        tested = dict.fromkeys(subsets, "test")
        return split_of(tested)
    split = split_of(subsets)
    for subset in SUBSETS:
        if not split.subset(subset):
            who = "images" if rule.by == "image" else "subjects"
            raise DataError(
                f"{protocol.name}: the {subset} subset of '{store.data}' is empty with {len(subsets)} {who}; "
                f"bring more of it{_ways_out(protocol)}"
            )
    return split


def _ways_out(protocol: Protocol) -> str:
    """What somebody with few subjects can do, as the end of a sentence."""
    from fesbench.data.splits.assign import SUBSETS
    from fesbench.protocol.protocol import protocol_files

    forms = [name for name in protocol_files() if name.startswith(f"{protocol.id}/")]
    folded = f", take a k-fold form ({', '.join(forms)})" if forms else ""
    return (
        f"{folded}, or say with --split FILE who stands where: a CSV with the columns identity and subset "
        f"({', '.join(SUBSETS)}), of which 'fesbench protocols split {protocol.id} --template' writes one"
    )


def refuse_one_subject(protocol: Protocol, split: Split) -> None:
    """Refuse to score on one test subject; a fold of a k-fold form may have one.

    Raises:
        DataError: names the forms of the protocol that test everybody.
    """
    from fesbench.protocol.protocol import protocol_files

    if protocol.split.fold is not None or protocol.split.n_folds or len(split.test) != 1:
        return
    forms = [name for name in protocol_files() if name.startswith(f"{protocol.id}/")] or ["folder/5fold"]
    raise DataError(
        f"{protocol.name} tests one subject of this data, '{next(iter(split.test))}': such scores have no "
        f"interval and say nothing of others; test everybody once by a form of folds ({', '.join(forms)}), "
        "or say with --split FILE who is tested"
    )


def build_splits(protocol: Protocol, store: AlignedStore) -> list[Split]:
    """Every split that is run: the protocol's own, or in a k-fold form one for each fold that has subjects.

    Raises:
        DataError: see `build_split`.
    """
    if not protocol.split.n_folds:
        return [build_split(protocol, store)]
    return [split for rules in protocol.folds() if (split := build_split(rules, store)).test]


def assignment(protocol: Protocol, store: AlignedStore) -> dict[str, str]:
    """The subset of each subject, or in a k-fold form the number of its fold; who is in neither is left out.

    Raises:
        DataError: see `build_split`.
    """
    rule = protocol.split
    everybody = sorted(set(store.manifest.table["identity"]))
    prefixes = tuple(f"{extra.set}." for extra in protocol.data.test_sets)
    # whoever is unknown in a set that is tested is tested like its others
    tested = {who for who in everybody if who.removeprefix(UNKNOWN_IDENTITY).startswith(prefixes)}
    people = [who for who in everybody if who not in tested]
    unknown = [who for who in people if who.startswith(UNKNOWN_IDENTITY)]
    if rule.by == "image":
        if len(unknown) < len(people):
            raise DataError(
                f"{protocol.name} splits by image, and '{store.data}' says who is shown; use a protocol with "
                'split.by = "identity", so that nobody is in two subsets'
            )
        subsets = _by_image(rule, store, people)
    else:
        if unknown and rule.rule != "file":
            raise DataError(
                f"{protocol.name} splits by identity, and of {len(unknown)} images of '{store.data}' nobody "
                'knows who is shown; say who it is, or use a protocol with split.by = "image"'
            )
        subsets = _by_identity(rule, people)
    return {**subsets, **dict.fromkeys(tested, "test")}


def rule_in_words(rule: SplitRule) -> str:
    """The split rule in one sentence."""
    copies = "stay together" if rule.duplicates == "together" else "leave one behind"
    who = f"images (identities unknown; near-duplicates {copies})" if rule.by == "image" else "subjects"
    if rule.rule == "file":
        form = f"{who} by an imported file (sha256 {rule.digest[:8]})"
        return _fold_in_words(f"{form} into {rule.folds} folds", rule) if rule.folds else form
    if rule.rule == "index":
        return (
            f"{who} by fixed ranges, {rule.train} train, {rule.validation:g} validate, {rule.test:g} tested"
        )
    if rule.rule == "each":
        return _fold_in_words(f"{who} by name, one a fold", rule)
    if rule.folds:
        return _fold_in_words(f"{who} by sha256('{rule.seed}:identity') into {rule.folds} folds", rule)
    if rule.fold_names:
        return _fold_in_words(f"{who} by name into {len(rule.fold_names)} folds", rule)
    if rule.rule == "names":
        form = f"{len(rule.test_names)} {who} tested by name"
        if rule.validation:
            return f"{form}, {rule.validation:.0%} of the others validate, by sha256('{rule.seed}:identity')"
        return f"{form}, {len(rule.validation_names)} validate"
    if rule.rule == "official":
        return f"{who} in the subsets of the data set's owner"
    return f"{who} by sha256('{rule.seed}:identity'), {rule.validation:.0%} validate, {rule.test:.0%} tested"


def _fold_in_words(form: str, rule: SplitRule) -> str:
    return f"{form}, each tested once" if rule.fold is None else f"{form}; fold {rule.fold} is tested"


def _by_identity(rule: SplitRule, people: list[str]) -> dict[str, str]:
    if rule.rule == "index":
        from fesbench.data.splits.assign import split_by_index

        split = split_by_index(
            people, train=int(rule.train or 0), validation=int(rule.validation), test=int(rule.test)
        )
        return {who: subset for subset in ("train", "validation", "test") for who in split.subset(subset)}
    if rule.rule == "names":
        return _by_name(rule, people)
    if rule.rule == "file":
        return _from_file(rule, people)
    if rule.rule == "official":
        raise DataError("rule 'official' belongs to split.by = \"image\"; subjects are split by another rule")
    if rule.rule == "each":
        return _one_a_fold(people, int(rule.folds or 0))
    return {who: _hashed(rule)(who) for who in people}


def _hashed(rule: SplitRule) -> Callable[[str], str]:
    from fesbench.data.splits.assign import fold_by_hash, subset_by_hash

    if rule.folds:
        folds = rule.folds
        return lambda who: str(fold_by_hash(who, seed=rule.seed, folds=folds))
    return lambda who: subset_by_hash(who, seed=rule.seed, validation=rule.validation, test=rule.test)


def _one_a_fold(people: list[str], most: int) -> dict[str, str]:
    if len(people) > most:
        raise DataError(
            f"{len(people)} subjects would be as many trainings, and this form takes {most} at the most; "
            "use a form of fewer folds, such as folder/5fold, or give your own with --split FILE"
        )
    return {who: str(fold) for fold, who in enumerate(people)}


def _by_name(rule: SplitRule, people: list[str]) -> dict[str, str]:
    from fesbench.data.splits.assign import position

    if rule.fold_names:
        named = {who: str(k) for k, names in enumerate(rule.fold_names) for who in names}
        return {who: named[who] for who in people if who in named}
    test, validation = set(rule.test_names), set(rule.validation_names)
    if not test & set(people):
        raise DataError(
            f"no subject that the protocol tests ({', '.join(sorted(test)[:5])}, ...) is in the data"
        )
    if rule.validation:
        validation = {who for who in people if position(who, rule.seed) < rule.validation}
    return {who: "test" if who in test else "validation" if who in validation else "train" for who in people}


def _from_file(rule: SplitRule, people: list[str]) -> dict[str, str]:
    from fesbench.data.splits.files import read_subsets, subsets_hash

    subsets = read_subsets(Path(rule.file))
    if subsets_hash(subsets) != rule.digest:
        raise DataError(f"{rule.file} has changed since it was given; give it again with --split")
    absent = sorted(set(subsets) - set(people))
    if len(absent) == len(subsets):
        raise DataError(f"{rule.file} names nobody of this data (it names {', '.join(absent[:3])}, ...)")
    return {who: subsets[who] for who in people if who in subsets}


def _by_image(rule: SplitRule, store: AlignedStore, people: list[str]) -> dict[str, str]:
    """Subsets of images: what is near-duplicate goes together, or all but one of it goes nowhere."""
    from fesbench.data.splits.duplicates import duplicate_groups

    if rule.rule == "file":
        return _from_file(rule, people)
    table = store.manifest.table
    identities, images, parts = (table[name].tolist() for name in ("identity", "image", "part"))
    groups = duplicate_groups(store)
    order = np.argsort(groups, kind="stable")
    subsets: dict[str, str] = {}
    among = set(people)
    for rows in np.split(order, np.flatnonzero(np.diff(groups[order])) + 1):
        members = [int(row) for row in rows if identities[row] in among]
        if not members:
            continue
        first, subset = _subset_of_group(rule, members, images, parts)
        kept = [first] if rule.duplicates == "drop" else members
        subsets |= {identities[row]: subset for row in kept if subset}
    return subsets


_STRICTEST: Mapping[str, int] = {"train": 0, "validation": 1, "test": 2, "": 3}


def _subset_of_group(
    rule: SplitRule, members: list[int], images: list[str], parts: list[str]
) -> tuple[int, str]:
    """The image that stands for a group, and the group's subset.

    Officially separated copies go to the subset that is trained on: the test subset loses what training has
    seen.
    """
    if rule.rule == "official":
        first = min(members, key=lambda row: (_STRICTEST[parts[row]], row))
        return first, parts[first]
    return members[0], _hashed(rule)(images[members[0]])
