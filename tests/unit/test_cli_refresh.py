"""`privsynth refresh` from the command line: what it prints of a release and of none, maps, and its exit codes."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pa_csv
import pytest

from privsynth.certificate import keys
from privsynth.cli import run
from tests import clinic
from tests import made_refresh as made

DATABASE = Path(__file__).parents[2] / "examples" / "clinic_tests" / "database.toml"
POLICY = clinic.POLICY.replace('name = "person"', 'name = "row"')
SCHEMA = '[table]\nname = "t"\n' + "\n".join(
    f'[columns.{name}]\nkind = "category"\nvalues = {[str(level) for level in range(size)]}'
    for name, size in made.SIZES.items()
).replace("'", '"')


def write(folder, name, **moved):
    columns = {column: pa.array(codes).cast(pa.string()) for column, codes in made.people(6000, 40, **moved).items()}
    pa_csv.write_csv(pa.table(columns), folder / f"{name}.csv")
    return str(folder / f"{name}.csv")


@pytest.fixture
def place(tmp_path, monkeypatch):
    clinic.pass_every_audit(monkeypatch.setattr)
    keys.new(tmp_path / "key.pem", tmp_path / "trust.toml", "machine")
    (tmp_path / "schema.toml").write_text(SCHEMA)
    (tmp_path / "policy.toml").write_text(POLICY)
    shared = ["--policy", str(tmp_path / "policy.toml"), "--key", str(tmp_path / "key.pem")]
    shared += ["--ledger", str(tmp_path / "ledger.sqlite3")]
    first = ["--schema", str(tmp_path / "schema.toml"), "--out", str(tmp_path / "first")]
    assert run(["--quiet", "release", write(tmp_path, "before"), *shared, *first]) == 0
    return tmp_path, [*shared, "--previous", str(tmp_path / "first"), "--out", str(tmp_path / "second")]


def test_a_refresh_says_what_moved_and_what_it_was_charged(place, capsys):
    folder, words = place
    assert run(["refresh", write(folder, "moved", column=0.3), *words, "--trust", str(folder / "trust.toml")]) == 0
    shown = capsys.readouterr().out
    assert "moved: d, about" in shown
    assert "charged: rho" in shown
    assert "verified: " in shown
    assert run(["--quiet", "verify", str(folder / "second"), "--trust", str(folder / "trust.toml")]) == 0


def test_the_same_people_again_are_no_drift_and_no_release(place, capsys):
    folder, words = place
    assert run(["--json", "refresh", write(folder, "before"), *words]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["signatureChecked"] is False
    if found["folder"] is None:  # with other noise, chance calls something moved in one run of twenty at the most
        assert found["predicate"] is None
        assert run(["refresh", write(folder, "before"), *words]) == 0
        shown = capsys.readouterr().out
        assert "nothing was charged this time" in shown
        assert "No release was made" in shown
        assert "the signature was not checked" in shown
    assert found["changes"]["records"]["before"] == pytest.approx(3600, rel=0.1)


def test_a_map_renames_a_column_and_a_bad_one_is_bad_input(place, capsys):
    folder, words = place
    (folder / "schema2.toml").write_text(SCHEMA.replace("[columns.c]", "[columns.f]"))
    columns = made.people(6000, 40, column=0.3)
    columns["f"] = columns.pop("c")
    pa_csv.write_csv(
        pa.table({name: pa.array(codes).cast(pa.string()) for name, codes in columns.items()}), folder / "new.csv"
    )
    more = ["--schema", str(folder / "schema2.toml"), "--map", str(folder / "map.toml")]
    (folder / "map.toml").write_text("c = ")
    assert run(["refresh", str(folder / "new.csv"), *words, *more]) == 2
    assert "expected a TOML file" in capsys.readouterr().err
    (folder / "map.toml").write_text('c = "f"\n')
    assert run(["--json", "refresh", str(folder / "new.csv"), *words, *more]) == 0
    claim = json.loads(capsys.readouterr().out)["predicate"]["refresh"]
    assert (claim["new"], claim["gone"]) == ([], [])
    assert "d" in claim["moved"]


def test_a_schema_of_several_tables_is_refused_with_what_to_do(place, capsys):
    folder, words = place
    assert run(["refresh", write(folder, "before"), *words, "--schema", str(DATABASE)]) == 2
    assert "this schema has [database]; give that table's own schema" in " ".join(capsys.readouterr().err.split())


def test_a_ledger_that_is_not_there_and_a_folder_that_is_no_release_are_bad_input(place, capsys):
    folder, words = place
    source = write(folder, "same")
    assert run(["refresh", source, *words, "--ledger", str(folder / "nowhere.sqlite3")]) != 0
    assert "there is no ledger" in capsys.readouterr().err
    assert run(["refresh", source, *words, "--previous", str(folder / "nowhere")]) == 2
    assert "is no folder" in capsys.readouterr().err
