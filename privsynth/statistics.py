"""Every interval, test, power statement and ceiling that the audit prints; exact where an exact method exists.

Must never look at records: counts and residuals come in, probabilities and bounds go out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist
from typing import final

import numpy as np
import numpy.typing as npt

from privsynth.errors import AuditError

Floats = npt.NDArray[np.float64]

_ITERATIONS = 100_000
_TINY = 1e-300
_NUISANCE_SHARE = 0.04
"""Share of alpha that goes to the confidence interval of the nuisance parameter."""
_NUISANCE_POINTS = 25
_SLOPED_POINTS = 200
_BETWEEN_POINTS = 1.002
_UNIT_NORMAL = NormalDist()


# ---- distributions ---------------------------------------------------------------------------------------------------


def normal_cdf(x: float) -> float:
    """P(Z <= x) for a standard normal Z, to full relative accuracy in the lower tail."""
    return 0.5 * math.erfc(-x / math.sqrt(2))


def normal_quantile(p: float) -> float:
    """The x with P(Z <= x) = p. Raises: AuditError unless 0 < p < 1."""
    if not 0 < p < 1:
        raise AuditError(f"a normal quantile needs a probability between 0 and 1, found {p}")
    return _UNIT_NORMAL.inv_cdf(p)


def _lentz(numerator: Callable[[int], float], denominator: Callable[[int], float]) -> float:
    """Evaluate n1/(d1 + n2/(d2 + ...)). Source: Lentz's method, modified (Thompson, Barnett 1986)."""
    value, upper, lower = _TINY, _TINY, 0.0
    for step in range(1, _ITERATIONS):
        a, b = numerator(step), denominator(step)
        lower = 1 / (b + a * lower or _TINY)
        upper = b + a / upper or _TINY
        value *= upper * lower
        if abs(upper * lower - 1) < 1e-15:
            return value
    raise AuditError("a continued fraction did not converge; its arguments are beyond what an audit can use")


def beta_cdf(x: float, a: float, b: float) -> float:
    """The regularised incomplete beta function I_x(a, b). Source: DLMF 8.17.22."""
    if x <= 0 or x >= 1:
        return 0.0 if x <= 0 else 1.0
    if x > (a + 1) / (a + b + 2):
        return 1 - beta_cdf(1 - x, b, a)

    def numerator(step: int) -> float:
        if step == 1:
            return 1.0
        m, odd = divmod(step - 1, 2)
        if odd:
            return -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        return m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))

    log_front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    return math.exp(log_front) / a * _lentz(numerator, lambda _: 1.0)


def _bisect(below: Callable[[float], bool], low: float, high: float, steps: int = 60) -> float:
    """The point where `below` turns from true to false, from above."""
    for _ in range(steps):
        middle = (low + high) / 2
        if below(middle):
            low = middle
        else:
            high = middle
    return high


def chi_squared_tail(x: float, degrees: int) -> float:
    """P(X > x) for X chi-squared: the regularised upper incomplete gamma function Q(degrees/2, x/2).

    Source: DLMF 8.7.1 (series), 8.9.2 (continued fraction).
    """
    a, z = degrees / 2, x / 2
    if z <= 0:
        return 1.0
    front = math.exp(a * math.log(z) - z - math.lgamma(a))
    if z >= a + 1:
        return front * _lentz(lambda n: 1.0 if n == 1 else (n - 1) * (a - n + 1), lambda n: z - a + 2 * n - 1)
    return 1 - _gamma_series(a, z, front)


def _gamma_series(a: float, z: float, front: float) -> float:
    term = total = 1 / a
    step = 0
    while term > total * 1e-17:
        step += 1
        term *= z / (a + step)
        total += term
    return front * total


def chi_squared_lower(x: float, degrees: int) -> float:
    """P(X <= x) for X chi-squared, accurate where it is small."""
    a, z = degrees / 2, x / 2
    if z <= 0:
        return 0.0
    if z >= a + 1:
        return 1 - chi_squared_tail(x, degrees)
    return _gamma_series(a, z, math.exp(a * math.log(z) - z - math.lgamma(a)))


# ---- one proportion --------------------------------------------------------------------------------------------------


@lru_cache(maxsize=4096)
def proportion_lower(successes: int, attempts: int, alpha: float) -> float:
    """Exact one-sided lower bound of a proportion at confidence 1 - alpha. Source: Clopper, Pearson 1934."""
    if successes == 0:
        return 0.0
    return _bisect(lambda p: beta_cdf(p, successes, attempts - successes + 1) < alpha, 0.0, 1.0)


def proportion_upper(successes: int, attempts: int, alpha: float) -> float:
    """Exact one-sided upper bound of a proportion at confidence 1 - alpha. Source: Clopper, Pearson 1934."""
    return 1 - proportion_lower(attempts - successes, attempts, alpha)


# ---- two proportions -------------------------------------------------------------------------------------------------


@lru_cache(maxsize=64)
def _log_factorials(n: int) -> Floats:
    return np.array([math.lgamma(k + 1) for k in range(n + 1)])


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Successes among members and among controls; the excess is the difference of the two rates.

    Raises: AuditError when an arm is empty or counts more successes than attempts.
    """

    members: int
    member_attempts: int
    controls: int
    control_attempts: int

    def __post_init__(self) -> None:
        for successes, attempts in ((self.members, self.member_attempts), (self.controls, self.control_attempts)):
            if attempts < 1 or not 0 <= successes <= attempts:
                raise AuditError("a comparison needs at least one attempt in each arm, and no more successes than that")

    @property
    def excess(self) -> float:
        """Member rate minus control rate."""
        return self.members / self.member_attempts - self.controls / self.control_attempts

    @property
    def swapped(self) -> Comparison:
        """The same counts with the arms exchanged."""
        return Comparison(
            members=self.controls,
            member_attempts=self.control_attempts,
            controls=self.members,
            control_attempts=self.member_attempts,
        )


def fisher_p_value(counts: Comparison) -> float:
    """One-sided exact p-value of "members succeed no more often than controls", given the total of successes.

    Under exchangeability the labels of the records that succeeded are a draw without replacement, whatever made some
    records succeed: no independence between records is needed.
    Source: Fisher 1935; the hypergeometric upper tail.
    """
    total, members, controls = counts.members + counts.controls, counts.member_attempts, counts.control_attempts
    log = _log_factorials(members + controls)
    k = np.arange(counts.members, min(total, members) + 1)
    rest = total - k
    if not k.size:
        return 1.0
    ways = log[members] - log[k] - log[members - k] + log[controls] - log[rest] - log[controls - rest]
    every = log[members + controls] - log[total] - log[members + controls - total]
    return min(1.0, float(np.exp(ways - every).sum()))


def _binomial(n: int, p: Floats) -> tuple[int, Floats]:
    """Probabilities of a binomial for several p at once, within a window that leaves out less than 1e-15.

    Returns: the window's first value, and an array of shape (len(p), values).
    """
    spread = 9 * math.sqrt(n * float(np.max(p * (1 - p)))) + 40
    first = max(0, math.floor(n * float(p.min()) - spread))
    last = min(n, math.ceil(n * float(p.max()) + spread))
    k = np.arange(first, last + 1)
    log = _log_factorials(n)
    inside = np.clip(p, _TINY, 1 - 1e-16)[:, None]
    return first, np.exp(log[n] - log[k] - log[n - k] + k * np.log(inside) + (n - k) * np.log1p(-inside))


def _nuisance(counts: Comparison, excess: float, gamma: float, slope: float) -> Floats:
    """Points of the control rate's 1 - gamma confidence interval, when the member rate is `slope` times that plus `excess`."""
    n1, n2 = counts.member_attempts, counts.control_attempts
    total = counts.members + counts.controls
    low, high = max(0.0, -excess / slope), min(1.0, (1 - excess) / slope)
    ends = [bound(total, n1 + n2, gamma / 2) for bound in (proportion_lower, proportion_upper)]
    start, stop = (((n1 + n2) * rate - n1 * excess) / (n1 * slope + n2) for rate in ends)
    points = _NUISANCE_POINTS if slope == 1 else _SLOPED_POINTS
    return np.linspace(min(max(start, low), high), max(min(stop, high), low), points)


def excess_p_value(counts: Comparison, excess: float, *, alpha: float, slope: float = 1.0) -> float:
    """P-value of "member rate - `slope` * control rate is `excess`" against its being smaller, for any control rate.

    The tables are ordered by a studentised difference T = (m/n1 - slope c/n2 - excess) / s(c), whose region {T <= observed}
    is, for each c, all m up to a limit. Its probability is maximised over the control rate, inside that rate's confidence
    interval at 1 - gamma (from the pooled successes, which are less spread than binomial: Hoeffding 1956), and gamma, a 25th
    of alpha, is added. The maximum over 25 points (200 for another slope than 1) is raised by 0.2 %, which is more than 800
    points (5,000) were seen to add.
    Source: Chan, Zhang 1999 (exact unconditional inference for the difference); Berger, Boos 1994 (the interval).
    """
    n1, n2 = counts.member_attempts, counts.control_attempts
    gamma = alpha * _NUISANCE_SHARE
    control = np.arange(n2 + 1)
    smoothed = (control + 1) / (n2 + 2)
    member = np.clip(slope * smoothed + excess, 1 / (n1 + 2), 1 - 1 / (n1 + 2))
    deviation = np.sqrt(slope**2 * smoothed * (1 - smoothed) / n2 + member * (1 - member) / n1)
    gap = counts.members / n1 - slope * counts.controls / n2
    observed = (gap - excess) / deviation[counts.controls]
    limit = np.floor(n1 * (slope * control / n2 + excess + observed * deviation) + 1e-9).clip(-1, n1).astype(np.int64)
    rates = _nuisance(counts, excess, gamma, slope)
    first1, chance1 = _binomial(n1, np.clip(slope * rates + excess, 0.0, 1.0))
    first2, chance2 = _binomial(n2, rates)
    up_to = np.cumsum(chance1, axis=1)
    at = np.minimum(limit[first2 : first2 + chance2.shape[1]] - first1, up_to.shape[1] - 1)
    below = np.where(at >= 0, up_to[:, np.maximum(at, 0)], 0.0)
    return min(1.0, _BETWEEN_POINTS * float((chance2 * below).sum(axis=1).max()) + gamma)


def excess_upper(counts: Comparison, alpha: float) -> float:
    """One-sided upper bound of member rate - control rate at confidence 1 - alpha: all excesses that are not rejected."""
    return _bisect(lambda d: excess_p_value(counts, d, alpha=alpha) > alpha, max(-1.0, counts.excess - 1e-9), 1.0, 26)


def excess_lower(counts: Comparison, alpha: float) -> float:
    """One-sided lower bound of member rate - control rate at confidence 1 - alpha."""
    return -excess_upper(counts.swapped, alpha)


def above_p_value(counts: Comparison, threshold: float, *, alpha: float, slope: float = 1.0) -> float:
    """P-value of "member rate - `slope` * control rate is at most `threshold`" against its being larger."""
    return excess_p_value(counts.swapped, -threshold / slope, alpha=alpha, slope=1 / slope)


# ---- many tests, and power -------------------------------------------------------------------------------------------


def holm(p_values: Sequence[float], shares: Sequence[float] | None = None) -> tuple[float, ...]:
    """P-values adjusted so that the chance of any false rejection stays below alpha.

    Args: `shares` is the part of alpha that each hypothesis gets, fixed beforehand; equal ones by default. Where they sum to
        less than 1, the rest belongs to hypotheses that are not tested here, which counts as not rejecting them.
    Proof: take the true hypothesis that is rejected first. All hypotheses still in the running then have p > adjusted *
        share / (the shares that are left), so it is rejected only if its p is below alpha * its share / (the shares of the
        true ones), and by the union bound over the true ones that has probability alpha at most. Raising p-values, as
        leaving hypotheses out does, never rejects more.
    Source: Holm 1979.
    """
    weights = [1 / max(1, len(p_values))] * len(p_values) if shares is None else list(shares)
    order = sorted(range(len(p_values)), key=lambda index: p_values[index] / weights[index])
    adjusted, floor, left = [0.0] * len(p_values), 0.0, 1.0
    for index in order:
        floor = max(floor, min(1.0, left * p_values[index] / weights[index]))
        adjusted[index] = floor
        left -= weights[index]
    return tuple(adjusted)


def split_pairs_p_value(apart: int, pairs: int, first: int, second: int) -> float:
    """Exact p-value of so many pairs being apart when `first` + `second` things, pairs among them, are split at random.

    The number of ways to choose `first` of all things so that x pairs are apart and a pairs are chosen whole is
    pairs! / (x! a! (pairs - x - a)!) * 2^x * C(others, first - x - 2a), out of C(first + second, first). Summed where it
    is not beyond nine standard deviations.
    """
    log, others = _log_factorials(first + second), first + second - 2 * pairs
    reach, share = math.ceil(9 * math.sqrt(pairs)) + 40, first / (first + second)
    whole, split = pairs * share**2, 2 * pairs * share * (1 - share)
    a = np.arange(max(0, math.floor(whole) - reach), min(pairs, math.ceil(whole) + reach) + 1)[None, :]
    x = np.arange(apart, min(pairs, math.ceil(max(apart, split)) + reach) + 1)[:, None]
    rest = first - x - 2 * a
    possible = (x + a <= pairs) & (rest >= 0) & (rest <= others)
    free, rest = np.where(possible, pairs - x - a, 0), np.where(possible, rest, 0)
    ways = log[pairs] - log[x] - log[a] - log[free] + x * math.log(2) + log[others] - log[rest] - log[others - rest]
    every = log[first + second] - log[first] - log[second]
    return min(1.0, float(np.where(possible, np.exp(np.minimum(ways - every, 0.0)), 0.0).sum()))


@lru_cache(maxsize=4096)
def detectable_excess(attempts: int, *, alpha: float, power: float = 0.95, rate: float | None = None) -> float:
    """Smallest excess that a one-sided test at alpha tells from none with probability `power`.

    Args: `rate` is the control rate; None takes the one that is hardest to tell, so that nothing measured goes in.
    Source: the normal approximation of two binomials with `attempts` each (Fleiss 1981).
    """
    z_alpha, z_power = normal_quantile(1 - alpha), normal_quantile(power)

    def seen(excess: float, control: float) -> bool:
        member = control + excess
        pooled = (member + control) / 2
        null, real = 2 * pooled * (1 - pooled), member * (1 - member) + control * (1 - control)
        return excess * math.sqrt(attempts) >= z_alpha * math.sqrt(null) + z_power * math.sqrt(max(real, 0.0))

    def missed(excess: float) -> bool:
        control = (1 - excess) / 2 if rate is None else rate
        return not seen(excess, min(control, 1 - excess))

    return 1.0 if missed(1.0) else _bisect(missed, 0.0, 1.0)


def tells_apart(attempts: int, limit: float, *, times: float, alpha: float, power: float = 0.95) -> bool:
    """Whether no excess at all is told from member rate = `times` * control rate + `limit`, whatever the control rate is.

    Source: as for `detectable_excess`, at 200 control rates where `times` is not 1.
    """
    if times == 1:
        return detectable_excess(attempts, alpha=alpha, power=power) <= limit
    rate = np.linspace(0.0, (1 - limit) / times, 200)
    member = times * rate + limit
    null = np.sqrt(times**2 * rate * (1 - rate) + member * (1 - member))
    real = np.sqrt((times**2 + 1) * rate * (1 - rate))
    gap = math.sqrt(attempts) * (member - rate)
    return bool((gap >= normal_quantile(1 - alpha) * null + normal_quantile(power) * real).all())


def detectable_noise_share(residuals: int, *, alpha: float, power: float = 0.95) -> float:
    """Largest share of its claimed standard deviation at which too little noise is still seen with probability `power`.

    The test rejects when the sum of squares falls below the alpha quantile of its chi-squared distribution.
    """
    top = 2.0 * residuals + 100
    low = _bisect(lambda x: chi_squared_lower(x, residuals) < alpha, 0.0, top)
    high = _bisect(lambda x: chi_squared_lower(x, residuals) < power, 0.0, top)
    return math.sqrt(low / high)


# ---- what the claim allows -------------------------------------------------------------------------------------------


def advantage_ceiling(epsilon: float, delta: float) -> float:
    """Largest member rate - control rate of any attack under (epsilon, delta)-DP.

    Proof: with member rate m and control rate c, m <= e^epsilon c + delta, and 1 - c <= e^epsilon (1 - m) + delta; add them.
    Source: Kairouz, Oh, Viswanath 2015, for the two inequalities as the whole region of possible attacks.
    """
    if epsilon > 700:
        return 1.0
    return min(1.0, (math.expm1(epsilon) + 2 * delta) / (math.exp(epsilon) + 1))


def zcdp_advantage_ceiling(rho: float) -> float:
    """Largest member rate - control rate of any attack under rho-zCDP: the total variation distance that it allows.

    Proof: rho-zCDP at order 1 bounds the Kullback-Leibler divergence by rho; Pinsker's inequality gives sqrt(rho/2), and
        that of Bretagnolle and Huber sqrt(1 - exp(-rho)).
    """
    return min(math.sqrt(rho / 2), math.sqrt(-math.expm1(-rho)))


def gaussian_advantage_ceiling(mu: float) -> float:
    """Largest member rate - control rate of any attack under mu-GDP: 2 Phi(mu/2) - 1. Source: Dong, Roth, Su 2022."""
    return math.erf(mu / (2 * math.sqrt(2)))
