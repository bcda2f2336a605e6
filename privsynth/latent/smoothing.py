"""Smoothing of noisy tables whose levels are in order: what many neighbours share is no noise.

Must never be told more than the noise's variance and the order of levels, both public.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_LEAST = 5
"""With fewer ordered levels there are no neighbours to speak of."""

_THRESHOLD = 0.7
"""Of the universal threshold sqrt(2 log s): on twelve ordered columns of adult and titanic, at noise of 3 to 300 records a
level, .7 lost at most 5 % on any (spiky hours of work) and gained up to half (ages); 1 lost up to 15 %."""


def smooth(noisy: Floats, variance: float, ordered: int) -> Floats:
    """Estimate the first `ordered` levels by translation-invariant Haar wavelets with hard thresholds; the rest stay.

    Averages over all shifts, so that no cut between two levels is special; the table is mirrored at its ends.
    Shapes: (levels,). Source: Coifman, Donoho 1995 (translation-invariant de-noising).
    """
    if ordered < _LEAST:
        return noisy
    out = noisy.copy()
    out[:ordered] = _haar(noisy[:ordered], variance)
    return out


def _haar(noisy: Floats, variance: float) -> Floats:
    size = len(noisy)
    scales = math.ceil(math.log2(size))
    edge = 2**scales
    place = np.mod(np.arange(-edge, size + edge), 2 * size)
    current = noisy[np.minimum(place, 2 * size - 1 - place)]
    threshold = _THRESHOLD * math.sqrt(2 * math.log(size))
    kept = []
    for scale in range(scales):
        shifted = np.roll(current, -(2**scale))
        detail, current = (current - shifted) / 2, (current + shifted) / 2
        spread = math.sqrt(variance / 2 ** (scale + 1))
        kept.append(np.where(np.abs(detail) > threshold * spread, detail, 0.0))
    for scale in reversed(range(scales)):
        detail = kept[scale]
        current = ((current + detail) + np.roll(current - detail, 2**scale)) / 2
    return np.asarray(current[edge : edge + size])
