"""Rigorous integer enclosures of the distribution functions that exact sampling inverts.

Must never use a float: every quantity is a pair of integers with the true value between them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias, final

Draw: TypeAlias = Callable[[int], int]
"""Returns a uniform integer with that many fresh random bits."""

_MORE_BITS = 128
_GUARD_BITS = 160


@final
@dataclass(frozen=True, slots=True)
class Enclosure:
    """A number known to lie in [low, high] / 2^precision."""

    low: int
    high: int
    precision: int

    def __mul__(self, other: Enclosure) -> Enclosure:
        """Product of two non-negative enclosures of the same precision, rounded outwards."""
        shift = self.precision
        return Enclosure((self.low * other.low) >> shift, -(-(self.high * other.high) >> shift), shift)


def exp_minus(x: Fraction, precision: int) -> Enclosure:
    """Enclose exp(-x) for x >= 0.

    Halves x until it is at most 1/2, sums the alternating series (whose partial sums bracket the limit), squares back.
    """
    halvings = max(0, x.numerator.bit_length() - x.denominator.bit_length() + 2)
    working = precision + 2 * halvings + 32
    one = 1 << working
    small = x / 2**halvings
    low_sum = high_sum = low_term = high_term = one
    step = 0
    while high_term > 1:
        step += 1
        low_term = low_term * small.numerator // (small.denominator * step)
        high_term = -(-high_term * small.numerator // (small.denominator * step))
        if step % 2:
            low_sum, high_sum = low_sum - high_term, high_sum - low_term
        else:
            low_sum, high_sum = low_sum + low_term, high_sum + high_term
    result = Enclosure(max(0, low_sum - high_term), high_sum + high_term, working)
    for _ in range(halvings):
        result = result * result
    shift = working - precision
    return Enclosure(result.low >> shift, -(-result.high >> shift), precision)


@final
class MagnitudeCdf:
    """P(|X| <= m) of the discrete Gaussian N_Z(0, sigma^2): P(X = x) proportional to exp(-x^2 / (2 sigma^2)).

    Weights by recurrence: w[m+1] = w[m] r[m], r[m+1] = r[m] q^2, with r[0] = q = exp(-1 / (2 sigma^2)).
    """

    def __init__(self, sigma_squared: Fraction) -> None:
        self._sigma_squared = sigma_squared

    def thresholds(self, bits: int) -> list[int]:
        """floor(2^bits P(|X| <= m)) for m = 0, 1, ... up to the first that is 2^bits - 1 (the rest of the tail).

        Every entry is proved: precision is raised until both ends of each enclosure have the same floor.
        """
        precision = bits + _GUARD_BITS
        while True:
            found = self._try_thresholds(bits, precision)
            if found is not None:
                return found
            precision *= 2

    def _try_thresholds(self, bits: int, precision: int) -> list[int] | None:
        cumulative, (total_low, total_high) = self._cumulative(precision)
        out: list[int] = []
        for low, high in cumulative:
            floor_low, floor_high = (low << bits) // total_high, min((high << bits) // total_low, (1 << bits) - 1)
            if floor_low != floor_high:
                return None
            out.append(floor_low)
            if floor_low == (1 << bits) - 1:
                return out
        return None

    def _cumulative(self, precision: int) -> tuple[list[tuple[int, int]], tuple[int, int]]:
        """Enclosures of the unnormalised P(|X| <= m), until the weights vanish, and of the normaliser."""
        q = exp_minus(1 / (2 * self._sigma_squared), precision)
        q_squared = q * q
        weight, ratio = Enclosure(1 << precision, 1 << precision, precision), q
        low = high = 1 << precision
        cumulative = [(low, high)]
        while weight.low > 0:
            weight, ratio = weight * ratio, ratio * q_squared
            low, high = low + 2 * weight.low, high + 2 * weight.high
            cumulative.append((low, high))
        # The rest of the tail is at most 2 w / (1 - r) for the last weight w and its ratio r.
        rest = 2 * (-(-(weight.high << precision) // ((1 << precision) - ratio.high)))
        return cumulative, (low, high + rest)

    def invert(self, uniform: int, bits: int, first: int, draw: Draw) -> int:
        """The m with P(|X| < m) <= U < P(|X| <= m), where U's first `bits` bits are `uniform` and m >= first is known."""
        while True:
            uniform, bits = (uniform << _MORE_BITS) | draw(_MORE_BITS), bits + _MORE_BITS
            cumulative, (total_low, total_high) = self._cumulative(bits + _GUARD_BITS)
            for m in range(first, len(cumulative)):
                low, high = cumulative[m]
                if (uniform + 1) * total_high <= low << bits:
                    return m
                if uniform * total_low < high << bits:
                    break
                first = m + 1


def pick_exactly(gaps: Sequence[int], rate: Fraction, uniform: int, bits: int, draw: Draw) -> int:
    """The index i with P(before i) <= U < P(up to i), P proportional to exp(-rate * gaps[i]), U's first bits given.

    Raises the precision and draws more bits until the answer is proved.
    """
    while True:
        precision = bits + _GUARD_BITS
        weights = [exp_minus(rate * gap, precision) for gap in gaps]
        total_low, total_high = sum(weight.low for weight in weights), sum(weight.high for weight in weights)
        low = high = 0
        for index, weight in enumerate(weights):
            before_high, low, high = high, low + weight.low, high + weight.high
            starts_after = uniform * total_low >= before_high << bits
            ends_before = (uniform + 1) * total_high <= low << bits
            if starts_after and ends_before:
                return index
        uniform, bits = (uniform << _MORE_BITS) | draw(_MORE_BITS), bits + _MORE_BITS
