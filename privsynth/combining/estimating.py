"""Coefficients from a table that a model made, corrected by what the noisy tables say of each pair of columns.

Must never treat made rows as if they were people: what they are off by is told by `copies`.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias, final

import numpy as np
import numpy.typing as npt

from privsynth.combining.design import Design, Rows
from privsynth.combining.direct import DirectPair
from privsynth.combining.likelihood import chances, linear, logistic
from privsynth.dataset import Dataset
from privsynth.encoding import decode

Floats = npt.NDArray[np.float64]

_ROUNDS: Final = 3
_BACKFITS: Final = 3
_DRAWN: Final = 64
_TRACE: Final = 1e-6
"""Weight of a level that no row has, among those of its group."""


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scale:
    """How terms are standardised inside: centre and width of each, (0, 1) for the intercept and for labels."""

    centres: Floats
    widths: Floats
    y_centre: float
    y_width: float

    @classmethod
    def of(cls, design: Design, rows: Rows) -> Scale:
        """From the complete rows of one made table; all copies are scaled alike."""
        numbers = np.array([bool(term.column) and term.tick is None for term in design.terms])
        x = rows.x[rows.complete]
        width = x.std(axis=0)
        known = numbers & (width > 0)
        y, linear_ = rows.y[rows.complete], design.kind == "linear"
        return cls(
            centres=np.where(known, x.mean(axis=0), 0.0),
            widths=np.where(known, width, 1.0),
            y_centre=float(y.mean()) if linear_ else 0.0,
            y_width=(float(y.std()) or 1.0) if linear_ else 1.0,
        )

    def apply(self, rows: Rows) -> Rows:
        """Rows in standardised units; incomplete ones stay zero."""
        x = np.where(rows.complete[:, None], (rows.x - self.centres) / self.widths, 0.0)
        y = np.where(rows.complete, (rows.y - self.y_centre) / self.y_width, 0.0)
        return Rows(x=x, y=y, complete=rows.complete)

    def undo(self, coefficients: Floats) -> Floats:
        """Coefficients in the columns' own units, the intercept first. Shapes: (p,) or (p, k)."""
        found = coefficients * self.y_width / (self.widths if coefficients.ndim == 1 else self.widths[:, None])
        found[0] = found[0] - self.centres @ found + self.y_centre
        result: Floats = found
        return result


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Corrected:
    """Coefficients, and how far they would move if the inputs' chances were off by all of themselves, at random, beyond what
    tables of pairs show: zero for a linear regression, which pairs determine. Shapes: both (p,).
    """

    coefficients: Floats
    beyond: Floats


def plain(design: Design, rows: Rows) -> tuple[Floats, Floats] | None:
    """Coefficients and their covariance from standardised rows, as any textbook has them; None where there are none.

    Shapes: (p,), (p, p).
    """
    x, y = rows.x[rows.complete], rows.y[rows.complete]
    if len(y) <= x.shape[1]:
        return None
    moments = x.T @ y / len(y)
    found = logistic(x, moments) if design.kind == "logistic" else linear(x.T @ x / len(y), moments)
    if found is None:
        return None
    covariance = np.linalg.inv(found.information) / len(y)
    if design.kind == "linear":
        residual = y - x @ found.coefficients
        covariance = covariance * float(residual @ residual) / (len(y) - x.shape[1])
    return found.coefficients, covariance


def level_values(rows: Rows, values: Floats, codes: npt.NDArray[np.integer], spare: Floats) -> tuple[Floats, Floats]:
    """The mean of some values in each level of a column among complete rows, and how many rows it has.

    Shapes: `values` is (rows, k), `spare` (levels, k): what a level has that no row has. Returns: (levels, k), (levels,).
    """
    kept = codes[rows.complete].astype(np.int64)
    counts = np.bincount(kept, minlength=len(spare)).astype(np.float64)
    sums = [np.bincount(kept, weights=each, minlength=len(spare)) for each in values[rows.complete].T]
    means = np.divide(np.column_stack(sums), counts[:, None], out=spare.copy(), where=counts[:, None] > 0)
    return means, counts


def corrected(
    design: Design,
    rows: Rows,
    made: Dataset,
    pairs: Mapping[tuple[str, str], DirectPair],
    total: float,
    spare: Mapping[str, Floats],
) -> Corrected | None:
    """Coefficients whose moments are the made rows' plus what the noisy tables of pairs say they lack.

    A moment of the target and an input, the sum of y x, is a sum over the pair's table: its noisy table gives it without bias.
    The other side of the score equation, the sum of p(x) x, is no such sum; p is replaced, in what the made rows lack alone,
    by the sum of functions of single inputs that is nearest to it, so that it becomes one over tables of pairs of inputs. For
    a linear regression nothing is replaced. Solved again a few times, as p depends on the coefficients.
    Shapes: `rows` standardised, as many as `made`; `spare` as `level_values` takes it. Returns: (p,); None where no
        coefficients give such moments.
    """
    if not rows.complete.any():
        return None
    inner, codes = rows.x[rows.complete], {name: made.column(name)[rows.complete] for name in design.inputs}
    moments, gram = inner.T @ rows.y[rows.complete] / len(inner), np.zeros((inner.shape[1],) * 2)
    values = {name: rows.x[:, design.places(name)] for name in design.inputs} | {design.target: rows.y[:, None]}
    means = {name: level_values(rows, each, made.column(name), spare[name]) for name, each in values.items()}
    between: list[_Between] = []
    for (first, second), direct in pairs.items():
        gap, one = direct.lacking(made, total), _by_group(direct, 0, *means[first])
        other = _by_group(direct, 1, *means[second])
        if first == design.target:
            moments[design.places(second)] += (one.T @ gap @ other)[0]
        else:
            gram[np.ix_(design.places(first), design.places(second))] += one.T @ gap @ other
            gram[np.ix_(design.places(second), design.places(first))] += other.T @ gap.T @ one
            between.append((direct, gap, one, other))
    if design.kind == "linear":
        found = linear(inner.T @ inner / len(inner) + gram, moments)
        return None if found is None else Corrected(coefficients=found.coefficients, beyond=np.zeros(inner.shape[1]))
    return _corrected_logistic(design, inner, codes, moments, means, between)


_Between: TypeAlias = tuple[DirectPair, Floats, Floats, Floats]
_Means: TypeAlias = tuple[Floats, Floats]


def _corrected_logistic(
    design: Design,
    x: Floats,
    codes: Mapping[str, npt.NDArray[np.integer]],
    moments: Floats,
    means: Mapping[str, _Means],
    between: Sequence[_Between],
) -> Corrected | None:
    own, left = x.T @ x / len(x), np.zeros(len(x))
    found = logistic(x, moments)
    for _ in range(_ROUNDS):
        if found is None:
            return None
        told = _additive(design, x, codes, means, own, chances(x, found.coefficients))
        if told is None:
            return None
        parts, left = told
        lacked = np.zeros_like(moments)
        for direct, gap, one, other in between:
            first, second = direct.pair
            ahead = _by_group(direct, 0, parts[first][:, None], means[first][1])[:, 0]
            behind = _by_group(direct, 1, parts[second][:, None], means[second][1])[:, 0]
            lacked[design.places(first)] += one.T @ (gap @ behind)
            lacked[design.places(second)] += other.T @ (gap.T @ ahead)
        found = logistic(x, moments - lacked, found.coefficients)
    if found is None:
        return None
    inverse = np.linalg.inv(found.information)
    spread = (x * (left**2)[:, None]).T @ x / len(x)
    return Corrected(coefficients=found.coefficients, beyond=np.sqrt(np.diag(inverse @ spread @ inverse)))


def _additive(
    design: Design,
    x: Floats,
    codes: Mapping[str, npt.NDArray[np.integer]],
    means: Mapping[str, _Means],
    own: Floats,
    chance: Floats,
) -> tuple[dict[str, Floats], Floats] | None:
    """The sum of functions of single inputs' levels that is nearest to the chance: linear, then what is left, by backfitting.

    Returns: for each input (levels,), and what is left, (rows,); None where the inputs are collinear.
    """
    nearest = linear(own, x.T @ chance / len(x))
    if nearest is None:
        return None
    parts = {name: means[name][0] @ nearest.coefficients[design.places(name)] for name in codes}
    left = chance - x @ nearest.coefficients
    for _ in range(_BACKFITS):
        for name, own_codes in codes.items():
            wide, counts = own_codes.astype(np.int64), np.maximum(1.0, means[name][1])
            step = np.bincount(wide, weights=left, minlength=len(counts)) / counts
            parts[name] = parts[name] + step
            left = left - step[wide]
    return parts, left


def _by_group(direct: DirectPair, axis: int, means: Floats, counts: Floats) -> Floats:
    """Means of levels as means of the groups that a table was measured over."""
    group_of, size = direct.grouped(axis, np.arange(len(counts))), direct.values.shape[axis]
    weight = counts + _TRACE
    sums = [np.bincount(group_of, weights=weight * each, minlength=size) for each in means.T]
    found: Floats = np.column_stack(sums) / np.bincount(group_of, weights=weight, minlength=size)[:, None]
    return found


def wanted_pairs(design: Design) -> list[tuple[str, str]]:
    """The target with each input, then the inputs with each other."""
    with_target = [(design.target, name) for name in design.inputs]
    return with_target + list(itertools.combinations(design.inputs, 2))


def spare_values(design: Design, scale: Scale) -> dict[str, Floats]:
    """What a level of a needed column stands for where no made row has it: the mean of values drawn evenly inside it.

    Shapes: (levels, terms of the column), standardised; the target's is (levels, 1).
    """
    domain, found = design.schema.domain(), {}
    for name in (design.target, *design.inputs):
        size = domain.size(name)
        levels = np.repeat(np.arange(size), _DRAWN)
        nothing = np.zeros_like(levels)
        columns = {each: levels if each == name else nothing for each in domain.attributes}
        dealt = decode(Dataset.from_columns(columns, domain), design.schema, rng=np.random.default_rng(0))
        rows = scale.apply(design.rows(dealt))
        values = rows.y[:, None] if name == design.target else rows.x[:, design.places(name)]
        found[name] = values.reshape(size, _DRAWN, -1).mean(axis=1)
    return found
