"""What moved is found, what did not is kept, nothing is spent on it, and all of it is read off noisy answers."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from privsynth import generators
from privsynth.measurement import ErrorScores, measurements
from privsynth.privacy.guarantee import Guarantee
from privsynth.refreshing import changes, measuring
from privsynth.refreshing.aligning import align
from privsynth.refreshing.deciding import _doubt
from tests import made_refresh as made

RHO = made.budget().rho


@pytest.fixture(scope="module")
def before():
    return made.prior()


def run(before, columns, seed, **changes):
    generator = made.refreshed(before, **changes)
    transcript = made.fitted(columns, generator, seed)
    return generator, transcript, generator.decision(made.DOMAIN, transcript)


def spent(transcript):
    return sum((entry.event.rho for entry in transcript), Fraction(0))


def test_where_nothing_moved_the_drift_test_alone_is_spent_and_everything_kept(before):
    generator, transcript, decision = run(before, made.people(6000, 2), 2)
    assert decision.nothing
    assert spent(transcript) == RHO * Fraction(15, 100)
    assert {entry.event.stage for entry in transcript} == {"drift: columns", "drift: pairs"}
    whole = generator.with_kept(made.DOMAIN, transcript)
    kept = [entry for entry in whole if entry.event.stage == f"kept from release {made.RELEASE}"]
    assert len(kept) == len(before.known)
    assert all(entry.event.rho == 0 for entry in kept)
    assert measuring.own(whole) == transcript
    Guarantee.for_budget(made.budget(), made.UNIT, whole)


def test_twice_as_many_records_are_no_drift_and_what_is_kept_is_rescaled(before):
    generator, transcript, decision = run(before, made.people(12_000, 3), 3)
    assert decision.nothing
    assert decision.total == pytest.approx(12_000, abs=5 * decision.error)
    kept = measuring.kept(before, decision)
    for one, was in zip(kept, before.known, strict=True):
        scale = decision.total / before.total
        assert np.allclose(one.values, was.values * scale, atol=0.5)
        assert one.sigma > np.sqrt(was.variance) * scale  # and chance on top: the old people are not the new ones
    assert generator.estimate(made.DOMAIN, transcript).total == pytest.approx(12_000, rel=0.02)


def test_a_column_that_moved_is_measured_anew_with_its_pairs_and_nothing_else(before):
    generator, transcript, decision = run(before, made.people(6000, 4, column=0.3), 4)
    assert decision.fresh == ("d",)
    assert [column.status for column in decision.columns] == ["kept", "kept", "kept", "moved", "kept"]
    anew = [entry for entry in measurements(transcript) if entry.event.stage.startswith("renewed")]
    assert {one.clique for one in anew} == {("d",), ("a", "d"), ("b", "d"), ("c", "d"), ("d", "e")}
    kept = measuring.kept(before, decision)
    assert all("d" not in one.clique for one in kept)
    plan = measuring.renewal(made.DOMAIN, before, decision)
    assert spent(transcript) == RHO * (Fraction(15, 100) + Fraction(85, 100) * plan.fraction)
    assert 0 < plan.fraction < Fraction(1, 2)
    moved = decision.columns[3]
    assert moved.moved_by == pytest.approx(0.3 * (1 - moved.old[0]), abs=0.05)
    model = generator.estimate(made.DOMAIN, transcript)
    truth = np.bincount(made.people(6000, 4, column=0.3)["d"], minlength=8) / 6000
    assert np.abs(model.project(("d",)) / model.total - truth).sum() < 0.1


def test_a_pair_that_moved_with_its_margins_unchanged_is_found(before):
    _, transcript, decision = run(before, made.people(6000, 5, pair=0.5), 5)
    assert decision.fresh == ()
    assert decision.fresh_pairs == {frozenset("be")}
    assert ("b", "e") in {one.clique for one in measurements(transcript) if one.event.stage == "renewed: pairs"}
    assert not decision.keeps(("b", "e"))
    assert decision.keeps(("a", "b"))
    assert not decision.keeps(("a", "b", "e"))


def test_a_part_alone_spends_its_own_budget_and_both_give_what_the_whole_does(before):
    columns = made.people(6000, 6, column=0.3)
    watch, answers, _ = run(before, columns, 6, part="watch")
    assert spent(answers) == RHO
    renew = made.refreshed(before, part="renew", answers=answers)
    anew = made.fitted(columns, renew, 7)
    assert {entry.event.stage for entry in anew} == {"renewed: columns", "renewed: pairs"}
    assert spent(anew) == RHO
    assert watch.decision(made.DOMAIN, answers).fresh == ("d",)
    model = renew.estimate(made.DOMAIN, answers + anew)
    assert model.total == pytest.approx(6000, rel=0.05)


def test_pairs_are_scored_only_where_their_columns_did_not_move(before):
    _, transcript, _ = run(before, made.people(6000, 8, column=0.5), 8)
    (scores,) = [entry for entry in transcript if isinstance(entry, ErrorScores)]
    assert all("d" not in clique for clique in scores.cliques)
    assert len(scores.cliques) == 6


def test_single_columns_of_an_earlier_release_without_pairs_are_refreshed():
    before = made.prior(name="independent")
    assert not before.has_pairs
    generator, transcript, decision = run(before, made.people(6000, 9, column=0.3), 9)
    assert decision.fresh == ("d",)
    assert all(len(one.clique) == 1 for one in measurements(transcript))
    independent = made.refreshed(before, name="independent")
    assert independent.estimate(made.DOMAIN, transcript).total == pytest.approx(6000, rel=0.05)
    stored = generator.restore(made.DOMAIN, transcript, generator.estimate(made.DOMAIN, transcript).arrays())
    assert stored.total == pytest.approx(6000, rel=0.05)


def test_the_decision_is_a_function_of_the_answers(before):
    generator, transcript, decision = run(before, made.people(6000, 10, column=0.3), 10)
    again = generator.decision(made.DOMAIN, tuple(entry for entry in transcript))
    assert (again.fresh, again.fresh_pairs, again.total) == (decision.fresh, decision.fresh_pairs, decision.total)


def test_what_is_kept_and_new_is_fitted_better_than_all_of_it_anew(before):
    columns = made.people(6000, 11, column=0.3)
    generator, transcript, _ = run(before, columns, 11)
    fresh = generators.get("latent_class", {})
    both = {
        "refresh": generator.estimate(made.DOMAIN, transcript),
        "anew": fresh.estimate(made.DOMAIN, made.fitted(columns, fresh, 11)),
    }
    pairs = [(one, other) for place, one in enumerate(made.SIZES) for other in list(made.SIZES)[place + 1 :]]
    error = {}
    for name, model in both.items():
        apart = []
        for one, other in pairs:
            truth = np.zeros((made.SIZES[one], made.SIZES[other]))
            np.add.at(truth, (columns[one], columns[other]), 1 / 6000)
            apart.append(np.abs(model.project((one, other)) / model.total - truth).sum() / 2)
        error[name] = np.mean(apart)
    assert spent(transcript) < RHO * Fraction(3, 5)
    assert error["refresh"] < 1.25 * error["anew"]


def test_doubt_is_the_chance_of_differences_as_large():
    rng = np.random.default_rng(1)
    spread = rng.normal(size=(6, 6))
    covariance = spread @ spread.T
    draws = rng.multivariate_normal(np.zeros(6), covariance, 2000)
    doubts = np.array([_doubt(one, covariance) for one in draws])
    for level in (0.05, 0.2, 0.5):
        assert np.mean(doubts < level) == pytest.approx(level, abs=4 * np.sqrt(level * (1 - level) / 2000))
    assert _doubt(draws[0] * 0, covariance) > 0.999


def test_an_earlier_release_that_is_too_noisy_to_tell_is_measured_anew_and_not_called_still():
    paid = float(2 * RHO * Fraction(85, 100))
    calm = replace(made.prior(), paid=paid)
    assert run(calm, made.people(6000, 2), 2)[2].nothing
    rough = replace(made.prior(epsilon="0.1"), paid=paid)
    _, transcript, decision = run(rough, made.people(6000, 2), 2)
    assert not decision.nothing
    assert {column.status for column in decision.columns} == {"noisy"}
    assert measuring.kept(rough, decision) == ()
    found = changes._column(decision.columns[0], align(made.SCHEMA, made.SCHEMA), made.SCHEMA)
    assert found["reason"] == "the earlier release is too noisy to tell"
    assert spent(transcript) <= RHO
    assert {entry.event.stage for entry in transcript} >= {"renewed: columns", "renewed: pairs"}
