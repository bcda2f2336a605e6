"""Drawing attributes given evidence of each row's own from any model: directly, or by matching records drawn from it.

Must never see records other than those drawn from a model: matching them is post-processing, and free.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import final

import numpy as np
import numpy.typing as npt

from privsynth.dataset import Dataset
from privsynth.generator import AbstractDistribution

Ints = npt.NDArray[np.int64]
_Keys = npt.NDArray[np.uint64]

_POOL = 200_000
"""Records that evidence is matched with: more are slower to draw, and match longer histories."""

_PRIME, _SHIFT = np.uint64(0x9E3779B97F4A7C15), np.uint64(29)


@final
class ConditionalDraws:
    """One model, asked again and again for draws under evidence.

    A model without a direct way is asked for a pool of records once. Each row takes the wanted attributes of a random record of
    the pool that agrees with all of its evidence; where none does, the evidence that says least about what is wanted is left
    out, one attribute after the other. What says least is told by the pool's tables of pairs.
    """

    def __init__(self, distribution: AbstractDistribution) -> None:
        self._distribution = distribution
        self._pool: Dataset | None = None
        self._sorted: dict[tuple[str, ...], tuple[_Keys, Ints]] = {}
        self._ranked: dict[tuple[tuple[str, ...], tuple[str, ...]], tuple[str, ...]] = {}

    def draw(self, given: Mapping[str, Ints], wanted: Sequence[str], rng: np.random.Generator) -> dict[str, Ints]:
        """One draw of the wanted attributes for each row of evidence. Shapes: all (rows,).

        Raises: FitError for evidence outside the levels, or on what is wanted.
        """
        found = self._distribution.draw_each(given, wanted, rng)
        if found is not None:
            return found
        if self._pool is None:
            self._pool = self._distribution.draw(_POOL, rng)
        records = self._match(given, tuple(wanted), rng)
        return {name: self._pool.column(name)[records].astype(np.int64) for name in wanted}

    def _match(self, given: Mapping[str, Ints], wanted: tuple[str, ...], rng: np.random.Generator) -> Ints:
        """A record of the pool for each row: of those that agree with the most evidence, a random one."""
        assert self._pool is not None
        names = self._by_weight(tuple(given), wanted)
        hashes = _prefix_hashes([given[name] for name in names])
        found = np.empty(len(hashes[0]), dtype=np.int64)
        left = np.arange(len(found))
        for length in range(len(names), 0, -1):
            if not left.size:
                return found
            keys, order = self._pool_keys(names[:length])
            asked = hashes[length - 1][left]
            first, last = np.searchsorted(keys, asked, side="left"), np.searchsorted(keys, asked, side="right")
            there = last > first
            place = first + (rng.random(len(left)) * (last - first)).astype(np.int64)
            found[left[there]] = order[place[there]]
            left = left[~there]
        found[left] = rng.integers(0, self._pool.rows, len(left))
        return found

    def _pool_keys(self, names: tuple[str, ...]) -> tuple[_Keys, Ints]:
        """The pool's evidence on these attributes as sorted numbers, and whose they are."""
        assert self._pool is not None
        found = self._sorted.get(names)
        if found is None:
            keys = _prefix_hashes([self._pool.column(name).astype(np.int64) for name in names])[-1]
            order = np.argsort(keys, kind="stable")
            found = (keys[order], order)
            self._sorted[names] = found
        return found

    def _by_weight(self, given: tuple[str, ...], wanted: tuple[str, ...]) -> tuple[str, ...]:
        """The evidence, what says most about the wanted attributes first: by the sum of their mutual information."""
        found = self._ranked.get((given, wanted))
        if found is None:
            said = {name: sum(self._information(name, other) for other in wanted) for name in given}
            found = tuple(sorted(given, key=lambda name: -said[name]))
            self._ranked[given, wanted] = found
        return found

    def _information(self, one: str, other: str) -> float:
        """Mutual information of two attributes in the pool, in nats."""
        assert self._pool is not None
        table = self._pool.marginal((one, other)) / self._pool.rows
        alone = table.sum(axis=1, keepdims=True) * table.sum(axis=0, keepdims=True)
        inside = table > 0
        return float((table[inside] * np.log(table[inside] / alone[inside])).sum())


def _prefix_hashes(columns: Sequence[Ints]) -> list[_Keys]:
    """For each number of first columns, a number that stands for each row's codes in them; two rows meet by chance 2^-64."""
    found: list[_Keys] = []
    mixed = np.zeros(len(columns[0]), dtype=np.uint64)
    for column in columns:
        mixed = (mixed ^ column.astype(np.uint64)) * _PRIME
        mixed ^= mixed >> _SHIFT
        mixed *= _PRIME
        mixed ^= mixed >> _SHIFT
        found.append(mixed)
    return found
