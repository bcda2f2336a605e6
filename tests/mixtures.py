"""Small random mixtures, their tables by brute force, and noisy measurements of tables, for tests of everything in latent/."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from privsynth.domain import Clique, Domain, Impossible, LevelFacts
from privsynth.latent.layout import Layout
from privsynth.latent.mixture import Mixture
from privsynth.measurement import Event, Measurement

Floats = npt.NDArray[np.float64]


def random_mixture(seed: int, sizes: Sequence[int] = (2, 3, 4), classes: int = 3) -> Mixture:
    """Uniform random probabilities, every attribute's block of every class summing to 1."""
    rng = np.random.default_rng(seed)
    blocks = [rng.dirichlet(np.ones(size), classes).T for size in sizes]
    return Mixture(layout=Layout(tuple(sizes)), given=np.concatenate(blocks), weights=rng.dirichlet(np.ones(classes)))


def joint(mixture: Mixture) -> Floats:
    """The probability of every cell of the whole domain, cell by cell and class by class."""
    sizes = mixture.layout.sizes
    table = np.zeros(sizes)
    starts = [sum(sizes[:axis]) for axis in range(len(sizes))]
    for cell in itertools.product(*map(range, sizes)):
        for which, weight in enumerate(mixture.weights):
            chance = weight
            for start, code in zip(starts, cell, strict=True):
                chance *= mixture.given[start + code, which]
            table[cell] += chance
    return table


def margin(table: Floats, axes: Sequence[int]) -> Floats:
    """Sum a table over all axes but these, which are ascending."""
    return np.asarray(table.sum(axis=tuple(axis for axis in range(table.ndim) if axis not in axes)))


def domain_of(
    sizes: Sequence[int], facts: tuple[LevelFacts, ...] = (), impossible: tuple[Impossible, ...] = ()
) -> Domain:
    """Attributes a, b, c, ... of these sizes."""
    return Domain(tuple("abcdefghijkl"[: len(sizes)]), tuple(sizes), facts, impossible)


def noisy(
    clique: Clique, values: npt.ArrayLike, sigma: float, groups: Mapping[str, tuple[int, ...]] | None = None
) -> Measurement:
    """A measurement that holds these values, rounded, and says that their noise is so large."""
    event = Event(
        stage="test",
        mechanism="rounded-gaussian",
        rho=Fraction(1, 1000),
        sensitivity_squared=1,
        sigma_squared=Fraction(sigma) ** 2,
    )
    whole = np.round(np.asarray(values, dtype=np.float64)).astype(np.int64)
    return Measurement(clique=clique, values=whole, event=event, groups=groups or {})


def measured(
    domain: Domain,
    counts: Floats,
    sigma: float,
    rng: np.random.Generator,
    groups: Mapping[str, tuple[int, ...]] | None = None,
) -> Iterator[Measurement]:
    """Every one-way table, and every pair over groups, of a table of the whole domain, in noise of this size."""
    for axes in itertools.chain(*(itertools.combinations(range(len(domain)), width) for width in (1, 2))):
        clique = tuple(domain.attributes[axis] for axis in axes)
        table = margin(counts, axes)
        used = {name: of for name, of in (groups or {}).items() if name in clique and len(axes) > 1}
        for place, name in enumerate(clique):
            if name in used:
                table = merged(table, used[name], place)
        yield noisy(clique, table + sigma * rng.standard_normal(table.shape), sigma, used)


def merged(table: Floats, group_of: Sequence[int], axis: int) -> Floats:
    """Add up the levels of each group along one axis."""
    members = [[level for level, group in enumerate(group_of) if group == each] for each in range(max(group_of) + 1)]
    return np.stack([table.take(one, axis=axis).sum(axis=axis) for one in members], axis=axis)
