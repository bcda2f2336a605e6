"""Rules across tables: after enforcing nothing is broken, what was not broken is unchanged, and what went is counted."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privsynth.database import Database, DatabaseSchema, Rows
from privsynth.dataset import Dataset
from privsynth.encoding import decode
from privsynth.errors import FitError
from privsynth.histories.across import broken, enforce
from privsynth.histories.deriving import derive
from privsynth.histories.kinship import arranged, without
from privsynth.records import Records
from privsynth.schema.ticks import MISSING, tick
from tests.enforced import ORDERS, gone, holds, orders, ticks_of, visits_of
from tests.made_database import CLINIC_TOML, EVENTS_TOML, bank, clinic

RNG = np.random.default_rng(0)

RULED = (
    CLINIC_TOML
    + """
[[rules]]
kind = "in-order"
left = "stays.discharge"
right = "patients.death"
[[rules]]
kind = "in-order"
left = "stays.admit"
right = "diagnoses.noted"
[[tables.stays.rules]]
kind = "implication"
if = {column = "ward", in = ["C"]}
then = {column = "admit", lower = 2003-01-01}
[[tables.diagnoses.rules]]
kind = "implication"
if = {column = "code", in = ["z"]}
then = {column = "grade", upper = 2}
"""
)


def under(schema: DatabaseSchema, database: Database, changes: dict[tuple[str, str], np.ndarray]) -> Database:
    """The tables under another schema with the same columns, some of them changed; nobody is named any more."""
    tables = {}
    for terms in schema.tables:
        rows = database.tables[terms.name]
        if terms.content is None or rows.records is None:
            tables[terms.name] = rows
            continue
        ticks = {name: changes.get((terms.name, name), values) for name, values in rows.records.ticks.items()}
        tables[terms.name] = replace(rows, records=Records(schema=terms.content, ticks=ticks))
    return Database(schema=schema, tables=tables)


@pytest.mark.parametrize("made", [clinic, bank])
def test_what_breaks_nothing_is_left_as_it_is(made):
    database = made(40, np.random.default_rng(0))
    found, counts = enforce(database.schema, database, rng=np.random.default_rng(0))
    assert found is database
    assert set(counts.values()) == {0}


# --- random violations ---


@settings(max_examples=40)
@given(st.integers(0, 10**6), st.integers(2, 60), st.floats(0.05, 1.0))
def test_planted_violations_are_repaired(seed, units, share):
    schema, rng = DatabaseSchema.loads(RULED), np.random.default_rng(seed)
    made = clinic(units, rng)
    admit, death = ticks_of(made, "stays", "admit"), ticks_of(made, "patients", "death")
    stay_late = np.where(rng.random(admit.size) < share, rng.integers(11000, 20400, admit.size), admit)
    discharge = stay_late + rng.integers(0, 61, admit.size)
    noted = ticks_of(made, "diagnoses", "noted")
    noted = np.where(rng.random(noted.size) < share, rng.integers(10957, 20453, noted.size), noted)
    dead = np.where(rng.random(death.size) < share, rng.integers(10957, 20453, death.size), death)
    drawn = arranged(
        under(
            schema,
            made,
            {
                ("stays", "admit"): stay_late,
                ("stays", "discharge"): discharge,
                ("diagnoses", "noted"): noted,
                ("patients", "death"): dead,
            },
        )
    )
    before = broken(schema, drawn)
    found, counts = enforce(schema, drawn, rng=rng)
    holds(schema, found)
    assert {text: counts[text] for text in before} == {text: int(mask.sum()) for text, mask in before.items()}
    for name, rows in drawn.tables.items():
        assert gone(counts)[name] == rows.count - found.tables[name].count
    assert gone(counts)["patients"] == 0
    assert (ticks_of(found, "patients", "death") == ticks_of(drawn, "patients", "death")).all()
    if not any(gone(counts).values()):
        untouched_units(drawn, found, before)


def untouched_units(drawn: Database, found: Database, masks: dict[str, np.ndarray]) -> None:
    """Units of which no row broke a rule have the same rows as before."""
    hit = np.zeros(drawn.units, dtype=bool)
    for text, mask in masks.items():
        lower = next(name for name in ("diagnoses", "stays", "patients") if name in text)
        hit[drawn.tables[lower].unit[mask]] = True
    for name, rows in drawn.tables.items():
        kept = found.tables[name]
        for column in drawn.schema.table(name).columns:
            before, after = (ticks_of(one, name, column) for one in (drawn, found))
            assert (before[~hit[rows.unit]] == after[~hit[kept.unit]]).all()


def test_a_rule_of_the_table_changes_something_else_than_what_rows_above_bind():
    schema, made = DatabaseSchema.loads(RULED), clinic(60, RNG)
    admit, ward, unit = (*(ticks_of(made, "stays", name) for name in ("admit", "ward")), made.tables["stays"].unit)
    day = {
        year: tick(schema.table("stays").content.modelled_column("admit"), f"{year}-01-01")
        for year in (2001, 2002, 2003)
    }
    early = unit < 20
    changes = {
        ("patients", "death"): np.where(np.arange(60) < 20, day[2002], MISSING),
        ("stays", "admit"): np.where(early, day[2001], np.maximum(admit, day[2003])),
        ("stays", "discharge"): np.where(early, day[2001], np.maximum(admit, day[2003])) + 5,
        ("stays", "ward"): np.where(early, 2, ward % 2),
        ("diagnoses", "noted"): np.full(made.tables["diagnoses"].count, day[2002]),
    }
    drawn = arranged(under(schema, made, changes))
    found, counts = enforce(schema, drawn, rng=RNG)
    holds(schema, found)
    assert counts["stays: if ward in {C} then admit >= 2003-01-01"] == early.sum() > 0
    assert (ticks_of(found, "stays", "admit") == ticks_of(drawn, "stays", "admit")).all()
    assert gone(counts)["stays"] == 0


PAGE = (Path(__file__).resolve().parents[3] / "docs" / "databases.md").read_text(encoding="utf-8")
TEXTS = "\n".join(block.partition("```")[0] for block in PAGE.split("```toml\n")[1:]).split("[database]")[1:]


def scattered(schema: DatabaseSchema, units: int, rng: np.random.Generator) -> Database:
    """Every table at random: each level as likely as another, whatever the row above says."""
    tables: dict[str, Rows] = {}
    for terms in schema.tables:
        unit = np.arange(units)
        parent = np.full(units, -1)
        if terms.parent is not None:
            above = tables[terms.parent_table]
            parent = np.repeat(np.arange(above.count), rng.integers(0, 5, above.count))
            unit = above.unit[parent]
            if terms.parent.optional:
                parent = np.append(parent, np.full(units, -1))
                unit = np.append(unit, np.arange(units))
        records = None
        if terms.content is not None:
            domain = terms.content.domain()
            codes = {
                name: rng.integers(0, size, unit.size)
                for name, size in zip(domain.attributes, domain.sizes, strict=True)
            }
            records = decode(Dataset.from_columns(codes, domain), terms.content, rng=rng)
        tables[terms.name] = Rows(records=records, parent=parent, unit=unit)
    return Database(schema=schema, tables=tables)


@pytest.mark.parametrize("number", range(len(TEXTS)))
def test_no_row_is_impossible_in_the_databases_of_the_documentation(number):
    schema, rng = DatabaseSchema.loads(f"[database]{TEXTS[number]}"), np.random.default_rng(number)
    drawn = scattered(schema, 60, rng)
    found, counts = enforce(schema, drawn, rng=rng)
    holds(schema, found)
    assert found.units == 60 and any(counts.values()) == bool(schema.name != "tests")
    derived = derive(schema, found)
    for terms in schema.tables:
        assert list(derived[terms.name]) == [one.name for one in terms.derived]
        assert all(len(array) == found.tables[terms.name].count for array in derived[terms.name].values())
        assert found.tables[terms.name].count > 20
    if schema.name == "bank":
        moves, closing = found.tables["transactions"], derived["accounts"]["closing"].to_pylist()
        balances = derived["transactions"]["balance"].to_pylist()
        assert {above: balances[row] for row, above in enumerate(moves.parent)} == {
            above: closing[above] for above in moves.parent
        }


# --- links ---


def test_rows_without_their_parent_and_second_rows_of_a_key_are_left_out():
    text = (
        ORDERS.replace("GRANULARITY", "day")
        .replace("KIND", "date")
        .replace(
            "bound = {rows = 4}\n[tables.notes.columns]", 'key = ["visit"]\nbound = {rows = 1}\n[tables.notes.columns]'
        )
    )
    drawn = orders([("2001-01-01", "")] * 2, [(0, "2004-01-01", 2), (0, "2005-01-01", 2), (1, "2004-01-01", 2)])
    visits = drawn.tables["visits"]
    tables = {**drawn.tables, "visits": replace(visits, parent=np.array([0, 7, 1]), unit=np.array([0, 0, 1]))}
    database = under(DatabaseSchema.loads(text), Database(schema=drawn.schema, tables=tables), {})
    found, counts = enforce(database.schema, database, rng=RNG)
    holds(database.schema, found)
    assert {text: count for text, count in counts.items() if count} == {
        "visits: each row has its people": 1,
        "notes: no key twice": 3,
        "visits: rows left out": 1,
        "notes: rows left out": 4,
    }
    assert visits_of(found) == [(0, "2004-01-01", 2), (1, "2004-01-01", 2)]
    assert ticks_of(found, "notes", "letter").tolist() == [0, 0]


def test_when_no_unit_is_left_the_hardest_rule_is_named():
    more = """
    [[tables.people.rules]]
    kind = "order"
    left = "start"
    op = ">"
    value = "2005-01-01"
    [[tables.people.rules]]
    kind = "order"
    left = "end"
    op = "<"
    right = "start"
    [[rules]]
    kind = "in-order"
    left = "people.start"
    right = "people.end"
    """
    drawn = orders([("2003-01-01", "2004-01-01")] * 3, [(0, "2003-05-01", 2)], more=more)
    with pytest.raises(FitError, match="no unit obeys every rule; the hardest is"):
        enforce(drawn.schema, drawn, rng=RNG)


@settings(max_examples=25)
@given(st.integers(0, 10**6), st.integers(2, 20), st.floats(0, 0.6))
def test_leaving_rows_out_takes_all_below_them(seed, units, share):
    rng = np.random.default_rng(seed)
    database = clinic(units, rng)
    drop = {name: rng.random(rows.count) < share for name, rows in database.tables.items()}
    found = without(database, drop)
    kept = {name: ~mask for name, mask in drop.items()}
    for row, unit in enumerate(database.tables["stays"].unit):
        kept["stays"][row] &= kept["patients"][unit]
    for row, (above, unit) in enumerate(
        zip(database.tables["diagnoses"].parent, database.tables["diagnoses"].unit, strict=True)
    ):
        kept["diagnoses"][row] &= kept["patients"][unit] and (above < 0 or kept["stays"][above])
    for name, rows in database.tables.items():
        assert found.tables[name].count == kept[name].sum()
        for column in database.schema.table(name).columns:
            assert (ticks_of(found, name, column) == ticks_of(database, name, column)[kept[name]]).all()
        numbers = np.cumsum(kept["patients"]) - 1
        assert (found.tables[name].unit == numbers[rows.unit[kept[name]]]).all()
    above = database.tables["diagnoses"].parent[kept["diagnoses"]]
    assert (found.tables["diagnoses"].parent == np.where(above < 0, -1, (np.cumsum(kept["stays"]) - 1)[above])).all()
    assert found.unit_names == tuple(
        name for name, keep in zip(database.unit_names, kept["patients"], strict=True) if keep
    )


@settings(max_examples=20)
@given(st.integers(0, 10**6), st.integers(1, 25))
def test_putting_rows_in_order_keeps_every_link(seed, units):
    rng = np.random.default_rng(seed)
    database = clinic(units, rng)
    stays, notes = database.tables["stays"], database.tables["diagnoses"]
    order, other = rng.permutation(stays.count), rng.permutation(notes.count)
    parent = np.append(np.argsort(order), -1)[notes.parent[other]]
    tables = {
        **database.tables,
        "stays": Rows(records=stays.records.take(order), parent=stays.parent[order], unit=stays.unit[order]),
        "diagnoses": Rows(records=notes.records.take(other), parent=parent, unit=notes.unit[other]),
    }
    found = arranged(Database(schema=database.schema, tables=tables))
    assert arranged(found) is found
    assert linked(found) == linked(database)


def linked(database: Database) -> list[tuple[int, ...]]:
    """Every diagnosis with what there is of its stay, sorted."""
    above = database.tables["diagnoses"].parent
    columns = [database.tables["diagnoses"].unit]
    columns += [ticks_of(database, "diagnoses", name) for name in ("noted", "code", "grade")]
    for name in ("admit", "discharge", "ward"):
        columns.append(np.where(above < 0, MISSING, np.append(ticks_of(database, "stays", name), MISSING)[above]))
    return sorted(zip(*(column.tolist() for column in columns), strict=True))


def test_a_missing_time_comes_last():
    schema = DatabaseSchema.loads(EVENTS_TOML.replace("upper = 110", 'upper = 110, missing = [""]'))
    one = np.zeros(3, dtype=np.int64)
    tests = Records(schema=schema.table("tests").content, ticks={"day": np.array([MISSING, 7, 3]), "result": one})
    gender = Records(schema=schema.root.content, ticks={"gender": one[:1]})
    tables = {
        "patient": Rows(records=gender, parent=np.array([-1]), unit=one[:1]),
        "tests": Rows(records=tests, parent=one, unit=one),
    }
    found = arranged(Database(schema=schema, tables=tables))
    assert ticks_of(found, "tests", "day").tolist() == [3, 7, MISSING]
