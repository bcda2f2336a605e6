"""Shifting: from a model's distribution and declared targets to the nearest distribution that meets them.

Must never change what a model says given the targeted columns: shares move, and what depends on them follows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final, final

import numpy as np
import numpy.typing as npt

from privsynth.dataset import Dataset
from privsynth.domain import Clique
from privsynth.errors import FitError
from privsynth.generator import AbstractDistribution, Evidence, require_evidence
from privsynth.graphical import GraphicalDistribution
from privsynth.latent.distribution import LatentClassDistribution
from privsynth.raking.projecting import AbstractSpace, Classes, Field, Joint, fit, in_groups, joint_of_classes
from privsynth.raking.targets import Plan, Targets, read_targets
from privsynth.schema import Schema

Floats = npt.NDArray[np.float64]

_JOINT_GROUPS: Final = 1 << 16
_TABLE_CELLS: Final = 1 << 23
"""The largest tables that are held: of groups of all targeted columns, and of their levels beside those of other columns."""


def shift(schema: Schema, distribution: AbstractDistribution, targets: Targets) -> AbstractDistribution:
    """The distribution of least Kullback-Leibler divergence from this one that has the declared shares.

    Targets of single columns keep a mixture of products one, and a graphical model one; tables of several columns do where
    the graphical model has a clique for them. Otherwise records are drawn cell by cell of the targeted columns, each
    exactly from the model given that cell.
    Privacy: post-processing; spends nothing.
    Raises: SchemaError for targets that the schema does not admit; FitError for shares that cannot be met.
    """
    plan = read_targets(schema, targets)
    space = _space(distribution, plan)
    factors = fit(space, plan.targets)
    over = {
        target.columns: factor[np.ix_(*(plan.group_of[name] for name in target.columns))]
        for target, factor in zip(plan.targets, factors, strict=True)
    }
    if isinstance(distribution, LatentClassDistribution) and plan.one_way:
        return distribution.tilted({name: table for (name,), table in over.items()})
    if isinstance(distribution, GraphicalDistribution) and distribution.holds(over):
        return distribution.tilted(over)
    assert isinstance(space, Joint)
    return ShiftedDistribution(distribution, plan.group_of, space.table)


def _space(distribution: AbstractDistribution, plan: Plan) -> AbstractSpace:
    """Where proportional fitting takes place: single columns of a mixture in its classes, else in the columns' joint table."""
    groups = math.prod(map(plan.groups, plan.columns))
    fits = groups <= _JOINT_GROUPS
    if isinstance(distribution, LatentClassDistribution) and (plan.one_way or fits):
        weights, given = _grouped_classes(distribution, plan)
        return (
            Classes(weights, given)
            if plan.one_way
            else Joint(plan.columns, joint_of_classes(weights, [*given.values()]))
        )
    if fits and distribution.domain.cells(plan.columns) <= _TABLE_CELLS:
        return Joint(plan.columns, in_groups(distribution.project(plan.columns), list(plan.group_of.values())))
    if isinstance(distribution, GraphicalDistribution) and plan.one_way:
        return Field(distribution.model, plan.group_of)
    raise FitError(
        f"shares of {', '.join(plan.columns)} together are a table of too many cells for this model; declare shares of fewer "
        "columns at once, or only of single columns and with generator latent_class"
    )


def _grouped_classes(distribution: LatentClassDistribution, plan: Plan) -> tuple[Floats, dict[str, Floats]]:
    """Chances of the classes, and of the groups of each targeted column in each class."""
    weights, wide = distribution.by_class()
    starts = np.cumsum((0, *distribution.domain.sizes))
    given = {}
    for name in plan.columns:
        place = distribution.domain.index(name)
        indicator = np.eye(plan.groups(name))[plan.group_of[name]]
        given[name] = indicator.T @ wide[starts[place] : starts[place + 1]]
    return weights, given


@final
class ShiftedDistribution(AbstractDistribution):
    """A distribution whose targeted columns have another joint table, and whose other columns follow given them."""

    def __init__(
        self, inner: AbstractDistribution, group_of: Mapping[str, npt.NDArray[np.int64]], joint: Floats
    ) -> None:
        """Args: `joint` is the wanted table over groups of levels. Shapes: one axis a column of `group_of`."""
        self.domain = inner.domain
        self._inner, self._group_of, self._joint = inner, group_of, joint
        before = in_groups(inner.project(self._columns), list(group_of.values()))
        self._ratio = np.where(before > 0, joint / np.where(before > 0, before, 1.0), 0.0)

    @property
    def _columns(self) -> Clique:
        return tuple(self._group_of)

    @property
    def total(self) -> float:
        """Estimated number of records: that of the model which was shifted."""
        return self._inner.total

    def project(self, clique: Clique) -> Floats:
        """Expected counts, exactly. Shapes: `domain.shape(clique)`.

        Raises: FitError where the clique and the targeted columns together have too many cells.
        """
        self.domain.project(clique)
        beside = tuple(name for name in self._columns if name not in clique)
        table = self._weighed((*clique, *beside))
        found: Floats = table.sum(axis=tuple(range(len(clique), table.ndim)))
        return np.asarray(found * (self.total / found.sum()))

    def _weighed(self, names: Clique) -> Floats:
        """The model's table of these columns, all targeted ones among them, times what each cell's weight became."""
        if self.domain.cells(names) > _TABLE_CELLS:
            raise FitError(
                f"a table of {', '.join(names)} has too many cells; this what-if holds the columns that it shifts together "
                "with every table: ask for a smaller one, or count drawn records"
            )
        places = [names.index(name) for name in self._columns]
        ratio = self._ratio[np.ix_(*self._group_of.values())]
        order = np.argsort(places)
        shape = [size if axis in places else 1 for axis, size in enumerate(self.domain.shape(names))]
        return np.asarray(self._inner.project(names) * ratio.transpose(order).reshape(shape), dtype=np.float64)

    def draw(self, n: int, rng: np.random.Generator, given: Evidence | None = None) -> Dataset:
        """Draw n records: each cell of the targeted columns has its share of them, and they are drawn given it, exactly.

        Raises: FitError when the evidence has probability zero, or n is negative.
        """
        if n < 0:
            raise FitError(f"the number of records cannot be negative; found {n}")
        evidence = {name: np.unique(np.asarray(codes)) for name, codes in (given or {}).items()}
        ends = np.floor(np.cumsum(self._shares_under(evidence)) * n + rng.random() * (1 - 1e-12))
        ends[-1] = n
        counts = np.diff(np.minimum(ends, n), prepend=0).astype(np.int64)
        parts = []
        for cell in np.flatnonzero(counts):
            place = np.unravel_index(cell, self._joint.shape)
            inside = {
                name: np.flatnonzero(of == group)
                for (name, of), group in zip(self._group_of.items(), place, strict=True)
            }
            allowed = {name: np.intersect1d(codes, evidence.get(name, codes)) for name, codes in inside.items()}
            parts.append(self._inner.draw(int(counts[cell]), rng, {**evidence, **allowed}))
        order = rng.permutation(n)
        if not parts:
            return self._inner.draw(0, rng)
        columns = [np.concatenate([part.columns[axis] for part in parts])[order] for axis in range(len(self.domain))]
        return Dataset(tuple(columns), self.domain)

    def _shares_under(self, evidence: Evidence) -> Floats:
        """Shares of the groups' combinations under evidence. Shapes: (combinations,).

        Raises: FitError when the evidence has probability zero.
        """
        if not evidence:
            return self._joint.ravel()
        beside = tuple(name for name in evidence if name not in self._group_of)
        table = self._weighed((*self._columns, *beside))
        for axis, name in enumerate((*self._columns, *beside)):
            if name in evidence:
                codes = evidence[name]
                if not codes.size or codes.min() < 0 or codes.max() >= self.domain.size(name):
                    raise FitError(f'the evidence on "{name}" allows no level, or one that there is not')
                kept = np.isin(np.arange(self.domain.size(name)), codes)
                table = table * kept.reshape([-1 if axis == other else 1 for other in range(table.ndim)])
        table = table.sum(axis=tuple(range(len(self._columns), table.ndim)))
        if not table.sum() > 0:
            raise FitError("the evidence has probability zero under this what-if; allow more levels")
        return in_groups(table, list(self._group_of.values())).ravel()

    def draw_each(
        self, given: Mapping[str, npt.NDArray[np.int64]], wanted: Sequence[str], rng: np.random.Generator
    ) -> dict[str, npt.NDArray[np.int64]] | None:
        """As the model that was shifted, where the evidence holds every targeted column: given them nothing has changed."""
        require_evidence(self.domain, given, wanted)
        return self._inner.draw_each(given, wanted, rng) if set(self._columns) <= set(given) else None

    def arrays(self) -> dict[str, Floats]:
        """Those of the model that was shifted, and the wanted table."""
        return {**self._inner.arrays(), "shifted": self._joint}
