"""Which groups of real people may be told apart in a comparison: none with a small count, and none that gives one away.

Must never let a small count be worked out from what is shown: small groups are shown together with others, or not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from privsynth.policy.cell_size import suppressed

Counts = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

NOBODY = -1
"""Of a group without rows, which is not shown."""


def blocks(
    tables: Sequence[Counts], min_cell: int, *, together: Callable[[list[int]], Sequence[Counts]] | None = None
) -> Counts:
    """Which groups are shown apart: the number of each group's block, the block of small groups last.

    A group is small where one of the tables has a count from 1 to min_cell - 1 of it, or none where another has some. All small
    groups are one block; as long as it holds one group only, is small itself, or would be with one less of each group, the next
    smallest group joins it. So what is shown are sums over blocks, none of which is small, and each group of a block that
    hides one could be all of it but one of each other group: min_cell or more.
    Args: `together` counts groups as one, (outcomes,) for each table, where that is not the sum of their counts: of people.
    Shapes: each table is (groups, outcomes); the first holds every row -> (groups,), `NOBODY` for a group without rows.
    """
    whole = tables[0].sum(axis=1)
    there = np.flatnonzero(whole > 0)
    small = [group for group in there.tolist() if _small([table[group] for table in tables], min_cell)]
    large = sorted(set(there.tolist()) - set(small), key=lambda group: -int(whole[group]))
    count = together or (lambda groups: [table[groups].sum(axis=0) for table in tables])

    def short(groups: list[int]) -> bool:
        counted = count(groups)
        return _small(counted, min_cell) or int(counted[0].sum()) - len(groups) < min_cell

    while small and large and (len(small) < 2 or short(small)):
        small.append(large.pop())
    block_of = np.full(len(whole), NOBODY, dtype=np.int64)
    if small and short(small):
        return block_of
    block_of[sorted(large)] = np.arange(len(large))
    block_of[small] = len(large)
    return block_of


def _small(counted: Sequence[Counts], min_cell: int) -> bool:
    few = any(((counts > 0) & (counts < min_cell)).any() for counts in counted)
    return bool(few or any(counts.sum() < min_cell for counts in counted))


def hidden_pairs(slices: Sequence[Counts], min_cell: int) -> Mask | None:
    """Which pairs of blocks stay hidden beside both blocks' own tables; None where the pairs cannot be shown at all.

    Proof that nothing is given away: within a slice (one outcome, one part of the rows) hidden cells leave a flow by which each
    small cell could be min_cell (see `policy.cell_size`) with all totals of the slice as they are. A pair is hidden in every
    slice where it is hidden in one, so nothing but the slice's totals says more of the cells of the flow.
    Shapes: each slice is (blocks, blocks) -> the same.
    """
    hidden = np.zeros(slices[0].shape, dtype=np.bool_)
    for counts in slices:
        found = suppressed(counts, min_cell=min_cell, margins="published")
        if found[-1].any() or found[:, -1].any():
            return None
        hidden |= found[:-1, :-1]
    return hidden


def hidden_outcomes(counts: Counts, min_cell: int) -> Mask:
    """Which cells of a table of blocks by two results stay hidden beside its totals; all of them where totals would be hidden.

    What is hidden of a result sums to a number that may be known: a predictor selects as many rows as there are outcomes, so
    that errors of one kind tell the total of the other. It is none or min_cell at least, for totals were counted as known.
    Shapes: (blocks, results) -> the same.
    """
    found = suppressed(counts, min_cell=min_cell, margins="published")
    if found[-1].any() or found[:, -1].any():
        return np.ones(counts.shape, dtype=np.bool_)
    hidden: Mask = found[:-1, :-1].copy()
    hidden[hidden.any(axis=1)] = True
    return hidden
