"""Rules: what breaks is found, a repair leaves nothing broken, stays inside the schema, and changes as little as it can."""

import datetime as dt
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from privsynth.dataset import Dataset
from privsynth.encoding import decode, encode_public
from privsynth.errors import FitError
from privsynth.records import Records, read_public
from privsynth.rules import check, repair
from privsynth.schema import Schema
from privsynth.ticks import MISSING

COLUMNS = """
[table]
name = "t"
[columns.admit]
kind = "date"
lower = 2001-01-01
upper = 2008-12-31
[columns.seen]
kind = "datetime"
granularity = "hour"
lower = 2001-01-01T00:00:00
upper = 2008-12-31T00:00:00
missing = [""]
[columns.discharge]
kind = "date"
after = "admit"
lower = 0
upper = 60
missing = [""]
[columns.checked]
kind = "datetime"
granularity = "minute"
after = "discharge"
lower = 0
upper = 30
missing = [""]
[columns.born]
kind = "date"
granularity = "month"
lower = 1900-01-01
upper = 2008-12-01
[columns.sex]
kind = "category"
values = ["M", "F"]
[columns.pregnant]
kind = "boolean"
missing = ["n/a"]
[columns.state]
kind = "category"
values = ["TX", "CA", "NY"]
missing = ["?"]
[columns.zip]
kind = "category"
values = ["770", "900", "100", "101"]
[columns.grade]
kind = "integer"
lower = 0
upper = 3
[columns.a]
kind = "integer"
lower = 0
upper = 50
[columns.b]
kind = "integer"
lower = 0
upper = 50
missing = [""]
[columns.total]
kind = "integer"
lower = 0
upper = 80
[columns.price]
kind = "number"
precision = "0.01"
lower = "0"
upper = "100"
[columns.before]
kind = "ordered"
values = ["lo", "mid", "hi"]
[columns.later]
kind = "ordered"
values = ["lo", "mid", "hi"]
"""

RULES = [
    'kind="order"\nleft="seen"\nop=">="\nright="admit"',
    'kind="order"\nleft="seen"\nop="<"\nright="discharge"',
    'kind="order"\nleft="born"\nop="<"\nright="admit"',
    'kind="order"\nleft="checked"\nop=">"\nright="seen"',
    'kind="order"\nleft="discharge"\nop=">"\nright="admit"',
    'kind="order"\nleft="admit"\nop=">="\nvalue=2003-05-17',
    'kind="order"\nleft="price"\nop="<"\nright="a"',
    'kind="order"\nleft="a"\nop="=="\nright="price"',
    'kind="order"\nleft="a"\nop="<="\nvalue=33',
    'kind="order"\nleft="before"\nop="<="\nright="later"',
    'kind="order"\nleft="later"\nop=">"\nvalue="lo"',
    'kind="implication"\nif={column="sex",in=["M"]}\nthen={column="pregnant",missing=true}',
    'kind="implication"\nif={column="sex",in=["F"]}\nthen={column="pregnant",missing=false}',
    'kind="implication"\nif={column="pregnant",in=["true"]}\nthen={column="born",lower="1950-01",upper="1985-12"}',
    'kind="implication"\nif={column="a",lower=10,upper=20}\nthen={column="before",upper="mid"}',
    'kind="implication"\nif={column="b",missing=true}\nthen={column="price",in=["1.50","2.75"]}',
    'kind="implication"\nif={column="state",in=["TX"]}\nthen={column="b",upper=3,missing=true}',
    'kind="implication"\nif={column="sex",in=["M"]}\nthen={column="discharge",missing=false}',
    'kind="combination"\ncolumns=["state","zip"]\nallowed=[["TX","770"],["CA","900"],["NY","100"],["NY","101"]]',
    'kind="combination"\ncolumns=["grade","before"]\nallowed=[[0,"lo"],[1,"lo"],[2,"mid"],[3,"hi"]]',
    'kind="sum"\ntotal="total"\nparts=["a","b"]',
    'kind="sum"\ntotal="grade"\nparts=["b"]',
]


def schema_with(*rules: str) -> Schema:
    return Schema.loads(COLUMNS + "".join(f"[[rules]]\n{rule}\n" for rule in rules))


def drawn(schema: Schema, rows: int, seed: int = 0) -> Records:
    rng = np.random.default_rng(seed)
    domain = schema.domain()
    codes = {name: rng.integers(0, size, rows) for name, size in zip(domain.attributes, domain.sizes, strict=True)}
    return decode(Dataset.from_columns(codes, domain), schema, rng=rng)


def repaired(schema: Schema, records: Records, seed: int = 0, keep=()) -> Records:
    before = check(schema.rules, records)
    fixed, counts = repair(schema, records, rng=np.random.default_rng(seed), keep=keep)
    assert counts == {text: int(mask.sum()) for text, mask in before.items()}
    assert list(counts) == [rule.text for rule in schema.rules]
    for text, mask in check(schema.rules, fixed).items():
        assert not mask.any(), text
    assert fixed.rows == records.rows
    encode_public(fixed)  # raises where a value left its domain
    return fixed


# --- what is broken: against a row-by-row reading of the rule ---


def moment(schema: Schema, name: str, tick: int) -> object:
    if tick == MISSING:
        return None
    column = schema.column(name)
    if column.kind == "date":
        return dt.datetime(1970, 1, 1) + dt.timedelta(days=tick)
    if column.kind == "datetime":
        return dt.datetime(1970, 1, 1) + dt.timedelta(seconds=tick * {"hour": 3600, "minute": 60}[column.granularity])
    if column.kind in ("integer", "number"):
        return tick * column.unit
    return tick if column.kind == "ordered" else column.labels[tick]


def by_hand(schema: Schema, number: int, row: dict[str, object]) -> bool:
    """Whether rule `number` of RULES is broken in one row, said in plain Python."""
    born = row["born"]
    day = {name: row[name] and row[name].date() for name in ("admit", "seen", "discharge", "checked")}
    there = lambda *names: all(row[name] is not None for name in names)  # noqa: E731
    return [
        lambda: there("seen") and not day["seen"] >= day["admit"],
        lambda: there("seen", "discharge") and not day["seen"] < day["discharge"],
        lambda: not (born.year, born.month) < (day["admit"].year, day["admit"].month),
        lambda: there("seen", "checked") and not row["checked"].replace(minute=0) > row["seen"],
        lambda: there("discharge") and not day["discharge"] > day["admit"],
        lambda: not day["admit"] >= dt.date(2003, 5, 17),
        lambda: not row["price"] < row["a"],
        lambda: row["a"] != row["price"],
        lambda: not row["a"] <= 33,
        lambda: not row["before"] <= row["later"],
        lambda: not row["later"] > 0,
        lambda: row["sex"] == "M" and row["pregnant"] is not None,
        lambda: row["sex"] == "F" and row["pregnant"] is None,
        lambda: row["pregnant"] == "true" and not dt.datetime(1950, 1, 1) <= born <= dt.datetime(1985, 12, 1),
        lambda: 10 <= row["a"] <= 20 and not row["before"] <= 1,
        lambda: row["b"] is None and str(row["price"]) not in ("1.50", "2.75"),
        lambda: row["state"] == "TX" and not (row["b"] is None or row["b"] <= 3),
        lambda: row["sex"] == "M" and row["discharge"] is None,
        lambda: there("state") and row["state"] + row["zip"] not in ("TX770", "CA900", "NY100", "NY101"),
        lambda: (row["grade"], row["before"]) not in [(0, 0), (1, 0), (2, 1), (3, 2)],
        lambda: there("b") and row["total"] != row["a"] + row["b"],
        lambda: there("b") and row["grade"] != row["b"],
    ][number]()  # fmt: skip


@pytest.mark.parametrize("number", range(len(RULES)))
def test_broken_rows_are_those_that_a_reader_would_find(number):
    schema = schema_with(RULES[number])
    records = drawn(schema, 400, seed=number)
    if number == 7:
        records = records.with_ticks(
            {**records.ticks, "price": np.where(np.arange(400) % 2, records.ticks["a"] * 100, 5)}
        )
    (mask,) = check(schema.rules, records).values()
    rows = [
        {name: moment(schema, name, int(values[row])) for name, values in records.ticks.items()} for row in range(400)
    ]
    assert mask.tolist() == [by_hand(schema, number, row) for row in rows]
    assert 0 < mask.sum() < 400


# --- repair ---

REPLACING = (6,)
"""Rules that some rows can only obey by being replaced: where a is 0 and the price is above 50, both would have to move."""


@pytest.mark.parametrize("number", range(len(RULES)))
def test_each_rule_alone_can_be_repaired(number):
    schema = schema_with(RULES[number])
    records = drawn(schema, 500)
    fixed = repaired(schema, records)
    named = set(schema.rules[0].columns)
    moved = named | {column.name for column, base in schema.following if base.name in named}
    moved |= {column.name for column, base in schema.following if base.name in moved}
    broken = next(iter(check(schema.rules, records).values()))
    for name, values in records.ticks.items():
        assert (fixed.ticks[name][~broken] == values[~broken]).all(), "rows that obey are left alone"
        if name not in moved and number not in REPLACING:
            assert (fixed.ticks[name] == values).all(), "columns that the rule does not name are left alone"


@given(
    st.lists(st.integers(0, 5) | st.integers(8, len(RULES) - 2), min_size=1, max_size=6, unique=True),
    st.integers(0, 1000),
)
def test_rules_hold_together(numbers, seed):
    schema = schema_with(*(RULES[number] for number in numbers))
    repaired(schema, drawn(schema, 120, seed), seed)


def test_many_rules_hold_at_once():
    schema = schema_with(*(RULES[number] for number in (0, 1, 2, 3, 4, 6, 9, 11, 12, 14, 16, 18, 20)))
    repaired(schema, drawn(schema, 4000))


def test_nothing_to_repair_changes_nothing():
    schema = schema_with(RULES[8])
    records = drawn(schema, 50)
    obeying = records.take(~check(schema.rules, records)["a <= 33"])
    fixed, counts = repair(schema, obeying, rng=np.random.default_rng(0))
    assert fixed is obeying
    assert counts == {"a <= 33": 0}
    assert repair(schema_with(), records, rng=np.random.default_rng(0)) == (records, {})


def test_values_are_drawn_anew_within_their_bin_where_that_helps():
    schema = Schema.loads(
        '[table]\nname="t"\n[columns.a]\nkind="integer"\nlower=0\nupper=99\nbins={method="uniform",count=10}\n'
        '[columns.b]\nkind="integer"\nlower=0\nupper=99\nbins={method="uniform",count=10}\n'
        '[[rules]]\nkind="order"\nleft="a"\nop=">="\nright="b"'
    )
    rng = np.random.default_rng(0)
    same = rng.integers(0, 10, 5000)
    records = decode(Dataset.from_columns({"a": same, "b": same}, schema.domain()), schema, rng=rng)
    fixed = repaired(schema, records)
    assert [column.tolist() for column in encode_public(fixed).columns] == [same.tolist(), same.tolist()]
    assert (fixed.ticks["b"] == records.ticks["b"]).all(), "one side was enough"
    changed = fixed.ticks["a"][records.ticks["a"] < records.ticks["b"]] % 10
    assert set(changed.tolist()) == set(range(1, 10)), "not piled up at the bound"


def test_the_right_side_moves_where_the_left_cannot():
    schema = Schema.loads(
        '[table]\nname="t"\n[columns.a]\nkind="integer"\nlower=0\nupper=5\n[columns.b]\nkind="integer"\nlower=0\nupper=99\n'
        '[[rules]]\nkind="order"\nleft="a"\nop=">"\nright="b"'
    )
    fixed = repaired(schema, read_public({"a": [3, 0, 5], "b": [50, 50, 2]}, schema))
    assert fixed.ticks["a"].tolist() == [5, 5, 5] or (fixed.ticks["a"] > fixed.ticks["b"]).all()


def test_moving_a_base_moves_what_is_counted_after_it():
    schema = schema_with(RULES[5])
    records = drawn(schema, 500)
    fixed = repaired(schema, records)
    for name, base, per_day in (("discharge", "admit", 1), ("checked", "admit", 1440)):
        there = (records.ticks[name] != MISSING) & (records.ticks[base] != MISSING)
        assert ((fixed.ticks[name] == MISSING) == (records.ticks[name] == MISSING)).all()
        moved = fixed.ticks[name][there] - records.ticks[name][there]
        assert (moved == (fixed.ticks[base][there] - records.ticks[base][there]) * per_day).all()


def test_consequences_are_borrowed_from_rows_that_obey():
    schema = schema_with('kind="implication"\nif={column="sex",in=["M"]}\nthen={column="a",lower=5,upper=20}')
    records = drawn(schema, 3000)
    ticks = dict(records.ticks)
    man = ticks["sex"] == 0
    ticks["a"] = np.where(man & (ticks["a"] <= 25), 7, ticks["a"])
    fixed = repaired(schema, records.with_ticks(ticks))
    assert set(fixed.ticks["a"][man].tolist()) == {7}


@pytest.mark.parametrize(
    "rule",
    [
        'if={column="sex",in=["M"]}\nthen={column="a",in=[5]}',
        'if={column="sex",in=["M"]}\nthen={column="a",lower=5,upper=5}',
        'if={column="sex",in=["M"]}\nthen={column="b",missing=true}',
    ],
)
def test_consequences_that_no_row_has_are_made(rule):
    schema = schema_with('kind="implication"\n' + rule)
    records = drawn(schema, 60)
    one = np.full(60, 9, dtype=np.int64)
    ticks = {**records.ticks, "a": one, "b": one, "sex": np.zeros(60, dtype=np.int64)}
    fixed = repaired(schema, records.with_ticks(ticks))
    assert set(fixed.ticks["sex"].tolist()) == {0}


def test_combinations_keep_what_they_can():
    schema = schema_with(RULES[18])
    records = drawn(schema, 2000)
    fixed = repaired(schema, records)
    state, code = records.ticks["state"], records.ticks["zip"]
    there = state != MISSING
    kept = (fixed.ticks["state"] == state) | (fixed.ticks["zip"] == code)
    assert kept[there].all()
    assert (fixed.ticks["zip"] == code)[~there].all()


def test_likelier_combinations_are_chosen_more_often():
    schema = schema_with(RULES[18])
    records = drawn(schema, 6000)
    state = np.full(6000, 2, dtype=np.int64)
    code = np.repeat(np.array([0, 2, 3]), [2000, 3900, 100])
    fixed = repaired(schema, records.with_ticks({**records.ticks, "state": state, "zip": code}))
    ny = fixed.ticks["zip"][:2000][fixed.ticks["state"][:2000] == 2]
    assert (ny == 2).sum() > 10 * (ny == 3).sum() > 0


def test_sums_adjust_the_parts_where_the_total_cannot_follow():
    schema = schema_with(RULES[20])
    records = drawn(schema, 3)
    ticks = {**records.ticks}
    for name, values in (("a", [10, 50, 40]), ("b", [5, 50, MISSING]), ("total", [80, 3, 7])):
        ticks[name] = np.array(values, dtype=np.int64)
    fixed = repaired(schema, records.with_ticks(ticks))
    assert [fixed.ticks[name].tolist() for name in ("a", "b", "total")] == [[10, 30, 40], [5, 50, MISSING], [15, 80, 7]]


# --- keeping what was conditioned on ---


@pytest.mark.parametrize(
    ("number", "kept"),
    [
        *itertools.product([0, 1], [["seen"], ["admit"], ["discharge"]]),
        (2, ["born"]),
        (2, ["admit"]),
        (6, ["price"]),
        (6, ["a"]),
        (11, ["pregnant"]),
        (11, ["sex"]),
        (14, ["before"]),
        (18, ["state"]),
        (18, ["zip"]),
        (20, ["total"]),
        (20, ["a", "total"]),
    ],
    ids=str,
)
def test_kept_columns_are_not_changed_in_place(number, kept):
    schema = schema_with(RULES[number])
    records = drawn(schema, 800)
    fixed = repaired(schema, records, keep=kept)
    for name in kept:
        same = fixed.ticks[name] == records.ticks[name]
        assert same.mean() > 0.4, "most rows could be mended without it; the others were replaced"
        assert set(fixed.ticks[name].tolist()) <= set(records.ticks[name].tolist())


def test_a_kept_value_stays():
    schema = schema_with(RULES[11], RULES[18])
    records = drawn(schema, 300)
    one = np.zeros(300, dtype=np.int64)
    fixed = repaired(schema, records.with_ticks({**records.ticks, "sex": one, "state": one}), keep=("sex", "state"))
    assert set(fixed.ticks["sex"].tolist()) == set(fixed.ticks["state"].tolist()) == {0}


# --- what cannot be repaired ---


def test_rows_that_cannot_be_mended_are_replaced_by_others():
    schema = Schema.loads(
        '[table]\nname="t"\n[columns.a]\nkind="integer"\nlower=0\nupper=5\n[columns.b]\nkind="integer"\nlower=0\nupper=9\n'
        '[[rules]]\nkind="order"\nleft="a"\nop=">"\nright="b"'
    )
    records = read_public({"a": [1, 2, 4], "b": [7, 1, 3]}, schema)
    fixed = repaired(schema, records, keep=("a", "b"))
    assert (fixed.ticks["a"][0], fixed.ticks["b"][0]) in {(2, 1), (4, 3)}
    assert fixed.ticks["a"].tolist()[1:] == [2, 4]


def test_contradicting_rules_are_an_error():
    schema = schema_with('kind="order"\nleft="a"\nop="<"\nright="b"', 'kind="order"\nleft="b"\nop="<"\nright="a"')
    records = drawn(schema, 50)
    records = records.take(records.ticks["b"] != MISSING)
    with pytest.raises(FitError, match='no row obeys every rule; the hardest is "'):
        repair(schema, records, rng=np.random.default_rng(0))


def test_the_same_generator_repairs_the_same():
    schema = schema_with(*(RULES[number] for number in (0, 2, 6, 18, 20)))
    records = drawn(schema, 300)
    one, two = (repaired(schema, records, seed=4) for _ in range(2))
    assert all((one.ticks[name] == two.ticks[name]).all() for name in one.ticks)


def test_steps_that_do_not_fit_64_bits_are_compared_exactly():
    schema = Schema.loads(
        '[table]\nname="t"\n[columns.a]\nkind="integer"\nlower=0\nupper=1000000000000000\nstep=1000\n'
        '[columns.b]\nkind="number"\nprecision="0.0001"\nlower=0\nupper="100000000000"\n'
        '[[rules]]\nkind="order"\nleft="a"\nop="<="\nright="b"'
    )
    records = read_public({"a": [1000, 2000, 10**15], "b": ["1000.0000", "1999.9999", "99999999999.9999"]}, schema)
    (mask,) = check(schema.rules, records).values()
    assert mask.tolist() == [False, True, True]
    repaired(schema, records)
