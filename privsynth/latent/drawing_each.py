"""Drawing from a mixture given evidence of each row's own: the chances of the classes, a class, the attributes in it.

Must never hold more than a bounded block of rows times classes, and never fail on evidence that the model did not expect.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import final

import numpy as np
import numpy.typing as npt

from privsynth.domain import Domain
from privsynth.generator import require_evidence

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

_BLOCK_NUMBERS = 1 << 18
"""Rows times classes that are worked on at a time: 1 MB of single precision numbers stay in cache."""

_JOINED_CELLS = 1 << 10
"""Evidence on several attributes is looked up in one table of their combinations, up to so many."""

_FLOOR = 1e-8
"""Least likelihood of evidence in a class, against the class where it is likeliest: what no class expects rules none out."""

_PRODUCTS = 2
"""Factors that are multiplied before the largest is set to one again: of more, single precision could lose all classes."""

_BELOW_ONE = np.float32(1 - 2**-20)


@final
class EachRow:
    """A mixture, laid out for drawing.

    Shapes: `weights` (classes,), which sum to 1; `given` (levels of all attributes, classes), where each attribute's block of a
        column sums to 1.
    """

    def __init__(self, domain: Domain, weights: Floats, given: Floats) -> None:
        self._domain = domain
        ends = np.cumsum((0, *domain.sizes))
        self._parts = {
            name: given[start:end] for name, start, end in zip(domain.attributes, ends[:-1], ends[1:], strict=True)
        }
        self._weights = weights
        self._blocks = _Blocks(len(weights))
        self._joined: dict[tuple[tuple[str, ...], bool], Singles] = {}
        self._steps: dict[str, Floats] = {}

    def draw(self, given: Mapping[str, Ints], wanted: Sequence[str], rng: np.random.Generator) -> dict[str, Ints]:
        """One draw of the wanted attributes for each row of evidence. Shapes: all (rows,).

        Raises: FitError when evidence is outside the levels, of different lengths, or on what is wanted.
        """
        rows = require_evidence(self._domain, given, wanted)
        classes = self._classes(given, rows, rng)
        return {name: self._levels(name, classes, rng) for name in wanted}

    def _classes(self, given: Mapping[str, Ints], rows: int, rng: np.random.Generator) -> Ints:
        """A class for each row, by its chances under the evidence."""
        names = self._together(given)
        tables = [self._likelihoods(part, weighed=part is names[0]) for part in names]
        places = [_places(self._domain, part, given) for part in names]
        uniform = rng.random(rows, dtype=np.float32)
        found = np.empty(rows, dtype=np.int64)
        block = max(1, _BLOCK_NUMBERS // self._blocks.padded)
        room = np.empty((2, min(block, rows), self._blocks.padded), dtype=np.float32)
        for start in range(0, rows, block):
            part = slice(start, min(start + block, rows))
            chances, factor = room[:, : part.stop - start]
            np.take(tables[0], places[0][part], axis=0, out=chances, mode="clip")
            for turn, (table, place) in enumerate(zip(tables[1:], places[1:], strict=True)):
                np.take(table, place[part], axis=0, out=factor, mode="clip")
                chances *= factor
                if turn % _PRODUCTS == _PRODUCTS - 1:
                    chances /= chances.max(axis=1, keepdims=True)
            found[part] = self._blocks.choose(chances, uniform[part])
        return np.minimum(found, len(self._weights) - 1)

    def _together(self, given: Mapping[str, Ints]) -> list[tuple[str, ...]]:
        """The attributes of the evidence in groups that are looked up at once, small ones together; weights in the first."""
        groups: list[tuple[str, ...]] = []
        for name in sorted(given, key=self._domain.size):
            if groups and self._domain.cells(groups[-1]) * self._domain.size(name) <= _JOINED_CELLS:
                groups[-1] = (*groups[-1], name)
            else:
                groups.append((name,))
        return groups

    def _likelihoods(self, names: tuple[str, ...], *, weighed: bool) -> Singles:
        """How likely each combination is in each class, the likeliest class being 1; times the weights of the classes.

        Shapes: (cells, padded classes); classes that only fill up a block have no chance.
        """
        found = self._joined.get((names, weighed))
        if found is None:
            product = np.ones((1, len(self._weights)))
            for name in names:
                product = (product[:, None, :] * _weakened(self._parts[name])[None, :, :]).reshape(
                    -1, len(self._weights)
                )
            found = np.zeros((len(product), self._blocks.padded), dtype=np.float32)
            found[:, : len(self._weights)] = _weakened(product) * (self._weights if weighed else 1.0)
            self._joined[names, weighed] = found
        return found

    def _levels(self, name: str, classes: Ints, rng: np.random.Generator) -> Ints:
        """A level for each row from its class: by where a number falls among the running sums of all classes in a row."""
        size = self._domain.size(name)
        steps = self._steps.get(name)
        if steps is None:
            running = np.cumsum(self._parts[name], axis=0)
            running /= running[-1]
            running[-1] = 1.0
            steps = (running + np.arange(len(self._weights))).T.ravel()
            self._steps[name] = steps
        place = np.searchsorted(steps, classes + rng.random(len(classes)), side="right")
        return np.asarray(np.clip(place - classes * size, 0, size - 1), dtype=np.int64)


@final
class _Blocks:
    """Choosing among many classes in two steps: a block of classes, then one in it; sums of blocks are a matrix product."""

    def __init__(self, classes: int) -> None:
        self._wide = max(1, math.isqrt(classes))
        blocks = -(-classes // self._wide)
        self.padded = blocks * self._wide
        self._members = np.repeat(np.eye(blocks, dtype=np.float32), self._wide, axis=0)

    def choose(self, chances: Singles, uniform: Singles) -> Ints:
        """A class for each row, in proportion to its chances. Shapes: (rows, padded), (rows,) -> (rows,)."""
        ends = np.cumsum(chances @ self._members, axis=1)
        aim = uniform * ends[:, -1]
        block = np.minimum((ends <= aim[:, None]).sum(axis=1), ends.shape[1] - 1)
        rows = np.arange(len(aim))
        aim -= np.where(block > 0, ends[rows, block - 1], np.float32(0))
        inside = np.cumsum(chances.reshape(len(aim), -1, self._wide)[rows, block], axis=1)
        np.minimum(aim, inside[:, -1] * _BELOW_ONE, out=aim)
        return np.asarray(block * self._wide + (inside <= aim[:, None]).sum(axis=1), dtype=np.int64)


def _weakened(likelihoods: Floats) -> Floats:
    """Likelihoods in each class against the likeliest class, never below the floor: a level that no class has says nothing."""
    most = likelihoods.max(axis=1, keepdims=True)
    return np.maximum(np.where(most > 0, likelihoods, 1.0) / np.where(most > 0, most, 1.0), _FLOOR)


def _places(domain: Domain, names: tuple[str, ...], given: Mapping[str, Ints]) -> Ints:
    """The cell of each row's evidence among the combinations of these attributes."""
    place = given[names[0]].astype(np.int64)
    for name in names[1:]:
        place = place * domain.size(name) + given[name]
    return place
