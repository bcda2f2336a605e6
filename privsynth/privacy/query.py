"""The closed list of questions that may be put to a dataset, each with its sensitivity and the proof of it.

Must never grow a query whose sensitivity is a parameter: it is a function of the query and the privacy unit.
"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, ClassVar, final

import numpy as np
import numpy.typing as npt

from privsynth.domain import Clique, Domain
from privsynth.errors import MechanismError
from privsynth.measurement import Groups, is_grouping
from privsynth.privacy.unit import PrivacyUnit

if TYPE_CHECKING:
    from privsynth.dataset import Dataset


_NUMBERS = itertools.count(1)

_MOST = 1 << 48
"""Keeps scores on the grid within 2^60, so that neither they nor their differences leave int64."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Marginals:
    """The tables of counts of these cliques, over levels or over groups of levels, released together.

    Sensitivity (L2 squared) of each table: unit.l2_squared; of all of them stacked, the t-th divided by sigma_t:
        unit.l2_squared times the sum of 1 / sigma_t^2, which is 2 rho for sigma_t^2 = unit.l2_squared / (2 rho weight_t).
    Proof: a row is in exactly one cell of each table, also when levels are merged into groups (which are public), so one
        unit changes each table by a vector of L2 norm at most sqrt(unit.l2_squared) (`PrivacyUnit.l2_squared`); stacking
        adds the squares, and the weights add up to 1.
    `weights` holds the share of the budget that each table gets; empty means equal ones.
    """

    cliques: tuple[Clique, ...]
    groups: Groups = field(default_factory=dict)
    weights: tuple[Fraction, ...] = ()

    def __post_init__(self) -> None:
        if not self.cliques:
            raise MechanismError("a measurement needs at least one clique")
        # Own copies in plain types: nothing that came from outside decides anything after it was checked.
        object.__setattr__(self, "cliques", tuple(tuple(clique) for clique in self.cliques))
        object.__setattr__(self, "groups", {name: _plain(group_of) for name, group_of in self.groups.items()})
        object.__setattr__(self, "weights", tuple(self.weights))
        if not self.weights:
            return
        if len(self.weights) != len(self.cliques):
            raise MechanismError("a measurement needs as many weights as cliques")
        if not all(type(weight) is Fraction and weight > 0 for weight in self.weights) or sum(self.weights) != 1:
            raise MechanismError("a measurement's weights are exact fractions above zero that sum to 1")

    def require_within(self, domain: Domain) -> None:
        """Check every attribute, and that each group map has one group for every level.

        Raises: SchemaError for an attribute that is not in the domain, MechanismError for a map of another length.
        """
        for clique in self.cliques:
            domain.project(clique)
        for name, group_of in self.groups.items():
            if len(group_of) != domain.size(name):
                raise MechanismError(f'the groups of "{name}" must be given for each of its {domain.size(name)} levels')

    def shares(self, rho: Fraction) -> list[Fraction]:
        """How much of rho each table gets; exactly rho together."""
        weights = self.weights or (Fraction(1, len(self.cliques)),) * len(self.cliques)
        return [rho * weight for weight in weights]

    def groups_of(self, clique: Clique) -> Groups:
        """The groups of the clique's attributes, of those that have any, in the clique's order."""
        return {name: self.groups[name] for name in clique if name in self.groups}

    def table_sensitivity_squared(self, unit: PrivacyUnit) -> int:
        """Squared L2 sensitivity of each table, in squared counts."""
        return unit.l2_squared

    def answer(self, dataset: Dataset) -> list[npt.NDArray[np.int64]]:
        """The exact tables, one a clique."""
        used = {name: self.groups[name] for clique in self.cliques for name in clique if name in self.groups}
        return (dataset.regrouped(used) if used else dataset).marginals(self.cliques)


def _fixed(reference: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """A copy that nobody can change after it was checked."""
    copy = np.array(reference, dtype=np.float64)
    copy.setflags(write=False)
    return copy


def _plain(group_of: Sequence[int]) -> tuple[int, ...]:
    """A group map in plain integers; MechanismError unless groups are numbered from 0 without gaps."""
    try:
        plain = tuple(operator.index(group) + 0 for group in group_of)
    except TypeError:
        raise MechanismError("groups of levels are whole numbers") from None
    if not is_grouping(plain):
        raise MechanismError("groups of levels are numbered from 0, and each holds at least one level")
    return plain


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MarginalErrors:
    """How wrong public reference tables are: score_r = weight_r * (|| M_r - reference_r ||_1 - penalty_r).

    Computed in integers: references and penalties are rounded to multiples of 1/GRID first (they are public), so that the
    scores are exact and no rounding of private sums can widen the sensitivity.

    Sensitivity of score r (in units of 1/GRID): weight_r * unit.l1 * GRID; of any one of them, the largest of these; of all
        of them as a vector (L2 squared), the sum of their squares.
    Proof: one unit changes M_r by at most unit.l1 in L1 (`PrivacyUnit.l1`), the triangle inequality carries this to the
        distance, and reference, penalty and weight are public. The score is not monotone: a row may raise or lower it.
        Distances are cut off where weight_r times them would pass 2^58, which moves no two of them further apart.
    Shapes: `references[r]` is the shape of clique r's table.
    """

    GRID: ClassVar[int] = 1024

    cliques: tuple[Clique, ...]
    references: Sequence[npt.NDArray[np.float64]]
    weights: Sequence[int]
    penalties: Sequence[float]
    identities: tuple[int, ...] = field(init=False, default=())
    """A number for each candidate's clique and reference together, never used twice by one process."""

    def __post_init__(self) -> None:
        lengths = {len(self.cliques), len(self.references), len(self.weights), len(self.penalties)}
        if len(lengths) != 1 or not self.cliques:
            raise MechanismError(
                "a selection needs as many references, weights and penalties as candidates, at least one"
            )
        # Own copies in plain types: nothing that came from outside computes with exact answers.
        object.__setattr__(self, "cliques", tuple(tuple(clique) for clique in self.cliques))
        object.__setattr__(self, "references", tuple(map(_fixed, self.references)))
        object.__setattr__(self, "weights", tuple(operator.index(weight) + 0 for weight in self.weights))
        object.__setattr__(self, "penalties", tuple(float(penalty) for penalty in self.penalties))
        if not all(1 <= weight <= _MOST for weight in self.weights):
            raise MechanismError("a selection's weights are integers of at least 1")
        if (
            not all(np.isfinite(reference).all() for reference in self.references)
            or not np.isfinite(self.penalties).all()
        ):
            raise MechanismError("a selection's references and penalties must be finite")

        for reference, penalty, weight in zip(self.references, self.penalties, self.weights, strict=True):
            if weight * max(float(np.abs(reference).sum()), abs(penalty)) > _MOST:
                raise MechanismError("a selection's references and penalties, times their weights, are at most 2^48")
        object.__setattr__(self, "identities", tuple(itertools.islice(_NUMBERS, len(self.cliques))))

    def among(self, candidates: Sequence[int]) -> MarginalErrors:
        """The same question about some of the candidates, by position, which keep their identities.

        Raises: MechanismError when there is none.
        """
        if not candidates:
            raise MechanismError("a selection needs at least one candidate")
        some = object.__new__(MarginalErrors)
        for name in ("cliques", "references", "weights", "penalties", "identities"):
            object.__setattr__(some, name, tuple(getattr(self, name)[index] for index in candidates))
        return some

    def sensitivity(self, unit: PrivacyUnit) -> int:
        """By how much one unit can change one score, in units of 1/GRID."""
        return max(self.weights) * unit.l1 * self.GRID

    def sensitivity_squared(self, unit: PrivacyUnit) -> int:
        """Squared L2 sensitivity of all scores together, in squared units of 1/GRID."""
        return sum((weight * unit.l1 * self.GRID) ** 2 for weight in self.weights)

    def require_within(self, domain: Domain) -> None:
        """Check every attribute, and that each reference has the shape of its clique's table.

        Raises: SchemaError for an attribute that is not in the domain, MechanismError for another shape.
        """
        for clique, reference in zip(self.cliques, self.references, strict=True):
            if reference.shape != domain.project(clique).sizes:
                raise MechanismError("a selection's references must have the shapes of their cliques' tables")

    def answer(self, tables: Sequence[npt.NDArray[np.int64]]) -> npt.NDArray[np.int64]:
        """The exact scores, in units of 1/GRID. Shapes: (candidates,). `tables` are the cliques' exact counts."""
        candidates = range(len(self.cliques))
        return self.scores([self.distance(index, table) for index, table in zip(candidates, tables, strict=True)])

    def distance(self, index: int, table: npt.NDArray[np.int64]) -> int:
        """How far one candidate's exact counts are from its reference, in units of 1/GRID."""
        on_grid = np.rint(self.references[index] * self.GRID).astype(np.int64)
        return int(np.abs(table * self.GRID - on_grid).sum())

    def scores(self, distances: Sequence[int]) -> npt.NDArray[np.int64]:
        """The scores that follow from all candidates' distances."""
        out = np.empty(len(self.cliques), dtype=np.int64)
        for index, (distance, weight) in enumerate(zip(distances, self.weights, strict=True)):
            penalty = round(self.penalties[index] * self.GRID)
            out[index] = weight * (min(distance, _MOST * self.GRID // weight) - penalty)
        return out
