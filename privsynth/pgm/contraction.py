"""Contractions: how the product of a clique's factors is summed without ever writing down the clique's table.

Must never choose an order by what the factors hold: a plan is a function of sizes and attribute sets alone.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias, final

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[np.float64]
Axes: TypeAlias = tuple[int, ...]
Step: TypeAlias = Callable[[], object]
"""One numpy call on arrays that are allocated once and reused."""

_BLOCKS = 8
"""Attributes of a clique are dealt to the three groups in at most this many blocks (3^8 ways)."""


@final
@dataclass(frozen=True, slots=True)
class Groups:
    """The axes of a clique in three groups, so that every factor lies within two of them.

    The clique's table is then left(z, x) * right(z, y) * cross(x, y), and its sums are three matrix products:
    over y, over x and over z. With y empty, `left` is the table itself.
    """

    x: Axes
    y: Axes
    z: Axes

    @property
    def left(self) -> Axes:
        """Axes of the left table."""
        return self.z + self.x

    @property
    def right(self) -> Axes:
        """Axes of the right table."""
        return self.z + self.y

    @property
    def cross(self) -> Axes:
        """Axes of the cross table."""
        return self.x + self.y


@functools.lru_cache(maxsize=4096)
def best_groups(sizes: tuple[int, ...], factors: frozenset[frozenset[int]]) -> Groups:
    """The cheapest groups for a clique with these axis sizes and these factors (sets of axes).

    Cost: about six passes of a nanosecond a cell over the three tables, and three matrix products of 0.1 ns a cell of the
    clique. A clique of many small axes is dealt in blocks, so the result is then the best of those only.
    """
    blocks = [[axis] for axis in sorted(range(len(sizes)), key=lambda axis: -sizes[axis])]
    while len(blocks) > _BLOCKS:
        blocks.sort(key=lambda block: -int(np.prod([sizes[axis] for axis in block], dtype=np.int64)))
        blocks[-2:] = [blocks[-2] + blocks[-1]]
    ways = list(itertools.product(range(3), repeat=len(blocks)))
    dealt = np.array(ways, dtype=np.int8).reshape(len(ways), len(blocks))
    weight = np.array([np.sum(np.log([sizes[axis] for axis in block])) for block in blocks])
    x, y, z = (np.exp((dealt == group) @ weight) for group in range(3))
    cost = 6 * (z * x + z * y + x * y) + 0.3 * x * y * z
    for factor in factors:
        touched = np.array([not factor.isdisjoint(block) for block in blocks], dtype=bool)
        inside = dealt[:, touched]
        cost[(inside == 0).any(axis=1) & (inside == 1).any(axis=1) & (inside == 2).any(axis=1)] = np.inf
    best = dealt[int(np.argmin(cost))]
    parts = [
        sorted(axis for block, group in zip(blocks, best, strict=True) if group == which for axis in block)
        for which in range(3)
    ]
    return Groups(*(tuple(part) for part in parts))


def spread(values: Array, axes: Axes, onto: Axes) -> Array:
    """A view of a factor with these axes that multiplies a table with the axes `onto` (ones where it has no axis)."""
    order = [axes.index(axis) for axis in onto if axis in axes]
    sizes = iter(values.transpose(order).shape)
    return values.transpose(order).reshape([next(sizes) if axis in axes else 1 for axis in onto])


@final
@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """One factor of a product: its axes, the array that holds it, and the array its expected counts go to."""

    axes: Axes
    factor: Array
    result: Array


@final
class Product:
    """A table that is the product of factors: the steps that multiply them, and those that sum the table back onto them.

    Factors that together span much less than the table are multiplied with each other first and summed onto together, so
    that few steps pass over the whole table.
    """

    def __init__(self, axes: Axes, sizes: Sequence[int], parts: Sequence[Part]) -> None:
        self.axes = axes
        self.value = np.empty([sizes[axis] for axis in axes])
        self.belief = np.empty(self.value.shape)
        self._sizes = sizes
        self._tops = list(parts)
        self._merges: list[tuple[Part, Part, Part]] = []
        while (pair := self._cheapest()) is not None:
            one, two = pair
            span = tuple(axis for axis in axes if axis in one.axes or axis in two.axes)
            shape = [sizes[axis] for axis in span]
            merged = Part(span, np.empty(shape), np.empty(shape))
            self._tops = [part for part in self._tops if part is not one and part is not two] + [merged]
            self._merges.append((one, two, merged))

    def _cheapest(self) -> tuple[Part, Part] | None:
        """The two factors that together span the fewest cells, unless that is a good part of the table."""
        best, fewest = None, self.value.size // 4
        for one, two in itertools.combinations(self._tops, 2):
            cells = math.prod(self._sizes[axis] for axis in {*one.axes, *two.axes})
            if cells <= fewest and (best is None or cells < fewest):
                best, fewest = (one, two), cells
        return best

    def multiply(self) -> list[Step]:
        """Steps that write the product into `value`; ones where there is no factor."""
        steps: list[Step] = []
        for one, two, merged in self._merges:
            factors = spread(one.factor, one.axes, merged.axes), spread(two.factor, two.axes, merged.axes)
            steps.append(functools.partial(np.multiply, *factors, out=merged.factor))
        tops = [spread(part.factor, part.axes, self.axes) for part in self._tops]
        if len(tops) < 2:
            steps.append(functools.partial(np.copyto, self.value, tops[0] if tops else np.ones(())))
            return steps
        steps.append(functools.partial(np.multiply, tops[0], tops[1], out=self.value))
        steps.extend(functools.partial(np.multiply, self.value, factor, out=self.value) for factor in tops[2:])
        return steps

    def sum_back(self) -> list[Step]:
        """Steps that sum `belief` onto every factor's axes and write the sums to its result."""
        steps: list[Step] = []
        for part in self._tops:
            steps += reduction(self.belief, self.axes, part.axes, part.result)
        for one, two, merged in reversed(self._merges):
            for part in (one, two):
                steps += reduction(merged.result, merged.axes, part.axes, part.result)
        return steps

    @property
    def empty(self) -> bool:
        """Whether there is no factor at all."""
        return not self._tops


def reduction(table: Array, axes: Axes, onto: Axes, out: Array) -> list[Step]:
    """Steps that sum a contiguous table over the axes not in `onto` and write the sums, axes in that order, into `out`.

    Sums over leading or trailing axes are matrix-vector products with ones, and those between are left to einsum: both run
    near memory speed for short axes too, where a ufunc's reduction is up to ten times slower.
    """
    kept = [axis for axis in axes if axis in onto]
    target = out.transpose([onto.index(axis) for axis in kept])
    runs = [
        (wanted, math.prod(size for _, size in run))
        for wanted, run in itertools.groupby(zip(axes, table.shape, strict=True), key=lambda pair: pair[0] in onto)
    ]
    steps: list[Step] = []
    value = table
    while not all(wanted for wanted, _ in runs):
        if not runs[-1][0]:
            matrix = value.reshape(-1, runs[-1][1])
            value = np.empty(len(matrix))
            steps.append(functools.partial(np.matmul, matrix, np.ones(matrix.shape[1]), out=value))
            runs = runs[:-1]
        elif not runs[0][0]:
            matrix = value.reshape(runs[0][1], -1)
            value = np.empty(matrix.shape[1])
            steps.append(functools.partial(np.matmul, np.ones(len(matrix)), matrix, out=value))
            runs = runs[1:]
        else:
            *front, (_, before), (_, dropped), (_, after) = runs
            cube = value.reshape(-1, dropped, after)
            value = np.empty((len(cube), after))
            steps.append(functools.partial(np.einsum, "bda->ba", cube, out=value))
            runs = [*front, (True, before * after)]
    steps.append(functools.partial(np.copyto, target, value.reshape(target.shape)))
    return steps
