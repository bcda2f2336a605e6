"""Rigorous integer enclosures of the functions that noise and its accounting rest on: exp, pi and the normal distribution.

Must never use a float: every quantity is a pair of integers with the true value between them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import final


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

    def at(self, precision: int) -> Enclosure:
        """The same number with fewer bits, rounded outwards."""
        shift = self.precision - precision
        return Enclosure(self.low >> shift, -(-self.high >> shift), precision)


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
    return result.at(precision)


@lru_cache(maxsize=64)
def pi(precision: int) -> Enclosure:
    """Enclose pi. Source: Machin 1706: pi = 16 arctan(1/5) - 4 arctan(1/239)."""
    working = precision + 16
    (low_5, high_5), (low_239, high_239) = _arctan_inverse(5, working), _arctan_inverse(239, working)
    return Enclosure(16 * low_5 - 4 * high_239, 16 * high_5 - 4 * low_239, working).at(precision)


def _arctan_inverse(n: int, precision: int) -> tuple[int, int]:
    """arctan(1/n) in [low, high] / 2^precision; the alternating series errs by at most its next term, each term by 1."""
    power, total, step = (1 << precision) // n, 0, 0
    while power:
        total += power // (2 * step + 1) * (-1 if step % 2 else 1)
        power //= n * n
        step += 1
    return total - 2 * step - 2, total + 2 * step + 2


def normal_within(x_squared: Fraction, precision: int) -> Enclosure:
    """Enclose P(|Z| <= x) for standard normal Z and x >= 0, given by its square.

    Proof: P(|Z| <= x) = sqrt(2 x^2 / pi) exp(-x^2 / 2) (1 + x^2/3 + x^4/(3 5) + x^6/(3 5 7) + ...), all terms positive; from
        a term on at which the ratio to the next is at most 1/2, what follows a term is at most that term. What is outside
        is at most exp(-x^2 / 2).
    """
    one = 1 << precision
    if x_squared > 2 * precision:
        return Enclosure(one - 1, one, precision)
    working = precision + math.ceil(x_squared) + 32  # exp(-x^2 / 2) > 2^(-x^2): nothing of it is lost
    up, down = x_squared.numerator, x_squared.denominator
    low_term = high_term = low_sum = high_sum = 1 << working
    odd = 1
    while high_term > 1 or 2 * up > odd * down:
        odd += 2
        low_term = low_term * up // (down * odd)
        high_term = -(-high_term * up // (down * odd))
        low_sum, high_sum = low_sum + low_term, high_sum + high_term
    series = Enclosure(low_sum, high_sum + high_term, working)
    circle = pi(working)
    root = Enclosure(
        math.isqrt((2 * up << 3 * working) // (down * circle.high)),
        math.isqrt(-(-(2 * up << 3 * working) // (down * circle.low))) + 1,
        working,
    )
    found = (root * exp_minus(x_squared / 2, working) * series).at(precision)
    return Enclosure(found.low, min(found.high, one), precision)
