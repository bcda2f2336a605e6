"""Scenario files: shares, conditions and rules, drawn from a model; what is wrong with them is said."""

import numpy as np
import pytest

import privsynth as ps
from privsynth import provenance
from privsynth.errors import FitError, InputError, SchemaError
from privsynth.imagining import Scenario, scenario_effects
from privsynth.imagining.scenario import opened
from tests import clinic

ALL = """
[shift.readmitted]
yes = 0.6
[shift.age]
"60 to 79" = 0.4
"80 or more" = 0.3
[[shift_together]]
columns = ["sex", "ward"]
cells = [{ values = ["F", "Surgery, general"], share = 0.3 }]
[given]
stay = [1, 15]
ward = ["A & E", "Surgery, general"]
[[rules]]
kind = "order"
left = "charge"
op = "<="
value = 1000
"""


@pytest.fixture(scope="module")
def model():
    table = {name: [str(row[place]) for row in clinic.rows(patients=800)] for place, name in enumerate(clinic.HEADER)}
    return ps.fit(table, ps.Schema.loads(clinic.SCHEMA), generator="mst", epsilon=3, delta=1e-6)


def rng():
    return np.random.default_rng(3)


def test_a_scenario_says_what_a_call_would(model):
    asked = Scenario.loads(ALL)
    assert asked.targets(model.schema) == {
        "readmitted": {"yes": 0.6},
        "age": {("60", "79"): 0.4, ("80", None): 0.3},
        ("sex", "ward"): {("F", "Surgery, general"): 0.3},
    }
    assert asked.given(model.schema) == {"stay": ("1", "15"), "ward": ["A & E", "Surgery, general"]}


def test_shares_conditions_and_rules_hold(model):
    drawn = Scenario.loads(ALL).draw(model, 300, rng=rng())
    rows = drawn.table.to_pydict()
    assert drawn.table.num_rows == 300
    assert set(rows["ward"]) <= {"A & E", "Surgery, general"}
    assert all(1 <= stay <= 15 for stay in rows["stay"])
    assert all(charge <= 1000 for charge in rows["charge"])
    assert 0.1 < drawn.refused < 0.95
    assert "shifted" in repr(drawn.model)
    said = "\n".join(drawn.lines())
    assert "has no error bars" in said
    assert "broke a rule of the scenario" in said
    assert "age: total variation" in said
    assert drawn.to_json()["imagined"] == "what-if"
    plain = Scenario.loads("[shift.readmitted]\nyes = 0.6").draw(model, 2000, rng=rng())
    assert plain.table.column("readmitted").to_pylist().count("yes") == pytest.approx(1200, abs=30)
    assert plain.refused == 0
    assert Scenario.loads('[given]\nsex = "F"').draw(model, 9, rng=rng()).effects is None


@pytest.mark.parametrize(
    ("text", "drawn"),
    [
        (ALL, ("shifted", "given", "further rules")),
        ('[given]\nsex = "F"', ("given",)),
        ('[[rules]]\nkind = "order"\nleft = "charge"\nop = "<="\nvalue = 1000', ("further rules",)),
    ],
)
def test_its_table_says_what_it_is(model, text, drawn):
    found = provenance.of(Scenario.loads(text).draw(model, 40, rng=rng()).table)
    assert found is not None and found.provenance.drawn == drawn
    assert f"drawn otherwise than the model says: {', '.join(drawn)}" in found.provenance.words()


def test_the_same_seed_draws_the_same(model):
    one, two = (Scenario.loads(ALL).draw(model, 50, rng=rng()).table for _ in range(2))
    assert one.equals(two)


def test_rules_that_hardly_any_row_obeys_are_refused(model):
    asked = Scenario.loads('[[rules]]\nkind = "order"\nleft = "charge"\nop = "<="\nvalue = "0.01"\n')
    with pytest.raises(FitError, match="fewer than one row in 50 obeys its rules"):
        asked.draw(model, 20, rng=rng())


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "it asks for nothing"),
        ("shift = ", "expected TOML"),
        ("[shfit.age]\nx = 1", 'unknown key "shfit"'),
        (
            "[shift.readmitted]\nyes = 1.2",
            r"\[shift.readmitted\] in scenario.toml: yes: expected less than or equal to 1",
        ),
        ('[shift.readmitted]\nyes = "x"', r"yes: expected a decimal number|yes: expected"),
        (
            "[[shift_together]]\ncolumns = ['sex']\ncells = []",
            r"\[\[shift_together\]\] number 1 in scenario.toml: columns",
        ),
        ("[[rules]]\nkind = 'sum'\ntotal = 'age'", r"\[\[rules\]\] number 1 in scenario.toml: .*parts"),
        ("[shift.readmited]\nyes = 0.2", 'no column "readmited"'),
        ("[shift.readmitted]\nmaybe = 0.2", "none of its labels"),
        ('[shift.age]\n"60 to 80" = 0.2', "part of the level"),
        ("[given]\nage = [60]\nstay = 99", "lies outside the declared bounds"),
        (
            "[[shift_together]]\ncolumns = ['sex', 'ward']\ncells = [{values = ['F'], share = 0.1}]",
            "expected 2 values, one a column, found F",
        ),
        (
            "[[shift_together]]\ncolumns = ['sex', 'ward']\ncells = [{values = ['F', 'A & E'], share = 0.1}]\n"
            "[[shift_together]]\ncolumns = ['sex', 'ward']\ncells = [{values = ['M', 'A & E'], share = 0.1}]",
            "stands twice; join the two",
        ),
        (
            "[[rules]]\nkind = 'order'\nleft = 'chrage'\nop = '<'\nvalue = 3",
            r"^\[\[rules\]\] number 1 in .*chrage",
        ),
    ],
)
def test_what_is_wrong_is_said(model, text, says):
    with pytest.raises(SchemaError, match=says):
        Scenario.loads(text).draw(model, 5, rng=rng())


def test_files(model, tmp_path):
    (tmp_path / "s.toml").write_text("[shift.readmitted]\nyes = 0.5\n")
    assert Scenario.load(tmp_path / "s.toml").targets(model.schema)
    with pytest.raises(SchemaError, match="cannot be read"):
        Scenario.load(tmp_path / "none.toml")
    (tmp_path / "b.toml").write_bytes(b"\xff")
    with pytest.raises(SchemaError, match="not UTF-8"):
        Scenario.load(tmp_path / "b.toml")
    model.save(tmp_path / "model")
    assert opened(tmp_path / "model").generator == "mst"


def test_effects_name_what_was_declared_and_what_followed(model):
    shifted = model.shifted({"readmitted": {"yes": 0.6}})
    found = scenario_effects(model, shifted)
    first, *rest = found.columns
    assert (first.column, first.declared) == ("readmitted", True)
    before = model.project(("readmitted",))
    assert first.total_variation == pytest.approx(abs(0.6 - before[1] / before.sum()))
    assert not any(one.declared for one in rest)
    moved = [one.total_variation for one in rest]
    assert moved == sorted(moved, reverse=True)
    assert {one.column: one for one in rest}["stay"].total_variation > 0.02
    assert {row["column"] for row in found.to_json()["columns"]} == {column.name for column in model.schema.modelled}
    assert "as declared" in found.lines()[0]
    again = scenario_effects(shifted, shifted.shifted({"sex": {"F": 0.9}}))
    assert [one.column for one in again.columns if one.declared] == ["sex"]
    with pytest.raises(InputError, match="expected a model and one that was shifted from it"):
        scenario_effects(model, model)
