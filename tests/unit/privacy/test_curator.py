"""The curator: what it answers, what it charges, and that it refuses before it touches the data."""

from fractions import Fraction

import numpy as np
import pytest

from privsynth.dataset import Dataset
from privsynth.domain import Domain
from privsynth.errors import BudgetExceeded, FitError, MechanismError, SchemaError
from privsynth.measurement import ErrorScores, Measurement, Selection, entry_from_json
from privsynth.privacy import gradient_step, mechanism
from privsynth.privacy.curator import make_curator
from privsynth.privacy.noise import SystemNoise
from privsynth.privacy.query import MarginalErrors
from privsynth.privacy.sampled_gaussian import SampledGaussian
from privsynth.privacy.source import AbstractNoiseSource
from privsynth.privacy.unit import PrivacyUnit

DOMAIN = Domain(("a", "b"), (2, 3))


class Recorder(AbstractNoiseSource):
    """Adds no noise and remembers what it was asked."""

    name, signable = "recorder", False

    def __init__(self):
        self.variances, self.rates, self.sizes = [], [], []

    def gaussian(self, exact, sigma_squared):
        self.variances.append(sigma_squared)
        self.sizes.append(exact.size)
        return exact

    def exponential(self, scores, rate):
        self.rates.append(rate)
        return int(scores.argmax())

    def key(self):
        return bytes(32)


def curator(noise, rho="1", rows=1, column="id", composition="zcdp"):
    codes = np.array([[0, 1], [0, 1], [1, 2]])
    data = Dataset.from_columns({"a": codes[:, 0], "b": codes[:, 1]}, DOMAIN)
    unit = PrivacyUnit(name="p", column=column, max_rows=rows)
    return make_curator(data, unit=unit, rho=Fraction(rho), noise=noise, composition=composition)


@pytest.mark.parametrize(
    ("units", "weights", "allowed"),
    [
        ([0, 0, 1], None, 2),
        ([0, 0, 1], [100, 156, 256], 256),
        ([0, 0, 1], [0, 0, 3], 3),
    ],
)
def test_a_unit_that_contributes_more_than_its_bound_is_refused(units, weights, allowed):
    codes = {"a": np.array([0, 0, 1]), "b": np.array([0, 1, 2])}
    weighed = None if weights is None else np.array(weights)
    data = Dataset.from_columns(codes, DOMAIN, np.array(units), weighed)

    def held(rows):
        unit = PrivacyUnit(name="p", column="id", max_rows=rows)
        return make_curator(data, unit=unit, rho=Fraction(1), noise=Recorder())

    (found,) = held(allowed).measure([()], rho=Fraction(1), stage="all")
    assert found.values == (3 if weights is None else sum(weights))
    assert found.event.sensitivity_squared == allowed**2
    with pytest.raises(MechanismError, match="more than its bound") as refusal:
        held(allowed - 1)
    assert not any(character.isdigit() for character in str(refusal.value))


def test_weights_need_units_and_have_no_gradients():
    codes = {"a": np.array([0]), "b": np.array([0])}
    nobodys = Dataset.from_columns(codes, DOMAIN, weights=np.array([1]))
    unit = PrivacyUnit(name="p", column="id", max_rows=4)
    with pytest.raises(MechanismError, match="number of their unit"):
        make_curator(nobodys, unit=unit, rho=Fraction(1), noise=Recorder())
    weighed = Dataset.from_columns(codes, DOMAIN, np.array([0]), np.array([1]))
    plan = SampledGaussian(sampling_rate=Fraction(1, 2), steps=2, noise_multiplier=Fraction(2))
    with pytest.raises(MechanismError, match="no gradients"):
        make_curator(weighed, unit=unit, rho=Fraction(1), noise=Recorder(), composition="rdp", training=plan)
    with pytest.raises(MechanismError, match="no gradients"):
        gradient_step.exact_sum(None, weighed, plan, bytes(32), None)


def test_the_largest_noise_grows_with_what_a_unit_may_weigh():
    codes = {"a": np.array([0]), "b": np.array([0])}
    weighed = Dataset.from_columns(codes, DOMAIN, np.array([0]), np.array([256]))
    unit = PrivacyUnit(name="p", column="id", max_rows=256)
    held = make_curator(weighed, unit=unit, rho=Fraction(1), noise=Recorder())
    (found,) = held.measure([("a",)], rho=Fraction(1, 1 << 30), stage="noisy")
    assert found.event.sigma_squared == 2**16 * 2**29
    with pytest.raises(MechanismError, match="noise of more than"):
        held.measure([("a",)], rho=Fraction(1, 1 << 34), stage="noisier")


@pytest.mark.parametrize("rows", [1, 2, 5])
def test_measuring_calibrates_to_the_unit_and_charges_all_tables_together(rows):
    noise = Recorder()
    held = curator(noise, rows=rows)
    found = held.measure([("a",), ("a", "b")], rho=Fraction(1, 10), stage="pairs")
    assert noise.variances == [Fraction(2 * rows**2 * 10, 2)]
    assert noise.sizes == [2 + 6]
    assert [entry.values.tolist() for entry in found] == [[2, 1], [[0, 2, 0], [0, 0, 1]]]
    assert held.remaining == Fraction(9, 10)
    assert sum(entry.event.rho for entry in held.transcript) == Fraction(1, 10)
    assert all(
        entry.event.rho == Fraction(entry.event.sensitivity_squared) / (2 * entry.event.sigma_squared)
        for entry in found
    )


def test_variance_is_rounded_up_and_epsilon_down():
    rho = Fraction(1, 7)
    assert Fraction(3) / (2 * mechanism.gaussian_variance(3, rho)) <= rho
    assert mechanism.exponential_epsilon(rho) ** 2 / 8 <= rho
    assert (mechanism.exponential_epsilon(rho) + Fraction(1, 2**40)) ** 2 / 8 > rho


def test_distances_are_computed_once_for_a_reference_and_the_scores_are_the_same(monkeypatch):
    query = MarginalErrors(
        cliques=(("a",), ("b",), ("a",)),
        references=[np.array([0.5, 0.0]), np.zeros(3), np.array([9.0, 9.0])],
        weights=(1, 2, 1),
        penalties=(0.25, 0.0, 0.0),
    )
    wanted = query.answer([np.array([2, 1]), np.array([0, 2, 1]), np.array([2, 1])])
    held, computed, scores = curator(Recorder()), [], []
    distance, exponential = MarginalErrors.distance, mechanism.exponential
    monkeypatch.setattr(MarginalErrors, "distance", lambda q, i, t: computed.append(i) or distance(q, i, t))
    monkeypatch.setattr(mechanism, "exponential", lambda s, **kw: scores.append(s) or exponential(s, **kw))
    for candidates in ([0, 1, 2], [2, 0], [1, 2]):
        held.select(query.among(candidates), rho=Fraction(1, 10), stage="choose")
    assert computed == [0, 1, 2, 0]
    assert [found.tolist() for found in scores] == [wanted[c].tolist() for c in ([0, 1, 2], [2, 0], [1, 2])]


def test_selection_uses_half_the_epsilon_over_the_sensitivity():
    noise = Recorder()
    held = curator(noise, rows=2)
    query = MarginalErrors(
        cliques=(("a",), ("b",)), references=[np.array([2.0, 1.0]), np.zeros(3)], weights=(1, 3), penalties=(0.0, 0.0)
    )
    assert held.select(query, rho=Fraction(1, 8), stage="select") == 1
    assert noise.rates == [Fraction(1) / (2 * 3 * 2 * 1024)]
    (entry,) = held.transcript
    assert entry == Selection(chosen=("b",), candidates=2, event=entry.event)
    assert entry.event.rho == Fraction(1, 8)
    assert held.remaining == Fraction(7, 8)


def test_overspending_and_bad_requests_are_refused_before_anything_is_drawn():
    noise = Recorder()
    held = curator(noise)
    with pytest.raises(BudgetExceeded, match='stage "greedy" asks for'):
        held.measure([("a",)], rho=Fraction(11, 10), stage="greedy")
    with pytest.raises(MechanismError, match="above zero"):
        held.measure([("a",)], rho=Fraction(0), stage="free")
    with pytest.raises(SchemaError, match="no attribute"):
        held.measure([("missing",)], rho=Fraction(1), stage="typo")
    with pytest.raises(MechanismError, match="at least one"):
        held.measure([], rho=Fraction(1), stage="nothing")
    assert (held.remaining, held.transcript, noise.variances) == (1, (), [])
    with pytest.raises(MechanismError):
        curator(noise, rho="0")


def test_the_last_fraction_of_the_budget_can_be_spent_and_nothing_after_it():
    held = curator(SystemNoise(), rho="1/3")
    for _ in range(3):
        held.measure([("a",)], rho=Fraction(1, 9), stage="thirds")
    assert held.remaining == 0
    with pytest.raises(BudgetExceeded):
        held.measure([("a",)], rho=Fraction(1, 10**12), stage="crumb")


def test_asking_twice_draws_twice():
    held = curator(SystemNoise())
    first = held.measure([("a", "b")], rho=Fraction(1, 10**6), stage="x")[0].values
    assert (first != held.measure([("a", "b")], rho=Fraction(1, 10**6), stage="x")[0].values).any()


def test_a_transcript_survives_json():
    held = curator(SystemNoise())
    held.measure([("b", "a")], rho=Fraction(1, 3), stage="x")
    held.select(
        MarginalErrors(cliques=(("a",),), references=[np.zeros(2)], weights=(1,), penalties=(0.0,)),
        rho=Fraction(1, 7),
        stage="y",
    )
    again = [entry_from_json(entry.to_json()) for entry in held.transcript]
    assert isinstance(again[0], Measurement)
    assert again[0].event == held.transcript[0].event
    assert (again[0].values == held.transcript[0].values).all()
    assert again[1] == held.transcript[1]


def test_budgets_that_are_not_exact_fractions_are_refused_and_change_nothing():
    noise = Recorder()
    held = curator(noise)
    for rho in (float("nan"), 0.5, 1, "1"):
        with pytest.raises(MechanismError, match="exact fraction"):
            held.measure([("a",)], rho=rho, stage="x")
    assert (held.remaining, noise.variances) == (1, [])
    codes = Dataset.from_columns({"a": np.array([0]), "b": np.array([0])}, DOMAIN)
    with pytest.raises(MechanismError):
        make_curator(codes, unit=PrivacyUnit(name="p"), rho=float("inf"), noise=noise)


def test_a_curator_cannot_be_copied_to_spend_its_budget_twice():
    import copy

    held = curator(Recorder())
    for duplicate in (copy.copy, copy.deepcopy):
        with pytest.raises(MechanismError, match="once"):
            duplicate(held)


def asking(references, weights=(1,), penalties=(0.0,)):
    return MarginalErrors(cliques=(("a",),), references=references, weights=weights, penalties=penalties)


@pytest.mark.parametrize(
    "parts",
    [
        {"references": [np.array([-(2.0**52), -(2.0**52)])]},
        {"references": [np.zeros(2)], "penalties": (1e300,)},
        {"references": [np.array([2.0**40, 0.0])], "weights": (2**20,)},
    ],
)
def test_numbers_that_could_wrap_around_are_refused(parts):
    with pytest.raises(MechanismError, match="2\\^48"):
        asking(**parts)


def test_numpy_weights_do_not_wrap_around():
    query = asking([np.zeros(2)], weights=np.array([3], dtype=np.int32))
    assert query.answer([np.array([700_000, 0])]).tolist() == [3 * 700_000 * 1024]
    assert asking([np.zeros(2)], weights=np.array([2**22 + 1], np.int32)).sensitivity(PrivacyUnit(name="p")) > 2**31


def test_references_of_another_shape_are_refused_before_anything_is_spent():
    held = curator(Recorder())
    with pytest.raises(MechanismError, match="shapes"):
        held.select(asking([np.zeros((1000, 2))]), rho=Fraction(1, 2), stage="x")
    with pytest.raises(MechanismError, match="nothing else"):
        held.select(object(), rho=Fraction(1, 2), stage="x")
    assert held.remaining == 1


def test_noise_too_large_to_draw_is_refused_before_anything_is_spent():
    held = curator(Recorder())
    with pytest.raises(MechanismError, match="records a cell"):
        held.measure([("a",)], rho=Fraction(1, 10**12), stage="x")
    assert held.remaining == 1


def test_tables_over_groups_are_sums_of_tables_over_levels_at_the_same_price():
    noise = Recorder()
    held = curator(noise, rows=2)
    plain, grouped, again = (
        held.measure([("b", "a")], rho=Fraction(1, 4), stage="x", groups=groups)[0]
        for groups in (None, {"b": np.array([1, 0, 1])}, {"b": (0, 0, 1)})
    )
    assert plain.values.tolist() == [[0, 0], [2, 0], [0, 1]]
    assert grouped.values.tolist() == [[2, 0], [0, 1]]  # level 1; then levels 0 and 2
    assert again.values.tolist() == [[2, 0], [0, 1]]
    assert (plain.groups, grouped.groups, again.groups) == ({}, {"b": (1, 0, 1)}, {"b": (0, 0, 1)})
    assert noise.variances == [Fraction(4 * 4, 2)] * 3
    third = held.measure([("a",), ("b",)], rho=Fraction(1, 4), stage="x", groups={"b": (0, 0, 0)})
    assert [table.values.tolist() for table in third] == [[2, 1], [3]]
    assert [table.groups for table in third] == [{}, {"b": (0, 0, 0)}]


def test_weights_share_the_budget_exactly():
    noise = Recorder()
    held = curator(noise)
    weights = [Fraction(1, 2), Fraction(1, 6), Fraction(1, 6), Fraction(1, 6)]
    found = held.measure([("a",), ("b",), ("a", "b"), ("b", "a")], rho=Fraction(1), stage="x", weights=weights)
    assert [table.event.rho for table in found] == weights
    assert [table.event.sigma_squared for table in found] == [1, 3, 3, 3]
    assert (noise.variances, noise.sizes) == ([1, 3], [2, 3 + 6 + 6])
    assert held.remaining == 0
    assert [table.values.shape for table in found] == [(2,), (3,), (2, 3), (3, 2)]


HALF = Fraction(1, 2)


@pytest.mark.parametrize(
    "bad",
    [
        {"weights": []},
        {"weights": [HALF]},
        {"weights": [HALF, HALF, Fraction(0)]},
        {"weights": [0.5, 0.5]},
        {"weights": [HALF, float("nan")]},
        {"weights": [HALF, Fraction(1, 3)]},
        {"weights": [Fraction(3, 2), -HALF]},
        {"weights": [1, 0]},
        {"weights": [1 - Fraction(1, 10**15), Fraction(1, 10**15)]},  # noise too large for the small one
        {"groups": {"b": (0, 1)}},
        {"groups": {"b": (0, 1, 2, 3)}},
        {"groups": {"b": ()}},
        {"groups": {"b": (0, 2, 2)}},
        {"groups": {"b": (1, 2, 1)}},
        {"groups": {"b": (-1, 0, 1)}},
        {"groups": {"b": (0.0, 1.0, 1.0)}},
        {"groups": {"b": (0, float("nan"), 1)}},
        {"groups": {"b": 3}},
        {"groups": {"missing": (0, 0)}},
        {"stage": 3},
        {"rho": 1},
    ],
)
def test_bad_groups_and_weights_are_refused_before_anything_is_spent(bad):
    noise = Recorder()
    held = curator(noise)
    with pytest.raises((MechanismError, SchemaError)):
        held.measure([("a",), ("b",)], **{"rho": HALF, "stage": "x", **bad})
    assert (held.remaining, held.transcript, noise.variances) == (1, (), [])


def test_error_scores_are_released_together_with_noise_for_all_of_them():
    noise = Recorder()
    held = curator(noise, rows=2, composition="gdp")
    query = MarginalErrors(
        cliques=(("a",), ("b",)), references=[np.array([2.0, 1.0]), np.zeros(3)], weights=(1, 3), penalties=(0.5, 0.0)
    )
    found = held.measure_errors(query, rho=Fraction(1, 8), stage="scores")
    assert found.values.tolist() == [-512, 9 * 1024]
    assert noise.variances == [(2**2 + 6**2) * 1024**2 * 4] == [found.event.sigma_squared]
    assert found.event.sensitivity_squared == 40 * 1024**2
    assert (held.transcript, held.remaining) == ((found,), Fraction(7, 8))
    again = entry_from_json(found.to_json())
    assert isinstance(again, ErrorScores)
    assert (again.cliques, again.event, again.values.tolist()) == (found.cliques, found.event, [-512, 9 * 1024])


def test_error_scores_are_refused_before_anything_is_spent():
    noise = Recorder()
    held = curator(noise)
    for query, rho in ((object(), HALF), (asking([np.zeros(3)]), HALF), (asking([np.zeros(2)]), Fraction(2))):
        with pytest.raises((MechanismError, BudgetExceeded)):
            held.measure_errors(query, rho=rho, stage="x")
    with pytest.raises(MechanismError, match="records a cell"):
        held.measure_errors(asking([np.zeros(2)]), rho=Fraction(1, 10**24), stage="x")
    assert (held.remaining, held.transcript, noise.variances) == (1, (), [])


def test_where_answers_add_up_as_gaussian_ones_nothing_is_selected():
    noise = Recorder()
    held = curator(noise, composition="gdp")
    assert held.composition == "gdp"
    with pytest.raises(MechanismError, match="no Gaussian"):
        held.select(asking([np.zeros(2)]), rho=HALF, stage="x")
    assert (held.remaining, held.transcript, noise.rates) == (1, (), [])
    with pytest.raises(MechanismError, match="add up"):
        curator(noise, composition="renyi")


@pytest.mark.parametrize("groups", [{"b": [0, 0]}, {"c": [0]}, {"b": [0, 2, 1]}, {"b": [0, 0, 0]}, {"a": [0, 0]}])
def test_a_stored_measurement_whose_groups_do_not_fit_is_refused(groups):
    stored = curator(Recorder()).measure([("a", "b")], rho=HALF, stage="x", groups={"b": (0, 0, 1)})[0].to_json()
    assert entry_from_json(stored).groups == {"b": (0, 0, 1)}
    kept = {**stored, "groups": groups}
    if groups == {"b": [0, 0]}:
        kept["shape"], kept["values"] = [2, 2], [0, 0, 0, 0]
    with pytest.raises(FitError, match="groups"):
        entry_from_json(kept)
