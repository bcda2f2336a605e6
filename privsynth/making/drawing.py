"""Drawing columns: from a way to make one, and the columns that it needs, to whole numbers, all rows at once.

Must never leave a column's bounds: what falls outside them is clipped.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import final

import numpy as np
import numpy.typing as npt

from privsynth.making.checking import granule
from privsynth.making.makers import (
    AbstractEffects,
    Faker,
    Given,
    Labels,
    Logistic,
    Lognormal,
    Maker,
    Normal,
    Poisson,
    Simple,
    Sum,
    Uniform,
    Value,
    Zipf,
)
from privsynth.making.spoken import admitted
from privsynth.schema import Schema
from privsynth.schema.columns import LabelledColumn, ModelledColumn, NumericColumn, TemporalColumn
from privsynth.schema.levels import granule_bounds
from privsynth.schema.ticks import MISSING, ticks_per_day

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@final
class Columns:
    """The columns of a table that are made so far, as granules; of a date after another, its distance to that.

    Shapes: every array of `made` is (rows,).
    """

    def __init__(self, schema: Schema, rows: int, made: Mapping[str, Ints] | None = None) -> None:
        self.schema, self.rows = schema, rows
        self.made: dict[str, Ints] = dict(made or {})

    def make(self, column: ModelledColumn, maker: Maker | None, rng: np.random.Generator) -> None:
        """Make one more column, after all that it needs."""
        self.made[column.name] = self.draw(column, maker or _evenly(column), rng)

    def draw(self, column: ModelledColumn, maker: Maker, rng: np.random.Generator) -> Ints:
        """Values of a column for every row."""
        every = np.arange(self.rows)
        if not isinstance(maker, Given):
            return self._with_missing(maker, self._drawn(column, maker, every, rng), every, rng)
        ways = [*maker.when.values(), *([maker.otherwise] if maker.otherwise is not None else [])]
        place = admitted(self.schema, maker.column, list(maker.when), self.made[maker.column], "when")
        place = np.where(place < 0, len(maker.when), place)
        found = np.empty(self.rows, dtype=np.int64)
        for index, way in enumerate(ways):
            rows = np.flatnonzero(place == index)
            found[rows] = self._with_missing(way, self._drawn(column, way, rows, rng), rows, rng)
        return self._with_missing(maker, found, every, rng)

    def _with_missing(self, maker: Maker, found: Ints, rows: Ints, rng: np.random.Generator) -> Ints:
        """Values, of which each goes missing at its rate."""
        by = maker.missing
        if not by.some:
            return found
        rates = np.full(rows.size, float(by.otherwise))
        if by.column is not None:
            place = admitted(self.schema, by.column, list(by.rates), self.made[by.column][rows], "missing.rates")
            rates = np.array([*map(float, by.rates.values()), float(by.otherwise)])[place]
        return np.where(rng.random(rows.size) < rates, MISSING, found)

    def _drawn(self, column: ModelledColumn, maker: Simple, rows: Ints, rng: np.random.Generator) -> Ints:
        """Values of a column for some rows, none missing. Shapes: as `rows`."""
        count = rows.size
        low, high = granule_bounds(column)
        match maker:
            case Value():
                return np.full(count, granule(column, maker.value), dtype=np.int64)
            case Uniform():
                first = low if maker.lower is None else granule(column, maker.lower)
                last = high if maker.upper is None else granule(column, maker.upper)
                return rng.integers(first, last + 1, size=count)
            case Zipf():
                weights = np.arange(1, high - low + 2, dtype=np.float64) ** -float(maker.exponent)
                return low + _chosen(weights, count, rng)
            case Labels():
                assert isinstance(column, LabelledColumn)
                return _chosen(_label_weights(column, maker), count, rng)
            case Logistic():
                assert isinstance(column, LabelledColumn)
                chance = 1 / (1 + np.exp(-np.clip(self._effects(maker, rows), -700, 700)))
                named = column.labels.index(maker.label)
                return np.where(rng.random(count) < chance, named, 1 - named)
            case Faker():
                raise AssertionError("texts are made elsewhere; the rules were checked")
            case _:
                return _granules(column, self._amounts(maker, rows, rng))

    def _amounts(self, maker: Simple, rows: Ints, rng: np.random.Generator) -> Floats:
        """Amounts in the column's own units, before rounding. Shapes: as `rows`."""
        if isinstance(maker, Normal):
            return float(maker.mean) + float(maker.sd) * rng.standard_normal(rows.size)
        if isinstance(maker, Lognormal):
            return float(maker.median) * np.exp(float(maker.sigma) * rng.standard_normal(rows.size))
        if isinstance(maker, Poisson):
            return rng.poisson(float(maker.mean), rows.size).astype(np.float64)
        if isinstance(maker, Sum):
            return np.asarray(np.sum([self._number(name, rows) for name in maker.parts], axis=0), dtype=np.float64)
        assert isinstance(maker, AbstractEffects)
        noise = float(maker.sd) * rng.standard_normal(rows.size) if not isinstance(maker, Logistic) else 0.0
        return self._effects(maker, rows) + noise

    def _effects(self, maker: AbstractEffects, rows: Ints) -> Floats:
        """The formula's sum. Shapes: as `rows`."""
        found = np.full(rows.size, float(maker.base))
        for name, slope in maker.per.items():
            found += float(slope) * self._number(name, rows)
        for name, effects in maker.effects.items():
            place = admitted(self.schema, name, list(effects), self.made[name][rows], "effects")
            found += np.array([*map(float, effects.values()), 0.0])[place]
        return found

    def _number(self, name: str, rows: Ints) -> Floats:
        """A column's values as numbers; what is missing is 0. Shapes: as `rows`."""
        column = self.schema.modelled_column(name)
        found = self.made[name][rows]
        return np.where(found == MISSING, 0, found) * float(_unit(column))


def _unit(column: ModelledColumn) -> Decimal:
    """What one granule is in the column's own units: days, of a date after another."""
    if isinstance(column, NumericColumn):
        return column.unit
    return 1 / Decimal(ticks_per_day(column)) if isinstance(column, TemporalColumn) else Decimal(1)


def _granules(column: ModelledColumn, amounts: Floats) -> Ints:
    """Amounts rounded to the column's steps and clipped to its bounds."""
    low, high = granule_bounds(column)
    return np.clip(np.rint(amounts / float(_unit(column))), low, high).astype(np.int64)


def _chosen(weights: Floats, count: int, rng: np.random.Generator) -> Ints:
    """Positions in proportion to weights."""
    running = np.cumsum(weights)
    found = np.searchsorted(running, rng.random(count) * running[-1], side="right")
    return np.asarray(np.minimum(found, int(np.flatnonzero(weights)[-1])), dtype=np.int64)


def _label_weights(column: LabelledColumn, maker: Labels) -> Floats:
    """A weight for every label. Shapes: (labels,)."""
    if not maker.weights:
        return np.ones(len(column.labels))
    left = len(column.labels) - len(maker.weights)
    rest = float(maker.rest) / left if left else 0.0
    return np.array([float(maker.weights.get(label, rest)) for label in column.labels])


def _evenly(column: ModelledColumn) -> Maker:
    """How a column is made of which nothing is said: evenly over what the schema allows."""
    return Labels(how="labels") if isinstance(column, LabelledColumn) else Uniform(how="uniform")
