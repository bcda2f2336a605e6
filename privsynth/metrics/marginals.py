"""Marginals: how far every table of one, of two and of some three columns is off, and how far a fresh sample would be.

Must never bin by the records: tables are over the schema's levels, so that two evaluations count the same cells.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt

from privsynth.dataset import Dataset
from privsynth.domain import Clique
from privsynth.errors import SchemaError

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]

_DENSE_CELLS = 1 << 18
"""Tables up to this size are counted whole, larger ones by the cells that occur."""

_BATCH_CELLS = 1 << 23
"""Cells of whole tables that are held at once."""

SHOWN = 10


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Errors:
    """The errors of all tables of some cliques.

    Units: total variation distances, 0 (alike) to 1 (no record in common). `errors` are of the synthetic table, `floor` of a
        fresh sample of the population that is as large.
    Shapes: both (cliques,). `rows` are those of the real table: what is written is coarser than some ten of them.
    """

    cliques: tuple[Clique, ...]
    errors: Floats
    floor: Floats
    rows: int

    def worst(self, count: int = SHOWN) -> list[int]:
        """The places of the cliques that are farthest off, farthest first."""
        return [int(place) for place in np.argsort(-self.errors, kind="stable")[:count]]

    def to_json(self) -> dict[str, object]:
        """Mean, worst, and the worst tables, each with its floor."""
        if not self.cliques:
            return {"tables": 0, "mean": None, "meanOfAFreshSample": None, "worst": []}
        return {
            "tables": len(self.cliques),
            "mean": _rounded(self.errors.mean(), self.rows * len(self.cliques)),
            "meanOfAFreshSample": _rounded(self.floor.mean(), self.rows * len(self.cliques)),
            "worst": [
                {
                    "columns": list(self.cliques[place]),
                    "error": _rounded(self.errors[place], self.rows),
                    "ofAFreshSample": _rounded(self.floor[place], self.rows),
                }
                for place in self.worst()
            ],
        }


def _rounded(value: float, rows: int) -> float:
    """To so many decimals that some ten of the rows that it was computed on are rounded away."""
    return round(float(value), max(1, int(math.log10(max(rows, 100) / 10))))


def cliques_of(names: Sequence[str], size: int, most: int, rng: np.random.Generator) -> tuple[Clique, ...]:
    """All sets of so many columns, or `most` of them drawn at random, each once; in the columns' order."""
    total = math.comb(len(names), size)
    if total <= most:
        return tuple(itertools.combinations(names, size))
    found: set[tuple[int, ...]] = set()
    while len(found) < most:
        found.add(tuple(sorted(rng.choice(len(names), size, replace=False).tolist())))
    return tuple(tuple(names[place] for place in places) for places in sorted(found))


def errors(
    real: Dataset,
    synthetic: Dataset,
    cliques: Sequence[Clique],
    *,
    holdout: Dataset | None = None,
    rng: np.random.Generator,
) -> Errors:
    """Compare the tables of these cliques.

    The floor comes from the holdout, scaled from its size to the synthetic table's; without one, from two samples drawn from
    the real table's own cells, which knows nothing of cells that no real record is in and so is a little low where cells
    are many.
    Privacy: exact functions of the real records; internal.
    """
    found, floor = [], []
    others = [synthetic] if holdout is None else [synthetic, holdout]
    for counts in paired([real, *others], cliques):
        found.append(total_variation(counts[0], counts[1]))
        floor.append(_floor_of(counts, real.rows, synthetic.rows, rng))
    return Errors(cliques=tuple(cliques), errors=np.array(found), floor=np.array(floor), rows=real.rows)


def _floor_of(counts: Sequence[Counts], rows: int, wanted: int, rng: np.random.Generator) -> float:
    if len(counts) > 2:
        held = int(counts[2].sum())
        scale = math.sqrt((1 / rows + 1 / wanted) / (1 / rows + 1 / held))
        return min(1.0, total_variation(counts[0], counts[2]) * scale)
    shares = counts[0][counts[0] > 0] / rows
    return total_variation(rng.multinomial(rows, shares), rng.multinomial(wanted, shares))


def total_variation(first: Counts, second: Counts) -> float:
    """Half the L1 distance of two tables as shares. Shapes: any, alike."""
    return 0.5 * float(np.abs(first / first.sum() - second / second.sum()).sum())


def paired(tables: Sequence[Dataset], cliques: Sequence[Clique]) -> Iterator[list[Counts]]:
    """The counts of each clique in each table, over the same cells: all of them, or where they are many those that occur.

    Shapes: the arrays that come together are of one length.
    """
    domain = tables[0].domain
    batch: list[Clique] = []
    cells = 0
    for clique in cliques:
        size = domain.cells(clique)
        if batch and (cells + size > _BATCH_CELLS or size > _DENSE_CELLS):
            yield from _whole(tables, batch)
            batch, cells = [], 0
        if size > _DENSE_CELLS:
            yield _occurring(tables, clique)
        else:
            batch.append(clique)
            cells += size
    if batch:
        yield from _whole(tables, batch)


def _whole(tables: Sequence[Dataset], cliques: Sequence[Clique]) -> Iterator[list[Counts]]:
    counted = [table.marginals(cliques) for table in tables]
    for of_clique in zip(*counted, strict=True):
        yield [table.reshape(-1) for table in of_clique]


def _occurring(tables: Sequence[Dataset], clique: Clique) -> list[Counts]:
    keys = [cell_numbers(table, clique) for table in tables]
    _, place = np.unique(np.concatenate(keys), return_inverse=True)
    cells = int(place.max()) + 1
    ends = np.cumsum([len(key) for key in keys])[:-1]
    return [np.bincount(part, minlength=cells) for part in np.split(place, ends)]


def cell_numbers(table: Dataset, clique: Clique) -> npt.NDArray[np.int64]:
    """Which cell of a clique's table each record is in. Raises: SchemaError when a 64-bit number cannot count the cells."""
    number = np.zeros(table.rows, dtype=np.int64)
    size = 1
    for name in clique:
        if size > (1 << 62) // table.domain.size(name):
            raise SchemaError(f"the table of {', '.join(clique)} has too many cells; declare fewer levels")
        size *= table.domain.size(name)
        number = number * table.domain.size(name) + table.column(name)
    return number
