"""Rigorous integer enclosures of the distribution functions that exact sampling inverts.

Must never use a float: every quantity is a pair of integers with the true value between them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import TypeAlias, final

from privsynth.privacy.enclosure import Enclosure, exp_minus, normal_within, pi

Draw: TypeAlias = Callable[[int], int]
"""Returns a uniform integer with that many fresh random bits."""

_MORE_BITS = 128
_GUARD_BITS = 64
_PICK_GUARD_BITS = 160
_TABLE_VARIANCE = 16
_TABLE_GUARD_BITS = 128
"""A table's entries add up the roundings of those before them: at most 2^60 units in the last place at sigma 2^16."""


@final
class MagnitudeCdf:
    """P(|X| <= m) of the rounded Gaussian X = round(N(0, sigma^2)): P(|Z| <= (m + 1/2) / sigma) for standard normal Z."""

    def __init__(self, sigma_squared: Fraction) -> None:
        self._sigma_squared = sigma_squared

    def enclose(self, m: int, precision: int) -> Enclosure:
        """P(|X| <= m) for one m >= 0."""
        return normal_within(Fraction((2 * m + 1) ** 2) / (4 * self._sigma_squared), precision)

    def thresholds(self, bits: int) -> list[int]:
        """floor(2^bits P(|X| <= m)) for m = 0, 1, ... up to the first that is 2^bits - 1 (the rest of the tail).

        Every entry is proved: precision is raised until both ends of each enclosure have the same floor.
        """
        if self._sigma_squared < _TABLE_VARIANCE:
            return self._one_by_one(bits)
        precision = bits + _TABLE_GUARD_BITS
        while True:
            found = _Table(self._sigma_squared, precision).floors(bits)
            if found is not None:
                return found
            precision *= 2

    def _one_by_one(self, bits: int) -> list[int]:
        out: list[int] = []
        precision, last = bits + _GUARD_BITS, (1 << bits) - 1
        while not out or out[-1] < last:
            floors = _floors(self.enclose(len(out), precision), bits)
            if floors is None:
                precision *= 2
            else:
                out.append(floors)
        return out

    def invert(self, uniform: int, bits: int, guess: int, draw: Draw) -> int:
        """The m with P(|X| < m) <= U < P(|X| <= m), where U's first `bits` bits are `uniform`; any guess of m will do."""
        number = _Uniform(uniform, bits, draw)

        def reached(m: int) -> bool:
            return number.below(lambda precision: self.enclose(m, precision))

        low, high, step = -1, max(0, guess), 1  # U is not below P(|X| <= -1) = 0
        while not reached(high):
            low, high, step = high, high + step, 2 * step
        step = 1
        while low < high - step and reached(high - step):
            high, step = high - step, 2 * step
        low = max(low, high - step)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if reached(middle) else (middle, high)
        return high


@final
class _Uniform:
    """A uniform number in [0, 1) of which as many bits are drawn as a comparison needs."""

    def __init__(self, known: int, bits: int, draw: Draw) -> None:
        self._known, self._bits, self._draw = known, bits, draw

    def below(self, enclose: Callable[[int], Enclosure]) -> bool:
        """Whether it is below a number of which an enclosure can be had at any precision."""
        while True:
            number = enclose(self._bits + _GUARD_BITS)
            if (self._known + 1) << _GUARD_BITS <= number.low:
                return True
            if self._known << _GUARD_BITS >= number.high:
                return False
            self._known, self._bits = (self._known << _MORE_BITS) | self._draw(_MORE_BITS), self._bits + _MORE_BITS


def _floors(number: Enclosure, bits: int) -> int | None:
    """The floor of 2^bits times a number below 1, or None where the enclosure leaves two."""
    shift = number.precision - bits
    low, high = number.low >> shift, min(number.high >> shift, (1 << bits) - 1)
    return low if low == high else None


@final
class _Table:
    """The whole distribution function at one precision, by recurrences, for sigma of at least 4.

    P(X = m) = w[m] sum_k b[k] m^(2k), where w[m] = exp(-m^2 / (2 s)) / sqrt(2 pi s) and s = sigma^2.
    Proof: exp(-(m + v)^2 / (2 s)) = exp(-m^2 / (2 s)) exp(-v^2 / (2 s)) exp(-m v / s), integrated over |v| <= 1/2, where the
        odd part of exp(-m v / s) vanishes and the even one is the sum of (m v / s)^(2k) / (2k)!. So b[k] is the integral of
        v^(2k) exp(-v^2 / (2 s)), over s^(2k) (2k)!, which is positive. The alternating series of the integral, with
        x = 1 / (8 s), is b[k] = (1 / (4 s^2))^k / (2k)! * sum_j (-x)^j / (j! (2k + 2j + 1)).
    """

    def __init__(self, variance: Fraction, precision: int) -> None:
        self._variance, self._precision = variance, precision
        # No threshold is needed from 10 sigma on. Coefficients are those of (m / 2^shift)^2, which is then at most 1.
        self._shift = (math.isqrt(math.ceil(100 * variance)) + 2).bit_length()
        self._coefficients = self._scaled_coefficients()

    def floors(self, bits: int) -> list[int] | None:
        """floor(2^bits P(|X| <= m)) up to the first that is 2^bits - 1; None where the precision does not decide one."""
        precision, last, surplus = self._precision, (1 << bits) - 1, self._precision - bits
        weight, ratio = self._peak(), exp_minus(1 / (2 * self._variance), precision)
        step = ratio * ratio
        w_low, w_high, r_low, r_high = weight.low, weight.high, ratio.low, ratio.high
        falling, double = tuple(reversed(self._coefficients)), 2 * self._shift
        low = high = 0
        out: list[int] = []
        for m in range(1 << self._shift):
            square, sum_low, sum_high = m * m, 0, 0
            for b_low, b_high in falling:
                sum_low = b_low + (sum_low * square >> double)
                sum_high = b_high + (sum_high * square >> double) + 1
            both = 1 if m else 0  # m and -m
            low += w_low * sum_low >> precision << both
            high += (w_high * sum_high >> precision) + 1 << both
            floor = low >> surplus
            if floor != min(high >> surplus, last):
                return None
            out.append(floor)
            if floor == last:
                return out
            w_low, w_high = w_low * r_low >> precision, (w_high * r_high >> precision) + 1
            r_low, r_high = r_low * step.low >> precision, (r_high * step.high >> precision) + 1
        return None

    def _peak(self) -> Enclosure:
        """1 / sqrt(2 pi s)."""
        top = self._variance.denominator << 3 * self._precision
        circle, down = pi(self._precision), 2 * self._variance.numerator
        low, high = math.isqrt(top // (down * circle.high)), math.isqrt(top // (down * circle.low) + 1) + 1
        return Enclosure(low, high, self._precision)

    def _scaled_coefficients(self) -> list[tuple[int, int]]:
        """b[k] 2^(2k shift), enclosed, until those after them vanish: the last one's upper end covers the rest.

        Proof: the sum over j is at most 1 and falls with k, so coefficients fall as their scales do; once those halve from
            one to the next, all that follow are together at most the last scale.
        """
        powers = self._powers()
        squared = Fraction(4**self._shift) / (4 * self._variance**2)
        scale_low = scale_high = 1 << self._precision
        found: list[tuple[int, int]] = []
        k = 0
        while True:
            sum_low, sum_high = _alternating(powers, k)
            found.append(
                (scale_low * sum_low >> self._precision, (scale_high * sum_high >> self._precision) + 1),
            )
            step = squared / ((2 * k + 1) * (2 * k + 2))
            if scale_high <= 1 and 2 * step <= 1:
                found[-1] = (found[-1][0], found[-1][1] + scale_high)
                return found
            scale_low = scale_low * step.numerator // step.denominator
            scale_high = scale_high * step.numerator // step.denominator + 1
            k += 1

    def _powers(self) -> list[tuple[int, int]]:
        """x^j / j! enclosed for x = 1 / (8 s), until it vanishes."""
        x = 1 / (8 * self._variance)
        found = [(1 << self._precision, 1 << self._precision)]
        while found[-1][1] > 1:
            low, high = found[-1]
            down = x.denominator * len(found)
            found.append((low * x.numerator // down, high * x.numerator // down + 1))
        return found


def _alternating(powers: Sequence[tuple[int, int]], k: int) -> tuple[int, int]:
    """sum_j (-1)^j powers[j] / (2k + 2j + 1), enclosed: the terms fall, so what is left out is at most the last one."""
    low = high = 0
    for j, (least, most) in enumerate(powers):
        down = 2 * k + 2 * j + 1
        if j % 2:
            low, high = low - most // down - 1, high - least // down
        else:
            low, high = low + least // down, high + most // down + 1
    return low - powers[-1][1], high + powers[-1][1]


def pick_exactly(gaps: Sequence[int], rate: Fraction, uniform: int, bits: int, draw: Draw) -> int:
    """The index i with P(before i) <= U < P(up to i), P proportional to exp(-rate * gaps[i]), U's first bits given.

    Raises the precision and draws more bits until the answer is proved.
    """
    while True:
        precision = bits + _PICK_GUARD_BITS
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
