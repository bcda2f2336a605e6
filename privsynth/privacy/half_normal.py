"""Proposes rounded Gaussians in floats, many at once, with a proven bound that says which of them are certain.

Must never decide what the bound leaves open, nor draw: whoever holds the bits inverts those words exactly (`exact_cdf.py`).

A word is u = word >> 1 and a sign, word & 1. Let v = 2^63 - 1 - u, T the float nearest to v, and z(t) = the x with
P(|Z| > x) = t. The word stands for every magnitude sigma z(t) with t in (v, v + 1] / 2^63. The proposal is sigma p(T), where p
is a quintic in each cell of T: 64 cells to an octave, found from the bits of T itself. A proposal is certain where no
half-integer lies within sigma ERROR of it; where T is below 2^43 (one word in 2^20) it never is.

Proof of ERROR, in units of sigma, for T >= 2^43, so z < 5:
  |p - z| of the exact Hermite quintic is at most h^6 / 46080 max |z^(6)|. With phi the normal density, z' = -1 / (2 phi) and
    z^(6) = (127 z + 326 z^3 + 120 z^5) / (2 phi)^6, which falls as t grows: at each cell's left node it is below 2^-45.8.
  Nodes are within 2^-49 of z (proved as they are built). The quintic weighs values with weights of at least 0 that sum to 1.
  z' and z'' are taken at these nodes: that changes z' by at most 2^-46 of itself and z'' by 2^-40; a cell's width is at most
    t / 64, so p changes by less than 2^-52.
  T stands for t: |T - 2^63 t| <= 1 + 2^-53 T, and t |z'| <= min(5/4 + 2^-8, 1/z): at most 2^-45.2, at T = 2^43.
  Rounding: what is added to a node is below 2^-5, so its coefficients and Horner's rule err by less than 2^-54; the last
    addition by 2^-51; sigma (rounded twice, once under a root) and the product with it by 5 (2.5 2^-53) < 2^-49.
Sum: 2^-45.8 + 2^-45.2 + 2^-49 + 2^-52 + 2^-54 + 2^-51 + 2^-49 < 2^-44.2. The distance to the nearest integer is exact; what it
is compared with errs by 2^-54, which is less than what is left of sigma ERROR where sigma is 0.1 or more; where it is less, no
half-integer is in reach. The tests check terms and sum in every cell, against enclosures.
"""

from __future__ import annotations

import math
from fractions import Fraction
from functools import lru_cache
from statistics import NormalDist
from typing import TypeAlias, final

import numpy as np
import numpy.typing as npt

from privsynth.privacy.enclosure import exp_minus, normal_within

ERROR = 2.0**-44
NODE_ERROR = 2.0**-49

Floats: TypeAlias = npt.NDArray[np.float64]

_BITS = 63
_LEAST = 43
_CELL_BITS = 6
_SHIFT = 52 - _CELL_BITS
_CELLS = (_BITS - _LEAST) << _CELL_BITS
_BEFORE = ((1023 + _LEAST) << _CELL_BITS) - 1
"""What a cell's number is counted from: a float's biased exponent and top mantissa bits, one cell before 2^43."""

_PRECISION = 80


@final
class HalfNormal:
    """Proposals for one sigma, for blocks of at most `most` words. Keeps its work space: one thread at a time."""

    def __init__(self, sigma_squared: Fraction, most: int) -> None:
        self._sigma = math.sqrt(sigma_squared)
        self._farthest = 0.5 - self._sigma * ERROR
        self._coefficients = _coefficients()
        self._floats = np.empty((3, most))
        self._cell = np.empty(most, dtype=np.int64)

    def propose(self, words: npt.NDArray[np.uint64], out: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Write round(N(0, sigma^2)) of each word to `out`; return the indices of those that are not certain, which get 0.

        Shapes: words and out are (words,), the result is (uncertain,).
        """
        magnitude = self._magnitudes(words)
        whole, signs = self._floats[1, : len(words)], self._floats[2, : len(words)].view(np.uint64)
        np.left_shift(words, np.uint64(63), out=signs)
        np.bitwise_or(magnitude.view(np.uint64), signs, out=magnitude.view(np.uint64))
        np.rint(magnitude, out=whole)
        np.subtract(magnitude, whole, out=magnitude)
        np.abs(magnitude, out=magnitude)
        uncertain = np.flatnonzero(
            ~(magnitude <= self._farthest)
        )  # what no cell covers is not a number, and not certain
        whole[uncertain] = 0
        np.copyto(out, whole, casting="unsafe")
        return uncertain

    def _magnitudes(self, words: npt.NDArray[np.uint64]) -> Floats:
        """sigma p(T) of each word, in the first row of the work space; not a number where T has no cell."""
        tail: Floats
        tail, value, other = self._floats[:, : len(words)]
        cell, bits = self._cell[: len(words)], other.view(np.uint64)
        np.invert(words, out=bits)
        np.right_shift(bits, np.uint64(1), out=bits)
        np.copyto(tail, other.view(np.int64))
        np.right_shift(tail.view(np.int64), _SHIFT, out=cell)
        np.left_shift(cell, _SHIFT, out=other.view(np.int64))
        np.subtract(tail, other, out=tail)  # exact: what T has beyond its cell's left node
        np.subtract(cell, _BEFORE, out=cell)
        first, *rest = self._coefficients
        np.take(first, cell, out=value, mode="clip")
        for row in rest:
            np.multiply(value, tail, out=value)
            np.take(row, cell, out=other, mode="clip")
            np.add(value, other, out=value)
        np.multiply(value, self._sigma, out=tail)
        return tail


@lru_cache(maxsize=1)
def _coefficients() -> Floats:
    """Each cell's quintic in T minus its left node, highest power first, between two cells that are not numbers.

    Shapes: (6, _CELLS + 2). Proof: in s = (T - node) / h, with value a, slope b and half the curvature c at the left node and
        A, B, C at the right one, a + b s + c s^2 + s^3 (x + y s + z s^2) has those of the right node where
        x + y + z = A - a - b - c, 3 x + 4 y + 5 z = B - b - 2 c and 3 x + 6 y + 10 z = C - c.
    """
    cells = 1 << _CELL_BITS
    nodes = [cells + j << octave - _CELL_BITS for octave in range(_LEAST, _BITS) for j in range(cells)] + [1 << _BITS]
    found = np.array([_node(Fraction(node, 1 << _BITS)) for node in nodes])
    quantile, slope = found[:, 0], -(2.0 ** -(_BITS + 1)) / found[:, 1]
    width = np.diff(np.array(nodes, dtype=np.float64))
    half = quantile * slope**2 / 2
    a, b, c = quantile[:-1], slope[:-1] * width, half[:-1] * width**2
    values = quantile[1:] - a - b - c
    slopes = slope[1:] * width - b - 2 * c
    halves = half[1:] * width**2 - c
    x = 10 * values - 4 * slopes + halves
    y = -15 * values + 7 * slopes - 2 * halves
    z = 6 * values - 3 * slopes + halves
    out: Floats = np.full((6, _CELLS + 2), np.nan)
    out[:, 1:-1] = [z / width**5, y / width**4, x / width**3, c / width**2, b / width, a]
    out.setflags(write=False)
    return out


def _node(tail: Fraction) -> tuple[float, float]:
    """z(tail) to within NODE_ERROR, and the density phi there.

    Proof: |Q(z) - tail| <= 2 e phi(z) (1 - 0.01) for Q(x) = P(|Z| > x), whose slope is -2 phi. Then Q(z - e) > tail > Q(z + e),
        since phi is larger to the left of z, and to the right of it, up to z + e with z < 5, smaller by less than 1 in 2^46.
    """
    one = 1 << _PRECISION
    quantile = abs(NormalDist().inv_cdf(float(tail / 2)))
    while True:
        square = Fraction(quantile) ** 2
        within = normal_within(square, _PRECISION)
        density = exp_minus(square / 2, _PRECISION).low / one / math.sqrt(2 * math.pi)
        wanted = one - int(tail * one)  # no fraction is lost: tails are multiples of 2^-63
        if max(wanted - within.low, within.high - wanted) / one <= 1.98 * NODE_ERROR * density:
            return quantile, density
        quantile += (wanted - within.low) / one / (2 * density)
