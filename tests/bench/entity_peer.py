"""The peer of histories: flatten and treat rows as people. One joined table, at most k rows a unit, sensitivity k.

Each table is joined with its parents' columns, the row before and the gap to it; a random choice of at most k rows of each unit
is measured by one of our own generators for single tables, which answers for k rows; as many flat rows are drawn. The peer is
favoured: how many rows a unit has costs it nothing, its rows need not be put together to histories, and of its generators and
its k the best is taken after the fact, for each figure by itself.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from privsynth import generators
from privsynth.database import Database
from privsynth.dataset import Dataset
from privsynth.domain import Domain, LevelFacts
from privsynth.histories import layout
from privsynth.metrics import histories
from privsynth.metrics.joined import Joined, joined
from privsynth.privacy.curator import make_curator
from privsynth.privacy.guarantee import Budget
from privsynth.privacy.noise import SystemNoise
from privsynth.privacy.unit import PrivacyUnit

TRIED = (("latent_class", 1), ("latent_class", 3), ("latent_class", 10), ("mst", 1), ("mst", 3), ("independent", 1))
"""Generators and k."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Errors:
    """Mean distances of one table's pairs with its parents' columns, and of its transitions."""

    pairs: float
    transitions: float


def errors(mine: Joined, theirs: Joined) -> Errors:
    """Of two joined tables of one schema."""
    pairs = [(above, column) for above in mine.above for column in mine.own]
    return Errors(
        pairs=float(np.mean(histories.apart(mine, theirs, pairs))),
        transitions=float(np.mean([_moves_apart(mine, theirs, before) for before in mine.before])),
    )


def _moves_apart(mine: Joined, theirs: Joined, before: str) -> float:
    """The distance of one column's transitions, over the rows that say that there is a row before."""
    clique = (before, before.removeprefix("previous."))
    return histories.distance(mine.data.marginal(clique)[:-1], theirs.data.marginal(clique)[:-1])


def tables(database: Database) -> list[str]:
    """The tables that have a parent."""
    return [table.name for table in database.schema.tables if table.parent is not None]


def flat_errors(database: Database, name: str, epsilon: str, delta: str, generator: str, k: int) -> Errors:
    """The peer's errors on one table, with an equal part of the whole budget for each table with a parent."""
    real = joined(database, name)
    made = generators.get(generator, {})
    budget = Budget.of(epsilon, delta, buys=False, composition=made.composition)
    curator = make_curator(
        flattened(database, name, real, k, np.random.default_rng(0)),
        unit=PrivacyUnit(name="unit", column="unit", max_rows=k),
        rho=budget.rho * Fraction(1, len(tables(database))),
        noise=SystemNoise(),
        composition=made.composition,
    )
    drawn = made.fit(curator).draw(real.data.rows, np.random.default_rng(1))
    return errors(real, replace(real, data=drawn))


def flattened(database: Database, name: str, real: Joined, k: int, rng: np.random.Generator) -> Dataset:
    """At most k rows of each unit, with what the schema says of the levels' order."""
    unit = database.tables[name].unit
    order = np.lexsort((rng.random(len(unit)), unit))
    sorted_unit = unit[order]
    starts = np.flatnonzero(np.r_[True, sorted_unit[1:] != sorted_unit[:-1]])
    turn = np.arange(len(unit)) - np.repeat(starts, np.diff(np.r_[starts, len(unit)]))
    kept = order[turn < k]
    of_view = layout.views(database.schema)[name].domain()
    plain = real.data.domain
    known = [of_view.facts[of_view.index(one)] for one in plain.attributes]
    facts = tuple(LevelFacts(ordered=fact.ordered, parents=fact.parents) for fact in known)
    domain = Domain(plain.attributes, plain.sizes, facts)
    return Dataset(tuple(column[kept] for column in real.data.columns), domain, unit[kept])


def by_chance(database: Database, name: str) -> Errors:
    """What as many people drawn from these would show by chance alone: half of what two random halves differ by."""
    half = np.random.default_rng(0).random(database.units) < 0.5
    found = errors(*(joined(database.of_units(mask), name) for mask in (half, ~half)))
    return Errors(pairs=found.pairs / 2, transitions=found.transitions / 2)
