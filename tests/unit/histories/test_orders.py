"""Dates out of order: moved to the nearest lawful value, or the row goes with all that hangs on it."""

from dataclasses import replace

import numpy as np

from privsynth.database import Database, DatabaseSchema
from privsynth.histories.across import enforce
from privsynth.records import Records
from privsynth.schema.ticks import tick
from tests.enforced import ORDERS, gone, holds, orders, ticks_of, visits_of

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
