"""A made-up database on which weights matter: patients of three kinds, the ill with more visits, and visits that are alike."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from privsynth.database.document import DatabaseSchema
from privsynth.database.held import Database, Rows
from privsynth.schema.ticks import MISSING
from tests.made_database import make_rows

Ints = npt.NDArray[np.int64]

TOML: Final = """
[database]
name = "visits"
unit = "patients"
[tables.patients]
key = ["patient_id"]
[tables.patients.columns]
patient_id = {kind = "identifier", make = "P-######"}
sex = {kind = "category", values = ["F", "M"]}
region = {kind = "category", values = ["n", "e", "s", "w"]}
age = {kind = "integer", lower = 18, upper = 97, bins = {method = "uniform", count = 16}}
smoker = {kind = "boolean", missing = [""]}
[tables.visits]
key = ["visit_id"]
parent = {table = "patients", columns = ["patient_id"]}
bound = {rows = 10, most = 60}
[tables.visits.columns]
visit_id = {kind = "identifier", make = "V-########"}
dept = {kind = "category", values = ["a", "b", "c", "d", "e"]}
urgent = {kind = "boolean"}
score = {kind = "integer", lower = 0, upper = 100, bins = {method = "uniform", count = 20}}
pulse = {kind = "integer", lower = 40, upper = 160, bins = {method = "uniform", count = 24}, missing = [""]}
cost = {kind = "number", lower = "0", upper = "1000", precision = "1", bins = {method = "log", count = 16}}
[tables.drugs]
parent = {table = "visits", columns = ["visit_id"]}
bound = {rows = 20, most = 6}
[tables.drugs.columns]
drug = {kind = "category", values = ["k", "l", "m", "n"]}
dose = {kind = "integer", lower = 1, upper = 8}
"""

_DEPARTMENTS: Final = np.array([[0.6, 0.2, 0.1, 0.05, 0.05], [0.2, 0.3, 0.3, 0.1, 0.1], [0.05, 0.1, 0.2, 0.25, 0.4]])
"""Of each kind of patient, how often which."""


def visits(units: int, rng: np.random.Generator) -> Database:
    """Patients, no to sixty visits of each, and no to six drugs of each visit."""
    schema = DatabaseSchema.loads(TOML)
    kind = rng.integers(0, 3, units)
    patients = {
        "sex": (rng.random(units) < 0.35 + 0.15 * kind).astype(np.int64),
        "region": np.minimum(rng.poisson(0.6 + 0.6 * kind), 3),
        "age": np.clip(np.round(35 + 14 * kind + 14 * rng.standard_normal(units)), 18, 97).astype(np.int64),
        "smoker": np.where(rng.random(units) < 0.08, MISSING, rng.random(units) < 0.15 + 0.2 * kind),
    }
    owner = np.repeat(np.arange(units), np.minimum(rng.geometric(1 / (2.0 + 6 * kind)) - 1, 60))
    seen = make_rows(schema, "visits", _seen(kind, owner, rng), owner, owner)
    return Database(
        schema=schema,
        tables={
            "patients": make_rows(schema, "patients", patients, np.full(units, -1), np.arange(units)),
            "visits": seen,
            "drugs": _given(schema, seen, rng),
        },
        unit_names=tuple(f"raw-{unit:05d}".encode() for unit in range(units)),
    )


def _seen(kind: Ints, owner: Ints, rng: np.random.Generator) -> dict[str, Ints]:
    """What visits are like: those of one patient alike."""
    rows, illness, favourite = len(owner), rng.standard_normal(len(kind)), rng.integers(0, 5, len(kind))
    drawn = (_DEPARTMENTS[kind[owner]].cumsum(axis=1) < rng.random(rows)[:, None]).sum(axis=1).clip(0, 4)
    urgent = rng.random(rows) < np.clip(0.1 + 0.15 * kind[owner] + 0.1 * illness[owner], 0.02, 0.95)
    noise = rng.standard_normal((3, rows))
    score = np.clip(np.round(30 + 12 * kind[owner] + 10 * illness[owner] + 6 * noise[0] + 8 * urgent), 0, 100)
    pulse = np.clip(np.round(75 + 0.2 * (score - 40) + 8 * illness[owner] + 9 * noise[1]), 40, 160)
    found = {
        "dept": np.where(rng.random(rows) < 0.4, favourite[owner], drawn),
        "urgent": urgent,
        "score": score,
        "pulse": np.where(rng.random(rows) < 0.1, MISSING, pulse.astype(np.int64)),
        "cost": np.clip(np.round(np.exp(3.2 + 0.5 * kind[owner] + 0.8 * noise[2])), 0, 1000),
    }
    return {name: values.astype(np.int64) for name, values in found.items()}


def _given(schema: DatabaseSchema, seen: Rows, rng: np.random.Generator) -> Rows:
    """Drugs that depend on the department, and doses that depend on the score."""
    assert seen.records is not None
    ticks = seen.records.ticks
    parent = np.repeat(np.arange(seen.count), np.minimum(rng.poisson(0.8 + ticks["urgent"]), 6))
    often = rng.random(len(parent)) < 0.6
    drugs = {
        "drug": np.where(often, ticks["dept"][parent] % 4, rng.integers(0, 4, len(parent))),
        "dose": np.clip(1 + rng.poisson(ticks["score"][parent] / 20), 1, 8),
    }
    return make_rows(schema, "drugs", drugs, parent, seen.unit[parent])
