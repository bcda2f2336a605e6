"""What debiasing costs: how much dependence goes, how far tables move, whose rates change.

Must never look at a record: figures come from the model and from rows drawn of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, final

import numpy as np
import numpy.typing as npt

from privsynth.debiasing.declared import Debias
from privsynth.debiasing.tables import Debiased, conditional_information, debiased
from privsynth.generator import AbstractDistribution
from privsynth.schema import Schema
from privsynth.schema.columns import LabelledColumn, NumericColumn
from privsynth.schema.levels import levels
from privsynth.schema.ticks import from_granules

Floats = npt.NDArray[np.float64]

ROWS: Final = 20_000
"""Drawn from the model, to see how far the tables of other columns move."""

_LISTED = 5
_WIDEST: Final = 0.1
"""A rate whose 90 % interval is wider than this, either way, says nothing: the report's rule."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """One protected group: its share of the rows, and the outcome in it before and after.

    Units: shares of the outcome's labels that count, or the mean of a number; None where the noise is wider than such a rate.
    """

    column: str
    group: str
    share: float
    before: float | None
    after: float | None

    def line(self) -> str:
        """To read."""
        if self.before is None or self.after is None:
            return f"{self.column} = {self.group}: too few, the noise is wider"
        return f"{self.column} = {self.group} ({self.share:.1%} of the rows): {self.before:.3g} before, {self.after:.3g} after"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class DebiasingCost:
    """What a debiased sample gives up, from the model alone.

    Units: `information_*` is the mutual information of outcome and protected columns given the strata, `marginal_*` without
        them, in bits. `replaced` is the share of rows that are others than in a plain sample. `pairs` is, for each column, the
        total variation distance by which its table with the outcome moves, from 20,000 rows drawn. `strata` counts the
        combinations of legitimate levels that are looked at one by one, `merged` the groups of levels of each legitimate
        column and its levels. `counted` says which labels of the outcome the rates are of.
    """

    debias: Debias
    counted: tuple[str, ...]
    strata: int
    merged: Mapping[str, tuple[int, int]]
    information_before: float
    information_after: float
    marginal_before: float
    marginal_after: float
    replaced: float
    pairs: Mapping[str, float]
    rates: tuple[Rates, ...]

    def to_json(self) -> dict[str, object]:
        """Plain JSON. Privacy: from a model alone, as public as it is."""
        return {
            "protected": list(self.debias.protected),
            "outcome": self.debias.outcome,
            "legitimate": list(self.debias.legitimate),
            "counted": list(self.counted),
            "strata": self.strata,
            "mergedLevels": {name: {"groups": a, "levels": b} for name, (a, b) in self.merged.items()},
            "informationBits": {"before": self.information_before, "after": self.information_after},
            "marginalInformationBits": {"before": self.marginal_before, "after": self.marginal_after},
            "replacedShare": self.replaced,
            "pairTablesMoved": dict(self.pairs),
            "rates": [
                {"column": one.column, "group": one.group, "share": one.share, "before": one.before, "after": one.after}
                for one in self.rates
            ],
        }

    def lines(self) -> list[str]:
        """A few lines to read."""
        debias = self.debias
        given = f" given {' and '.join(debias.legitimate)} ({self.strata} strata)" if debias.legitimate else ""
        merged = [f"{name}: {a} groups of its {b} levels" for name, (a, b) in self.merged.items() if a < b]
        moved = sorted(self.pairs, key=lambda name: -self.pairs[name])[:_LISTED]
        return [
            f'"{debias.outcome}" is made independent of {" and ".join(debias.protected)} together{given}',
            *([f"levels were merged, for want of records: {'; '.join(merged)}"] if merged else []),
            f"dependence: {self.information_before:.2g} bits before, {self.information_after:.2g} after; without the strata "
            f"{self.marginal_before:.2g} and {self.marginal_after:.2g}",
            f"{self.replaced:.1%} of the rows are other rows than in a plain sample",
            f"tables with the outcome that move most: {', '.join(f'{name} {self.pairs[name]:.3f}' for name in moved)}",
            *(one.line() for one in self.rates),
            "not promised: other columns may still tell the group, and go with the outcome as they did in each group",
        ]


def cost_of(
    schema: Schema,
    distribution: AbstractDistribution,
    debias: Debias,
    *,
    noise: Mapping[str, float],
    rng: np.random.Generator,
) -> DebiasingCost:
    """What debiasing costs, before a row is drawn for use.

    Args: `noise` is, by protected column, the 90 % half-width of a cell of its table with the outcome, as a part of all rows;
        of a column without one, every group's rates are told.
    Privacy: post-processing of a model; spends nothing.
    Raises: SchemaError or FitError as `debiased`.
    """
    plan = debiased(schema, distribution, debias)
    weights, counted = _worth(schema, debias)
    strata = int((plan.before.sum(axis=(0, 2)) > 0).sum())
    return DebiasingCost(
        debias=debias,
        counted=counted,
        strata=strata,
        merged={name: (int(group_of.max()) + 1, plan.domain.size(name)) for name, group_of in plan.merged.items()},
        information_before=conditional_information(plan.before),
        information_after=conditional_information(plan.after),
        marginal_before=conditional_information(plan.before.sum(axis=1, keepdims=True)),
        marginal_after=conditional_information(plan.after.sum(axis=1, keepdims=True)),
        replaced=plan.moved,
        pairs=_moved(distribution, plan, rng),
        rates=tuple(_rates(schema, plan, weights, noise)),
    )


def _worth(schema: Schema, debias: Debias) -> tuple[Floats, tuple[str, ...]]:
    """What each level of the outcome counts in a rate (one or zero) or a mean (its middle); NaN of a missing one."""
    column = schema.modelled_column(debias.outcome)
    layout = levels(column)
    worth = np.full(layout.size, np.nan)
    known = layout.size - int(layout.missing)
    if isinstance(column, LabelledColumn):
        declared = schema.use.outcome if schema.use.target == debias.outcome else ()
        counted = declared or column.labels[-1:]
        worth[:known] = [float(label in counted) for label in column.labels]
        return worth, tuple(counted)
    first, last = layout.span(np.arange(known))
    unit = float(column.unit) if isinstance(column, NumericColumn) else 1.0
    worth[:known] = (from_granules(column, first) + from_granules(column, last)) / 2 * unit
    return worth, ()


def _rates(schema: Schema, plan: Debiased, worth: Floats, noise: Mapping[str, float]) -> list[Rates]:
    shape = plan.domain.shape(plan.debias.protected)
    known = ~np.isnan(worth)
    found = []
    for axis, name in enumerate(plan.debias.protected):
        column = schema.modelled_column(name)
        assert isinstance(column, LabelledColumn)
        labels = [*column.labels, "(missing)"]
        tables = [
            np.moveaxis(table.sum(axis=1).reshape(*shape, -1), axis, 0).reshape(shape[axis], -1, worth.size).sum(axis=1)
            for table in (plan.before, plan.after)
        ]
        for level, share in enumerate(tables[0].sum(axis=1).tolist()):
            told = [table[level, known] for table in tables]
            if all(one.sum() > 0 for one in told):
                seen = share * _WIDEST >= noise.get(name, 0.0)
                before, after = (float(one @ worth[known] / one.sum()) if seen else None for one in told)
                found.append(Rates(column=name, group=labels[level], share=share, before=before, after=after))
    return found


def _moved(distribution: AbstractDistribution, plan: Debiased, rng: np.random.Generator) -> dict[str, float]:
    """How far each column's table with the outcome moves: drawn rows as they are, against the same rows reweighed."""
    data = distribution.draw(ROWS, rng)
    codes = {name: data.column(name).astype(np.int64) for name in data.domain.attributes}
    cells, outcome = plan.cells(codes), codes[plan.debias.outcome]
    before, after = plan.before.ravel(), plan.after.ravel()
    there = before > 0
    weights = np.divide(after, before, out=np.zeros_like(after), where=there)[cells]
    outcomes = data.domain.size(plan.debias.outcome)
    found = {}
    for name, own in codes.items():
        if name != plan.debias.outcome:
            place, size = own * outcomes + outcome, outcomes * data.domain.size(name)
            plain = np.bincount(place, minlength=size) / len(place)
            moved = np.bincount(place, weights=weights, minlength=size) / max(float(weights.sum()), 1e-300)
            found[name] = 0.5 * float(np.abs(plain - moved).sum())
    return found
