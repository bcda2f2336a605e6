"""CliqueVector: one table for each of several cliques, as one vector, so that descent is arithmetic on one array.

Must never renormalise or reorder: a vector's cliques and their axes are those it was made with.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt

from privsynth.domain import Clique, Domain
from privsynth.errors import FitError


@final
@dataclass(frozen=True, slots=True, eq=False)
class CliqueVector:
    """Tables of cliques (potentials, marginals, gradients), stored one after the other.

    Shapes: `flat` is (sum of the cliques' cells,); `table(i)` is a view of shape `domain.shape(cliques[i])`.
    """

    domain: Domain
    cliques: tuple[Clique, ...]
    flat: npt.NDArray[np.float64]

    def __post_init__(self) -> None:
        cells = _cells(self.domain, self.cliques)
        if self.flat.shape != (cells,):
            raise FitError(f"a clique vector of {cells} cells cannot hold an array of shape {self.flat.shape}")

    @classmethod
    def zeros(cls, domain: Domain, cliques: Sequence[Clique]) -> CliqueVector:
        """All tables zero."""
        return cls(domain, tuple(cliques), np.zeros(sum(domain.cells(clique) for clique in cliques)))

    @classmethod
    def of(cls, domain: Domain, tables: Mapping[Clique, npt.NDArray[np.float64]]) -> CliqueVector:
        """From {clique: table}; a scalar table is spread over the clique's cells."""
        spread = [np.broadcast_to(table, domain.shape(clique)).reshape(-1) for clique, table in tables.items()]
        flat = np.concatenate(spread) if spread else np.zeros(0)
        return cls(domain, tuple(tables), flat.astype(np.float64))

    def slices(self) -> list[slice]:
        """Where each clique's table lies in `flat`."""
        ends = np.cumsum([0, *(self.domain.cells(clique) for clique in self.cliques)]).tolist()
        return [slice(start, end) for start, end in itertools.pairwise(ends)]

    def tables(self) -> dict[Clique, npt.NDArray[np.float64]]:
        """{clique: view of its table}."""
        return {
            clique: self.flat[where].reshape(self.domain.shape(clique))
            for clique, where in zip(self.cliques, self.slices(), strict=True)
        }

    def on(self, cliques: Sequence[Clique]) -> CliqueVector:
        """The same tables for other cliques: those they share are kept, new ones are zero, the others are dropped."""
        out = CliqueVector.zeros(self.domain, cliques)
        mine = self.tables()
        for clique, table in out.tables().items():
            if clique in mine:
                table[...] = mine[clique]
        return out

    def __add__(self, other: CliqueVector) -> CliqueVector:
        return CliqueVector(self.domain, self.cliques, self.flat + other.flat)

    def __sub__(self, other: CliqueVector) -> CliqueVector:
        return CliqueVector(self.domain, self.cliques, self.flat - other.flat)

    def __mul__(self, factor: float) -> CliqueVector:
        return CliqueVector(self.domain, self.cliques, self.flat * factor)

    def dot(self, other: CliqueVector) -> float:
        """Sum over all cells of the products."""
        return float(self.flat @ other.flat)


@functools.lru_cache(maxsize=256)
def _cells(domain: Domain, cliques: tuple[Clique, ...]) -> int:
    """Cells of all cliques together; remembered, because descent makes thousands of vectors on the same cliques."""
    return sum(domain.cells(clique) for clique in cliques)
