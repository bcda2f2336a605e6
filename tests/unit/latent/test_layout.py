"""Layout: places, parts and blocks are those that loops over attributes find; tables are counted and summed right."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from privsynth.latent.layout import Layout, group_sums, pair_counts, summed_table
from tests.mixtures import merged

sizes_of_attributes = st.lists(st.integers(1, 5), min_size=1, max_size=5).map(tuple)


@given(sizes_of_attributes)
def test_every_place_belongs_to_one_attribute_in_order(sizes: tuple[int, ...]) -> None:
    layout = Layout(sizes)
    owner = [attribute for attribute, size in enumerate(sizes) for _ in range(size)]
    assert len(layout) == len(sizes)
    assert layout.total == len(owner)
    assert layout.owner.tolist() == owner
    for attribute in range(len(sizes)):
        places = [place for place, whose in enumerate(owner) if whose == attribute]
        assert list(range(layout.total))[layout.part(attribute)] == places
        assert layout.starts[attribute] == places[0]
        assert layout.indicator()[attribute].tolist() == [float(whose == attribute) for whose in owner]
    assert list(layout.pairs()) == [(i, j) for i in range(len(sizes)) for j in range(i + 1, len(sizes))]
    split = layout.split(np.arange(layout.total, dtype=np.float64))
    assert [len(part) for part in split] == list(sizes)
    assert np.concatenate(split).tolist() == list(range(layout.total))


@given(sizes_of_attributes)
def test_blocks_and_the_places_above_them(sizes: tuple[int, ...]) -> None:
    layout = Layout(sizes)
    values = np.random.default_rng(0).standard_normal((len(sizes),) * 2)
    owner = layout.owner
    for one, two in itertools.product(range(layout.total), repeat=2):
        assert layout.blocks(values)[one, two] == values[owner[one], owner[two]]
        assert layout.above()[one, two] == (owner[one] < owner[two])


@pytest.mark.parametrize("rows", [0, 1, 50])
def test_pair_tables_of_records_are_counted_row_by_row(rows: int) -> None:
    layout = Layout((3, 1, 4))
    rng = np.random.default_rng(1)
    codes = [rng.integers(0, size, rows).astype(np.uint8) for size in layout.sizes]
    expected = np.zeros((layout.total,) * 2)
    for row in range(rows):
        for i, j in itertools.permutations(range(3), 2):
            expected[layout.starts[i] + codes[i][row], layout.starts[j] + codes[j][row]] += 1
    np.testing.assert_array_equal(pair_counts(codes, layout), expected)


def test_wide_codes_do_not_overflow_the_narrow_type_they_are_stored_in() -> None:
    layout = Layout((200, 200))
    codes = [np.array([199], dtype=np.uint8), np.array([198], dtype=np.uint8)]
    assert np.argwhere(pair_counts(codes, layout)).tolist() == [[199, 398], [398, 199]]


@given(st.integers(0, 10**6))
def test_levels_are_summed_into_groups_along_every_axis(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(1, 5, int(rng.integers(1, 4))).tolist())
    groups = [np.minimum(np.arange(size), rng.integers(0, size)) for size in shape]
    groups = [of.max() - of for of in groups]
    table = rng.standard_normal(shape)
    expected = table
    for axis, of in enumerate(groups):
        expected = merged(expected, of.tolist(), axis)
    np.testing.assert_allclose(summed_table(table, groups), expected, atol=1e-12)
    if len(shape) == 1:
        np.testing.assert_allclose(group_sums(table, groups[0]), expected, atol=1e-12)
