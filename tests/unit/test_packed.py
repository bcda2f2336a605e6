"""Packed columns: what comes out is what went in, in as few bytes as it needs, whole or block by block."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from privsynth.packed import PackedColumn, PackedTicks
from privsynth.schema.ticks import MISSING

TICKS = st.one_of(
    st.sampled_from([MISSING, MISSING + 1, 0, 2**63 - 1]), st.integers(-300, 300), st.integers(MISSING, 2**63 - 1)
)


@given(blocks=st.lists(st.lists(TICKS, max_size=5), min_size=1, max_size=4))
def test_every_tick_comes_back(blocks: list[list[int]]) -> None:
    packed = [PackedColumn.of(np.array(block, dtype=np.int64)) for block in blocks]
    assert [one.wide().tolist() for one in packed] == blocks
    joined = PackedColumn.joined(packed)
    assert joined.wide().tolist() == [tick for block in blocks for tick in block]
    assert packed == []


@pytest.mark.parametrize(
    ("ticks", "kind"),
    [
        ([MISSING], np.uint8),
        ([], np.uint8),
        ([1_000_000, 1_000_254], np.uint8),
        ([1_000_000, 1_000_255], np.uint16),
        ([-1, MISSING, 65_534], np.uint32),
        ([-(2**53), 2**53], np.uint64),
    ],
)
def test_a_column_is_as_narrow_as_its_range_and_one_code_for_missing(
    ticks: list[int], kind: type[np.unsignedinteger]
) -> None:
    whole = PackedColumn.of(np.array(ticks, dtype=np.int64))
    assert whole.values.dtype == kind
    parts = [PackedColumn.of(np.array([tick], dtype=np.int64)) for tick in ticks]
    assert all(part.values.dtype == np.uint8 for part in parts)
    assert PackedColumn.joined(parts).values.dtype == kind


def test_columns_are_taken_and_replaced_together() -> None:
    ticks = {"a": np.array([5, MISSING, 7]), "b": np.array([1, 2, 3])}
    packed = PackedTicks({name: PackedColumn.of(column) for name, column in ticks.items()})
    assert list(packed) == ["a", "b"]
    assert (len(packed), packed.lengths) == (2, {3})
    assert packed.take(np.array([2, 0]))["a"].tolist() == [7, 5]
    assert packed.take(np.array([False, True, False]))["a"].tolist() == [MISSING]
    assert packed.take(slice(1, 3))["b"].tolist() == [2, 3]
    changed = packed.replaced({"b": np.array([9, 9, MISSING])})
    assert {name: column.tolist() for name, column in changed.items()} == {
        "a": [5, MISSING, 7],
        "b": [9, 9, MISSING],
    }
    packed["a"][0] = 0
    assert packed["a"].tolist() == [5, MISSING, 7], "what comes out is a copy"
