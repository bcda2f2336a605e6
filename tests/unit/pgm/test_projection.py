"""Projection: any table, and all pairs together, equal brute force."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from privsynth.pgm.marginal_oracle import MarginalOracle
from privsynth.pgm.projection import all_pairs, project
from tests.models import joint, random_model


@settings(max_examples=100)
@given(seed=st.integers(0, 10**6))
def test_any_table_and_all_pairs_equal_brute_force(seed: int) -> None:
    model = random_model(seed, attributes=7)
    oracle, truth = MarginalOracle(model.domain, model.cliques), joint(model, 50.0)
    beliefs = oracle.beliefs(model, 50.0)
    pairs = all_pairs(oracle.tree, beliefs)
    assert set(pairs) == set(itertools.combinations(model.domain.attributes, 2))
    for pair, table in pairs.items():
        np.testing.assert_allclose(table, truth.project(pair).values, atol=1e-9)
    rng = np.random.default_rng(seed)
    for size in range(min(4, len(model.domain)) + 1):
        clique = tuple(str(name) for name in rng.choice(model.domain.attributes, size, replace=False))
        np.testing.assert_allclose(project(oracle.tree, beliefs, clique), truth.project(clique).values, atol=1e-9)
