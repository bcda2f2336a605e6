"""What is observed: inverse variances, the domain's order, groups, impossible cells, and transcripts that do not fit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from privsynth.domain import Domain, Impossible
from privsynth.errors import FitError
from privsynth.latent.observed import Observed, observe
from privsynth.measurement import Measurement
from tests.mixtures import domain_of, margin, measured, noisy

DOMAIN = domain_of((2, 3, 4))
RNG = np.random.default_rng(0)
TABLE = RNG.integers(0, 50, (2, 3, 4)).astype(np.float64)


def exact(domain: Domain = DOMAIN) -> list[Measurement]:
    return list(measured(domain, TABLE, 0.0001, np.random.default_rng(0)))


def test_every_table_stands_where_the_layout_says_and_its_transpose_opposite() -> None:
    seen = observe(DOMAIN, exact())
    assert seen.pairs is not None
    for i, j in [(0, 1), (0, 2), (1, 2)]:
        table = margin(TABLE, (i, j))
        np.testing.assert_allclose(seen.pairs[seen.layout.part(i), seen.layout.part(j)], table)
        np.testing.assert_allclose(seen.pairs[seen.layout.part(j), seen.layout.part(i)], table.T)
    for i in range(3):
        assert not seen.pairs[seen.layout.part(i), seen.layout.part(i)].any()
        np.testing.assert_allclose(seen.levels[i], margin(TABLE, (i,)))
        np.testing.assert_array_equal(seen.group_of[i], range(DOMAIN.sizes[i]))
    assert np.isinf(np.diag(seen.sigma)).all()
    assert seen.possible.all()
    assert seen.wide == ()
    assert seen.domain is DOMAIN


def test_repeated_tables_are_averaged_by_inverse_variance_whatever_their_order_of_attributes() -> None:
    again = [noisy(("c", "a"), margin(TABLE, (0, 2)).T + 30, 2.0), noisy(("a",), margin(TABLE, (0,)) + 10, 3.0)]
    found = [noisy(one.clique, one.values, 1.0) for one in exact()]
    seen = observe(DOMAIN, [*found, *again])
    assert seen.pairs is not None
    np.testing.assert_allclose(seen.pairs[seen.layout.part(0), seen.layout.part(2)], margin(TABLE, (0, 2)) + 30 / 5)
    assert seen.sigma[0, 2] == seen.sigma[2, 0] == pytest.approx(np.sqrt(1 / (1 + 1 / 4)))
    assert seen.sigma[0, 1] == pytest.approx(1.0)
    np.testing.assert_allclose(seen.levels[0], margin(TABLE, (0,)) + 10 / 10)
    assert seen.level_variances == pytest.approx((1 / (1 + 1 / 9), 1.0, 1.0))


def test_tables_of_three_keep_their_values_noise_and_axes() -> None:
    seen = observe(DOMAIN, [*exact(), noisy(("c", "a", "b"), TABLE.transpose(2, 0, 1), 4.0)])
    (wide,) = seen.wide
    assert wide.axes == (0, 1, 2)
    np.testing.assert_array_equal(wide.values, TABLE)
    assert wide.variance == pytest.approx(16.0)


def test_without_pairs_there_is_no_matrix_over_levels() -> None:
    seen = observe(DOMAIN, [one for one in exact() if len(one.clique) == 1])
    assert seen.pairs is None
    assert seen.possible.size == 0
    assert np.isinf(seen.sigma).all()
    assert seen.layout.sizes == DOMAIN.sizes


def test_groups_are_those_of_the_wider_tables() -> None:
    groups = {"c": (0, 1, 1, 0), "b": (0, 1, 1)}
    seen = observe(DOMAIN, list(measured(DOMAIN, TABLE, 0.0001, np.random.default_rng(0), groups)))
    assert seen.layout.sizes == (2, 2, 2)
    assert [of.tolist() for of in seen.group_of] == [[0, 1], [0, 1, 1], [0, 1, 1, 0]]
    assert len(seen.levels[2]) == 4
    assert seen.pairs is not None
    assert seen.pairs[seen.layout.starts[1] + 1, seen.layout.starts[2]] == TABLE[:, 1:, [0, 3]].sum()


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ([one for one in exact() if one.clique != ("b",)], "no table of some attribute"),
        ([one for one in exact() if one.clique != ("a", "c")], "some pairs"),
        ([*exact(), noisy(("b", "c"), np.ones((3, 2)), 1, {"c": (0, 0, 1, 1)})], "grouped in two ways"),
        ([*exact(), noisy(("c",), [1, 2], 1, {"c": (0, 0, 1, 1)})], "measures its levels"),
    ],
)
def test_transcripts_of_other_generators_are_refused(found: Sequence[Measurement], message: str) -> None:
    with pytest.raises(FitError, match=message):
        observe(DOMAIN, found)


def ruled() -> Observed:
    """b=2 leaves only c=0; the clique of the rule is not in the domain's order; c's last three levels are one group."""
    table = np.zeros((4, 3), dtype=bool)
    table[1:, 2] = True
    wide = np.ones((2, 3, 4), dtype=bool)
    domain = domain_of((2, 3, 4), (), (Impossible.of(("c", "b"), table), Impossible.of(("a", "b", "c"), wide)))
    groups = {"c": (0, 1, 1, 1)}
    return observe(domain, list(measured(domain, TABLE, 0.0001, np.random.default_rng(0), groups)))


def test_group_cells_without_a_possible_level_are_zero() -> None:
    seen = ruled()
    expected = np.ones((7, 7), dtype=bool)
    expected[4, 6] = expected[6, 4] = False
    np.testing.assert_array_equal(seen.possible, expected)
    assert seen.pairs is not None
    assert seen.pairs[4, 6] == seen.pairs[6, 4] == 0 < TABLE[:, 2, 1:].sum()
    assert (seen.pairs[seen.possible] > 0).sum() == 2 * (6 + 4 + 5)


def test_a_group_cell_with_one_possible_level_is_possible() -> None:
    table = np.zeros((3, 4), dtype=bool)
    table[2, 1:3] = True
    domain = domain_of((2, 3, 4), (), (Impossible.of(("b", "c"), table),))
    found = list(measured(domain, TABLE, 0.0001, np.random.default_rng(0), {"c": (0, 1, 1, 1)}))
    assert observe(domain, found).possible.all()


def test_noise_is_added_where_a_cell_can_be_and_as_large_as_is_asked() -> None:
    seen = ruled()
    shaken, drawn = seen.with_noise(0.3, np.random.default_rng(1))
    assert seen.pairs is not None
    assert shaken.pairs is not None
    np.testing.assert_array_equal(drawn, drawn.T)
    blocks = seen.layout.owner[:, None] == seen.layout.owner[None, :]
    assert not drawn[blocks | ~seen.possible].any()
    assert drawn[~blocks & seen.possible].all()
    sigma = seen.layout.blocks(np.where(np.isfinite(seen.sigma), seen.sigma, 0))
    np.testing.assert_allclose(shaken.pairs - seen.pairs, 0.3 * sigma * drawn, atol=1e-12)
    domain = domain_of((30, 40))
    large = observe(domain, list(measured(domain, np.ones((30, 40)), 1.0, np.random.default_rng(0))))
    found = large.with_noise(1.0, np.random.default_rng(2))[1][large.layout.above()]
    assert found.std() == pytest.approx(1.0, abs=0.06)
