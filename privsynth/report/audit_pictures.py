"""Pictures of the audit's page as inline SVG: limits and power on one scale, intervals, ROC curves under their ceiling.

Must never read anything but the numbers it is handed, and must never write a label unescaped.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from markupsafe import Markup

from privsynth import statistics
from privsynth.findings import Claim, Curve
from privsynth.report.pictures import coordinate, path, rect, svg, text

_WIDTH = 260.0
_SIDE = 210.0
_CURVE_STEPS = 60


def gauge(
    *,
    limit: float,
    detectable: float | None,
    ceiling: float | None,
    top: float,
    measured: tuple[float, float, float] | None = None,
) -> Markup:
    """One attack on a scale from 0 to `top`: what could have been missed, the limit, and what the claim allows at all.

    Args: `measured` is (estimate, lower, upper), for the internal page alone; what lies below 0 is drawn at 0.
    """
    parts = [rect(0, 8, _WIDTH, 8, "track")]
    if detectable is not None:
        parts.append(rect(0, 8, _place(detectable, top), 8, "unseen"))
    if ceiling is not None:
        parts.append(path(f"M{coordinate(_place(ceiling, top))} 4v16", "ceiling"))
    parts.append(path(f"M{coordinate(_place(limit, top))} 3v18", "limit"))
    if measured is not None:
        estimate, lower, upper = (_place(value, top) for value in measured)
        parts.append(path(f"M{coordinate(lower)} 12H{coordinate(upper)}", "measured"))
        parts.append(rect(max(0.0, estimate - 2), 8, 4, 8, "point"))
    return svg(_WIDTH, 24, "Limit, power and ceiling of the attack", parts, "gauge")


def _place(value: float, top: float) -> float:
    return _WIDTH * min(max(value, 0.0), top) / top


def interval(estimate: float, low: float, high: float, *, reference: float | None, top: float) -> Markup:
    """An estimate with its interval on a scale from 0 to `top`, and a mark where the claim stands."""
    parts = [rect(0, 8, _WIDTH, 8, "track")]
    if reference is not None:
        parts.append(path(f"M{coordinate(_place(reference, top))} 3v18", "limit"))
    ends = coordinate(_place(low, top)), coordinate(_place(high, top))
    parts.append(path(f"M{ends[0]} 8v8m0-4H{ends[1]}m0-4v8", "measured"))
    parts.append(rect(max(0.0, _place(estimate, top) - 2), 8, 4, 8, "point"))
    return svg(_WIDTH, 24, "Estimate with its interval", parts, "gauge")


def roc(curve: Curve, ceiling: Curve) -> Markup:
    """True positives (up) at each rate of false ones (across), under the most that the claim allows, if anything is claimed."""
    left, head = 34.0, 8.0

    def point(across: float, up: float) -> str:
        return f"{coordinate(left + _SIDE * across)} {coordinate(head + _SIDE * (1 - up))}"

    parts = [rect(left, head, _SIDE, _SIDE, "frame"), path(f"M{point(0, 0)}L{point(1, 1)}", "axis")]
    if ceiling:
        parts.append(path("M" + "L".join(point(across, up) for across, up in ceiling), "ceiling"))
    parts.append(path("M" + "L".join(point(across, up) for across, up in curve), "roc"))
    for rate in (0.0, 0.5, 1.0):
        parts.append(text(left + _SIDE * rate, head + _SIDE + 15, f"{rate:g}", "mid"))
        parts.append(text(left - 6, head + _SIDE * (1 - rate) + 4, f"{rate:g}", "end soft"))
    parts.append(text(left + _SIDE / 2, head + _SIDE + 30, "false positives; up: true ones", "mid"))
    if ceiling:
        parts.append(text(left + _SIDE / 2, head + _SIDE + 45, "dotted: the most that the claim allows", "mid soft"))
    return svg(left + _SIDE + 10, head + _SIDE + (51 if ceiling else 36), "ROC curve", parts, "roc")


def points_of(most: Callable[[float], float]) -> Curve:
    """A ceiling as points, closer together where it is steep."""
    rates = [(step / _CURVE_STEPS) ** 3 for step in range(_CURVE_STEPS + 1)]
    return tuple((rate, most(rate)) for rate in rates)


def allowed(claim: Claim) -> Callable[[float], float]:
    """The most members that any attack can find under a claim, by the share of others that it takes for members.

    Where gradient steps are part of it, epsilon and delta alone are used, which allow more.
    Source: Dong, Roth, Su 2022: Phi(Phi^-1(x) + mu) for mu-GDP; Kairouz, Oh, Viswanath 2015 for (epsilon, delta).
    """
    if claim.composition == "gdp" and claim.rho is not None:
        return gaussian_curve(math.sqrt(2 * claim.rho))
    grown = math.exp(min(claim.epsilon, 700))

    def curve(rate: float) -> float:
        return max(0.0, min(1.0, grown * rate + claim.delta, 1 - (1 - claim.delta - rate) / grown))

    return curve


def gaussian_curve(mu: float) -> Callable[[float], float]:
    """The most that any attack can find under mu-GDP: Phi(Phi^-1(x) + mu)."""

    def curve(rate: float) -> float:
        if rate <= 0 or rate >= 1:
            return min(1.0, max(0.0, rate))
        return statistics.normal_cdf(statistics.normal_quantile(rate) + mu)

    return curve


def common_top(values: Sequence[float | None]) -> float:
    """The end of a scale that holds all of these values, with some room."""
    return 1.1 * max([value for value in values if value is not None and value > 0], default=1.0)
