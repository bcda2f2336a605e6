"""Drafts of several tables: names and kinds, every key, parent and bound a question, and nothing that stands in the tables."""

import sqlite3
import subprocess
import sys
import tomllib

import pytest

from privsynth.database import DatabaseSchema, drafting
from privsynth.errors import RecordsError, SchemaError


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("drafts") / "hospital"
    place.mkdir()
    (place / "people.csv").write_text("person_id,sex\nQ17,female\nQ18,male\n")
    (place / "visits.tsv").write_text("visit_id\tperson_id\tday\nV91\tQ17\t2003-04-05\nV92\tQ18\t2003-04-06\n")
    (place / "notes.txt").write_text("no table\n")
    return place


WANTED = {
    "people": {"columns": {"person_id": {"kind": "identifier"}, "sex": {"kind": "category"}}},
    "visits": {
        "columns": {
            "visit_id": {"kind": "identifier"},
            "person_id": {"kind": "identifier"},
            "day": {"kind": "date"},
        }
    },
}


def test_names_and_kinds_and_nothing_else(folder):
    text = drafting.draft(folder)
    assert tomllib.loads(text) == {"database": {"name": "hospital"}, "tables": WANTED}
    for value in ("Q17", "V91", "female", "2003", "04-05"):
        assert value not in text
    for asked in ("# unit =", "# key =", "# parent =", "# bound =", "# time ="):
        assert asked in text
    assert 'buy = "bounds"' not in text
    with pytest.raises(SchemaError, match="expected name"):
        DatabaseSchema.loads(text)


def test_the_same_draft_of_database_files_and_dicts(folder, tmp_path):
    tables = {"people": folder / "people.csv", "visits": folder / "visits.tsv"}
    assert tomllib.loads(drafting.draft(tables))["tables"] == WANTED
    with sqlite3.connect(tmp_path / "hospital.db") as connection:
        connection.execute("CREATE TABLE people (person_id, sex)")
        connection.execute("CREATE TABLE visits (visit_id, person_id, day)")
        connection.execute("INSERT INTO people VALUES ('Q17', 'female')")
        connection.execute("INSERT INTO visits VALUES ('V91', 'Q17', '2003-04-05')")
    assert drafting.draft(tmp_path / "hospital.db") == drafting.draft(folder)


def test_the_command_line_drafts_folders(folder):
    done = subprocess.run(
        [sys.executable, "-m", "privsynth", "draft", str(folder)], capture_output=True, text=True, check=True
    )
    assert done.stdout == drafting.draft(folder)


def test_tables_that_cannot_be_drafted(folder, tmp_path):
    with pytest.raises(RecordsError, match="there are no tables"):
        drafting.draft(tmp_path)
    (tmp_path / "people.csv").write_text("1942-01-01,F\n1950-02-02,M\n")
    with pytest.raises(RecordsError, match='"people": the first line looks like a record'):
        drafting.draft(tmp_path)
    (tmp_path / "people.tsv").write_text("a\n1\n")
    with pytest.raises(RecordsError, match="two files of one name"):
        drafting.draft(tmp_path)
    (tmp_path / "people.csv").rename(tmp_path / "=x.csv")
    with pytest.raises(RecordsError, match="name cannot stand in a schema"):
        drafting.draft(tmp_path)
