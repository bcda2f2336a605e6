"""Derived columns: sums are exact to the last decimal, ages are birthdays, copies keep their type."""

import csv
import datetime as dt
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privsynth.database import Database, DatabaseSchema, Rows
from privsynth.errors import FitError
from privsynth.frames import write_csv
from privsynth.histories.deriving import derive, whole_spans
from privsynth.records import Records, written
from privsynth.schema.ticks import MISSING, tick
from tests.made_database import CLINIC_TOML, bank, clinic, events, make_rows

LEDGER = """
[database]
name = "ledger"
unit = "people"
[tables.people]
key = ["person"]
[tables.people.columns]
person = {kind = "identifier", make = "P-####"}
[tables.accounts]
key = ["account"]
parent = {table = "people", columns = ["person"]}
bound = {rows = 4}
[tables.accounts.columns]
account = {kind = "identifier", make = "A-####"}
opening = {kind = "number", lower = "-500", upper = "500", precision = "OPENING", missing = [""]}
[[tables.accounts.derived]]
name = "closing"
kind = "total"
of = "moves.amount"
opening = "opening"
[[tables.accounts.derived]]
name = "points"
kind = "total"
of = "moves.points"
negative = {column = "way", values = ["out"]}
[tables.moves]
parent = {table = "accounts", columns = ["account"]}
bound = {rows = 9}
order = "number"
[tables.moves.columns]
amount = {kind = "number", lower = "-90", upper = "90", precision = "AMOUNT", missing = [""]}
points = {kind = "integer", lower = -30, upper = 30, step = 3}
way = {kind = "category", values = ["in", "out", "none"]}
[[tables.moves.derived]]
name = "number"
kind = "sequence"
[[tables.moves.derived]]
name = "balance"
kind = "running"
of = "amount"
opening = "opening"
[[tables.moves.derived]]
name = "start"
kind = "copied"
of = "accounts.opening"
"""


def ledger(seed: int, opening: str, amount: str) -> Database:
    schema = DatabaseSchema.loads(LEDGER.replace("OPENING", opening).replace("AMOUNT", amount))
    rng = np.random.default_rng(seed)
    owner = np.repeat(np.arange(5), rng.integers(0, 3, 5))
    parent = np.repeat(np.arange(owner.size), rng.integers(0, 6, owner.size))

    def amounts(limit: int, step: str, rows: int) -> np.ndarray:
        most = int(limit / Decimal(step))
        return np.where(rng.random(rows) < 0.2, MISSING, rng.integers(-most, most + 1, rows))

    rows = parent.size
    moves = {
        "amount": amounts(90, amount, rows),
        "points": rng.integers(-10, 11, rows),
        "way": rng.integers(0, 3, rows),
    }
    return Database(
        schema=schema,
        tables={
            "people": Rows(records=None, parent=np.full(5, -1), unit=np.arange(5)),
            "accounts": make_rows(schema, "accounts", {"opening": amounts(500, opening, owner.size)}, owner, owner),
            "moves": make_rows(schema, "moves", moves, parent, owner[parent]),
        },
    )


def as_text(arrays: dict[str, pa.Array], path) -> dict[str, list[str]]:
    """What a CSV file says, cell by cell."""
    write_csv(pa.table(arrays), path)
    with path.open(newline="", encoding="utf-8") as file:
        first, *rows = csv.reader(file)
    return {name: [row[place] for row in rows] for place, name in enumerate(first)}


def decimals(texts: list[str]) -> list[Decimal]:
    return [Decimal(text) if text else Decimal(0) for text in texts]


def ticks_of(database: Database, table: str, column: str) -> np.ndarray:
    records = database.tables[table].records
    assert records is not None
    return records.ticks[column]


def released(database: Database, table: str, path) -> dict[str, list[str]]:
    """The modelled and derived columns of a table as its CSV file has them."""
    content = database.schema.table(table).content
    assert content is not None
    own = {column.name: written(column, ticks_of(database, table, column.name)) for column in content.modelled}
    return as_text({**own, **derive(database.schema, database)[table]}, path)


@pytest.mark.parametrize(("opening", "amount"), [("0.01", "0.01"), ("2.5", "0.01"), ("0.01", "0.6"), ("4", "0.0002")])
@pytest.mark.parametrize("seed", range(5))
def test_opening_plus_sum_is_closing_in_the_written_decimals(seed, opening, amount, tmp_path):
    database = ledger(seed, opening, amount)
    accounts, moves = (released(database, name, tmp_path / f"{name}.csv") for name in ("accounts", "moves"))
    so_far = decimals(accounts["opening"])
    parent = database.tables["moves"].parent.tolist()
    for above, change, balance in zip(parent, decimals(moves["amount"]), decimals(moves["balance"]), strict=True):
        so_far[above] += change
        assert balance == so_far[above]
    assert decimals(accounts["closing"]) == so_far
    assert [moves["start"][row] for row in range(len(parent))] == [accounts["opening"][above] for above in parent]


def test_labels_turn_amounts_negative_and_integers_stay_integers():
    database = ledger(1, "0.01", "0.01")
    found = derive(database.schema, database)
    points, way = ticks_of(database, "moves", "points"), ticks_of(database, "moves", "way")
    expected = [0] * database.tables["accounts"].count
    for above, one, label in zip(database.tables["moves"].parent, points, way, strict=True):
        expected[above] += int(one) * 3 * (-1 if label == 1 else 1)
    assert found["accounts"]["points"].type == pa.int64()
    assert found["accounts"]["points"].to_pylist() == expected
    assert any(value < 0 for value in expected)


def test_a_bank_adds_up(tmp_path):
    database = bank(40, np.random.default_rng(2))
    accounts, moves = (released(database, name, tmp_path / f"{name}.csv") for name in ("accounts", "transactions"))
    so_far = decimals(accounts["opening"])
    counts = [0] * len(so_far)
    parents = database.tables["transactions"].parent.tolist()
    for place, above in enumerate(parents):
        so_far[above] += Decimal(moves["amount"][place]) * (-1 if moves["direction"][place] == "out" else 1)
        counts[above] += 1
        assert Decimal(moves["balance"][place]) == so_far[above]
    assert decimals(accounts["closing"]) == so_far
    assert [int(text) for text in accounts["moves"]] == counts
    assert max(counts) > 3


def test_sums_that_cannot_be_written_exactly_are_refused():
    text = LEDGER.replace("OPENING", "0.01").replace("AMOUNT", "0.0000000000001")
    database = ledger(0, "0.01", "0.0000000000001")
    assert DatabaseSchema.loads(text) == database.schema
    content = database.schema.table("moves").content
    ticks = {"amount": np.full(12, 90 * 10**13), "points": np.zeros(12, np.int64), "way": np.zeros(12, np.int64)}
    full = Rows(
        records=Records(schema=content, ticks=ticks), parent=np.zeros(12, np.int64), unit=np.zeros(12, np.int64)
    )
    many = Database(schema=database.schema, tables={**database.tables, "moves": full})
    with pytest.raises(FitError, match="cannot be written exactly; declare a coarser precision"):
        derive(many.schema, many)


# --- elapsed ---


def birthdays(start: dt.date, end: dt.date) -> int:
    """Years by counting birthdays one after the other; one on 29 February counts from 1 March in other years."""
    found = 0
    while True:
        try:
            birthday = start.replace(year=start.year + found + 1)
        except ValueError:
            birthday = dt.date(start.year + found + 1, 3, 1)
        if birthday > end:
            return found
        found += 1


DAYS = st.one_of(
    st.dates(dt.date(1950, 1, 1), dt.date(2030, 1, 1)),
    st.sampled_from([dt.date(1952, 2, 29), dt.date(2000, 2, 29), dt.date(2001, 2, 28), dt.date(2001, 3, 1)]),
)


@settings(max_examples=150)
@given(DAYS, DAYS)
def test_years_are_birthdays(one, other):
    start, end = sorted([one, other])
    days = [np.array([(day - dt.date(1970, 1, 1)).days]) for day in (start, end)]
    years, months, spans = (int(whole_spans(*days, unit)[0]) for unit in ("years", "months", "days"))
    assert years == birthdays(start, end)
    assert spans == (end - start).days
    assert months // 12 == years
    assert months == (end.year - start.year) * 12 + end.month - start.month - (end.day < start.day)


TIMES = """
[database]
name = "times"
unit = "people"
[tables.people]
key = ["person"]
[tables.people.columns]
person = {kind = "identifier", make = "P-####"}
birth = {kind = "date", lower = 1920-01-01, upper = 2020-12-31, missing = [""]}
[[tables.people.derived]]
name = "last"
kind = "count"
of = "visits"
[tables.visits]
parent = {table = "people", columns = ["person"]}
bound = {rows = 4}
[tables.visits.columns]
came = {kind = "datetime", lower = 2000-01-01T00:00:00, upper = 2020-12-31T23:00:00, granularity = "hour"}
[[tables.visits.derived]]
name = "days"
kind = "elapsed"
since = "people.birth"
at = "came"
unit = "days"
[[tables.visits.derived]]
name = "age"
kind = "elapsed"
since = "people.birth"
at = "came"
"""


def test_elapsed_time_between_a_day_and_an_hour():
    schema = DatabaseSchema.loads(TIMES)
    people, visits = schema.table("people").content, schema.table("visits").content
    born = [tick(people.modelled_column("birth"), day) for day in ("2000-02-29", "2010-06-01")]
    texts = ["2001-02-28T23:00", "2001-03-01T00:00", "2008-06-02T01:00", "2010-05-31T23:00", "2011-06-01T00:00"]
    came = np.array([tick(visits.modelled_column("came"), text) for text in [*texts, texts[0]]])
    unit = np.array([0, 0, 1, 1, 1, 2])
    tables = {
        "people": make_rows(schema, "people", {"birth": np.array([*born, MISSING])}, np.full(3, -1), np.arange(3)),
        "visits": Rows(records=Records(schema=visits, ticks={"came": came}), parent=unit, unit=unit),
    }
    found = derive(schema, Database(schema=schema, tables=tables))
    assert found["visits"]["age"].to_pylist() == [0, 1, -1, 0, 1, None]
    assert found["visits"]["days"].to_pylist() == [365, 366, -729, -1, 365, None]
    assert found["people"]["last"].to_pylist() == [2, 3, 1]


# --- positions and copies ---


def test_positions_begin_anew_with_each_parent():
    database = clinic(60, np.random.default_rng(3))
    rows = database.tables["diagnoses"]
    seen: dict[tuple[int, int], int] = {}
    expected = []
    for pair in zip(rows.unit.tolist(), rows.parent.tolist(), strict=True):
        seen[pair] = seen.get(pair, 0) + 1
        expected.append(seen[pair])
    assert derive(database.schema, database)["diagnoses"]["seq"].to_pylist() == expected
    assert max(expected) > 1 and (rows.parent < 0).any()


def test_a_copy_has_its_columns_type_and_is_null_without_a_row_above():
    copies = "".join(
        f'[[tables.diagnoses.derived]]\nname = "{name}"\nkind = "copied"\nof = "{of}"\n'
        for name, of in (("where", "stays.ward"), ("born", "patients.birth"))
    )
    schema = DatabaseSchema.loads(CLINIC_TOML + copies)
    database = clinic(50, np.random.default_rng(4))
    found = derive(schema, Database(schema=schema, tables=database.tables))["diagnoses"]
    rows, wards = database.tables["diagnoses"], ["A", "B", "C"]
    ward, birth = ticks_of(database, "stays", "ward"), ticks_of(database, "patients", "birth")
    assert found["where"].to_pylist() == [None if above < 0 else wards[ward[above]] for above in rows.parent]
    assert found["born"].to_pylist() == [dt.date(1970, 1, 1) + dt.timedelta(int(birth[unit])) for unit in rows.unit]


def test_constants_of_units_that_no_table_lists_are_copied_to_their_rows():
    database = events(30, np.random.default_rng(5))
    gender = ticks_of(database, "patient", "gender")
    found = derive(database.schema, database)
    assert found["tests"]["gender"].to_pylist() == ["fm"[gender[unit]] for unit in database.tables["tests"].unit]
    assert found["patient"] == {}
