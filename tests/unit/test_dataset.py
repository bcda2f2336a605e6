"""Datasets: every table equals brute force, whatever route counts it, and codes outside the domain are refused."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privsynth import dataset
from privsynth.dataset import Dataset
from privsynth.domain import Clique, Domain
from privsynth.errors import SchemaError


def brute_force(
    columns: dict[str, npt.NDArray[np.integer]],
    domain: Domain,
    clique: Clique,
    weights: npt.NDArray[np.int64] | None = None,
) -> npt.NDArray[np.int64]:
    table = np.zeros(domain.shape(clique), dtype=np.int64)
    for place, row in enumerate(zip(*(columns[name].tolist() for name in clique), strict=True)):
        table[row] += 1 if weights is None else weights[place]
    return table


def make(sizes: tuple[int, ...], rows: int, seed: int) -> tuple[dict[str, npt.NDArray[np.integer]], Domain]:
    rng = np.random.default_rng(seed)
    domain = Domain(tuple(f"a{i}" for i in range(len(sizes))), sizes)
    return {name: rng.integers(0, size, rows) for name, size in zip(domain.attributes, sizes, strict=True)}, domain


@settings(max_examples=40, deadline=None)
@given(
    sizes=st.lists(st.sampled_from([1, 2, 3, 5, 300]), min_size=1, max_size=5).map(tuple),
    rows=st.integers(0, 60),
    seed=st.integers(0, 2**32 - 1),
    shared=st.booleans(),
    by_numba=st.booleans(),
    weighted=st.booleans(),
    data=st.data(),
)
def test_tables_equal_brute_force_on_every_route(
    sizes: tuple[int, ...], rows: int, seed: int, shared: bool, by_numba: bool, weighted: bool, data: st.DataObject
) -> None:
    columns, domain = make(sizes, rows, seed)
    names = st.permutations(domain.attributes).flatmap(
        lambda p: st.integers(0, min(3, len(p))).map(lambda k: tuple(p[:k]))
    )
    cliques = data.draw(st.lists(names, max_size=6))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dataset, "_SHARED_ROWS", 0 if shared else 10**9)
        patch.setattr(dataset, "_BLOCK_ROWS", 16)
        patch.setattr(dataset, "_MOST_ROWS", 20)
        patch.setattr(dataset, "_COMPILED_INCREMENTS", 0 if by_numba else 10**9)
        weights = np.random.default_rng(seed).integers(0, 1 << 40, rows) if weighted else None
        tables = Dataset.from_columns(columns, domain, weights=weights).marginals(cliques)
    assert len(tables) == len(cliques)
    for clique, table in zip(cliques, tables, strict=True):
        if clique:
            np.testing.assert_array_equal(table, brute_force(columns, domain, clique, weights))
        else:
            assert table.shape == ()
            assert int(table) == (rows if weights is None else weights.sum())


def test_a_row_of_some_weight_counts_as_so_many_rows_whatever_is_done_to_it() -> None:
    columns, domain = make((2, 3), 50, 1)
    weights = np.random.default_rng(2).integers(0, 4, 50)
    units = np.arange(50) // 5
    data = Dataset.from_columns(columns, domain, units, weights)
    repeated = Dataset.from_columns({name: np.repeat(codes, weights) for name, codes in columns.items()}, domain)
    assert (data.rows, data.total, repeated.total) == (50, repeated.rows, repeated.rows)
    merged = {"a1": (0, 1, 1)}
    for one, two in ((data, repeated), (data.regrouped(merged), repeated.regrouped(merged))):
        assert np.array_equal(one.marginal(("a1", "a0")), two.marginal(("a1", "a0")))
    some = data.take(slice(10, 20))
    assert some.weights is not None
    assert some.weights.tolist() == weights[10:20].tolist()
    assert data.regrouped(merged).units is units


@pytest.mark.parametrize(
    "weights",
    [np.array([1]), np.array([1.0, 1.0]), np.array([0, -1]), np.array([1, 1 << 52]), np.array([1, 1], dtype=np.uint8)],
)
def test_weights_that_could_not_be_counted_exactly_are_refused(weights: npt.NDArray[np.int64]) -> None:
    columns, domain = make((2,), 2, 1)
    with pytest.raises(SchemaError, match="weight"):
        Dataset.from_columns(columns, domain, weights=weights)


def test_a_dataset_shows_no_record() -> None:
    columns, domain = make((2,), 2, 1)
    assert "array" not in repr(Dataset.from_columns(columns, domain, units=np.arange(2), weights=np.arange(2)))


def test_all_pairs_of_many_records_are_summed_out_of_fewer_tables() -> None:
    sizes = (2, 42, 16, 7, 15, 6, 5, 2, 9, 20, 30, 25, 12, 3, 10)
    columns, domain = make(sizes, 120_000, 1)
    keys = list(itertools.combinations(range(len(sizes)), 2))
    source = dataset._shared_tables(keys, sizes, 120_000)
    assert len(set(source.values())) < 40
    assert all(set(key) <= set(source[key]) for key in keys)
    assert dataset._shared_tables(keys, sizes, 99_999) == {key: key for key in keys}
    cliques = [(domain.attributes[i], domain.attributes[j]) for i, j in keys]
    for (one, two), table in zip(cliques, Dataset.from_columns(columns, domain).marginals(cliques), strict=True):
        cells = columns[one] * domain.size(two) + columns[two]
        np.testing.assert_array_equal(table.reshape(-1), np.bincount(cells, minlength=table.size))


def test_shared_tables_stay_small_and_hold_every_wanted_one() -> None:
    rng = np.random.default_rng(5)
    sizes = tuple(rng.choice([1, 2, 5, 20, 300, 4_000], 9).tolist())
    every = [key for length in range(5) for key in itertools.combinations(range(9), length)]
    keys = [every[row] for row in rng.permutation(len(every))[:90]]
    source = dataset._shared_tables(keys, sizes, 200_000)
    assert list(dict.fromkeys(keys)) == sorted(source, key=keys.index)
    for key, axes in source.items():
        assert set(key) <= set(axes)
        assert list(axes) == sorted(set(axes))
        cells = np.prod([sizes[axis] for axis in axes])
        assert axes in keys or (cells <= 25_000 and len(axes) <= 4)
    assert len(set(source.values())) < len(keys)


@pytest.mark.parametrize("sizes", [(300, 250), (1, 65_536), (70_000, 2), (70_000, 70_000)])
def test_wide_tables_are_counted_with_wide_cell_numbers(sizes: tuple[int, int]) -> None:
    columns, domain = make(sizes, 500, 2)
    columns["a0"][:2] = sizes[0] - 1
    columns["a1"][:2] = sizes[1] - 1
    if np.prod(sizes) < 10**6:
        table = Dataset.from_columns(columns, domain).marginal(("a1", "a0"))
        np.testing.assert_array_equal(table, brute_force(columns, domain, ("a1", "a0")))
    else:
        table = Dataset.from_columns(columns, domain).marginal(("a0",))
        assert int(table[-1]) >= 2
        assert int(table.sum()) == 500


def test_codes_are_stored_narrow_and_rows_can_be_taken() -> None:
    columns, domain = make((3, 300), 20, 3)
    data = Dataset.from_columns(columns, domain)
    assert [column.dtype for column in data.columns] == [np.uint8, np.uint16]
    np.testing.assert_array_equal(data.take(np.array([4, 0])).column("a1"), columns["a1"][[4, 0]])
    assert data.take(columns["a0"] == 1).rows == int((columns["a0"] == 1).sum())


def test_levels_are_merged_into_groups() -> None:
    columns, domain = make((3, 300, 4), 500, 4)
    data = Dataset.from_columns(columns, domain)
    groups = {"a1": tuple(level // 100 for level in range(300)), "a2": (1, 0, 0, 2)}
    coarse = data.regrouped(groups)
    assert coarse.domain.attributes == domain.attributes
    assert coarse.domain.sizes == (3, 3, 3)
    assert [column.dtype for column in coarse.columns] == [np.uint8, np.uint8, np.uint8]
    assert coarse.columns[0] is data.columns[0]
    fine = data.marginal(("a2", "a0", "a1"))
    merged = np.stack([fine[1] + fine[2], fine[0], fine[3]]).reshape(3, 3, 3, 100).sum(axis=3)
    np.testing.assert_array_equal(coarse.marginal(("a2", "a0", "a1")), merged)
    assert data.regrouped({}).marginal(("a1",)).tolist() == data.marginal(("a1",)).tolist()


@pytest.mark.parametrize("group_of", [(0, 1), (0, 0, 2), (1, 1, 2), (-1, 0, 1), (0, 1, 1, 0), ()])
def test_every_level_has_a_group_and_every_group_a_level(group_of: tuple[int, ...]) -> None:
    data = Dataset.from_columns({"a": [0, 1]}, Domain(("a",), (3,)))
    with pytest.raises(SchemaError, match='groups of "a" must be numbered from 0, without gaps, one for each of its 3'):
        data.regrouped({"a": group_of})
    with pytest.raises(SchemaError, match="no attribute"):
        data.regrouped({"b": (0,)})


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"a": [0, 3], "b": [0, 0]}, 'column "a" holds a code outside its 3 levels'),
        ({"a": [0, -1], "b": [0, 0]}, 'column "a" holds a code outside its 3 levels'),
        ({"a": [0.0, 1.0], "b": [0, 0]}, 'column "a" must hold integer codes'),
        ({"a": [0, 1]}, "attributes without a column"),
        ({"a": [0, 1], "b": [0, 1], "c": [0, 1]}, "columns not in the domain"),
        ({"a": [0, 1], "b": [0]}, "as long as the first column"),
        ({"a": [[0, 1]], "b": [[0, 1]]}, "one-dimensional"),
    ],
)
def test_columns_that_do_not_fit_the_domain_are_refused_without_their_values(
    columns: dict[str, list[int]], message: str
) -> None:
    with pytest.raises(SchemaError, match=message) as caught:
        Dataset.from_columns(columns, Domain(("a", "b"), (3, 2)))
    assert "-1" not in str(caught.value)


def test_a_dataset_refuses_signed_codes_codes_outside_and_missing_columns() -> None:
    domain = Domain(("a",), (3,))
    with pytest.raises(SchemaError, match="unsigned"):
        Dataset((np.zeros(2, dtype=np.int64),), domain)  # type: ignore[arg-type]
    with pytest.raises(SchemaError, match="outside its 3 levels"):
        Dataset((np.array([3], dtype=np.uint8),), domain)
    with pytest.raises(SchemaError, match="found 0 columns"):
        Dataset((), domain)


def test_a_clique_must_name_known_attributes_once() -> None:
    data = Dataset.from_columns({"a": [0, 1]}, Domain(("a",), (2,)))
    for clique in (("a", "a"), ("b",)):
        with pytest.raises(SchemaError):
            data.marginal(clique)


def test_no_columns_and_no_rows() -> None:
    assert Dataset((), Domain((), ())).rows == 0
    empty = Dataset.from_columns({"a": []}, Domain(("a",), (2,)))
    assert empty.rows == 0
    assert empty.marginal(("a",)).tolist() == [0, 0]
