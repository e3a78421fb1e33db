"""Extractors by name: each is declared where it is defined, and imported when it is asked for."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from fesbench.errors import UnknownNameError, UsageError
from fesbench.registry import Declared, Registry, literals
from fesbench.vocabulary import EXPRESSIONS

if TYPE_CHECKING:
    from fesbench.extractors.base import ClipExtractor, Extractor, Network, PairExtractor
    from fesbench.weights.manager import WeightsManager

JUDGE, REGRESSOR, DISCRIMINATOR = "judge", "au-regressor", "discriminator"
MEMBERS = "judge-members"
"""What each judge of the panel says, one behind another: at hand wherever the judge is, not made by name."""
CLIP_JUDGE, CLIP_MEMBERS, CLIP_FEATURES = "clip-judge", "clip-judge-members", "clip-judge-features"
"""What the protocol's clip judges see in whole clips: their mean probabilities, those of each member one
behind another, and the features of each.
"""
REAL = "(real)"
"""A discriminator's output behind its classes: the probability that an image is real."""
BOUND = {
    JUDGE: "the protocol's expression classifier: a probability for each expression",
    REGRESSOR: "the protocol's action-unit regressor: an intensity for each action unit",
    DISCRIMINATOR: "a method's own class head: what an auxiliary-classifier model says of itself",
    CLIP_JUDGE: "the protocol's classifier of whole clips: a probability for each expression",
    CLIP_FEATURES: "what that classifier makes of a clip before it names an expression",
}
"""Extractors that a protocol or a method trains: they are given with them and are not made from a name."""

_UNBOUND = {
    JUDGE: "extractor 'judge' needs the protocol's judge: train one, or use the shipped one",
    REGRESSOR: "extractor 'au-regressor' needs a protocol whose training data codes action units and whose "
    "metrics ask for them",
    DISCRIMINATOR: "extractor 'discriminator' belongs to a trained method; it is used in its own run",
    CLIP_JUDGE: "extractor 'clip-judge' reads whole clips; it is used in the run of a protocol of clips",
    CLIP_FEATURES: "extractor 'clip-judge-features' reads whole clips; it is used in such a run",
}

N = TypeVar("N", bound="Network")


def _read(module: str, source: ast.Module) -> Iterator[Declared]:
    """The classes that state a name and a summary."""
    for node in source.body:
        if isinstance(node, ast.ClassDef):
            facts = literals(node.body)
            if "name" in facts and "summary" in facts:
                yield Declared(facts["name"], module, node.name, facts)


def _accept(name: str, value: Any) -> Callable[[WeightsManager], Network]:
    if not callable(value):
        raise TypeError(f"{name} must be a callable that takes a WeightsManager")
    made: Callable[[WeightsManager], Network] = value
    return made


EXTRACTORS: Registry[Callable[[WeightsManager], Network]] = Registry(
    "extractor", "fesbench.extractors", _read, "fesbench.extractors", _accept
)
"""What makes each extractor or pair extractor; an entry point is a callable that takes a `WeightsManager`."""


def extractor_names() -> dict[str, str]:
    """Every name of an extractor with its line; those of external packages name their package."""
    others = {*pair_names(), *clip_names()}
    own = {name: entry.facts["summary"] for name, entry in EXTRACTORS.declared.items() if name not in others}
    return {**own, **BOUND, **{name: f"from {point.value}" for name, point in EXTRACTORS.points().items()}}


def pair_names() -> tuple[str, ...]:
    """The names of fesbench's pair extractors.

    >>> pair_names()
    ('lpips-alex', 'lpips-vgg', 'dists')
    """
    return tuple(name for name, entry in EXTRACTORS.declared.items() if _is_pair(entry))


def clip_names() -> tuple[str, ...]:
    """The names of fesbench's extractors of whole clips.

    >>> clip_names()
    ('i3d-kinetics-400',)
    """
    return tuple(name for name, entry in EXTRACTORS.declared.items() if _of_clips(entry))


def extractor(
    name: str,
    *,
    judge: Extractor | None = None,
    regressor: Extractor | None = None,
    manager: WeightsManager | None = None,
) -> Extractor:
    """Make an extractor; nothing heavy is loaded before its first use.

    Args:
        name: one of :func:`extractor_names`.
        judge: the classifier that the name ``judge`` stands for.
        regressor: what the name ``au-regressor`` stands for.
        manager: the weights manager; the default one lies under the fesbench home.

    Raises:
        UnknownNameError: no such extractor.
        UsageError: ``judge`` or ``au-regressor`` without one, or ``discriminator``.
    """
    if name in BOUND:
        given = {JUDGE: judge, REGRESSOR: regressor}.get(name)
        if given is None:
            raise UsageError(_UNBOUND[name])
        return given
    if name in (*pair_names(), *clip_names()) or name not in EXTRACTORS:
        raise UnknownNameError("extractor", name, extractor_names())
    from fesbench.extractors.base import Extractor

    return _make(name, manager, Extractor)  # type: ignore[type-abstract]


def pair_extractor(name: str, *, manager: WeightsManager | None = None) -> PairExtractor:
    """Make a pair extractor; nothing heavy is loaded before its first use.

    Raises:
        UnknownNameError: no such pair extractor.
        UsageError: the name is that of an external package's extractor of single images.
    """
    if name not in pair_names() and name not in EXTRACTORS.points():
        raise UnknownNameError("pair extractor", name, pair_names())
    from fesbench.extractors.base import PairExtractor

    return _make(name, manager, PairExtractor)  # type: ignore[type-abstract]


def clip_extractor(name: str, *, manager: WeightsManager | None = None) -> ClipExtractor:
    """Make an extractor of whole clips; nothing heavy is loaded before its first use.

    Raises:
        UnknownNameError: no such extractor.
        UsageError: the name is that of an external package's extractor of images.
    """
    if name not in clip_names() and name not in EXTRACTORS.points():
        raise UnknownNameError("extractor of clips", name, clip_names())
    from fesbench.extractors.base import ClipExtractor

    return _make(name, manager, ClipExtractor)  # type: ignore[type-abstract]


def weights_of(name: str) -> tuple[str, ...]:
    """Entries of the table of weights that an extractor loads; () for none, or for those of another package.

    >>> weights_of("inception-tf-2015-logits"), weights_of("dists"), weights_of("judge")
    (('inception-tf-2015',), ('piq-dists', 'vgg16'), ())
    """
    entry = EXTRACTORS.declared.get(name)
    return () if entry is None else tuple(entry.facts.get("weights", ()))


def outside_judges() -> tuple[str, ...]:
    """Classifiers of expressions that others have trained: each judges in a column of its own.

    >>> outside_judges()
    ('face-api', 'facex', 'fer')
    """
    return tuple(
        sorted(
            name
            for name, entry in EXTRACTORS.declared.items()
            if (classes := entry.facts.get("classes")) and set(classes) <= set(EXPRESSIONS)
        )
    )


def network(name: str) -> Network:
    """The extractor of a name, to ask whether it is available and what it depends on."""
    if name in clip_names():
        return clip_extractor(name)
    return pair_extractor(name) if name in pair_names() else extractor(name)


def _is_pair(entry: Declared) -> bool:
    return bool(entry.facts.get("pairs"))


def _of_clips(entry: Declared) -> bool:
    return bool(entry.facts.get("clips"))


def _make(name: str, manager: WeightsManager | None, kind: type[N]) -> N:
    if manager is None:
        from fesbench.files import fesbench_home
        from fesbench.weights.manager import WeightsManager

        manager = WeightsManager(fesbench_home())
    made = EXTRACTORS.get(name)(manager)
    if not isinstance(made, kind):
        raise UsageError(
            f"extractor '{name}' from {EXTRACTORS.points()[name].value} is no fesbench {kind.__name__}"
        )
    return made
