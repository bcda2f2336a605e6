"""Junction trees: which cliques a model over these attributes needs, and how large it would be.

Must never depend on anything but the domain and the cliques: the same input always gives the same tree.
"""

from __future__ import annotations

import itertools
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
    """A chordal graph in which every clique added so far is complete; what one more clique would cost, and its junction tree.

    A pair of attributes is joined along the path of the junction tree between them. Where that fills in edges, the pair's part
    of the graph is also made chordal anew, by greedy elimination, and the smaller of the two is kept; a clique of more
    attributes is always added by elimination.
    Source: elimination of the attribute whose clique has fewest cells (min-size), ties by fewest neighbours and then by the
        domain's order; Koller, Friedman 2009, section 9.4.3.
    """

    def __init__(self, domain: Domain, cliques: Iterable[Clique] = ()) -> None:
        self.domain = domain
        self._bit = {name: 1 << index for index, name in enumerate(domain.attributes)}
        self._size = {0: 1}
        self._graph = [1 << index for index in range(len(domain))]
        self._renew([1 << index for index in range(len(domain))])
        for clique in cliques:
            self.add(clique)

    def add(self, clique: Clique) -> bool:
        """Make a clique complete; returns whether that changed the maximal cliques."""
        mask = self._mask(clique)
        grown = None if self._holds(mask) else self._smallest(mask)
        for index in _bits(mask):
            self._graph[index] |= mask
        if grown is not None:
            self._renew(grown)
        return grown is not None

    def cells_with(self, clique: Clique) -> int:
        """Cells of all tables of the junction tree if this clique were added."""
        mask = self._mask(clique)
        return self.cells if self._holds(mask) else self._cells(self._smallest(mask))

    def fits(self, clique: Clique, cells: float) -> bool:
        """Whether `cells_with` is at most `cells`; quicker, because most pairs need no elimination to tell."""
        mask = self._mask(clique)
        if self._holds(mask):
            return self.cells <= cells
        if mask not in self._price:
            self._price[mask] = self._path_price(mask)
        price, final = self._price[mask]
        if price > cells and not final:
            price = min(price, self._cells(self._eliminated(mask)))
            self._price[mask] = price, True
        return price <= cells

    def tree(self) -> JunctionTree:
        """The maximum spanning tree of the maximal cliques by separator size, grown from the largest clique."""
        if not self._maximal:
            return JunctionTree(self.domain, ((),), (-1,), ((),))
        return JunctionTree(
            self.domain,
            tuple(self._names(self._maximal[index]) for index in self._order),
            tuple(self._parents),
            tuple(self._names(mask) for mask in self._separators),
        )

    def _renew(self, maximal: list[int]) -> None:
        """Take over new maximal cliques, and everything that follows from them."""
        self._maximal = maximal
        self.cells = self._cells(maximal)
        self._near = [0] * len(self.domain)
        for mask in maximal:
            for index in _bits(mask):
                self._near[index] |= mask
        self._span()
        self._routes: dict[int, dict[int, _Route]] = {}
        self._price: dict[int, tuple[int, bool]] = {}

    def _span(self) -> None:
        """The spanning tree: ties by fewest cells of the separator, then by the first clique."""
        self._order: list[int] = []
        self._parents: list[int] = []
        self._separators: list[int] = []
        best = {index: (-1, 0, -index, 0, -1) for index in range(len(self._maximal))}
        if best:
            root = max(best, key=lambda index: (self._clique_cells(self._maximal[index]), -index))
            best[root] = (len(self.domain) + 1, 0, 0, 0, -1)
        while best:
            added = max(best, key=best.__getitem__)
            *_, shared, parent = best.pop(added)
            position = len(self._order)
            self._order.append(added)
            self._parents.append(parent)
            self._separators.append(shared)
            for index, (width, *_) in best.items():
                shared = self._maximal[index] & self._maximal[added]
                if shared.bit_count() > width:
                    best[index] = (shared.bit_count(), -self._clique_cells(shared), -index, shared, position)

    def _smallest(self, mask: int) -> list[int]:
        """The maximal cliques after a clique that is not complete yet is added."""
        if mask.bit_count() != 2:
            return self._eliminated(mask)
        route = self._route(mask)
        filled = self._filled(mask, route)
        if not route.separators[0]:
            return filled
        return min(filled, self._eliminated(mask), key=self._cells)

    def _path_price(self, mask: int) -> tuple[int, bool]:
        """Cells when a clique is added along the path, and whether elimination cannot do better."""
        if mask.bit_count() != 2:
            return self._cells(self._eliminated(mask)), True
        route = self._route(mask)
        new = self._joined(mask, route)
        gone = (old for old in route.cliques if any(old & ~one == 0 for one in new))
        return self.cells + self._cells(new) - self._cells(gone), not route.separators[0]

    def _filled(self, mask: int, route: _Route) -> list[int]:
        new = self._joined(mask, route)
        return [old for old in self._maximal if not any(old & ~one == 0 for one in new)] + new

    def _joined(self, mask: int, route: _Route) -> list[int]:
        """The cliques that join two attributes along the path between them.

        The attributes and the separators S1 ... Sk on the path form a ring. It is triangulated by one clique of both
        attributes and some Sj; before it, one attribute with each two neighbouring separators, after it the other. Every j
        gives a chordal graph; the one with the fewest cells is taken.
        """
        first, last = route.first, mask ^ route.first
        ring = list(itertools.pairwise(route.separators))
        left = [first | one | two for one, two in ring]
        right = [last | one | two for one, two in ring]
        before = itertools.accumulate(map(self._clique_cells, left), initial=0)
        after = [*itertools.accumulate(map(self._clique_cells, reversed(right)), initial=0)][::-1]
        costs = [
            lower + self._clique_cells(mask | separator) + upper
            for lower, separator, upper in zip(before, route.separators, after, strict=True)
        ]
        j = costs.index(min(costs))
        return [*left[:j], mask | route.separators[j], *right[j:]]

    def _route(self, mask: int) -> _Route:
        """The way between two attributes that no clique holds both of."""
        first = mask & -mask
        if first not in self._routes:
            self._routes[first] = self._routes_from(first)
        return self._routes[first][mask ^ first]

    def _routes_from(self, first: int) -> dict[int, _Route]:
        """From one attribute to all others that it shares no clique with."""
        links: list[list[tuple[int, int]]] = [[] for _ in self._order]
        for index, (parent, separator) in enumerate(zip(self._parents, self._separators, strict=True)):
            if parent >= 0:
                links[index].append((parent, separator))
                links[parent].append((index, separator))
        cliques = [self._maximal[index] for index in self._order]
        known = {index: _Route(first, (), (mask,)) for index, mask in enumerate(cliques) if mask & first}
        seen = self._near[first.bit_length() - 1]
        found: dict[int, _Route] = {}
        waiting = list(known)
        for index in waiting:
            for other, separator in links[index]:
                if other not in known:
                    known[other] = known[index].onward(separator, cliques[other])
                    waiting.append(other)
                    for attribute in _bits(cliques[other] & ~seen):
                        found[1 << attribute] = known[other]
                    seen |= cliques[other]
        return found

    def _eliminated(self, mask: int) -> list[int]:
        """The maximal cliques when the part of the graph that this clique touches is made chordal anew."""
        part, before = mask, 0
        while part != before:
            before = part
            for index in _bits(part):
                part |= self._graph[index]
        near = {index: self._graph[index] | (mask if mask >> index & 1 else 0) for index in _bits(part)}
        cost = {index: (self._clique_cells(held), held.bit_count(), index) for index, held in near.items()}
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
        return [clique for clique in self._maximal if not clique & part] + kept

    def _holds(self, mask: int) -> bool:
        return all(self._near[index] & mask == mask for index in _bits(mask))

    def _mask(self, clique: Iterable[str]) -> int:
        return sum(self._bit[name] for name in set(clique))

    def _names(self, mask: int) -> Clique:
        return tuple(self.domain.attributes[index] for index in _bits(mask))

    def _cells(self, cliques: Iterable[int]) -> int:
        return sum(map(self._clique_cells, cliques))

    def _clique_cells(self, mask: int) -> int:
        found = self._size.get(mask)
        if found is None:
            low = mask & -mask
            found = self._size[mask] = self._clique_cells(mask ^ low) * self.domain.sizes[low.bit_length() - 1]
        return found


@final
@dataclass(frozen=True, slots=True)
class _Route:
    """The way from the clique nearest to an attribute: the cliques on it, and the separators that matter.

    A separator that contains another one on the way does not matter: the tree could as well lead past it.
    """

    first: int
    separators: tuple[int, ...]
    cliques: tuple[int, ...]

    def onward(self, separator: int, clique: int) -> _Route:
        """One clique further."""
        kept = self.separators
        while kept and separator & ~kept[-1] == 0 and separator != kept[-1]:
            kept = kept[:-1]
        if not kept or kept[-1] & ~separator:
            kept = (*kept, separator)
        return _Route(self.first, kept, (*self.cliques, clique))


def junction_tree(domain: Domain, cliques: Iterable[Clique]) -> JunctionTree:
    """The junction tree of a model whose factors are these cliques, added in this order."""
    return Triangulation(domain, cliques).tree()


def _bits(mask: int) -> Iterator[int]:
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low
