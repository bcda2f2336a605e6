"""Sums of noise: over a whole draw, over each of its tables, and along the rows and columns of each.

Must never be called with answers about private tables.

Noise may have its size in every cell and hardly any in a sum: as where it is centred, so that the number of records shows.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from privsynth.conformance import residuals
from privsynth.conformance.fits import Asked
from privsynth.conformance.hypothesis import Hypothesis
from privsynth.conformance.noise_tests import Sample, scale_p_value
from privsynth.conformance.residuals import Floats

_MOST_FITS = 60
"""Fits of a sample that are summed: noise that cancels shows in a few."""


def test(samples: Sequence[Sample], *, rng: np.random.Generator) -> Iterator[Hypothesis]:
    """The test "noise: sums"; nothing where there is no draw of two cells or more.

    The sum of n standard normal numbers, over the square root of n, is one too; those of one kind share no cell, so that the
    sum of their squares is chi-squared.
    """
    found: dict[str, list[Floats]] = {}
    for sample in samples:
        for fit in (*sample.fits, *sample.again)[:_MOST_FITS]:
            for asked in fit:
                if asked.call.kind == "gaussian" and asked.call.exact.size > 1:
                    for kind, sums in _sums(asked, residuals.normal(asked.call, rng)):
                        found.setdefault(f'{kind} in stage "{asked.stage}{sample.label}"', []).append(sums)
    if not found:
        return
    every = {kind: np.concatenate(sums) for kind, sums in found.items()}
    p_values = {kind: scale_p_value(sums) for kind, sums in every.items()}
    weakest = min(p_values, key=p_values.__getitem__)
    spread = math.sqrt(float((every[weakest] ** 2).mean()))
    yield Hypothesis(
        check="noise: sums",
        threat="that noise cancels in a sum of answers, as in the number of records",
        p_value=residuals.of_the_least(list(p_values.values())),
        rejected=f"Noise of {weakest} adds up to {spread:.2g} times what independent noise does.",
        kept="Over draws, tables, and their rows and columns, noise adds up as independent noise does.",
        estimate=spread,
    )


def _sums(asked: Asked, normal: Floats) -> Iterator[tuple[str, Floats]]:
    """Sums of standard normal numbers that are such numbers again, by kind; those of one kind share no cell."""
    yield "whole draws", _sum(normal.reshape(1, -1))
    start = 0
    for shape in asked.shapes:
        size = math.prod(shape)
        table = normal[start : start + size].reshape(shape)
        start += size
        if 1 < size < normal.size:
            yield "single tables", _sum(table.reshape(1, -1))
        if table.ndim > 1:
            for axis in range(table.ndim):
                lines = np.moveaxis(table, axis, 0).reshape(shape[axis], -1)
                yield f"the levels of column {axis + 1} of tables", _sum(lines)


def _sum(lines: Floats) -> Floats:
    return np.asarray(lines.sum(axis=1) / math.sqrt(lines.shape[1]))
