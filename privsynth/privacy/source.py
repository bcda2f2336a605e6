"""The contract of a noise source: exact integers in, noisy integers out.

Must never draw anything itself; the sources that do live in `noise.py`, and an audit may record or replay one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from fractions import Fraction
from typing import ClassVar

import numpy as np
import numpy.typing as npt

MAX_COUNT_SIGMA = 1 << 16
"""The largest standard deviation of a count's noise, where a unit has one row: beyond it, an answer says nothing."""

MAX_SIGMA = 1 << 40
"""The largest standard deviation that sources draw: with it, sums of answers and noise stay within int64."""


class AbstractNoiseSource(ABC):
    """Where a mechanism's randomness comes from.

    `name` is printed in certificates; `signable` says whether a release made with this source may be signed.
    """

    name: ClassVar[str]
    signable: ClassVar[bool]

    @abstractmethod
    def gaussian(self, exact: npt.NDArray[np.int64], sigma_squared: Fraction) -> npt.NDArray[np.int64]:
        """Return `exact` plus independent noise round(N(0, sigma_squared)) in every cell; same shape."""

    @abstractmethod
    def exponential(self, scores: npt.NDArray[np.int64], rate: Fraction) -> int:
        """Return index i with probability proportional to exp(rate * scores[i]), exactly. Shapes: scores is (candidates,)."""

    def choices(self, scores: npt.NDArray[np.int64], rate: Fraction, count: int) -> npt.NDArray[np.int64]:
        """`count` independent choices of `exponential`: one after the other, unless a source knows better.

        Shapes: (count,).
        """
        return np.array([self.exponential(scores, rate) for _ in range(count)], dtype=np.int64)

    @abstractmethod
    def key(self) -> bytes:
        """Return 32 fresh bytes to key a pseudo-random choice of rows or units (contribution bounding, holdout)."""
