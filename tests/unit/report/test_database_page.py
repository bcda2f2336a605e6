"""The report of several tables: what it says of bounds, numbers of rows, rules and parts, and that markup stays text."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from privsynth import report
from privsynth.database.document import DatabaseSchema
from privsynth.generators import get
from privsynth.histories import measuring
from privsynth.histories.layout import views
from privsynth.histories.measuring import HistoryPlan
from privsynth.privacy.guarantee import Budget
from privsynth.privacy.noise import UnsafeSeededNoise
from privsynth.private import Private
from privsynth.releasing.database_terms import biases
from privsynth.report.attacks import WOULD_HAVE_SEEN
from privsynth.report.database_numbers import attribute_labels, gather
from privsynth.report.database_sections import trust
from privsynth.report.table_lights import lights
from tests import made_database
from tests.unit.report.test_page import MARKUP, predicate  # noqa: F401 - a fixture

TOML = made_database.CLINIC_TOML.replace("bound = {rows = 6}", 'bound = {rows = "buy", most = 6}').replace(
    'values = ["x", "y", "z"]', f'values = ["x", "y", "{MARKUP}"]'
)


@pytest.fixture(scope="module")
def made():
    """What a fit of 3,000 patients with hardly any noise learned of them, and they themselves in the released tables' place."""
    rng = np.random.default_rng(3)
    database = made_database.clinic(3000, rng)
    schema = DatabaseSchema.loads(TOML)
    tables = {
        name: rows
        if rows.records is None
        else made_database.make_rows(schema, name, dict(rows.records.ticks), rows.parent, rows.unit)
        for name, rows in database.tables.items()
    }
    database = made_database.Database(schema=schema, tables=tables, unit_names=database.unit_names)
    budget = Budget.of(Fraction(100), Fraction(1, 10**6), buys=False, composition="gdp")
    plan = HistoryPlan(schema=schema, generator=get("independent", {}), budget=budget, unit_name="patient")
    found = measuring.measure(Private(database), plan, UnsafeSeededNoise(1), bound_key=bytes(32))
    return schema, database, found


@pytest.fixture
def says(predicate):  # noqa: F811
    bound = {"rows": 6, "basis": "bought", "keep": "random", "weights": "unit"}
    table = {"name": "stays", "columns": 6, "rows": 100, "parent": "patients", "bound": bound}
    rows = [
        {**predicate["audit"]["rows"][0], "check": name} for name in ("histories: near match", "stays: exact match")
    ]
    return {
        **predicate,
        "schema": {**predicate["schema"], "tables": [table]},
        "limitations": [*biases(DatabaseSchema.loads(TOML), "visitor"), "a limit that stands nowhere else"],
        "repairs": {"stays.admit <= patients.death": 4, "stays: rows left out": 7},
        "audit": {**predicate["audit"], "rows": rows},
    }


def test_the_share_of_units_beyond_a_bound_is_from_noisy_numbers(made, says):
    schema, database, found = made
    facts = gather(says, schema, found, database, {})
    stays, used = schema.table("stays"), found.used["stays"]
    sizes = np.bincount(database.tables["stays"].unit, minlength=database.units)
    over = facts.over(stays)
    assert over.half is not None and over.share == pytest.approx(np.mean(sizes > used), abs=2 * over.half + 0.002)
    rows = np.bincount(database.tables["diagnoses"].unit, minlength=database.units)
    deep = facts.over(schema.table("diagnoses"))
    assert deep.half is None and deep.share == pytest.approx(np.mean(rows > 8))


def test_released_rows_are_counted_as_the_noisy_answers_count_them(made, says):
    schema, database, found = made
    facts = gather(says, schema, found, database, {})
    for numbers in facts.views.values():
        inside = sum(column.inside for column in numbers.columns)
        assert inside >= 0.85 * sum(len(column.labels) for column in numbers.columns), numbers.table.name
    assert not any(facts.broken.values())


def test_every_level_of_every_attribute_has_a_name(made):
    schema, _, _ = made
    for view in views(schema).values():
        for one in view.attributes:
            labels = attribute_labels(schema, one)
            assert len(labels) == one.size and all(labels)
    (weekday,) = [one for one in views(schema)["stays"].own if one.kind == "weekday"]
    assert attribute_labels(schema, weekday)[0] == "Monday"


def test_the_page_says_it_all_and_is_the_same_again(made, says):
    schema, database, found = made
    page = report.render_database(predicate=says, schema=schema, measured=found, released=database)
    for words in (
        "Rows that could not be made to obey every rule were left out: 7 of stays.",
        "time since the row before (admit)",
        "weekday of admit",
        "A visitor with 6 stays counts as much as one with 2: averages over stays lean to those with few.",
        "<h3>Rows that break a declared rule</h3>",
        "</span>Rows that break a declared rule</h2>",
        "a limit that stands nowhere else",
        "stay_id (may be empty) → stays; patient_id → patients",
        "<h3>histories: 1 of 1 passed</h3>",
        "<h3>stays: 1 of 1 passed</h3>",
        "bought",
    ):
        assert words in page
    assert page.index(WOULD_HAVE_SEEN) < page.index("<h3>histories: 1 of 1 passed</h3>")
    assert page.count("averages over stays lean to those with few") == 1, "no sentence of a bound stands elsewhere"
    assert "Impossible rows" not in page
    assert "business rule" in page and "stays: rows left out" not in page
    assert "<script" not in page and "&lt;script&gt;" in page
    again = report.render_database(predicate=says, schema=schema, measured=found, released=database)
    assert page == again


def test_every_table_has_lights_for_its_own_columns_in_its_own_units(made, says):
    schema, database, found = made
    facts = gather(says, schema, found, database, {})
    told = lights(facts)
    assert [table["name"] for table in told["tables"]] == ["patients", "stays", "diagnoses"]
    patients, stays, diagnoses = told["tables"]
    assert patients["note"] == "" and "Every visitor with rows in stays counts once here" in stays["note"]
    share = stays["lines"][0]
    assert share["what"] == "Share of one value" and share["number"].endswith("patients")
    assert share["source"] == "4 of 4 columns measured", "its own columns and its rows' numbers of diagnoses"
    assert [line["what"] for line in diagnoses["lines"]].count("Mean of a number") == 1
    half = next(column.half for column in facts.views["stays"].columns if column.name == "ward")
    assert half * facts.views["stays"].bought.total < 20, "in patients: in weights it is 256 times as much"
    words = " ".join(str(line["advice"]) for table in told["tables"] for line in table["lines"])
    for elsewhere in ("section 6", "section 4", "copies.md"):
        assert elsewhere not in words
    page = report.render_database(predicate=says, schema=schema, measured=found, released=database)
    assert page.count('class="stack lights"') == 3
    for what, rule in told["rules"]:
        assert f"<li>{what}: {rule}.</li>" in page


def test_a_table_without_pairs_is_not_said_to_follow_from_pairs(made, says):
    schema, database, found = made
    says = {**says, "generator": {**says["generator"], "name": "latent_class"}}
    page = report.render_database(predicate=says, schema=schema, measured=found, released=database)
    said = (
        "Warning: stays: columns are drawn independently of each other and of the rows above and before: the budget is"
    )
    assert said in page and "follows from these tables of pairs" not in page
    (rows,) = [
        numbers for numbers in gather(says, schema, found, database, {}).views.values() if numbers.table.name == "stays"
    ]
    tied = replace(rows, measured_pairs=rows.pair_errors.size)
    facts = replace(gather(says, schema, found, database, {}), views={"stays": tied})
    assert "Of each table, rows were measured together" in trust(facts)["lead"] and not trust(facts)["warnings"]
