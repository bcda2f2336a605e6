"""What a policy checks of several tables: each of them, their keys and derived columns, and the columns that it names."""

import pyarrow as pa
import pytest

from privsynth.database.document import DatabaseSchema
from privsynth.policy import Policy
from tests import made_database
from tests import made_database_files as files

SCHEMA = DatabaseSchema.loads(made_database.CLINIC_TOML)
HARBOR = '[deidentification]\nprofile = "hipaa-safe-harbor"\n'


def results(schema=SCHEMA, more=""):
    return {check.rule: check for check in Policy.loads(files.POLICY + more).check_database(schema)}


def changed(old, new):
    assert old in made_database.CLINIC_TOML
    return DatabaseSchema.loads(made_database.CLINIC_TOML.replace(old, new))


@pytest.fixture(scope="module")
def tables():
    return files.tables(units=50, secret="")


def released(tables, more=""):
    return {check.rule: check for check in Policy.loads(files.POLICY + more).check_tables(SCHEMA, tables)}


def test_a_sound_schema_passes_every_rule_once():
    found = results()
    assert {check.result for check in found.values()} <= {"pass", "not-applicable"}
    assert "in all tables are protected together" in found["unit-declared"].detail


def test_a_rule_fails_where_one_table_fails_it_and_names_that_table():
    found = results(changed('values = ["x", "y", "z"]', 'values = ["x", "y", "078-05-1120"]'))["declared-labels-clean"]
    assert found.result == "fail"
    assert found.detail.startswith("diagnoses: ") and "stays" not in found.detail


def test_keys_need_room_for_all_rows_that_there_may_be():
    """10,000 patients with at most 6 stays each: 60,000 keys."""
    assert results(changed('make = "S-########"', 'make = "S-####"'))["identifiers-never-issued"].result == "fail"
    assert results(changed('make = "S-########"', 'make = "S-#####"'))["identifiers-never-issued"].result == "pass"


def test_a_policy_names_a_column_by_itself_or_with_its_table_and_no_other():
    named = '[deidentification.cleared]\n"stays.ward" = "letters"\ncode = "letters"\n'
    found = results(more=named)
    assert found["policy-columns-known"].result == "pass"
    assert found["column-cleared"].result == "attested"
    unknown = results(more='[deidentification.cleared]\n"patients.ward" = "letters"\n')["policy-columns-known"]
    assert unknown.result == "fail" and "patients.ward" in unknown.detail


def test_safe_harbor_holds_in_every_table_and_lets_no_computed_age_pass():
    found = results(more=HARBOR)
    assert found["hipaa-dates"].result == "fail"
    for name in ("patients", "stays", "diagnoses"):
        assert f"{name}: " in found["hipaa-dates"].detail
    assert found["hipaa-derived"].result == "fail" and '"age"' in found["hipaa-derived"].detail


def test_released_tables_are_searched_one_by_one(tables):
    assert all(check.result in {"pass", "not-applicable"} for check in released(tables).values())
    one = tables["stays"]
    wards = pa.array(["jane.roe@hospital.org", *one["ward"].to_pylist()[1:]])
    bad = released({**tables, "stays": one.set_column(one.column_names.index("ward"), "ward", wards)})
    assert bad["no-e-mail"].result == "fail" and bad["no-e-mail"].detail.startswith("stays: ")
    assert bad["released-labels"].result == "fail"


def test_a_table_or_column_too_many_or_missing_fails(tables):
    assert released({**tables, "notes": tables["stays"]})["released-tables"].result == "fail"
    assert released({"patients": tables["patients"]})["released-tables"].result == "fail"
    less = released({**tables, "diagnoses": tables["diagnoses"].drop_columns(["patient_id"])})["released-columns"]
    assert less.result == "fail" and "patient_id" in less.detail


def test_a_policy_of_several_tables_lists_no_generator_that_is_for_one_alone():
    text = Policy.load("partner-sharing").describe(SCHEMA, one_table_only=("vae", "gan"))
    assert "Generators for several tables: auto, latent_class, aim, mst, independent (auto where none is named)" in text
    assert "with all rows in all tables together" in text and "at most one row" not in text
    bought = changed("bound = {rows = 6}", 'bound = {rows = "buy", most = 6}')
    assert "stays as many as are bought, diagnoses 8" in Policy.load("partner-sharing").describe(bought)
