"""Calendars: days of the week, months and shared days are kept, gaps are told on, moments fit before their limit."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pytest

from privsynth.database.document import DatabaseSchema
from privsynth.database.held import Database
from privsynth.domain import Domain
from privsynth.histories import drawing
from privsynth.histories.calendars import compressed, month, weekday
from privsynth.histories.clocks import Clock, spread
from privsynth.histories.layout import View, views
from privsynth.histories.spans import first_levels, gap_levels
from privsynth.latent.distribution import LatentClassDistribution
from privsynth.schema.ticks import MISSING
from tests import made_models

Ints = npt.NDArray[np.int64]

VISITS_TOML = """
[database]
name = "visits"
unit = "people"
[tables.people]
key = ["id"]
[tables.people.columns]
id = {kind = "identifier", make = "P-######"}
left = {kind = "date", lower = 2010-01-01, upper = 2012-12-31, bins = {method = "uniform", count = 3}}
[tables.visits]
parent = {table = "people", columns = ["id"]}
bound = {rows = 6}
time = {column = "day", until = "left", keep = ["weekday", "month"], largest_gap = 400}
carry = []
[tables.visits.columns]
day = {kind = "date", lower = 2010-01-01, upper = 2012-12-31, bins = {method = "uniform", count = 12}}
long = {kind = "boolean"}
[tables.bills]
parent = {table = "people", columns = ["id"]}
bound = {rows = 4}
time = {column = "day", shared_with = "visits"}
carry = []
[tables.bills.columns]
day = {kind = "date", lower = 2010-01-01, upper = 2012-12-31, bins = {method = "uniform", count = 12}}
"""


def independent(domain: Domain, certain: dict[str, npt.ArrayLike]) -> LatentClassDistribution:
    """One class: uniform levels, but for those that are given shares."""
    blocks = [
        np.asarray(certain.get(name, np.ones(size)), dtype=np.float64)
        for name, size in zip(domain.attributes, domain.sizes, strict=True)
    ]
    given = np.concatenate([block / block.sum() for block in blocks])[:, None]
    return made_models.mixture(domain, given, np.ones(1), total=3000.0)


def by_gap(view: View) -> LatentClassDistribution:
    """Two classes: short gaps with short visits, and long gaps (the last six levels) with long ones; weekdays alone."""
    domain, size = view.domain(), view.attribute("gap").size
    blocks = [np.full((each, 2), 1 / each) for each in domain.sizes]
    gaps = np.zeros((size, 2))
    gaps[3:6, 0], gaps[size - 7 : size - 1, 1], gaps[-1] = 0.2, 0.1, 0.4
    blocks[domain.index("gap")] = gaps
    blocks[domain.index("long")] = np.eye(2)
    week = np.array([1.0, 1, 1, 1, 1, 0, 0])[:, None] / 5
    blocks[domain.index("weekday")] = np.repeat(week, 2, axis=1)
    return made_models.mixture(domain, np.concatenate(blocks), np.array([0.5, 0.5]), total=3000.0)


@lru_cache
def drawn() -> Database:
    schema = DatabaseSchema.loads(VISITS_TOML)
    laid = views(schema)
    size = laid["people"].attribute("first.visits").size
    early = np.r_[np.ones(3), np.zeros(size - 3)]
    models = {
        "people": independent(
            laid["people"].domain(), {"first.visits": early, "first.bills": early, "count.visits": np.eye(7)[3]}
        ),
        "visits": by_gap(laid["visits"]),
        "bills": independent(laid["bills"].domain(), {"shared": [0, 1]}),
    }
    return drawing.draw(schema, models, 1500, np.random.default_rng(3)).database


def ticks(table: str, column: str) -> Ints:
    records = drawn().tables[table].records
    assert records is not None
    return records.ticks[column]


def test_what_is_drawn_after_a_gap_follows_it() -> None:
    visits = drawn().tables["visits"]
    gaps = np.diff(ticks("visits", "day"))
    siblings = np.diff(visits.parent) == 0
    long = ticks("visits", "long")[1:] == 1
    assert (gaps[siblings & ~long] < 30).mean() > 0.97
    assert (gaps[siblings & long] > 100).mean() > 0.85


def test_days_of_the_week_that_the_model_never_has_are_avoided_where_gaps_allow() -> None:
    weekend = weekday(ticks("visits", "day")) >= 5
    assert weekend.mean() < 0.15


def test_no_row_is_later_than_its_limit() -> None:
    left = ticks("people", "left")[drawn().tables["visits"].unit]
    assert (ticks("visits", "day") <= left).mean() > 0.999


def test_shared_days_are_days_of_the_other_table_where_a_gap_leads_to_one() -> None:
    bills, visits = drawn().tables["bills"], drawn().tables["visits"]
    days = set(zip(visits.unit.tolist(), ticks("visits", "day").tolist(), strict=True))
    there = [pair in days for pair in zip(bills.unit.tolist(), ticks("bills", "day").tolist(), strict=True)]
    first = np.r_[True, np.diff(bills.parent) != 0]
    assert np.mean(np.array(there)[first]) > 0.35


def test_compressing_keeps_first_rows_order_and_groups_that_fit() -> None:
    moments = np.array([0, 5, 0, 8, 10, 40, MISSING])
    group = np.array([0, 1, 0, 1, 0, 1, 1])
    found, moved = compressed(moments, group, np.array([10, 12]), np.random.default_rng(1))
    np.testing.assert_array_equal(found[group == 0], [0, 0, 10])
    np.testing.assert_array_equal(found[[1, 6]], [5, MISSING])
    assert 5 <= found[3] <= found[5] <= 12
    assert moved == np.count_nonzero(found != moments) > 0
    none, kept = compressed(np.full(2, MISSING), np.zeros(2, dtype=np.int64), np.array([3]), np.random.default_rng(1))
    assert (none == MISSING).all()
    assert kept == 0


def test_compressed_rows_do_not_heap_on_the_limit() -> None:
    groups, rows = 4000, 4
    moments, group = np.tile(np.array([0, 50, 100, 400]), groups), np.repeat(np.arange(groups), rows)
    found, _ = compressed(moments, group, np.full(groups, 99), np.random.default_rng(1))
    last = found.reshape(groups, rows)[:, -1]
    assert np.mean(last == 99) < 0.1
    assert abs(np.mean(last) - 75) < 2  # the largest of three even ones among 0 to 99


def test_rows_do_not_heap_on_the_last_day() -> None:
    for name in ("visits", "bills"):
        days = ticks(name, "day")
        _, counts = np.unique(days[days != MISSING], return_counts=True)
        assert counts[-1] <= counts.max() / 4, name


@pytest.mark.parametrize(
    ("day", "of_week", "of_year"), [("1970-01-01", 3, 0), ("2024-02-29", 3, 1), ("1969-12-29", 0, 11)]
)
def test_weekdays_and_months(day: str, of_week: int, of_year: int) -> None:
    days = np.array([np.datetime64(day, "D").astype(np.int64)])
    assert (int(weekday(days)[0]), int(month(days)[0])) == (of_week, of_year)


def test_spreading_keeps_levels_and_what_is_missing() -> None:
    schema = DatabaseSchema.loads(VISITS_TOML)
    layout = views(schema)["visits"].attribute("gap").layout
    assert layout is not None
    codes = np.repeat(np.arange(layout.size), 20)
    found = spread(layout, codes, np.random.default_rng(1))
    np.testing.assert_array_equal(layout.codes(found), codes)
    assert (found[-20:] == MISSING).all()


EVENTS_TOML = """
[database]
name = "events"
unit = "people"
[tables.people]
key = ["id"]
[tables.people.columns]
id = {kind = "identifier", make = "P-######"}
end = {kind = "integer", lower = 0, upper = 1000, bins = {method = "uniform", count = 5}}
[tables.events]
parent = {table = "people", columns = ["id"]}
bound = {rows = 6}
time = {column = "day", until = "end"}
[tables.events.columns]
day = {kind = "integer", lower = -1000, upper = 1000, atoms = [0], bins = {method = "uniform", count = 8}}
"""
AT_ZERO = 0.4


@lru_cache
def events() -> Database:
    """Two events each, the first of them long before day 0, where four in ten of the later ones would be."""
    schema = DatabaseSchema.loads(EVENTS_TOML)
    laid = views(schema)
    first, day = laid["people"].attribute("first.events").size, laid["events"].attribute("day").size
    gap = laid["events"].attribute("gap").size
    gaps = np.r_[np.zeros(gap - 9), np.ones(8), 4]
    before = np.r_[2, np.zeros(day - 1), 1]
    days = np.r_[np.full(day - 1, (1 - AT_ZERO) / (day - 1)), AT_ZERO]
    models = {
        "people": independent(
            laid["people"].domain(), {"first.events": np.eye(first)[0], "count.events": np.eye(7)[2]}
        ),
        "events": independent(laid["events"].domain(), {"gap": gaps, "day": days, "previous.day": before}),
    }
    return drawing.draw(schema, models, 1500, np.random.default_rng(5)).database


def test_a_moment_that_rows_prefer_is_met_exactly() -> None:
    records = events().tables["events"].records
    assert records is not None
    day = records.ticks["day"].reshape(-1, 2)
    assert (day[:, 0] < -700).all()
    assert 0.3 < (day[:, 1] == 0).mean() < 0.5
    near = (np.abs(day[:, 1]) <= 5) & (day[:, 1] != 0)
    assert near.mean() < 0.05


def test_rows_drawn_by_level_keep_their_order_and_their_limit() -> None:
    database = events()
    records, people = database.tables["events"].records, database.tables["people"].records
    assert records is not None
    assert people is not None
    day = records.ticks["day"].reshape(-1, 2)
    assert (np.diff(day, axis=1) >= 0).all()
    assert (day[:, -1] <= people.ticks["end"]).all()


def test_room_is_the_number_of_moments_of_a_level_that_may_follow() -> None:
    schema = DatabaseSchema.loads(EVENTS_TOML)
    terms, view = schema.table("events"), views(schema)["events"]
    assert terms.content is not None
    column, own, gaps = terms.content.modelled_column("day"), terms.content.levels("day"), gap_levels(terms)
    clock = Clock(
        view=view,
        column="day",
        gaps=gaps,
        firsts=first_levels(schema, terms),
        own=own,
        day=1,
        shared=None,
        until=None,
        count=None,
    )
    assert column.name == clock.column
    before, limit = np.array([-1000, -40, 0, 7, 900, MISSING]), np.array([1000, 130, 0, 1000, 100, 5])
    room = clock.room(before, limit)
    for row, (start, end) in enumerate(zip(before[:-1], limit[:-1], strict=True)):
        open_days = np.arange(start, max(start, end) + 1)
        expected = np.bincount(own.codes(open_days), minlength=own.size)
        np.testing.assert_array_equal(room[row], expected)
        for level in np.flatnonzero(expected):
            led = gaps.codes(open_days[own.codes(open_days) == level] - start)
            found = clock.gap_room(before[[row]], limit[[row]], np.array([level]))[0]
            np.testing.assert_array_equal(found, np.bincount(led, minlength=gaps.size))
    assert not room[-1].any()
