"""What generators built on graphical models share: from a transcript to a distribution, and back from stored arrays.

Must never ask for data or spend budget: it works on transcripts, which are public.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import final

import numpy as np
import numpy.typing as npt

from privsynth.dataset import Dataset
from privsynth.domain import Clique, Domain
from privsynth.errors import FitError
from privsynth.generator import AbstractDistribution, Evidence, require_evidence
from privsynth.measurement import Transcript, measurements
from privsynth.pgm.clique_vector import CliqueVector
from privsynth.pgm.estimation import (
    Problem,
    estimate_total,
    fit_until_noise,
    independent_potentials,
    independent_start,
    observe,
    simplex,
)
from privsynth.pgm.factor import Factor
from privsynth.pgm.marginal_oracle import MarginalOracle
from privsynth.pgm.markov_random_field import MarkovRandomField

_AFFORDABLE_PAIR_ERROR = 0.25
"""Pairs are measured when noise is expected to leave their tables an L1 error (of at most 2) up to this, on average.

On adult, titanic, nltcs, salary and fire at epsilon .003 to 3, models with pairs beat the independent one wherever the
expectation was below .25, and mostly lost above .3; docs/decisions/0007 has the table.
"""


@final
class GraphicalDistribution(AbstractDistribution):
    """A Markov random field as the distribution of a generator."""

    def __init__(self, model: MarkovRandomField) -> None:
        self.model = model
        self.domain = model.domain

    @property
    def total(self) -> float:
        """Estimated number of records."""
        return self.model.total

    def project(self, clique: Clique) -> npt.NDArray[np.float64]:
        """Expected counts of a clique's cells, exactly. Shapes: `domain.shape(clique)`."""
        return self.model.project(clique)

    def draw(self, n: int, rng: np.random.Generator, given: Evidence | None = None) -> Dataset:
        """Draw n records with low error, rows in random order; with evidence, from the conditional distribution, exactly.

        Raises: FitError when the evidence has probability zero under the model, or n is negative.
        """
        return self.model.draw(n, rng, given)

    def draw_each(
        self, given: Mapping[str, npt.NDArray[np.int64]], wanted: Sequence[str], rng: np.random.Generator
    ) -> dict[str, npt.NDArray[np.int64]] | None:
        """Draw the wanted attributes for each row of evidence, where the model says that all are independent; else None.

        Raises: FitError for evidence outside the levels, or on what is wanted.
        """
        rows = require_evidence(self.domain, given, wanted)
        if any(len(clique) > 1 for clique in self.model.potentials.cliques):
            return None
        tables = {name: self.project((name,)) for name in wanted}
        return {name: rng.choice(len(table), size=rows, p=table / table.sum()) for name, table in tables.items()}

    def holds(self, cliques: Iterable[Clique]) -> bool:
        """Whether each of these is within one of the model's cliques, so that `tilted` can take factors over it."""
        return all(_home(self.model.potentials, clique) is not None for clique in cliques)

    def tilted(self, factors: Mapping[Clique, npt.NDArray[np.float64]]) -> GraphicalDistribution:
        """The distribution in proportion to this one times factors, none negative. Shapes: `domain.shape(clique)`.

        Raises: FitError for a factor that no clique of the model holds, or factors that leave nothing.
        """
        tables = {clique: table.copy() for clique, table in self.model.potentials.tables().items()}
        for clique, factor in factors.items():
            home = _home(self.model.potentials, clique)
            if home is None:
                raise FitError(f"no clique of the model holds {', '.join(clique)}; expected attributes that it relates")
            with np.errstate(divide="ignore"):
                logs = Factor(self.domain.project(clique), np.log(factor))
            tables[home] += logs.expand(self.domain.project(home))
        field = MarkovRandomField(CliqueVector.of(self.domain, tables), self.total)
        if not all(belief.values.any() for belief in field.beliefs):
            raise FitError("the factors leave no combination of levels; expected some of them above zero")
        return GraphicalDistribution(field)

    def arrays(self) -> dict[str, npt.NDArray[np.float64]]:
        """The potentials of all cliques, one after the other in the transcript's order, and the total."""
        return {"potentials": self.model.potentials.flat, "total": np.array([self.model.total])}


def _home(potentials: CliqueVector, clique: Clique) -> Clique | None:
    """The smallest clique of the potentials that holds all these attributes."""
    fitting = [home for home in potentials.cliques if set(clique) <= set(home)]
    return min(fitting, key=potentials.domain.cells, default=None)


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FirstLook:
    """The independent model after the first one-way tables, from which generators plan and score what comes next.

    `sensitivity_squared` is what one unit can change a table by (L2, squared), as the measurements' events state it.
    """

    domain: Domain
    total: float
    counts: Mapping[str, npt.NDArray[np.float64]]
    sensitivity_squared: int

    def table(self, clique: Clique) -> npt.NDArray[np.float64]:
        """Expected counts of a clique under independence. Shapes: `domain.shape(clique)`."""
        shares = [self.counts[name] / self.total for name in clique]
        return self.total * functools.reduce(np.multiply.outer, shares, np.ones(()))

    def pair_error(self, rho: Fraction) -> float:
        """Expected L1 error of a pair's normalised table when a tree of pairs is measured for rho, mean over all pairs.

        A cell of noise N(0, s^2) is off by .8 s on average, or, where independence expects less than that, by what
        independence expects: estimates are not negative.
        """
        noise = math.sqrt(2 / math.pi) * sigma(self.sensitivity_squared * (len(self.domain) - 1), rho)
        pairs = itertools.combinations(self.domain.attributes, 2)
        return float(np.mean([np.minimum(self.table(pair), noise).sum() / self.total for pair in pairs]))

    def affords_pairs(self, rho: Fraction) -> bool:
        """Whether rho is enough to learn more about pairs than noise: decided from public numbers alone."""
        return len(self.domain) > 1 and self.pair_error(rho) <= _AFFORDABLE_PAIR_ERROR


def sigma(sensitivity_squared: int, rho: Fraction) -> float:
    """Standard deviation of the noise of a table measured for rho."""
    return math.sqrt(sensitivity_squared / (2 * rho))


def independent(domain: Domain, transcript: Transcript) -> FirstLook:
    """What one-way tables say, under independence."""
    found = measurements(transcript)
    total = estimate_total(found)
    seen = observe(domain, found)
    return FirstLook(
        domain=domain,
        total=total,
        counts={seen_of.clique[0]: simplex(seen_of.values, total) for seen_of in seen if len(seen_of.clique) == 1},
        sensitivity_squared=found[0].event.sensitivity_squared,
    )


def estimate(domain: Domain, transcript: Transcript, *, iterations: int) -> GraphicalDistribution:
    """The model with a factor for every measured clique that fits a transcript as well as its noise allows.

    With one-way tables alone it is the independent model of their nearest non-negative tables. Deterministic.
    """
    found = measurements(transcript)
    total = estimate_total(found)
    seen = observe(domain, found)
    if all(len(observation.clique) == 1 for observation in seen):
        return GraphicalDistribution(MarkovRandomField(independent_potentials(domain, seen, total), total))
    oracle = MarginalOracle(domain, [observation.clique for observation in seen])
    fit = fit_until_noise(Problem(oracle, seen, total), independent_start(domain, seen, total), iterations=iterations)
    return GraphicalDistribution(MarkovRandomField(fit.potentials, total, oracle))


def restore(
    domain: Domain, transcript: Transcript, arrays: Mapping[str, npt.NDArray[np.float64]]
) -> GraphicalDistribution:
    """The distribution whose `arrays()` these are. Raises: FitError when they do not belong to this transcript."""
    cliques = dict.fromkeys(domain.canonical(found.clique) for found in measurements(transcript))
    cells = sum(domain.cells(clique) for clique in cliques)
    potentials, total = arrays.get("potentials"), arrays.get("total")
    if potentials is None or total is None or potentials.shape != (cells,) or total.shape != (1,):
        raise FitError(
            f'a stored model of this transcript has "potentials" of {cells} cells and a "total"; was a file replaced?'
        )
    if np.isnan(potentials).any() or not np.isfinite(total).all() or not total[0] > 0:
        raise FitError('a stored model needs potentials that are numbers and a finite, positive "total"')
    return GraphicalDistribution(MarkovRandomField(CliqueVector(domain, tuple(cliques), potentials), float(total[0])))
