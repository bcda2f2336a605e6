"""Combining rules: one estimate, with an honest interval, from the same analysis of several synthetic tables.

Must never take copies for independent samples of people: what they share, the noise and the people behind it, is the point.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal, TypeAlias, final, get_args

import numpy as np
import numpy.typing as npt

from privsynth.errors import InputError
from privsynth.statistics import beta_cdf, normal_quantile

Floats = npt.NDArray[np.float64]

Rule: TypeAlias = Literal["synthetic", "dealt", "partly_synthetic", "missing"]

LEVEL: Final = 0.9
_MANY: Final = 1e6
"""With more degrees of freedom than these, t is normal."""


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Combined:
    """What several copies say together.

    Shapes: all (p,), or () where each copy gave one number. Units: those of the estimates; `degrees` are those of Student's t.
    """

    estimate: Floats
    standard_error: Floats
    degrees: Floats
    lower: Floats
    upper: Floats
    level: float
    copies: int

    def lines(self) -> list[str]:
        """One line an estimate."""
        shown = zip(*(np.atleast_1d(each) for each in (self.estimate, self.lower, self.upper)), strict=True)
        return [f"{value:.4g} ({low:.4g} to {high:.4g}, {self.level:.0%})" for value, low, high in shown]

    def to_json(self) -> dict[str, object]:
        """Plain numbers and lists."""
        arrays = {name: getattr(self, name) for name in ("estimate", "standard_error", "degrees", "lower", "upper")}
        return {name: _plain(array) for name, array in arrays.items()} | {"level": self.level, "copies": self.copies}


def _plain(array: Floats) -> object:
    """Numbers as JSON has them: None where infinite."""
    found = [float(value) if math.isfinite(value) else None for value in np.atleast_1d(array)]
    return found if array.ndim else found[0]


def combine(
    estimates: npt.ArrayLike,
    variances: npt.ArrayLike,
    *,
    rule: Rule = "synthetic",
    level: float = LEVEL,
    size: float = 1.0,
) -> Combined:
    """Combine an analysis of m copies; for any analysis that gives an estimate and its variance.

    With q the mean of the estimates, b their variance (m - 1), and u the mean of the variances, the total variance T and the
    degrees of freedom are, with r = (1 + 1/m) b / u:

    - "synthetic", for tables whose rows are drawn at random, one by one: T = (1 + 1/m) b - u, (m - 1) (1 - 1/r)^2; it takes u
      off, because rows so drawn add to b what they are not people for. T is at least `size` * u, the variance of an analysis
      of the people themselves, then with m - 1 degrees of freedom.
    - "dealt", for tables whose rows are dealt evenly, as `Model.copies` makes them, so that they add next to nothing to b:
      T = (1 + 1/m) b, at least `size` * u, m - 1.
    - "partly_synthetic", where only some values were replaced: T = b/m + u, (m - 1) (1 + u m / b)^2.
    - "missing", for values that were filled in: T = u + (1 + 1/m) b, (m - 1) (1 + 1/r)^2.

    The interval is for the population that the people were drawn from. What analyses of the copies have in common stays: the
    model's own bias, which `Copies.regress` takes off and these rules cannot see.
    Args: `estimates` and `variances` are (m,) or (m, p), one line a copy; `size` is a copy's rows over the people's.
    Raises: InputError for fewer than two copies, other shapes, or numbers that are not finite, or variances below zero.
    Source: Raghunathan, Reiter, Rubin 2003 and Reiter 2002 (synthetic); Reiter 2003 (partly); Rubin 1987 (missing).
    """
    values, within = _checked(estimates, variances)
    if rule not in get_args(Rule):
        raise InputError(f"rule is one of {', '.join(get_args(Rule))}; found {rule!r}")
    if not 0 < level < 1 or not (math.isfinite(size) and size > 0):
        raise InputError("level is a share between 0 and 1, such as 0.9, and size a ratio above 0")
    m = len(values)
    between, mean_within = values.var(axis=0, ddof=1), within.mean(axis=0)
    variance, degrees = _RULES[rule](m, between, mean_within, size)
    return interval(values.mean(axis=0), np.sqrt(variance), degrees, level=level, copies=m)


def interval(estimate: Floats, error: Floats, degrees: Floats, *, level: float, copies: int) -> Combined:
    """The estimates with Student's t interval; an infinite error gives an infinite one. Shapes: all alike."""
    quantile = np.array([t_quantile((1 + level) / 2, float(each)) for each in np.atleast_1d(degrees)])
    half = error * quantile.reshape(np.shape(degrees))
    return Combined(
        estimate=np.asarray(estimate),
        standard_error=np.asarray(error),
        degrees=np.asarray(degrees),
        lower=np.asarray(estimate - half),
        upper=np.asarray(estimate + half),
        level=level,
        copies=copies,
    )


def _synthetic(m: int, between: Floats, within: Floats, size: float) -> tuple[Floats, Floats]:
    spread, floor = (1 + 1 / m) * between, size * within
    variance = spread - within
    share = np.divide(within, spread, out=np.ones_like(spread), where=spread > 0)
    above = variance > floor
    return np.where(above, variance, floor), np.where(above, (m - 1) * (1 - share) ** 2, m - 1.0)


def _dealt(m: int, between: Floats, within: Floats, size: float) -> tuple[Floats, Floats]:
    variance = np.maximum((1 + 1 / m) * between, size * within)
    return variance, np.full_like(variance, m - 1.0)


def _partly_synthetic(m: int, between: Floats, within: Floats, size: float) -> tuple[Floats, Floats]:  # noqa: ARG001
    return between / m + within, _added_degrees(m, between / m, within)


def _missing(m: int, between: Floats, within: Floats, size: float) -> tuple[Floats, Floats]:  # noqa: ARG001
    return (1 + 1 / m) * between + within, _added_degrees(m, (1 + 1 / m) * between, within)


def _added_degrees(m: int, spread: Floats, within: Floats) -> Floats:
    ratio = np.divide(within, spread, out=np.full_like(spread, np.inf), where=spread > 0)
    return np.asarray((m - 1) * (1 + ratio) ** 2)


_RULES: Final = {"synthetic": _synthetic, "dealt": _dealt, "partly_synthetic": _partly_synthetic, "missing": _missing}


def _checked(estimates: npt.ArrayLike, variances: npt.ArrayLike) -> tuple[Floats, Floats]:
    try:
        values, within = np.asarray(estimates, dtype=np.float64), np.asarray(variances, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError("estimates and variances are numbers, (m,) or (m, p): one line a copy") from None
    if values.ndim not in {1, 2} or values.shape != within.shape or values.size == 0:
        raise InputError(
            f"estimates and variances have the same shape, (m,) or (m, p): one line a copy; found {values.shape} and "
            f"{within.shape}"
        )
    if len(values) < 2:
        raise InputError("one copy says nothing of how far copies are apart; combine at least 2, better 10 or more")
    if not (np.isfinite(values).all() and np.isfinite(within).all()):
        raise InputError(
            "an estimate or a variance is missing or infinite; leave that coefficient out, or find out why"
        )
    if (within < 0).any():
        raise InputError("a variance is below zero; give squared standard errors")
    return values, within


@lru_cache(maxsize=4096)
def t_quantile(p: float, degrees: float) -> float:
    """The x that Student's t with so many degrees of freedom, whole or not, stays below with probability p, at least 1/2."""
    if degrees > _MANY:
        return normal_quantile(p)
    if degrees <= 0:
        return math.inf
    low, high = 0.0, 1.0
    while _t_tail(high, degrees) > 1 - p:
        low, high = high, 2 * high
        if high > 1e300:
            return math.inf
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if _t_tail(middle, degrees) > 1 - p else (low, middle)
    return high


def _t_tail(x: float, degrees: float) -> float:
    """P(t > x) for x at least 0. Source: DLMF 8.17."""
    return 0.5 * beta_cdf(degrees / (degrees + x * x), degrees / 2, 0.5)
