"""Attenuation: what a correlation loses where numbers were measured in groups, inside which nothing is known of both together.

Must never take for known how two columns go together inside the cells in which they were measured.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import numpy.typing as npt

from privsynth.answering.evidence import Evidence
from privsynth.answering.forms import Form

Floats = npt.NDArray[np.float64]

_MOST_INSIDE: Final = 0.8
"""The part of a number's spread that is believed to lie inside its cells at most: there a correlation says nothing any more."""

_SQUARES: Final = (3, 4)
"""The places of both columns' squares in a correlation's sums; their own numbers are two places before."""


def inside_cells(asked: Form, sums: Floats, evidence: Evidence) -> tuple[float, float]:
    """What a correlation gains if two numbers go together inside their cells as they do between; and its mean square error.

    What lies inside counts for the spread of each, and not for what they have in common: a correlation of numbers in cells is
    too small by the roots of the shares of spread that lie between cells. Inside they may go together less or more than between
    them: the error is that of not at all to twice as much, evenly, and of half a correlation more or less of what lies inside.
    Shapes: `sums` are a correlation's, (6,). Source: Spearman 1904, with spread inside cells in the place of errors.
    """
    parts, number = [], max(float(sums[0]), 1e-9)
    for name, square in zip(asked.question.targets, _SQUARES, strict=True):
        spread = float(sums[square]) / number - (float(sums[square - 2]) / number) ** 2
        inside = evidence.distribution.expect({**asked.sums[0], name: _inside(asked, name, square, evidence)}) / number
        parts.append(min(max(inside / spread, 0.0), _MOST_INSIDE) if spread > 0 else 0.0)
    one, two = parts
    value = asked.made_of(sums)
    gain = float(np.clip(value / math.sqrt((1 - one) * (1 - two)), -1.0, 1.0)) - value
    return gain, gain**2 / 3 + one * two / 12


def _inside(asked: Form, name: str, square: int, evidence: Evidence) -> Floats:
    """A factor that sums to the squared distances of a column's values from their cells' means. Shapes: (levels,)."""
    present, first, second = (asked.sums[place][name] for place in (0, square - 2, square))
    of, counts = evidence.groups_of(name), np.maximum(evidence.shares[name], 1e-12)
    there = np.bincount(of, weights=counts * present)
    mean = np.divide(np.bincount(of, weights=counts * first), there, out=np.zeros(len(there)), where=there > 0)[of]
    return np.asarray(second - 2 * first * mean + present * mean**2)
