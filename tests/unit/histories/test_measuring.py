"""Measuring databases: one budget over all views, noise for a whole unit, and nothing measured beside the ledger."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from privsynth import generators
from privsynth.database.document import DatabaseSchema
from privsynth.database.held import Database
from privsynth.errors import MechanismError, RefusedError
from privsynth.generator import AbstractGenerator
from privsynth.histories import measuring, sharing
from privsynth.histories.bounding import rows_used
from privsynth.histories.layout import views
from privsynth.histories.measuring import HistoryPlan, Measured
from privsynth.histories.spans import size_levels
from privsynth.histories.viewing import view_datasets
from privsynth.measurement import Measurement, Purchase, entry_from_json
from privsynth.privacy.accounting import Composition
from privsynth.privacy.guarantee import Budget, Guarantee
from privsynth.privacy.journal import AbstractJournal, MemoryJournal
from privsynth.privacy.noise import UnsafeSeededNoise
from privsynth.privacy.sampled_gaussian import SampledGaussian
from privsynth.privacy.unit import NeighboringRelation
from privsynth.private import Private
from privsynth.replay import RecordingNoise, ReplayingNoise
from tests import made_database
from tests.made_database import BANK_TOML, CLINIC_TOML

KEY = bytes(range(32))
BOUGHT = CLINIC_TOML.replace("bound = {rows = 6}", 'bound = {rows = "buy", most = 10}')


def budget(
    rho: Fraction = Fraction(1), composition: Composition = "gdp", training: SampledGaussian | None = None
) -> Budget:
    none = Fraction(0)
    return Budget(
        epsilon=Fraction(9),
        delta=Fraction(1, 10**6),
        rho=rho,
        purchase_rho=none,
        purchase_delta=none,
        composition=composition,
        training=training,
    )


def plan_of(schema: DatabaseSchema, name: str = "independent", rho: Fraction = Fraction(1)) -> HistoryPlan:
    generator = generators.get(name, {})
    return HistoryPlan(
        schema=schema, generator=generator, budget=budget(rho, generator.composition), unit_name="person"
    )


def clinic(units: int = 60, biggest: int = 500, toml: str = BOUGHT, seed: int = 3) -> Database:
    made = made_database.clinic(units, np.random.default_rng(seed), biggest=biggest)
    return Database(schema=DatabaseSchema.loads(toml), tables=made.tables, unit_names=made.unit_names)


def measured(database: Database, plan: HistoryPlan, seed: int = 1) -> Measured:
    return measuring.measure(Private(database), plan, UnsafeSeededNoise(seed), bound_key=KEY)


@pytest.mark.parametrize("name", ["independent", "latent_class", "mst"])
def test_all_views_together_spend_the_budget_exactly_and_have_noise_for_a_whole_unit(name: str) -> None:
    database = clinic()
    plan = plan_of(database.schema, name)
    found = measured(database, plan)
    assert set(found.transcripts) == set(views(database.schema))
    assert sum(entry.event.rho for entry in found.transcript) == plan.budget.rho
    Guarantee.for_budget(plan.budget, plan.unit, found.transcript)
    for table, transcript in found.transcripts.items():
        assert sum(entry.event.rho for entry in transcript) == plan.shares[table]
        weight = 1 if table == "patients" else 256
        tables = [entry for entry in transcript if isinstance(entry, Measurement)]
        assert {entry.event.sensitivity_squared for entry in tables} == {weight**2}
        assert all(
            entry.event.sigma_squared is not None and entry.event.sigma_squared >= weight**2 / (2 * entry.event.rho)
            for entry in tables
        )


@pytest.mark.parametrize("unit", [0, 1, 23])
@pytest.mark.parametrize("name", ["independent", "latent_class", "mst"])
def test_replay_without_one_unit_moves_no_answer_by_more_than_was_paid_for(name: str, unit: int) -> None:
    """Unit 0 has 500 stays and some thousand diagnoses. With the same noisy answers, the same is asked of the neighbour."""
    database = clinic(24)
    plan = plan_of(database.schema, name)
    recording = RecordingNoise(UnsafeSeededNoise(2))
    found = measuring.measure(Private(database), plan, recording, bound_key=KEY)
    replaying = ReplayingNoise(recording)
    neighbour = database.of_units(np.arange(24) != unit)
    again = measuring.measure(Private(neighbour), plan, replaying, bound_key=KEY)
    replaying.require_all_used()
    assert [one.to_json() for one in again.transcript] == [one.to_json() for one in found.transcript]
    assert again.used == found.used
    loss = 0.0
    for one, other in zip(recording.calls, replaying.calls, strict=True):
        change = (one.exact - other.exact).astype(np.float64)
        if one.kind == "gaussian":
            loss += float((change**2).sum() / one.parameter / 2)
    assert 0 < loss <= float(plan.budget.rho)


def test_a_bound_is_bought_with_a_part_of_its_views_share_and_said_in_the_transcript() -> None:
    database = clinic(400, biggest=0)
    plan = plan_of(database.schema, rho=Fraction(50))
    found = measured(database, plan)
    first = found.transcripts["stays"][0]
    assert isinstance(first, Purchase)
    assert (first.column, first.fact, first.event.rho) == ("stays", "rows", plan.shares["stays"] / 50)
    assert first.event.sensitivity_squared == 1
    assert len(first.found) == 1 + size_levels(256).size
    sizes = np.bincount(database.tables["stays"].unit)
    assert found.used["stays"] == int(first.found[0])
    assert (sizes[sizes > 0] <= found.used["stays"]).mean() == pytest.approx(0.95, abs=0.04)
    assert found.used["diagnoses"] == 8
    assert entry_from_json(first.to_json()) == first
    replaced = replace(plan, relation=NeighboringRelation.REPLACE_ONE)
    assert measured(database, replaced).transcripts["stays"][0].event.sensitivity_squared == 2


@pytest.mark.parametrize(
    ("noisy", "bound"),
    [
        ({0: 900, 1: 10}, 1),
        ({1: 50, 2: 44, 3: 6}, 3),
        ({1: 96, 40: 4}, 1),
        ({1: -5}, 256),
        ({41: 10}, 256),
        ({1: 90, 2: -40, 3: 50}, 3),
    ],
)
def test_the_bound_lets_nearly_all_in_that_have_rows(noisy: dict[int, int], bound: int) -> None:
    counts = np.zeros(size_levels(256).size, dtype=np.int64)
    counts[list(noisy)] = list(noisy.values())
    assert measuring.bound_from(counts) == bound


def test_a_view_that_is_forgotten_in_the_budget_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    database = clinic(10)
    right = sharing.shares(database.schema)
    wrong = [
        ({name: share for name, share in right.items() if name != "diagnoses"}, "every view needs"),
        ({**right, "diagnoses": Fraction(0)}, "every view needs"),
        ({**right, "diagnoses": right["diagnoses"] + Fraction(1, 10**9)}, "sum to 1"),
        ({**right, "beds": Fraction(1, 10)}, "every view needs"),
    ]
    for shares, said in wrong:
        monkeypatch.setattr(measuring, "shares", lambda schema, shares=shares: shares)
        with pytest.raises(MechanismError, match=said):
            measured(database, plan_of(database.schema))


def test_a_unit_that_weighs_more_than_its_bound_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever goes wrong where rows are chosen and weighed, the curator counts again."""
    database = clinic(10)
    plan = plan_of(database.schema)
    right = view_datasets
    for spoil in ("weights", "rows"):

        def spoilt(opened: Database, key: bytes, used: dict[str, int], spoil: str = spoil) -> object:
            more = used if spoil == "weights" else {**used, "transactions": 17}
            found = right(opened, key, more)
            for name, data in found.items():
                if spoil == "weights" and data.weights is not None:
                    object.__setattr__(data, "weights", np.maximum(data.weights, 43))
                found[name] = data
            return found

        monkeypatch.setattr(measuring, "view_datasets", spoilt)
        if spoil == "rows":
            database = made_database.bank(10, np.random.default_rng(1), biggest=40)
            plan = plan_of(database.schema)
        with pytest.raises(MechanismError, match="more than its bound"):
            measured(database, plan)


def test_what_was_answered_before_an_interruption_is_not_asked_again() -> None:
    database = clinic(30)
    plan = plan_of(database.schema)
    journals: dict[str, AbstractJournal] = {name: MemoryJournal() for name in views(database.schema)}
    first = measuring.measure(Private(database), plan, UnsafeSeededNoise(1), bound_key=KEY, journals=journals)
    for journal in journals.values():
        journal._next = 0
    again = measuring.measure(Private(database), plan, UnsafeSeededNoise(2), bound_key=KEY, journals=journals)
    assert [one.to_json() for one in again.transcript] == [one.to_json() for one in first.transcript]
    journals["stays"] = _Lost()
    with pytest.raises(RefusedError, match="cut off"):
        measuring.measure(Private(database), plan, UnsafeSeededNoise(2), bound_key=KEY, journals=journals)


class _Lost(MemoryJournal):
    """A journal of which the first answer was lost."""

    @property
    def begun(self) -> tuple[str, ...]:
        from privsynth.privacy.journal import question_of

        plan = plan_of(clinic(30).schema)
        return (question_of("buy rows", "stays", plan.shares["stays"] / 50),)

    def answer(self, number: int) -> None:
        return None


def test_plans_that_cannot_be_kept_are_refused() -> None:
    schema = DatabaseSchema.loads(CLINIC_TOML)
    trains = SampledGaussian(sampling_rate=Fraction(1, 2), steps=2, noise_multiplier=Fraction(2))
    cases: list[tuple[AbstractGenerator, Budget, str]] = [
        (generators.get("vae", {}), budget(), "trains by sums of gradients"),
        (generators.get("gan", {}), budget(), "trains by sums of gradients"),
        (generators.get("mst", {}), budget(), "do not add up as Gaussian"),
        (generators.get("mst", {}), replace(budget(composition="zcdp"), purchase_rho=Fraction(1, 9)), "no columns"),
        (generators.get("mst", {}), budget(composition="rdp", training=trains), "nothing is trained"),
    ]
    for generator, asked, said in cases:
        with pytest.raises(MechanismError, match=said):
            HistoryPlan(schema=schema, generator=generator, budget=asked, unit_name="person")


def test_what_was_not_read_under_the_plans_schema_is_refused() -> None:
    database = clinic(5)
    nameless = Database(schema=database.schema, tables=database.tables)
    for wrong, plan in (
        (nameless, plan_of(database.schema)),
        (database, plan_of(DatabaseSchema.loads(CLINIC_TOML))),
    ):
        with pytest.raises(MechanismError, match="read with the plan's schema"):
            measured(wrong, plan)


def test_units_are_held_out_whole() -> None:
    database = clinic(80, biggest=0)
    fitted, held = measuring.split(Private(database), 0.25, holdout_key=KEY)
    one, other = fitted.open(), held.open()
    assert one.units + other.units == 80
    assert 5 < other.units < 40
    assert {*(one.unit_names or ())}.isdisjoint(other.unit_names or ())
    for name in database.tables:
        assert one.tables[name].count + other.tables[name].count == database.tables[name].count


@pytest.mark.parametrize("name", ["independent", "latent_class", "mst"])
def test_distributions_count_units_and_can_be_restored(name: str) -> None:
    database = made_database.bank(300, np.random.default_rng(1))
    schema = DatabaseSchema.loads(BANK_TOML)
    plan = plan_of(schema, name, rho=Fraction(20))
    found = measured(database, plan)
    fitted = measuring.fit_distributions(schema, plan.generator, found.transcripts)
    accounts, moves = database.tables["accounts"], database.tables["transactions"]
    expected = {
        "customers": 300,
        "accounts": len(np.unique(accounts.unit)),
        "transactions": int(np.minimum(np.bincount(moves.unit), 16).sum()),
    }
    for table, count in expected.items():
        assert fitted[table].domain == views(schema)[table].domain()
        assert fitted[table].total == pytest.approx(count, rel=0.1, abs=20)
    data = view_datasets(database, KEY, rows_used(schema))["accounts"]
    share = data.marginal(("opened",)) / data.total
    assert abs(fitted["accounts"].project(("opened",)) / fitted["accounts"].total - share).sum() < 0.1
    arrays = {table: one.arrays() for table, one in fitted.items()}
    again = measuring.restore_distributions(schema, plan.generator, found.transcripts, arrays)
    clique = ("opened", "opening")
    assert np.allclose(again["accounts"].project(clique), fitted["accounts"].project(clique))


def test_shares_follow_the_schema_alone() -> None:
    for toml in (BOUGHT, BANK_TOML, made_database.EVENTS_TOML):
        schema = DatabaseSchema.loads(toml)
        shares = sharing.shares(schema)
        sharing.require_complete(schema, shares)
        assert shares[schema.root.name] >= sharing.ROOT_SHARE
