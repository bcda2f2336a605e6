"""Purchases with scripted noise: labels just below the count that is needed, and histograms in which nothing stands out.

Must never be run on private tables: its noise is none.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from fractions import Fraction
from typing import ClassVar, final

import numpy as np

from privsynth import statistics
from privsynth.conformance.purchases import Bought
from privsynth.conformance.residuals import Int64s
from privsynth.errors import PrivsynthError
from privsynth.measurement import Purchase
from privsynth.privacy.source import AbstractNoiseSource
from privsynth.privacy.unit import PrivacyUnit
from privsynth.private import Private

_SAFE = 1000
"""So far above the threshold a label stands out; without one, there would be nothing to fit."""

_COMMON = 2
_UNTIL_BOUNDS = 2
"""Purchases up to that of bounds, which are not found in an empty histogram; each draws noise once."""

_CLOSE = 1 - 1e-8
"""More than the rounding of the error function: a threshold of ours is never above a right one."""


def problems(bought: Bought, unit: PrivacyUnit) -> Iterator[str]:
    """Labels that are given out too easily, below the count that their delta requires, and purchases that are made twice."""
    table = bought.pairs[0].table
    below = _Script(unit.l1, bought.budget.purchase_delta, factor=_SAFE)
    try:
        labels = next(entry for entry in bought.scarce(Private(table), below) if isinstance(entry, Purchase))
    except PrivsynthError as error:
        yield f"with labels just below the threshold, the fit broke off: {error}"
    else:
        if len(labels.found) > _COMMON:
            yield "a label was given out below the count that its failure probability requires"
    empty = _Script(unit.l1, bought.budget.purchase_delta, factor=0)
    with contextlib.suppress(PrivsynthError):
        bought.scarce(Private(table), empty)
        yield "bounds were found where nothing stood out"
    if empty.calls > _UNTIL_BOUNDS:
        yield "noise was drawn again after a purchase that failed"


def needed(sigma_squared: Fraction, most: int, delta: Fraction) -> int:
    """The smallest T with most * P(1 + rounded noise >= T) <= delta."""
    sigma = math.sqrt(sigma_squared)
    count = 2
    while most * statistics.normal_cdf(-(count - 1.5) / sigma) * _CLOSE > delta:
        count += 1
    return count


@final
class _Script(AbstractNoiseSource):
    """Lets two labels stand out and the others be one below the threshold; then answers are `factor` times the exact ones."""

    name: ClassVar[str] = "scripted"
    signable: ClassVar[bool] = False

    def __init__(self, most: int, delta: Fraction, *, factor: int) -> None:
        self._most, self._delta, self._factor = most, delta, factor
        self.calls = 0

    def gaussian(self, exact: Int64s, sigma_squared: Fraction) -> Int64s:
        """What the script says."""
        self.calls += 1
        if self.calls == 1:
            below = needed(sigma_squared, self._most, self._delta) - 1
            return np.where(np.arange(exact.size) < _COMMON, below + _SAFE, below).astype(np.int64)
        return exact * self._factor

    def exponential(self, scores: Int64s, rate: Fraction) -> int:
        """The best one."""
        return int((scores * float(rate)).argmax())

    def key(self) -> bytes:
        """No secret."""
        return bytes(32)
