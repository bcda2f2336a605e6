"""Rule masks: the rows that break a rule are those that a reader of the rule would find."""

import datetime as dt
from pathlib import Path

import numpy as np
import pytest

from privsynth.dataset import Dataset
from privsynth.encoding import decode
from privsynth.records import Records, read_public
from privsynth.rules import check
from privsynth.schema import Schema
from privsynth.schema.ticks import MISSING

COLUMNS, *RULES = Path(__file__).with_name("stays_with_rules.toml").read_text(encoding="utf-8").split("[[rules]]")


def schema_with(*rules: str) -> Schema:
    return Schema.loads(COLUMNS + "".join(f"[[rules]]\n{rule}\n" for rule in rules))


def drawn(schema: Schema, rows: int, seed: int = 0) -> Records:
    rng = np.random.default_rng(seed)
    domain = schema.domain()
    codes = {name: rng.integers(0, size, rows) for name, size in zip(domain.attributes, domain.sizes, strict=True)}
    return decode(Dataset.from_columns(codes, domain), schema, rng=rng)


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


def test_steps_that_do_not_fit_64_bits_are_compared_exactly():
    schema = Schema.loads(
        '[table]\nname="t"\n[columns.a]\nkind="integer"\nlower=0\nupper=1000000000000000\nstep=1000\n'
        '[columns.b]\nkind="number"\nprecision="0.0001"\nlower=0\nupper="100000000000"\n'
        '[[rules]]\nkind="order"\nleft="a"\nop="<="\nright="b"'
    )
    records = read_public({"a": [1000, 2000, 10**15], "b": ["1000.0000", "1999.9999", "99999999999.9999"]}, schema)
    (mask,) = check(schema.rules, records).values()
    assert mask.tolist() == [False, True, True]
