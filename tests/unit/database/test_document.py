"""Database schemas: what is declared is kept, and everything that contradicts itself is refused with what to do."""

import json

import pytest

from privsynth.database import DatabaseSchema
from privsynth.errors import SchemaError
from tests.made_database import BANK_TOML, CLINIC_TOML, EVENTS_TOML

ADDED = "\n[tables.extra]\n"
UNDER_STAYS = 'parent = {table = "stays", columns = ["stay_id"]}\nbound = {rows = 2}\n'
BOUND = r'\[tables.stays\] bound in .*: rows: expected a whole number from 1 to 256, or "buy"'
KEYED = 'key = ["a", "b"]\n[tables.extra.columns]\n'

CLINIC = {
    "two roots": (ADDED + 'key = ["a"]', "", 'the privacy unit is declared once, as "patients".*"extra" has no parent'),
    "root with parent": (
        'key = ["patient_id"]',
        'key = ["patient_id"]\nparent = {table = "stays", columns = ["stay_id"]}',
        '"patients" itself has a parent',
    ),
    "cycle": (
        'parent = {table = "patients", columns = ["patient_id"]}',
        'parent = {table = "diagnoses", columns = ["patient_id"]}',
        "in a circle",
    ),
    "unknown parent": (
        'table = "stays"',
        'table = "visits"',
        r'^\[tables.diagnoses\] in .*: its parent "visits" is a table that is not declared; correct the name \(the tables are',
    ),
    "unknown parent of a parent": (
        'parent = {table = "patients"',
        'parent = {table = "patient"',
        r'^\[tables.stays\] in .*: its parent "patient" is a table that is not declared',
    ),
    "child without a bound": (
        "bound = {rows = 6}",
        "",
        'Declare bound = {rows = NUMBER}.*rows = "buy".*leave the table out',
    ),
    "rows 0": ("bound = {rows = 6}", "bound = {rows = 0}", f"^{BOUND}$"),
    "too many rows": ("bound = {rows = 6}", "bound = {rows = 257}", f"^{BOUND}$"),
    "rows in words": ("bound = {rows = 6}", 'bound = {rows = "all"}', f"^{BOUND}$"),
    "bought without most": ("bound = {rows = 6}", 'bound = {rows = "buy"}', "needs most = NUMBER"),
    "unit with a bound": ('key = ["patient_id"]', 'key = ["patient_id"]\nbound = {rows = 1}', "one row a unit"),
    "unit without key": ('key = ["patient_id"]', "", "the units need a key"),
    "parent without key": ('key = ["stay_id"]', "", 'it is the parent of "diagnoses" and needs a key'),
    "key not made": ('key = ["stay_id"]', 'key = ["ward"]', 'key names "ward"'),
    "key of other length": ('columns = ["stay_id"]', 'columns = ["stay_id", "x"]', "has a key of 1 columns, found 2"),
    "optional without unit": (', unit = ["patient_id"]', "", "an optional parent needs unit"),
    "unit of other length": (
        'unit = ["patient_id"]',
        'unit = ["patient_id", "x"]',
        "as many columns as the units' key",
    ),
    "unit beside the unit": (
        'parent = {table = "patients", columns = ["patient_id"]}',
        'parent = {table = "patients", columns = ["patient_id"], unit = ["patient_id"]}',
        "whose parent is no unit itself",
    ),
    "modelled foreign key": ('columns = ["stay_id"]', 'columns = ["code"]', '"code" is a foreign key'),
    "column twice in a key": ('key = ["stay_id"]', 'key = ["stay_id", "stay_id"]', "key: a column is named twice"),
    "faked key": ('make = "S-########"', 'faker = "name"', "invented names repeat"),
    "shared key": (ADDED + UNDER_STAYS + 'key = ["stay_id"]', "", "key: rows would share it"),
    "key that may be empty": ("[tables.diagnoses]", '[tables.diagnoses]\nkey = ["stay_id", "seq"]', "may be empty"),
    "too deep": (
        ADDED + 'parent = {table = "diagnoses", columns = ["d"]}\nbound = {rows = 2}\n',
        "",
        "tables may lie 3 deep",
    ),
    "first of no order": (
        ADDED + 'parent = {table = "stays", columns = ["s"]}\nbound = {rows = 2, keep = "first"}\n',
        "",
        'keep = "first" needs an order',
    ),
    "time and order": ("[tables.stays]", '[tables.stays]\norder = "position"', "remove order"),
    "no such time": ('column = "admit", anchor', 'column = "ward", anchor', '"ward" must be a date'),
    "time after another": ('column = "admit", anchor', 'column = "discharge", anchor', '"discharge" must be a date'),
    "time undeclared": ('column = "noted"', 'column = "when"', '"when" is no modelled column of "diagnoses"'),
    "anchor elsewhere": ('anchor = "birth"', 'anchor = "diagnoses.noted"', "of a table above it"),
    "anchor no date": ('anchor = "birth"', 'anchor = "sex"', 'anchor "sex" is not counted as'),
    "weekdays of numbers": (
        '{column = "noted", until',
        '{column = "grade", keep = ["weekday"], until',
        "kept of dates",
    ),
    "shared with a stranger": (
        '{column = "noted"',
        '{shared_with = "stays", column = "noted"',
        "no other table of its parent",
    ),
    "months": (
        'noted = {kind = "date", lower = 2000-01-01',
        'noted = {kind = "date", granularity = "month", lower = 2000-01-01',
        "granularity day",
    ),
    "carry unknown": ("[tables.stays]", '[tables.stays]\ncarry = ["x"]', 'carry names "x"'),
    "derived twice": ('name = "age"', 'name = "ward"', 'column "ward" is declared twice'),
    "derived formula": ('name = "age"', 'name = "=age"', "spreadsheets run as a formula"),
    "capital letters": ('name = "age"', 'name = "Ward"', "differ by capital letters alone"),
    "age of no date": ('since = "patients.birth"', 'since = "patients.sex"', '"patients.sex" is no date'),
    "order modelled": (
        "[tables.diagnoses]",
        '[tables.diagnoses]\norder = "grade"',
        "time orders the rows already|is a modelled column",
    ),
    "order no text": ("[tables.diagnoses]", "[tables.diagnoses]\norder = 1", "order in .*: expected text in quotes"),
    "file no text": ("[tables.diagnoses]", "[tables.diagnoses]\nfile = 1", "file in .*: expected text in quotes"),
    "key no list": ('key = ["stay_id"]', 'key = "stay_id"', "expected a list of column names"),
    "path for a name": ("[tables.diagnoses", '[tables."../diagnoses"', "name of its file"),
    "table twice": (ADDED.replace("extra", "Stays") + UNDER_STAYS, "", "differs by capital letters alone"),
    "unknown key of a table": ("[tables.stays]", "[tables.stays]\nlimit = 3", 'unknown key "limit"'),
    "unknown key": ("[database]", "more = 1\n[database]", 'unknown key "more"'),
    "no unit": ('unit = "patients"', "", "expected name = "),
    "description no text": ('unit = "patients"', 'unit = "patients"\ndescription = 3', "expected text in quotes"),
    "name": ('name = "clinic"', 'name = "=1"', r"\[database\] in"),
    "bought labels": ('values = ["A", "B", "C"]', "buy = true", "of several tables, declare every category"),
    "kept text": (
        ADDED + UNDER_STAYS + "[tables.extra.columns]\nnote = {kind = 'text'}",
        "",
        "free text cannot be released",
    ),
    "dropped foreign key": (
        ADDED + UNDER_STAYS + "[tables.extra.columns]\nstay_id = {kind = 'text', drop = true}",
        "",
        "is a foreign key",
    ),
    "rules of nothing": (ADDED + UNDER_STAYS + "rules = [{kind = 'unknown'}]", "", r"\[tables.extra\]"),
    "no table at all": (CLINIC_TOML, '[database]\nname = "x"\nunit = "y"', "at least one"),
    "a table that is none": (
        CLINIC_TOML,
        '[database]\nname = "x"\nunit = "y"\n[tables]\ny = 1',
        "expected a table of keys",
    ),
    "rule without a table": ('left = "stays.admit"', 'left = "admit"', 'there is no table ""'),
    "rule across siblings": ('left = "stays.admit"', 'left = "patients.sex"', "is no date, datetime or integer"),
    "rule of two kinds": ('left = "stays.admit"', 'left = "diagnoses.grade"', "are not counted alike"),
    "constant of a listed unit": ("[tables.stays]", '[tables.stays]\nconstant = ["ward"]', "units that no table lists"),
}
BANK = {
    "total of a stranger": ('of = "transactions.amount"', 'of = "customers.region"', '"customers" is no child table'),
    "total of labels": ('of = "transactions.amount"', 'of = "transactions.direction"', '"direction" is no number'),
    "opening undeclared": (
        'of = "amount"\nopening = "opening"',
        'of = "amount"\nopening = "first"',
        '"first" is no modelled',
    ),
    "sign unknown": ('values = ["out"]', 'values = ["away"]', "has not all the labels"),
    "count of a stranger": (
        'kind = "count"\nof = "transactions"',
        'kind = "count"\nof = "accounts"',
        "is no child table",
    ),
    "balance of units": (
        "[tables.transactions]\n",
        '[[rules]]\nkind = "balanced"\ntable = "customers"\namount = "region"\n'
        'negative = {column = "region", values = ["north"]}\n'
        "[tables.transactions]\n",
        "has no parent within which",
    ),
    "order modelled": ('order = "position"', 'order = "opening"', 'order "opening" is a modelled column'),
    "unit in an order": (
        "[tables.customers.columns]",
        '[[tables.customers.derived]]\nname = "seq"\nkind = "sequence"\n[tables.customers.columns]',
        "the units are in no order",
    ),
    "siblings compared": (
        "[tables.transactions]\n",
        '[[rules]]\nkind = "in-order"\nleft = "cards.issued"\nright = "transactions.day"\n[tables.cards]\n'
        'parent = {table = "accounts", columns = ["account_id"]}\nbound = {rows = 1}\n[tables.cards.columns]\n'
        'issued = {kind = "date", lower = 2015-01-01, upper = 2025-12-31}\n[tables.transactions]\n',
        "are not one above the other",
    ),
    "shared with numbers": (
        "[tables.transactions]\n",
        '[tables.steps]\nparent = {table = "accounts", columns = ["account_id"]}\nbound = {rows = 1}\n'
        'time = {column = "step"}\n'
        '[tables.steps.columns]\nstep = {kind = "integer", lower = 0, upper = 9}\n[tables.transactions]\n',
        "has no days in common",
    ),
    "shared with later": (
        'time = {column = "day", ',
        'time = {shared_with = "later", column = "day", ',
        "stands before this",
    ),
}

EVENTS = {
    "nobody's events": (
        "parent = {columns",
        'parent = {table = "else", columns',
        "belong to units that no table lists",
    ),
    "unit not declared": ('columns = ["subject_id"]', 'columns = ["who"]', '"who" names the unit'),
    "constant undeclared": ('constant = ["gender"]', 'constant = ["age"]', 'constant names "age"'),
    "constant twice": (
        "[tables.tests.columns]",
        '[tables.more]\nparent = {columns = ["subject_id"]}\nbound = {rows = 1}\nconstant = ["gender"]\n'
        '[tables.more.columns]\ngender = {kind = "category", values = ["f", "m"]}\n[tables.tests.columns]',
        'constant names "gender", which is no column of it, or taken',
    ),
    "optional units": (
        '{columns = ["subject_id"]}',
        '{columns = ["subject_id"], optional = true, unit = ["x"]}',
        "no optional",
    ),
}


def _changed(text, old, new):
    """`old` replaced by `new`; what is new as a whole is added at the end."""
    if not new and old.startswith(ADDED[:9]):
        return text + old
    assert old in text
    return text.replace(old, new)


CASES = [(base, *case) for base, cases in ((CLINIC_TOML, CLINIC), (EVENTS_TOML, EVENTS)) for case in cases.values()]
NAMES = [*CLINIC, *EVENTS]


@pytest.mark.parametrize(("base", "old", "new", "said"), CASES, ids=NAMES)
def test_what_contradicts_itself_is_refused(base, old, new, said):
    with pytest.raises(SchemaError, match=said):
        DatabaseSchema.loads(_changed(base, old, new))


@pytest.mark.parametrize("name", BANK)
def test_references_of_amounts_and_days_are_checked(name):
    old, new, said = BANK[name]
    text = _changed(BANK_TOML, old, new)
    if name == "shared with numbers":
        text = text.replace('time = {column = "day", ', 'time = {shared_with = "steps", column = "day", ')
    if name == "shared with later":
        text += (
            '\n[tables.later]\nparent = {table = "accounts", columns = ["account_id"]}\nbound = {rows = 1}\n'
            'time = {column = "day"}\n[tables.later.columns]\nday = {kind = "date", lower = 2015-01-01, upper = 2025-12-31}\n'
        )
    with pytest.raises(SchemaError, match=said):
        DatabaseSchema.loads(text)


def test_many_columns_need_to_say_what_the_next_row_depends_on():
    many = "".join(f'c{index} = {{kind = "category", values = ["a", "b"]}}\n' for index in range(9))
    text = CLINIC_TOML.replace("noted = {kind", many + "noted = {kind")
    with pytest.raises(SchemaError, match=r"carry = \[\.\.\.\], or carry = \[\] for none"):
        DatabaseSchema.loads(text)
    kept = DatabaseSchema.loads(text.replace("[tables.diagnoses]", '[tables.diagnoses]\ncarry = ["c3"]'))
    assert kept.table("diagnoses").carry == ("c3",)
    assert DatabaseSchema.loads(CLINIC_TOML).table("stays").carry == ("admit", "discharge", "ward")


@pytest.mark.parametrize("text", [CLINIC_TOML, EVENTS_TOML, BANK_TOML], ids=["clinic", "events", "bank"])
def test_json_round_trip_and_digest(text):
    schema = DatabaseSchema.loads(text)
    again = DatabaseSchema.from_json(json.loads(json.dumps(schema.to_json())))
    assert again == schema
    assert again.digest() == schema.digest()
    assert DatabaseSchema.loads(text + "\n# a remark").digest() == schema.digest()
    assert DatabaseSchema.loads(text.replace('"date"', '"date", role = "quasi"', 1).replace("110", "111")) != schema


def test_units_that_nothing_names_are_refused():
    text = EVENTS_TOML.replace('constant = ["gender"]', "")
    with pytest.raises(SchemaError, match='"tests" itself has a parent'):
        DatabaseSchema.loads(text.replace('unit = "patient"', 'unit = "tests"'))
    with pytest.raises(SchemaError, match='unit = "patient" is no table, and no table holds events of it'):
        DatabaseSchema.loads(text.replace("parent = {columns", 'parent = {table = "tests", columns'))


def test_json_in_another_order_is_refused():
    value = DatabaseSchema.loads(CLINIC_TOML).to_json()
    value["tables"] = [value["tables"][0], *reversed(value["tables"][1:])]
    with pytest.raises(SchemaError, match="it stands before its parent"):
        DatabaseSchema.from_json(value)
    with pytest.raises(SchemaError, match="schema in JSON"):
        DatabaseSchema.from_json({"name": "x"})


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(SchemaError, match="cannot be read"):
        DatabaseSchema.load(tmp_path / "none.toml")
    (tmp_path / "latin.toml").write_bytes(b'name = "\xe4"')
    with pytest.raises(SchemaError, match="not UTF-8"):
        DatabaseSchema.load(tmp_path / "latin.toml")
    with pytest.raises(SchemaError, match="expected TOML"):
        DatabaseSchema.loads("[database")
    with pytest.raises(SchemaError, match="there is no table"):
        DatabaseSchema.loads(CLINIC_TOML).table("visits")


def test_places_of_tables():
    schema = DatabaseSchema.loads(CLINIC_TOML)
    assert schema.root.name == "patients"
    assert [table.name for table in schema.ancestors("diagnoses")] == ["stays", "patients"]
    assert [table.name for table in schema.children("patients")] == ["stays"]
    assert [table.name for table in schema.loose()] == ["diagnoses"]
    assert schema.table("diagnoses").released == ("stay_id", "patient_id", "noted", "code", "grade", "seq")
    events = DatabaseSchema.loads(EVENTS_TOML)
    assert (events.root.name, events.root.listed, events.root.columns) == ("patient", False, ("gender",))
    assert events.table("tests").constant == ("gender",)
    assert events.table("tests").released == ("subject_id", "gender", "day", "result")
