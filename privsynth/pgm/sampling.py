"""Drawing records from a junction tree's tables with less error than independent draws.

Must never let two attributes share a rounding: given the separator, each clique's new attributes are dealt in a fresh
random order, so that siblings stay independent.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from privsynth.domain import Clique, Domain
from privsynth.pgm.factor import Factor
from privsynth.pgm.junction_tree import JunctionTree

Codes: TypeAlias = npt.NDArray[np.unsignedinteger]

_CHUNK_ROWS = 1 << 20
"""Rows drawn together; within a chunk every group's counts are rounded once."""


def draw_records(tree: JunctionTree, beliefs: Sequence[Factor], n: int, rng: np.random.Generator) -> dict[str, Codes]:
    """Draw n records from the distribution whose clique tables are `beliefs` (up to scale), rows in random order.

    Each clique's new attributes are drawn given its separator: the rows of a separator state are split into the cells in
    proportion to the conditional distribution, rounded up or down at random without bias, and dealt to them in random order.
    Source: systematic sampling (Madow 1949) for the rounding.
    """
    starts = range(0, n, _CHUNK_ROWS) if n else [0]
    chunks = [_draw_chunk(tree, beliefs, min(_CHUNK_ROWS, n - start), rng) for start in starts]
    return {name: np.concatenate([chunk[name] for chunk in chunks]) for name in tree.domain.attributes}


def _draw_chunk(tree: JunctionTree, beliefs: Sequence[Factor], n: int, rng: np.random.Generator) -> dict[str, Codes]:
    drawn: dict[str, Codes] = {}
    for clique, separator, belief in zip(tree.cliques, tree.separators, beliefs, strict=True):
        fresh = tuple(name for name in clique if name not in separator)
        if not fresh:
            continue
        order = [clique.index(name) for name in (*separator, *fresh)]
        weights = belief.values.transpose(order).reshape(tree.domain.cells(separator), -1)
        cells = _deal(weights, _states(tree.domain, separator, drawn, n), rng)
        split = np.unravel_index(cells, tree.domain.shape(fresh)) if len(fresh) > 1 else (cells,)
        for name, codes in zip(fresh, split, strict=True):
            drawn[name] = codes.astype(np.min_scalar_type(tree.domain.size(name) - 1))
    return drawn


def _states(domain: Domain, separator: Clique, drawn: dict[str, Codes], n: int) -> npt.NDArray[np.int64]:
    """Number of each row's separator state."""
    states = np.zeros(n, dtype=np.int64)
    for name in separator:
        states *= domain.size(name)
        states += drawn[name]
    return states


def _deal(weights: npt.NDArray[np.float64], states: npt.NDArray[np.int64], rng: np.random.Generator) -> Codes:
    """A cell for every row, given its state. Shapes: weights (states, cells); states and the result (rows,)."""
    sizes = np.bincount(states, minlength=len(weights))
    occupied = np.flatnonzero(sizes)
    counts = round_counts(weights[occupied], sizes[occupied], rng)
    cells: Codes = np.arange(weights.shape[1]).astype(np.min_scalar_type(weights.shape[1] - 1))
    out: Codes = np.empty(len(states), dtype=cells.dtype)
    out[shuffled_by_group(states, len(weights), rng)] = np.repeat(np.tile(cells, len(occupied)), counts.reshape(-1))
    return out


def round_counts(
    weights: npt.NDArray[np.float64], sizes: npt.NDArray[np.int64], rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Split every group's rows into cells: integers that sum to the group's size, each its expectation rounded up or down.

    Every group is rounded by systematic sampling with its own uniform offset, which makes each count unbiased; the offsets
    are stratified over the groups, so that what many small groups lose to rounding cancels.
    Shapes: weights and the result (groups, cells); sizes (groups,).
    """
    ends = np.cumsum(weights, axis=1)
    ends *= (sizes / ends[:, -1])[:, None]
    groups = len(sizes)
    offsets = (rng.permutation(groups) + rng.random(groups)) / max(groups, 1)
    ends += offsets[:, None]
    whole = np.floor(ends).astype(np.int64)
    whole[:, -1] = sizes
    np.minimum(whole, sizes[:, None], out=whole)
    return np.diff(whole, axis=1, prepend=0)


def shuffled_by_group(groups: npt.NDArray[np.int64], number: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Row numbers sorted by group, in random order within each group.

    One sort of 64-bit keys (group, random bits, row number): vector instructions sort those faster than they permute.
    """
    rows = len(groups)
    row_bits, group_bits = max(rows - 1, 1).bit_length(), max(number - 1, 1).bit_length()
    keys = rng.integers(0, 1 << (64 - row_bits - group_bits), rows, dtype=np.uint64)
    keys <<= np.uint64(row_bits)
    keys |= groups.astype(np.uint64) << np.uint64(64 - group_bits)
    keys |= np.arange(rows, dtype=np.uint64)
    keys.sort()
    keys &= np.uint64((1 << row_bits) - 1)
    return keys.view(np.int64)
