"""Measures: how well chances find a rare class, and whether a difference between two ways of training can be told from none.

Must never be taken for independent evidence: the folds of a cross-validation share their training rows.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Final, final

import numpy as np
import numpy.typing as npt

from privsynth.learning import learners
from privsynth.learning.task import Task
from privsynth.statistics import beta_cdf

Floats = npt.NDArray[np.float64]

MEASURES: Final = ("average precision", "AUC", "balanced accuracy", "recall")
"""Average precision and recall are those of the rare class. The first one decides the verdict."""

LEVEL: Final = 0.95


def measured(task: Task, answers: Floats, chances: Floats, rare: int) -> list[float]:
    """The measures in order. Args: `chances` is (rows, classes) of rows that were held out."""
    said, truth = np.argmax(chances, axis=1), answers.astype(np.int64)
    recalls = [float(np.mean(said[truth == one] == one)) for one in np.unique(truth)]
    return [
        average_precision(truth == rare, chances[:, rare]),
        learners.score(task, answers, chances),
        float(np.mean(recalls)),
        float(np.mean(said[truth == rare] == rare)),
    ]


def average_precision(positive: npt.NDArray[np.bool_], scores: Floats) -> float:
    """The mean precision over the positive rows, each at its own score; equal scores count as one threshold."""
    order = np.argsort(-scores, kind="stable")
    found = np.cumsum(positive[order])
    ends = np.flatnonzero(np.r_[np.diff(scores[order]) != 0, True])
    gained = np.diff(np.r_[0, found[ends]])
    return float(np.sum(gained * found[ends] / (ends + 1)) / found[-1])


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A mean paired difference with its interval of 95 %, and what it says."""

    value: float
    lower: float
    upper: float

    @property
    def verdict(self) -> str:
        """In words: more, less, or no difference that can be told."""
        if self.lower > 0:
            return "helped"
        return "hurt" if self.upper < 0 else "made no difference that can be told"

    def to_json(self) -> dict[str, object]:
        """A JSON object."""
        interval = [round(self.lower, 4), round(self.upper, 4)]
        return {"value": round(self.value, 4), "interval95": interval, "verdict": self.verdict}

    def words(self) -> str:
        """A number with its interval."""
        return f"{self.value:+.3f} ({self.lower:+.3f} to {self.upper:+.3f})"


def difference(paired: Floats, folds: int) -> Difference:
    """The corrected resampled t interval of paired differences, one for each held-out fold of each repetition.

    The variance of their mean is taken for 1/J + 1/(folds - 1) of theirs, because training sets overlap.
    Source: Nadeau, Bengio 2003, "Inference for the generalization error", section 5; for repeated folds Bouckaert, Frank 2004.
    """
    count = len(paired)
    spread = float(np.var(paired, ddof=1)) * (1 / count + 1 / (folds - 1))
    half = t_quantile(count - 1) * math.sqrt(spread)
    middle = float(paired.mean())
    return Difference(value=middle, lower=middle - half, upper=middle + half)


@functools.cache
def t_quantile(degrees: int) -> float:
    """The half-width, in standard errors, of the two-sided interval at LEVEL of Student's t."""
    low, high = 0.0, 1e4
    for _ in range(80):
        middle = (low + high) / 2
        outside = beta_cdf(degrees / (degrees + middle**2), degrees / 2, 0.5)
        low, high = (middle, high) if outside > 1 - LEVEL else (low, middle)
    return (low + high) / 2
