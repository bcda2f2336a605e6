"""The closed list of questions that may be put to a dataset, each with its sensitivity and the proof of it.

Must never grow a query whose sensitivity is a parameter: it is a function of the query and the privacy unit.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, final

import numpy as np
import numpy.typing as npt

from privsynth.domain import Clique
from privsynth.errors import MechanismError
from privsynth.privacy.unit import PrivacyUnit

if TYPE_CHECKING:
    from privsynth.dataset import Dataset


_MOST = 1 << 48
"""Keeps scores on the grid within 2^60, so that neither they nor their differences leave int64."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Marginals:
    """The tables of counts of these cliques, released together with equal noise.

    Sensitivity (L2 squared) of each table: unit.l2_squared; of all of them stacked: that times their number.
    Proof: one unit changes each table by a vector of L2 norm at most sqrt(unit.l2_squared) (`PrivacyUnit.l2_squared`);
        stacking adds the squares.
    """

    cliques: tuple[Clique, ...]

    def __post_init__(self) -> None:
        if not self.cliques:
            raise MechanismError("a measurement needs at least one clique")

    def table_sensitivity_squared(self, unit: PrivacyUnit) -> int:
        """Squared L2 sensitivity of each table, in squared counts."""
        return unit.l2_squared

    def answer(self, dataset: Dataset) -> list[npt.NDArray[np.int64]]:
        """The exact tables, one a clique."""
        return dataset.marginals(self.cliques)


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MarginalErrors:
    """How wrong public reference tables are: score_r = weight_r * (|| M_r - reference_r ||_1 - penalty_r).

    Computed in integers: references and penalties are rounded to multiples of 1/GRID first (they are public), so that the
    scores are exact and no rounding of private sums can widen the sensitivity.

    Sensitivity of one score (in units of 1/GRID): max(weights) * unit.l1 * GRID.
    Proof: one unit changes M_r by at most unit.l1 in L1 (`PrivacyUnit.l1`), the triangle inequality carries this to the
        distance, and reference, penalty and weight are public. The score is not monotone: a row may raise or lower it.
    Shapes: `references[r]` is the shape of clique r's table.
    """

    GRID: ClassVar[int] = 1024

    cliques: tuple[Clique, ...]
    references: Sequence[npt.NDArray[np.float64]]
    weights: Sequence[int]
    penalties: Sequence[float]

    def __post_init__(self) -> None:
        lengths = {len(self.cliques), len(self.references), len(self.weights), len(self.penalties)}
        if len(lengths) != 1 or not self.cliques:
            raise MechanismError(
                "a selection needs as many references, weights and penalties as candidates, at least one"
            )
        # Own copies in plain types: nothing that came from outside computes with exact answers.
        object.__setattr__(self, "cliques", tuple(tuple(clique) for clique in self.cliques))
        object.__setattr__(self, "references", tuple(np.array(one, dtype=np.float64) for one in self.references))
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

    def sensitivity(self, unit: PrivacyUnit) -> int:
        """By how much one unit can change one score, in units of 1/GRID."""
        return max(self.weights) * unit.l1 * self.GRID

    def answer(self, tables: Sequence[npt.NDArray[np.int64]]) -> npt.NDArray[np.int64]:
        """The exact scores, in units of 1/GRID. Shapes: (candidates,). `tables` are the cliques' exact counts."""
        scores = np.empty(len(self.cliques), dtype=np.int64)
        for index, (table, reference) in enumerate(zip(tables, self.references, strict=True)):
            on_grid = np.rint(reference * self.GRID).astype(np.int64)
            distance = int(np.abs(table * self.GRID - on_grid).sum())
            penalty = round(self.penalties[index] * self.GRID)
            scores[index] = self.weights[index] * (distance - penalty)
        return scores
