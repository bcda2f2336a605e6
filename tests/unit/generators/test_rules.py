"""Imagined tables: as declared, inside their schema, the same for the same seed; and no generator that a policy can name."""

import datetime as dt
import itertools
import json
import math
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import privsynth as ps
from privsynth import encoding, frames, generators, records, rules
from privsynth.errors import PolicyError, SchemaError, SyntheticSource
from privsynth.generators import rules as ruled
from privsynth.generators.rules import draw
from privsynth.making.document import RulesFile


def table(text, n=4000, seed=1):
    return draw(RulesFile.loads(text), n, rng=np.random.default_rng(seed)).table.to_pydict()


def column(kind, way, n=20_000, before=""):
    return np.array(table(f'[table]\nname = "t"\n{before}[columns.x]\n{kind}\n[make.x]\n{way}\n', n)["x"])


COUNT = 'kind = "integer"\nlower = 0\nupper = 1000'
DECIMAL = 'kind = "number"\nlower = "-1000"\nupper = "1000"\nprecision = "0.01"'


def test_amounts_have_the_declared_distribution():
    normal = column(DECIMAL, 'how = "normal"\nmean = 10\nsd = 2')
    assert normal.mean() == pytest.approx(10, abs=0.1)
    assert normal.std() == pytest.approx(2, abs=0.05)
    assert np.median(column(DECIMAL, 'how = "lognormal"\nmedian = 20\nsigma = 0.5')) == pytest.approx(20, rel=0.03)
    poisson = column(COUNT, 'how = "poisson"\nmean = 7')
    assert poisson.mean() == pytest.approx(7, abs=0.1)
    assert poisson.var() == pytest.approx(7, rel=0.06)
    zipf = np.bincount(column(COUNT, 'how = "zipf"\nexponent = 2'))
    assert zipf[0] / zipf[1] == pytest.approx(4, rel=0.1)
    even = column(COUNT, 'how = "uniform"\nlower = 10\nupper = 19')
    assert np.abs(np.bincount(even, minlength=20)[10:] / 20_000 - 0.1).max() < 0.01
    assert set(column(COUNT, 'how = "value"\nvalue = 12')) == {12}


def test_labels_have_the_declared_weights():
    kind = 'kind = "category"\nvalues = ["a", "b", "c", "d"]'
    found = column(kind, 'how = "labels"\nweights = {a = 6, b = 2}\nrest = 2')
    shares = [(found == label).mean() for label in "abcd"]
    assert shares == pytest.approx([0.6, 0.2, 0.1, 0.1], abs=0.015)
    assert "d" not in set(column(kind, 'how = "labels"\nweights = {a = 1, b = 1, c = 1}'))
    assert [(column(kind, 'how = "labels"') == label).mean() for label in "abcd"] == pytest.approx(
        [0.25] * 4, abs=0.015
    )


def test_one_value_of_any_kind():
    for kind, value, written in (
        ('kind = "category"\nvalues = ["1", "2"]', "2", "2"),
        ('kind = "ordered"\nvalues = ["low", "high"]', '"high"', "high"),
        ('kind = "boolean"', "true", True),
        ('kind = "date"\nlower = 2001-01-01\nupper = 2002-01-01', "2001-05-06", dt.date(2001, 5, 6)),
    ):
        assert set(column(kind, f'how = "value"\nvalue = {value}', n=3)) == {written}


def test_what_is_outside_the_bounds_is_clipped():
    found = column('kind = "integer"\nlower = 5\nupper = 10', 'how = "normal"\nmean = 0\nsd = 100')
    assert set(found) <= set(range(5, 11))
    assert {5, 10} <= set(found)
    stepped = column('kind = "integer"\nlower = 0\nupper = 100\nstep = 10', 'how = "poisson"\nmean = 33')
    assert set(stepped % 10) == {0}


DEPENDENT = """
[table]
name = "t"
[columns.sex]
kind = "category"
values = ["F", "M"]
missing = ["?"]
[columns.age]
kind = "integer"
lower = 0
upper = 99
missing = [""]
[columns.band]
kind = "ordered"
values = ["low", "mid", "high"]
[columns.x]
kind = "number"
lower = "-1000"
upper = "1000"
precision = "0.01"
[columns.y]
kind = "number"
lower = "-5000"
upper = "5000"
precision = "0.01"
[columns.old]
kind = "boolean"
[columns.day]
kind = "date"
lower = 2001-01-01
upper = 2001-12-31
[columns.seen]
kind = "datetime"
granularity = "hour"
after = "day"
lower = 0
upper = 20
[make.sex]
how = "labels"
missing = 0.2
[make.age]
how = "given"
column = "sex"
otherwise = { how = "value", value = 1 }
missing = { column = "band", rates = { high = 0.5 }, otherwise = 0.1 }
[make.age.when]
F = { how = "normal", mean = 70, sd = 3 }
missing = { how = "uniform", lower = 20, upper = 29 }
[make.x]
how = "linear"
base = 5
per = { age = 2, band = 10 }
effects = { sex = { M = 100, missing = 200 } }
[make.y]
how = "sum"
parts = ["x", "age"]
[make.old]
how = "logistic"
label = "true"
base = -30
per = { age = 0.5 }
[make.seen]
how = "poisson"
mean = 3
"""


def test_columns_depend_on_each_other_as_declared():
    found = table(DEPENDENT, 20_000)
    sex, band = np.array(found["sex"]), np.array(found["band"])
    absent = np.array([value is None for value in found["age"]])
    age = np.array([value or 0 for value in found["age"]])
    assert (sex == "?").mean() == pytest.approx(0.2, abs=0.01)
    assert absent[band == "high"].mean() == pytest.approx(0.5, abs=0.03)
    assert absent[band != "high"].mean() == pytest.approx(0.1, abs=0.02)
    assert age[(sex == "F") & ~absent].mean() == pytest.approx(70, abs=0.2)
    assert set(age[(sex == "M") & ~absent]) == {1}
    assert set(age[(sex == "?") & ~absent]) == set(range(20, 30))
    place = np.array([["low", "mid", "high"].index(label) for label in band])
    effect = np.select([sex == "M", sex == "?"], [100, 200], 0)
    assert np.allclose(found["x"], 5 + 2 * age + 10 * place + effect)
    assert np.allclose(found["y"], np.array(found["x"]) + age)
    old = np.array(found["old"])
    assert old[age == 1].mean() == 0
    assert old[age > 62].mean() == pytest.approx((1 / (1 + np.exp(30 - 0.5 * age[age > 62]))).mean(), abs=0.01)
    days = np.array(found["seen"], dtype="datetime64[h]") - np.array(found["day"], dtype="datetime64[h]")
    assert days.astype(int).min() >= 0
    assert (days.astype(int) / 24).mean() == pytest.approx(3, abs=0.1)


PEOPLE = """
[table]
name = "t"
unit = "person"
[columns.person]
kind = "identifier"
make = "P-######"
[columns.name]
kind = "identifier"
faker = "name"
[columns.sex]
kind = "category"
values = ["F", "M"]
[columns.ward]
kind = "category"
values = ["A", "Maternity"]
[columns.note]
kind = "text"
drop = true
[[rules]]
kind = "implication"
if = { column = "ward", in = ["Maternity"] }
then = { column = "sex", in = ["F"] }
[unit]
rows = { how = "poisson", mean = 3 }
most = 6
same = ["sex", "name"]
[make.note]
how = "faker"
provider = "sentence"
pool = 20
"""


def test_a_units_rows_agree_and_rules_hold():
    found = table(PEOPLE, 3000)
    rows = {}
    for person, *same in zip(found["person"], found["name"], found["sex"], strict=True):
        rows.setdefault(person, []).append(tuple(same))
    assert all(len(set(same)) == 1 for same in rows.values())
    assert min(map(len, rows.values())) >= 1
    assert 2.5 < 3000 / len(rows) < 3.6
    assert not any(ward == "Maternity" and sex == "M" for ward, sex in zip(found["ward"], found["sex"], strict=True))
    assert 1 < len(set(found["note"])) <= 20
    drawn = draw(RulesFile.loads(PEOPLE), 3000, rng=np.random.default_rng(0))
    assert 500 < sum(drawn.repaired.values()) < 1000
    assert "rows mended" in "\n".join(drawn.lines())
    assert drawn.to_json()["imagined"] == "from rules"


def test_the_same_seed_makes_the_same_bytes():
    declared = RulesFile.loads(PEOPLE)
    one, again, other = (
        frames.csv_bytes(draw(declared, 300, rng=np.random.default_rng(seed)).table) for seed in (1, 1, 2)
    )
    assert one == again
    assert one != other


def test_locales():
    named = PEOPLE + '[make.name]\nhow = "faker"\nprovider = "name"\n'
    german, english = table('locale = "de_DE"\n' + named, 200), table(named, 200)
    assert not set(german["name"]) & set(english["name"])
    with pytest.raises(SchemaError, match='Faker has no locale "zz_ZZ"'):
        table('locale = "zz_ZZ"\n' + PEOPLE, 5)


@pytest.mark.parametrize(("words", "kept"), [(("=1+1", "two  of\nthem"), {"two of them"}), (("=1+1", "@x"), None)])
def test_texts_that_a_spreadsheet_would_run_are_left_out(monkeypatch, words, kept):
    said = itertools.cycle(words)
    stub = SimpleNamespace(seed_instance=lambda _: None, format=lambda _: next(said))
    monkeypatch.setattr(ruled, "import_module", lambda _: SimpleNamespace(Faker=lambda _: stub))
    text = PEOPLE.replace('[columns.name]\nkind = "identifier"\nfaker = "name"\n', "").replace(', "name"', "")
    if kept is None:
        with pytest.raises(SchemaError, match="made no text that may stand in a table"):
            table(text, 5)
    else:
        assert set(table(text, 50)["note"]) == kept


def test_a_provider_that_a_locale_lacks_is_said(monkeypatch):
    stub = SimpleNamespace(seed_instance=lambda _: None)
    monkeypatch.setattr(ruled, "import_module", lambda _: SimpleNamespace(Faker=lambda _: stub))
    with pytest.raises(SchemaError, match='Faker has no "sentence" in the locale "en_US"'):
        table(PEOPLE.replace('[columns.name]\nkind = "identifier"\nfaker = "name"\n', "").replace(', "name"', ""), 5)


def test_without_faker_it_is_said_how_to_get_it(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "faker", None)
    with pytest.raises(SchemaError, match=r"privsynth\[fake\]"):
        table(PEOPLE, 5)


def test_no_policy_can_name_it():
    with pytest.raises(PolicyError, match=r"learns from no table.*privsynth imagine"):
        generators.get("rules", {})
    assert "rules" not in generators.NAMES


@st.composite
def rules_files(draw_):
    """A random schema with random ways, dependencies on columns before, missing values, a rule, and a unit or none."""
    lines, numbers, labelled = [], [], []
    unit = draw_(st.booleans())
    head = '[table]\nname = "t"\n' + (
        'unit = "u"\n[columns.u]\nkind = "identifier"\nmake = "U-######"\n' if unit else ""
    )
    for index in range(draw_(st.integers(1, 6))):
        name = f'"c {index}"'
        kind = draw_(st.sampled_from(["category", "boolean", "integer", "number", "date", "datetime", "after"]))
        after = next((one for one, what in labelled if what == "day"), None)
        if kind == "after" and after is None:
            kind = "date"
        nullable = draw_(st.booleans()) or kind == "after"
        lines.append(f"[columns.{name}]\n" + _declared(draw_, kind, after) + ('missing = [""]\n' if nullable else ""))
        missing = f"missing = {draw_(st.sampled_from(['0.3', '1', '0']))}\n" if nullable else ""
        lines.append(f"[make.{name}]\n" + _way(draw_, kind, numbers) + missing)
        if kind in {"integer", "number", "after"}:
            numbers.append(f"c {index}")
        labelled.append((f"c {index}", "day" if kind == "date" and 'granularity = "day"' in lines[-2] else kind))
    if len(numbers) > 1 and draw_(st.booleans()):
        lines.append(
            f'[columns.total]\nkind = "integer"\nlower = -9\nupper = 500\n[make.total]\nhow = "sum"\n'
            f"parts = {json.dumps(numbers)}\n"
        )
    if unit:
        same = draw_(st.sampled_from([[], ["c 0"]]))
        lines.append(f'[unit]\nrows = {{how = "poisson", mean = 2}}\nsame = {json.dumps(same)}\n')
    return head + "".join(lines)


DECLARED = {
    "category": 'kind = "category"\nvalues = ["a", "b,c", "d"]\n',
    "boolean": 'kind = "boolean"\ntrue = ["yes"]\nfalse = ["no"]\n',
    "integer": 'kind = "integer"\nlower = {low}\nupper = {high}\n',
    "number": 'kind = "number"\nlower = "-5"\nupper = "20"\nprecision = "0.25"\n',
    "date": 'kind = "date"\nlower = 2001-01-01\nupper = 2004-12-31\ngranularity = "{size}"\n',
    "datetime": 'kind = "datetime"\nlower = 2001-01-01T00:00:00\nupper = 2001-02-01T00:00:00\ngranularity = "minute"\n',
    "after": 'kind = "date"\nafter = "{after}"\nlower = -3\nupper = 30\n',
}


def _declared(draw_, kind, after):
    low, high = draw_(st.integers(-20, 0)), draw_(st.integers(5, 90))
    return DECLARED[kind].format(low=low, high=high, size=draw_(st.sampled_from(["day", "month", "year"])), after=after)


def _way(draw_, kind, numbers):
    if kind in {"date", "datetime"}:
        return 'how = "uniform"\n'
    if kind == "boolean" and numbers:
        return f'how = "logistic"\nlabel = "yes"\nbase = -1\nper = {{"{numbers[-1]}" = 0.1}}\n'
    if kind in {"category", "boolean"}:
        return draw_(st.sampled_from(['how = "labels"\n', 'how = "zipf"\nexponent = 1.5\n']))
    ways = [
        'how = "normal"\nmean = 3\nsd = 9\n',
        'how = "poisson"\nmean = 4\n',
        'how = "lognormal"\nmedian = 2\nsigma = 1\n',
    ]
    ways += ['how = "zipf"\nexponent = 1\n', 'how = "uniform"\n']
    if numbers:
        ways.append(f'how = "linear"\nbase = 1\nper = {{"{numbers[-1]}" = 0.5}}\nsd = 2\n')
        ways.append(
            f'how = "given"\ncolumn = "{numbers[-1]}"\nwhen = {{"3 or more" = {{how = "uniform"}}}}\n'
            'otherwise = {how = "poisson", mean = 2}\n'
        )
    return draw_(st.sampled_from(ways))


@settings(deadline=None, max_examples=40)
@given(text=rules_files(), n=st.integers(1, 40), seed=st.integers(0, 99))
def test_every_imagined_table_is_read_under_its_own_schema(text, n, seed):
    declared = RulesFile.loads(text)
    made = draw(declared, n, rng=np.random.default_rng(seed))
    boxed = records.read(made.table, declared.schema)
    found = boxed.open()
    assert found.rows == n
    for name, ticks in made.records.ticks.items():
        assert (found.ticks[name] == ticks).all()
    encoding.encode(boxed)
    assert not any(mask.any() for mask in rules.check(declared.schema.rules, found).values())
    assert made.table.equals(draw(declared, n, rng=np.random.default_rng(seed)).table)


def test_an_imagined_table_comes_back_from_a_file_and_can_be_fitted(tmp_path):
    made = draw(RulesFile.loads(DEPENDENT), 1500, rng=np.random.default_rng(1)).table
    schema = RulesFile.loads(DEPENDENT).schema
    frames.write_csv(made, tmp_path / "t.csv")
    frames.write_parquet(made, tmp_path / "t.parquet")
    for marked in (made, tmp_path / "t.parquet", frames.to_kind(made, "pandas")):
        with pytest.raises(SyntheticSource, match=r"rules of \"t\""):
            ps.fit(marked, schema, generator="independent", epsilon=1, delta=1e-6)
    assert ps.fit(made, schema, generator="independent", epsilon=1, delta=1e-6, synthetic="allow").generation == 2
    assert records.read(tmp_path / "t.csv", schema).open().rows == 1500
    model = ps.fit(tmp_path / "t.csv", schema, generator="independent", epsilon=1, delta=1e-6)
    assert isinstance(model.sample(10, rng=np.random.default_rng(1)), pa.Table)
    assert math.isfinite(model.error(("sex",)).l1)
