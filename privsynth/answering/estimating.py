"""Estimating: the answer to a form, and how far it may be off: noise, fit, misfit and what bins hold inside.

Must never claim to know more than noisy tables, made-up records of the model and the widths of bins can tell.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from typing import Final, Literal, TypeAlias, final

import numpy as np
import numpy.typing as npt

from privsynth.answering.attenuation import inside_cells
from privsynth.answering.evidence import STUDENT_90, Evidence
from privsynth.answering.forms import Form, form
from privsynth.answering.measured import Cover, covering, direct
from privsynth.answering.parsing import Question
from privsynth.schema.columns import LabelledColumn

Floats = npt.NDArray[np.float64]

Basis: TypeAlias = Literal["a measured table", "measured tables and the model", "the model alone: an assumption"]

MEASURED: Final = "a measured table"
TOGETHER: Final = "measured tables and the model"
ASSUMED: Final = "the model alone: an assumption"

_SHAKES: Final = 40
_PROBES: Final = 30
"""Correlations from which it is told how much worse the model is at them than its replicates say."""

_SEED: Final = 20_263
_PAIR: Final = 2
_WIDER, _OF_PAIRS = 2.0, 0.25
"""Of questions on three columns and more, which no table shows: the misfit, and what part of the pairs' misfit adds to it.
Calibrated on random questions about adult, hospital stays and credit cards."""

_SURPRISE: Final = 2.0
"""A table that is farther from the model than so many times the expected square is believed to show that the model is off."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A value, the half-width of its 90 % interval, and on what it rests.

    `inside` is the part of the half-width that is due to what bins hold inside, which is not measured, alone. `lowest` and
        `highest` are what the model and the measured tables say, each for itself, the tables with their noise.
    """

    value: float
    half: float
    inside: float
    lowest: float
    highest: float
    basis: Basis


def estimate(question: Question, evidence: Evidence) -> Estimate:
    """Answer a question of columns that measured tables relate.

    The model's answer is moved towards what a measured table says directly, as far as the model is known to be off: with the
    weights that minimise the estimated squared error.
    Source: parametric bootstrap (Efron, Tibshirani 1993); empirical Bayes weights (Efron, Morris 1973).
    """
    asked = form(question, evidence.schema, evidence.inside)
    sums = asked.of(evidence.distribution.expect)
    value, slope = asked.made_of(sums), asked.slope(sums)
    covers = covering(asked, evidence.tables, evidence.shares)
    off, direct_off, apart = _replicated(asked, covers, slope, evidence)
    squared = float(np.mean(off**2))
    seen = direct(asked, covers, evidence.tables)
    if seen is None:
        misfit = _WIDER + _OF_PAIRS * evidence.misfit[_PAIR]
        weight, variance, moved = 0.0, squared * (1 + misfit), 0.0
        lowest = highest = value
    else:
        moved = float(slope @ (seen.sums - sums))
        expected = float(np.mean(apart**2))
        lacking = evidence.misfit[min(_PAIR, max(1, len(asked.columns)))]
        if question.kind == "correlation":
            lacking = max(lacking, _misfit_of_correlations(evidence))
        misfit = max(lacking * squared, moved**2 - _SURPRISE * expected)
        exact = float(slope @ seen.covariance @ slope)
        direct_value, noise = asked.made_of(seen.sums), STUDENT_90 * math.sqrt(exact)
        lowest, highest = min(value, direct_value - noise), max(value, direct_value + noise)
        if not all(one.whole for one in covers):
            exact += squared  # how a group's count is split among its levels is known no better than the model is
        weight = _weight(squared + misfit, exact, float(np.mean(off * direct_off)))
        mixed = (1 - weight) * off + weight * direct_off
        variance = float(np.mean(mixed**2)) + (1 - weight) ** 2 * misfit
        variance = max(variance, weight**2 * exact)
    unknown, together = _unknown_inside(question, asked, value, evidence), 0.0
    if question.kind == "correlation":
        together, doubt = inside_cells(asked, sums, evidence)
        unknown += doubt
    half = STUDENT_90 * math.sqrt(variance + unknown)
    return Estimate(
        value=value + weight * moved + together,
        half=half,
        inside=STUDENT_90 * math.sqrt(unknown),
        lowest=lowest + min(0.0, together),
        highest=highest + max(0.0, together),
        basis=MEASURED if covers and asked.columns and asked.exact and all(one.whole for one in covers) else TOGETHER,
    )


@lru_cache(maxsize=4)
def _misfit_of_correlations(evidence: Evidence) -> float:
    """The part of the squared error that the replicates' squares lack, of correlations: as `Evidence.misfit`.

    A correlation weighs the few records with the largest numbers most, and these a model shrinks most.
    """
    names = [one.name for one in evidence.schema.modelled if not isinstance(one, LabelledColumn)]
    pairs = [pair for pair in combinations(names, _PAIR) if evidence.is_measured(pair)]
    rng = np.random.default_rng(_SEED)
    excess = scale = 0.0
    for place in rng.permutation(len(pairs))[:_PROBES].tolist():
        question = Question(text="", kind="correlation", targets=pairs[place], where={}, given={})
        asked = form(question, evidence.schema, evidence.inside)
        sums = asked.of(evidence.distribution.expect)
        slope, covers = asked.slope(sums), covering(asked, evidence.tables, evidence.shares)
        seen = direct(asked, covers, evidence.tables)
        if seen is not None:
            off, _, apart = _replicated(asked, covers, slope, evidence)
            expected, error = max(float(np.mean(apart**2)), 1e-12), float(np.mean(off**2))
            excess += error / expected**2 * (float(slope @ (seen.sums - sums)) ** 2 - expected)
            scale += (error / expected) ** 2
    return max(0.0, excess / max(scale, 1e-300))


def _weight(model: float, exact: float, together: float) -> float:
    """The weight of the direct answer that minimises the squared error of the mean of both.

    The covariance is known from a dozen replicates only: it is taken to be between none and the smaller of the two.
    """
    shared = min(max(together, 0.0), model, exact)
    spread = model + exact - 2 * shared
    return 0.0 if spread <= 0 else float(np.clip((model - shared) / spread, 0.0, 1.0))


def _replicated(asked: Form, covers: list[Cover], slope: Floats, evidence: Evidence) -> tuple[Floats, Floats, Floats]:
    """Of each replicate: how far its model is off, how far its tables are, and how far these two are apart."""
    off, tables_off, apart = [], [], []
    for refit, noisy in zip(evidence.refits, evidence.noisy, strict=True):
        fitted = asked.of(refit.fitted.expect)
        truth = asked.counted(refit.records, refit.weight)
        right = asked.made_of(truth)
        off.append(asked.made_of(fitted) - right)
        seen = direct(asked, covers, noisy)
        if seen is not None:
            tables_off.append(float(slope @ (seen.sums - truth)))
            apart.append(float(slope @ (seen.sums - fitted)))
    return np.array(off), np.array(tables_off), np.array(apart)


def _unknown_inside(question: Question, asked: Form, value: float, evidence: Evidence) -> float:
    """The mean square by which the answer moves when bins hold something else inside; 0 where that does not matter."""
    if asked.exact:
        return 0.0
    rng = np.random.default_rng(0)
    moved = []
    for _ in range(_SHAKES):
        other = form(question, evidence.schema, evidence.inside, rng)
        moved.append(other.made_of(other.of(evidence.distribution.expect)) - value)
    return float(np.mean(np.square(moved)))
