"""Sampling: counts are their expectations rounded without bias, siblings stay independent, error is below independent draws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privsynth.dataset import Dataset
from privsynth.domain import Domain
from privsynth.pgm import sampling
from privsynth.pgm.clique_vector import CliqueVector
from privsynth.pgm.marginal_oracle import MarginalOracle
from privsynth.pgm.sampling import draw_records, round_counts, shuffled_by_group
from tests.models import joint, random_model, total_variation


@settings(max_examples=80)
@given(seed=st.integers(0, 10**6))
def test_counts_sum_to_the_groups_and_are_expectations_rounded_up_or_down(seed: int) -> None:
    rng = np.random.default_rng(seed)
    weights = rng.gamma(0.3, size=(int(rng.integers(1, 6)), int(rng.integers(1, 7)))) + 1e-12
    sizes = rng.integers(1, 50, len(weights))
    counts = round_counts(weights, sizes, rng)
    expected = weights / weights.sum(axis=1, keepdims=True) * sizes[:, None]
    np.testing.assert_array_equal(counts.sum(axis=1), sizes)
    assert (np.abs(counts - expected) < 1 + 1e-9).all()


def test_counts_are_unbiased_in_every_group() -> None:
    """4,000 roundings: a mean off by .05 would be 6 standard errors or more."""
    rng = np.random.default_rng(1)
    weights, sizes = np.array([[0.2, 0.5, 0.3], [0.9, 0.05, 0.05]]), np.array([1, 3])
    mean = np.mean([round_counts(weights, sizes, rng) for _ in range(4000)], axis=0)
    np.testing.assert_allclose(mean, weights * sizes[:, None], atol=0.05)


def test_rounding_of_many_small_groups_cancels() -> None:
    weights = np.tile([0.3, 0.7], (1000, 1))
    counts = round_counts(weights, np.ones(1000, dtype=np.int64), np.random.default_rng(2))
    assert abs(int(counts[:, 0].sum()) - 300) <= 1


def test_rows_are_grouped_and_every_order_within_a_group_is_as_likely() -> None:
    """6,000 shuffles of three rows: each of the six orders 1,000 times, within 6 standard deviations of 29."""
    rng = np.random.default_rng(3)
    groups = np.array([1, 0, 1, 2, 1, 0])
    seen: dict[tuple[int, ...], int] = {}
    for _ in range(6000):
        order = shuffled_by_group(groups, 3, rng)
        assert groups[order].tolist() == [0, 0, 1, 1, 1, 2]
        seen[tuple(order[2:5].tolist())] = seen.get(tuple(order[2:5].tolist()), 0) + 1
    assert len(seen) == 6
    assert all(abs(count - 1000) < 6 * 29 for count in seen.values())


def test_siblings_are_independent_given_their_parent() -> None:
    """A shared rounding made mbi 1.1 put columns with one parent at a total variation of .98 from the truth."""
    domain = Domain(("p", "a", "b"), (2, 40, 40))
    rng = np.random.default_rng(4)
    model = CliqueVector.of(domain, {("p", "a"): rng.normal(size=(2, 40)), ("p", "b"): rng.normal(size=(2, 40))})
    oracle, truth = MarginalOracle(domain, model.cliques), joint(model)
    rows = 20_000
    drawn = draw_records(oracle.tree, oracle.beliefs(model, 1.0), rows, rng)
    pair = truth.project(("a", "b")).values
    cells = np.bincount(drawn["a"].astype(np.int64) * 40 + drawn["b"], minlength=1600).reshape(40, 40)
    floor = total_variation(rng.multinomial(rows, pair.reshape(-1)).reshape(40, 40).astype(np.float64), pair)
    assert total_variation(cells.astype(np.float64), pair) < 1.15 * floor


@settings(max_examples=30)
@given(seed=st.integers(0, 10**6))
def test_clique_tables_of_the_records_are_nearer_to_the_model_than_independent_draws(seed: int) -> None:
    model = random_model(seed, scale=1.0)
    oracle = MarginalOracle(model.domain, model.cliques)
    beliefs = oracle.beliefs(model, 1.0)
    drawn = Dataset.from_columns(draw_records(oracle.tree, beliefs, 3000, np.random.default_rng(seed)), model.domain)
    root = beliefs[0]
    found = drawn.marginal(root.domain.attributes)
    assert np.abs(found - 3000 * root.values).max() < 1 + 1e-6
    for belief in beliefs[1:]:
        table = drawn.marginal(belief.domain.attributes).astype(np.float64)
        allowed = 0.6 * np.sqrt(belief.values.size / 3000)
        assert total_variation(table, belief.values) < allowed


def test_rows_stand_in_random_order_and_chunks_are_joined(monkeypatch: pytest.MonkeyPatch) -> None:
    domain = Domain(("a",), (2,))
    model = CliqueVector.zeros(domain, [("a",)])
    oracle = MarginalOracle(domain, model.cliques)
    monkeypatch.setattr(sampling, "_CHUNK_ROWS", 64)
    drawn = draw_records(oracle.tree, oracle.beliefs(model, 1.0), 1000, np.random.default_rng(5))["a"]
    assert drawn.dtype == np.uint8
    assert abs(int(drawn.sum()) - 500) <= 16
    assert 400 < int((drawn[1:] != drawn[:-1]).sum()) < 600
