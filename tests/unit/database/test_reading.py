"""Databases are read: linked, ordered and checked; what is wrong is named by table and column, and nothing private is shown."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from privsynth.database import DatabaseSchema, keys, reading, writing
from privsynth.errors import RecordsError
from privsynth.histories.deriving import derive
from privsynth.schema.ticks import MISSING
from tests import made_database
from tests.made_database import CLINIC_TOML, EVENTS_TOML

MARK = "Zq-741-raw"


def clinic_frames():
    """Two patients, one of them with stays; rows in no order. Keys are unmistakable."""
    patients = pd.DataFrame(
        {
            "patient_id": [f"{MARK}-b", f"{MARK}-a", f"{MARK}-c"],
            "sex": ["F", "M", "F"],
            "birth": ["1950-02-03", "1960-01-01", "1970-05-05"],
            "death": ["2010-12-31", "", ""],
        }
    )
    stays = pd.DataFrame(
        {
            "patient_id": [f"{MARK}-{one}" for one in "abab"],
            "stay_id": [f"{MARK}-{one}" for one in (4, 3, 2, 1)],
            "admit": ["2009-01-01", "2008-01-01", "2007-01-01", "2006-01-01"],
            "discharge": ["2009-01-02", "2008-01-04", "2007-01-02", "2006-01-01"],
            "ward": ["A", "B", "C", "A"],
        }
    )
    diagnoses = pd.DataFrame(
        {
            "stay_id": [f"{MARK}-3", "", f"{MARK}-3", f"{MARK}-4"],
            "patient_id": [f"{MARK}-{one}" for one in "bcba"],
            "noted": ["2008-01-03", "2001-01-01", "2008-01-02", "2009-01-01"],
            "code": ["x", "y", "z", "x"],
            "grade": ["1", "", "2", "3"],
        }
    )
    return {"patients": patients, "stays": stays, "diagnoses": diagnoses}


@pytest.fixture(scope="module")
def clinic():
    return DatabaseSchema.loads(CLINIC_TOML)


def read(frames, schema, out_of_domain="refuse"):
    return reading.read(frames, schema, out_of_domain=out_of_domain).open()


def test_rows_know_their_parent_and_unit_and_are_in_order(clinic):
    found = read(clinic_frames(), clinic)
    assert found.unit_names == tuple(f"{MARK}-{one}".encode() for one in "bac")
    assert found.units == 3
    patients, stays, diagnoses = found.tables.values()
    assert patients.parent.tolist() == [-1, -1, -1]
    assert patients.unit.tolist() == [0, 1, 2]
    assert stays.parent.tolist() == stays.unit.tolist() == [0, 0, 1, 1]
    assert stays.records.ticks["ward"].tolist() == [0, 1, 2, 0]
    assert diagnoses.unit.tolist() == [0, 0, 1, 2]
    assert diagnoses.parent.tolist() == [1, 1, 3, -1]
    assert diagnoses.records.ticks["code"].tolist() == [2, 0, 0, 1]
    assert diagnoses.records.ticks["grade"].tolist() == [2, 1, 3, MISSING]


def test_rows_without_a_parent_come_first_and_missing_times_last(clinic):
    schema = DatabaseSchema.loads(
        CLINIC_TOML.replace('noted = {kind = "date",', 'noted = {kind = "date", missing = [""],')
    )
    frames = clinic_frames()
    more = {
        "stay_id": [f"{MARK}-3", "", ""],
        "patient_id": [f"{MARK}-b"] * 3,
        "noted": ["", "", "2003-01-01"],
        "code": ["x", "y", "z"],
        "grade": [""] * 3,
    }
    frames["diagnoses"] = pd.concat([frames["diagnoses"], pd.DataFrame(more)])
    rows = read(frames, schema).tables["diagnoses"]
    assert rows.unit[:5].tolist() == [0] * 5
    assert rows.parent[:5].tolist() == [-1, -1, 1, 1, 1]
    assert rows.records.ticks["code"][:5].tolist() == [2, 1, 2, 0, 0]
    assert (rows.records.ticks["noted"][[1, 4]] == MISSING).all()


def test_what_happens_at_once_stays_in_the_order_of_the_source(clinic):
    frames = clinic_frames()
    frames["stays"]["admit"] = frames["stays"]["discharge"] = "2008-01-01"
    assert read(frames, clinic).tables["stays"].records.ticks["ward"].tolist() == [1, 0, 0, 2]


def test_what_is_derived_is_not_read(clinic):
    frames = clinic_frames()
    wanted = read(frames, clinic).tables["stays"].records.ticks["admit"]
    frames["stays"]["age"] = f"{MARK} years"
    assert (read(frames, clinic).tables["stays"].records.ticks["admit"] == wanted).all()


@pytest.mark.parametrize("make", [made_database.clinic, made_database.events, made_database.bank])
def test_what_is_read_of_a_unit_depends_on_its_own_rows_alone(make):
    """Without some units, and in another order of rows, the others are read as before."""
    rng = np.random.default_rng(5)
    drawn = make(25, rng)
    schema = drawn.schema
    tables = writing.to_tables(drawn, keys.regenerate(schema, drawn, rng), derive(schema, drawn))
    if schema.name == "bank":
        tables["accounts"] = tables["accounts"].append_column("position", pa.array(range(tables["accounts"].num_rows)))
    keep = rng.random(drawn.units) < 0.6
    fewer = {name: table.filter(pa.array(keep[drawn.tables[name].unit])) for name, table in tables.items()}
    for source, wanted in ((tables, read(tables, schema, "clamp").of_units(keep)), (fewer, drawn.of_units(keep))):
        found = read(source, schema, "clamp")
        found = found.of_units(keep) if found.units > keep.sum() else found
        for name, rows in wanted.tables.items():
            other = found.tables[name]
            assert np.array_equal(rows.parent, other.parent)
            assert np.array_equal(rows.unit, other.unit)
            assert all(np.array_equal(t, other.records.ticks[c]) for c, t in rows.records.ticks.items())


def test_the_same_whatever_the_source(clinic, tmp_path):
    frames = clinic_frames()
    wanted = read(frames, clinic)
    (tmp_path / "mixed").mkdir()
    frames["patients"].to_csv(tmp_path / "mixed" / "patients.csv", index=False)
    frames["stays"].to_parquet(tmp_path / "mixed" / "stays.parquet")
    frames["diagnoses"].to_csv(tmp_path / "mixed" / "diagnoses.tsv", index=False, sep="\t")
    for source in (tmp_path / "mixed", {name: frame.to_dict("list") for name, frame in frames.items()}):
        found = read(source, clinic)
        for name, rows in wanted.tables.items():
            assert (rows.parent == found.tables[name].parent).all()
            assert (rows.unit == found.tables[name].unit).all()
            assert all((ticks == found.tables[name].records.ticks[c]).all() for c, ticks in rows.records.ticks.items())


def _put(table, column, row, value):
    def change(frames):
        frames[table].loc[row, column] = value

    return change


BAD = {
    "orphan": (
        _put("stays", "patient_id", 0, f"{MARK}-x"),
        r'"stays": a foreign key \(patient_id\) is no key of "patients"',
    ),
    "orphan below": (
        _put("diagnoses", "stay_id", 0, f"{MARK}-x"),
        r'"diagnoses": a foreign key \(stay_id\) is no key',
    ),
    "orphan unit": (_put("diagnoses", "patient_id", 1, f"{MARK}-x"), r'\(patient_id\) is no key of "patients"'),
    "duplicate key": (
        _put("stays", "stay_id", 0, f"{MARK}-2"),
        r'"stays": the key \(stay_id\) stands in more than one row',
    ),
    "unit twice": (
        _put("patients", "patient_id", 2, f"{MARK}-a"),
        r'"patients": the key \(patient_id\) stands in more than',
    ),
    "empty key": (_put("stays", "stay_id", 2, ""), r'"stays": the key \(stay_id\) has empty cells'),
    "unit without a name": (
        _put("patients", "patient_id", 2, ""),
        r'"patients": the key \(patient_id\) has empty cells',
    ),
    "no unit": (_put("stays", "patient_id", 0, ""), 'which of "patients" it belongs to'),
    "no unit beside": (_put("diagnoses", "patient_id", 1, None), r"the unit \(patient_id\) has empty cells"),
    "two histories": (_put("diagnoses", "patient_id", 0, f"{MARK}-a"), "nobody may be in two histories at once"),
    "after death": (_put("patients", "death", 0, "2007-01-01"), '"stays": column "admit" holds moments after "death"'),
    "noted after death": (_put("diagnoses", "noted", 0, "2011-01-01"), 'moments after "patients.death"'),
    "column missing": (lambda frames: frames["stays"].pop("ward"), '"stays": the table lacks column "ward"'),
    "key column missing": (lambda frames: frames["stays"].pop("stay_id"), '"stays": the table lacks column "stay_id"'),
    "column unknown": (lambda frames: frames["stays"].insert(0, "note", "-"), '"stays": the table has column "note"'),
    "table missing": (lambda frames: frames.pop("stays"), '"stays": the dict lacks the table "stays"'),
    "table unknown": (
        lambda frames: frames.update(more=frames["stays"]),
        'a table "more", which the schema does not list',
    ),
    "no units": (lambda frames: frames.update(patients=frames["patients"][:0]), "there are no units"),
    "label unknown": (
        _put("stays", "ward", 0, MARK),
        '"stays": column "ward" holds.*widen \\[tables.stays.columns.ward\\]',
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_refused_without_showing_any_of_it(name, clinic):
    change, said = BAD[name]
    frames = clinic_frames()
    change(frames)
    with pytest.raises(RecordsError, match=said) as caught:
        read(frames, clinic)
    text = str(caught.value)
    assert MARK not in text
    assert not any(digit in text.replace('"7" and "07"', "") for digit in "0123456789")
    assert caught.value.__cause__ is None


def test_events_outside_of_life_are_refused_or_kept(clinic):
    schema = DatabaseSchema.loads(CLINIC_TOML.replace("upper = 1999-12-31", "upper = 2020-12-31"))
    frames = clinic_frames()
    frames["patients"].loc[0, ["birth", "death"]] = ["2007-06-01", "2007-07-01"]
    with pytest.raises(
        RecordsError, match=r'"stays": column "admit" holds moments before "birth".*out_of_domain = "clamp"'
    ):
        read(frames, schema)
    kept = read(frames, schema, "clamp")
    assert kept.tables["stays"].records.ticks["admit"][0] == np.datetime64("2006-01-01").astype(np.int64)


@pytest.mark.parametrize(
    ("granularity", "death", "fine"),
    [("day", "2008-12-31", False), ("month", "2009-01", True), ("year", "2009", True), ("year", "2008", False)],
)
def test_an_end_known_to_the_month_or_year_is_compared_as_such(granularity, death, fine):
    schema = DatabaseSchema.loads(
        CLINIC_TOML.replace('death = {kind = "date",', f'death = {{kind = "date", granularity = "{granularity}",')
    )
    frames = clinic_frames()
    frames["patients"].loc[1, "death"] = death
    if fine:
        assert read(frames, schema).units == 3
    else:
        with pytest.raises(RecordsError, match="moments after"):
            read(frames, schema)


def test_keys_are_compared_as_text_of_one_type(clinic):
    """Numbers that a frame holds as floats, because some are missing, are the same keys as whole numbers."""
    frames = clinic_frames()
    number = {f"{MARK}-{one}": place for place, one in enumerate("abc1234")}
    for frame in frames.values():
        for column in ("patient_id", "stay_id"):
            if column in frame:
                frame[column] = frame[column].map(number)
    assert frames["diagnoses"]["stay_id"].dtype == float
    assert frames["stays"]["stay_id"].dtype == int
    assert read(frames, clinic).tables["diagnoses"].parent.tolist() == [1, 1, 3, -1]


COMPOSITE = """
[database]
name = "sites"
unit = "people"
[tables.people]
key = ["site", "number"]
[tables.people.columns]
site = {kind = "identifier", make = "S-####"}
number = {kind = "identifier", make = "N-####"}
sex = {kind = "category", values = ["F", "M"]}
[tables.visits]
key = ["site", "number", "visit"]
parent = {table = "people", columns = ["site", "number"]}
bound = {rows = 3}
order = "visit"
[tables.visits.columns]
place = {kind = "category", values = ["A", "B"]}
[[tables.visits.derived]]
name = "visit"
kind = "sequence"
[tables.codes]
key = ["code_id"]
parent = {table = "visits", columns = ["site", "who", "visit"]}
bound = {rows = 4}
[tables.codes.columns]
code_id = {kind = "identifier", make = "C-####"}
"""


def composite_frames():
    people = {"site": ["a|b", "a", "a\\"], "number": ["c", "b|c", "b"], "sex": ["F", "M", "F"]}
    visits = {
        "site": ["a", "a|b", "a", "a\\"],
        "number": ["b|c", "c", "b|c", "b"],
        "visit": ["10", "1", "9", "1"],
        "place": ["B", "A", "A", "B"],
    }
    codes = {"code_id": ["1", "2", "3"], "site": ["a", "a", "a|b"], "who": ["b|c", "b|c", "c"], "visit": [9, 10, 1]}
    return {"people": people, "visits": visits, "codes": codes}


def test_composite_keys_link_part_by_part():
    schema = DatabaseSchema.loads(COMPOSITE)
    found = read(composite_frames(), schema)
    assert found.unit_names == (b"a\\|b|c", b"a|b\\|c", b"a\\\\|b")
    assert found.tables["visits"].unit.tolist() == [0, 1, 1, 2]
    assert found.tables["visits"].records.ticks["place"].tolist() == [0, 0, 1, 1]
    assert found.tables["codes"].records is None
    assert found.tables["codes"].parent.tolist() == [0, 1, 2]
    doubled = composite_frames()
    doubled["visits"]["visit"][0] = "9"
    with pytest.raises(RecordsError, match=r"the key \(site, number, visit\) stands in more than one row"):
        read(doubled, schema)


@pytest.mark.parametrize("value", ["first", "1.5", "", None])
def test_an_order_is_whole_numbers(value):
    frames = composite_frames()
    frames["visits"]["visit"][1] = value
    frames["codes"] = {name: values[:2] for name, values in frames["codes"].items()}
    with pytest.raises(RecordsError, match='"visits": column "visit" orders the rows and must hold whole numbers'):
        read(frames, DatabaseSchema.loads(COMPOSITE))


def events_frame():
    return pd.DataFrame(
        {
            "subject_id": [f"{MARK}-{one}" for one in "baab"],
            "gender": ["f", "m", "m", "f"],
            "day": [7, 5, 3, 1],
            "result": ["neg", "pos", "neg", "neg"],
        }
    )


def test_units_that_no_table_lists_are_whoever_the_events_name(tmp_path):
    schema = DatabaseSchema.loads(EVENTS_TOML)
    events_frame().to_csv(tmp_path / "any.csv", index=False)
    for source in (events_frame(), {"tests": events_frame()}, tmp_path / "any.csv"):
        found = read(source, schema)
        assert found.unit_names == (f"{MARK}-b".encode(), f"{MARK}-a".encode())
        assert found.tables["patient"].records.ticks["gender"].tolist() == [0, 1]
        assert found.tables["tests"].records.ticks["day"].tolist() == [1, 7, 3, 5]
    frame = events_frame()
    frame.loc[2, "subject_id"] = ""
    with pytest.raises(RecordsError, match='which of "patient" it belongs to'):
        read(frame, schema)


def test_constants_that_change_are_refused_or_taken_from_the_first_row():
    schema = DatabaseSchema.loads(EVENTS_TOML)
    frame = events_frame()
    frame.loc[3, "gender"] = "m"
    with pytest.raises(RecordsError, match='"gender" changes within a unit, and is declared constant'):
        read(frame, schema)
    assert read(frame, schema, "clamp").tables["patient"].records.ticks["gender"].tolist() == [0, 1]
    frame.loc[3, "gender"] = MARK
    with pytest.raises(RecordsError, match=r'"tests": column "gender" holds .*\[tables.tests.columns.gender\]'):
        read(frame, schema)


TWO_KINDS = (
    EVENTS_TOML
    + """
[tables.calls]
parent = {columns = ["caller"]}
bound = {rows = 2}
constant = ["speech"]
[tables.calls.columns]
speech = {kind = "category", values = ["de", "en"], missing = [""]}
"""
)


def test_units_are_whoever_any_of_the_tables_names():
    calls = {"caller": [f"{MARK}-c", f"{MARK}-a"], "speech": ["en", "de"]}
    text = TWO_KINDS.replace('gender = {kind = "category", ', 'gender = {kind = "category", missing = [""], ')
    found = read({"tests": events_frame(), "calls": calls}, DatabaseSchema.loads(text))
    assert found.unit_names == tuple(f"{MARK}-{one}".encode() for one in "bac")
    assert found.tables["patient"].records.ticks["gender"].tolist() == [0, 1, MISSING]
    assert found.tables["patient"].records.ticks["speech"].tolist() == [MISSING, 0, 1]
    assert found.tables["calls"].unit.tolist() == [1, 2]
    with pytest.raises(RecordsError, match='"patient": column "gender" has empty cells, but no missing marker'):
        read({"tests": events_frame(), "calls": calls}, DatabaseSchema.loads(TWO_KINDS))


def test_child_tables_may_be_empty(clinic):
    frames = clinic_frames()
    frames["stays"], frames["diagnoses"] = frames["stays"][:0], frames["diagnoses"][:0]
    found = read(frames, clinic)
    assert [rows.count for rows in found.tables.values()] == [3, 0, 0]


def test_one_source_for_several_tables_is_refused(clinic, tmp_path):
    with pytest.raises(RecordsError, match="3 tables are declared, but the source is one"):
        read(events_frame(), clinic)
    with pytest.raises(RecordsError, match="there is no folder or file"):
        read(tmp_path / "none", clinic)
    with pytest.raises(RecordsError, match=r"the folder has no file patients\.csv"):
        read(tmp_path, clinic)
    for name in ("patients.csv", "patients.parquet"):
        (tmp_path / name).touch()
    with pytest.raises(RecordsError, match=r"the folder has patients\.csv, patients\.parquet; keep one of them"):
        read(tmp_path, clinic)


def test_what_was_read_cannot_be_shown(clinic):
    boxed = reading.read(clinic_frames(), clinic)
    assert MARK not in f"{boxed} {boxed!r} {boxed.open()!r}"
