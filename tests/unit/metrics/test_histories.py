"""Distances between histories: by hand on four rows, zero of a table and itself, and each defect seen by the part it is of."""

from dataclasses import replace

import numpy as np
import pytest

from privsynth.database.document import DatabaseSchema
from privsynth.database.held import Database
from privsynth.errors import SchemaError
from privsynth.metrics import histories
from privsynth.metrics.joined import group_sizes, joined
from privsynth.schema.ticks import MISSING
from tests import made_database

UNITS = 400


@pytest.fixture(scope="module")
def clinic() -> Database:
    return made_database.clinic(UNITS, np.random.default_rng(0))


def compare(one, other):
    return histories.compare(one, other, rng=np.random.default_rng(0), triples=20)


def small(days, results, owners):
    """Events of three patients, all of one gender."""
    text = made_database.EVENTS_TOML.replace("upper = 110}", 'upper = 110, missing = [""]}')
    schema = DatabaseSchema.loads(text)
    units = np.arange(3)
    root = made_database.make_rows(schema, "patient", {"gender": np.zeros(3, int)}, np.full(3, -1), units)
    ticks = {"day": np.array(days), "result": np.array(results)}
    tests = made_database.make_rows(
        schema, "tests", ticks, np.array(owners, dtype=np.int64), np.array(owners, dtype=np.int64)
    )
    return Database(schema=schema, tables={"patient": root, "tests": tests})


def changed(database, table, column, values):
    rows = database.tables[table]
    ticks = {**{name: rows.records.ticks[name] for name in rows.records.ticks}, column: values}
    return replace(database, tables={**database.tables, table: replace(rows, records=rows.records.with_ticks(ticks))})


def test_every_part_by_hand():
    one = small([0, 3, 5, 9], [0, 1, 0, 0], [0, 0, 1, 1])  # two, two and no tests; gaps 3 and 4; moves 0 to 1, 0 to 0
    other = small(
        [0, 3, 4, 9], [0, 1, 1, 0], [0, 0, 0, 1]
    )  # three, one and no tests; gaps 3 and 1; moves 0 to 1, 1 to 1
    found = compare(one, other)
    assert found.group_sizes.by_name == {"tests": pytest.approx(2 / 3)}
    assert found.gaps.by_name == {"tests": pytest.approx(1 / 2)}
    assert found.transitions.by_name["tests.result"] == pytest.approx(1 / 2)
    assert found.pairs.by_name["patient.gender, tests.result"] == pytest.approx(1 / 4)
    # favourites 0, 0, none against 1, 0, none; one or two different labels; days spanned 3 and 4 against 4 and 0
    assert found.aggregates.by_name["most frequent of tests.result"] == pytest.approx(1 / 3)
    assert found.aggregates.by_name["number of different tests.result"] == pytest.approx(0)
    assert found.aggregates.by_name["time spanned by tests"] == pytest.approx(1 / 3)
    assert found.marginals[2].by_name["tests: previous.result, result"] == pytest.approx(1 / 4)


def test_a_database_is_at_no_distance_from_itself(clinic):
    found = compare(clinic, clinic)
    parts = (found.group_sizes, found.gaps, found.transitions, found.aggregates, found.pairs, *found.marginals.values())
    assert all(part.by_name and part.worst == 0 == part.mean for part in parts)


def test_rows_that_are_left_out_show_in_the_sizes(clinic):
    unbothered = clinic.tables["stays"]
    keep = np.zeros(UNITS, dtype=bool)
    keep[np.unique(unbothered.unit)] = True
    found = compare(clinic, clinic.of_units(keep))
    nobody = 1 - keep.mean()
    assert found.group_sizes.by_name["stays"] == pytest.approx(nobody)
    assert {"diagnoses", "diagnoses per patients"} <= set(found.group_sizes.by_name)


def test_a_shuffled_column_keeps_its_own_counts_and_breaks_its_pairs_and_moves(clinic):
    ward = clinic.tables["stays"].records.ticks["ward"]
    found = compare(clinic, changed(clinic, "stays", "ward", np.random.default_rng(1).permutation(ward)))
    assert found.pairs.worst == found.pairs.by_name["stays.ward, diagnoses.code"]
    assert found.pairs.by_name["patients.sex, stays.ward"] > 0.15
    assert found.transitions.by_name["stays.ward"] > 0.1 > found.gaps.worst == 0
    assert found.aggregates.by_name["most frequent of stays.ward"] > 0
    assert found.marginals[2].worst >= found.pairs.worst and found.marginals[3].mean > found.marginals[2].mean


def test_a_row_knows_its_ancestors_its_predecessor_and_that_it_may_have_none(clinic):
    diagnoses = joined(clinic, "diagnoses")
    rows = clinic.tables["diagnoses"]
    loose = rows.parent < 0
    assert loose.any() and not loose.all()
    ward, sex = diagnoses.data.column("stays.ward"), diagnoses.data.column("patients.sex")
    assert (ward[loose] == 3).all()
    assert (ward[~loose] == clinic.tables["stays"].records.ticks["ward"][rows.parent[~loose]]).all()
    assert (sex == clinic.tables["patients"].records.ticks["sex"][rows.unit]).all()
    code, before = diagnoses.data.column("code"), diagnoses.data.column("previous.code")
    for row in range(1, 200):
        same = rows.unit[row] == rows.unit[row - 1] and rows.parent[row] == rows.parent[row - 1]
        assert diagnoses.follows[row] == same
        assert before[row] == (code[row - 1] if same else 3)


def test_sizes_count_zero_and_the_rows_of_units_count_those_without_a_parent(clinic):
    counts, layout = group_sizes(clinic, "diagnoses")
    of_units, _ = group_sizes(clinic, "diagnoses", of_units=True)
    rows = clinic.tables["diagnoses"]
    assert len(counts) == clinic.tables["stays"].count and (counts == 0).any()
    assert counts.sum() == (rows.parent >= 0).sum() and of_units.sum() == rows.count
    assert layout.upper == 12


def test_missing_times_have_no_gap():
    found = joined(small([0, 3, MISSING, 9], [0, 0, 0, 0], [0, 0, 0, 1]), "tests")
    assert found.follows.tolist() == [False, True, True, False]
    assert found.spaced.tolist() == [False, True, False, False]


def test_empty_tables_and_other_schemas():
    none = small([], [], [])
    some = small([1], [1], [0])
    found = compare(none, some)
    assert found.pairs.worst == 1 and found.gaps.worst == 0 and found.group_sizes.worst == pytest.approx(1 / 3)
    with pytest.raises(SchemaError, match="different schemas"):
        compare(some, made_database.bank(2, np.random.default_rng(0)))
