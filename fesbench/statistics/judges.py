"""What a score owes to its judges: a panel of networks that differ in their seeds alone.

Subjects and judges are crossed random factors: every judge sees every subject. An interval over subjects
holds the judges fixed; here it is widened by what another panel of as many would have said. The judges' part
comes from the score without each judge in turn. By the inequality of Efron and Stein the sum of squares of
those scores around their mean is, in expectation, at least the variance over panels of one judge fewer,
whatever the score does with the judges' answers; it is used as it stands, with K - 1 degrees of freedom. The
half-widths of the two parts add as squares. What judges and subjects do together is in both parts, so that it
counts twice: the interval is too wide, not too short, where judges disagree on single images.

Sources: Efron & Stein, The jackknife estimate of variance (Annals of Statistics 9, 1981); Howe, Approximate
confidence limits on the mean of X + Y (Journal of the American Statistical Association 69, 1974), for the sum
of squares; Owen, The pigeonhole bootstrap (Annals of Applied Statistics 1, 2007), for crossed factors.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from fesbench.statistics.intervals import Interval

LEAST_P = 1e-12


@dataclass(frozen=True)
class JudgeTerm:
    """The judges' part of an error.

    Attributes:
        error: standard error over panels.
        freedom: its degrees of freedom.
    """

    error: float = 0.0
    freedom: int = 1

    @classmethod
    def of(cls, without: Sequence[float]) -> JudgeTerm:
        """Of one figure, from the figure without each judge; nothing is known of fewer than two.

        >>> round(JudgeTerm.of([0.5, 0.6, 0.7]).error, 6)
        0.141421
        """
        values = np.asarray(without, dtype=np.float64)
        if len(values) < 2:
            return cls()
        return cls(float(np.sqrt(((values - values.mean()) ** 2).sum())), len(values) - 1)

    @classmethod
    def between(cls, a: Sequence[float], b: Sequence[float], *, same: bool) -> JudgeTerm:
        """Of the difference of two figures.

        Args:
            a, b: the figures without each judge; () where no judge had a say.
            same: whether one panel judged both, so that the difference is taken judge by judge.
        """
        if same and len(a) == len(b):
            return cls.of(np.subtract(a, b).tolist())
        left, right = cls.of(a), cls.of(b)
        known = [term for term in (left, right) if term.error > 0]
        squares = sum(term.error**2 for term in known)
        if not known:
            return cls(0.0, max(left.freedom, right.freedom))
        # Satterthwaite's, which for equal parts is their sum.
        freedom = squares**2 / sum(term.error**4 / term.freedom for term in known)
        return cls(math.sqrt(squares), max(1, math.floor(freedom + 1e-9)))

    def margin(self, level: float = 0.95) -> float:
        """Half-width at a level."""
        from scipy.special import stdtrit

        return 0.0 if self.error == 0 else -float(stdtrit(self.freedom, (1 - level) / 2)) * self.error

    def widen(self, value: float, low: float, high: float, level: float = 0.95) -> tuple[float, float]:
        """Bounds around a value, with the judges' part."""
        margin = self.margin(level)
        return value - math.hypot(value - low, margin), value + math.hypot(high - value, margin)

    def told(self, method: str) -> str:
        """How an interval was made, with the judges' part where there is one."""
        return f"{method}; judges with {self.freedom} degrees of freedom" if self.error else method


NO_JUDGES = JudgeTerm()


def widened(
    interval: Interval,
    without: Sequence[float],
    *,
    bounds: tuple[float, float] | None,
    trials: int,
    level: float = 0.95,
) -> Interval:
    """An interval over subjects, with the judges' part.

    Of a rate the judges' part is reckoned in log odds, half a trial added on either side: near 0 and 1 a
    panel that errs more pulls further than one that errs less.

    Args:
        interval: with the panel as it is.
        without: the figure without each judge; fewer than two change nothing.
        bounds: of a rate; None: of any other figure.
        trials: number of values behind a rate.
        level: coverage of the interval.
    """
    if len(without) < 2 or math.isnan(interval.low):
        return interval
    value, term = interval.value, JudgeTerm.of(without)
    below = above = term.margin(level)
    if bounds is not None:
        below, above = _rate_margins(value, without, bounds, trials, level)
    low = value - math.hypot(value - interval.low, below)
    high = value + math.hypot(interval.high - value, above)
    if bounds is not None:
        low, high = max(bounds[0], low), min(bounds[1], high)
    return replace(interval, low=low, high=high, method=f"{interval.method}; {len(without)} judges")


def _rate_margins(
    value: float, without: Sequence[float], bounds: tuple[float, float], trials: int, level: float
) -> tuple[float, float]:
    """How far below and above a rate its judges reach."""
    from scipy.special import expit, logit

    width = bounds[1] - bounds[0]

    def odds(rate: float) -> float:
        return float(logit(((rate - bounds[0]) / width * trials + 0.5) / (trials + 1)))

    half = JudgeTerm.of([odds(rate) for rate in without]).margin(level)
    low, high = (bounds[0] + width * float(expit(odds(value) + side * half)) for side in (-1, 1))
    return max(0.0, value - low) if half else 0.0, max(0.0, high - value) if half else 0.0


def crossed(
    value: float, p: float, bounds_at: Callable[[float], tuple[float, float]], term: JudgeTerm, level: float
) -> tuple[float, float, float]:
    """A difference's bounds and p-value over subjects and judges; p inverts the bounds.

    Args:
        value: the difference.
        p: over subjects alone.
        bounds_at: bounds over subjects at a level.
        term: the judges' part of the difference.
        level: of the bounds that are given back.

    Returns:
        low, high, p; where the subjects allow no bounds, p over both is NaN.
    """
    low, high = bounds_at(level)
    if term.error == 0:
        return low, high, p
    if not (math.isfinite(low) and math.isfinite(high)):
        return low, high, math.nan
    return *term.widen(value, low, high, level), max(p, _inverted(value, bounds_at, term))


def _inverted(value: float, bounds_at: Callable[[float], tuple[float, float]], term: JudgeTerm) -> float:
    """The p at which the bound on the side of 0 is 0."""
    from scipy.optimize import brentq

    def beyond(logarithm: float) -> float:
        level = -math.expm1(logarithm)
        low, high = bounds_at(level)
        return math.hypot(value - low if value > 0 else high - value, term.margin(level)) - abs(value)

    most, least = math.log(1 - 1e-9), math.log(LEAST_P)
    if value == 0 or beyond(most) >= 0:
        return 1.0
    if beyond(least) <= 0:
        return LEAST_P
    return math.exp(float(brentq(beyond, least, most, xtol=1e-9)))
