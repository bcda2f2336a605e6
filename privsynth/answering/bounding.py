"""Bounding: what can be said of columns that no measured table relates: the model assumes something, and only bounds are known.

Must never give an interval as if the assumption had been tested.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from privsynth.answering.estimating import ASSUMED, Estimate, estimate
from privsynth.answering.evidence import Evidence
from privsynth.answering.forms import form
from privsynth.answering.parsing import Question
from privsynth.answering.profiles import Region, ends, kept, whole

Floats = npt.NDArray[np.float64]


def bounds(question: Question, evidence: Evidence) -> tuple[Estimate, float, float]:
    """The model's answer, and the lowest and highest that single columns allow, as far as their own counts are known.

    Source: Frechet's bounds of a joint probability; of a mean, those of the records with the lowest and highest values.
    """
    asked = form(question, evidence.schema, evidence.inside)
    value = asked.made_of(asked.of(evidence.distribution.expect))
    match question.kind:
        case "count":
            low, high = _together(question.where, evidence)
        case "share":
            low, high = _share(question, evidence)
        case "mean":
            low, high = _mean(question, evidence)
        case "correlation":
            low, high = -1.0, 1.0
    low, high = min(low, value), max(high, value)
    return Estimate(value=value, half=(high - low) / 2, inside=0.0, lowest=low, highest=high, basis=ASSUMED), low, high


def _together(regions: dict[str, Region], evidence: Evidence) -> tuple[float, float]:
    """The least and the most records that can meet conditions on several columns, with 90 % bounds of each one's own."""
    total = evidence.distribution.total
    low, high = total, total
    for name, region in regions.items():
        found = _alone(name, region, evidence)
        low -= total - max(0.0, found.value - found.half)
        high = min(high, found.value + found.half)
    return max(0.0, low), max(0.0, high)


def _alone(name: str, region: Region, evidence: Evidence) -> Estimate:
    """How many records meet one column's own condition."""
    return estimate(Question(text="", kind="count", targets=(), where={name: region}, given={}), evidence)


def _share(question: Question, evidence: Evidence) -> tuple[float, float]:
    total = evidence.distribution.total
    if not question.given:
        low, high = _together(question.where, evidence)
        return low / total, min(1.0, high / total)
    low, high = _together({**question.given, **question.where}, evidence)
    least, most = _together(question.given, evidence)
    if set(question.where) & set(question.given) or least <= 0:
        return 0.0, 1.0
    return low / most, min(1.0, high / least)


def _mean(question: Question, evidence: Evidence) -> tuple[float, float]:
    """The mean of the lowest and of the highest values, as many as meet the conditions on other columns for certain.

    Counts of values are known up to the error of their sum: that many more may lie at the end of the range.
    """
    (name,) = question.targets
    column, inside = evidence.schema.modelled_column(name), evidence.inside[name]
    region = question.where.get(name, whole(column, missing=False))
    share = kept(region, inside)
    if inside.layout.missing:
        share = share.copy()
        share[-1] = 0.0
    counts = evidence.shares[name] * share
    low, high = ends(column, region, inside)
    least, _ = _together({other: one for other, one in question.where.items() if other != name}, evidence)
    there = float(counts.sum())
    unknown = _alone(name, region, evidence).half
    overlap = max(least + there - unknown - evidence.distribution.total, 1e-9)
    up, down = np.argsort(low, kind="stable"), np.argsort(-high, kind="stable")
    up, down = up[share[up] > 0], down[share[down] > 0]
    return _first(overlap, counts[up], low[up], unknown), _first(overlap, counts[down], high[down], unknown)


def _first(number: float, counts: Floats, values: Floats, unknown: float) -> float:
    """The mean of the first records, where as many as are unknown may have the first value. Shapes: (levels,), in order."""
    counts = counts.copy()
    counts[0] += unknown
    before = np.cumsum(counts) - counts
    taken = np.clip(number - before, 0.0, counts)
    return float((taken * values).sum() / max(float(taken.sum()), 1e-12))
