"""Coefficients of a linear or logistic regression from a table's inputs and its sums of inputs times target.

Must never return coefficients that did not converge as if they had.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_STEPS: Final = 60
_HALVINGS: Final = 30
_TOLERANCE: Final = 1e-9
_FARTHEST: Final = 30.0
"""A standardised logistic coefficient beyond this says that the outcome is told without error: it has no estimate."""
_SINGULAR: Final = 1e-10


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Solution:
    """Coefficients, and the mean information of a row (the Hessian), at which they were found. Shapes: (p,), (p, p)."""

    coefficients: Floats
    information: Floats


def chances(x: Floats, coefficients: Floats) -> Floats:
    """The logistic function of x times the coefficients. Shapes: (rows, p), (p,) -> (rows,)."""
    found: Floats = 0.5 * (1 + np.tanh(0.5 * (x @ coefficients)))
    return found


def logistic(x: Floats, moments: Floats, start: Floats | None = None) -> Solution | None:
    """The coefficients at which the mean of x times the chance is `moments`: the maximum of the likelihood, which knows the
    target by these moments alone. By Newton's method with halved steps; None where there is no maximum (separation), or the
    inputs are collinear.

    Shapes: `x` is (rows, p), standardised, the intercept included; `moments` is (p,), means over the rows.
    """
    rows, width = x.shape
    beta = np.zeros(width) if start is None else start.copy()
    value = _value(x, moments, beta)
    for _ in range(_STEPS):
        chance = chances(x, beta)
        gradient = moments - x.T @ chance / rows
        information = (x * (chance * (1 - chance))[:, None]).T @ x / rows
        step = _solved(information, gradient)
        if step is None or np.abs(beta).max() > _FARTHEST:
            return None
        if np.abs(gradient).max() < _TOLERANCE:
            return Solution(coefficients=beta, information=information)
        for _ in range(_HALVINGS):
            found = _value(x, moments, beta + step)
            if found >= value - 1e-14:
                break
            step = step / 2
        beta, value = beta + step, found
    return None


def linear(gram: Floats, moments: Floats) -> Solution | None:
    """The coefficients at which `gram` times them is `moments`; None where the inputs are collinear. Shapes: (p, p), (p,)."""
    found = _solved(gram, moments)
    return None if found is None else Solution(coefficients=found, information=gram)


def _value(x: Floats, moments: Floats, beta: Floats) -> float:
    return float(moments @ beta - np.logaddexp(0.0, x @ beta).mean())


def _solved(matrix: Floats, right: Floats) -> Floats | None:
    """The solution of a symmetric system; None where the matrix is not positive definite, each unknown by its own scale."""
    diagonal = np.diag(matrix)
    if not np.isfinite(matrix).all() or (diagonal <= 0).any():
        return None
    scale = 1 / np.sqrt(diagonal)
    scaled = matrix * scale[:, None] * scale
    if np.linalg.eigvalsh(scaled)[0] < _SINGULAR:
        return None
    found: Floats = scale * np.linalg.solve(scaled, scale * right)
    return found
