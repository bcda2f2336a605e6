"""Projection: tables of a calibrated junction tree, one at a time or all pairs together.

Must never approximate: every table is an exact sum over the model.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias, final

import numpy as np
import numpy.typing as npt

from privsynth.domain import Clique, Domain
from privsynth.pgm.factor import Factor
from privsynth.pgm.junction_tree import JunctionTree

Array: TypeAlias = npt.NDArray[np.float64]
Pair: TypeAlias = tuple[str, str]


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
@dataclass(frozen=True, slots=True)
class _Message:
    """P(attribute | separator) of every attribute in a subtree, side by side.

    Shapes: `table` is (separator states, levels of all attributes); `columns` says where each attribute's levels are.
    """

    separator: Clique
    table: Array
    columns: dict[str, slice]


def all_pairs(tree: JunctionTree, beliefs: Sequence[Factor]) -> dict[Pair, Array]:
    """The tables of all pairs of attributes, in the domain's order, with every sum shared by all pairs that need it.

    Each pair is found at the highest clique that separates its attributes, by matrix products with the conditional
    distributions that its subtrees sent up.
    """
    domain = tree.domain
    found: dict[Pair, Array] = {}
    messages: list[list[_Message]] = [[] for _ in tree.cliques]
    for index in range(len(tree.cliques) - 1, -1, -1):
        belief, arrived = beliefs[index], messages[index]
        for one, two, table in _pairs_at(domain, belief, arrived):
            first, second = domain.canonical((one, two))
            found.setdefault((first, second), table if first == one else table.T)
        if index:
            messages[tree.parents[index]].append(_upwards(domain, belief, tree.separators[index], arrived))
    return found


def _pairs_at(domain: Domain, belief: Factor, arrived: Sequence[_Message]) -> Iterator[tuple[str, str, Array]]:
    """Tables of the pairs that meet in this clique: both in it, one in it and one below, or below two children."""
    clique = belief.domain.attributes
    for one, two in itertools.combinations(clique, 2):
        yield one, two, belief.project((one, two)).values
    for message in arrived:
        separator = belief.project(message.separator)
        for name in clique:
            if name in message.separator:
                block = _with_separator(separator, message, name)
            else:
                joint = belief.project((*message.separator, name)).values
                block = message.table.T @ joint.reshape(len(message.table), -1)
            for below, where in message.columns.items():
                yield below, name, block[where]
    for left, right in itertools.combinations(arrived, 2):
        block = _across(domain, belief, left, right)
        for one, rows in left.columns.items():
            for two, columns in right.columns.items():
                yield one, two, block[rows, columns]


def _with_separator(separator: Factor, message: _Message, name: str) -> Array:
    """Sums over the separator of P(below | separator) P(separator) for each level of one of its own attributes.

    Shapes: (levels of all attributes below, levels of the attribute).
    """
    axis = separator.domain.index(name)
    joint = (separator.values.reshape(-1, 1) * message.table).reshape(*separator.values.shape, -1)
    others = tuple(other for other in range(separator.values.ndim) if other != axis)
    return np.asarray(joint.sum(axis=others).T)


def _across(domain: Domain, belief: Factor, left: _Message, right: _Message) -> Array:
    """Sums over both separators of P(below left) P(separators) P(below right). Shapes: (left's levels, right's levels)."""
    shared = tuple(name for name in left.separator if name in right.separator)
    mine = tuple(name for name in left.separator if name not in shared)
    other = tuple(name for name in right.separator if name not in shared)
    z, x, y = (domain.cells(part) for part in (shared, mine, other))
    joint = belief.project((*shared, *mine, *other)).values.reshape(z, x, y)
    one = _ordered(domain, left, (*shared, *mine)).reshape(z, x, -1)
    two = _ordered(domain, right, (*shared, *other)).reshape(z * y, -1)
    crossed = np.matmul(one.transpose(0, 2, 1), joint)
    return np.asarray(crossed.transpose(1, 0, 2).reshape(-1, z * y) @ two)


def _upwards(domain: Domain, belief: Factor, separator: Clique, arrived: Sequence[_Message]) -> _Message:
    """What a clique and all below it tell its parent."""
    parts: list[tuple[tuple[str, ...], Array]] = []
    states = domain.cells(separator)
    for name in belief.domain.attributes:
        if name not in separator:
            table = belief.project((*separator, name)).conditional(separator).values
            parts.append(((name,), table.reshape(states, -1)))
    for message in arrived:
        shared = tuple(name for name in separator if name in message.separator)
        mine = tuple(name for name in separator if name not in shared)
        other = tuple(name for name in message.separator if name not in shared)
        z, x, y = (domain.cells(part) for part in (shared, mine, other))
        onward = belief.project((*shared, *mine, *other)).conditional((*shared, *mine)).values.reshape(z, x, y)
        product = np.matmul(onward, _ordered(domain, message, (*shared, *other)).reshape(z, y, -1))
        table = product.reshape(*domain.shape((*shared, *mine)), -1)
        order = [(*shared, *mine).index(name) for name in separator]
        parts.append((tuple(message.columns), table.transpose(*order, len(order)).reshape(states, -1)))
    columns, start = {}, 0
    for names, _ in parts:
        for name in names:
            columns[name] = slice(start, start + domain.size(name))
            start += domain.size(name)
    return _Message(separator, np.hstack([table for _, table in parts]), columns)


def _ordered(domain: Domain, message: _Message, order: Clique) -> Array:
    """A message's table with its separator's attributes in another order."""
    axes = [message.separator.index(name) for name in order]
    shaped = message.table.reshape(*domain.shape(message.separator), -1)
    return shaped.transpose(*axes, len(axes)).reshape(len(message.table), -1)
