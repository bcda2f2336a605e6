"""Units are taken whole, in any order, and joined with those of another database."""

import numpy as np
import pytest

from privsynth.database.held import Database
from privsynth.histories.gathering import rows_of_units, taken, together
from privsynth.histories.kinship import dangling
from tests.made_database import bank, clinic

MADE = [clinic, bank]


def same(first: Database, second: Database) -> bool:
    """Whether all rows are the same, in the same places."""
    return first.unit_names == second.unit_names and all(
        np.array_equal(one.parent, other.parent)
        and np.array_equal(one.unit, other.unit)
        and all(np.array_equal(one.records.ticks[name], other.records.ticks[name]) for name in one.records.ticks)
        for one, other in zip(first.tables.values(), second.tables.values(), strict=True)
    )


@pytest.mark.parametrize("made", MADE)
def test_units_that_are_taken_in_order_are_those_that_a_mask_keeps(made):
    database = made(30, np.random.default_rng(1))
    keep = np.random.default_rng(2).random(30) < 0.4
    assert same(taken(database, np.flatnonzero(keep)), database.of_units(keep))


@pytest.mark.parametrize("made", MADE)
def test_an_order_and_back_changes_nothing_and_parents_stay_their_childrens(made):
    database = made(30, np.random.default_rng(3))
    order = np.random.default_rng(4).permutation(30)
    mixed = taken(database, order)
    assert mixed.unit_names == tuple(database.unit_names[unit] for unit in order)
    assert not any(dangling(mixed, terms).any() for terms in database.schema.tables)
    assert all((np.diff(rows.unit) >= 0).all() for rows in mixed.tables.values())
    assert same(taken(mixed, np.argsort(order)), database)


@pytest.mark.parametrize("made", MADE)
def test_two_databases_together_hold_both_without_names(made):
    first, second = made(12, np.random.default_rng(5)), made(7, np.random.default_rng(6))
    both = together(first, second)
    assert both.units == 19
    assert both.unit_names is None
    assert not any(dangling(both, terms).any() for terms in both.schema.tables)
    halves = taken(both, np.arange(12)), taken(both, np.arange(12, 19))
    for half, whole in zip(halves, (first, second), strict=True):
        assert same(half, Database(schema=whole.schema, tables=whole.tables))


def test_rows_stand_unit_after_unit_with_the_place_of_their_unit():
    rows = clinic(20, np.random.default_rng(7)).tables["stays"]
    units = np.array([9, 3, 15])
    found, place = rows_of_units(rows, units)
    assert np.array_equal(rows.unit[found], units[place])
    assert (np.diff(place) >= 0).all()
    assert sorted(found.tolist()) == np.flatnonzero(np.isin(rows.unit, units)).tolist()
