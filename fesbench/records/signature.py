"""The line that travels with every score and says how it was made.

Example::

    FID|x:inception-tf-2015:6726825d:tf1-1|ref:test-real|n:1964/1964|p:ckplus@1:8c1f|a:dlib68-128-gray|v:0.3.0

After the metric's name come ``key:value`` fields in one fixed order: ``x`` extractor, ``r`` resize, ``ref``
reference set, then the metric's own settings (``far``, ``gallery``, ``window`` ...), ``n`` valid/requested,
``p`` protocol, ``a`` alignment, ``native`` the method's own image form, ``trained`` what is known of a
training that fesbench did not do (``declared``, ``unknown``), ``zoo`` the budget of a training whose
weights were loaded, ``v`` code version. Two scores may stand in one column only if their keys are equal;
the key says how was measured, so it leaves out ``native``, ``trained``, ``zoo``, the code version and, but
for scores that depend on it (``target``), the valid n.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fesbench import __version__
from fesbench.errors import UsageError

_FIRST = ("x", "r", "ref")
METHOD_FIELDS = ("native", "trained", "zoo")
"""Of the images' maker, not of the measurement."""
_LAST = ("n", "p", "a", *METHOD_FIELDS, "v")
FIELDS: Mapping[str, str] = {
    "x": "extractor (name, weights, recipe of its settings)",
    "r": "resize before the comparison",
    "ref": "compared with",
    "n": "images that counted / that were asked for",
    "p": "protocol, its hash, the data with its fingerprint, the budget",
    "a": "alignment of the images",
    "native": "the method's own image form, resized to and from (may differ)",
    "trained": "what is known of a training that fesbench did not do (may differ)",
    "zoo": "budget under which fesbench trained the weights that were loaded (may differ)",
    "v": "version of fesbench (may differ)",
    "avg": "average over requests",
    "dist": "distance",
    "dtype": "precision of the arithmetic",
    "judges": "the judge: K networks that differ in their seeds, their recipe, training data and digest; "
    "how far their answers part is in the interval",
    "face": "detector whose word it is that an output shows a face, where it finds one in the source",
    "missing": "an image without a face (or features) counts as",
    "pair": "what is compared with what",
    "sim": "similarity",
    "ties": "ties count as",
}
"""What the fields mean that signatures of many metrics have; a metric declares the meanings of its others."""

_ESCAPES = (("%", "%25"), ("|", "%7C"), ("\n", "%0A"))


@dataclass(frozen=True)
class Signature:
    """Metric name and ordered fields; build with :meth:`of`, read back with :meth:`parse`."""

    name: str
    fields: tuple[tuple[str, str], ...]

    @classmethod
    def of(
        cls,
        name: str,
        *,
        n_valid: int,
        n_requested: int,
        protocol: str,
        extractor: str = "",
        resize: str = "",
        reference: str = "",
        alignment: str = "",
        settings: Mapping[str, str] | None = None,
        version: str = __version__,
    ) -> Signature:
        """Build a signature; empty parts are left out.

        Raises:
            UsageError: a setting uses a reserved or malformed key.

        >>> str(Signature.of("SSIM", n_valid=9, n_requested=10, protocol="avatars@1", version="1"))
        'SSIM|n:9/10|p:avatars@1|v:1'
        """
        own = dict(settings or {})
        for key in own:
            if key in (*_FIRST, *_LAST) or not key.replace("-", "").isalnum():
                raise UsageError(f"metric '{name}': '{key}' cannot be the name of a signature setting")
        parts = {"x": extractor, "r": resize, "ref": reference, **dict(sorted(own.items()))}
        parts |= {"n": f"{n_valid}/{n_requested}", "p": protocol, "a": alignment, "v": version}
        return cls(name, tuple((key, value) for key, value in parts.items() if value))

    def with_method(self, trained: str, native: str = "", zoo: str = "") -> Signature:
        """The signature with what a reader must know of the images' maker.

        Args:
            trained: what is known of its training; "fesbench" is not written.
            native: its own image form, which the engine resized to and from; "" = the protocol's.
            zoo: the budget of its training, where it was loaded from the zoo; "" elsewhere.

        >>> str(Signature.parse("SSIM|n:4/4|p:x@1|v:1").with_method("unknown", "28-gray-bicubic-aa"))
        'SSIM|n:4/4|p:x@1|native:28-gray-bicubic-aa|trained:unknown|v:1'
        """
        told = {"native": native, "trained": "" if trained == "fesbench" else trained, "zoo": zoo}
        kept = [item for item in self.fields if item[0] != "v"]
        last = [item for item in self.fields if item[0] == "v"]
        return Signature(self.name, (*kept, *(item for item in told.items() if item[1]), *last))

    def __str__(self) -> str:
        return "|".join([_escape(self.name), *(f"{key}:{_escape(value)}" for key, value in self.fields)])

    @classmethod
    def parse(cls, text: str) -> Signature:
        """Read a signature back from its line.

        Raises:
            UsageError: the text is no signature.

        >>> Signature.parse("FVS|tau:0.6|n:9/10").fields
        (('tau', '0.6'), ('n', '9/10'))
        """
        name, *rest = text.split("|")
        pairs = [part.split(":", 1) for part in rest]
        if not name or not rest or any(len(pair) != 2 for pair in pairs):
            raise UsageError(f"not a score signature: '{text}'; expected 'NAME|key:value|...'")
        if len({pair[0] for pair in pairs}) != len(pairs):
            raise UsageError(f"not a score signature: '{text}' holds a field twice")
        return cls(_unescape(name), tuple((key, _unescape(value)) for key, value in pairs))

    def comparable(self) -> dict[str, str]:
        """The fields that must agree before two scores are compared.

        ``n`` is the requested number alone; beside a ``target``, an expectation that depends on n, all of it.
        """
        kept = {"metric": self.name, **dict(self.fields)}
        kept.pop("v", None)
        for name in METHOD_FIELDS:
            kept.pop(name, None)
        if "n" in kept and "target" not in kept:
            kept["n"] = kept["n"].rpartition("/")[2]
        return kept

    def key(self) -> str:
        """Comparison key: the signature without training, code version and, mostly, valid n."""
        fields = self.comparable()
        name = fields.pop("metric")
        return "|".join([_escape(name), *(f"{key}:{_escape(value)}" for key, value in fields.items())])

    @staticmethod
    def difference(a: Signature | str, b: Signature | str) -> tuple[str, ...]:
        """Names of the fields in which two signatures are not comparable; empty when their keys agree.

        >>> Signature.difference("FVS|tau:0.6|n:9/10|v:1", "FVS|tau:0.5|n:8/10|v:2")
        ('tau',)
        """
        first, second = (Signature.parse(s) if isinstance(s, str) else s for s in (a, b))
        left, right = first.comparable(), second.comparable()
        return tuple(name for name in {**left, **right} if left.get(name) != right.get(name))


def _escape(value: str) -> str:
    for plain, code in _ESCAPES:
        value = value.replace(plain, code)
    return value


def _unescape(value: str) -> str:
    for plain, code in reversed(_ESCAPES):
        value = value.replace(code, plain)
    return value
