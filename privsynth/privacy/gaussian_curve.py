"""The Gaussian mechanism's own privacy curve, delta(epsilon), enclosed between integers.

Must never use a float, and must never say that a budget suffices when its enclosure leaves that open.
"""

from __future__ import annotations

import math
from fractions import Fraction

from privsynth.privacy.enclosure import Enclosure, exp_minus, normal_within, pi

_RELATIVE_BITS = 40
_FAR = 16
"""From 4 on, tails are computed from a continued fraction, and else from the inside."""


def suffices(rho: Fraction, epsilon: Fraction, delta: Fraction) -> bool:
    """Whether mu-GDP with mu^2 = 2 rho is proved to be (epsilon, delta)-DP; False within 2^-39 of delta where it may be."""
    precision = max(1, delta.denominator.bit_length() - delta.numerator.bit_length() + 1) + _RELATIVE_BITS
    return curve(rho, epsilon, precision).high <= math.floor(delta * (1 << precision))


def curve(rho: Fraction, epsilon: Fraction, precision: int) -> Enclosure:
    """delta(epsilon) of mu-GDP, mu^2 = 2 rho > 0, to within a few units in the last place; its high end is a valid delta.

    Source: Balle, Wang 2018, theorem 8; Dong, Roth, Su 2022 for mu-GDP, which is to be no easier to tell apart than N(0, 1)
        and N(mu, 1): delta(epsilon) = P(Z > a) - e^epsilon P(Z > b), a = epsilon / mu - mu / 2 and b = epsilon / mu + mu / 2.
        Since epsilon = (b^2 - a^2) / 2, the factor turns the density at b into the one at a.
    """
    working = precision + 16
    a_squared, b_squared = (epsilon - rho) ** 2 / (2 * rho), (epsilon + rho) ** 2 / (2 * rho)
    if epsilon > rho and a_squared > 2 * working:  # P(Z > a) <= exp(-a^2 / 2)
        return Enclosure(0, 1, precision)
    bell = exp_minus(a_squared / 2, working)
    if epsilon > rho and a_squared >= _FAR:
        near = bell * _mills(a_squared, working)
    else:
        near = _beyond(a_squared, working, positive=epsilon > rho)
    far = bell * _mills(b_squared, working) if b_squared >= _FAR else _grown(b_squared, epsilon, working)
    found = Enclosure(near.low - far.high, near.high - far.low, working).at(precision)
    return Enclosure(max(0, found.low), max(0, found.high), precision)


def _grown(x_squared: Fraction, epsilon: Fraction, precision: int) -> Enclosure:
    """e^epsilon P(Z > x), for epsilon <= x^2 / 2 <= 8: at most 1, from a tail with 16 bits more."""
    working = precision + 16
    tail, shrink = _beyond(x_squared, working, positive=True), exp_minus(epsilon, working)
    low, high = (tail.low << working) // shrink.high, -(-(tail.high << working) // shrink.low)
    return Enclosure(low, high, working).at(precision)


def _beyond(x_squared: Fraction, precision: int, *, positive: bool) -> Enclosure:
    """P(Z > x), given the square and the sign of x."""
    inside = normal_within(x_squared, precision)
    one = 1 << precision
    low, high = (one - inside.high, one - inside.low) if positive else (one + inside.low, one + inside.high)
    return Enclosure(low >> 1, high + 1 >> 1, precision)


def _mills(x_squared: Fraction, precision: int) -> Enclosure:
    """P(Z > x) exp(x^2 / 2) for x >= 4.

    Source: Laplace's continued fraction: x sqrt(2 pi) times this is 1 / (1 + (1/x^2) / (1 + (2/x^2) / (1 + (3/x^2) / ...))).
    Proof: all that stands below the k-th bar is between 1 and 1 + k / x^2; each division then turns the bounds around.
    """
    one, up, down = 1 << precision, x_squared.numerator, x_squared.denominator
    bars = 8 + math.ceil(precision**2 / (8 * x_squared))
    low, high = one, one + -(-(bars * down << precision) // up)
    for bar in range(bars - 1, 0, -1):
        top = bar * down << 2 * precision
        low, high = one + top // (up * high), one - (-top // (up * low))
    circle = pi(precision)
    root_low = math.isqrt((down << 3 * precision) // (2 * up * circle.high))
    root_high = math.isqrt((down << 3 * precision) // (2 * up * circle.low) + 1) + 1
    return Enclosure((root_low << precision) // high, -(-(root_high << precision) // low), precision)
