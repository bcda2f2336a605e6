"""Small random graphical models, and their tables by brute force, for tests of everything in pgm/."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from privsynth.domain import Clique, Domain
from privsynth.pgm.clique_vector import CliqueVector
from privsynth.pgm.factor import Factor


def random_cliques(rng: np.random.Generator, domain: Domain, most: int = 6, largest: int = 3) -> tuple[Clique, ...]:
    """Up to `most` different cliques of up to `largest` attributes, none repeated, axes in any order."""
    found: dict[frozenset[str], Clique] = {}
    for _ in range(int(rng.integers(1, most + 1))):
        size = int(rng.integers(1, min(largest, len(domain)) + 1))
        clique = tuple(str(name) for name in rng.choice(domain.attributes, size, replace=False))
        found.setdefault(frozenset(clique), clique)
    return tuple(found.values())


def random_model(seed: int, *, attributes: int = 5, scale: float = 2.0) -> CliqueVector:
    """Normal potentials on random cliques of a domain of 1 to `attributes` attributes with 1 to 4 levels."""
    rng = np.random.default_rng(seed)
    number = int(rng.integers(1, attributes + 1))
    domain = Domain(tuple("abcdefgh"[:number]), tuple(int(size) for size in rng.integers(1, 5, number)))
    model = CliqueVector.zeros(domain, random_cliques(rng, domain))
    model.flat[:] = scale * rng.standard_normal(len(model.flat))
    return model


def joint(model: CliqueVector, total: float = 1.0) -> Factor:
    """The whole joint table of a model, by adding all potentials up."""
    log_joint = Factor.zeros(model.domain)
    for clique, table in model.tables().items():
        log_joint = log_joint + Factor(model.domain.project(clique), table)
    values = np.exp(log_joint.values - log_joint.values.max())
    return Factor(model.domain, values * (total / values.sum()))


def total_variation(one: npt.NDArray[np.float64], two: npt.NDArray[np.float64]) -> float:
    """Half the L1 distance of two normalised tables."""
    return 0.5 * float(np.abs(one / one.sum() - two / two.sum()).sum())
