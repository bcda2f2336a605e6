"""Marginal oracles: the fast path and the log path equal brute force and mbi; what would underflow goes the log path."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privsynth.domain import Domain
from privsynth.pgm.clique_vector import CliqueVector
from privsynth.pgm.factor import Factor
from privsynth.pgm.marginal_oracle import MarginalOracle, log_beliefs, log_marginals, normalised
from tests.models import joint, random_model


@settings(max_examples=80)
@given(seed=st.integers(0, 10**6))
def test_both_paths_equal_brute_force_however_often_the_oracle_was_used(seed: int) -> None:
    model = random_model(seed, attributes=6)
    oracle = MarginalOracle(model.domain, model.cliques)
    oracle.marginals(model * -1.0, 5.0)
    fast, slow, truth = oracle.marginals(model, 40.0), log_marginals(oracle.tree, model, 40.0), joint(model, 40.0)
    assert oracle._linear.marginals(model, 40.0) is not None
    for clique in model.cliques:
        expected = truth.project(clique).values
        np.testing.assert_allclose(fast.tables()[clique], expected, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(slow.tables()[clique], expected, rtol=1e-9, atol=1e-9)
    for belief in oracle.beliefs(model, 40.0):
        np.testing.assert_allclose(belief.values, truth.project(belief.domain.attributes).values, atol=1e-9)


@settings(max_examples=40)
@given(seed=st.integers(0, 10**6), scale=st.sampled_from([30.0, 300.0, 3000.0]))
def test_potentials_of_any_size_give_the_tables_of_brute_force(seed: int, scale: float) -> None:
    model = random_model(seed, scale=scale)
    oracle = MarginalOracle(model.domain, model.cliques)
    found, truth = oracle.marginals(model, 1.0), joint(model)
    for clique in model.cliques:
        np.testing.assert_allclose(found.tables()[clique], truth.project(clique).values, atol=1e-9)
    for belief in oracle.beliefs(model, 1.0):
        np.testing.assert_allclose(belief.values, truth.project(belief.domain.attributes).values, atol=1e-9)


def test_a_clique_none_of_whose_factors_hold_one_of_its_attributes_hears_of_it_from_its_parent() -> None:
    """The ring's chords belong to no factor, so some cliques know an attribute through their separator alone."""
    pairs = ["ei", "dg", "gk", "cd", "fk", "be", "bc", "fi", "af", "bg", "ai", "de", "ce", "hk", "hj", "df"]
    domain = Domain(tuple("abcdefghijk"), (3, 3, 12, 2, 2, 2, 2, 3, 3, 12, 2))
    model = CliqueVector.zeros(domain, [(one, two) for one, two in pairs])
    model.flat[:] = np.random.default_rng(15).normal(size=len(model.flat))
    oracle = MarginalOracle(domain, model.cliques)
    found, slow = oracle.marginals(model, 7.0), log_marginals(oracle.tree, model, 7.0)
    np.testing.assert_allclose(found.flat, slow.flat, rtol=1e-9)


def test_what_underflows_on_the_fast_path_is_computed_in_the_log_domain() -> None:
    """Each neighbour alone makes b = 1 less likely than float64 can hold; together they make it certain."""
    domain = Domain(("a", "b", "c"), (2, 2, 2))
    model = CliqueVector.of(
        domain,
        {("a", "b"): np.array([[0.0, -800.0], [0.0, -800.0]]), ("b", "c"): np.array([[-900.0, -900.0], [0.0, 0.0]])},
    )
    oracle = MarginalOracle(domain, model.cliques)
    assert oracle._linear.marginals(model, 1.0) is None
    np.testing.assert_allclose(oracle.marginals(model, 1.0).tables()["b", "c"].sum(axis=1), [0, 1], atol=1e-12)
    np.testing.assert_allclose(oracle.beliefs(model, 1.0)[0].project(("b",)).values, [0, 1], atol=1e-12)


@settings(max_examples=40)
@given(seed=st.integers(0, 10**6))
def test_evidence_conditions_and_impossible_evidence_leaves_nothing(seed: int) -> None:
    model = random_model(seed)
    oracle, truth = MarginalOracle(model.domain, model.cliques), joint(model)
    name = model.domain.attributes[-1]
    weights = np.zeros(model.domain.size(name))
    weights[0] = 1.0
    with np.errstate(divide="ignore"):
        evidence = Factor(model.domain.project((name,)), np.log(weights))
    expected = truth * Factor(model.domain.project((name,)), weights)
    for belief in log_beliefs(oracle.tree, model, [evidence]):
        wanted = expected.project(belief.domain.attributes).values / expected.values.sum()
        np.testing.assert_allclose(normalised(belief, 1.0).values, wanted, atol=1e-9)
    nothing = Factor(evidence.domain, np.full(len(weights), -np.inf))
    assert not any(normalised(b, 1.0).values.any() for b in log_beliefs(oracle.tree, model, [nothing]))


def test_a_model_without_cliques_is_uniform() -> None:
    domain = Domain(("a", "b"), (2, 4))
    beliefs = MarginalOracle(domain, ()).beliefs(CliqueVector.zeros(domain, ()), 8.0)
    assert sorted(belief.values.tolist() for belief in beliefs) == [[2.0] * 4, [4.0] * 2]


@pytest.mark.parametrize("seed", range(6))
def test_marginals_equal_those_of_mbi(seed: int) -> None:
    import jax
    import mbi

    jax.config.update("jax_enable_x64", True)
    model = random_model(seed, attributes=6)
    domain = mbi.Domain(model.domain.attributes, model.domain.sizes)
    factors = {clique: mbi.Factor(domain.project(clique), table) for clique, table in model.tables().items()}
    theirs = mbi.marginal_oracles.message_passing_shafer_shenoy(mbi.CliqueVector(domain, list(factors), factors), 9.0)
    ours = MarginalOracle(model.domain, model.cliques).marginals(model, 9.0)
    for clique, table in ours.tables().items():
        np.testing.assert_allclose(table, np.asarray(theirs.project(clique).values), rtol=1e-6)
