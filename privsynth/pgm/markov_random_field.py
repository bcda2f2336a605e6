"""Markov random fields: the distribution a fit leaves behind; any table of it, and records from it, also conditionally.

Must never approximate: tables are exact sums over the model, and conditional records come from the conditional model.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias, final

import numpy as np
import numpy.typing as npt

from privsynth.dataset import Dataset
from privsynth.domain import Clique, Domain
from privsynth.errors import FitError
from privsynth.pgm.clique_vector import CliqueVector
from privsynth.pgm.factor import Factor
from privsynth.pgm.junction_tree import JunctionTree
from privsynth.pgm.marginal_oracle import MarginalOracle, log_beliefs, normalised
from privsynth.pgm.projection import project
from privsynth.pgm.sampling import draw_records

Codes: TypeAlias = Mapping[str, npt.NDArray[np.int64]]
"""Attribute -> the codes that are allowed (one or more)."""


@final
class MarkovRandomField:
    """The distribution proportional to exp(sum of potentials), scaled to `total` records."""

    def __init__(self, potentials: CliqueVector, total: float, oracle: MarginalOracle | None = None) -> None:
        oracle = oracle or MarginalOracle(potentials.domain, potentials.cliques)
        self.domain: Domain = potentials.domain
        self.potentials = potentials
        self._total = total
        self.tree: JunctionTree = oracle.tree
        self.beliefs = oracle.beliefs(potentials, total)

    @property
    def total(self) -> float:
        """Estimated number of records."""
        return self._total

    def project(self, clique: Clique) -> npt.NDArray[np.float64]:
        """Expected counts of a clique's cells, exactly. Shapes: `domain.shape(clique)`."""
        return project(self.tree, self.beliefs, clique)

    def draw(self, n: int, rng: np.random.Generator, given: Codes | None = None) -> Dataset:
        """Draw n records with low error, rows in random order; with evidence, from the conditional distribution, exactly.

        Raises: FitError when the evidence has probability zero under the model, or n is negative.
        """
        if n < 0:
            raise FitError(f"the number of records to draw must be at least 0; found {n}")
        beliefs = self.condition(likelihoods(self.domain, given)) if given else self.beliefs
        return Dataset.from_columns(draw_records(self.tree, beliefs, n, rng), self.domain)

    def condition(self, evidence: Mapping[str, npt.NDArray[np.float64]]) -> list[Factor]:
        """The clique tables given the evidence: for each attribute a likelihood of every level, none negative.

        Raises: FitError when the evidence has probability zero under the model.
        """
        with np.errstate(divide="ignore"):
            factors = [Factor(self.domain.project((name,)), np.log(weights)) for name, weights in evidence.items()]
        found = [normalised(belief, self.total) for belief in log_beliefs(self.tree, self.potentials, factors)]
        if not all(belief.values.any() for belief in found):
            raise FitError(
                f"the model gives probability zero to the condition on {', '.join(evidence)}; allow more of their levels"
            )
        return found


def likelihoods(domain: Domain, given: Codes) -> dict[str, npt.NDArray[np.float64]]:
    """One for the allowed levels of each attribute, zero for the others; FitError where a code is outside the domain."""
    out = {}
    for name, codes in given.items():
        weights = np.zeros(domain.size(name))
        allowed = np.asarray(codes)
        if allowed.size == 0 or allowed.min() < 0 or allowed.max() >= len(weights):
            raise FitError(f'the condition on "{name}" needs at least one code, each from 0 to {len(weights) - 1}')
        weights[allowed] = 1.0
        out[name] = weights
    return out
