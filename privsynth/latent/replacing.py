"""Replacing rows that no rule allows, so that every attribute's table stays what it should be.

Must never look at anything but drawn rows and the model that they were drawn from.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from privsynth.latent.dealing import Codes
from privsynth.structural import StructuralZeros

Floats = npt.NDArray[np.float64]

_CANDIDATES, _MOST_CANDIDATES = 8, 100_000
"""How many rows are drawn for each that is replaced, up to so many where that is more than twice as many as are needed."""

_LOOKED_AT = 50_000
"""Rows from which it is told which levels go with rows that are ruled out."""

_TRIES = 20
"""Rounds of drawing candidates; what cannot be replaced then is left to the rules' repair."""

_SWEEPS = 12
_LEAST = 0.02
"""A level that has its rows already gets this part of its usual share of the replacements: none would leave no row at all."""


def replace_impossible(
    codes: Sequence[Codes],
    zeros: StructuralZeros,
    shares: Sequence[Floats],
    draw: Callable[[int], Sequence[Codes]],
    rng: np.random.Generator,
) -> None:
    """Replace rows that hit an impossible cell, in place, by allowed ones that make up for the levels that go with them.

    Rows that a rule rules out are not like other rows: fresh ones in their place would move the tables of the attributes that
    the rule names. Allowed rows of which there are too many, then, go with them; more fresh rows are drawn than are needed,
    weighed until kept and fresh rows together have every attribute's shares (raking), and taken by these weights.
    Shapes: `codes[i]` is (rows,), `shares[i]` (levels of i,), summing to 1; `draw(m)` gives m rows of the model.
    Source: Deming, Stephan 1940 for raking; Madow 1949 for systematic sampling.
    """
    kept = zeros.allowed(codes)
    if kept.all():
        return
    fresh = _candidates(zeros, draw, int((~kept).sum()))
    if not fresh[0].size:
        return
    kept &= _in_place(codes, kept, zeros, shares, rng)
    gone = np.flatnonzero(~kept)
    wished = [_needed(*part, kept, gone.size) for part in zip(codes, shares, strict=True)]
    weights = _weighed(fresh, _raked(fresh, wished))
    order = rng.permutation(weights.size)
    ends = np.cumsum(weights[order])
    marks = (np.arange(gone.size) + rng.random()) / gone.size * ends[-1]
    taken = rng.permutation(order[np.searchsorted(ends, np.minimum(marks, np.nextafter(ends[-1], 0)), side="right")])
    for column, values in zip(codes, fresh, strict=True):
        column[gone] = values[taken]


def _in_place(
    codes: Sequence[Codes],
    allowed: npt.NDArray[np.bool_],
    zeros: StructuralZeros,
    shares: Sequence[Floats],
    rng: np.random.Generator,
) -> npt.NDArray[np.bool_]:
    """Which rows may stay: where allowed rows alone would have too many of a level, some of them do not.

    A row that says two things, of which a rule leaves one, has to become two rows, one for each, in the place of a third.
    """
    named = sorted({zeros.domain.index(name) for clique in zeros.tables for name in clique})
    places = np.flatnonzero(allowed)
    looked_at = places if places.size <= _LOOKED_AT else rng.choice(places, _LOOKED_AT, replace=False)
    if not looked_at.size:
        return allowed
    columns = [codes[axis][looked_at] for axis in named]
    factors = _raked(columns, [shares[axis] * looked_at.size for axis in named])
    return np.asarray(rng.random(allowed.size) < _weighed([codes[axis] for axis in named], factors))


def _candidates(zeros: StructuralZeros, draw: Callable[[int], Sequence[Codes]], wanted: int) -> list[Codes]:
    """Rows that the rules allow, more than are wanted; fewer where the rules allow next to none."""
    size = max(2 * wanted, min(_CANDIDATES * wanted, _MOST_CANDIDATES))
    found: list[list[Codes]] = []
    count = 0
    for _ in range(_TRIES):
        drawn = draw(size)
        allowed = zeros.allowed(drawn)
        found.append([column[allowed] for column in drawn])
        count += int(allowed.sum())
        if count >= size // 2:
            break
    return [np.concatenate(columns) for columns in zip(*found, strict=True)]


def _needed(codes: Codes, shares: Floats, kept: npt.NDArray[np.bool_], wanted: int) -> Floats:
    """How many of the replacements are to have each level, so that with the rows kept it has its share."""
    have = np.bincount(codes[kept], minlength=len(shares))
    needed = np.maximum(len(codes) * shares - have, _LEAST * wanted * shares)
    return np.asarray(needed / needed.sum() * wanted)


def _raked(columns: Sequence[Codes], wished: Sequence[Floats]) -> list[Floats]:
    """Factors of the levels: rows that weigh the product of theirs have the levels that are wished for, as far as they can."""
    factors = [np.ones(len(each)) for each in wished]
    weights = np.ones(columns[0].size)
    for _ in range(_SWEEPS):
        for place, (column, each) in enumerate(zip(columns, wished, strict=True)):
            now = np.bincount(column, weights=weights, minlength=len(each))
            change = np.divide(each, now, out=np.ones(len(each)), where=now > 0)
            factors[place] *= change
            weights *= change[column]
    return factors


def _weighed(columns: Sequence[Codes], factors: Sequence[Floats]) -> Floats:
    weights = np.ones(columns[0].size)
    for column, factor in zip(columns, factors, strict=True):
        weights *= factor[column]
    return weights
