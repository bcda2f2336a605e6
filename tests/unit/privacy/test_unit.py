"""Bounding and holding out: what one unit contributes, and that nobody else's rows depend on it."""

import numpy as np
import pytest

from privsynth.errors import MechanismError
from privsynth.privacy import unit as unit_module
from privsynth.privacy.unit import PrivacyUnit, bound_contributions, hold_out
from privsynth.records import Records
from privsynth.schema import Schema

SCHEMA = Schema.from_domain({"x": 1000})
KEY = bytes(range(32))


def records(owners):
    names = list(dict.fromkeys(owners))
    return Records(
        schema=SCHEMA,
        ticks={"x": np.arange(len(owners), dtype=np.int64)},
        units=np.array([names.index(owner) for owner in owners], dtype=np.int64),
        unit_names=tuple(str(name).encode() for name in names),
    )


def rows_by_owner(kept):
    owners = [kept.unit_names[unit].decode() for unit in kept.units]
    return {owner: [t for t, o in zip(kept.ticks["x"].tolist(), owners, strict=True) if o == owner] for owner in owners}


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_each_unit_keeps_at_most_its_rows_and_fewer_only_when_it_has_fewer(limit):
    owners = ["a"] * 40 + ["b", "c", "b", "c", "c"]
    kept = bound_contributions(records(owners), PrivacyUnit(name="p", column="id", max_rows=limit), KEY)
    assert {owner: len(rows) for owner, rows in rows_by_owner(kept).items()} == {
        owner: min(limit, owners.count(owner)) for owner in "abc"
    }
    assert (np.diff(kept.ticks["x"]) > 0).all()


def test_adding_a_unit_changes_nobody_elses_rows():
    unit = PrivacyUnit(name="p", column="id", max_rows=2)
    rest = [owner for owner in "abcdefgh" for _ in range(6)]
    without = bound_contributions(records(rest), unit, KEY)
    with_one = bound_contributions(records([*rest, *["z"] * 9]), unit, KEY)
    assert {k: v for k, v in rows_by_owner(with_one).items() if k != "z"} == rows_by_owner(without)
    assert len(rows_by_owner(with_one)["z"]) == 2


def test_the_draw_is_random_and_depends_on_the_key():
    owners = ["a"] * 50
    unit = PrivacyUnit(name="p", column="id", max_rows=1)
    picks = {bound_contributions(records(owners), unit, bytes([n]) * 32).ticks["x"][0] for n in range(60)}
    assert len(picks) > 20


def test_the_draw_does_not_depend_on_the_size_of_blocks_nor_on_units_with_few_rows(monkeypatch):
    owners = ["a"] * 9 + ["b"] * 3 + ["c"] * 5
    limit = PrivacyUnit(name="p", column="id", max_rows=3)
    at_once = rows_by_owner(bound_contributions(records(owners), limit, KEY))
    monkeypatch.setattr(unit_module, "_BLOCK_ROWS", 2)
    assert rows_by_owner(bound_contributions(records(owners), limit, KEY)) == at_once
    few = records(["b"] * 3 + ["c"])
    assert bound_contributions(few, limit, KEY) is few


def test_rows_without_a_unit_are_left_alone():
    table = Records(schema=SCHEMA, ticks={"x": np.arange(5, dtype=np.int64)})
    assert bound_contributions(table, PrivacyUnit(name="row"), KEY) is table


def test_units_are_held_out_whole_in_about_the_declared_share():
    owners = [str(n // 3) for n in range(6000)]
    fitted, held = hold_out(records(owners), 0.1, KEY)
    assert not set(fitted.units.tolist()) & set(held.units.tolist())
    assert fitted.rows + held.rows == 6000
    assert 120 < len(set(held.units.tolist())) < 280  # binomial(2000, 0.1), six standard deviations
    assert {len(rows) for rows in rows_by_owner(held).values()} == {3}


def test_rows_without_a_unit_are_held_out_one_by_one_by_the_key():
    table = Records(schema=SCHEMA, ticks={"x": np.arange(1000, dtype=np.int64)})
    fitted, held = hold_out(table, 0.2, KEY)
    assert 120 < held.rows < 280  # binomial(1000, 0.2), more than six standard deviations
    assert sorted([*fitted.ticks["x"].tolist(), *held.ticks["x"].tolist()]) == list(range(1000))
    assert hold_out(table, 0.2, KEY)[1].ticks["x"].tolist() == held.ticks["x"].tolist()
    others = set(hold_out(table, 0.2, bytes(32))[1].ticks["x"].tolist())
    assert len(others & set(held.ticks["x"].tolist())) < 0.5 * held.rows
    shorter = Records(schema=SCHEMA, ticks={"x": np.arange(500, dtype=np.int64)})
    _, of_shorter = hold_out(shorter, 0.2, KEY)
    assert of_shorter.ticks["x"].tolist() == [tick for tick in held.ticks["x"].tolist() if tick < 500]
    places = np.diff(held.ticks["x"])
    assert len(set(places.tolist())) > 10, "no pattern in the rows"


def test_who_is_held_out_does_not_depend_on_others():
    owners = [str(n) for n in range(500)]
    _, held = hold_out(records(owners), 0.2, KEY)
    _, more = hold_out(records([*owners, "newcomer"]), 0.2, KEY)
    assert set(rows_by_owner(more)) - {"newcomer"} == set(rows_by_owner(held))


def test_a_share_of_zero_holds_out_nobody_and_one_is_refused():
    fitted, held = hold_out(records(["a", "b"]), 0.0, KEY)
    assert (fitted.rows, held.rows) == (2, 0)
    for share in (1.0, -0.1, float("nan")):
        with pytest.raises(MechanismError):
            hold_out(records(["a"]), share, KEY)


def test_a_unit_that_does_not_fit_the_table_is_refused():
    table = Records(schema=SCHEMA, ticks={"x": np.arange(5, dtype=np.int64)})
    with pytest.raises(MechanismError, match="disagree"):
        bound_contributions(table, PrivacyUnit(name="p", column="id", max_rows=3), KEY)
    with pytest.raises(MechanismError, match="disagree"):
        bound_contributions(records(["a", "a"]), PrivacyUnit(name="row"), KEY)
