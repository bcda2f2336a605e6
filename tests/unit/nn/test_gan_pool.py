"""The pool's distribution: tables, draws and conditional draws against enumeration; where the GAN starts."""

import itertools

import numpy as np
import pytest

from privsynth.domain import Domain, Impossible
from privsynth.errors import FitError
from privsynth.nn.pool import PoolDistribution

SIZES = (2, 3, 4)
DOMAIN = Domain(("a", "b with space", "c"), SIZES)


def pool(members=6, domain=DOMAIN, seed=0):
    rng = np.random.default_rng(seed)
    heads = [rng.dirichlet(np.full(size, 0.4), members).astype(np.float32) for size in domain.sizes]
    return PoolDistribution(domain, 50.0, heads, {"total": np.array([50.0])})


def joint(model):
    return np.einsum("ka,kb,kc->abc", *(each.astype(float) for each in model._heads)) / len(model._heads[0])


def drawn_table(data):
    index = np.ravel_multi_index([column.astype(int) for column in data.columns], SIZES)
    return np.bincount(index, minlength=24).reshape(SIZES) / data.rows


@pytest.mark.parametrize("clique", [c for k in range(4) for c in itertools.permutations(DOMAIN.attributes, k)])
def test_tables_are_exact(clique):
    model = pool()
    keep = [DOMAIN.index(name) for name in clique]
    table = joint(model).sum(axis=tuple(set(range(3)) - set(keep)))
    table = np.transpose(table, [sorted(keep).index(axis) for axis in keep]) if keep else table
    np.testing.assert_allclose(model.project(clique), 50 * table / table.sum(), rtol=1e-5)


def test_draws_follow_the_distribution_and_repeat_with_the_seed():
    model = pool()
    data = model.draw(200_000, np.random.default_rng(1))
    assert np.abs(drawn_table(data) - joint(model)).sum() < 0.02
    again = model.draw(200_000, np.random.default_rng(1))
    assert all((mine == its).all() for mine, its in zip(data.columns, again.columns, strict=True))


def test_conditional_draws_are_what_rejection_gives():
    model = pool()
    data = model.draw(200_000, np.random.default_rng(1), {"b with space": np.array([0, 2]), "c": np.array([1])})
    table = joint(model)
    table[:, 1, :] = 0
    table[:, :, [0, 2, 3]] = 0
    assert np.abs(drawn_table(data) - table / table.sum()).sum() < 0.02
    assert not (data.column("b with space") == 1).any() and (data.column("c") == 1).all()


def test_impossible_evidence_and_impossible_numbers_are_refused():
    heads = [np.array([[1.0, 0.0]], np.float32)]
    model = PoolDistribution(Domain(("a",), (2,)), 5.0, heads, {})
    with pytest.raises(FitError, match="zero"):
        model.draw(1, np.random.default_rng(0), {"a": np.array([1])})
    for codes in ([], [2], [-1]):
        with pytest.raises(FitError, match="level"):
            model.draw(1, np.random.default_rng(0), {"a": np.array(codes, dtype=np.int64)})
    with pytest.raises(FitError, match="negative"):
        model.draw(-1, np.random.default_rng(0))
    assert model.draw(0, np.random.default_rng(0)).rows == 0


def test_impossible_rows_are_drawn_again():
    mask = np.zeros((2, 3), dtype=bool)
    mask[1, 0] = True
    clique = DOMAIN.attributes[:2]
    data = pool(domain=Domain(DOMAIN.attributes, SIZES, (), (Impossible.of(clique, mask),))).draw(
        2000, np.random.default_rng(0)
    )
    assert not ((data.columns[0] == 1) & (data.columns[1] == 0)).any()


def test_wide_columns_are_drawn_in_blocks():
    rng = np.random.default_rng(0)
    heads = [rng.dirichlet(np.ones(3000), 40).astype(np.float32), np.ones((40, 1), np.float32)]
    data = PoolDistribution(Domain(("wide", "one"), (3000, 1)), 9.0, heads, {}).draw(5000, rng)
    assert data.rows == 5000 and len(np.unique(data.columns[0])) > 1000
