"""Markov random fields: tables are exact, and records with evidence come from the conditional distribution."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privsynth.domain import Domain
from privsynth.errors import FitError
from privsynth.pgm.clique_vector import CliqueVector
from privsynth.pgm.factor import Factor
from privsynth.pgm.markov_random_field import MarkovRandomField, likelihoods
from tests.models import joint, random_model, total_variation


@settings(max_examples=40)
@given(seed=st.integers(0, 10**6))
def test_tables_sum_to_the_total_and_equal_brute_force(seed: int) -> None:
    model = random_model(seed)
    field = MarkovRandomField(model, 70.0)
    truth = joint(model, 70.0)
    assert field.total == 70.0
    clique = model.domain.attributes[::-1][:3]
    np.testing.assert_allclose(field.project(clique), truth.project(clique).values, atol=1e-9)


@settings(max_examples=30)
@given(seed=st.integers(0, 10**6))
def test_records_with_evidence_follow_the_conditional_distribution(seed: int) -> None:
    rng = np.random.default_rng(seed)
    model = random_model(seed, scale=1.0)
    domain = model.domain
    given_codes = {
        name: rng.choice(domain.size(name), int(rng.integers(1, domain.size(name) + 1)), replace=False)
        for name in domain.attributes[:2]
    }
    drawn = MarkovRandomField(model, 1.0).draw(4000, rng, given_codes)
    assert drawn.rows == 4000
    truth = joint(model)
    for name, weights in likelihoods(domain, given_codes).items():
        truth = truth * Factor(domain.project((name,)), weights)
        assert set(drawn.column(name).tolist()) <= set(given_codes[name].tolist())
    found = drawn.marginal(domain.attributes).astype(np.float64)
    assert total_variation(found, truth.project(domain.attributes).values) < 0.6 * np.sqrt(found.size / 4000)


def test_evidence_moves_what_depends_on_it() -> None:
    domain = Domain(("a", "b"), (2, 2))
    field = MarkovRandomField(CliqueVector.of(domain, {("a", "b"): np.array([[2.0, 0.0], [0.0, 2.0]])}), 1.0)
    drawn = field.draw(1000, np.random.default_rng(0), {"b": np.array([1])})
    share = float(np.mean(drawn.column("a")))
    assert share == pytest.approx(np.exp(2) / (1 + np.exp(2)), abs=0.002)


def test_impossible_evidence_and_bad_codes_are_refused() -> None:
    domain = Domain(("a", "b"), (2, 2))
    field = MarkovRandomField(CliqueVector.of(domain, {("a",): np.array([0.0, -np.inf])}), 1.0)
    rng = np.random.default_rng(0)
    with pytest.raises(FitError, match="probability zero"):
        field.draw(5, rng, {"a": np.array([1])})
    for codes in ([2], [-1], []):
        with pytest.raises(FitError, match="at least one code"):
            field.draw(5, rng, {"a": np.array(codes, dtype=np.int64)})
    with pytest.raises(FitError, match="at least 0"):
        field.draw(-1, rng)
    assert field.draw(0, rng).rows == 0
    assert field.draw(0, rng, {"a": np.array([0])}).rows == 0
    assert field.draw(20, rng).column("a").tolist() == [0] * 20


def test_the_same_generator_gives_the_same_records() -> None:
    model = random_model(7)
    field = MarkovRandomField(model, 1.0)
    one, two = (field.draw(50, np.random.default_rng(3)) for _ in range(2))
    for left, right in zip(one.columns, two.columns, strict=True):
        np.testing.assert_array_equal(left, right)
