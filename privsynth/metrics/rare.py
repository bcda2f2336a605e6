"""Rare categories: which were kept, merged, lost or invented, and where the noise of a release is known, what it decided.

Must never show a small number of real rows, nor let one be worked out from the others of its column.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias, final

import numpy as np
import numpy.typing as npt

from privsynth.dataset import Dataset
from privsynth.metrics.people import in_cells
from privsynth.policy.cell_size import suppressed
from privsynth.schema import Schema
from privsynth.schema.columns import CategoryColumn, LabelledColumn
from privsynth.schema.levels import level_names

Floats: TypeAlias = npt.NDArray[np.float64]
Fate: TypeAlias = Literal["lost", "merged", "invented", "kept"]
FATES: Final[tuple[Fate, ...]] = ("lost", "merged", "invented", "kept")

RARE: Final = 0.01
"""A category of fewer real rows than this share is rare."""

SEEN_SIGMAS: Final = 3.0
"""A noisy count so far above zero shows that its category has records."""


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NoisyColumn:
    """What a release was told of one column: a count of every level, and the standard deviation of its noise.

    Shapes: `counts` is (levels,). Units: records that were measured; `total` of them in all, as far as is known.
    """

    counts: Floats
    sigma: float
    total: float


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Category:
    """One rare category.

    Units: `real` in rows, None where it is hidden; `synthetic` in rows; `noisy` and `sigma` in rows of the real table, None
        where the release was not told of it or is not known.
    """

    column: str
    label: str
    fate: Fate
    real: int | None
    synthetic: int
    noisy: float | None
    sigma: float | None
    decided: str

    def to_json(self) -> dict[str, object]:
        """A JSON object; null for a number that is hidden or not known."""
        return {
            "column": self.column,
            "label": self.label,
            "fate": self.fate,
            "real": self.real,
            "synthetic": self.synthetic,
            "noisyCount": None if self.noisy is None else round(self.noisy, 1),
            "noise": None if self.sigma is None else round(self.sigma, 2),
            "decided": self.decided,
        }


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class RareCategories:
    """All rare categories: lost ones first, within a fate those of most real rows first, as far as that is shown."""

    categories: tuple[Category, ...]
    counts: Mapping[Fate, int] = field(init=False)

    def __post_init__(self) -> None:
        found: dict[Fate, int] = {fate: sum(one.fate == fate for one in self.categories) for fate in FATES}
        object.__setattr__(self, "counts", found)

    def to_json(self) -> dict[str, object]:
        """A JSON object."""
        return {
            "rareBelow": RARE,
            "counts": dict(self.counts),
            "categories": [one.to_json() for one in self.categories],
        }


def rare_categories(
    schema: Schema,
    real: Dataset,
    synthetic: Dataset,
    *,
    merged: Mapping[str, Mapping[str, tuple[int, int]]],
    noisy: Mapping[str, NoisyColumn],
    min_cell: int,
    units: npt.NDArray[np.int64] | None = None,
    together: Mapping[str, Sequence[str]] | None = None,
) -> RareCategories:
    """Say what became of every rare category of every column of labels.

    Args: `merged` are labels of the real table that the completed schema does not have, with their rows and people, by column;
        `noisy` what the release was told, by column; `units` says whose each real row is; `together` are labels that are
        counted as one elsewhere, by column: none of them is counted alone here.
    Privacy: counts of real rows are exact and internal; those of fewer people than `min_cell`, and what would give them away,
        are hidden.
    """
    found: list[tuple[int, Category]] = []
    for place, column in enumerate(schema.modelled):
        if not isinstance(column, LabelledColumn):
            continue
        counts, made = real.marginals([(column.name,)])[0], synthetic.marginals([(column.name,)])[0]
        extra = merged.get(column.name, {})
        names = [*level_names(column), *extra]
        people = in_cells(real.column(column.name).astype(np.int64), units, len(counts))
        rows_of, people_of = np.array(list(extra.values()), dtype=np.int64).reshape(-1, 2).T
        counts, people = np.concatenate([counts, rows_of]), np.concatenate([people, people_of])
        made = np.concatenate([made, np.zeros(len(extra), dtype=np.int64)])
        size = real.domain.sizes[place]
        hidden = suppressed(people, min_cell=min_cell, margins="published")[:-1]
        as_one = {*(together or {}).get(column.name, ())}
        if hidden[size:].any():  # their sum may be told by the levels that their rows went to
            as_one |= {*extra, "missing", (isinstance(column, CategoryColumn) and column.other) or "missing"}
        hidden |= np.array([name in as_one for name in names])
        told = noisy.get(column.name)
        for level in _rare(counts, made):
            fate = _fate(level, size, counts, made)
            counted = _counted(told, level, size, real.rows)
            one = Category(
                column=column.name,
                label=names[level],
                fate=fate,
                real=None if hidden[level] else int(counts[level]),
                synthetic=int(made[level]),
                noisy=None if counted is None else counted[0],
                sigma=None if counted is None else counted[1],
                decided=_decided(fate, counted),
            )
            found.append((0 if hidden[level] else int(counts[level]), one))
    found.sort(key=lambda pair: (FATES.index(pair[1].fate), -pair[0]))
    return RareCategories(categories=tuple(one for _, one in found))


def _rare(counts: npt.NDArray[np.int64], made: npt.NDArray[np.int64]) -> Sequence[int]:
    few = counts < RARE * counts.sum()
    return [int(level) for level in np.flatnonzero(few & ((counts > 0) | (made > 0)))]


def _fate(level: int, size: int, counts: npt.NDArray[np.int64], made: npt.NDArray[np.int64]) -> Fate:
    if level >= size:
        return "merged"
    if counts[level] == 0:
        return "invented"
    return "kept" if made[level] else "lost"


def _counted(told: NoisyColumn | None, level: int, size: int, rows: int) -> tuple[float, float] | None:
    """The noisy count and its standard deviation, scaled from the records measured to the real table's rows."""
    if told is None or level >= size:
        return None
    scale = rows / max(told.total, 1.0)
    return float(told.counts[level]) * scale, told.sigma * scale


def _decided(fate: Fate, counted: tuple[float, float] | None) -> str:
    if fate == "merged":
        return "too few people for the noisy count by which labels are bought; its rows went to the label for others or missing"
    if counted is None:
        return ""
    count, sigma = counted
    seen = count >= SEEN_SIGMAS * sigma
    if fate == "lost":
        return "seen above the noise, and yet not drawn" if seen else "the noise hid it"
    if fate == "invented":
        return "the noise made it" if count > 0 else "the model made it: its noisy count is not above zero"
    return "seen above the noise" if seen else "kept, though the noise alone could have made its count"
