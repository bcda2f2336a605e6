import datetime as dt

import pyarrow as pa
import pytest

from privsynth.policy import Policy
from privsynth.schema import Schema

TODAY = dt.date(2026, 11, 22)
ATTESTED = """
[attestations.hipaa-other-identifiers]
by = "A. Roe, privacy officer"
on = 2026-11-01
document = "DPO-17"
[attestations.hipaa-actual-knowledge]
by = "A. Roe, privacy officer"
on = 2026-11-01
document = "DPO-18"
"""
HEAD = '[policy]\nname = "x"\nversion = "1"\nextends = ["partner-sharing", "hipaa-safe-harbor"]\n'


def policy(body=""):
    return Policy.loads(HEAD + body + ATTESTED)


def schema(**columns):
    head = '[table]\nname = "t"\nunit = "who"\n[columns.who]\nkind = "identifier"\nmake = "P-########"\n'
    return Schema.loads(head + "".join(f'[columns."{name}"]\n{text}\n' for name, text in columns.items()))


def category(*values, more=""):
    return f'kind = "category"\nvalues = [{", ".join(repr(value) for value in values)}]\n{more}'


def checked(one, rules, **columns):
    return {check.rule: check for check in one.check_schema(schema(**columns), today=TODAY)}[rules]


def released(one, rule, of_schema, **columns):
    rows = len(next(iter(columns.values())))
    table = pa.table({"who": ["P-00000000"] * rows, **columns})
    return {check.rule: check for check in one.check_release(of_schema, table, today=TODAY)}[rule]


def test_a_clean_schema_passes_or_is_attested_rule_by_rule():
    checks = policy().check_schema(schema(sex=category("f", "m")), today=TODAY)
    assert {check.result for check in checks} == {"pass", "not-applicable", "attested"}
    safe_harbor = [check for check in checks if check.citation.startswith("45 CFR 164.514(b)(2)")]
    letters = {check.citation.partition("(i)(")[2][:1] for check in safe_harbor if "(i)" in check.citation}
    assert letters == set("ABCDEFGHIJKLMNOPQR")
    assert not any("complian" in (check.rule + check.detail).lower() for check in checks)


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("surname", "hipaa-names"), ("city", "hipaa-geography"), ("phone", "hipaa-phone"), ("fax", "hipaa-fax"),
        ("email", "hipaa-e-mail"), ("ssn", "hipaa-ssn"), ("mrn", "hipaa-medical-record"), ("member_id", "hipaa-health-plan"),
        ("account_no", "hipaa-account"), ("npi", "hipaa-license"), ("vin", "hipaa-vehicle"), ("device_serial", "hipaa-device"),
        ("website", "hipaa-url"), ("ip_address", "hipaa-ip-address"), ("fingerprint", "hipaa-biometric"),
        ("photo", "hipaa-photo"),
    ],
)  # fmt: skip
def test_each_identifier_class_may_not_be_modelled_but_may_be_made_anew(name, rule):
    found = checked(policy(), rule, **{name: category("a", "b")})
    assert found.result == "fail"
    assert f'column "{name}"' in found.detail
    made = {name: 'kind = "identifier"\nmake = "P-########"', "sex": category("f")}
    assert checked(policy(), rule, **made).result == "pass"
    assert (
        checked(policy(f'[deidentification]\ncleared = {{ {name} = "no" }}\n'), rule, **{name: category("a")}).result
        == "pass"
    )
    renamed = policy(f'[deidentification]\ncolumns = {{ xyz = "{column_kind(rule)}" }}\n')
    assert checked(renamed, rule, xyz=category("a")).result == "fail"


def column_kind(rule):
    kinds = {"hipaa-names": "name", "hipaa-ssn": "us-ssn", "hipaa-medical-record": "mrn"}
    return kinds.get(rule, rule.removeprefix("hipaa-"))


@pytest.mark.parametrize(
    ("text", "result"),
    [
        (category("100", "000", "941"), "pass"), (category("100", "036"), "fail"), (category("100", "369"), "fail"),
        (category("100", "001"), "fail"), (category("10001"), "fail"), (category("100", "Other"), "fail"),
        (category("100", more='missing = ["?"]'), "pass"), ('kind = "category"\nbuy = true', "fail"),
        ('kind = "integer"\nlower = 100\nupper = 999', "fail"), ('kind = "ordered"\nvalues = ["100"]', "pass"),
    ],
)  # fmt: skip
def test_zip_columns(text, result):
    assert checked(policy(), "hipaa-zip3", zip=text).result == result


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ('kind = "integer"\nlower = 0\nupper = 90', "pass"), ('kind = "integer"\nlower = 0\nupper = 91', "fail"),
        ('kind = "number"\nlower = "0"\nupper = "90.5"\nprecision = "0.5"', "fail"),
        ('kind = "number"\nlower = "0"\nupper = "90"\nprecision = "0.5"', "pass"),
        ('kind = "integer"\nbuy = "bounds"', "fail"), ('kind = "ordered"\nvalues = ["[80-90)", "[90-100)"]', "pass"),
        ('kind = "ordered"\nvalues = ["89", "90", "91"]', "fail"), (category("old", "young"), "fail"),
        ('kind = "boolean"', "fail"), ('kind = "date"\nlower = 2001-01-01\nupper = 2002-01-01\ngranularity = "year"', "fail"),
    ],
)  # fmt: skip
def test_age_columns(text, result):
    assert checked(policy(), "hipaa-ages", age=text).result == result


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ('kind = "integer"\nlower = 1937\nupper = 2020', "pass"), ('kind = "integer"\nlower = 1936\nupper = 2020', "fail"),
        ('kind = "date"\nlower = 1937-01-01\nupper = 2020-01-01\ngranularity = "year"', "pass"),
        ('kind = "date"\nlower = 1936-12-31\nupper = 2020-01-01\ngranularity = "year"', "fail"),
        (category("1937 or earlier", "1938"), "pass"), (category("1930", "1950"), "fail"), (category("old", "young"), "fail"),
        ('kind = "integer"\nbuy = "bounds"', "fail"),
    ],
)  # fmt: skip
def test_years_of_birth_that_tell_an_age_over_89(text, result):
    assert checked(policy(), "hipaa-birth-years", birth_year=text).result == result


@pytest.mark.parametrize(
    ("name", "text", "result"),
    [
        ("admitted", 'kind = "date"\nlower = 2001-01-01\nupper = 2002-01-01\ngranularity = "year"', "pass"),
        ("admitted", 'kind = "date"\nlower = 2001-01-01\nupper = 2002-01-01\ngranularity = "month"', "fail"),
        ("admitted", 'kind = "date"\nlower = 2001-01-01\nupper = 2002-01-01', "fail"),
        ("admitted", 'kind = "datetime"\nlower = 2001-01-01T00:00:00\nupper = 2002-01-01T00:00:00\ngranularity = "day"',
        "fail"),
        ("month", category("Jan", "Feb"), "fail"), ("x", category("Jan 2008", "Feb 2008"), "fail"),
        ("x", category("2008"), "pass"),
        ("x", 'kind = "integer"\nlower = 20010101\nupper = 20081231', "fail"),
        ("x", 'kind = "integer"\nlower = 1000000000\nupper = 1200000000', "fail"),
        ("x", 'kind = "integer"\nlower = 0\nupper = 20081231', "pass"), ("x", 'kind = "integer"\nbuy = "bounds"', "pass"),
    ],
)  # fmt: skip
def test_dates_are_years(name, text, result):
    assert checked(policy(), "hipaa-dates", **{name: text}).result == result


def test_a_misleading_name_can_be_cleared_and_a_date_cannot():
    cleared = policy('[deidentification]\ncleared = { month = "months on the drug" }\n')
    assert checked(cleared, "hipaa-dates", month='kind = "integer"\nlower = 0\nupper = 60').result == "pass"
    assert checked(cleared, "column-cleared", month='kind = "integer"\nlower = 0\nupper = 60').result == "attested"
    day = 'kind = "date"\nlower = 2001-01-01\nupper = 2002-01-01'
    assert checked(cleared, "hipaa-dates", month=day).result == "fail"


@pytest.mark.parametrize("rule", ["hipaa-other-identifiers", "hipaa-actual-knowledge"])
def test_what_no_program_can_check_needs_a_named_person(rule):
    bare = Policy.loads(HEAD)
    missing = checked(bare, rule, sex=category("f"))
    assert missing.result == "fail"
    assert f"[attestations.{rule}]" in missing.detail
    said = checked(policy(), rule, sex=category("f"))
    assert (said.result, said.method) == ("attested", "attested")
    assert "A. Roe, privacy officer" in said.detail
    assert "DPO-1" in said.detail
    future = Policy.loads(HEAD + ATTESTED.replace("2026-11-01", "2026-11-23"))
    assert checked(future, rule, sex=category("f")).result == "fail"


@pytest.mark.parametrize(
    ("rule", "name", "text", "good", "bad"),
    [
        ("released-zip3", "zip", category("100", "000", more='missing = ["?"]'), ["100", "?"], ["100", "10001"]),
        ("released-ages", "age", 'kind = "integer"\nlower = 0\nupper = 90', [90, None], [91, 4]),
        ("released-ages", "age", 'kind = "ordered"\nvalues = ["0-89", "90+"]\nmissing = ["?"]', ["90+", "?"], ["0-89", "97"]),
        ("released-birth-years", "birth_year", 'kind = "integer"\nlower = 1937\nupper = 2020', [1937, None], [1936, 1950]),
        ("released-dates", "x", category("2008", "2009"), ["2008", "2009"], ["2008-01-02", "2009"]),
        ("released-dates", "x", 'kind = "date"\nlower = 2001-01-01\nupper = 2002-01-01\ngranularity = "year"', [2001, 2002],
         [dt.date(2001, 1, 1), dt.date(2001, 5, 6)]),
    ],
)  # fmt: skip
def test_the_released_values_are_looked_at_again_and_none_is_quoted(rule, name, text, good, bad):
    of_schema = schema(**{name: text})
    assert released(policy(), rule, of_schema, **{name: good}).result == "pass"
    found = released(policy(), rule, of_schema, **{name: bad})
    assert found.result == "fail"
    assert f'column "{name}"' in found.detail
    words = found.detail.replace("20,000", "").replace("2020 census", "").replace('"000"', "")
    assert not any(str(value) in words.replace("before 1937", "") for value in [*bad, 1936])
    gone = released(policy(), rule, of_schema, other=good)
    assert gone.result == "fail"
    assert "cannot be checked" in gone.detail


def test_rules_without_a_column_of_their_kind_do_not_apply():
    for rule in ("hipaa-zip3", "hipaa-ages", "hipaa-birth-years"):
        assert checked(policy(), rule, sex=category("f")).result == "not-applicable"
    found = released(policy(), "released-zip3", schema(sex=category("f")), sex=["f"])
    assert found.result == "not-applicable"


def test_today_is_the_day_of_the_check_when_none_is_given():
    born = schema(birth_year='kind = "integer"\nlower = 1800\nupper = 2020')
    checks = {check.rule: check for check in policy().check_schema(born)}
    assert checks["hipaa-birth-years"].result == "fail"
