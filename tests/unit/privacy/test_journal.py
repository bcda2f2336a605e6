"""The journal: a question is answered once, and another one in its place is told apart; states are arrays and nothing else."""

from fractions import Fraction

import numpy as np
import pytest

from privsynth.dataset import Dataset
from privsynth.domain import Domain
from privsynth.errors import FitError, MechanismError, OutputError, RefusedError
from privsynth.privacy.curator import Curator, make_curator
from privsynth.privacy.journal import CLAIMS, MemoryJournal, question_of
from privsynth.privacy.noise import UnsafeSeededNoise
from privsynth.privacy.query import MarginalErrors
from privsynth.privacy.sampled_gaussian import SampledGaussian
from privsynth.privacy.unit import PrivacyUnit
from privsynth.private import Private
from tests.tiny_training import TinyTraining

DOMAIN = Domain(("a", "b"), (2, 3))
HALF = Fraction(1, 2)


def curator(journal=None, *, steps=130, seed=1, composition="rdp", training=True):
    data = Dataset.from_columns({"a": np.array([0, 1, 1]), "b": np.array([2, 1, 1])}, DOMAIN)
    plan = SampledGaussian(sampling_rate=HALF, steps=steps, noise_multiplier=Fraction(1)) if training else None
    return make_curator(
        data,
        unit=PrivacyUnit(name="row"),
        rho=Fraction(1),
        noise=UnsafeSeededNoise(seed),
        composition=composition if training else "zcdp",
        training=plan,
        journal=journal,
    )


QUERY = MarginalErrors(
    cliques=(("a",), ("b",)), references=[np.zeros(2), np.zeros(3)], weights=(1, 1), penalties=(0.0, 0.0)
)


def ask(held):
    tables = held.measure([("a",), ("b",)], rho=HALF / 2, stage="one", groups={"b": (0, 0, 1)})
    scores = held.measure_errors(QUERY, rho=Fraction(1, 8), stage="two")
    chosen = held.select(QUERY, rho=Fraction(1, 8), stage="three")
    return [each.values.tolist() for each in (*tables, scores)], chosen


def test_the_same_questions_get_the_same_answers_and_cost_the_same():
    journal = MemoryJournal()
    first = curator(journal)
    said = ask(first)
    journal._next = 0
    again = curator(journal, seed=2)
    assert ask(again) == said
    assert again.remaining == first.remaining == HALF
    assert [entry.to_json() for entry in again.transcript] == [entry.to_json() for entry in first.transcript]
    new = again.measure([("a",)], rho=HALF, stage="four")
    assert len(journal.begun) == 4 and journal.answer(3) == new


@pytest.mark.parametrize(
    "other",
    [
        {"rho": HALF / 3},
        {"stage": "another"},
        {"groups": {}},
        {"groups": {"b": (0, 1, 1)}},
        {"cliques": [("b",), ("a",)]},
        {"weights": [HALF / 2, HALF * 3 / 2]},
    ],
)
def test_another_question_is_told_apart(other):
    journal = MemoryJournal()
    asked = {"cliques": [("a",), ("b",)], "rho": HALF, "stage": "one", "groups": {"b": (0, 0, 1)}}
    curator(journal).measure(**asked)
    journal._next = 0
    held = curator(journal)
    with pytest.raises(OutputError, match="other questions"):
        held.measure(**(asked | other))
    assert held.transcript == ()
    assert len(journal.begun) == 1


def test_a_question_whose_answer_was_lost_is_not_asked_again():
    journal = MemoryJournal()
    journal.begin(question_of("anything"))
    with pytest.raises(RefusedError, match="lost"):
        journal.ask(question_of("anything"), lambda: pytest.fail("it was drawn again"))


def test_questions_differ_where_anything_in_them_does():
    parts = ("x", Fraction(1, 2), ("a", ("b",)), 3, None)
    assert question_of("k", *parts) == question_of("k", *parts)
    others = [("k", *parts[:-1]), ("l", *parts), ("k", *parts[:-1], 0), ("k", "x", HALF, ("a", "b"), 3, None)]
    assert len({question_of(*each) for each in [("k", *parts), *others]}) == 5


def test_steps_are_claimed_in_blocks_before_they_are_taken():

    journal, keys = MemoryJournal(), []
    held = curator(journal)
    noise, loss = held._noise, TinyTraining().loss(DOMAIN)
    original = noise.key

    def key():
        keys.append(journal.claimed)
        return original()

    noise.key = key
    for step in range(130):
        assert held.training_state() == (step, None)
        held.gradient_sum(loss, clip=Fraction(1))
    block = 130 // CLAIMS
    assert keys == [min(130, (step // block + 1) * block) for step in range(130)]
    assert held.claim_used


def test_states_are_finite_floating_point_arrays():
    held = curator()
    for bad in (
        {"a": np.array([1])},
        {"a": np.array(["x"])},
        {"a": [1.0]},
        {3: np.zeros(1)},
        {"a": np.array([np.nan])},
        {"a": np.array([np.inf], np.float32)},
    ):
        with pytest.raises(FitError):
            held.keep(bad)
    assert held.training_state() == (0, None)
    with pytest.raises(MechanismError, match="no part for gradient"):
        curator(training=False).keep({"a": np.zeros(1)})


def test_epsilon_so_far_counts_what_is_claimed():
    data = Dataset.from_columns({"a": np.array([0, 1, 1]), "b": np.array([2, 1, 1])}, DOMAIN)
    plan, asked = SampledGaussian(sampling_rate=HALF, steps=640, noise_multiplier=Fraction(1)), []

    def epsilon_after(left, steps):
        asked.append((left, steps))
        return 2.5

    journal = MemoryJournal()
    held = Curator(
        Private(data),
        unit=PrivacyUnit(name="row"),
        rho=Fraction(1),
        noise=UnsafeSeededNoise(1),
        composition="pld",
        training=plan,
        journal=journal,
        epsilon_after=epsilon_after,
    )
    assert held.epsilon_so_far == 2.5
    held.measure([("a",)], rho=HALF, stage="one")
    held.gradient_sum(TinyTraining().loss(DOMAIN), clip=Fraction(1))
    assert held.epsilon_so_far == 2.5
    assert asked == [(1, 0), (HALF, 10)]
    assert curator().epsilon_so_far is None
