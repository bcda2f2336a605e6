import pyarrow as pa
import pytest

from privsynth.policy import Policy
from privsynth.schema import Schema

SECRETS = {
    "payment-card": "4111 1111 1111 1111", "us-ssn": "219-09-9999", "us-npi": "1234567893", "iban": "GB82WEST12345698765432",
    "vin": "1M8GDM9AXKP042788", "e-mail": "ann.lee@hospital.com", "phone": "212-555-7777", "ip-address": "8.8.4.4",
    "ipv6-address": "2001:4860:4860::8844", "url": "https://clinic.de/ann", "mrn": "MRN-000123",
}  # fmt: skip
COLUMNS = """
[table]
name = "visits"
unit = "patient"
[columns.patient]
kind = "identifier"
make = "P-########"
[columns.sex]
kind = "category"
values = ["f", "m"]
missing = ["?"]
[columns.smoker]
kind = "boolean"
[columns.stay]
kind = "integer"
lower = 0
upper = 10
[columns.cost]
kind = "number"
lower = "0"
upper = "99"
precision = "0.01"
[columns.admit]
kind = "date"
lower = 2001-01-01
upper = 2002-01-01
[columns.note]
kind = "text"
drop = true
"""
SCHEMA = Schema.loads(COLUMNS)
HEAD = '[policy]\nname = "x"\nversion = "1"\nextends = ["partner-sharing"]\n[deidentification]\n'
POLICY = Policy.loads(HEAD + 'mrn_pattern = "MRN-[0-9]{6}"\n')


def table(**changes):
    columns = {
        "patient": ["P-00000001", "P-00000002"], "sex": ["f", "?"], "smoker": [True, None], "stay": [1, None],
        "cost": [1.25, None], "admit": pa.array([11500, None], pa.date32()),
    }  # fmt: skip
    return pa.table({**columns, **changes})


def results(checks):
    return {check.rule: check for check in checks}


def schema_with(old, new):
    assert old in COLUMNS
    return Schema.loads(COLUMNS.replace(old, new))


def test_a_good_schema_and_a_good_release_pass_every_rule():
    for check in POLICY.check_schema(SCHEMA):
        assert check.result in ("pass", "not-applicable"), check
        assert check.method == "machine"
    for check in POLICY.check_release(SCHEMA, table()):
        assert check.result == "pass", check
        assert check.citation
        assert check.detail


def test_there_is_one_rule_for_every_detector():
    rules = [check.rule for check in POLICY.check_release(SCHEMA, table())]
    assert {f"no-{name}" for name in SECRETS} <= set(rules)
    assert len(rules) == len(set(rules))


@pytest.mark.parametrize("name", SECRETS)
@pytest.mark.parametrize("column", ["patient", "sex"])
def test_a_planted_identifier_fails_its_own_rule_and_is_quoted_nowhere(name, column):
    planted = table(**{column: ["f", SECRETS[name]]})
    checks = POLICY.check_release(SCHEMA, planted)
    found = results(checks)[f"no-{name}"]
    assert found.result == "fail"
    assert f'column "{column}"' in found.detail
    assert not any(SECRETS[name] in repr(check) for check in checks)


@pytest.mark.parametrize("kind", [pa.int64(), pa.float64(), pa.decimal128(19, 0)])
def test_a_card_number_in_a_column_of_numbers_fails(kind):
    planted = table(stay=pa.array([3, 4111111111111111], pa.int64()).cast(kind))
    found = results(POLICY.check_release(SCHEMA, planted))["no-payment-card"]
    assert found.result == "fail"
    assert found.detail.startswith('column "stay" holds payment card numbers')
    assert "4111" not in repr(found)


@pytest.mark.parametrize("kind", [pa.large_string(), pa.dictionary(pa.int32(), pa.string())])
def test_other_kinds_of_text_are_searched_too(kind):
    planted = table(sex=pa.array(["f", SECRETS["e-mail"]]).cast(kind))
    found = results(POLICY.check_release(SCHEMA, planted))["no-e-mail"]
    assert (found.result, found.detail) == ("fail", 'column "sex" holds e-mail addresses')


@pytest.mark.parametrize("value", [pa.array([["f"], ["x@y.de"]]), pa.array([b"f", b"x"]), pa.array([{"a": 1}, None])])
def test_a_column_that_cannot_be_searched_fails_every_detector(value):
    planted = table(sex=value)
    extra = planted.drop_columns(["sex"]).append_column("other", value)
    found = results(POLICY.check_release(SCHEMA, extra))
    assert all(found[f"no-{name}"].result == "fail" for name in SECRETS)
    assert "could not run" in found["no-e-mail"].detail


def test_a_label_that_nobody_declared_fails_without_being_quoted():
    checks = results(POLICY.check_release(SCHEMA, table(sex=["f", "Xanthippe"])))
    assert checks["released-labels"].result == "fail"
    assert 'column "sex"' in checks["released-labels"].detail
    assert "Xanthippe" not in repr(checks)
    assert results(POLICY.check_release(SCHEMA, table(smoker=["true", "perhaps"])))["released-labels"].result == "fail"


def test_columns_too_many_too_few_or_twice_fail():
    missing = results(POLICY.check_release(SCHEMA, table().drop_columns(["sex"])))["released-columns"]
    assert (missing.result, missing.detail) == ("fail", 'column "sex" is declared and not in the released table')
    extra = results(POLICY.check_release(SCHEMA, table(note=["x", "y"])))["released-columns"]
    assert (extra.result, extra.detail) == ("fail", 'column "note" is in the released table and not declared')
    twice = table().append_column("stay", pa.array([1, 2]))
    assert results(POLICY.check_release(SCHEMA, twice))["released-columns"].result == "fail"


def test_an_identifier_that_would_be_modelled_fails():
    schema = schema_with('values = ["f", "m"]', 'values = ["f", "m"]\nrole = "identifier"')
    found = results(POLICY.check_schema(schema))["identifiers-not-modelled"]
    assert found.result == "fail"
    assert 'column "sex"' in found.detail


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ('range = "us-ssn"', 'no range "us-ssn"'), ('make = "###-##-####"', "somebody may hold"),
        ('make = "P-"', "nothing to fill in"),
        ('make = "MRN-######"', "medical record numbers of the policy's form"), ('faker = "ssn"', "not offered"),
    ],
)  # fmt: skip
def test_identifiers_that_could_be_somebodys_fail_before_anything_is_spent(how, said):
    found = results(POLICY.check_schema(schema_with('make = "P-########"', how)))["identifiers-never-issued"]
    assert found.result == "fail"
    assert said in found.detail


@pytest.mark.parametrize(("how", "result"), [("P-####", "fail"), ("P-#####", "pass")])
def test_a_range_too_small_for_the_rows_fails_before_anything_is_spent(how, result):
    schema = schema_with("P-########", how)
    declared = Policy.loads(HEAD.replace("[deid", "[records]\nrows = 10001\n[deid"))
    estimated = Policy.load("partner-sharing").with_population("clinic", 10_001)
    for policy in (declared, estimated):
        assert results(policy.check_schema(schema))["identifiers-never-issued"].result == result
    assert results(Policy.load("partner-sharing").check_schema(schema))["identifiers-never-issued"].result == "pass"


@pytest.mark.parametrize("name", SECRETS)
def test_declared_labels_and_markers_are_searched_before_anything_is_spent(name):
    for old, new in (
        ('values = ["f", "m"]', f'values = ["f", "{SECRETS[name]}"]'),
        ('missing = ["?"]', f'missing = ["?", "{SECRETS[name]}"]'),
    ):
        found = results(POLICY.check_schema(schema_with(old, new)))["declared-labels-clean"]
        assert found.result == "fail"
        assert 'column "sex"' in found.detail


def test_a_cleared_column_is_attested_and_never_passes_silently():
    schema = schema_with('values = ["f", "m"]', 'values = ["386661006", "f"]')
    assert results(POLICY.check_schema(schema))["declared-labels-clean"].result == "fail"
    cleared = Policy.loads(HEAD + 'cleared = { sex = "SNOMED codes" }\n')
    found = results(cleared.check_schema(schema))
    assert found["declared-labels-clean"].result == "pass"
    assert (found["column-cleared"].result, found["column-cleared"].method) == ("attested", "attested")
    assert "SNOMED codes" in found["column-cleared"].detail
    released = results(cleared.check_release(schema, table(sex=["386661006", "f"])))["no-us-ssn"]
    assert (released.result, released.method) == ("attested", "attested")
    elsewhere = table(sex=["386661006", "f"], patient=["386661006", "P-00000001"])
    assert results(cleared.check_release(schema, elsewhere))["no-us-ssn"].result == "fail"


@pytest.mark.parametrize("line", ['cleared = { sexx = "y" }', 'columns = { sexx = "age" }'])
def test_a_misspelt_column_in_the_policy_fails(line):
    found = results(Policy.loads(HEAD + line).check_schema(SCHEMA))["policy-columns-known"]
    assert found.result == "fail"
    assert '"sexx"' in found.detail


def test_without_a_unit_column_the_unit_is_attested_not_checked():
    schema = schema_with('unit = "patient"', "")
    found = results(POLICY.check_schema(schema))["unit-declared"]
    assert (found.result, found.method) == ("attested", "attested")
    assert results(POLICY.check_schema(SCHEMA))["unit-declared"].result == "pass"


def test_without_the_profile_safe_harbor_is_not_applicable():
    found = results(POLICY.check_schema(SCHEMA))["hipaa-safe-harbor"]
    assert found.result == "not-applicable"
