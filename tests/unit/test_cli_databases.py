"""The command line on several tables: every verb from end to end, its exit codes, and that no failure shows a private value."""

import json
import shutil
import sys

import numpy as np
import pyarrow as pa
import pytest

import privsynth as ps
from privsynth.cli import run
from privsynth.database import writing
from privsynth.errors import AuditError, MechanismError, RecordsError
from tests import clinic, made_database
from tests import made_database_files as files


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("several-cli")
    files.write(folder)
    assert run(["--quiet", "keys", "new", str(folder / "key.pem"), "--trust", str(folder / "trust.toml")]) == 0
    return folder


def words(place, verb, *more):
    shared = [str(place / "clinic.sqlite"), "--schema", str(place / "database.toml")]
    shared += ["--policy", str(place / "policy.toml"), "--ledger", str(place / "ledger" / "ledger.sqlite3")]
    return ["--quiet", verb, *shared, *map(str, more)]


@pytest.fixture(scope="module")
def released(place):
    with pytest.MonkeyPatch.context() as patch:
        files.pass_every_audit(patch.setattr)
        assert run(words(place, "release", "--key", place / "key.pem", "--out", place / "release")) == 0
    return place / "release"


def test_release_then_verify_and_a_changed_table_does_not_verify(place, released, capsys, tmp_path):
    trust = ["--trust", str(place / "trust.toml")]
    assert run(["--json", "verify", str(released), *trust]) == 0
    said = json.loads(capsys.readouterr().out)["predicate"]["schema"]
    assert [table["name"] for table in said["tables"]] == ["patients", "stays", "diagnoses"]
    shutil.copytree(released, tmp_path / "copy")
    changed = tmp_path / "copy" / "data" / "stays.csv"
    changed.write_text(changed.read_text().replace(",A,", ",B,", 1))
    assert run(["verify", str(tmp_path / "copy"), *trust]) == 5
    assert "data/stays.csv" in capsys.readouterr().err


def test_quote_says_shares_bounds_biases_and_errors_of_each_table(place, capsys):
    arguments = words(place, "quote")
    arguments[arguments.index("--ledger") + 1] = str(place / "fresh" / "ledger.sqlite3")
    assert run(arguments) == 0
    shown = capsys.readouterr().out
    for told in (
        "for each patient with all rows in all tables",
        "stays: 4",
        "Of a patient with more than 6 stays, 6 are used, drawn at random.",
        "A patient with 6 stays counts as much as one with 2: averages over stays lean to those with few.",
        "More than 6 stays of a patient count as 6.",
        "the first 8 are used: what changes late in a long history is not seen. A patient with 12 diagnoses",
        "More than 12 diagnoses of one row in stays count as 12.",
        "numbers of rows 0.0",
        "nothing was spent",
    ):
        assert told in shown
    assert not (place / "fresh").exists()
    assert run(["--json", *arguments]) == 0
    quoted = json.loads(capsys.readouterr().out)
    assert sum(table["share"] for table in quoted["tables"]) == pytest.approx(1)
    assert quoted["tables"][1]["expectedError"]["oneWay"] > 0


def test_policy_check_names_the_tables(place, capsys, tmp_path):
    policy = str(place / "policy.toml")
    assert run(["policy", "check", policy, "--schema", str(place / "database.toml")]) == 0
    shown = capsys.readouterr().out
    assert "in all tables are protected together" in shown
    assert "One patient is protected as a whole, with all rows in all tables together" in shown
    assert "is in the schema: stays 6, diagnoses 8;" in shown and "rows of theirs used:" not in shown
    assert "Generators for several tables: independent, mst (" in shown and "As many units as noisy counts" in shown
    bad = made_database.CLINIC_TOML.replace('values = ["A", "B", "C"]', 'values = ["A", "jane.roe@hospital.org"]')
    (tmp_path / "bad.toml").write_text(bad)
    assert run(["policy", "check", policy, "--schema", str(tmp_path / "bad.toml")]) == 3
    assert 'stays: column "ward" declares labels that read as' in capsys.readouterr().out


@pytest.mark.parametrize(
    ("table", "column", "cell"),
    [("stays", "ward", "UNMISTAKABLE"), ("stays", "patient_id", "UNMISTAKABLE"), ("diagnoses", "grade", "4711")],
)
def test_a_bad_cell_is_refused_by_table_and_never_shown(place, capsys, tmp_path, table, column, cell):
    made = files.tables(units=40)
    values = made[table][column].to_pylist()
    values[0] = cell if pa.types.is_string(made[table][column].type) else int(cell)
    made[table] = made[table].set_column(made[table].column_names.index(column), column, pa.array(values))
    policy = files.POLICY.replace("[audit]", '[records]\nout_of_domain = "refuse"\n[audit]')
    files.write(tmp_path, made=made, policy=policy)
    assert run(words(tmp_path, "release", "--key", place / "key.pem", "--out", tmp_path / "out")) == 2
    shown = capsys.readouterr()
    assert f'"{table}"' in shown.err
    assert cell not in shown.out + shown.err
    assert not (tmp_path / "out.internal").exists()


def test_audits_take_several_tables(place, released, capsys, monkeypatch):
    files.pass_every_audit(monkeypatch.setattr)
    shared = ["--schema", str(place / "database.toml"), "--plan", "quick"]
    source = str(place / "clinic.sqlite")
    real = ["--training", source, "--holdout", source]
    assert run(["--quiet", "audit", "--synthetic", str(released / "data"), *real, *shared]) == 0
    assert run(["--quiet", "audit", "--generator", "auto", "--epsilon", "1", *shared]) == 0
    assert run(["--quiet", "audit", "--generator", "auto", "--epsilon", "1", "--max-rows", "4", *shared]) == 2
    assert "bound = {rows" in capsys.readouterr().err
    with pytest.raises(AuditError, match="audit its tables with"):
        ps.audit_function(lambda table, _: table, source, schema=place / "database.toml", rng=np.random.default_rng(1))


def test_the_verbs_of_the_library_take_them_too(place):
    model = ps.fit(place / "clinic.sqlite", place / "database.toml", epsilon=4, delta=1e-6, generator="independent")
    assert isinstance(model, ps.HistoryModel)
    frames = model.sample(100, rng=np.random.default_rng(1))
    assert list(frames) == ["patients", "stays", "diagnoses"] and len(frames["patients"]) == 100
    schema = ps.DatabaseSchema.load(place / "database.toml")
    quoted = ps.quote(None, schema=schema, policy=ps.Policy.loads(files.POLICY))
    assert quoted.generator == "independent" and quoted.admitted
    assert clinic.fresh_ledger().populations() == ()


def test_several_tables_with_a_schema_of_one_are_told_what_they_need(place, capsys, tmp_path):
    (tmp_path / "one.toml").write_text(
        '[table]\nname = "stays"\n[columns.ward]\nkind = "category"\nvalues = ["A", "B"]\n'
    )
    (tmp_path / "policy.toml").write_text(clinic.POLICY.replace('name = "person"', 'name = "row"'))
    writing.write(files.tables(units=20), tmp_path / "tables")
    for source, kind in ((place / "clinic.sqlite", "database file"), (tmp_path / "tables", "folder")):
        shared = [str(source), "--schema", str(tmp_path / "one.toml"), "--policy", str(tmp_path / "policy.toml")]
        shared += ["--ledger", str(tmp_path / "ledger.sqlite3")]
        signed = ["--key", str(place / "key.pem"), "--out", str(tmp_path / "out")]
        for arguments in (["quote", *shared], ["release", *shared, *signed]):
            assert run(["--quiet", *arguments]) == 2
            assert f"is a {kind}: it needs a schema with [database]" in capsys.readouterr().err
        with pytest.raises(RecordsError, match=f"is a {kind}: it needs a schema with"):
            ps.fit(source, tmp_path / "one.toml", epsilon=1, delta=1e-6)


@pytest.mark.parametrize("generator", ["vae", "gan"])
def test_generators_that_train_are_refused_before_anything_is_loaded(place, generator, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    schema = place / "database.toml"
    with pytest.raises(MechanismError, match=f"^{generator} trains on single rows.* for several tables$"):
        ps.fit(place / "no such file.sqlite", schema, epsilon=1, delta=1e-6, generator=generator)
    with pytest.raises(MechanismError, match=f"^{generator} trains on single rows.* for several tables$"):
        ps.audit_generator(generator, schema=schema, epsilon=1, delta=1e-6, plan="quick", rng=np.random.default_rng(1))
