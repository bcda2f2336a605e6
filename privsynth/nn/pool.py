"""A large fixed pool of latents, each with a product of heads, as a generator's distribution: everything about it is exact.

Must never hold or need anything but what was made from a transcript.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias, final

import numpy as np
import numpy.typing as npt

from privsynth.dataset import Dataset
from privsynth.domain import Clique, Domain
from privsynth.errors import FitError
from privsynth.generator import AbstractDistribution, Evidence
from privsynth.structural import StructuralZeros

Floats: TypeAlias = npt.NDArray[np.float64]
Singles: TypeAlias = npt.NDArray[np.float32]

_TRIES: Final = 20
"""Rounds of drawing again the rows that no rule allows."""

_BLOCK: Final = 1 << 22
"""Numbers that are worked on at a time."""


@final
class PoolDistribution(AbstractDistribution):
    """P(x) = mean over the pool's members of the product of their heads: what a generator network says at fixed latents.

    Shapes: `heads[i]` is (members, levels) for the i-th attribute, rows summing to 1; `stored` is what `arrays` gives.
    """

    def __init__(self, domain: Domain, total: float, heads: Sequence[Singles], stored: Mapping[str, Floats]) -> None:
        self.domain = domain
        self._total, self._heads, self._stored = total, tuple(heads), dict(stored)

    @property
    def total(self) -> float:
        """Estimated number of records."""
        return self._total

    def project(self, clique: Clique) -> Floats:
        """Expected counts: the mean of the members' tables, exactly. Shapes: `domain.shape(clique)`."""
        names = self.domain.project(clique).attributes
        table = np.zeros(self.domain.shape(names))
        if not names:
            return np.asarray(table + self._total)
        parts = [self._heads[self.domain.index(name)] for name in names]
        members, cells = len(parts[0]), max(1, table.size // table.shape[-1])
        for at in range(0, members, max(1, _BLOCK // cells)):
            rows = [part[at : at + max(1, _BLOCK // cells)].astype(np.float64) for part in parts]
            outer = np.ones((len(rows[0]), 1))
            for part in rows[:-1]:
                outer = (outer[:, :, None] * part[:, None, :]).reshape(len(part), -1)
            table += (outer.T @ rows[-1]).reshape(table.shape)
        return np.asarray(table * (self._total / table.sum()))

    def draw(self, n: int, rng: np.random.Generator, given: Evidence | None = None) -> Dataset:
        """Draw n records, rows in random order; with evidence, from the conditional distribution, exactly.

        A member is taken with the chance of the evidence under its heads, each rounded up or down without bias; a head's
        levels are then cut down to the evidence. Rows that a rule rules out are drawn again, as long as that helps.
        Raises: FitError when the evidence has probability zero under the model, or n is negative.
        """
        if n < 0:
            raise FitError(f"the number of records cannot be negative; found {n}")
        if not self.domain.attributes:
            return Dataset((), self.domain)
        masks = self._masks(given or {})
        weights = self._weights(masks)
        codes = self._draw(self._members(weights, n, rng), masks, rng)
        if self.domain.impossible:
            zeros = StructuralZeros(self.domain)
            for _ in range(_TRIES):
                wrong = np.flatnonzero(~zeros.allowed(codes))
                if not wrong.size:
                    break
                fresh = self._draw(rng.choice(len(weights), wrong.size, p=weights), masks, rng)
                for column, values in zip(codes, fresh, strict=True):
                    column[wrong] = values
        order = rng.permutation(n)
        return Dataset(tuple(column[order] for column in codes), self.domain)

    def arrays(self) -> dict[str, Floats]:
        """The cheap model's records, their classes and the classes' heads; the network's weights are in the transcript."""
        return dict(self._stored)

    def _masks(self, given: Evidence) -> dict[int, npt.NDArray[np.bool_]]:
        masks = {}
        for name, allowed in given.items():
            size, codes = self.domain.size(name), np.asarray(allowed)
            if not codes.size or codes.min() < 0 or codes.max() >= size:
                raise FitError(f'the evidence on "{name}" allows no level, or one outside its {size} levels')
            masks[self.domain.index(name)] = np.isin(np.arange(size), codes)
        return masks

    def _weights(self, masks: Mapping[int, npt.NDArray[np.bool_]]) -> Floats:
        weights = np.ones(len(self._heads[0]))
        for axis, mask in masks.items():
            weights *= self._heads[axis][:, mask].sum(axis=1, dtype=np.float64)
        if not weights.sum() > 0:
            raise FitError("the evidence has probability zero under this model; allow more levels")
        return np.asarray(weights / weights.sum())

    def _members(self, weights: Floats, n: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
        """n members in proportion to weights, by systematic sampling in a random order (Madow 1949)."""
        order = rng.permutation(len(weights))
        ends = np.cumsum(weights[order])
        marks = (np.arange(n) + rng.random()) / max(n, 1) * ends[-1]
        return np.asarray(order[np.minimum(np.searchsorted(ends, marks, side="right"), len(order) - 1)])

    def _draw(
        self,
        members: npt.NDArray[np.int64],
        masks: Mapping[int, npt.NDArray[np.bool_]],
        rng: np.random.Generator,
    ) -> list[npt.NDArray[np.unsignedinteger]]:
        """A record of each of these members' heads, cut down to the masks."""
        columns: list[npt.NDArray[np.unsignedinteger]] = []
        for axis, (heads, size) in enumerate(zip(self._heads, self.domain.sizes, strict=True)):
            uniforms = rng.random(len(members))
            codes = np.empty(len(members), dtype=np.min_scalar_type(size - 1))
            for at in range(0, len(members), max(1, _BLOCK // size)):
                rows = slice(at, at + max(1, _BLOCK // size))
                chances = heads[members[rows]].astype(np.float64)
                if axis in masks:
                    chances *= masks[axis]
                heights = chances.cumsum(axis=1)
                marks = uniforms[rows] * heights[:, -1]
                found = (heights <= marks[:, None]).sum(axis=1)
                last = size - 1 if axis not in masks else int(np.flatnonzero(masks[axis])[-1])
                codes[rows] = np.minimum(found, last)
            columns.append(codes)
        return columns
