"""Junction trees: which cliques a model over these attributes needs, and how large it would be.

Must never depend on anything but the domain and the cliques: the same input always gives the same tree.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import final

from privsynth.domain import Clique, Domain
from privsynth.errors import FitError

BYTES_PER_CELL = 8


@final
@dataclass(frozen=True, slots=True)
class JunctionTree:
    """The maximal cliques of a triangulated model, each after its parent.

    `parents[i]` is the index of clique i's parent (-1 for the root, which comes first), and `separators[i]` the attributes
    they share (empty where two parts of the model are independent). Attributes stand in the domain's order.
    """

    domain: Domain
    cliques: tuple[Clique, ...]
    parents: tuple[int, ...]
    separators: tuple[Clique, ...]

    @property
    def cells(self) -> int:
        """Cells of all cliques' tables together."""
        return sum(self.domain.cells(clique) for clique in self.cliques)

    @property
    def megabytes(self) -> float:
        """Size of all cliques' tables in float64. Units: 2^20 bytes."""
        return self.cells * BYTES_PER_CELL / 2**20

    def holder(self, clique: Iterable[str]) -> int:
        """Index of the smallest clique that contains these attributes; FitError when there is none."""
        wanted = set(clique)
        holders = [index for index, held in enumerate(self.cliques) if wanted <= set(held)]
        if not holders:
            raise FitError(f"the model holds no table of {sorted(wanted)}; project it instead")
        return min(holders, key=lambda index: self.domain.cells(self.cliques[index]))


@final
class Triangulation:
    """The graph in which each clique is complete, made chordal by greedy elimination; and what one more clique would cost.

    Source: elimination of the attribute whose clique has fewest cells (min-size), ties by fewest neighbours and then by the
        domain's order; Koller, Friedman 2009, section 9.4.3.
    """

    def __init__(self, domain: Domain, cliques: Iterable[Clique]) -> None:
        self.domain = domain
        self._bit = {name: 1 << index for index, name in enumerate(domain.attributes)}
        self._size = {0: 1}
        self.graph = [1 << index for index in range(len(domain))]
        for clique in cliques:
            mask = self._mask(clique)
            for index in _bits(mask):
                self.graph[index] |= mask
        self._parts = {part: self._eliminate(part, 0) for part in self._components()}
        self.cells = sum(map(self._cells, self._parts.values()))

    def cliques(self) -> list[Clique]:
        """The maximal cliques."""
        names = self.domain.attributes
        return [tuple(names[i] for i in _bits(mask)) for part in self._parts.values() for mask in part]

    def cells_with(self, clique: Clique) -> int:
        """Cells of all tables of the junction tree if this clique were complete too; only the parts it touches change."""
        mask = self._mask(clique)
        if all(self.graph[index] & mask == mask for index in _bits(mask)):
            return self.cells
        touched = [part for part in self._parts if part & mask]
        joined = self._eliminate(sum(touched), mask)
        return self.cells + self._cells(joined) - sum(self._cells(self._parts[part]) for part in touched)

    def _mask(self, clique: Iterable[str]) -> int:
        return sum(self._bit[name] for name in set(clique))

    def _components(self) -> list[int]:
        parts: list[int] = []
        for mask in self.graph:
            touching = [part for part in parts if part & mask]
            parts = [part for part in parts if not part & mask] + [functools.reduce(operator.or_, touching, mask)]
        return parts

    def _cells(self, cliques: Iterable[int]) -> int:
        return sum(map(self._clique_cells, cliques))

    def _clique_cells(self, mask: int) -> int:
        found = self._size.get(mask)
        if found is None:
            low = mask & -mask
            found = self._size[mask] = self._clique_cells(mask ^ low) * self.domain.sizes[low.bit_length() - 1]
        return found

    def _eliminate(self, part: int, extra: int) -> list[int]:
        """Maximal elimination cliques of a part of the graph with one more complete clique."""
        near = {index: self.graph[index] | (extra if extra >> index & 1 else 0) for index in _bits(part)}
        cost = {index: (self._clique_cells(mask), mask.bit_count(), index) for index, mask in near.items()}
        kept: list[int] = []
        while near:
            best = min(cost, key=cost.__getitem__)
            clique = near.pop(best)
            del cost[best]
            if not any(clique & earlier == clique for earlier in kept):
                kept.append(clique)
            rest = clique & ~(1 << best)
            for index in _bits(rest):
                near[index] = (near[index] | rest) & ~(1 << best)
                cost[index] = (self._clique_cells(near[index]), near[index].bit_count(), index)
        return kept


def junction_tree(domain: Domain, cliques: Iterable[Clique]) -> JunctionTree:
    """The junction tree of a model whose factors are these cliques; attributes in none of them stand alone.

    The tree is the maximum spanning tree by separator size (in attributes, then fewest cells, then first clique), grown
    from the largest clique.
    """
    maximal = Triangulation(domain, cliques).cliques()
    if not maximal:
        return JunctionTree(domain, ((),), (-1,), ((),))
    root = max(range(len(maximal)), key=lambda index: (domain.cells(maximal[index]), -index))
    order, parents = [root], [-1]
    separators: list[Clique] = [()]
    best: dict[int, tuple[Clique, int]] = {index: ((), 0) for index in range(len(maximal)) if index != root}
    added, position = root, 0
    while best:
        for index in best:
            shared = tuple(name for name in maximal[index] if name in maximal[added])
            if len(shared) > len(best[index][0]):
                best[index] = (shared, position)
        added = max(best, key=lambda index: (len(best[index][0]), -domain.cells(best[index][0]), -index))
        shared, parent = best.pop(added)
        order.append(added)
        parents.append(parent)
        separators.append(shared)
        position = len(order) - 1
    return JunctionTree(domain, tuple(maximal[index] for index in order), tuple(parents), tuple(separators))


def _bits(mask: int) -> Iterator[int]:
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low
