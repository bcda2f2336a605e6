"""Curves: score(n) = ceiling - a n^-b fitted to scores at several sizes, with what a bootstrap says of it.

Must never say where a curve goes that was not measured: beyond the largest size nothing is told but the ceiling, as such.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias, final

import numpy as np
import numpy.typing as npt

from privsynth.errors import InputError

Floats: TypeAlias = npt.NDArray[np.float64]
Shape: TypeAlias = Literal["growing", "flat", "falling", "not monotone"]

LEAST_SIZES: Final = 4
_POWERS: Final = np.geomspace(0.05, 3.0, 60)
_RESAMPLES: Final = 400
_SHUFFLES: Final = 399
_LEVEL: Final = 0.05
_DIP: Final = 3.5
"""Standard errors by which a later size must fall below an earlier one to count as a fall."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """An inverse power law and its intervals of 95 %, None where the scores do not follow one.

    `sizes` and `means` are what was measured, `spread` the standard error of each mean. `stops_at` is the size at which
    doubling the rows gains less than `gain`; None where that is not reached within the sizes that were measured, and so are
    the interval's ends. The smallest size stands for itself and for all below it, where nothing was measured.
    """

    shape: Shape
    sizes: tuple[int, ...]
    means: tuple[float, ...]
    spread: tuple[float, ...]
    gain: float
    ceiling: float | None
    ceiling_interval: tuple[float, float] | None
    slope: float | None
    power: float | None
    stops_at: int | None
    stops_interval: tuple[int | None, int | None]

    def at(self, n: float) -> float | None:
        """The fitted score at a size."""
        if self.ceiling is None or self.slope is None or self.power is None:
            return None
        return float(self.ceiling - self.slope * n**-self.power)

    def to_json(self) -> dict[str, object]:
        """A JSON object."""
        return {
            "shape": self.shape,
            "points": [
                {"rows": n, "score": round(mean, 4), "standardError": round(error, 4)}
                for n, mean, error in zip(self.sizes, self.means, self.spread, strict=True)
            ],
            "ceiling": _rounded(self.ceiling),
            "ceilingInterval95": None
            if self.ceiling_interval is None
            else [_rounded(one) for one in self.ceiling_interval],
            "slope": self.slope,
            "power": _rounded(self.power),
            "gainOfDoubling": self.gain,
            "doublingStopsHelpingAt": self.stops_at,
            "doublingStopsHelpingAtOrBelow": self.stops_at == self.sizes[0],
            "doublingStopsHelpingInterval95": list(self.stops_interval),
        }

    def words(self, rows: str) -> str:
        """What it says of more of these rows, with nothing beyond the largest size."""
        most = f"{self.sizes[-1]:,}"
        if self.shape == "flat":
            return (
                f"the score cannot be told from flat between {self.sizes[0]:,} and {most} {rows}: no help of more "
                "of them can be told, though few seeds may hide one"
            )
        if self.shape == "falling":
            return f"the score falls with more {rows}, up to {most}: more of them hurt"
        if self.shape == "not monotone":
            return (
                f"the score rises and falls again with more {rows}: no curve is fitted; take more seeds or other sizes"
            )
        assert self.ceiling is not None
        assert self.ceiling_interval is not None
        low, high = self.ceiling_interval
        end = f"its ceiling, an extrapolation, is {self.ceiling:.3f} ({low:.3f} to {high:.3f})"
        if self.stops_at is None:
            return f"doubling the {rows} still gains {self.gain:g} or more at {most}, where measuring ended; {end}"
        early, late = self.stops_interval
        between = f"{self._size(early)} to {self._size(late)}" if early != late else self._size(early)
        return f"from {self._size(self.stops_at)} {rows} on ({between}) doubling gains less than {self.gain:g}; {end}"

    def _size(self, n: int | None) -> str:
        """A size in words that go no further than what was measured."""
        if n is None:
            return f"beyond {self.sizes[-1]:,}"
        return f"at or below {n:,}" if n <= self.sizes[0] else f"{n:,}"


def fit_curve(sizes: npt.ArrayLike, scores: npt.ArrayLike, *, gain: float, rng: np.random.Generator) -> Curve:
    """Fit an inverse power law by least squares: a grid over the power, the rest linear.

    Whether there is a curve at all is tested first: against flat by shuffling the sizes, against a fall by the means. Intervals
    are of a wild bootstrap, which keeps the spread that each size has. They are about the rows that were judged by.
    No score is above one, and so no ceiling is said to be.
    Shapes: `sizes` is (points,), how many rows each score was reached with; `scores` is (points,), several for each size.
    Raises: InputError for fewer than four sizes, fewer than two scores each, or a gain that is not above zero.
    Source: Cortes et al. 1993 (the law); Wu 1986 (the bootstrap).
    """
    where, found = np.asarray(sizes, dtype=np.float64), np.asarray(scores, dtype=np.float64)
    levels, group, count = np.unique(where, return_inverse=True, return_counts=True)
    if len(levels) < LEAST_SIZES or count.min() < 2 or levels[0] < 1:
        raise InputError(
            f"a curve needs {LEAST_SIZES} sizes or more, with two scores or more at each; give more sizes or seeds"
        )
    if not 0 < gain < 1:
        raise InputError(f"the gain that counts is a score between 0 and 1; found {gain!r}")
    means = np.bincount(group, found) / count
    spread = np.sqrt(np.sum((found - means[group]) ** 2) / (len(found) - len(levels)) / count)
    basis = _Basis(where)
    shape = _shape(basis, found, means, spread, rng)
    plain = Curve(
        shape=shape,
        sizes=tuple(int(n) for n in levels),
        means=tuple(means.tolist()),
        spread=tuple(spread.tolist()),
        gain=gain,
        ceiling=None,
        ceiling_interval=None,
        slope=None,
        power=None,
        stops_at=None,
        stops_interval=(None, None),
    )
    if shape != "growing":
        return plain
    fitted = basis.fit(found[None])[0]
    line = fitted[0] - fitted[1] * where ** -fitted[2]
    signs = rng.choice([-1.0, 1.0], (_RESAMPLES, len(found)))
    inflated = (found - line) * np.sqrt(len(found) / (len(found) - 3))
    again = basis.fit(line + signs * inflated)
    low, high = np.quantile(again[:, 0], [0.025, 0.975])
    ends = float(levels[0]), float(levels[-1])
    stops = np.array([_stop(one, gain) for one in again])
    early, late = np.quantile(stops, [0.025, 0.975], method="nearest")
    return replace(
        plain,
        ceiling=float(min(fitted[0], 1.0)),
        ceiling_interval=(float(min(low, 1.0)), float(min(high, 1.0))),
        slope=float(fitted[1]),
        power=float(fitted[2]),
        stops_at=_within(_stop(fitted, gain), ends),
        stops_interval=(_within(early, ends), _within(late, ends)),
    )


@final
class _Basis:
    """Least squares at every power of the grid, prepared once: rows of scores are fitted together."""

    def __init__(self, sizes: Floats) -> None:
        shrunk = sizes[None] ** -_POWERS[:, None]
        self._means = shrunk.mean(axis=1)
        self._centred = shrunk - self._means[:, None]
        self._squares = np.sum(self._centred**2, axis=1)

    def explained(self, scores: Floats) -> Floats:
        """The squares that a growing curve explains, at its best power. Shapes: (tables, points) to (tables,)."""
        slopes = -(scores @ self._centred.T) / self._squares
        return np.asarray((np.maximum(slopes, 0) ** 2 * self._squares).max(axis=1))

    def fit(self, scores: Floats) -> Floats:
        """Ceiling, slope and power. Shapes: (tables, points) to (tables, 3)."""
        slopes = np.maximum(-(scores @ self._centred.T) / self._squares, 0)
        best = np.argmax(slopes**2 * self._squares, axis=1)
        slope = slopes[np.arange(len(scores)), best]
        ceiling = scores.mean(axis=1) + slope * self._means[best]
        return np.stack([ceiling, slope, _POWERS[best]], axis=1)


def _shape(basis: _Basis, scores: Floats, means: Floats, spread: Floats, rng: np.random.Generator) -> Shape:
    shuffled = np.stack([rng.permutation(scores) for _ in range(_SHUFFLES)])

    def chance(one: Floats, others: Floats) -> float:
        """The share of shuffled tables that look as much like a curve."""
        return float((1 + np.sum(basis.explained(others) >= basis.explained(one[None])[0])) / (1 + _SHUFFLES))

    top = int(np.argmax(means))
    falls = means[top] - means[-1] > _DIP * float(np.hypot(spread[top], spread[-1]))
    if chance(scores, shuffled) <= _LEVEL / 2:
        return "not monotone" if falls else "growing"
    if chance(-scores, -shuffled) <= _LEVEL / 2:
        return "falling"
    return "not monotone" if falls else "flat"


def _stop(fitted: Floats, gain: float) -> float:
    """Where doubling gains as much as `gain`: a n^-b (1 - 2^-b) = gain."""
    _, slope, power = fitted
    return float((slope * (1 - 2**-power) / gain) ** (1 / power)) if slope > 0 else 0.0


def _within(n: float, ends: tuple[float, float]) -> int | None:
    """A size among those measured: the smallest for all below it, None beyond the largest."""
    return None if n > ends[1] else round(float(max(n, ends[0])))


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
