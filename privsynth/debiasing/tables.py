"""The debiased table: protected groups, strata of the legitimate columns and outcome, before and after.

Must never look at a record: it starts from a model's own table.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, final

import numpy as np
import numpy.typing as npt

from privsynth.debiasing.declared import Debias
from privsynth.domain import Domain
from privsynth.encoding import evidence
from privsynth.errors import FitError, SchemaError
from privsynth.generator import AbstractDistribution
from privsynth.latent.grouping import merge_rare
from privsynth.rebalancing import Rebalance, rebalanced_column, shares_of
from privsynth.schema import Schema

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

RECORDS_A_CELL: Final = 20
"""Legitimate levels are merged until a cell (group, stratum, outcome) stands for so many records on average."""

_MOST_CELLS = 1 << 18
"""Of a table that is taken from the model, conditions included: more would take its memory."""

_NOTHING = 1e-9
"""A share of the records below which a cell is one that the model does not draw."""

_TOLERATED = 0.005
"""Share of the rows, at most, that a debiased table may want where the model has none."""


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Debiased:
    """What a model says of group, stratum and outcome, and what is drawn instead.

    `after` is the one table with the same (group, stratum) and (stratum, outcome) tables in which outcome and group are
    independent in every stratum. With the rest of a record drawn given it from the model, that is the distribution nearest
    to the model (least relative entropy) of all that have these tables and this independence.
    Shapes: `before` and `after` are (groups, strata, outcome levels) and sum to 1; `merged` maps each legitimate column to the
        (levels,) numbers of their groups; `unmerged` is `before` with all combinations of legitimate levels as strata.
    """

    debias: Debias
    domain: Domain
    merged: Mapping[str, Ints]
    before: Floats
    after: Floats
    unmerged: Floats

    @property
    def moved(self) -> float:
        """Share of the rows that are replaced by others: the total variation distance of the two tables."""
        return 0.5 * float(np.abs(self.after - self.before).sum())

    def cells(self, codes: Mapping[str, Ints]) -> Ints:
        """The cell of each row in the flattened tables. Shapes: arrays of (rows,) -> (rows,)."""
        place = np.zeros(len(codes[self.debias.outcome]), dtype=np.int64)
        for name in self.debias.columns:
            group_of = self.merged.get(name)
            own = codes[name].astype(np.int64)
            size = self.domain.size(name) if group_of is None else int(group_of.max()) + 1
            place = place * size + (own if group_of is None else group_of[own])
        return place

    def rows(self, cells: Ints, rng: np.random.Generator) -> dict[str, Ints]:
        """Levels of the declared columns for rows of these cells; merged ones as the model has them within the cell.

        Shapes: (rows,) -> each (rows,).
        """
        _, combinations, outcomes = self.unmerged.shape
        stratum = np.zeros(1, dtype=np.int64)
        for name in self.debias.legitimate:
            stratum = np.add.outer(stratum * (int(self.merged[name].max()) + 1), self.merged[name]).ravel()
        place = np.empty(len(cells), dtype=np.int64)
        for cell in np.unique(cells).tolist():
            group, within, outcome = (int(one) for one in np.unravel_index(cell, self.before.shape))
            shares = np.where(stratum == within, self.unmerged[group, :, outcome], 0.0)
            mine = np.flatnonzero(cells == cell)
            drawn = rng.choice(combinations, size=mine.size, p=shares / shares.sum())
            place[mine] = (group * combinations + drawn) * outcomes + outcome
        codes = np.unravel_index(place, self.domain.shape(self.debias.columns))
        return {name: np.asarray(one, dtype=np.int64) for name, one in zip(self.debias.columns, codes, strict=True)}

    def levels(self, cell: int) -> dict[str, Ints]:
        """The codes that make up one cell, column by column: evidence for drawing rows of it."""
        found: dict[str, Ints] = {}
        for name in reversed(self.debias.columns):
            group_of = self.merged.get(name)
            size = self.domain.size(name) if group_of is None else int(group_of.max()) + 1
            cell, own = divmod(cell, size)
            found[name] = np.array([own]) if group_of is None else np.flatnonzero(group_of == own)
        return found


def debiased(
    schema: Schema,
    distribution: AbstractDistribution,
    debias: Debias,
    given: Mapping[str, object] | None = None,
    rebalance: Rebalance | None = None,
) -> Debiased:
    """The table before and after, of what is drawn under these conditions and shares.

    Privacy: post-processing of a model; spends nothing.
    Raises: SchemaError for columns that are too many or too fine, or another rebalanced column than the outcome or a protected
        one; FitError where the model has one group or outcome only, or rules out outcomes for some groups.
    """
    domain = distribution.domain
    wide = _table(schema, distribution, debias, given or {})
    if rebalance is not None:
        wide = _reweighed(schema, debias, wide, rebalance)
    total = wide.sum()
    if not total > 0:
        raise FitError("the conditions have probability zero under this model; allow more levels")
    wide = wide / total
    groups = math.prod(domain.shape(debias.protected))
    merged = _merged(domain, debias, wide, distribution.total)
    unmerged = wide.reshape(groups, -1, domain.size(debias.outcome))
    for axis, name in enumerate(debias.legitimate, start=len(debias.protected)):
        wide = _summed(wide, axis, merged[name])
    before = wide.reshape(groups, -1, domain.size(debias.outcome))
    for axis, what in ((0, "protected group"), (2, "outcome")):
        if (before.sum(axis=tuple({0, 1, 2} - {axis})) > _NOTHING).sum() < 2:
            raise FitError(
                f'debias: the model knows one {what} only of "{debias.outcome}" by {", ".join(debias.protected)}, so that '
                "there is no dependence to break; take other columns, or drop the condition that rules the others out"
            )
    return Debiased(
        debias=debias,
        domain=domain,
        merged=merged,
        before=before,
        after=_independent(before, debias),
        unmerged=unmerged,
    )


def _table(schema: Schema, distribution: AbstractDistribution, debias: Debias, given: Mapping[str, object]) -> Floats:
    """Counts over the declared columns, in their order, of what the conditions allow."""
    domain, allowed = distribution.domain, evidence(schema, given)
    names = (*debias.columns, *(name for name in allowed if name not in debias.columns))
    if domain.cells(names) > _MOST_CELLS:
        raise SchemaError(
            f"debias: {', '.join(names)} have {domain.cells(names)} combinations of levels together, more than {_MOST_CELLS}; "
            "name fewer columns or conditions, or declare coarser bins"
        )
    by_size = tuple(sorted(names, key=domain.size))
    table = distribution.project(by_size).transpose([by_size.index(name) for name in names])
    for axis, name in enumerate(names):
        if name in allowed:
            kept = np.isin(np.arange(domain.size(name)), allowed[name])
            table = table * kept.reshape([-1 if each == axis else 1 for each in range(table.ndim)])
    return np.asarray(table.sum(axis=tuple(range(len(debias.columns), len(names)))), dtype=np.float64)


def _reweighed(schema: Schema, debias: Debias, table: Floats, rebalance: Rebalance) -> Floats:
    name = rebalanced_column(rebalance)
    if name not in {*debias.protected, debias.outcome}:
        raise SchemaError(
            f'"{name}" cannot be rebalanced where "{debias.outcome}" is debiased; rebalance that or a protected column, or '
            "sample twice"
        )
    axis, domain = debias.columns.index(name), schema.domain()
    shares = np.zeros(domain.size(name))
    own = table.sum(axis=tuple(each for each in range(table.ndim) if each != axis))
    for labels, share in shares_of(schema, rebalance):
        codes = evidence(schema, {name: labels})[name]
        if own[codes].sum() <= 0:
            raise FitError(f'a label of "{name}" that is wanted has probability zero under this model; leave it out')
        shares[codes] = share * own[codes] / own[codes].sum()
    scale = np.where(own > 0, shares / np.where(own > 0, own, 1.0), 0.0)
    return np.asarray(table * scale.reshape([-1 if each == axis else 1 for each in range(table.ndim)]))


def _merged(domain: Domain, debias: Debias, wide: Floats, records: float) -> dict[str, Ints]:
    """Legitimate levels in as many groups as the model's records can fill.

    Neighbours in order are merged, rare labels with each other: the least threshold that leaves few enough strata.
    Raises: FitError when not even two groups a column can be filled.
    """
    if not debias.legitimate:
        return {}
    places = range(len(debias.protected), len(debias.protected) + len(debias.legitimate))
    counts = {
        name: records * wide.sum(axis=tuple(each for each in range(wide.ndim) if each != axis))
        for name, axis in zip(debias.legitimate, places, strict=True)
    }
    cells = math.prod(domain.shape((*debias.protected, debias.outcome)))
    most = records / (RECORDS_A_CELL * cells)
    threshold = 0.0
    while True:
        merged = {name: _groups(counts[name], threshold, domain, name) for name in debias.legitimate}
        strata = math.prod(int(group_of.max()) + 1 for group_of in merged.values())
        if strata <= most or strata == 1:
            return merged
        if threshold > records:
            raise FitError(
                f"debias: about {records:.0f} records are too few for {strata} strata of {', '.join(debias.legitimate)} by "
                f"{cells} combinations of group and outcome; name fewer legitimate or protected columns"
            )
        threshold = max(1.0, threshold * 1.25)


def _groups(counts: Floats, threshold: float, domain: Domain, name: str) -> Ints:
    if domain.size(name) < 2 or threshold == 0:
        return np.arange(domain.size(name))
    return merge_rare(counts, threshold, domain.fact(name))


def _summed(table: Floats, axis: int, group_of: Ints) -> Floats:
    shape = list(table.shape)
    shape[axis] = int(group_of.max()) + 1
    out = np.zeros(shape)
    np.add.at(np.moveaxis(out, axis, 0), group_of, np.moveaxis(table, axis, 0))
    return out


def _independent(before: Floats, debias: Debias) -> Floats:
    """Outcome and group independent in every stratum, with the (group, stratum) and (stratum, outcome) tables as they were.

    A cell that the model never draws gets nothing, and its share goes to the other outcomes of the same group and stratum.
    """
    stratum = before.sum(axis=(0, 2))
    rates = before.sum(axis=0) / np.where(stratum > 0, stratum, 1.0)[:, None]
    placed = before.sum(axis=2)
    after = placed[:, :, None] * rates[None, :, :]
    never = before <= _NOTHING / before.size
    wanted = float(after[never].sum())
    if wanted > _TOLERATED:
        raise FitError(
            f'debias: the model or the rules rule out some of "{debias.outcome}" for some groups of '
            f"{', '.join(debias.protected)}, which {wanted:.1%} of the rows would need; declare what rules it out as "
            "legitimate, or leave those groups out with given="
        )
    after[never] = 0.0
    kept = after.sum(axis=2)
    able = kept > 0
    after *= np.where(able, placed / np.where(able, kept, 1.0), 0.0)[:, :, None]
    after[~able] = before[~able]
    return np.asarray(after / after.sum())


def conditional_information(table: Floats) -> float:
    """Mutual information of first and last axis given the middle one, in bits. Shapes: (groups, strata, outcome levels)."""
    by_group, by_outcome = table.sum(axis=2, keepdims=True), table.sum(axis=0, keepdims=True)
    stratum = table.sum(axis=(0, 2), keepdims=True)
    there = table > 0
    ratio = np.ones_like(table)
    np.divide(table * stratum, by_group * by_outcome, out=ratio, where=there)
    return max(0.0, float((table[there] * np.log2(ratio[there])).sum()))
