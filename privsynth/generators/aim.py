"""`aim`: rounds of choosing the workload's worst-answered table, measuring it and refitting.

Must never score or measure anything but through the curator; shares of the budget are exact fractions.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, ClassVar, final

import numpy as np
import numpy.typing as npt

from privsynth import graphical, progress
from privsynth.domain import Clique, Domain
from privsynth.errors import PolicyError
from privsynth.generator import AbstractDistribution, AbstractGenerator
from privsynth.measurement import Transcript, measurements
from privsynth.pgm.clique_vector import CliqueVector
from privsynth.pgm.estimation import Problem, estimate_total, fit_until_flat, independent_start, observe
from privsynth.pgm.junction_tree import BYTES_PER_CELL, Triangulation
from privsynth.pgm.marginal_oracle import MarginalOracle
from privsynth.pgm.projection import all_pairs, project
from privsynth.privacy.query import MarginalErrors

if TYPE_CHECKING:
    from privsynth.privacy.curator import Curator

_EXPECTED_ABSOLUTE = math.sqrt(2 / math.pi)
"""E|N(0, 1)|."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class AIM(AbstractGenerator):
    """Adaptive and iterative; the workload is all tables of `degree` attributes, equally weighted.

    Args: the budget is planned for `rounds_per_attribute` rounds an attribute, and annealed: when a round teaches less than
        its noise, the next one spends four times as much. `selection_share` of a round chooses, the rest measures. The
        model may grow to `max_model_megabytes` (of junction-tree tables), in proportion to the budget spent; no table of
        more than `max_table_cells` is measured. `round_iterations` bounds the fit of a round, which ends when ten steps
        lower its loss by less than a hundredth; `iterations` bounds the last one.
    Source: McKenna, Mullins, Sheldon, Miklau 2022 (AIM), algorithms 1 to 4, with 8 rounds an attribute instead of 16 (more
        accurate where both were tried, docs/decisions/0009), the loss weighted by 1/sigma^2, and independence where the
        budget is too small for pairs.
    """

    name: ClassVar[str] = "aim"
    holds_pairs: ClassVar[bool] = True

    degree: int = 2
    rounds_per_attribute: int = 8
    selection_share: Fraction = Fraction(1, 10)
    max_model_megabytes: int = 80
    max_table_cells: int = 100_000
    round_iterations: int = 1000
    iterations: int = 2000

    def __post_init__(self) -> None:
        if not 0 < self.selection_share < 1:
            raise PolicyError(f"aim: selection_share must be above 0 and below 1; found {self.selection_share}")
        for setting, value in (
            ("degree", self.degree),
            ("rounds_per_attribute", self.rounds_per_attribute),
            ("max_model_megabytes", self.max_model_megabytes),
            ("max_table_cells", self.max_table_cells),
            ("round_iterations", self.round_iterations),
            ("iterations", self.iterations),
        ):
            if value < 1:
                raise PolicyError(f"aim: {setting} must be at least 1; found {value}")

    def measure(self, curator: Curator) -> None:
        """One-way tables; then rounds until the budget is spent, or, if it is too small for pairs, one-way tables again."""
        domain = curator.domain
        one_way: list[Clique] = [(name,) for name in domain.attributes]
        if not one_way:
            return
        rho = curator.budget / (self.rounds_per_attribute * len(domain))
        curator.measure(one_way, rho=self._measured(rho) * len(domain), stage="one-way")
        first = graphical.independent(domain, curator.transcript)
        if not first.affords_pairs(self._measured(curator.remaining)):
            curator.measure(one_way, rho=curator.remaining, stage="one-way-again")
            return
        model = _Model(domain, first.sensitivity_squared, self.round_iterations)
        model.refit(curator.transcript)
        workload = {
            clique: weight
            for clique, weight in closure(domain, min(self.degree, len(domain))).items()
            if len(clique) == 1 or domain.cells(clique) <= self.max_table_cells
        }
        while curator.remaining > 0:
            rho = rho if curator.remaining >= 2 * rho else curator.remaining
            spent = 1 - curator.remaining / curator.budget
            progress.report("rounds", round(1000 * spent), 1000)
            most = float(spent * self.max_model_megabytes)
            fitting = {clique: weight for clique, weight in workload.items() if model.fits(clique, most)}
            rho = rho if self._round(curator, model, fitting, rho) else 4 * rho

    def _measured(self, rho: Fraction) -> Fraction:
        return rho * (1 - self.selection_share)

    def _round(self, curator: Curator, model: _Model, candidates: Mapping[Clique, int], rho: Fraction) -> bool:
        """Choose a table, measure it, refit; returns whether it taught more than its noise."""
        cliques = tuple(candidates)
        noise = _EXPECTED_ABSOLUTE * graphical.sigma(model.sensitivity_squared, self._measured(rho))
        expected = [noise * model.domain.cells(clique) for clique in cliques]
        references = [model.table(clique) for clique in cliques]
        query = MarginalErrors(
            cliques=cliques, references=references, weights=list(candidates.values()), penalties=expected
        )
        chosen = curator.select(query, rho=rho * self.selection_share, stage="select")
        curator.measure([cliques[chosen]], rho=self._measured(rho), stage="measure")
        model.refit(curator.transcript)
        learned = float(np.abs(model.table(cliques[chosen]) - references[chosen]).sum())
        return learned > expected[chosen]

    def estimate(self, domain: Domain, transcript: Transcript) -> AbstractDistribution:
        """The model of all measured tables that fits them as well as their noise allows."""
        return graphical.estimate(domain, transcript, iterations=self.iterations)

    def restore(
        self, domain: Domain, transcript: Transcript, arrays: Mapping[str, npt.NDArray[np.float64]]
    ) -> AbstractDistribution:
        """The distribution whose `arrays()` these are."""
        return graphical.restore(domain, transcript, arrays)


def closure(domain: Domain, degree: int) -> dict[Clique, int]:
    """All tables of 1 to `degree` attributes, with weights: the attributes each shares with every workload table, summed.

    Source: McKenna, Mullins, Sheldon, Miklau 2022, section 4.1, for the workload of all tables of `degree` attributes. The
        weight then depends on the number k of attributes alone: the sum over j of j C(k, j) C(d - k, degree - j).
    """
    attributes = len(domain)
    weights = {
        k: sum(j * math.comb(k, j) * math.comb(attributes - k, degree - j) for j in range(1, k + 1))
        for k in range(1, degree + 1)
    }
    return {clique: weights[k] for k in weights for clique in itertools.combinations(domain.attributes, k)}


@final
class _Model:
    """The model between rounds: its oracle, potentials and size are kept until a new table changes them."""

    def __init__(self, domain: Domain, sensitivity_squared: int, iterations: int) -> None:
        self.domain = domain
        self.sensitivity_squared = sensitivity_squared
        self._iterations = iterations
        self._oracle = MarginalOracle(domain, ())
        self._potentials = CliqueVector.zeros(domain, ())
        self._shape = Triangulation(domain)
        self._pairs: dict[tuple[str, str], npt.NDArray[np.float64]] = {}

    def refit(self, transcript: Transcript) -> None:
        """Fit all measurements so far, from where the last fit stood."""
        found = measurements(transcript)
        seen, total = observe(self.domain, found), estimate_total(found)
        cliques = tuple(observation.clique for observation in seen)
        start = self._potentials if self._potentials.cliques else independent_start(self.domain, seen, total)
        if cliques != self._oracle.cliques:
            for clique in cliques[len(self._oracle.cliques) :]:
                self._shape.add(clique)
            self._oracle = MarginalOracle(self.domain, cliques, self._shape.tree())
        problem = Problem(self._oracle, seen, total)
        fit = fit_until_flat(problem, start.on(cliques), iterations=self._iterations, tolerance=1e-2)
        self._potentials = fit.potentials
        self._beliefs = self._oracle.beliefs(fit.potentials, total)
        self._pairs = all_pairs(self._oracle.tree, self._beliefs)

    def table(self, clique: Clique) -> npt.NDArray[np.float64]:
        """Expected counts of a clique."""
        if len(clique) == 2:
            return self._pairs[clique[0], clique[1]]
        return project(self._oracle.tree, self._beliefs, clique)

    def fits(self, clique: Clique, megabytes: float) -> bool:
        """Whether the junction tree stays within a size if this clique is measured; one attribute changes no size."""
        return len(clique) == 1 or self._shape.fits(clique, megabytes * 2**20 / BYTES_PER_CELL)
