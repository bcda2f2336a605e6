"""Made-up databases for tests: a clinic, tests without a table of patients, and a bank; built directly, in the right order."""

import numpy as np
import numpy.typing as npt

from privsynth.database.document import DatabaseSchema
from privsynth.database.held import Database, Rows
from privsynth.records import Records
from privsynth.schema.ticks import MISSING

Ints = npt.NDArray[np.int64]

CLINIC_TOML = """
[database]
name = "clinic"
unit = "patients"
[tables.patients]
key = ["patient_id"]
[tables.patients.columns]
patient_id = {kind = "identifier", make = "P-######"}
sex = {kind = "category", values = ["F", "M"]}
birth = {kind = "date", lower = 1920-01-01, upper = 1999-12-31, bins = {method = "uniform", count = 8}}
death = {kind = "date", lower = 2000-01-01, upper = 2025-12-31, missing = [""], bins = {method = "uniform", count = 6}}
[tables.stays]
key = ["stay_id"]
parent = {table = "patients", columns = ["patient_id"]}
bound = {rows = 6}
time = {column = "admit", anchor = "birth", until = "death", keep = ["weekday"]}
[tables.stays.columns]
stay_id = {kind = "identifier", make = "S-########"}
admit = {kind = "date", lower = 2000-01-01, upper = 2025-12-31, bins = {method = "uniform", count = 10}}
discharge = {kind = "date", after = "admit", lower = 0, upper = 60, bins = {method = "uniform", count = 6}}
ward = {kind = "category", values = ["A", "B", "C"]}
[[tables.stays.derived]]
name = "age"
kind = "elapsed"
since = "patients.birth"
at = "admit"
[tables.diagnoses]
parent = {table = "stays", columns = ["stay_id"], optional = true, unit = ["patient_id"]}
bound = {rows = 8, keep = "first", most = 12}
time = {column = "noted", until = "patients.death"}
[tables.diagnoses.columns]
noted = {kind = "date", lower = 2000-01-01, upper = 2026-12-31, bins = {method = "uniform", count = 6}}
code = {kind = "category", values = ["x", "y", "z"]}
grade = {kind = "integer", lower = 1, upper = 4, missing = [""]}
[[tables.diagnoses.derived]]
name = "seq"
kind = "sequence"
[[rules]]
kind = "in-order"
left = "stays.admit"
right = "patients.death"
"""
"""Patients, their stays, and diagnoses that belong to a stay or to the patient alone: three tables deep."""

EVENTS_TOML = """
[database]
name = "tests"
unit = "patient"
[tables.tests]
parent = {columns = ["subject_id"]}
bound = {rows = 8}
time = {column = "day"}
constant = ["gender"]
[tables.tests.columns]
subject_id = {kind = "identifier", make = "P-######"}
gender = {kind = "category", values = ["f", "m"]}
day = {kind = "integer", lower = 0, upper = 110}
result = {kind = "category", values = ["neg", "pos"]}
"""
"""Tests alone: no table lists the patients."""

BANK_TOML = """
[database]
name = "bank"
unit = "customers"
[tables.customers]
key = ["customer_id"]
[tables.customers.columns]
customer_id = {kind = "identifier", make = "C-######"}
region = {kind = "category", values = ["north", "south"]}
[tables.accounts]
key = ["account_id"]
parent = {table = "customers", columns = ["customer_id"]}
bound = {rows = 3}
order = "position"
[tables.accounts.columns]
account_id = {kind = "identifier", make = "A-########"}
opened = {kind = "date", lower = 2015-01-01, upper = 2019-12-31, bins = {method = "uniform", count = 5}}
opening = {kind = "number", lower = "0.00", upper = "1000.00", precision = "0.01", bins = {method = "uniform", count = 5}}
[[tables.accounts.derived]]
name = "closing"
kind = "total"
of = "transactions.amount"
opening = "opening"
negative = {column = "direction", values = ["out"]}
[[tables.accounts.derived]]
name = "moves"
kind = "count"
of = "transactions"
[tables.transactions]
parent = {table = "accounts", columns = ["account_id"]}
bound = {rows = 16, weights = "row", keep = "last", most = 40}
time = {column = "day", anchor = "opened"}
carry = ["direction"]
[tables.transactions.columns]
day = {kind = "date", lower = 2015-01-01, upper = 2025-12-31, bins = {method = "uniform", count = 6}}
direction = {kind = "category", values = ["in", "out"]}
amount = {kind = "number", lower = "0.01", upper = "500.00", precision = "0.01", bins = {method = "uniform", count = 6}}
[[tables.transactions.derived]]
name = "balance"
kind = "running"
of = "amount"
opening = "opening"
negative = {column = "direction", values = ["out"]}
"""
"""Customers, accounts and transactions with a running balance."""


def _day(text: str) -> int:
    return int(np.datetime64(text, "D").astype(np.int64))


def _children(counts: Ints) -> Ints:
    """The parent's position for each child."""
    return np.repeat(np.arange(len(counts)), counts)


def _spread(low: Ints, high: Ints, rng: np.random.Generator) -> Ints:
    """A whole number from each range, both ends included."""
    found: Ints = low + (rng.random(len(low)) * (np.maximum(high - low, 0) + 1)).astype(np.int64)
    return found


def make_rows(schema: DatabaseSchema, name: str, ticks: dict[str, Ints], parent: Ints, unit: Ints) -> Rows:
    """A table's rows, put in order: by unit, parent and time; a missing time comes last."""
    table = schema.table(name)
    time = np.zeros(len(unit), dtype=np.int64) if table.time is None else ticks[table.time.column]
    order = np.lexsort((np.where(time == MISSING, np.iinfo(np.int64).max, time), parent, unit))
    if table.content is None:
        return Rows(records=None, parent=parent[order], unit=unit[order])
    sorted_ticks = {column: ticks[column][order].astype(np.int64) for column in table.columns}
    return Rows(records=Records(schema=table.content, ticks=sorted_ticks), parent=parent[order], unit=unit[order])


def _names(units: int) -> tuple[bytes, ...]:
    return tuple(f"raw-{unit:05d}".encode() for unit in range(units))


def clinic(units: int, rng: np.random.Generator, *, biggest: int = 0) -> Database:
    """Patients of the clinic; the first has `biggest` stays where that is not 0, about half have none or one."""
    schema = DatabaseSchema.loads(CLINIC_TOML)
    sex = rng.integers(0, 2, units)
    birth = _spread(np.full(units, _day("1920-01-01")), np.full(units, _day("1999-12-31")), rng)
    dead = rng.random(units) < 0.2
    death = np.where(
        dead, _spread(np.full(units, _day("2005-01-01")), np.full(units, _day("2025-12-31")), rng), MISSING
    )
    root = np.arange(units)
    patients = make_rows(schema, "patients", {"sex": sex, "birth": birth, "death": death}, np.full(units, -1), root)
    counts = rng.poisson(1.0 + sex * 1.5)
    counts[:1] = biggest or counts[:1]
    owner = _children(counts)
    last = np.where(dead, death, _day("2025-12-31"))[owner]
    admit = _spread(np.full(len(owner), _day("2000-01-01")), last, rng)
    leave = np.minimum(admit + rng.geometric(0.2, len(owner)) - 1, admit + 60)
    ward = np.where(rng.random(len(owner)) < 0.7, sex[owner], 2)
    stays = make_rows(schema, "stays", {"admit": admit, "discharge": leave, "ward": ward}, owner, owner)
    return Database(
        schema=schema,
        tables={"patients": patients, "stays": stays, "diagnoses": _diagnoses(schema, stays, last_of=death, rng=rng)},
        unit_names=_names(units),
    )


def _diagnoses(schema: DatabaseSchema, stays: Rows, *, last_of: Ints, rng: np.random.Generator) -> Rows:
    """Up to four of each stay, and one of every other patient without a stay."""
    assert stays.records is not None
    parent = _children(rng.integers(0, 5, stays.count))
    unit = stays.unit[parent]
    noted = stays.records.ticks["admit"][parent] + rng.integers(0, 3, len(parent))
    noted = np.where(last_of[unit] == MISSING, noted, np.minimum(noted, last_of[unit]))
    code = np.where(rng.random(len(parent)) < 0.8, stays.records.ticks["ward"][parent], rng.integers(0, 3, len(parent)))
    loose = np.flatnonzero(rng.random(len(last_of)) < 0.5)
    days = _spread(np.full(len(loose), _day("2000-01-01")), np.full(len(loose), _day("2004-12-31")), rng)
    rows = len(parent) + len(loose)
    grade = np.where(rng.random(rows) < 0.1, MISSING, rng.integers(1, 5, rows))
    ticks = {
        "noted": np.concatenate([noted, days]),
        "code": np.concatenate([code, rng.integers(0, 3, len(loose))]),
        "grade": grade,
    }
    none = np.full(len(loose), -1)
    return make_rows(schema, "diagnoses", ticks, np.concatenate([parent, none]), np.concatenate([unit, loose]))


def events(units: int, rng: np.random.Generator, *, biggest: int = 0) -> Database:
    """Patients that are known by their tests alone, each with one test at least; the first has `biggest` where not 0."""
    schema = DatabaseSchema.loads(EVENTS_TOML)
    root = np.arange(units)
    gender = rng.integers(0, 2, units)
    assert schema.root.content is not None
    patients = Rows(
        records=Records(schema=schema.root.content, ticks={"gender": gender}), parent=np.full(units, -1), unit=root
    )
    counts = 1 + rng.poisson(2.0, units)
    counts[:1] = biggest or counts[:1]
    owner = _children(counts)
    ticks = {"day": rng.integers(0, 111, len(owner)), "result": (rng.random(len(owner)) < 0.2 + 0.4 * gender[owner])}
    tests = make_rows(schema, "tests", {name: values.astype(np.int64) for name, values in ticks.items()}, owner, owner)
    return Database(schema=schema, tables={"patient": patients, "tests": tests}, unit_names=_names(units))


def bank(units: int, rng: np.random.Generator, *, biggest: int = 0) -> Database:
    """Customers with no to three accounts, and transactions of each; the first account has `biggest` where not 0."""
    schema = DatabaseSchema.loads(BANK_TOML)
    root = np.arange(units)
    customers = make_rows(schema, "customers", {"region": rng.integers(0, 2, units)}, np.full(units, -1), root)
    number = rng.integers(0, 4, units)
    number[:1] = np.maximum(number[:1], 1)
    owner = _children(number)
    opened = _spread(np.full(len(owner), _day("2015-01-01")), np.full(len(owner), _day("2019-12-31")), rng)
    accounts = make_rows(
        schema, "accounts", {"opened": opened, "opening": rng.integers(0, 100_001, len(owner))}, owner, owner
    )
    counts = rng.poisson(6.0, len(owner))
    counts[:1] = biggest or counts[:1]
    parent = _children(counts)
    day = _spread(opened[parent], np.full(len(parent), _day("2025-12-31")), rng)
    direction = (rng.random(len(parent)) < 0.5).astype(np.int64)
    amount = np.where(direction == 1, rng.integers(1, 20_001, len(parent)), rng.integers(1, 50_001, len(parent)))
    transactions = make_rows(
        schema, "transactions", {"day": day, "direction": direction, "amount": amount}, parent, owner[parent]
    )
    return Database(
        schema=schema,
        tables={"customers": customers, "accounts": accounts, "transactions": transactions},
        unit_names=_names(units),
    )
