"""From noisy answers and the exact ones they were made of to numbers whose distribution is known.

Must never be called with answers about private tables.

Every noisy count is turned into an exactly uniform number, by the distribution function that it claims to come from and a
uniform number inside that value's step, and that into a normal one. So each test has the level that it states, for any sigma.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from privsynth import statistics
from privsynth.replay import Call

Floats = npt.NDArray[np.float64]
Int64s = npt.NDArray[np.int64]

_TAIL = 12
_EDGE = 1e-16
_TABLE_SIGMA = 4096
_CENTRAL = (
    (2509.0809287301226727, 33430.575583588128105, 67265.770927008700853, 45921.953931549871457,
     13731.693765509461125, 1971.5909503065514427, 133.14166789178437745, 3.387132872796366608),
    (5226.495278852545925, 28729.085735721942674, 39307.89580009271061, 21213.794301586595867,
     5394.1960214247511077, 687.1870074920579083, 42.313330701600911252, 1.0),
)  # fmt: skip
_NEAR = (
    (7.7454501427834140764e-4, 0.0227238449892691845833, 0.24178072517745061177, 1.27045825245236838258,
     3.64784832476320460504, 5.7694972214606914055, 4.6303378461565452959, 1.42343711074968357734),
    (1.05075007164441684324e-9, 5.475938084995344946e-4, 0.0151986665636164571966, 0.14810397642748007459,
     0.68976733498510000455, 1.6763848301838038494, 2.05319162663775882187, 1.0),
)  # fmt: skip
_FAR = (
    (2.01033439929228813265e-7, 2.71155556874348757815e-5, 0.0012426609473880784386, 0.026532189526576123093,
     0.29656057182850489123, 1.7848265399172913358, 5.4637849111641143699, 6.6579046435011037772),
    (2.04426310338993978564e-15, 1.4215117583164458887e-7, 1.8463183175100546818e-5, 7.868691311456132591e-4,
     0.0148753612908506148525, 0.13692988092273580531, 0.59983220655588793769, 1.0),
)  # fmt: skip


def normal_quantiles(p: Floats) -> Floats:
    """The x with P(Z <= x) = p for many p, 0 < p < 1. Source: Wichura 1988, algorithm AS 241, to 1e-15."""
    centred = p - 0.5
    found = centred * _ratio(_CENTRAL, 0.180625 - centred**2)
    tails = np.flatnonzero(np.abs(centred) > 0.425)
    r = np.sqrt(-np.log(np.minimum(p[tails], 1 - p[tails])))
    size = np.where(r <= 5, _ratio(_NEAR, r - 1.6), _ratio(_FAR, r - 5))
    found[tails] = np.copysign(size, centred[tails])
    return found


def _ratio(coefficients: tuple[tuple[float, ...], tuple[float, ...]], x: Floats) -> Floats:
    above, below = coefficients
    return np.asarray(np.polyval(above, x) / np.polyval(below, x))


@lru_cache(maxsize=1024)
def _steps(sigma_squared: Fraction) -> tuple[int, Floats]:
    """The rounded Gaussian's distribution function from 12 sigma below zero on: (first value, P(X <= value))."""
    sigma = math.sqrt(sigma_squared)
    reach = math.ceil(_TAIL * sigma) + 1
    return -reach, np.array([statistics.normal_cdf((value + 0.5) / sigma) for value in range(-reach, reach + 1)])


def normal(call: Call, rng: np.random.Generator, cells: Int64s | None = None) -> Floats:
    """Residuals as standard normal numbers: exactly such when the noise is what its sigma says; of some cells, or all."""
    residual = call.noisy - call.exact if cells is None else call.noisy[cells] - call.exact[cells]
    inside = rng.random(len(residual))
    sigma = math.sqrt(call.parameter)
    if sigma > _TABLE_SIGMA:  # steps of 1/4096 of a standard deviation: the continuous distribution is exact enough
        return (residual + inside - 0.5) / sigma
    first, up_to = _steps(call.parameter)
    place = np.clip(residual - first, 0, len(up_to) - 1)
    below = np.where(place > 0, up_to[np.maximum(place - 1, 0)], 0.0)
    return normal_quantiles(np.clip(below + inside * (up_to[place] - below), _EDGE, 1 - _EDGE))


def together(calls: Sequence[Call]) -> Call:
    """Draws with the same sigma as one."""
    exact, noisy = (np.concatenate(parts) for parts in ([c.exact for c in calls], [c.noisy for c in calls]))
    return Call(kind="gaussian", shape=exact.shape, parameter=calls[0].parameter, exact=exact, noisy=noisy)


def informative(call: Call) -> float:
    """How many continuous values a draw is worth: inside a step, of variance 1/12, the value is not the noise's own."""
    return call.exact.size * max(0.0, 1 - 1 / (12 * float(call.parameter))) ** 2


def choice(call: Call, rng: np.random.Generator) -> float:
    """A choice as a uniform number: the chance of a better score, and part of the chance of an equal one."""
    gaps = (call.exact - call.exact.max()).astype(np.float64) * float(call.parameter)
    chance = np.exp(gaps)
    chosen = call.exact[call.noisy[0]]
    better, equal = chance[call.exact > chosen].sum(), chance[call.exact == chosen].sum()
    return float((better + rng.random() * equal) / chance.sum())


def two_sided(z: float) -> float:
    """P(|Z| >= |z|)."""
    return min(1.0, 2 * statistics.normal_cdf(-abs(z)))


def of_the_least(p_values: list[float]) -> float:
    """P-value of the smallest of some p-values (Bonferroni); 1 where there is none."""
    return min(1.0, len(p_values) * min(p_values)) if p_values else 1.0
