"""Marginal oracles: from log-potentials on cliques to the expected counts of the same cliques.

Must never return a table that lost mass to underflow: the fast path proves that it did not, or the log domain is used.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import final

import numpy as np

from privsynth.domain import Clique, Domain
from privsynth.pgm.clique_vector import CliqueVector
from privsynth.pgm.contraction import Array, Axes, Groups, Part, Product, Step, best_groups, reduction, spread
from privsynth.pgm.factor import Factor
from privsynth.pgm.junction_tree import JunctionTree, junction_tree

_LEAST_MESSAGE = 1e-200
"""Below this, what a message adds up may itself have underflowed (float64 ends at 1e-308)."""


@final
class MarginalOracle:
    """Exact marginals of the model exp(sum of potentials), for one set of cliques and any potentials on them.

    Source: Hugin message passing on a junction tree; Koller, Friedman 2009, chapter 10.
    """

    def __init__(self, domain: Domain, cliques: Sequence[Clique], tree: JunctionTree | None = None) -> None:
        self.domain = domain
        self.cliques = tuple(cliques)
        self.tree = tree or junction_tree(domain, self.cliques)
        self._linear = _LinearOracle(domain, self.cliques, self.tree)

    def marginals(self, potentials: CliqueVector, total: float) -> CliqueVector:
        """Expected counts of every clique of the potentials, each table summing to `total`."""
        found = self._linear.marginals(potentials, total)
        return found if found is not None else log_marginals(self.tree, potentials, total)

    def beliefs(self, potentials: CliqueVector, total: float) -> list[Factor]:
        """Expected counts of every clique of the junction tree, in the tree's order."""
        if self._linear.marginals(potentials, total) is not None:
            return self._linear.beliefs()
        return [normalised(belief, total) for belief in log_beliefs(self.tree, potentials)]


def log_beliefs(tree: JunctionTree, potentials: CliqueVector, evidence: Sequence[Factor] = ()) -> list[Factor]:
    """Logarithms of the unnormalised tables of the tree's cliques, in the log domain: slow, and safe for any potentials.

    `evidence` are further log-factors over parts of the tree's cliques; -inf forbids.
    Source: Shafer-Shenoy message passing, which needs no division.
    """
    domain = tree.domain
    local = [Factor.zeros(domain.project(clique)) for clique in tree.cliques]
    extra = [Factor(domain.project(clique), table) for clique, table in potentials.tables().items()]
    for factor in [*extra, *evidence]:
        home = tree.holder(factor.domain.attributes)
        local[home] = local[home] + factor
    children: list[list[int]] = [[] for _ in local]
    for index, parent in enumerate(tree.parents[1:], start=1):
        children[parent].append(index)
    up: dict[int, Factor] = {}
    for index in range(len(local) - 1, 0, -1):
        inner = functools.reduce(Factor.__add__, [up[child] for child in children[index]], local[index])
        up[index] = inner.log_project(tree.separators[index])
    down: dict[int, Factor] = {}
    beliefs = []
    for index in range(len(local)):
        outer = local[index] + down[index] if index else local[index]
        for child in children[index]:
            others = [up[other] for other in children[index] if other != child]
            down[child] = functools.reduce(Factor.__add__, others, outer).log_project(tree.separators[child])
        beliefs.append(functools.reduce(Factor.__add__, [up[child] for child in children[index]], outer))
    return beliefs


def log_marginals(tree: JunctionTree, potentials: CliqueVector, total: float) -> CliqueVector:
    """Expected counts of the potentials' cliques, computed in the log domain."""
    beliefs = [normalised(belief, total) for belief in log_beliefs(tree, potentials)]
    tables = {clique: beliefs[tree.holder(clique)].project(clique).values for clique in potentials.cliques}
    return CliqueVector.of(tree.domain, tables)


def normalised(log_table: Factor, total: float) -> Factor:
    """The exponential of a log-table, scaled to sum to `total`; all zero where every cell is -inf."""
    top = log_table.values.max()
    if not np.isfinite(top):
        return Factor.zeros(log_table.domain)
    values = np.exp(log_table.values - top)
    return Factor(log_table.domain, values * (total / values.sum()))


@final
class _Node:
    """One clique of the tree: buffers that are allocated once, and the steps that fill them.

    `message` is what it tells its parent, scaled to a maximum of one; `mass` the same, unscaled; `belief` the separator's
    expected counts that the parent writes before `distribute`.
    """

    def __init__(self, clique: Clique, domain: Domain, separator: Clique) -> None:
        self.clique = clique
        self.domain = domain.project(clique)
        self.sizes = self.domain.sizes
        self.separator = self.axes(separator)
        self.mass = np.empty(domain.shape(separator))
        self.message = np.empty(domain.shape(separator))
        self.belief = np.empty(domain.shape(separator))
        self._parts: list[Part] = []

    def axes(self, names: Clique) -> Axes:
        """Positions of these attributes in the clique."""
        return tuple(self.clique.index(name) for name in names)

    def add(self, names: Clique, factor: Array, result: Array) -> None:
        """Let the clique's product hold a factor over these attributes; its expected counts are written to `result`."""
        self._parts.append(Part(self.axes(names), factor, result))

    def plan(self) -> None:
        """Deal the factors to the three tables, and write down every step."""
        wanted = frozenset(frozenset(part.axes) for part in self._parts) | {frozenset(self.separator)}
        groups = best_groups(self.sizes, wanted)
        spans = (groups.left, groups.right, groups.cross)
        homes = [self._home(spans, part.axes) for part in self._parts]
        self._tables = [
            Product(span, self.sizes, [part for part, home in zip(self._parts, homes, strict=True) if home == which])
            for which, span in enumerate(spans)
        ]
        whole = self._tables[homes[0]] if homes else None
        if whole is not None and len(whole.axes) == len(self.sizes):
            whole.belief = whole.value
        self._upper = self._tables[self._home(spans, self.separator)]
        self._collect = [step for table in self._tables for step in table.multiply()]
        self._collect += self._believe(self._upper, groups)
        self._collect += reduction(self._upper.belief, self._upper.axes, self.separator, self.mass)
        self._distribute = self._descend(groups)

    def _home(self, spans: Sequence[Axes], axes: Axes) -> int:
        """Which table takes a factor: the smallest that holds all its axes, or the one that is as large as the clique."""
        whole = [which for which, span in enumerate(spans) if len(span) == len(self.sizes)]
        fitting = whole[:1] or [which for which, span in enumerate(spans) if set(axes) <= set(span)]
        return min(fitting, key=lambda which: math.prod(self.sizes[axis] for axis in spans[which]))

    def _believe(self, table: Product, groups: Groups) -> list[Step]:
        """Steps for one table's belief: itself times what the other two, unless they are empty, say about its cells."""
        if table.belief is table.value:
            return []
        x, y, z = (math.prod(self.sizes[axis] for axis in group) for group in (groups.x, groups.y, groups.z))
        left, right, cross = (
            product.value.reshape(shape) for product, shape in zip(self._tables, ((z, x), (z, y), (x, y)), strict=True)
        )
        others = ((right, cross.T), (left, cross), (left.T, right))[self._tables.index(table)]
        said = table.belief.reshape(len(others[0]), -1)
        return [
            functools.partial(np.matmul, *others, out=said),
            functools.partial(np.multiply, table.belief, table.value, out=table.belief),
        ]

    def _descend(self, groups: Groups) -> list[Step]:
        """Steps that bring in what the rest of the model says about the separator, and sum everything back."""
        ratio = np.empty(self.mass.shape)
        factor = spread(ratio, self.separator, self._upper.axes)
        steps: list[Step] = [functools.partial(np.divide, self.belief, self.mass, out=ratio)]
        upper = (
            [self._upper.value] if self._upper.belief is self._upper.value else [self._upper.value, self._upper.belief]
        )
        steps += [functools.partial(np.multiply, values, factor, out=values) for values in upper]
        for table in self._tables:
            if not table.empty:
                steps += [] if table is self._upper else self._believe(table, groups)
                steps += table.sum_back()
        return steps

    def table(self) -> Array:
        """The whole clique's expected counts after `distribute`."""
        every = tuple(range(len(self.sizes)))
        out = np.ones(self.sizes)
        for table in sorted(self._tables, key=lambda table: table.value.size):
            np.multiply(out, spread(table.value, table.axes, every), out=out)
        return out

    def collect(self) -> None:
        """From the factors and the children's messages to this clique's message."""
        for step in self._collect:
            step()
        np.divide(self.mass, self.mass.max(), out=self.message)

    def distribute(self) -> None:
        """From the separator's expected counts to those of this clique's factors and of its children's separators."""
        for step in self._distribute:
            step()


@final
class _LinearOracle:
    """Hugin message passing on probabilities rather than logarithms, with every buffer allocated once."""

    def __init__(self, domain: Domain, cliques: tuple[Clique, ...], tree: JunctionTree) -> None:
        potentials = CliqueVector.zeros(domain, cliques)
        self._factors, self._results = potentials.flat, np.zeros(len(potentials.flat))
        self._cells = np.array([domain.cells(clique) for clique in cliques], dtype=np.intp)
        self._starts = np.cumsum(self._cells) - self._cells
        self._nodes = [
            _Node(clique, domain, separator) for clique, separator in zip(tree.cliques, tree.separators, strict=True)
        ]
        results = CliqueVector(domain, cliques, self._results).tables()
        for clique, factor in potentials.tables().items():
            self._nodes[tree.holder(clique)].add(clique, factor, results[clique])
        for index, parent in enumerate(tree.parents[1:], start=1):
            node = self._nodes[index]
            self._nodes[parent].add(tree.separators[index], node.message, node.belief)
        for node in self._nodes:
            node.plan()

    def marginals(self, potentials: CliqueVector, total: float) -> CliqueVector | None:
        """Expected counts, or None when a message came so near to zero that mass may have been lost.

        Every factor and message is at most one and no sum over a clique exceeds its cells, so what underflows is below 1e-308
        in each cell, while every separator state kept at least 1e-200: the loss is below 1e-100 of it. The parent's states
        only ever scale these sums as a whole.
        """
        peaks = np.maximum.reduceat(potentials.flat, self._starts)
        with np.errstate(all="ignore"):
            np.exp(potentials.flat - np.repeat(peaks, self._cells), out=self._factors)
            for node in reversed(self._nodes):
                node.collect()
            if not all(node.mass.min() > _LEAST_MESSAGE for node in self._nodes):
                return None
            self._nodes[0].belief[...] = total
            for node in self._nodes:
                node.distribute()
        return CliqueVector(potentials.domain, potentials.cliques, self._results.copy())

    def beliefs(self) -> list[Factor]:
        """The tables of the tree's cliques that the last successful call of `marginals` led to."""
        return [Factor(node.domain, node.table()) for node in self._nodes]
