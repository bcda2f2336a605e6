"""The path from several private tables to a published folder: what it makes, refuses, goes on with and forfeits."""

import csv
import json
import sqlite3
import subprocess
from contextlib import closing
from dataclasses import replace

import pytest

from privsynth import api, releasing
from privsynth.auditing import histories as auditing
from privsynth.certificate import keys
from privsynth.certificate.keys import Signer
from privsynth.certificate.predicate import require
from privsynth.database import reading, writing
from privsynth.database.document import DatabaseSchema
from privsynth.errors import AuditFailed, OutputError, PolicyRefusal, RefusedError, SchemaError
from privsynth.findings import Findings
from privsynth.histories import measuring
from privsynth.policy import Policy
from privsynth.releasing import path as release_path
from privsynth.releasing.database_terms import database_terms
from privsynth.releasing.several_tables import SeveralTables
from privsynth.releasing.workspace import Workspace
from tests import clinic, made_database
from tests import made_database_files as files

DATA = {f"data/{name}.{kind}" for name in ("patients", "stays", "diagnoses") for kind in ("csv", "parquet")}
DATABASE = "data/clinic.sqlite"
OTHERS = {"dictionary.json", "measurements.json", "report.html", "schema.json", "verify.sh"}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("several")
    source, schema, policy = files.write(folder)
    keys.new(folder / "key.pem", folder / "trust.toml", "machine")
    return {"folder": folder, "source": source, "schema": DatabaseSchema.load(schema), "policy": Policy.load(policy)}


def release(place, out, ledger, **changes):
    arguments = {
        "schema": place["schema"],
        "policy": place["policy"],
        "signer": Signer.load(place["folder"] / "key.pem"),
        "out": out,
        "ledger": ledger,
    }
    source = changes.pop("source", place["source"])
    return releasing.release(source, **(arguments | changes))


@pytest.fixture(scope="module")
def made(place, tmp_path_factory):
    out, ledger = tmp_path_factory.mktemp("made") / "release", clinic.fresh_ledger()
    with pytest.MonkeyPatch.context() as patch:
        files.pass_every_audit(patch.setattr)
        return release(place, out, ledger), ledger


@pytest.fixture
def make(place, tmp_path, monkeypatch):
    files.pass_every_audit(monkeypatch.setattr)

    def run(**changes):
        arguments = {"out": tmp_path / "release", "ledger": clinic.fresh_ledger()}
        return release(place, **(arguments | changes))

    return run


def rows(folder, table):
    with (folder / "data" / f"{table}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_every_table_is_a_signed_file_and_the_certificate_says_its_bound(made, place):
    folder = made[0].folder
    verified = api.verify(folder, trust=place["folder"] / "trust.toml")
    assert set(verified.files) == DATA | {DATABASE} | OTHERS
    said = require(verified.predicate).schema_
    assert [(table.name, table.parent) for table in said.tables] == [
        ("patients", None),
        ("stays", "patients"),
        ("diagnoses", "stays"),
    ]
    assert [table.rows for table in said.tables] == [len(rows(folder, table.name)) for table in said.tables]
    bounds = [table.bound and (table.bound.rows, table.bound.keep, table.bound.weights) for table in said.tables]
    assert bounds == [None, (6, "random", "unit"), (8, "first", "unit")]
    assert said.digest.sha256 == place["schema"].digest()
    limits = " ".join(verified.predicate["limitations"])
    assert "stays: Of a patient with more than 6 stays, 6 are used, drawn at random." in limits
    assert "keys lead to" in verified.predicate["guarantee"]["assumptions"][-1]


def test_released_keys_link_and_nothing_of_the_source_s_keys_is_anywhere(made):
    folder = made[0].folder
    patients = {row["patient_id"] for row in rows(folder, "patients")}
    stays = {row["stay_id"] for row in rows(folder, "stays")}
    assert len(patients) == len(rows(folder, "patients")) and len(stays) == len(rows(folder, "stays"))
    assert {row["patient_id"] for row in rows(folder, "stays")} <= patients
    assert {row["stay_id"] for row in rows(folder, "diagnoses")} <= stays | {""}
    for place in (folder, folder.with_name("release.internal")):
        written = [path for path in place.rglob("*") if path.is_file()]
        assert written and not any(files.SECRET.encode() in path.read_bytes() for path in written)


def test_a_database_file_comes_out_as_one_with_its_keys(made, place):
    folder = made[0].folder
    with closing(sqlite3.connect(folder / DATABASE)) as connection:
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        links = {link[2] for link in connection.execute("PRAGMA foreign_key_list(diagnoses)")}
        assert links == {"stays", "patients"}
        wards = connection.execute("SELECT stay_id, ward FROM stays").fetchall()
    assert wards == [(row["stay_id"], row["ward"] or None) for row in rows(folder, "stays")]
    pem = (place["folder"] / "trust.toml").read_text().partition("-----BEGIN")[2].partition("END PUBLIC KEY-----")[0]
    (place["folder"] / "public.pem").write_text(f"-----BEGIN{pem}END PUBLIC KEY-----\n")
    command = ["sh", str(folder / "verify.sh"), str(place["folder"] / "public.pem")]
    assert "VERIFIED" in subprocess.run(command, check=True, capture_output=True, text=True).stdout
    described = json.loads((folder / "dictionary.json").read_text())["distribution"]
    (told,) = [file for file in described if file["@id"] == DATABASE]
    assert told["encodingFormat"] == "application/vnd.sqlite3" and "foreign keys" in told["description"]
    assert f"with their keys declared, are in {DATABASE}, too" in (folder / "report.html").read_text()


@pytest.mark.parametrize("kind", ["folder", "duckdb"])
def test_the_same_kind_comes_out(make, tmp_path, kind):
    source = tmp_path / ("in.duckdb" if kind == "duckdb" else "in")
    for file in writing.write(files.tables(), source, kind):
        if file.suffix == ".parquet":
            file.unlink()
    folder = make(source=source).folder
    more = {"data/clinic.duckdb"} if kind == "duckdb" else set()
    assert {str(file.relative_to(folder)) for file in folder.rglob("*.*")} == DATA | OTHERS | more | {
        "certificate.json"
    }
    for name in more:
        assert files.SECRET.encode() not in (folder / name).read_bytes()
        found = reading.read_public(folder / name, DatabaseSchema.loads(made_database.CLINIC_TOML))
        assert found.tables["stays"].count == len(rows(folder, "stays"))


def test_what_was_spent_is_the_whole_budget_and_the_stages_name_their_tables(made, place):
    release_made, ledger = made
    agreed = database_terms(place["schema"], place["policy"])
    assert ledger.balance("clinic").spent == agreed.cost
    assert [entry.kind for entry in ledger.entries()] == ["open", "reserve", "begin", "commit"]
    promise = release_made.predicate["guarantee"]
    stages = [(stage["stage"], float(stage["rho"])) for stage in promise["stages"]]
    assert {name.partition(": ")[0] for name, _ in stages} == {"patients", "stays", "diagnoses"}
    assert sum(rho for _, rho in stages) == pytest.approx(float(agreed.budget.rho), rel=1e-6)
    assert promise["unit"] == {"name": "patient", "column": "patient_id", "maxRows": 1}


def test_the_dictionary_links_its_record_sets(made):
    document = json.loads((made[0].folder / "dictionary.json").read_text())
    fields = {field["@id"]: field for records in document["recordSet"] for field in records["field"]}
    assert fields["stays/patient_id"]["references"] == {"field": {"@id": "patients/patient_id"}}
    assert fields["diagnoses/stay_id"]["references"] == {"field": {"@id": "stays/stay_id"}}
    assert fields["stays/age"]["dataType"] == "sc:Integer"
    assert "stays.admit <= patients.death" in document["privsynth:rules"]


def test_the_measurements_rebuild_the_distributions_without_the_tables(made, place):
    subject = SeveralTables(database_terms(place["schema"], place["policy"]))
    document = json.loads((made[0].folder / "measurements.json").read_text())
    again = subject.model(subject.from_files(document, {}))
    assert again.distributions["patients"].total == pytest.approx(500 * 0.6, abs=60)
    assert again.used == {"patients": 1, "stays": 6, "diagnoses": 8}


def test_the_report_says_bounds_sizes_rules_and_parts(made):
    text = (made[0].folder / "report.html").read_text()
    for words in (
        "How much of one patient was used",
        "rows in stays, of one row in patients",
        "rows in diagnoses that are in no row of stays, of one row in patients",
        "No released row has a key that leads nowhere",
        "is so by chance, unless the schema names a range that is never issued",
        "stays: each row has its patients",
        "the audit: ",
        "have as many or more; more were not told apart",
    ):
        assert words in text
    assert len(text) < 1_000_000 and "<script" not in text


def stop():
    raise KeyboardInterrupt


def test_killed_before_its_answers_are_safe_it_is_forfeited(make, monkeypatch):
    ledger = clinic.fresh_ledger()
    with monkeypatch.context() as patch:
        patch.setattr(Workspace, "save_measurements", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            make(ledger=ledger)
    with pytest.raises(RefusedError, match="cut off while it measured"):
        make(ledger=ledger)
    assert [entry.kind for entry in ledger.entries()] == ["open", "reserve", "begin", "forfeit"]


def test_killed_after_its_answers_are_safe_it_goes_on_and_measures_nothing_again(make, monkeypatch):
    ledger = clinic.fresh_ledger()
    with monkeypatch.context() as patch:
        patch.setattr(release_path, "_audited", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            make(ledger=ledger)
    other = files.tables(secret="OTHER")  # noqa: S106 - a planted value to look for, not a password
    with pytest.raises(RefusedError, match="another table"):
        make(source=other, ledger=ledger)
    monkeypatch.setattr(measuring, "measure", lambda *_, **__: pytest.fail("it was measured again"))
    written, write = [], Workspace.write_candidate
    with monkeypatch.context() as patch:
        patch.setattr(
            Workspace,
            "write_candidate",
            lambda place, name, content: (
                written.append(name),
                len(written) > 4 and stop(),
                write(place, name, content),
            ),
        )
        with pytest.raises(KeyboardInterrupt):
            make(ledger=ledger)
    assert written[0].startswith("data/")
    with monkeypatch.context() as patch:
        patch.setattr(Workspace, "publish", lambda _: (_ for _ in ()).throw(OutputError("stopped")))
        with pytest.raises(OutputError):
            make(ledger=ledger)
    assert make(ledger=ledger).folder.exists()
    assert [entry.kind for entry in ledger.entries()] == ["open", "reserve", "begin", "commit"]


def test_a_failed_audit_forfeits_and_its_reasons_hold_no_data(make, monkeypatch, tmp_path):
    ledger = clinic.fresh_ledger()
    (row,) = clinic.passing_audit().rows
    failed = replace(row, check="histories: history ratio, everyone", verdict="FAIL")
    monkeypatch.setattr(auditing, "run", lambda *_, **__: Findings(rows=(failed,)))
    with pytest.raises(AuditFailed, match="history ratio"):
        make(ledger=ledger)
    assert [entry.kind for entry in ledger.entries()][-1] == "forfeit"
    assert {path.name for path in (tmp_path / "release.refused").iterdir()} == {"refusal.html", "refusal.json"}
    assert not (tmp_path / "release").exists()
    assert not list(tmp_path.rglob("*.csv"))


def test_without_units_to_spare_a_copy_fitted_on_half_is_attacked(make, monkeypatch):
    seen = {}

    def run(_, *, synthetic, members, controls, transcripts, used, published, **_others):
        seen["published"] = published
        seen.update(units=(members.open().units, controls.open().units), synthetic=synthetic, used=used)
        seen["measured"] = set(transcripts)
        return clinic.passing_audit()

    monkeypatch.setattr(auditing, "run", run)
    shipped = (clinic.SHIPPED.parents[2] / "policies" / "internal-research.toml").read_text()
    alone = shipped.replace('control = "holdout"', 'control = "half-copy"')
    policy = Policy.loads(alone + '[population]\nid = "clinic"\npublic_size = 10000\n')
    made = make(policy=policy, generator="independent")
    one, other = seen["units"]
    assert abs(one - other) < 100 and one + other > 400
    assert seen["synthetic"].units == made.predicate["schema"]["tables"][0]["rows"]
    assert seen["measured"] == {"patients", "stays", "diagnoses"}
    assert seen["published"] is not seen["synthetic"]
    tables = {table["name"]: table["rows"] for table in made.predicate["schema"]["tables"]}
    assert {name: found.count for name, found in seen["published"].tables.items()} == tables


def changed(old, new):
    assert old in made_database.CLINIC_TOML
    return DatabaseSchema.loads(made_database.CLINIC_TOML.replace(old, new))


@pytest.mark.parametrize(
    ("terms", "error", "words"),
    [
        ({"policy": files.POLICY.replace('name = "patient"', 'name = "row"')}, PolicyRefusal, "protects a row"),
        (
            {"policy": files.POLICY.replace(files.GIVEN, 'allow = ["vae"]\ndefault = "vae"\n')},
            PolicyRefusal,
            "single rows",
        ),
        ({"generator": "aim"}, PolicyRefusal, "does not allow"),
        ({"schema": ('make = "S-########"', 'make = "S-##"')}, PolicyRefusal, "lengthen its pattern"),
        ({"schema": ('values = ["A", "B", "C"]', 'values = ["A", "jane.roe@hospital.org"]')}, PolicyRefusal, "stays: "),
        ({"schema": ("tables.diagnoses", 'tables."my diagnoses"')}, SchemaError, "cannot name a file"),
    ],
)
def test_what_is_public_is_checked_before_anything_is_read_or_spent(make, tmp_path, terms, error, words):
    ledger, changes = clinic.fresh_ledger(), dict(terms)
    if "policy" in changes:
        changes["policy"] = Policy.loads(changes["policy"])
    if "schema" in changes:
        changes["schema"] = changed(*changes["schema"])
    with pytest.raises(error, match=words):
        make(ledger=ledger, source=tmp_path / "nowhere", **changes)
    assert not ledger.entries()
    assert not (tmp_path / "release.internal").exists()
