"""Errors of tables are total variation distances, and their floor is what a fresh sample really shows."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privsynth.dataset import Dataset
from privsynth.domain import Domain
from privsynth.errors import SchemaError
from privsynth.metrics import marginals

DOMAIN = Domain.from_mapping({"a": 3, "b": 4, "c": 5, "d": 2})


def drawn(rows, seed, domain=DOMAIN, slope=0.0):
    rng = np.random.default_rng(seed)
    latent = rng.random(rows)
    columns = {}
    for name, size in zip(domain.attributes, domain.sizes, strict=True):
        mixed = 0.5 * latent + 0.5 * rng.random(rows) + slope * rng.random(rows)
        columns[name] = np.minimum((mixed / (1 + slope) * size).astype(np.int64), size - 1)
    return Dataset.from_columns(columns, domain)


def by_hand(real, other, clique):
    shares = [{}, {}]
    for found, table in zip(shares, (real, other), strict=True):
        for row in zip(*(table.column(name).tolist() for name in clique), strict=True):
            found[row] = found.get(row, 0) + 1 / table.rows
    return 0.5 * sum(abs(shares[0].get(cell, 0) - shares[1].get(cell, 0)) for cell in {*shares[0], *shares[1]})


@settings(max_examples=25, deadline=None)
@given(rows=st.integers(1, 60), others=st.integers(1, 60), seed=st.integers(0, 999), size=st.integers(1, 3))
def test_every_error_is_what_a_loop_over_rows_gives(rows, others, seed, size):
    real, other = drawn(rows, seed), drawn(others, seed + 1, slope=0.5)
    cliques = marginals.cliques_of(DOMAIN.attributes, size, 100, np.random.default_rng(0))
    found = marginals.errors(real, other, cliques, rng=np.random.default_rng(seed))
    assert found.errors == pytest.approx([by_hand(real, other, clique) for clique in cliques])
    assert (found.errors <= 1 + 1e-12).all()


def test_large_tables_are_counted_by_the_cells_that_occur_and_give_the_same(monkeypatch):
    real, other = drawn(300, 1), drawn(200, 2, slope=0.7)
    cliques = list(itertools.combinations(DOMAIN.attributes, 2))
    whole = marginals.errors(real, other, cliques, rng=np.random.default_rng(0)).errors
    monkeypatch.setattr(marginals, "_DENSE_CELLS", 1)
    sparse = marginals.errors(real, other, cliques, rng=np.random.default_rng(0)).errors
    assert sparse == pytest.approx(whole)


def test_a_table_that_no_number_can_count_is_refused():
    wide = Domain.from_mapping({"a": 1 << 31, "b": 1 << 31, "c": 1 << 31})
    table = Dataset.from_columns({name: np.zeros(2, dtype=np.int64) for name in "abc"}, wide)
    with pytest.raises(SchemaError, match="too many cells"):
        marginals.cell_numbers(table, ("a", "b", "c"))


@pytest.mark.parametrize("with_holdout", [False, True])
def test_the_floor_is_what_fresh_samples_show(with_holdout):
    """Of 4,000 rows against 1,000: the holdout is of another size than the synthetic table, and is scaled to it."""
    real = drawn(4000, 1)
    holdout = drawn(2000, 2) if with_holdout else None
    cliques = list(itertools.combinations(DOMAIN.attributes, 2))
    fresh = [
        marginals.errors(real, drawn(1000, seed), cliques, rng=np.random.default_rng(0)).errors.mean()
        for seed in range(3, 23)
    ]
    found = marginals.errors(real, drawn(1000, 99), cliques, holdout=holdout, rng=np.random.default_rng(0))
    assert found.floor.mean() == pytest.approx(np.mean(fresh), rel=0.2)


def test_a_table_of_another_population_lies_above_the_floor():
    real = drawn(4000, 1)
    cliques = list(itertools.combinations(DOMAIN.attributes, 2))
    found = marginals.errors(real, drawn(4000, 2, slope=1.5), cliques, rng=np.random.default_rng(0))
    assert found.errors.mean() > 2 * found.floor.mean()
    worst = found.worst(3)
    assert found.errors[worst].tolist() == sorted(found.errors.tolist(), reverse=True)[:3]


def test_sets_of_columns_are_all_of_them_or_so_many_different_ones():
    names = tuple("abcdefgh")
    assert len(marginals.cliques_of(names, 3, 1000, np.random.default_rng(0))) == 56
    some = marginals.cliques_of(names, 3, 40, np.random.default_rng(0))
    assert len(set(some)) == 40
    assert all(list(one) == sorted(one) and len(set(one)) == 3 for one in some)
