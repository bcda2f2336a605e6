"""Whether an attacker can subtract part of the noise: a linear discriminant over all noisy answers of a fit.

Must never be called with answers about private tables.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from privsynth import statistics
from privsynth.audit_plan import ConformanceTerms
from privsynth.conformance import residuals
from privsynth.conformance.fits import Asked, Run, asked_again
from privsynth.conformance.hypothesis import Hypothesis
from privsynth.conformance.residuals import Floats, Int64s
from privsynth.privacy.source import AbstractNoiseSource
from privsynth.replay import Call

_MOST_FITS = 800
_ANSWERS_A_FIT = 25
_FITS_A_CELL = 3
_SHRINKAGE = 0.1


def test(
    terms: ConformanceTerms, run: Run, others: Sequence[Call], source: AbstractNoiseSource, *, rng: np.random.Generator
) -> Iterator[Hypothesis]:
    """The test "noise: discriminant", on the questions of one fit asked again many times.

    Half of the fits train the weights that best show canaries with the covariance seen there, shrunk towards independence; on
    the other half, what these weights add up to must vary as independent noise does. Given the weights that sum of squares is
    chi-squared, exactly. Canaries hold another value in each column: one that holds the same in all misses a seed used again.
    Source: Fisher 1936 for the discriminant; Ledoit, Wolf 2004 for shrinking.
    Args: `others` is what was asked when the fit was replayed with canaries.
    """
    fits = min(_MOST_FITS, max(100, terms.residuals_min // _ANSWERS_A_FIT))
    asked = run.asked()
    cells = _cells(asked, others, fits // _FITS_A_CELL, rng)
    moved = np.concatenate([_moved(one, other)[of] for one, other, of in zip(asked, others, cells, strict=True)])
    if not moved.any():
        return
    noise = np.array([_vector(asked_again(run, asked, source), cells, rng) for _ in range(fits)])
    train, held = noise[: fits // 2], noise[fits // 2 :]
    covariance = (1 - _SHRINKAGE) * (train.T @ train) / len(train) + _SHRINKAGE * np.eye(len(moved))
    weights = np.linalg.solve(covariance, moved)
    total = float(((held @ weights) ** 2).sum() / (weights @ weights))
    share = (total / len(held)) ** 0.5
    yield Hypothesis(
        check="noise: discriminant",
        threat="that noise of several answers together can be subtracted",
        p_value=statistics.chi_squared_lower(total, len(held)),
        rejected=f"A weighted sum of {len(moved)} noisy answers has {share:.2g} times the noise that it must have: part of the "
        "noise cancels.",
        kept=f"The best weighted sum of {len(moved)} noisy answers to show canaries has {share:.2g} times the noise of "
        "independent answers.",
        estimate=share,
    )


def _moved(asked: Asked, other: Call) -> Floats:
    """By how many standard deviations the canaries move each answer; nothing for a choice."""
    if other.kind == "exponential":
        return np.zeros(other.exact.size)
    return np.asarray((other.exact - asked.call.exact) / float(asked.call.parameter) ** 0.5)


def _cells(asked: Sequence[Asked], others: Sequence[Call], most: int, rng: np.random.Generator) -> list[Int64s]:
    """Which answers of each draw go in: those that canaries move, and others at random, which may hold the same noise."""
    place = [(turn, cell) for turn, one in enumerate(asked) if one.call.kind == "gaussian" for cell in _range(one)]
    shuffled = [place[index] for index in rng.permutation(len(place)).tolist()]
    moved = [_moved(one, other) for one, other in zip(asked, others, strict=True)]
    first = sorted(shuffled, key=lambda where: moved[where[0]][where[1]] == 0)[: max(1, most)]
    return [np.array(sorted(cell for turn, cell in first if turn == one), dtype=np.int64) for one in range(len(asked))]


def _range(asked: Asked) -> range:
    return range(asked.call.exact.size)


def _vector(asked: Sequence[Asked], cells: Sequence[Int64s], rng: np.random.Generator) -> Floats:
    """The residuals of one fit, in standard deviations."""
    return np.concatenate(
        [residuals.normal(one.call, rng, of) if of.size else np.zeros(0) for one, of in zip(asked, cells, strict=True)]
    )
