"""Conformance at the unit: made-up databases, records made again, and what is seen when one of them is wrong."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from privsynth import generators
from privsynth.audit_plan import AuditPlan
from privsynth.conformance import histories, history_runs
from privsynth.conformance.history_records import Kept, weight_of
from privsynth.conformance.made_databases import HUNDREDS, Workshop, bound_of
from privsynth.conformance.recounted_histories import Recount, by_name
from privsynth.database.document import DatabaseSchema
from privsynth.database.held import Database
from privsynth.dataset import Dataset
from privsynth.findings import Claim, Findings
from privsynth.histories import measuring, viewing
from privsynth.histories.layout import views
from privsynth.measurement import Purchase
from privsynth.privacy.guarantee import Budget
from privsynth.privacy.unit import NeighboringRelation
from privsynth.private import Private
from privsynth.schema.ticks import MISSING
from tests.kill_matrix import sources
from tests.kill_matrix.generators import Rounds, Scores
from tests.made_database import BANK_TOML, CLINIC_TOML, EVENTS_TOML

WARD_TOML = """
[database]
name = "ward"
unit = "patients"
[tables.patients]
key = ["patient_id"]
[tables.patients.columns]
patient_id = {kind = "identifier", make = "P-######"}
birth = {kind = "date", lower = 2019-11-01, upper = 2020-01-31, granularity = "month", missing = [""]}
[tables.visits]
key = ["visit_id"]
parent = {table = "patients", columns = ["patient_id"]}
bound = {rows = 5, keep = "last"}
time = {column = "day", anchor = "birth", keep = ["weekday", "month"], largest_gap = 40}
[tables.visits.columns]
visit_id = {kind = "identifier", make = "V-######"}
day = {kind = "date", lower = 2020-01-01, upper = 2020-03-31, missing = [""]}
[tables.labs]
parent = {table = "patients", columns = ["patient_id"]}
bound = {rows = 4, weights = "row"}
time = {column = "taken", shared_with = "visits", anchor = "birth"}
carry = ["value"]
[tables.labs.columns]
taken = {kind = "datetime", lower = 2020-01-01T00:00:00, upper = 2020-03-31T23:00:00, granularity = "hour", missing = [""]}
value = {kind = "integer", lower = 0, upper = 3, missing = [""]}
[tables.notes]
parent = {table = "visits", columns = ["visit_id"], optional = true, unit = ["patient_id"]}
bound = {rows = "buy", most = 10}
[tables.notes.columns]
topic = {kind = "category", values = ["x", "y"]}
"""
"""Shared days, months, hours after a date, and a bound to be bought of rows that have no order."""

ROUNDS_TOML = """
[database]
name = "rounds"
unit = "patients"
[tables.patients]
key = ["patient_id"]
[tables.patients.columns]
patient_id = {kind = "identifier", make = "P-######"}
sex = {kind = "category", values = ["F", "M"]}
[tables.visits]
key = ["visit_id"]
parent = {table = "patients", columns = ["patient_id"]}
bound = {rows = 3}
[tables.visits.columns]
visit_id = {kind = "identifier", make = "V-######"}
[tables.scans]
parent = {table = "visits", columns = ["visit_id"], optional = true, unit = ["patient_id"]}
bound = {rows = 4}
time = {column = "day"}
[tables.scans.columns]
day = {kind = "integer", lower = 0, upper = 12, step = 2}
[tables.doses]
parent = {table = "visits", columns = ["visit_id"], optional = true, unit = ["patient_id"]}
bound = {rows = 4, keep = "last"}
time = {column = "given", shared_with = "scans"}
[tables.doses.columns]
given = {kind = "integer", lower = 0, upper = 12, step = 3, missing = [""]}
"""
"""Days, in different steps, that rows without a visit share with those of the same patient."""

SCHEMAS = {"clinic": CLINIC_TOML, "events": EVENTS_TOML, "bank": BANK_TOML, "ward": WARD_TOML, "rounds": ROUNDS_TOML}
KEY = bytes(range(32))


def workshop(name: str) -> Workshop:
    return Workshop(DatabaseSchema.loads(SCHEMAS[name]))


def used(schema: DatabaseSchema) -> dict[str, int]:
    return {table.name: bound_of(table) for table in schema.tables}


def mixed(made: Workshop, seed: int = 1) -> Database:
    """A unit of every kind, and a few ordinary ones."""
    rng = np.random.default_rng(seed)
    return made.database([*(made.unit(kind, rng) for kind in made.kinds), *made.crowd(4, rng), made.strongest(rng)])


@pytest.fixture(scope="module")
def clinic() -> tuple[Workshop, Database, dict[str, Dataset]]:
    made = workshop("clinic")
    database = mixed(made)
    return made, database, viewing.view_datasets(database, KEY, used(made.schema))


def checked(toml: str, *, seed: int = 1, relation: NeighboringRelation = NeighboringRelation.ADD_REMOVE) -> Findings:
    made = Rounds()
    return histories.run(
        AuditPlan.load("quick"),
        made,
        schema=DatabaseSchema.loads(toml),
        budget=Budget.of("1", "1e-6", buys=False, composition=made.composition),
        noise=sources.Drawn(seed, sources.right),
        rng=np.random.default_rng(seed),
        claim=None,
        relation=relation,
    )


# ---- made-up databases -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SCHEMAS)
def test_made_up_databases_are_in_order_and_every_row_is_its_parents_units(name: str) -> None:
    database = mixed(workshop(name))
    for table in database.schema.tables:
        rows = database.tables[table.name]
        if table.parent is None:
            assert rows.unit.tolist() == list(range(database.units))
            continue
        above = database.tables[table.parent_table].unit
        linked = rows.parent >= 0
        assert (above[rows.parent[linked]] == rows.unit[linked]).all()
        assert linked.all() or table.parent.optional
        time = np.zeros(rows.count)
        if table.time is not None and rows.records is not None:
            time = rows.records.ticks[table.time.column].astype(float)
        time[time == MISSING] = np.inf
        keys = list(zip(rows.unit.tolist(), rows.parent.tolist(), time.tolist(), strict=True))
        assert keys == sorted(keys)


@pytest.mark.parametrize("name", SCHEMAS)
def test_units_are_as_large_as_their_kind_says(name: str) -> None:
    made, rng = workshop(name), np.random.default_rng(1)
    for table in made.schema.tables[1:]:
        sizes = {kind: made.unit(kind, rng).rows(table.name) for kind in made.kinds}
        assert sizes["a unit without rows"] == 0
        assert sizes["a unit at the bound"] == bound_of(table) == sizes["a unit with one row too many"] - 1
        assert sizes["a unit with hundreds of equal rows"] >= HUNDREDS > 256
        alike = made.unit("a unit with hundreds of equal rows", rng)
        assert all(len(np.unique(ticks)) == 1 for ticks in alike.ticks[table.name].values())
        assert len(np.unique(alike.parent[table.name])) == 1
        if table.parent is not None and table.parent.optional:
            assert (made.unit("a unit whose rows have no parent", rng).parent[table.name] == -1).all()


def test_the_strongest_unit_has_its_whole_weight_in_one_cell_of_each_column() -> None:
    made = workshop("clinic")
    database = made.database([made.strongest(np.random.default_rng(1))])
    found = viewing.view_datasets(database, KEY, used(made.schema))
    for name, view in views(made.schema).items():
        column = next(one.name for one in view.own if one.kind == "column")
        assert found[name].marginal((column,)).max() == weight_of(made.schema.table(name), used(made.schema))


# ---- records made again ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SCHEMAS)
def test_records_are_those_that_are_made_row_by_row(name: str) -> None:
    database = mixed(workshop(name), seed=2)
    recount, most = Recount(database), used(database.schema)
    found = viewing.view_datasets(database, KEY, most)
    for table, view in views(database.schema).items():
        assert list(recount.problems(view, found[table], most[table])) == []


def test_a_changed_code_of_any_attribute_is_seen(clinic: tuple[Workshop, Database, dict[str, Dataset]]) -> None:
    made, database, found = clinic
    recount, most = Recount(database), used(made.schema)
    for table, view in views(made.schema).items():
        data = found[table]
        for place, size in enumerate(data.domain.sizes):
            columns = list(data.columns)
            columns[place] = ((columns[place].astype(int) + 1) % size).astype(columns[place].dtype)
            changed = replace(data, columns=tuple(columns))
            assert any("not that of any row" in one for one in recount.problems(view, changed, most[table]))


def test_a_row_too_few_is_seen(clinic: tuple[Workshop, Database, dict[str, Dataset]]) -> None:
    made, database, found = clinic
    view = views(made.schema)["stays"]
    rest = found["stays"].take(slice(1, None))
    assert any("not as many" in one for one in Recount(database).problems(view, rest, 6))


def test_records_by_name_forget_order_and_numbers(clinic: tuple[Workshop, Database, dict[str, Dataset]]) -> None:
    made, database, found = clinic
    assert database.unit_names is not None
    rank = {name: place for place, name in enumerate(database.unit_names)}
    order = np.random.default_rng(1).permutation(database.units)
    rng = np.random.default_rng(1)
    units = [*(made.unit(kind, rng) for kind in made.kinds), *made.crowd(4, rng), made.strongest(rng)]
    other = made.database([units[place] for place in order], [database.unit_names[place] for place in order])
    again = viewing.view_datasets(other, KEY, used(made.schema))
    for table, data in found.items():
        assert np.array_equal(by_name(database, data, rank), by_name(other, again[table], rank))
        assert len(by_name(database, data, {database.unit_names[-1]: 0})) == int(
            (data.units == database.units - 1).sum()
        )


# ---- fits ------------------------------------------------------------------------------------------------------------


def test_a_right_generator_passes_with_every_row_that_is_promised() -> None:
    found = checked(CLINIC_TOML)
    checks = [row.check for row in found.rows]
    assert found.verdict == "PASS"
    assert checks[:8] == [
        "histories: single units",
        "histories: contributions",
        "histories: records",
        "replay: invariance",
        "replay: sensitivity",
        "replay: records",
        "ledger",
        "claim: accounting",
    ]
    assert {"noise: scale", "noise: sums", "selection: distribution", "transcript: whole fit"} <= set(checks)
    for table in ("patients", "stays", "diagnoses"):
        assert f"transcript: {table}: columns" in checks


def test_a_right_generator_passes_where_units_are_replaced_and_bounds_are_bought() -> None:
    assert checked(WARD_TOML, relation=NeighboringRelation.REPLACE_ONE).verdict == "PASS"


def test_a_claim_that_is_too_small_fails() -> None:
    made, schema = Scores(), DatabaseSchema.loads(EVENTS_TOML)
    found = histories.run(
        AuditPlan.load("quick"),
        made,
        schema=schema,
        budget=Budget.of("1", "1e-6", buys=False, composition="gdp"),
        noise=sources.Drawn(1, sources.right),
        rng=np.random.default_rng(1),
        claim=Claim(epsilon=0.5, delta=1e-6, rho=None, unit="patient", composition="gdp"),
    )
    assert [row.check for row in found.rows if row.verdict == "FAIL"] == ["claim: accounting"]


def test_noise_that_is_a_tenth_too_small_fails() -> None:
    made = Scores()
    found = histories.run(
        AuditPlan.load("quick"),
        made,
        schema=DatabaseSchema.loads(EVENTS_TOML),
        budget=Budget.of("1", "1e-6", buys=False, composition="gdp"),
        noise=sources.Drawn(1, sources.a_tenth_less),
        rng=np.random.default_rng(1),
        claim=None,
    )
    assert "noise: scale" in [row.check for row in found.rows if row.verdict == "FAIL"]


def test_bought_bounds_come_first_in_the_accounts_as_they_do_in_the_draws() -> None:
    made = workshop("ward")
    fit = history_runs.fit_of(made.schema, Scores(), _budget(), NeighboringRelation.ADD_REMOVE)
    run, measured = history_runs.recorded(fit, mixed(made), sources.Drawn(1, sources.right))
    kinds = [isinstance(entry, Purchase) for entry in run.transcript]
    assert kinds == sorted(kinds, reverse=True)
    assert sum(kinds) == 1
    assert run.transcript[0].event.stage == "notes: rows of notes"
    assert len(run.transcript) == len(measured.transcript)


def test_a_fit_that_breaks_off_says_so_without_a_row() -> None:
    made = workshop("events")
    fit = history_runs.fit_of(made.schema, Scores(), _budget(), NeighboringRelation.ADD_REMOVE)
    nameless = replace(mixed(made), unit_names=None)
    seen = history_runs.Seen(schema=made.schema, relation=NeighboringRelation.ADD_REMOVE)
    pair = history_runs.Pair(what="a pair", one=nameless, other=nameless)
    assert seen.on_pair(fit, pair, sources.Drawn(1, sources.right)) is None
    assert len(seen.diverged) == 1
    assert seen.diverged[0].startswith("a pair: the fit broke off")


def test_views_that_cannot_be_made_are_a_problem(clinic: tuple[Workshop, Database, dict[str, Dataset]]) -> None:
    made, database, _ = clinic
    kept = Kept(schema=made.schema, used=used(made.schema))
    stays = database.tables["stays"]
    broken = replace(database, tables={**database.tables, "stays": replace(stays, unit=stays.unit[::-1].copy())})
    assert kept.views(broken, KEY, "a broken database") == {}
    assert kept.differs[0].startswith("a broken database: no records can be made")


def test_the_shares_of_the_views_are_what_is_spent() -> None:
    """Each table's events, added up apart from the library, are its share and the budget together."""
    made = workshop("bank")
    budget = _budget()
    plan = measuring.HistoryPlan(schema=made.schema, generator=Scores(), budget=budget, unit_name="customer")
    found = measuring.measure(Private(mixed(made)), plan, sources.Drawn(1, sources.right), bound_key=KEY)
    spent = {table: sum((e.event.rho for e in entries), Fraction(0)) for table, entries in found.transcripts.items()}
    assert set(spent) == {"customers", "accounts", "transactions"}
    assert spent == plan.shares
    assert sum(spent.values()) == budget.rho


def _budget() -> Budget:
    return Budget.of("1", "1e-6", buys=False, composition="gdp")


def test_every_shipped_generator_that_a_database_may_have_passes(full: bool) -> None:
    names = [name for name in generators.NAMES if generators.get(name, {}).schedule is None]
    assert "latent_class" in names
    for name in names if full else ["independent"]:
        assert _verdict(name) == "PASS"


def _verdict(name: str) -> str:
    made = generators.get(name, {})
    return histories.run(
        AuditPlan.load("quick"),
        made,
        schema=DatabaseSchema.loads(EVENTS_TOML),
        budget=Budget.of("1", "1e-6", buys=False, composition=made.composition),
        noise=sources.Drawn(1, sources.right),
        rng=np.random.default_rng(1),
        claim=None,
    ).verdict
