"""Dates out of order: moved to the nearest lawful value, or the row goes with all that hangs on it."""

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from privsynth.database import Database, DatabaseSchema, Rows
from privsynth.histories.across import enforce
from privsynth.records import Records
from privsynth.schema.ticks import MISSING, tick
from tests.enforced import ORDERS, gone, holds, orders, ticks_of, visits_of
from tests.made_database import make_rows

RNG = np.random.default_rng(0)


def test_dates_go_to_the_nearest_lawful_day_and_lengths_stay_where_they_can():
    drawn = orders(
        [("2003-01-01", "2003-12-31"), ("2000-05-05", "")],
        [
            (0, "2002-06-01", 3),  # before the start: to the start, three days long as before
            (0, "2003-12-20", 9),  # as it should be
            (0, "2003-12-25", 9),  # ends too late: shorter, on the same day
            (0, "2003-12-30", 3),  # begins too late for the shortest: a day earlier, and shorter
            (0, "2005-01-01", None),  # after the end, its own end unknown
            (1, "2009-12-31", 9),  # no end: nothing to obey
        ],
    )
    found, counts = enforce(drawn.schema, drawn, rng=RNG)
    holds(drawn.schema, found)
    assert visits_of(found) == [
        (0, "2003-01-01", 3),
        (0, "2003-12-20", 9),
        (0, "2003-12-25", 6),
        (0, "2003-12-29", 2),
        (0, "2003-12-31", None),
        (1, "2009-12-31", 9),
    ]
    assert {text: count for text, count in counts.items() if count} == {
        "people.start <= visits.came": 1,
        "visits.came <= people.end": 1,
        "visits.left <= people.end": 2,
    }


def test_a_row_without_an_admissible_value_goes_with_all_below_it():
    drawn = orders(
        [("2010-01-01", ""), ("2001-01-01", "2001-01-02"), ("2003-01-01", "2002-01-01"), ("2001-01-01", "")],
        [
            (0, "2009-01-01", None),
            (1, "2001-05-01", 2),
            (1, "2001-05-01", None),
            (2, "2002-05-01", 2),
            (3, "2004-01-01", 2),
        ],
    )
    found, counts = enforce(drawn.schema, drawn, rng=RNG)
    holds(drawn.schema, found)
    assert visits_of(found) == [(1, "2001-01-02", None), (3, "2004-01-01", 2)]
    assert gone(counts) == {"people": 0, "visits": 3, "notes": 6}
    assert found.tables["notes"].parent.tolist() == [0, 0, 1, 1]
    assert found.tables["notes"].unit.tolist() == [1, 1, 3, 3]


def test_times_are_compared_at_the_coarser_granularity():
    drawn = orders(
        [("2001-01-01", "2003-05-01")] * 2, [(0, "2003-05-31", 2), (1, "2003-06-01", None)], granularity="month"
    )
    found, counts = enforce(drawn.schema, drawn, rng=RNG)
    holds(drawn.schema, found)
    assert visits_of(found) == [(0, "2003-05-29", 2), (1, "2003-05-31", None)]
    assert counts["visits.came <= people.end"] == 1
    hours = orders(
        [("2002-01-01", "2003-05-01")] * 2, [(0, "2003-05-01T23:00", None), (1, "2003-05-02T00:00", 2)], kind="datetime"
    )
    found, counts = enforce(hours.schema, hours, rng=RNG)
    holds(hours.schema, found)
    assert ticks_of(found, "visits", "came").tolist() == [
        tick(hours.schema.table("visits").content.modelled_column("came"), moment)
        for moment in ("2003-05-01T23:00", "2003-04-29T23:00")
    ]


def test_rules_of_one_table_hold_along_with_those_across():
    more = """
    [[tables.visits.rules]]
    kind = "order"
    left = "came"
    op = ">="
    value = "2002-03-01"
    [[tables.visits.rules]]
    kind = "order"
    left = "asked"
    op = "<"
    right = "came"
    [tables.visits.columns.asked]
    kind = "date"
    lower = 2001-01-01
    upper = 2003-12-31
    """
    drawn = orders(
        [("2001-01-01", "2002-04-01")], [(0, "2001-02-01", 2), (0, "2003-02-01", 2), (0, "2002-03-05", 2)], more=""
    )
    schema = DatabaseSchema.loads(ORDERS.replace("GRANULARITY", "day").replace("KIND", "date") + more)
    content = schema.table("visits").content
    asked = np.array(
        [tick(content.modelled_column("asked"), day) for day in ("2003-01-01", "2003-01-01", "2002-01-01")]
    )
    rows = drawn.tables["visits"]
    records = Records(schema=content, ticks={**rows.records.ticks, "asked": asked})
    full = Database(schema=schema, tables={**drawn.tables, "visits": replace(rows, records=records)})
    found, counts = enforce(schema, full, rng=RNG)
    holds(schema, found)
    assert visits_of(found) == [(0, "2002-03-01", 2), (0, "2002-03-05", 2), (0, "2002-03-30", 2)]
    assert (ticks_of(found, "visits", "asked") - ticks_of(found, "visits", "came")).tolist()[::2] == [-1, -1]
    assert gone(counts) == {"people": 0, "visits": 0, "notes": 0}


def test_rows_that_pass_each_other_are_put_in_order_with_what_is_below_them():
    drawn = orders([("2003-01-01", "2003-12-31")], [(0, "2003-12-30", None), (0, "2003-12-31", 2)])
    found, _ = enforce(drawn.schema, drawn, rng=RNG)
    holds(drawn.schema, found)
    assert visits_of(found) == [(0, "2003-12-29", 2), (0, "2003-12-30", None)]
    assert found.tables["notes"].parent.tolist() == [0, 0, 1, 1]


def test_months_go_to_months():
    more = """
    [tables.bills]
    parent = {table = "people", columns = ["person"]}
    bound = {rows = 4}
    [tables.bills.columns]
    month = {kind = "date", lower = 2000-01-01, upper = 2009-12-31, granularity = "month"}
    [[tables.bills.rules]]
    kind = "order"
    left = "month"
    op = ">"
    value = "2003-01"
    [[rules]]
    kind = "in-order"
    left = "people.start"
    right = "bills.month"
    """
    drawn = orders([("2003-01-20", ""), ("2004-05-31", "")], [(0, "2004-05-01", 2)])
    schema = DatabaseSchema.loads(ORDERS.replace("GRANULARITY", "day").replace("KIND", "date") + more)
    month = np.array(["2002-05-01", "2003-01-01", "2003-05-01", "2004-04-01"], dtype="datetime64[D]").astype(np.int64)
    records = Records(schema=schema.table("bills").content, ticks={"month": month})
    unit = np.array([0, 0, 0, 1])
    bills = Rows(records=records, parent=unit, unit=unit)
    tables = {**drawn.tables, "bills": bills}
    found, _ = enforce(
        schema, Database(schema=schema, tables={one.name: tables[one.name] for one in schema.tables}), rng=RNG
    )
    holds(schema, found)
    moved = ticks_of(found, "bills", "month").astype("datetime64[D]").astype(str)
    assert moved.tolist() == ["2003-02-01", "2003-02-01", "2003-05-01", "2004-05-01"]


# --- against every combination of values ---

SMALL = """
[database]
name = "small"
unit = "people"
[tables.people]
key = ["person"]
[tables.people.columns]
person = {kind = "identifier", make = "P-####"}
start = {kind = "date", lower = 2000-01-01, upper = 2000-01-12, missing = [""]}
end = {kind = "date", lower = 2000-01-01, upper = 2000-01-12, missing = [""]}
[tables.visits]
parent = {table = "people", columns = ["person"]}
bound = {rows = 4}
time = {column = "came", anchor = "start", until = "end"}
[tables.visits.columns]
came = {kind = "date", lower = 2000-01-03, upper = 2000-01-09}
left = {kind = "date", after = "came", lower = 1, upper = 3, missing = [""]}
asked = {kind = "date", lower = 2000-01-04, upper = 2000-01-08, missing = [""]}
[[tables.visits.rules]]
kind = "order"
left = "asked"
op = "<"
right = "came"
[[tables.visits.rules]]
kind = "order"
left = "came"
op = "<"
value = "2000-01-09"
[[rules]]
kind = "in-order"
left = "visits.left"
right = "people.end"
"""


def admissible(start: int, end: int, *, leaves: bool, asks: bool) -> list[tuple[int, int, int]]:
    """All lawful (came, left, asked) by person; days since 1970."""
    first = tick_of_day("2000-01-01")
    return [
        (came, came + long if leaves else MISSING, asked)
        for came in range(first + 2, first + 8)
        for long in (range(1, 4) if leaves else [0])
        for asked in (range(first + 3, first + 8) if asks else [MISSING])
        if asked < came
        and (start == MISSING or start <= came)
        and (end == MISSING or (came <= end and (not leaves or came + long <= end)))
    ]


def tick_of_day(day: str) -> int:
    return int(np.datetime64(day, "D").astype(np.int64))


@settings(max_examples=60)
@given(st.integers(0, 10**6))
def test_rows_go_only_where_no_combination_of_values_is_lawful_and_times_move_least(seed):
    schema, rng, first, people = DatabaseSchema.loads(SMALL), np.random.default_rng(seed), tick_of_day("2000-01-01"), 12
    ends = {
        name: np.where(rng.random(people) < 0.2, MISSING, first + rng.integers(0, 12, people))
        for name in ("start", "end")
    }
    came = first + rng.integers(2, 9, people)
    leaves, asks = rng.random((2, people)) < 0.7
    ticks = {
        "came": came,
        "left": np.where(leaves, came + rng.integers(1, 4, people), MISSING),
        "asked": np.where(asks, first + rng.integers(3, 8, people), MISSING),
    }
    number = np.arange(people)
    tables = {
        "people": make_rows(schema, "people", ends, np.full(people, -1), number),
        "visits": Rows(records=Records(schema=schema.table("visits").content, ticks=ticks), parent=number, unit=number),
    }
    drawn = Database(schema=schema, tables=tables)
    lawful = [
        admissible(int(ends["start"][one]), int(ends["end"][one]), leaves=bool(leaves[one]), asks=bool(asks[one]))
        for one in number
    ]
    found, _ = enforce(schema, drawn, rng=rng)
    holds(schema, found)
    kept = found.tables["visits"].unit.tolist()
    assert kept == [one for one in number if lawful[one]]
    for one, *values in zip(kept, *(ticks_of(found, "visits", name) for name in ticks), strict=True):
        assert tuple(values) in lawful[one]
        assert abs(values[0] - came[one]) == min(abs(other[0] - came[one]) for other in lawful[one])
