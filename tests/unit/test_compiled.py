"""The compiled loop: numpy's integers, only for long counts, and never needed."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

import numpy as np
import pytest

from privsynth import compiled, dataset
from privsynth.dataset import Dataset
from privsynth.domain import Domain


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    compiled.increment.cache_clear()
    yield
    compiled.increment.cache_clear()


@pytest.mark.parametrize("kind", [np.uint16, np.uint32, np.uint64])
def test_it_adds_what_numpy_adds(kind: type[np.unsignedinteger]) -> None:
    add = compiled.increment()
    assert add is not None
    cells = np.random.default_rng(1).integers(0, 1_000, 20_000).astype(kind)
    table, expected = np.full(1_001, 5), np.full(1_001, 5)
    add(cells, table)
    dataset._increment(cells, expected)
    np.testing.assert_array_equal(table, expected)
    assert table.sum() == 5 * 1_001 + 20_000


@pytest.mark.parametrize("problem", [ImportError, RuntimeError, None])
def test_without_it_everything_is_counted_by_numpy(
    monkeypatch: pytest.MonkeyPatch, problem: type[Exception] | None
) -> None:
    def broken(**_: object) -> None:
        assert problem is not None
        raise problem

    if problem is None:
        monkeypatch.setattr(compiled, "find_spec", lambda _: None)
    else:
        monkeypatch.setattr("numba.njit", broken)
    monkeypatch.setattr(dataset, "_COMPILED_INCREMENTS", 0)
    assert importlib.util.find_spec("numba") is not None
    assert compiled.increment() is None
    assert Dataset.from_columns({"a": [0, 1, 1]}, Domain(("a",), (2,))).marginal(("a",)).tolist() == [1, 2]


def test_only_long_counts_ask_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(compiled, "increment", lambda: asked.append(1))
    monkeypatch.setattr(dataset, "_COMPILED_INCREMENTS", 20)
    domain = Domain(("a", "b"), (2, 3))
    Dataset.from_columns({"a": [0] * 9, "b": [1] * 9}, domain).marginals([("a",), ("b",)])
    assert asked == []
    Dataset.from_columns({"a": [0] * 10, "b": [1] * 10}, domain).marginals([("a",), ("b",)])
    assert asked == [1]
