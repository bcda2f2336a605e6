"""Balances: the last amounts make debits equal credits, or the parent goes."""

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from privsynth.database import Database, DatabaseSchema, Rows
from privsynth.histories.across import enforce
from privsynth.records import Records
from privsynth.schema.ticks import MISSING
from tests.enforced import gone, holds, ticks_of
from tests.made_database import make_rows

RNG = np.random.default_rng(0)


POSTINGS = """
[database]
name = "postings"
unit = "firms"
[tables.firms]
key = ["firm"]
[tables.firms.columns]
firm = {kind = "identifier", make = "F-####"}
[tables.entries]
key = ["entry"]
parent = {table = "firms", columns = ["firm"]}
bound = {rows = 4}
[tables.entries.columns]
entry = {kind = "identifier", make = "E-####"}
[tables.lines]
parent = {table = "entries", columns = ["entry"]}
bound = {rows = 20}
[tables.lines.columns]
side = {kind = "category", values = ["debit", "credit"]}
amount = {kind = "number", lower = "0.50", upper = "10.00", precision = "0.01", missing = [""]}
[[rules]]
kind = "balanced"
table = "lines"
amount = "amount"
negative = {column = "side", values = ["credit"]}
"""


def postings(entries: list[list[int | None]], *, more: str = "") -> Database:
    """One firm a entry; amounts in hundredths, credits below zero, None missing."""
    schema = DatabaseSchema.loads(POSTINGS + more)
    count = np.arange(len(entries))
    parent = np.repeat(count, [len(one) for one in entries])
    values = [value for one in entries for value in one]
    amount = np.array([MISSING if value is None else abs(value) for value in values])
    side = np.array([int(value is not None and value < 0) for value in values])
    return Database(
        schema=schema,
        tables={
            "firms": Rows(records=None, parent=np.full(len(entries), -1), unit=count),
            "entries": Rows(records=None, parent=count, unit=count),
            "lines": make_rows(schema, "lines", {"side": side, "amount": amount}, parent, parent),
        },
    )


def lines_of(database: Database) -> list[list[int | None]]:
    amount, side = ticks_of(database, "lines", "amount"), ticks_of(database, "lines", "side")
    found: list[list[int | None]] = [[] for _ in range(database.tables["entries"].count)]
    for above, value, credit in zip(database.tables["lines"].parent, amount, side, strict=True):
        found[above].append(None if value == MISSING else int(-value if credit else value))
    return found


def test_the_last_amount_makes_debits_equal_credits():
    drawn = postings(
        [
            [300, -200, -100],
            [300, -200],
            [500, 500, -900, -60],
            [None, None],
            [400, -350, None],
            [700],
        ]
    )
    found, counts = enforce(drawn.schema, drawn, rng=RNG)
    holds(drawn.schema, found)
    assert lines_of(found) == [
        [300, -200, -100],
        [300, -300],
        [500, 500, -900, -100],
        [None, None],
        [400, -400, None],
    ]
    assert counts["lines.amount balances, below zero where side in {credit}"] == 2 + 4 + 3 + 1
    assert gone(counts) == {"firms": 0, "entries": 1, "lines": 1}


def test_where_the_last_does_not_reach_all_amounts_share_the_way():
    drawn = postings([[100, -1000, -1000], [50, -950], [900, -200, None, -60]])
    found, _ = enforce(drawn.schema, drawn, rng=RNG)
    holds(drawn.schema, found)
    # the debit has 900 to go up, each credit 950 to go down; together they go the 1900 that are wanted
    assert lines_of(found)[0] == [100 + 611, -1000 + 645, -1000 + 644]
    assert lines_of(found)[1:] == [[50, -50], [900, -200, None, -700]]


def test_amounts_of_many_digits_balance_exactly():
    drawn = postings([[100, -1000, -1000]])
    schema = DatabaseSchema.loads(POSTINGS.replace('precision = "0.01"', 'precision = "0.000000000001"'))
    ticks = dict(drawn.tables["lines"].records.ticks)
    ticks["amount"] = ticks["amount"] * 10**10 - np.array([0, 0, 7])
    lines = replace(drawn.tables["lines"], records=Records(schema=schema.table("lines").content, ticks=ticks))
    wide = Database(schema=schema, tables={**drawn.tables, "lines": lines})
    found, counts = enforce(schema, wide, rng=RNG)
    holds(schema, found)
    assert gone(counts)["entries"] == 0
    assert lines_of(found)[0][0] > 7 * 10**12


def test_debits_alone_get_a_credit():
    drawn = postings([[300, 200], [300, None, 200, None], [-500, -500], [100, -100], [None, 400]])
    found, counts = enforce(drawn.schema, drawn, rng=RNG)
    holds(drawn.schema, found)
    assert lines_of(found) == [[300, -300], [300, None, -300, None], [-500, 500], [100, -100]]
    assert gone(counts) == {"firms": 0, "entries": 1, "lines": 2}
    lonely = postings([[300, 200], [300], []])
    found, counts = enforce(lonely.schema, lonely, rng=RNG)
    assert lines_of(found) == [[]] and gone(counts)["entries"] == 2


@settings(max_examples=60)
@given(
    st.lists(
        st.lists(st.one_of(st.none(), st.integers(50, 1000), st.integers(-1000, -50)), max_size=6),
        min_size=1,
        max_size=8,
    )
)
def test_every_entry_of_two_amounts_or_more_balances_and_the_others_go(entries):
    drawn = postings([*entries, [50, -50]])
    found, counts = enforce(drawn.schema, drawn, rng=RNG)
    holds(drawn.schema, found)
    able = [one for one in [*entries, [50, -50]] if len([value for value in one if value is not None]) != 1]
    after = lines_of(found)
    assert [len(one) for one in after] == [len(one) for one in able]
    assert all(sum(value or 0 for value in one) == 0 for one in after)
    for before, now in zip(able, after, strict=True):
        assert now == before or sum(value or 0 for value in before) != 0
        known = [(old, new) for old, new in zip(before, now, strict=True) if old is not None]
        turned = [old * new < 0 for old, new in known]
        one_sided = len({old > 0 for old, _ in known}) == 1
        assert turned == [False] * (len(known) - 1) + [one_sided] or not known
        assert [value is None for value in now] == [value is None for value in before]
    assert gone(counts)["entries"] == len(entries) + 1 - len(able)


def test_a_balance_that_a_rule_of_the_table_forbids_is_left_out():
    more = """
    [[tables.lines.rules]]
    kind = "order"
    left = "amount"
    op = "<="
    value = "2.00"
    """
    drawn = postings([[200, -200], [200, -100], [200, 200, 200, -50], [900, -900]], more=more)
    found, counts = enforce(drawn.schema, drawn, rng=RNG)
    holds(drawn.schema, found)
    assert [200, -200] in lines_of(found)
    assert counts["lines: amount <= 2.00"] == 2


def test_a_rule_of_the_table_changes_something_else_than_what_balances():
    more = """
    [[tables.lines.rules]]
    kind = "implication"
    if = {column = "type", in = ["fee"]}
    then = {column = "amount", upper = "1.00"}
    [tables.lines.columns.type]
    kind = "category"
    values = ["fee", "sale"]
    """
    schema = DatabaseSchema.loads(POSTINGS + more)
    plain = postings([[900, -900], [300, -300], [100, -100]])
    lines = plain.tables["lines"]
    ticks = {**lines.records.ticks, "type": np.array([0, 0, 1, 1, 0, 0])}
    rows = replace(lines, records=Records(schema=schema.table("lines").content, ticks=ticks))
    drawn = Database(schema=schema, tables={**plain.tables, "lines": rows})
    found, counts = enforce(schema, drawn, rng=RNG)
    holds(schema, found)
    assert lines_of(found) == lines_of(plain)
    assert ticks_of(found, "lines", "type").tolist() == [1, 1, 1, 1, 0, 0]
    assert counts["lines: if type in {fee} then amount <= 1.00"] == 2
