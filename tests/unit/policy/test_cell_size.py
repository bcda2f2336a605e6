import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from privsynth.errors import MechanismError
from privsynth.policy.cell_size import suppressed


def test_without_margins_small_cells_alone_are_hidden_and_zeros_are_shown():
    counts = np.array([[0, 1, 10], [11, 12, 5]])
    hidden = suppressed(counts, min_cell=11, margins="not-published")
    assert hidden.tolist() == [[False, True, True], [False, False, True]]


def test_one_hidden_cell_beside_its_total_takes_the_smallest_other_with_it():
    hidden = suppressed(np.array([3, 40, 20, 0]), min_cell=11, margins="published")
    assert hidden.tolist() == [True, False, True, False, False]
    assert not suppressed(np.array([[11, 12], [13, 14]]), min_cell=11, margins="published").any()
    assert not suppressed(np.array([30, 40]), min_cell=11, margins="published").any()
    assert suppressed(np.array([3, 4, 50]), min_cell=11, margins="published").tolist() == [True, True, False, False]


def test_a_lone_small_cell_of_a_table_is_protected_in_its_row_and_its_column():
    counts = np.array([[3, 50, 60], [70, 80, 90], [40, 95, 99]])
    hidden = suppressed(counts, min_cell=11, margins="published")
    assert hidden.shape == (4, 4)
    assert hidden[0, 0]
    assert hidden[0].sum() >= 2
    assert hidden[:, 0].sum() >= 2
    assert not hidden[3, 3]


def test_bad_tables_are_refused():
    with pytest.raises(MechanismError, match="negative"):
        suppressed(np.array([-1]), min_cell=11, margins="not-published")
    with pytest.raises(MechanismError, match="one or two axes"):
        suppressed(np.ones((2, 2, 2), dtype=np.int64), min_cell=11, margins="published")


def with_totals(counts):
    rows = np.vstack([counts, counts.sum(axis=0, keepdims=True)])
    return np.hstack([rows, rows.sum(axis=1, keepdims=True)])


def consistent(counts, hidden):
    """Every table of small numbers that agrees with what is shown."""
    table = with_totals(counts)
    ranges = [
        range(table.max() + 2) if hide else (value,)
        for hide, value in zip(hidden[:-1, :-1].ravel(), counts.ravel(), strict=True)
    ]
    for cells in itertools.product(*ranges):
        other = with_totals(np.array(cells).reshape(counts.shape))
        if (other == table)[~hidden].all():
            yield other


@settings(max_examples=60, deadline=None)
@given(hnp.arrays(np.int64, hnp.array_shapes(min_dims=2, max_dims=2, max_side=2), elements=st.integers(0, 3)))
def test_no_hidden_cell_can_be_worked_out(counts):
    hidden = suppressed(counts, min_cell=3, margins="published")
    table = with_totals(counts)
    assert hidden[(table > 0) & (table < 3)].all()
    assert not hidden[table == 0].any()
    possible = np.array(list(consistent(counts, hidden)))
    spread = possible.max(axis=0) - possible.min(axis=0)
    assert (spread[hidden] >= 1).all()


@settings(max_examples=60, deadline=None)
@given(hnp.arrays(np.int64, st.integers(1, 4), elements=st.integers(0, 6)))
def test_no_hidden_cell_of_a_row_can_be_worked_out(counts):
    hidden = suppressed(counts, min_cell=4, margins="published")
    table = np.append(counts, counts.sum())
    assert hidden[(table > 0) & (table < 4)].all()
    if hidden.any():
        assert hidden.sum() >= 2
        assert (table[hidden] > 0).all()


@settings(max_examples=30, deadline=None)
@given(hnp.arrays(np.int64, (4, 5), elements=st.integers(0, 40)))
def test_every_line_of_a_larger_table_hides_none_or_at_least_two(counts):
    hidden = suppressed(counts, min_cell=11, margins="published")
    for lines in (hidden.sum(axis=0), hidden.sum(axis=1)):
        assert not (lines == 1).any()
