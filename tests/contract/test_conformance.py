"""The kill matrix of conformance: each broken path is caught by the check that is named for it; correct ones pass."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, ClassVar

import numpy as np
import pytest

from privsynth import auditing, fitting, generators
from privsynth.audit_plan import AuditPlan
from privsynth.conformance import checks as conformance
from privsynth.dataset import Dataset
from privsynth.domain import Domain
from privsynth.encoding import encode_public
from privsynth.errors import SchemaError
from privsynth.findings import Findings
from privsynth.generator import AbstractGenerator
from privsynth.measurement import Measurement, Transcript
from privsynth.privacy import curator, mechanism
from privsynth.privacy.curator import Curator, make_curator
from privsynth.privacy.noise import UnsafeSeededNoise
from privsynth.privacy.query import MarginalErrors
from privsynth.privacy.source import AbstractNoiseSource
from privsynth.privacy.unit import PrivacyUnit
from privsynth.private import Private
from privsynth.records import Records
from tests.laboratory import DOMAIN, PATIENT, REPLACED, RHO, ROW, Int64s, Pairs, checked, failing


def longer(*names: str) -> list[Any]:
    """All generators; these ones, whose audits take long, at the full size alone."""
    return [pytest.param(name, marks=pytest.mark.full_only if name in names else ()) for name in generators.NAMES]


@pytest.mark.parametrize("unit", [ROW, PATIENT, REPLACED], ids=["row", "patient", "replaced"])
def test_a_correct_generator_passes(unit: PrivacyUnit) -> None:
    verdicts = checked(unit=unit)
    assert failing(verdicts) == set()
    assert list(verdicts) == [
        "replay: invariance",
        "replay: sensitivity",
        "replay: recount",
        "ledger",
        "replay: records",
        "claim: accounting",
        "noise: scale",
        "noise: shape",
        "noise: independence of draws",
        "noise: independence of runs",
        "noise: sums",
        "selection: distribution",
        "noise: source",
        "selection: source",
        "noise: rare events",
        "selection: rare candidates",
        "noise: discriminant",
        "transcript: columns",
        "transcript: select 0",
        "transcript: pair 0",
        "transcript: select 1",
        "transcript: pair 1",
        "transcript: whole fit",
        "one run: canaries",
    ]


@pytest.mark.parametrize("name", longer("vae"))
def test_every_generator_of_ours_passes_with_hardly_any_budget(name: str) -> None:
    assert failing(checked(generators.get(name, {}), rho=Fraction(1, 5000))) == set()


@pytest.mark.parametrize("name", longer("vae", "gan"))
def test_every_generator_of_ours_passes_on_a_single_column(name: str) -> None:
    found = auditing.conformance(
        AuditPlan.load("quick"),
        generators.get(name, {}),
        domain=DOMAIN.project(("stay",)),
        unit=PATIENT,
        rho=RHO,
        noise=UnsafeSeededNoise(4),
        rng=np.random.default_rng(4),
    )
    assert found.verdict == "PASS"


def test_the_audit_s_own_entry_runs_it_on_the_plan_s_sizes() -> None:
    found = auditing.conformance(
        AuditPlan.load("quick"),
        Pairs(),
        domain=DOMAIN,
        unit=PATIENT,
        rho=RHO,
        noise=UnsafeSeededNoise(3),
        rng=np.random.default_rng(3),
    )
    assert isinstance(found, Findings)
    assert found.verdict == "PASS"
    assert {row.family for row in found.rows} == {"conformance"}
    assert not found.not_tried


def test_a_generator_without_tables_of_two_columns_is_told_to_show_no_canaries() -> None:
    found = auditing.conformance(
        AuditPlan.load("quick"),
        generators.get("independent", {}),
        domain=DOMAIN,
        unit=PATIENT,
        rho=RHO,
        noise=UnsafeSeededNoise(3),
        rng=np.random.default_rng(3),
    )
    assert found.verdict == "PASS"
    assert set(found.not_tried) == {"one run: canaries"}


# ---- sensitivity and contribution ------------------------------------------------------------------------------------


def test_a_halved_sensitivity_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PrivacyUnit, "l2_squared", property(lambda unit: max(1, unit.max_rows**2 // 4)))
    assert failing(checked()) == {"replay: sensitivity"}


def test_a_halved_score_sensitivity_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MarginalErrors, "sensitivity", lambda query, unit: unit.l1 * query.GRID // 2)
    assert failing(checked()) == {"replay: sensitivity"}


def test_the_add_remove_sensitivity_for_replaced_units_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PrivacyUnit, "l2_squared", property(lambda unit: unit.max_rows**2))
    assert failing(checked(unit=REPLACED)) == {"replay: sensitivity"}


def test_an_ignored_contribution_bound_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(curator, "require_bounded", lambda dataset, unit: None)
    monkeypatch.setattr(fitting, "bound_contributions", lambda records, unit, key: records)
    assert failing(checked()) == {"replay: sensitivity"}


def test_a_curator_that_counts_contributions_again_stops_the_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitting, "bound_contributions", lambda records, unit, key: records)
    assert "replay: invariance" in failing(checked())


# ---- what depends on the data ----------------------------------------------------------------------------------------


class PeeksAtPresence(Pairs):
    """Measures only the columns in which the last value occurs: the domain is taken from the data."""

    def measure(self, curator: Curator) -> None:
        data = curator._data.open()
        seen = [
            name
            for name in data.domain.attributes
            if data.rows and data.column(name).max() == data.domain.size(name) - 1
        ]
        curator.measure([(name,) for name in [*seen, data.domain.attributes[0]]], rho=curator.budget, stage="columns")


class SpendsByRows(Pairs):
    """Takes its budget's split from the number of rows."""

    def measure(self, curator: Curator) -> None:
        share = curator.budget * Fraction(1, 2 + curator._data.open().rows % 7)
        curator.measure([(curator.domain.attributes[0],)], rho=share, stage="columns")


class StopsWhenEmpty(Pairs):
    """Breaks off on data that it does not like."""

    def measure(self, curator: Curator) -> None:
        if not curator._data.open().rows:
            raise SchemaError("nothing to do")
        super().measure(curator)


class SaysHowMany(Pairs):
    """Writes an exact count into the name of a stage."""

    def measure(self, curator: Curator) -> None:
        stage = f"columns of {curator._data.open().rows} rows"
        curator.measure([(curator.domain.attributes[0],)], rho=curator.budget, stage=stage)


class AsksMoreOfFewer(Pairs):
    """Draws noise that leaves no trace in the transcript, but only for few rows."""

    def measure(self, curator: Curator) -> None:
        super().measure(curator)
        if curator._data.open().rows <= AuditPlan.load("quick").conformance.rows:
            curator._noise.key()


@pytest.mark.parametrize("generator", [PeeksAtPresence, SpendsByRows, StopsWhenEmpty, SaysHowMany])
def test_whatever_depends_on_the_data_is_caught(generator: type[AbstractGenerator]) -> None:
    assert "replay: invariance" in failing(checked(generator()))


def test_noise_drawn_and_thrown_away_depending_on_the_data_is_caught() -> None:
    assert failing(checked(AsksMoreOfFewer(), unit=ROW)) == {"replay: invariance"}


def narrowed(records: Private[Records], noise: AbstractNoiseSource) -> Transcript:
    """A path that takes the domain from the data."""
    dataset = encode_public(records.open())
    sizes = tuple(int(column.max(initial=0)) + 1 for column in dataset.columns)
    smaller = Dataset(dataset.columns, Domain(dataset.domain.attributes, sizes))
    curator = make_curator(smaller, unit=ROW, rho=RHO, noise=noise)
    Pairs().measure(curator)
    return curator.transcript


def test_a_domain_taken_from_the_data_is_caught() -> None:
    assert "replay: invariance" in failing(checked(unit=ROW, fit=narrowed))


# ---- accounts --------------------------------------------------------------------------------------------------------


class Unaccounted(Pairs):
    """Looks at one table more than it pays for."""

    def measure(self, curator: Curator) -> None:
        super().measure(curator)
        curator._noise.gaussian(curator._data.open().marginal((curator.domain.attributes[0],)), Fraction(4))


class Overdrawn(Pairs):
    """Spends twice."""

    def measure(self, curator: Curator) -> None:
        super().measure(curator)
        curator._spent = Fraction(0)
        super().measure(curator)


class Retouched(Pairs):
    """Publishes exact counts under the event of noisy ones."""

    def measure(self, curator: Curator) -> None:
        super().measure(curator)
        first = curator._entries[0]
        assert isinstance(first, Measurement)
        curator._entries[0] = Measurement(clique=first.clique, values=first.values * 0, event=first.event)


@pytest.mark.parametrize("generator", [Unaccounted, Overdrawn, Retouched])
def test_what_is_learned_and_not_paid_for_is_caught(generator: type[AbstractGenerator]) -> None:
    assert failing(checked(generator())) - {"claim: accounting"} == {"ledger"}


def test_a_selection_with_the_wrong_coefficient_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    right = mechanism.exponential

    class Doubled:
        def __init__(self, source: AbstractNoiseSource) -> None:
            self.exponential = lambda scores, rate: source.exponential(scores, 2 * rate)

    def wrong(scores: Int64s, **rest: Any) -> object:
        return right(scores, **{**rest, "noise": Doubled(rest["noise"])})

    monkeypatch.setattr(mechanism, "exponential", wrong)
    assert failing(checked()) == {"ledger"}


def test_noise_of_another_sigma_than_the_event_s_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    right = mechanism.gaussian

    class Less:
        def __init__(self, source: AbstractNoiseSource) -> None:
            self.gaussian = lambda exact, variance: source.gaussian(exact, variance * Fraction(4, 5))

    def wrong(answers: Any, **rest: Any) -> object:
        return right(answers, **{**rest, "noise": Less(rest["noise"])})

    monkeypatch.setattr(mechanism, "gaussian", wrong)
    assert failing(checked()) == {"ledger"}


def test_a_price_too_low_for_its_noise_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    right = mechanism.gaussian_variance
    monkeypatch.setattr(mechanism, "gaussian_variance", lambda *args, **named: right(*args, **named) / 2)
    assert failing(checked()) == {"ledger"}


def test_a_selection_priced_as_monotone_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    right = mechanism.exponential_epsilon
    monkeypatch.setattr(mechanism, "exponential_epsilon", lambda rho: 2 * right(rho))
    assert failing(checked()) == {"ledger"}


# ---- the noise itself ------------------------------------------------------------------------------------------------


class TooLoud(AbstractNoiseSource):
    """Noise of 1.08 times its sigma: no risk, and not what is claimed. Other broken sources: tests/kill_matrix."""

    name: ClassVar[str] = "too loud"
    signable: ClassVar[bool] = False

    def __init__(self) -> None:
        self._right, self._rng = UnsafeSeededNoise(7), np.random.default_rng(7)

    def gaussian(self, exact: Int64s, sigma_squared: Fraction) -> Int64s:
        return exact + np.rint(self._rng.normal(0, 1.08 * float(sigma_squared) ** 0.5, exact.shape)).astype(np.int64)

    def exponential(self, scores: Int64s, rate: Fraction) -> int:
        return self._right.exponential(scores, rate)

    def choices(self, scores: Int64s, rate: Fraction, count: int) -> Int64s:
        return self._right.choices(scores, rate, count)

    def key(self) -> bytes:
        return self._right.key()


def test_noise_too_large_is_caught() -> None:
    assert "noise: scale" in failing(checked(noise=TooLoud()))


def test_no_noisy_answers_are_inconclusive() -> None:
    class Nothing(Pairs):
        def measure(self, curator: Curator) -> None:
            pass

    verdicts = checked(fit=conformance.fit_of(Nothing(), PATIENT, RHO))
    assert verdicts["noise: scale"] == "INCONCLUSIVE"
    assert verdicts["replay: invariance"] == "PASS"


def test_a_stage_of_one_number_is_examined_as_closely_as_any() -> None:
    class OneNumber(Pairs):
        def measure(self, curator: Curator) -> None:
            curator.measure([()], rho=curator.budget, stage="rows")

    assert failing(checked(fit=conformance.fit_of(OneNumber(), PATIENT, RHO))) == set()
