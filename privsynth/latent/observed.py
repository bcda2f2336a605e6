"""What a transcript says: noisy one-way tables, all noisy pair tables as one matrix, and noisy tables of three attributes.

Must never be made from anything but measurements.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import final

import numpy as np
import numpy.typing as npt

from privsynth.domain import Clique, Domain, Impossible
from privsynth.errors import FitError
from privsynth.latent.layout import Layout, summed_table
from privsynth.measurement import Measurement

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_PAIR = 2


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Wide:
    """The noisy table of three attributes or more, over groups. `axes` are their positions, ascending."""

    axes: tuple[int, ...]
    values: Floats
    variance: float


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Observed:
    """All noisy tables, those of one clique averaged by inverse variance.

    Shapes: `levels[i]` is (levels of i,), with noise variance `level_variances[i]` a cell; `group_of[i]` is (levels of i,);
        `pairs` is (groups, groups) over `layout`, symmetric, zero in the diagonal blocks; `sigma` is (attributes, attributes),
        the noise of each pair's cells, infinite on the diagonal; `possible` is (groups, groups), false where a rule leaves
        no row. Without pairs, `pairs` is None and `possible` empty: levels may then be too many for a matrix over them.
    """

    domain: Domain
    layout: Layout
    group_of: tuple[Ints, ...]
    levels: tuple[Floats, ...]
    level_variances: tuple[float, ...]
    pairs: Floats | None
    sigma: Floats
    possible: npt.NDArray[np.bool_]
    wide: tuple[Wide, ...]

    def with_noise(self, step: float, rng: np.random.Generator) -> tuple[Observed, Floats]:
        """The same with fresh noise of `step` times its standard deviation in every pair cell; and that noise, unscaled.

        Shapes: the noise is (groups, groups), symmetric, zero in the diagonal blocks.
        """
        assert self.pairs is not None
        drawn = np.where(self.layout.above() & self.possible, rng.standard_normal(self.pairs.shape), 0.0)
        drawn += drawn.T
        scale = np.where(np.isfinite(self.sigma), self.sigma, 0.0)
        return replace(self, pairs=self.pairs + step * self.layout.blocks(scale) * drawn), drawn


def observe(domain: Domain, found: Sequence[Measurement]) -> Observed:
    """Average the measurements of each clique by inverse variance.

    Raises: FitError when an attribute has no table of its own, some pairs were measured and others not, or one attribute was
        grouped in two ways: the transcript is not of this generator.
    """
    groups = _groups(domain, found)
    group_of = tuple(np.array(groups.get(name, range(domain.size(name)))) for name in domain.attributes)
    layout = Layout(tuple(int(of.max()) + 1 for of in group_of))
    averaged = _averaged(domain, found)
    if any((name,) not in averaged for name in domain.attributes):
        raise FitError("this transcript holds no table of some attribute; it was not measured by latent_class")
    own = [averaged[name,] for name in domain.attributes]
    pairs, sigma = _pairs(domain, layout, averaged)
    possible = np.ones((0, 0) if pairs is None else pairs.shape, dtype=bool)
    for one in domain.impossible:
        if pairs is not None and len(one.clique) == _PAIR:
            _rule_out(possible, one, domain, layout, group_of)
    return Observed(
        domain=domain,
        layout=layout,
        group_of=group_of,
        levels=tuple(table for table, _ in own),
        level_variances=tuple(variance for _, variance in own),
        pairs=None if pairs is None else np.where(possible, pairs, 0.0),
        sigma=sigma,
        possible=possible,
        wide=tuple(
            Wide(axes=tuple(map(domain.index, clique)), values=values, variance=variance)
            for clique, (values, variance) in averaged.items()
            if len(clique) > _PAIR
        ),
    )


def _groups(domain: Domain, found: Sequence[Measurement]) -> dict[str, tuple[int, ...]]:
    """The groups that tables of two attributes or more were measured over."""
    groups: dict[str, tuple[int, ...]] = {}
    for one in found:
        if len(one.clique) == 1 and one.groups:
            raise FitError("a table of one attribute was measured over groups; latent_class measures its levels")
        for name in one.clique if len(one.clique) > 1 else ():
            of = one.groups.get(name, tuple(range(domain.size(name))))
            if groups.setdefault(name, of) != of:
                raise FitError(f'attribute "{name}" was grouped in two ways; latent_class groups an attribute once')
    return groups


def _averaged(domain: Domain, found: Sequence[Measurement]) -> dict[Clique, tuple[Floats, float]]:
    """Each clique's tables, in the domain's order of attributes, averaged by inverse variance; with the variance of that."""
    sums: dict[Clique, tuple[Floats, float]] = {}
    for one in found:
        clique = domain.canonical(one.clique)
        values = one.values.transpose([one.clique.index(name) for name in clique]).astype(np.float64)
        precision = 1 / one.sigma**2
        before, known = sums.get(clique, (np.zeros_like(values), 0.0))
        sums[clique] = before + precision * values, known + precision
    return {clique: (weighted / precision, 1 / precision) for clique, (weighted, precision) in sums.items()}


def _pairs(
    domain: Domain, layout: Layout, averaged: Mapping[Clique, tuple[Floats, float]]
) -> tuple[Floats | None, Floats]:
    """All pairs' tables as one symmetric matrix, and their noise; None when no pair was measured."""
    sigma = np.full((len(layout),) * 2, np.inf)
    measured = {tuple(map(domain.index, clique)): found for clique, found in averaged.items() if len(clique) == _PAIR}
    if not measured:
        return None, sigma
    matrix = np.zeros((layout.total, layout.total))
    for i, j in layout.pairs():
        if (i, j) not in measured:
            raise FitError("some pairs of attributes were measured and others not; latent_class measures all or none")
        values, variance = measured[i, j]
        matrix[layout.part(i), layout.part(j)] = values
        matrix[layout.part(j), layout.part(i)] = values.T
        sigma[i, j] = sigma[j, i] = np.sqrt(variance)
    return matrix, sigma


def _rule_out(
    possible: npt.NDArray[np.bool_], one: Impossible, domain: Domain, layout: Layout, group_of: Sequence[Ints]
) -> None:
    """Mark a pair's group cells in which no level cell is possible."""
    i, j = map(domain.index, one.clique)
    left = summed_table((~one.table(domain)).astype(np.float64), (group_of[i], group_of[j])) > 0
    possible[layout.part(i), layout.part(j)] &= left
    possible[layout.part(j), layout.part(i)] &= left.T
