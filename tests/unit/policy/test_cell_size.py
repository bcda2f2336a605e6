import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.optimize import linprog

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
    assert suppressed(np.array([9, 9, 50]), min_cell=11, margins="published").tolist() == [True, True, False, False]
    assert suppressed(np.array([3, 4, 50]), min_cell=11, margins="published").tolist() == [True, True, True, False]


def test_two_ones_are_not_given_away_by_their_sum():
    """Both are hidden, hidden cells are at least one, and they sum to two: a third cell is hidden with them."""
    assert suppressed(np.array([1, 1, 500, 600]), min_cell=11, margins="published").tolist() == [
        *(True, True, True, False, False)
    ]
    assert suppressed(np.array([1, 1, 9]), min_cell=11, margins="published").all()
    assert greatest(np.array([[1, 1, 50], [40, 60, 70], [30, 20, 90]]), 11) >= 11


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


def possible(table, hidden, cell):
    """The most that a hidden cell can be, every hidden cell being one or more, by linear programming; inf without a bound."""
    rows, columns = table.shape
    equations = np.zeros((rows + columns, rows, columns))
    for row in range(rows):
        equations[row, row] = np.r_[np.ones(columns - 1), -1]
    for column in range(columns):
        equations[rows + column, :, column] = np.r_[np.ones(rows - 1), -1]
    bounds = [(1, None) if hide else (value, value) for hide, value in zip(hidden.flat, table.flat, strict=True)]
    aim = np.zeros((rows, columns))
    aim[cell] = -1
    solved = linprog(
        aim.ravel(), A_eq=equations.reshape(rows + columns, -1), b_eq=np.zeros(rows + columns), bounds=bounds
    )
    assert solved.status in (0, 3)
    return np.inf if solved.status == 3 else round(-solved.fun, 6)


def greatest(counts, min_cell):
    """Of the small cells of a table with its totals, the least that one of them may be at the most."""
    hidden = suppressed(counts, min_cell=min_cell, margins="published")
    table = with_totals(counts)
    small = np.argwhere((table > 0) & (table < min_cell))
    assert all(hidden[tuple(cell)] for cell in small)
    assert not hidden[table == 0].any()
    return min((possible(table, hidden, tuple(cell)) for cell in small), default=np.inf)


@settings(max_examples=60, deadline=None)
@given(
    hnp.arrays(
        np.int64, hnp.array_shapes(min_dims=2, max_dims=2, max_side=4), elements=st.sampled_from([0, 1, 1, 2, 4, 9])
    )
)
def test_every_hidden_small_cell_could_be_a_large_one(counts):
    assert greatest(counts, 4) >= 4


def test_the_check_fails_where_every_hidden_cell_merely_lies_on_a_cycle():
    table = with_totals(np.array([[1, 1, 50], [40, 60, 70], [30, 20, 90]]))
    hidden = np.zeros(table.shape, dtype=bool)
    hidden[np.ix_([0, 2], [0, 1])] = True
    assert possible(table, hidden, (0, 0)) == 1


@settings(max_examples=200, deadline=None)
@given(hnp.arrays(np.int64, st.integers(1, 5), elements=st.integers(0, 9)))
def test_no_hidden_cell_of_a_row_can_be_worked_out(counts):
    hidden = suppressed(counts, min_cell=4, margins="published")
    table = np.append(counts, counts.sum())
    assert hidden[(table > 0) & (table < 4)].all()
    assert not hidden[table == 0].any()
    if hidden.any() and not hidden[-1]:
        assert table[hidden].sum() - (hidden.sum() - 1) >= 4


@settings(max_examples=30, deadline=None)
@given(hnp.arrays(np.int64, (4, 5), elements=st.integers(0, 40)))
def test_every_line_of_a_larger_table_hides_none_or_at_least_two(counts):
    hidden = suppressed(counts, min_cell=11, margins="published")
    for lines in (hidden.sum(axis=0), hidden.sum(axis=1)):
        assert not (lines == 1).any()
