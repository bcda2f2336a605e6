"""Schemas that contradict themselves: each is refused with a message that names the place and says what to do."""

import pytest

from privsynth.errors import SchemaError
from privsynth.schema import Schema

GOOD = {
    "category": 'kind = "category"\nvalues = ["a", "b"]',
    "ordered": 'kind = "ordered"\nvalues = ["lo", "hi"]',
    "integer": 'kind = "integer"\nlower = 0\nupper = 120',
    "number": 'kind = "number"\nlower = "0"\nupper = "10"\nprecision = "0.1"',
    "date": 'kind = "date"\nlower = 2001-01-01\nupper = 2001-12-31',
    "datetime": 'kind = "datetime"\nlower = 2001-01-01T00:00:00\nupper = 2001-12-31T00:00:00',
    "boolean": 'kind = "boolean"',
    "identifier": 'kind = "identifier"\nmake = "##"',
    "text": 'kind = "text"\ndrop = true',
}


def schema_with(column: str, name: str = "age", rest: str = "") -> str:
    return f'[table]\nname = "t"\n[columns.sex]\nkind = "category"\nvalues = ["F", "M"]\n[columns.{name}]\n{column}\n{rest}'


def refused(text: str) -> str:
    with pytest.raises(SchemaError) as caught:
        Schema.loads(text)
    return str(caught.value)


@pytest.mark.parametrize("kind", GOOD)
def test_the_good_ones_are_good(kind):
    assert Schema.loads(schema_with(GOOD[kind])).column("age").kind == kind


@pytest.mark.parametrize("kind", GOOD)
def test_unknown_keys_are_errors(kind):
    say = refused(schema_with(GOOD[kind] + "\nlowwer = 3"))
    assert '[columns.age] in schema.toml: unknown key "lowwer"' in say


INTEGER, NUMBER, DATE = GOOD["integer"], GOOD["number"], GOOD["date"]

WRONG_COLUMNS = {
    "no kind": ("values = ['a']", "kind"),
    "unknown kind": ("kind = 'float'", "kind 'float' is unknown; expected one of 'category', 'ordered'"),
    "bounds crossed": ("kind = 'integer'\nlower = 120\nupper = 90", "lower bound 120 is above upper bound 90"),
    "bounds absent": ("kind = 'integer'", 'buy = "bounds"'),
    "one bound absent": ("kind = 'integer'\nlower = 0", 'buy = "bounds"'),
    "bounds bought and declared": (INTEGER + "\nbuy = 'bounds'", "declared and bought at once"),
    "half a bound bought": ("kind='integer'\nlower=0\nbuy='bounds'", "declared and bought at once"),
    "edges bought and declared": (
        INTEGER + "\nbuy = 'edges'\nbins = {method = 'edges', edges = [5]}",
        "declared and bought at once",
    ),
    "edges without bounds": (
        "kind='integer'\nbuy='bounds'\nbins = {method = 'edges', edges = [5]}",
        "before the bounds are known",
    ),
    "edges bought without bounds": ("kind='integer'\nbuy='edges'", "bounds are not declared"),
    "text as bound": ("kind = 'integer'\nlower = 'zero'\nupper = 3", "lower: expected a whole number, found 'zero'"),
    "fraction as integer bound": ("kind = 'integer'\nlower = 0.5\nupper = 3", "expected a whole number"),
    "true as bound": ("kind = 'integer'\nlower = true\nupper = 3", "expected a whole number"),
    "nan bound": ("kind = 'number'\nprecision='1'\nlower = nan\nupper = 3", "finite"),
    "inf bound": ("kind = 'number'\nprecision='1'\nlower = 0\nupper = inf", "finite"),
    "nan in quotes": ("kind = 'number'\nprecision='1'\nlower = 'NaN'\nupper = 3", "finite"),
    "words as number": ("kind = 'number'\nprecision='1'\nlower = 'low'\nupper = 3", "decimal number"),
    "no precision": ("kind = 'number'\nlower = 0\nupper = 3", "precision is not declared"),
    "zero precision": ("kind = 'number'\nlower = 0\nupper = 3\nprecision = 0", "must be above zero"),
    "negative step": (INTEGER + "\nstep = -1", "must be above zero"),
    "bound off the grid": ("kind = 'number'\nlower = 0\nupper = '3.05'\nprecision = '0.1'", "not a multiple"),
    "bound off the step": ("kind = 'integer'\nlower = 1\nupper = 9\nstep = 2", "not a multiple"),
    "too many steps": ("kind = 'number'\nlower = 0\nupper = 1000000\nprecision = '0.000000000001'", "2^50"),
    "too large": ("kind = 'integer'\nlower = 0\nupper = 9000000000000000000", "2^50"),
    "atom outside": (INTEGER + "\natoms = [999]", "atoms: a value lies outside the bounds"),
    "atom below": (INTEGER + "\natoms = [-1]", "atoms: a value lies outside the bounds"),
    "atom twice": (INTEGER + "\natoms = [5, 5]", "declared twice"),
    "nan atom": (NUMBER + "\natoms = [nan]", "finite"),
    "edges not increasing": (INTEGER + "\nbins = {method = 'edges', edges = [5, 5]}", "edges must increase"),
    "edges outside": (INTEGER + "\nbins = {method = 'edges', edges = [5, 500]}", "outside the bounds"),
    "no edges": (INTEGER + "\nbins = {method = 'edges', edges = []}", "edges"),
    "too many bins": (INTEGER + "\nbins = {method = 'uniform', count = 122}", "only 121 values are admissible"),
    "no bins": (INTEGER + "\nbins = {method = 'uniform', count = 0}", "count"),
    "unknown method": (INTEGER + "\nbins = {method = 'kmeans', count = 3}", "'uniform', 'quantiles', 'log'"),
    "unknown key in bins": (INTEGER + "\nbins = {method = 'uniform', count = 3, seed = 1}", 'unknown key "bins.seed"'),
    "bins without count": (INTEGER + "\nbins = {method = 'uniform'}", "is missing"),
    "log of dates": (DATE + "\nbins = {method = 'log', count = 3}", "needs numbers"),
    "dates crossed": ("kind = 'date'\nlower = 2002-01-01\nupper = 2001-01-01", "is above"),
    "date bounds absent": ("kind = 'date'", "bounds are not declared"),
    "number as date": ("kind = 'date'\nlower = 3\nupper = 2001-01-01", "such as 2001-01-01, found 3"),
    "time as date": ("kind = 'date'\nlower = 2001-01-01T00:00:00\nupper = 2001-01-01", "a date such as"),
    "zone": ("kind='datetime'\nlower=2001-01-01T00:00:00Z\nupper=2001-01-02T00:00:00Z", "without zone"),
    "unknown granularity": (DATE + "\ngranularity = 'week'", "'day', 'month' or 'year'"),
    "format without year": (DATE + "\nformat = '%d/%m'", "%Y"),
    "format twice": (DATE + "\nformat = '%Y%Y-%m-%d'", "once"),
    "format unknown": (DATE + "\nformat = '%Y-%m-%d %H'", "nothing but"),
    "format like ISO": (DATE + "\nformat = '%Y-%d-%m'", "ISO 8601"),
    "after nobody": ("kind='date'\nafter='nobody'\nlower=0\nupper=3", 'after names "nobody"'),
    "after a category": ("kind='date'\nafter='sex'\nlower=0\nupper=3", "no date or datetime"),
    "after itself": ("kind='date'\nafter='age'\nlower=0\nupper=3", "circle"),
    "dates after": (DATE + "\nafter = 'age'", "whole days after the other column"),
    "centuries after": ("kind='date'\nafter='age'\nlower=0\nupper=999999", "days is more than"),
    "months after": ("kind='date'\nafter='age'\nlower=0\nupper=3\ngranularity='month'", 'granularity = "day"'),
    "no categories": ("kind = 'category'", "categories are not declared"),
    "two sources of categories": ("kind = 'category'\nvalues = ['a']\nbuy = true", "exactly one of"),
    "unknown code list": ("kind = 'category'\ncodes = 'icd10'", "there are icd9-chapters"),
    "label twice": ("kind = 'category'\nvalues = ['a', 'a']", "declared twice"),
    "label is a formula": ("kind = 'category'\nvalues = ['=1+1']", "formula"),
    "label is a number below zero": ("kind = 'category'\nvalues = ['-1']", 'kind = "integer"'),
    "label with NUL": ('kind = "category"\nvalues = ["a\\u0000"]', "control character"),
    "label with CR": ('kind = "category"\nvalues = ["a\\r"]', "control character"),
    "label empty": ("kind = 'category'\nvalues = ['']", "missing"),
    "label not quoted": ("kind = 'category'\nvalues = [1]", "text in quotes"),
    "values no list": ("kind = 'category'\nvalues = 'a'", "a list"),
    "marker is a label": ("kind = 'category'\nvalues = ['a']\nmissing = ['a']", "both a label and a missing marker"),
    "marker twice": ("kind = 'category'\nvalues = ['a']\nmissing = ['?', '?']", "declared twice"),
    "marker is a formula": ("kind = 'category'\nvalues = ['a']\nmissing = ['=x']", "written back"),
    "other is no label": ("kind = 'category'\nvalues = ['a']\nother = 'b'", "not one of the labels"),
    "other is no ordered label": ("kind = 'ordered'\nvalues = ['a']\nother = 'b'", "not one of the labels"),
    "bought other is a formula": ("kind = 'category'\nbuy = true\nother = '=b'", "formula"),
    "ordered without labels": ("kind = 'ordered'", "labels are not declared"),
    "true and false alike": ("kind = 'boolean'\ntrue = ['x']\nfalse = ['x']", "declared twice"),
    "no true": ("kind = 'boolean'\ntrue = []", "true"),
    "text kept": ("kind = 'text'", "drop = true"),
    "text not dropped": ("kind = 'text'\ndrop = false", "drop = true"),
    "identifier of nothing": ("kind = 'identifier'", "exactly one of make"),
    "identifier of two things": ("kind = 'identifier'\nmake = '#'\nfaker = 'name'", "exactly one of make"),
    "identifier formula": ("kind = 'identifier'\nmake = '=##'", "formula"),
    "unknown role": (INTEGER + "\nrole = 'secret'", "'identifier', 'quasi', 'sensitive' or 'other'"),
}


@pytest.mark.parametrize("case", WRONG_COLUMNS)
def test_wrong_columns_are_refused(case):
    column, say = WRONG_COLUMNS[case]
    message = refused(schema_with(column))
    assert message.startswith("[columns.age] in schema.toml: ")
    assert say in message


def test_all_problems_are_named_at_once():
    message = refused("[table]\nname='t'\n[columns.a]\nkind='integer'\n[columns.b]\nkind='category'\n")
    assert "[columns.a]" in message
    assert "[columns.b]" in message


WRONG_TABLES = {
    "not TOML": ("x = [", "expected TOML"),
    "duplicate key": ('[table]\nname = "t"\nname = "u"', "each key stands once"),
    "duplicate column": (schema_with(INTEGER) + "\n[columns.age]\nkind='text'", "each key stands once"),
    "no table": ("[columns.age]\n" + INTEGER, 'key "name" is missing'),
    "no columns": ('[table]\nname = "t"', "no column to model"),
    "only identifiers": ('[table]\nname = "t"\n[columns.id]\nkind = "identifier"\nmake = "#"', "no column to model"),
    "unknown section": (schema_with(INTEGER) + "\n[colums.x]\nkind='text'", 'unknown key "colums"'),
    "unknown key in table": ('[table]\nname = "t"\nunits = "x"\n[columns.a]\n' + INTEGER, 'unknown key "units"'),
    "columns in table": ('[table]\nname = "t"\ncolumns = 3\n[columns.a]\n' + INTEGER, 'unknown key "columns"'),
    "table no table": ("table = 3\n[columns.a]\n" + INTEGER, "a table"),
    "columns no table": ('columns = 3\n[table]\nname = "t"', "[columns.NAME]"),
    "column no table": ('[table]\nname = "t"\n[columns]\na = 3', "[columns.a]"),
    "column with a name": (schema_with(INTEGER + '\nname = "b"'), "[columns.age]"),
    "rules no list": (schema_with(INTEGER, rest="[rules]\nkind='order'"), "[[rules]]"),
    "name is a formula": ('[table]\nname = "=t"\n[columns.a]\n' + INTEGER, "formula"),
    "column name is a formula": (schema_with(INTEGER, name='"=age"'), "the column's name"),
    "column name is empty": (schema_with(INTEGER, name='""'), "the column's name"),
    "column name with a tab": (schema_with(INTEGER, name='"a\\tb"'), "control character"),
    "unit unknown": ('[table]\nname = "t"\nunit = "who"\n[columns.a]\n' + INTEGER, 'unit names "who"'),
    "unit is text": (
        '[table]\nname = "t"\nunit = "n"\n[columns.a]\n' + INTEGER + '\n[columns.n]\nkind="text"\ndrop=true',
        'unit names "n"',
    ),
    "key unknown": ('[table]\nname = "t"\nkey = ["who"]\n[columns.a]\n' + INTEGER, 'key names "who"'),
    "key twice": ('[table]\nname = "t"\nkey = ["a", "a"]\n[columns.a]\n' + INTEGER, "names a column twice"),
    "circle": (
        "[table]\nname='t'\n[columns.a]\nkind='date'\nafter='b'\nlower=0\nupper=1\n"
        "[columns.b]\nkind='date'\nafter='a'\nlower=0\nupper=1",
        "circle",
    ),
    "after a month": (
        "[table]\nname='t'\n[columns.a]\nkind='date'\nafter='b'\nlower=0\nupper=1\n"
        "[columns.b]\nkind='date'\nlower=2001-01-01\nupper=2001-12-01\ngranularity='month'",
        'need its granularity to be "day"',
    ),
    "after a missing": (
        "[table]\nname='t'\n[columns.a]\nkind='date'\nafter='b'\nlower=0\nupper=1\n"
        "[columns.b]\nkind='date'\nlower=2001-01-01\nupper=2001-12-01\nmissing=['']",
        "declare missing",
    ),
}


@pytest.mark.parametrize("case", WRONG_TABLES)
def test_wrong_tables_are_refused(case):
    text, say = WRONG_TABLES[case]
    assert say in refused(text)


WRONG_RULES = {
    "unknown kind": ("kind = 'magic'", "'order', 'implication', 'combination', 'sum'"),
    "unknown key": ("kind = 'order'\nleft='age'\nop='>'\nvalue=3\nright_=1", "unknown key"),
    "unknown column": ("kind = 'order'\nleft='nobody'\nop='>'\nvalue=3", 'names "nobody"'),
    "an identifier": ("kind = 'order'\nleft='id'\nop='>'\nvalue=3", 'names "id"'),
    "unknown op": ("kind = 'order'\nleft='age'\nop='!='\nvalue=3", "op"),
    "no right side": ("kind = 'order'\nleft='age'\nop='>'", "exactly one of right"),
    "two right sides": ("kind = 'order'\nleft='age'\nop='>'\nright='size'\nvalue=3", "exactly one of right"),
    "itself": ("kind = 'order'\nleft='age'\nop='>'\nright='age'", "same column"),
    "a category has no order": ("kind = 'order'\nleft='sex'\nop='>'\nvalue='F'", "no order"),
    "number and date": ("kind = 'order'\nleft='age'\nop='>'\nright='day'", "cannot be compared"),
    "constant of another kind": ("kind = 'order'\nleft='age'\nop='>'\nvalue='old'", "expected a number"),
    "constant off the grid": ("kind = 'order'\nleft='age'\nop='>'\nvalue=3.5", "not a multiple"),
    "constant no date": ("kind = 'order'\nleft='day'\nop='>'\nvalue='soon'", "expected a date"),
    "empty condition": ("kind = 'implication'\nif={column='sex'}\nthen={column='age',lower=3}", "needs one of"),
    "unknown label": (
        "kind='implication'\nif={column='sex',in=['X']}\nthen={column='age',lower=3}",
        "none of its labels",
    ),
    "order of a category": (
        "kind='implication'\nif={column='sex',lower='F'}\nthen={column='age',lower=3}",
        "use in = [...]",
    ),
    "never missing": (
        "kind='implication'\nif={column='sex',in=['F']}\nthen={column='age',missing=true}",
        "no missing markers",
    ),
    "about itself": ("kind='implication'\nif={column='sex',in=['F']}\nthen={column='sex',in=['M']}", "same column"),
    "bought labels": (
        "kind='implication'\nif={column='city',in=['F']}\nthen={column='age',lower=3}",
        "still to be bought",
    ),
    "short combination": ("kind='combination'\ncolumns=['sex','age']\nallowed=[['F']]", "needs 2 values"),
    "no combination": ("kind='combination'\ncolumns=['sex','age']\nallowed=[]", "allowed"),
    "one column": ("kind='combination'\ncolumns=['sex']\nallowed=[['F']]", "columns"),
    "column twice": ("kind='combination'\ncolumns=['sex','sex']\nallowed=[['F','F']]", "named twice"),
    "value of nobody": ("kind='combination'\ncolumns=['sex','age']\nallowed=[['F','x']]", "expected a number"),
    "sum of categories": ("kind='sum'\ntotal='sex'\nparts=['age']", "a sum needs integer or number"),
    "sum of other steps": ("kind='sum'\ntotal='size'\nparts=['age']", "one and the same step"),
    "sum of itself": ("kind='sum'\ntotal='age'\nparts=['age']", "named twice"),
    "sum of nothing": ("kind='sum'\ntotal='age'\nparts=[]", "parts"),
    "twice": (
        "kind='order'\nleft='age'\nop='>'\nvalue=3\n[[rules]]\nkind='order'\nleft='age'\nop='>'\nvalue=3",
        "declared twice",
    ),
}

COLUMNS = (
    "\n[columns.id]\nkind='identifier'\nmake='#'\n[columns.city]\nkind='category'\nbuy=true\n"
    "[columns.size]\nkind='number'\nlower=0\nupper=9\nprecision='0.5'\n[columns.day]\n" + DATE
)


@pytest.mark.parametrize("case", WRONG_RULES)
def test_wrong_rules_are_refused(case):
    rule, say = WRONG_RULES[case]
    message = refused(schema_with(INTEGER, rest=COLUMNS + "\n[[rules]]\n" + rule))
    assert message.startswith("[[rules]] number ")
    assert say in message


def test_ordered_labels_compare_only_with_the_same_labels():
    two = "[columns.a]\nkind='ordered'\nvalues=['lo','hi']\n[columns.b]\nkind='ordered'\nvalues={}\n"
    rule = "[[rules]]\nkind='order'\nleft='a'\nop='<='\nright='b'"
    head = "[table]\nname='t'\n"
    assert Schema.loads(head + two.format("['lo','hi']") + rule).rules[0].columns == ("a", "b")
    assert "the same labels" in refused(head + two.format("['lo','mid']") + rule)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(SchemaError, match="cannot be read"):
        Schema.load(tmp_path / "absent.toml")
    (tmp_path / "latin.toml").write_bytes("# \xe9".encode("latin-1"))
    with pytest.raises(SchemaError, match="not UTF-8"):
        Schema.load(tmp_path / "latin.toml")
    (tmp_path / "mine.toml").write_text("[table]\nname='t'\n[columns.a]\nkind='integer'\n")
    with pytest.raises(SchemaError, match=r"\[columns.a\] in mine.toml"):
        Schema.load(tmp_path / "mine.toml")


@pytest.mark.parametrize(
    "value", [{}, {"table": {"name": "t"}}, {"table": 3, "columns": []}, {"table": {"name": "t"}, "columns": [{}]}]
)
def test_wrong_json_is_refused(value):
    with pytest.raises(SchemaError):
        Schema.from_json(value)


def test_json_with_a_column_twice_is_refused():
    value = Schema.from_domain({"a": 2}).to_json()
    value["columns"] = value["columns"] * 2
    with pytest.raises(SchemaError, match="declared twice"):
        Schema.from_json(value)
