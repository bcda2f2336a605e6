"""A holdout that shares people with the training table is refused; one that was split off at random hardly ever is."""

from __future__ import annotations

import numpy as np
import pytest

from privsynth.auditing import overlap
from privsynth.errors import AuditError
from privsynth.records import Records
from privsynth.schema import Schema

WIDE = {"code": 4000, "age": 90, "ward": 40}


def table(
    rows: int, seed: int, sizes: dict[str, int] = WIDE, *, unit: str | None = None, units: list[int] | None = None
) -> Records:
    rng = np.random.default_rng(seed)
    schema = Schema.from_domain(sizes, unit=unit)
    owners = None if units is None else np.array(units, dtype=np.int64)
    names = None if owners is None else tuple(f"{seed}-{owner}".encode() for owner in range(int(owners.max()) + 1))
    ticks = {name: rng.integers(0, size, rows) for name, size in sizes.items()}
    return Records(schema=schema, ticks=ticks, units=owners, unit_names=names)


def refused(members: Records, controls: Records, seed: int = 0) -> bool:
    try:
        overlap.require_apart(members, controls, rng=np.random.default_rng(seed))
    except AuditError:
        return True
    return False


def joined(first: Records, second: Records) -> Records:
    ticks = {name: np.concatenate([first.ticks[name], second.ticks[name]]) for name in first.ticks}
    return Records(schema=first.schema, ticks=ticks)


def test_tables_apart_are_accepted_whatever_their_sizes() -> None:
    for rows in ((500, 500), (500, 20), (3, 400), (1, 2)):
        assert not refused(table(rows[0], 1), table(rows[1], 2))


@pytest.mark.parametrize(("copies", "expected"), [(13, False), (16, True), (200, True)])
def test_copied_rows_are_refused_once_chance_cannot_explain_them(copies: int, expected: bool) -> None:
    members, others = table(500, 1), table(500 - copies, 2)
    assert refused(members, joined(others, members.take(np.arange(copies)))) is expected


def test_a_holdout_that_is_part_of_the_training_table_is_refused() -> None:
    members = table(500, 1)
    assert refused(members, members)
    assert refused(members, members.take(np.arange(20)))


def test_equal_people_of_a_small_domain_are_no_copies_but_many_copies_among_them_are_seen() -> None:
    sizes = {"code": 30, "age": 9}
    population = table(1000, 3, sizes)
    assert not refused(population.take(slice(0, 600)), population.take(slice(600, 1000)))
    rare = table(400, 4, {"code": 4000, "age": 9})
    assert refused(rare, joined(table(200, 5, {"code": 4000, "age": 9}), rare.take(np.arange(100))))


def test_a_unit_is_all_its_rows_in_any_order() -> None:
    owners = [row // 3 for row in range(300)]
    members = table(300, 6, unit="person", units=owners)
    shuffled = np.random.default_rng(0).permutation(300)
    named_anew = Records(
        schema=members.schema,
        ticks={name: ticks[shuffled] for name, ticks in members.ticks.items()},
        units=members.units[shuffled],  # type: ignore[index]
        unit_names=tuple(f"other {number}".encode() for number in range(100)),
    )
    assert refused(members, named_anew)
    one_row_changed = {**members.ticks, "age": np.where(np.arange(300) % 3 == 0, 0, members.ticks["age"])}
    changed = Records(
        schema=members.schema, ticks=one_row_changed, units=members.units, unit_names=named_anew.unit_names
    )
    assert not refused(members, changed)


def test_a_unit_of_the_same_name_in_both_tables_is_refused_without_its_name() -> None:
    members = table(4, 7, unit="person", units=[0, 1, 2, 3])
    controls = table(4, 8, unit="person", units=[0, 1, 2, 3])
    controls = Records(
        schema=controls.schema,
        ticks=controls.ticks,
        units=controls.units,
        unit_names=(b"8-0", b"8-1", b"7-2", b"8-3"),
    )
    with pytest.raises(AuditError, match="among the members and among the controls") as caught:
        overlap.require_apart(members, controls, rng=np.random.default_rng(0))
    assert "7-2" not in str(caught.value)


KEYED = """
[table]
name = "stays"
key = ["number"]
[columns.number]
kind = "integer"
lower = 0
upper = 1000
bins = {method = "uniform", count = 2}
[columns.age]
kind = "integer"
lower = 0
upper = 99
bins = {method = "uniform", count = 2}
"""


@pytest.mark.parametrize(("numbers", "expected"), [([5, 6, 7], False), ([5, 6, 3], True), ([5, 3, 3], False)])
def test_a_key_in_both_tables_is_refused_where_it_tells_rows_apart(numbers: list[int], expected: bool) -> None:
    schema = Schema.loads(KEYED)
    members = Records(schema=schema, ticks={"number": np.array([1, 2, 3]), "age": np.array([30, 40, 50])})
    controls = Records(schema=schema, ticks={"number": np.array(numbers), "age": np.array([31, 41, 51])})
    assert refused(members, controls) is expected


def test_a_refusal_says_what_to_do_and_holds_no_count() -> None:
    members = table(500, 1)
    with pytest.raises(AuditError, match="split off at random, by person") as caught:
        overlap.require_apart(members, members, rng=np.random.default_rng(0))
    assert not any(character.isdigit() for character in str(caught.value))


def test_the_p_value_of_random_splits_is_as_small_as_it_says_at_most() -> None:
    """Of 400 random splits of a table with many equal people, 8 or fewer have p below 0.01 with probability above 0.97."""
    rng = np.random.default_rng(11)
    small = 0
    for _ in range(400):
        pool = overlap._people(table(600, int(rng.integers(1 << 30)), {"code": 30, "age": 40}))
        small += overlap._chance_of_pairs(pool[:400], pool[400:], rng) <= 0.1
    assert 20 <= small <= 58
