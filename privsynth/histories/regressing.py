"""Regressing: the chances of an attribute's levels given others, by main effects, fitted to records drawn from a model.

Must never be fitted to records other than those drawn from a model: it is post-processing, and free.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

_RIDGE = 1.0
"""Of every coefficient's square, against the log-likelihood of all records: a level that is never seen stays possible."""

_STEPS, _MEMORY = 40, 8
_ENOUGH = 3e-5
"""Steps end when the mean log-likelihood of a record grows by less."""

_SHRINK, _SHORTEST, _DECREASE = 0.5, 1e-3, 1e-4
_BLOCK_ROWS = 1 << 16

_NO_ROOM = -1e4
"""The score of a level without room."""


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Regression:
    """A multinomial logistic regression on levels of other attributes; where levels have room, chances are relative to it.

    At its maximum of the likelihood, the records' table of the attribute with each of the others is matched, exactly but for
    the ridge. Shapes: `effects` is (levels of all evidence + 1, levels), the last row for all records; `starts` (evidence,).
    """

    starts: Ints
    effects: Singles

    @classmethod
    def fit(
        cls, evidence: Sequence[Ints], sizes: Sequence[int], target: Ints, size: int, room: Singles | None = None
    ) -> Regression:
        """Fit by a quasi-Newton method whose metric bounds the curvature from above.

        Shapes: each of `evidence`, and `target`, is (records,) codes; `sizes` and `size` are their numbers of levels; `room`
            (records, levels) is what chances are in proportion to before any effect, positive at the target.
        Source: Boehning 1992 (the bound); Nocedal 1980 (L-BFGS).
        """
        starts = np.cumsum((0, *sizes))[:-1].astype(np.int64)
        problem = _Problem(evidence, starts, sum(sizes) + 1, target, size, room)
        effects = np.zeros((problem.width, size))
        if room is None:
            effects[-1] = np.log(np.maximum(np.bincount(target, minlength=size), 0.5) / max(len(target), 1))
        return cls(starts=starts, effects=_minimised(problem, effects).astype(np.float32))

    def draw(self, evidence: Sequence[Ints], rows: int, rng: np.random.Generator, room: Singles | None = None) -> Ints:
        """A level for each row. Shapes: each of `evidence` is (rows,); `room` is (rows, levels), as in `fit`."""
        found = np.empty(rows, dtype=np.int64)
        for start in range(0, rows, _BLOCK_ROWS):
            block = slice(start, min(start + _BLOCK_ROWS, rows))
            scores = np.repeat(self.effects[-1:], block.stop - start, axis=0)
            for first, codes in zip(self.starts, evidence, strict=True):
                scores += self.effects[first + codes[block]]
            if room is not None:
                scores += _logs(room[block])
            scores -= scores.max(axis=1, keepdims=True)
            ends = np.cumsum(np.exp(scores, out=scores), axis=1)
            aim = rng.random(len(ends), dtype=np.float32) * ends[:, -1]
            found[block] = (ends <= np.minimum(aim, np.nextafter(ends[:, -1], np.float32(0)))[:, None]).sum(axis=1)
        return found


@final
class _Problem:
    """The mean negative log-likelihood of records, with its slope, and a bound on its curvature."""

    def __init__(
        self,
        evidence: Sequence[Ints],
        starts: Ints,
        width: int,
        target: Ints,
        size: int,
        room: Singles | None,
    ) -> None:
        records = len(target)
        self._room = None if room is None else _logs(room)
        self.width, self._rows, self._target = width, np.arange(records), target
        self._marks = np.zeros((records, width), dtype=np.float32)
        self._marks[:, -1] = 1
        for first, codes in zip(starts, evidence, strict=True):
            self._marks[self._rows, first + codes] = 1
        self._ridge = _RIDGE / max(records, 1)
        together = (self._marks.T @ self._marks).astype(np.float64) / max(records, 1)
        together[np.diag_indices(width)] += 2 * self._ridge
        self.metric: Floats = np.asarray(2 * np.linalg.inv(together), dtype=np.float64)
        hits = np.zeros((records, size), dtype=np.float32)
        hits[self._rows, target] = 1
        self._observed = self._mean(hits)

    def _mean(self, chances: Singles) -> Floats:
        return np.asarray((self._marks.T @ chances) / max(len(self._rows), 1), dtype=np.float64)

    def look(self, effects: Floats) -> tuple[float, Floats]:
        """The loss and its slope. Shapes: `effects` and the slope are (width, levels)."""
        scores = self._marks @ effects.astype(np.float32)
        if self._room is not None:
            scores += self._room
        scores -= scores.max(axis=1, keepdims=True)
        hit = scores[self._rows, self._target].astype(np.float64)
        np.exp(scores, out=scores)
        sums = scores.sum(axis=1)
        loss = float((np.log(sums) - hit).sum()) / max(len(self._rows), 1) + self._ridge / 2 * float((effects**2).sum())
        scores /= sums[:, None]
        slope: Floats = self._mean(scores) - self._observed + self._ridge * effects
        return loss, slope


def _logs(room: Singles) -> Singles:
    """The logarithm, far below any other where there is no room."""
    return np.where(room > 0, np.log(np.maximum(room, np.float32(1e-6))), np.float32(_NO_ROOM))


def _minimised(problem: _Problem, effects: Floats) -> Floats:
    loss, slope = problem.look(effects)
    past: list[tuple[Floats, Floats, float]] = []
    for _ in range(_STEPS):
        way = _direction(problem.metric, slope, past)
        fall, length = float((slope * way).sum()), 1.0
        while True:
            tried = effects - length * way
            found, steep = problem.look(tried)
            if found <= loss - _DECREASE * length * fall or length < _SHORTEST:
                break
            length *= _SHRINK
        moved: Floats = tried - effects
        turned: Floats = steep - slope
        curvature = float((moved * turned).sum())
        if curvature > 0:
            past = [*past, (moved, turned, 1 / curvature)][-_MEMORY:]
        gained, effects, loss, slope = loss - found, tried, found, steep
        if gained < _ENOUGH:
            break
    return effects


def _direction(metric: Floats, slope: Floats, past: Sequence[tuple[Floats, Floats, float]]) -> Floats:
    """The two loops of L-BFGS, begun from the metric."""
    way, shares = slope.copy(), []
    for moved, turned, scale in reversed(past):
        share = scale * float((moved * way).sum())
        way -= share * turned
        shares.append(share)
    way = metric @ way
    for (moved, turned, scale), share in zip(past, reversed(shares), strict=True):
        way += moved * (share - scale * float((turned * way).sum()))
    return way
