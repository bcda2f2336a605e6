"""What was spent against what is claimed.

Must never use the accountant's own conversion from rho to epsilon.
"""

from __future__ import annotations

from fractions import Fraction

from privsynth import epsilon_bounds
from privsynth.conformance.hypothesis import deterministic
from privsynth.findings import Claim, Finding
from privsynth.privacy.accounting import Composition
from privsynth.privacy.sampled_gaussian import SampledGaussian

DELTA = 1e-5
"""Where nothing is claimed, the delta at which epsilons are told."""

_ROUNDING = 1e-6
_ESTIMATED = 1e-3
"""The same where gradient steps are composed numerically."""


def implied(rho: Fraction, composition: Composition, training: SampledGaussian | None) -> Claim:
    """What a budget and gradient steps promise, where nothing else is claimed."""
    epsilon = epsilon_bounds.implied_epsilon(float(rho), DELTA, composition, training)
    return Claim(epsilon=epsilon, delta=DELTA, rho=float(rho), unit="unit", composition=composition, training=training)


def finding(spent: Fraction, claim: Claim, composition: Composition) -> Finding:
    """The row "claim: accounting": whether the most that fits spent, beside `claim.training`, implies the claim.

    It is computed another way than the accountant's.
    """
    rho = float(spent)
    most, delta = max(claim.rho or 0.0, rho), claim.delta or DELTA
    gaussian = claim.composition in {"gdp", "pld"}
    adding_up: Composition = composition if gaussian else "zcdp" if claim.training is None else "rdp"
    epsilon = epsilon_bounds.implied_epsilon(most, delta, adding_up, claim.training)
    rounding = _ROUNDING if claim.training is None else _ESTIMATED
    problems = []
    if epsilon > claim.epsilon * (1 + rounding) + rounding:
        more = "" if claim.training is None else f" and {claim.training.steps:,} gradient steps"
        problems.append(
            f"rho = {most:.6g}{more} implies epsilon = {epsilon:.6g} at delta = {delta:g}, not {claim.epsilon:.6g}"
        )
    if claim.rho is not None and rho > claim.rho * (1 + _ROUNDING):
        problems.append("a fit spends more rho than is claimed")
    if gaussian and composition not in {"gdp", "pld"}:
        problems.append("the claim adds up answers as Gaussian, and the generator's are not")
    return deterministic(
        "claim: accounting",
        "that the stated epsilon is not what was spent implies",
        problems,
        f"What is spent, rho = {most:.4g} at the most, implies epsilon = {epsilon:.4g} at delta = {delta:g}; "
        f"{claim.epsilon:.4g} is claimed.",
    )
