"""Which rows are used and what they weigh: at most the bound, a function of each unit alone, drawn with a key."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privsynth.database.document import DatabaseSchema
from privsynth.database.held import Database, Rows
from privsynth.errors import MechanismError
from privsynth.histories import bounding
from privsynth.schema.ticks import MISSING
from tests import made_database
from tests.made_database import CLINIC_TOML, EVENTS_TOML

KEY = bytes(range(32))


def events(toml: str = EVENTS_TOML, units: int = 40, biggest: int = 500, seed: int = 1) -> Database:
    """Tests of patients under another bound than the usual one."""
    made = made_database.events(units, np.random.default_rng(seed), biggest=biggest)
    schema = DatabaseSchema.loads(toml)
    return Database(schema=schema, tables=made.tables, unit_names=made.unit_names)


def bounded(bound: str) -> str:
    return EVENTS_TOML.replace("bound = {rows = 8}", f"bound = {{{bound}}}")


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 256), st.sampled_from(["random", "first", "last"]))
def test_at_most_the_bound_is_used_of_each_unit_and_all_of_smaller_ones(seed: int, most: int, keep: str) -> None:
    database = events(bounded(f'rows = {most}, keep = "{keep}"'), 12, biggest=300, seed=seed)
    rows = database.tables["tests"]
    used = bounding.used_rows(database, "tests", most, KEY)
    assert (np.diff(used) > 0).all()
    owned = np.bincount(rows.unit, minlength=12)
    assert np.bincount(rows.unit[used], minlength=12).tolist() == np.minimum(owned, most).tolist()


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 256), min_size=1, max_size=6))
def test_a_units_rows_weigh_the_same_together_whatever_it_has(sizes: list[int]) -> None:
    terms = DatabaseSchema.loads(EVENTS_TOML).table("tests")
    unit = np.repeat(np.arange(len(sizes)), sizes)
    weights = bounding.weights_of(terms, unit)
    assert weights is not None
    assert np.bincount(unit, weights=weights).tolist() == [256] * len(sizes)
    for one in range(len(sizes)):
        assert weights[unit == one].max() - weights[unit == one].min() <= 1


def test_rows_that_count_fully_have_no_weights_and_are_bounded_by_their_number() -> None:
    terms = DatabaseSchema.loads(bounded('rows = 5, weights = "row"')).table("tests")
    assert bounding.weights_of(terms, np.zeros(5, dtype=np.int64)) is None
    assert (bounding.most_weight(terms, 5), bounding.weight_scale(terms)) == (5, 1)
    root = DatabaseSchema.loads(EVENTS_TOML).root
    assert (bounding.most_weight(root, 1), bounding.weight_scale(root)) == (1, 1)


def test_the_first_and_the_last_are_by_time_over_all_parents_and_undated_rows_come_last_either_way() -> None:
    made = made_database.clinic(3, np.random.default_rng(2), biggest=9)
    rows = made.tables["diagnoses"]
    assert rows.records is not None
    ticks = dict(rows.records.ticks)
    mine = np.flatnonzero(rows.unit == 0)
    ticks["noted"] = np.where(np.arange(rows.count) == mine[-1], MISSING, ticks["noted"])
    undated = Rows(records=rows.records.with_ticks(ticks), parent=rows.parent, unit=rows.unit)
    database = Database(schema=made.schema, tables={**made.tables, "diagnoses": undated}, unit_names=made.unit_names)
    for keep, pick in (("first", slice(None, 8)), ("last", slice(-8, None))):
        schema = DatabaseSchema.loads(CLINIC_TOML.replace('keep = "first"', f'keep = "{keep}"'))
        held = Database(schema=schema, tables=database.tables, unit_names=database.unit_names)
        used = bounding.used_rows(held, "diagnoses", 8, KEY)
        used = used[rows.unit[used] == 0]
        dated = np.sort(ticks["noted"][mine[:-1]])
        assert np.sort(ticks["noted"][used]).tolist() == dated[pick].tolist()


def test_the_draw_is_keyed_and_all_rows_are_as_likely() -> None:
    database = events(units=2, biggest=40)
    hits = np.zeros(database.tables["tests"].count)
    for turn in range(600):
        hits[bounding.used_rows(database, "tests", 8, turn.to_bytes(32, "big"))] += 1
    mine = hits[database.tables["tests"].unit == 0]
    assert mine.sum() == 600 * 8
    assert abs(mine - 600 * 8 / 40).max() < 5 * np.sqrt(600 * 0.2 * 0.8)


def test_another_unit_changes_nobodys_rows() -> None:
    database = events(units=30)
    used = bounding.used_rows(database, "tests", 4, KEY)
    for gone in (0, 7, 29):
        keep = np.arange(30) != gone
        rest = database.of_units(keep)
        theirs = used[keep[database.tables["tests"].unit[used]]]
        place = np.cumsum(keep[database.tables["tests"].unit]) - 1
        assert bounding.used_rows(rest, "tests", 4, KEY).tolist() == place[theirs].tolist()


def test_tables_and_purposes_draw_independently() -> None:
    database = events(units=5)
    unit, turn = np.zeros(50, dtype=np.int64), np.arange(50)
    found = [bounding.keyed_numbers(database, unit, turn, purpose, KEY) for purpose in ("a", "a|1", "b")]
    assert len({*np.concatenate(found).tolist()}) == 150


def test_rows_without_an_order_are_put_in_one_that_says_nothing() -> None:
    toml = EVENTS_TOML.replace('time = {column = "day"}\n', "")
    database = events(toml, units=4, biggest=30)
    rows = database.tables["tests"]
    before = bounding.rows_before(database, "tests", KEY)
    mine = np.flatnonzero(rows.unit == 0)
    assert sorted(before[mine].tolist()) == sorted([-1, *(set(mine.tolist()) - {_last(before, mine)})])
    assert before[mine].tolist() != [-1, *mine[:-1].tolist()]
    assert before[mine].tolist() != bounding.rows_before(database, "tests", bytes(32))[mine].tolist()
    rest = database.of_units(np.arange(4) > 0)
    shift = len(mine)
    theirs = before[shift:]
    assert bounding.rows_before(rest, "tests", KEY).tolist() == np.where(theirs < 0, -1, theirs - shift).tolist()


def _last(before: np.ndarray[tuple[int], np.dtype[np.int64]], mine: np.ndarray[tuple[int], np.dtype[np.int64]]) -> int:
    (last,) = set(mine.tolist()) - set(before.tolist())
    return int(last)


def test_the_row_before_in_time_is_the_true_one_of_the_same_parent() -> None:
    database = made_database.clinic(20, np.random.default_rng(3))
    rows = database.tables["diagnoses"]
    before = bounding.rows_before(database, "diagnoses", KEY)
    for row in range(rows.count):
        alike = [
            other
            for other in range(row)
            if rows.parent[other] == rows.parent[row] and rows.unit[other] == rows.unit[row]
        ]
        assert before[row] == max(alike, default=-1)


def test_bounds_that_are_to_be_bought_must_be() -> None:
    schema = DatabaseSchema.loads(bounded('rows = "buy", most = 20'))
    with pytest.raises(MechanismError, match="to be bought"):
        bounding.rows_used(schema)
    with pytest.raises(MechanismError, match="to be bought"):
        bounding.rows_used(schema, {"tests": 257})
    assert bounding.rows_used(schema, {"tests": 9}) == {"patient": 1, "tests": 9}


def test_units_are_held_out_by_coins_of_their_own() -> None:
    database = made_database.events(400, np.random.default_rng(4))
    held = bounding.coins(database, 0.25, KEY)
    assert 60 < held.sum() < 140
    rest = database.of_units(np.arange(400) != 3)
    assert bounding.coins(rest, 0.25, KEY).tolist() == np.delete(held, 3).tolist()
    nameless = Database(schema=database.schema, tables=database.tables)
    for wrong, share, said in ((database, 1.0, "below 1"), (nameless, 0.2, "by their names")):
        with pytest.raises(MechanismError, match=re.escape(said)):
            bounding.coins(wrong, share, KEY)
