"""Rules files: what is declared is checked before a row is made, and what is wrong is said with a remedy."""

from pathlib import Path

import pytest

from privsynth.errors import SchemaError
from privsynth.making.document import RulesFile

EXAMPLE = Path(__file__).parents[3] / "examples" / "imagined_clinic" / "rules.toml"

COLUMNS = """
[table]
name = "t"
unit = "person"
[columns.person]
kind = "identifier"
make = "P-######"
[columns.sex]
kind = "category"
values = ["F", "M", "X"]
[columns.flag]
kind = "boolean"
missing = [""]
[columns.age]
kind = "integer"
lower = 0
upper = 99
missing = [""]
[columns.charge]
kind = "number"
lower = "0"
upper = "100"
precision = "0.5"
[columns.day]
kind = "date"
lower = 2001-01-01
upper = 2001-12-31
[columns.later]
kind = "date"
after = "day"
lower = 0
upper = 9
[columns.note]
kind = "text"
drop = true
"""


def loads(text):
    return RulesFile.loads(COLUMNS + text)


def test_the_example_is_read_in_an_order_that_can_be_made():
    found = RulesFile.load(EXAMPLE)
    place = {name: index for index, name in enumerate(found.order)}
    for before, after in [
        ("age", "ward"),
        ("ward", "discharged"),
        ("admitted", "discharged"),
        ("bed_charge", "charge"),
    ]:
        assert place[before] < place[after]


def test_a_schema_beside_the_rules(tmp_path):
    (tmp_path / "schema.toml").write_text(COLUMNS)
    rules = tmp_path / "rules.toml"
    rules.write_text('schema = "schema.toml"\n[make.age]\nhow = "uniform"\nlower = 18\n')
    assert RulesFile.load(rules).schema.table.name == "t"
    with pytest.raises(SchemaError, match="have no folder to look in"):
        RulesFile.loads(rules.read_text())
    for content, says in (
        ('schema = "schema.toml"\n' + COLUMNS, "one of the two"),
        ("[make.age]\nhow = 'value'\nvalue = 3\n", "one of the two"),
        ("schema = 3\n", "schema: expected a path"),
        ('schema = "none.toml"\n', "none.toml: cannot be read"),
        ("schema = ", "expected TOML"),
        (b"\xff", "not UTF-8"),
    ):
        rules.write_bytes(content if isinstance(content, bytes) else content.encode())
        with pytest.raises(SchemaError, match=says):
            RulesFile.load(rules)
    with pytest.raises(SchemaError, match="cannot be read"):
        RulesFile.load(tmp_path / "absent.toml")


def make(column, text):
    return f"[make.{column}]\n{text}\n"


WRONG = [
    ("maek = 3\n" + COLUMNS, 'unknown key "maek"; expected schema'),
    ('locale = "english"\n' + COLUMNS, 'locale: expected a language and a country such as "en_US"'),
    (make("agee", 'how = "uniform"'), r"\[make.agee\] in rules.toml: the schema has no such column"),
    (make("age", "mean = 3"), r"\[make.age\] in rules.toml: .*'how' is missing"),
    (make("age", 'how = "gamma"'), "'gamma' is unknown; expected one of"),
    (make("age", 'how = "normal"\nmean = 3'), 'key "sd" is missing'),
    (make("age", 'how = "normal"\nmean = 3\nsd = -1'), r"sd: .*found -1"),
    (make("age", 'how = "normal"\nmean = "x"\nsd = 1'), "mean: expected .*found 'x'"),
    (make("age", 'how = "normal"\nmean = 3\nsd = 1\nmode = 3'), 'unknown key "mode"'),
    (make("age", 'how = "poisson"\nmean = 1e300'), "mean: "),
    (
        make("age", 'how = "poisson"\nmean = 3\nmissing = 1.5'),
        "missing.otherwise: expected less than or equal to 1, found 1.5",
    ),
    (make("age", 'how = "uniform"\nmissing = {rates = {F = 1}}'), "missing: expected a rate, or"),
    (make("charge", 'how = "poisson"\nmean = 3\nmissing = 0.5'), "missing: the column declares no missing values"),
    (make("person", 'how = "value"\nvalue = "x"'), 'how = "value" makes no identifier column'),
    (make("person", 'how = "faker"\nprovider = "name"'), "repeats itself, and this column is a key or the unit"),
    (make("note", 'how = "faker"\nprovider = "ssn"'), 'provider "ssn" is not offered'),
    (make("sex", 'how = "faker"\nprovider = "name"'), 'is for columns of kind "identifier" or "text"'),
    (
        make("note", 'how = "given"\ncolumn = "sex"\nwhen = {F = {how = "labels"}}'),
        "identifiers and text depend on nothing",
    ),
    (make("sex", 'how = "labels"\nweights = {Q = 1}'), "'Q' is none of its labels"),
    (make("sex", 'how = "labels"\nweights = {F = 0}'), "at least one must be above zero"),
    (make("sex", 'how = "labels"\nweights = {F = 1, M = 1, X = 1}\nrest = 1'), "none is left to share it"),
    (make("age", 'how = "labels"'), 'makes labels, and the column is of kind "integer"'),
    (make("day", 'how = "normal"\nmean = 1\nsd = 1'), 'makes amounts, and the column is of kind "date"'),
    (make("day", 'how = "zipf"\nexponent = 1'), "needs labels or amounts"),
    (make("day", 'how = "uniform"\nlower = 2000-01-01'), "lower: 2000-01-01 lies outside the column's bounds"),
    (make("age", 'how = "uniform"\nlower = 9\nupper = 3'), "lower 9 is above upper 3"),
    (make("sex", 'how = "uniform"\nlower = "F"'), "labels without order have no lower and upper"),
    (make("age", 'how = "value"\nvalue = 100'), "100 lies outside the column's bounds"),
    (make("later", 'how = "value"\nvalue = 2001-01-02'), 'expected whole days after "day"'),
    (make("charge", 'how = "value"\nvalue = 0.3'), "not a multiple of 0.5"),
    (make("sex", 'how = "logistic"\nlabel = "F"'), "for columns of two labels"),
    (make("flag", 'how = "logistic"\nlabel = "F"'), "'F' is none of its labels"),
    (make("age", 'how = "linear"\nper = {sex = 1}'), 'per: "sex" is no number'),
    (make("age", 'how = "linear"\nper = {day = 1}'), 'per: "day" is no number'),
    (make("age", 'how = "linear"\neffects = {sex = {Q = 1}}'), "effects.sex: .*'Q' is none of its labels"),
    (make("age", 'how = "sum"\nparts = ["flag"]'), 'parts: "flag" is no number'),
    (make("age", 'how = "sum"\nparts = []'), "parts: expected at least 1 in the list"),
    (make("age", 'how = "linear"\nper = {age = 1}'), "a column cannot depend on itself"),
    (make("age", 'how = "linear"\nper = {person = 1}'), 'there is no column "person" to depend on'),
    (
        make("age", 'how = "linear"\nper = {charge = 1}') + make("charge", 'how = "linear"\nper = {age = 1}'),
        "in a circle: age needs charge needs age; let one of them",
    ),
    (
        make("day", 'how = "given"\ncolumn = "later"\nwhen = {1 = {how = "uniform"}}\notherwise = {how = "uniform"}'),
        "circle",
    ),
    (make("age", 'how = "given"\ncolumn = "sex"\nwhen = {}'), "when: "),
    (
        make("age", 'how = "given"\ncolumn = "sex"\nwhen = {F = {how = "labels"}}\notherwise = {how = "uniform"}'),
        "makes labels",
    ),
    (
        make("age", 'how = "given"\ncolumn = "sex"\nwhen = {F = {how = "poisson"}}'),
        r"when.F.mean|when.F: key|\"when.F.mean\"",
    ),
    (make("age", 'how = "given"\ncolumn = "sex"\nwhen = {F = {how = "uniform"}}'), 'where "sex" is M, X; add them'),
    (
        make("age", 'how = "given"\ncolumn = "flag"\nwhen = {true = {how = "uniform"}, false = {how = "uniform"}}'),
        'where "flag" is missing',
    ),
    (make("age", 'how = "given"\ncolumn = "charge"\nwhen = {"0 to 9" = {how = "uniform"}}'), "say otherwise"),
    (
        make(
            "sex", 'how = "given"\ncolumn = "age"\nwhen = {"9 to 3" = {how = "labels"}}\notherwise = {how = "labels"}'
        ),
        "holds no value",
    ),
    (make("age", 'how = "uniform"\nmissing = {column = "sex", rates = {Q = 1}}'), "missing.rates: .*'Q' is none"),
    ('[unit]\nrows = {how = "normal", mean = 3, sd = 1}\n', r"\[unit\] in rules.toml: rows: "),
    ('[unit]\nrows = {how = "poisson", mean = 3}\nsame = ["sexx"]\n', 'no column "sexx"'),
    (
        '[unit]\nrows = {how = "poisson", mean = 3}\nsame = ["age"]\n'
        + make("age", 'how = "linear"\nper = {charge = 1}'),
        'same: "age" depends on "charge", which differs from row to row',
    ),
]


@pytest.mark.parametrize(("text", "says"), WRONG)
def test_what_is_wrong_is_said(text, says):
    with pytest.raises(SchemaError, match=says):
        RulesFile.loads(text if "[table]" in text else COLUMNS + text)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('unit = "person"\n', "", "the schema names no unit"),
        ('unit = "person"\n', 'unit = "sex"\n', "is no identifier"),
        ('unit = "person"\n', 'unit = "person"\nkey = ["person"]\n', "is part of the key"),
    ],
)
def test_units_need_an_identifier_that_may_repeat(old, new, says):
    with pytest.raises(SchemaError, match=says):
        RulesFile.loads(COLUMNS.replace(old, new) + '[unit]\nrows = {how = "poisson", mean = 3}\n')


def test_what_is_to_be_bought_cannot_be_imagined():
    with pytest.raises(SchemaError, match=r"leaves something to buy \(city\)"):
        loads('[columns.city]\nkind = "category"\nbuy = true\n')
