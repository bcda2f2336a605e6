"""Projection: tables of a calibrated junction tree, one at a time or all pairs together.

Must never approximate: every table is an exact sum over the model.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias, final

import numpy as np
import numpy.typing as npt

from privsynth.domain import Clique, Domain
from privsynth.pgm.factor import Factor
from privsynth.pgm.junction_tree import JunctionTree

Array: TypeAlias = npt.NDArray[np.float64]
Pair: TypeAlias = tuple[str, str]

_LARGE = 4096
"""Cells of a clique's table from which sums that many others can be made from are worth a pass of their own."""

_BLOCK_CELLS = 1 << 22
"""Cells of an intermediate product that are held at a time."""


def project(tree: JunctionTree, beliefs: Sequence[Factor], clique: Clique) -> Array:
    """Sum the model over all attributes but these. Shapes: `domain.shape(clique)`.

    Within a clique of the tree it is a sum over that clique's table. Otherwise every clique tells its parent the conditional
    distribution of the wanted attributes below it, each summed to what is still needed before it is multiplied.
    """
    wanted = set(tree.domain.project(clique).attributes)
    inside = [index for index, held in enumerate(tree.cliques) if wanted <= set(held)]
    if inside:
        smallest = min(inside, key=lambda index: beliefs[index].values.size)
        return beliefs[smallest].project(clique).values
    below: list[list[Factor]] = [[] for _ in tree.cliques]
    for index in range(len(tree.cliques) - 1, 0, -1):
        separator = tree.separators[index]
        own = wanted & set(tree.cliques[index]) - set(separator)
        if own or below[index]:
            joined = _joined(tree, beliefs, index, own, below[index])
            carried = [name for name in joined.domain.attributes if name in wanted or name in separator]
            below[tree.parents[index]].append(joined.project(carried))
    return _joined(tree, beliefs, 0, wanted & set(tree.cliques[0]), below[0]).project(clique).values


def _joined(
    tree: JunctionTree, beliefs: Sequence[Factor], index: int, own: set[str], below: Sequence[Factor]
) -> Factor:
    """A clique's conditional distribution given its separator, times what its children say."""
    linked = {name for factor in below for name in factor.domain.attributes}
    separator = tree.separators[index]
    keep = (own | linked | set(separator)) & set(tree.cliques[index])
    table = beliefs[index].project(tree.domain.canonical(keep))
    return functools.reduce(Factor.__mul__, below, table.conditional(separator) if index else table)


@final
@dataclass(frozen=True, slots=True, eq=False)
class _Message:
    """P(attribute | separator) of every attribute in some subtrees behind a separator, side by side.

    Shapes: `table` is (separator states, levels of all attributes); `columns` says where each attribute's levels are.
    """

    separator: Clique
    table: Array
    columns: dict[str, slice]

    @property
    def width(self) -> int:
        """Levels of all attributes."""
        return int(self.table.shape[1])

    @classmethod
    def joined(cls, messages: Sequence[_Message]) -> _Message:
        """All of them, which have the same separator."""
        if len(messages) == 1:
            return messages[0]
        columns: dict[str, slice] = {}
        start = 0
        for message in messages:
            columns |= {name: slice(at.start + start, at.stop + start) for name, at in message.columns.items()}
            start += message.width
        return cls(messages[0].separator, np.hstack([message.table for message in messages]), columns)

    def ordered(self, domain: Domain, order: Clique) -> Array:
        """The table with the separator's attributes in another order."""
        axes = [self.separator.index(name) for name in order]
        shaped = self.table.reshape(*domain.shape(self.separator), -1)
        return shaped.transpose(*axes, len(axes)).reshape(len(self.table), -1)


@final
class _Sums:
    """Sums of one clique's table, each made from the smallest table made so far that holds its attributes.

    Of a large table the sums over each of three groups of attributes are made first: every pair then lies in one of them.
    """

    def __init__(self, belief: Factor) -> None:
        self.names = belief.domain.attributes
        self._made = [belief]
        if len(self.names) > 3 and belief.values.size > _LARGE:
            groups: list[list[str]] = [[], [], []]
            for name in sorted(self.names, key=belief.domain.size, reverse=True):
                min(groups, key=belief.domain.cells).append(name)
            self._made += [belief.project((*one, *two)) for one, two in itertools.combinations(groups, 2)]

    def over(self, names: Iterable[str]) -> Factor:
        """The sums over all attributes but these, with axes in this order."""
        target = tuple(names)
        wanted = set(target)
        holding = (made for made in self._made if wanted.issubset(made.domain.attributes))
        found = min(holding, key=lambda made: made.values.size).project(target)
        if 4 * found.values.size <= self._made[0].values.size:
            self._made.append(found)
        return found


def all_pairs(tree: JunctionTree, beliefs: Sequence[Factor]) -> dict[Pair, Array]:
    """The tables of all pairs of attributes, in the domain's order, with every sum shared by all pairs that need it.

    Each pair is found at the clique nearest to the leaves that separates its attributes, by matrix products with the
    conditional distributions that its subtrees sent up; subtrees behind the same separator are treated as one.
    """
    domain = tree.domain
    found: dict[Pair, Array] = {}
    arrived: list[list[_Message]] = [[] for _ in tree.cliques]
    for index in range(len(tree.cliques) - 1, -1, -1):
        sums = _Sums(beliefs[index])
        below: dict[Clique, _Message] = {}
        for message in arrived[index]:
            for before in below.values():
                _keep(domain, found, before.columns, message.columns, _across(domain, sums, before, message))
            same = below.get(message.separator)
            below[message.separator] = _Message.joined([same, message]) if same else message
        arrived[index] = []
        for message in below.values():
            for name in sums.names:
                if name not in message.separator:
                    joint = sums.over((*message.separator, name)).values.reshape(len(message.table), -1)
                    _keep(domain, found, message.columns, {name: slice(None)}, message.table.T @ joint)
        for pair in itertools.combinations(sums.names, 2):
            if pair not in found:
                found[pair] = sums.over(pair).values
        if index:
            arrived[tree.parents[index]].append(_upwards(domain, sums, tree.separators[index], below.values()))
    return found


def _keep(
    domain: Domain, found: dict[Pair, Array], rows: Mapping[str, slice], columns: Mapping[str, slice], block: Array
) -> None:
    """Cut a block into the tables of pairs, their attributes in the domain's order."""
    for one, above in rows.items():
        for two, beside in columns.items():
            if domain.index(one) < domain.index(two):
                found[one, two] = block[above, beside]
            else:
                found[two, one] = block[above, beside].T


def _across(domain: Domain, sums: _Sums, left: _Message, right: _Message) -> Array:
    """Sums over both separators of P(below left) P(separators) P(below right). Shapes: (left's levels, right's levels)."""
    shared, mine, other = _parts(left.separator, right.separator)
    z, x, y = (domain.cells(part) for part in (shared, mine, other))
    if left.width * y * (x + right.width) > right.width * x * (y + left.width):
        return _across(domain, sums, right, left).T
    joint = sums.over((*shared, *mine, *other)).values.reshape(z, x, y)
    one = left.ordered(domain, (*shared, *mine)).reshape(z, x, -1).transpose(0, 2, 1)
    two = right.ordered(domain, (*shared, *other)).reshape(z * y, -1)
    out = np.empty((left.width, right.width))
    step = max(1, _BLOCK_CELLS // (z * y))
    for start in range(0, left.width, step):
        crossed = np.matmul(one[:, start : start + step], joint).transpose(1, 0, 2)
        np.matmul(crossed.reshape(-1, z * y), two, out=out[start : start + step])
    return out


def _upwards(domain: Domain, sums: _Sums, separator: Clique, below: Iterable[_Message]) -> _Message:
    """What a clique and all below it tell its parent."""
    states = domain.cells(separator)
    parts = []
    for name in sums.names:
        if name not in separator:
            table = sums.over((*separator, name)).conditional(separator).values.reshape(states, -1)
            parts.append(_Message(separator, table, {name: slice(0, domain.size(name))}))
    for message in below:
        shared, mine, other = _parts(separator, message.separator)
        z, x, y = (domain.cells(part) for part in (shared, mine, other))
        onward = sums.over((*shared, *mine, *other)).conditional((*shared, *mine)).values.reshape(z, x, y)
        product = np.matmul(onward, message.ordered(domain, (*shared, *other)).reshape(z, y, -1))
        sent = _Message((*shared, *mine), product.reshape(states, -1), message.columns)
        parts.append(_Message(separator, sent.ordered(domain, separator), message.columns))
    return _Message.joined(parts)


def _parts(one: Clique, two: Clique) -> tuple[Clique, Clique, Clique]:
    """The attributes of both, of the first alone, of the second alone."""
    shared = tuple(name for name in one if name in two)
    return shared, tuple(name for name in one if name not in shared), tuple(name for name in two if name not in shared)
