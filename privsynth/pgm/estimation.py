"""Estimation: the model near independence that fits noisy tables as well as their noise allows.

Must never weigh a table by anything but the inverse of its noise's variance.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias, final

import numpy as np
import numpy.typing as npt

from privsynth import progress
from privsynth.domain import Clique, Domain
from privsynth.errors import FitError
from privsynth.measurement import Measurement
from privsynth.pgm.clique_vector import CliqueVector
from privsynth.pgm.marginal_oracle import MarginalOracle

Array: TypeAlias = npt.NDArray[np.float64]

_FISSION = 0.4
"""How much noise the fitted half gets more than the observed tables, in standard deviations."""

_FISSION_SEED = 20_210_807
"""Public: the split of public tables needs no secret, and the same transcript must always give the same model."""

_WORTH = 0.003
"""Of a cell's variance: fifty more steps that bring the counts nearer to the truth by less than this a cell are not made."""

_START_SIGMAS = 0.1
"""Levels whose count is estimated as zero start with so many standard deviations, so that the fit may raise them."""


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Observation:
    """What is known of one clique's table: unbiased counts, and in each cell the inverse of their variance.

    Shapes: `values` is `domain.shape(clique)`. Units: `precision` is one over squared counts.
    """

    clique: Clique
    values: Array
    precision: float


def observe(domain: Domain, found: Iterable[Measurement]) -> list[Observation]:
    """One observation a clique, in the domain's order of attributes; repeated measurements by inverse variance.

    Raises: FitError for a table over groups of levels, which says nothing of single levels.
    """
    sums: dict[Clique, tuple[Array, float]] = {}
    for measurement in found:
        if measurement.groups:
            raise FitError("a graphical model is fitted to tables over levels; this transcript has one over groups")
        clique = domain.canonical(measurement.clique)
        precision = 1 / measurement.sigma**2
        values = measurement.values.transpose([measurement.clique.index(name) for name in clique]) * precision
        weighted, weight = sums.get(clique, (np.zeros(values.shape), 0.0))
        sums[clique] = (weighted + values, weight + precision)
    return [Observation(clique=c, values=weighted / weight, precision=weight) for c, (weighted, weight) in sums.items()]


def estimate_total(found: Iterable[Measurement]) -> float:
    """Number of records: the mean of the tables' sums by inverse variance, at least 1.

    Proof: a table of k cells sums to the total plus noise of variance k sigma^2, independent of the others.
    """
    sums = [(float(table.values.sum()), 1 / (table.values.size * table.sigma**2)) for table in found]
    weight = sum(precision for _, precision in sums)
    return max(1.0, sum(total * precision for total, precision in sums) / weight) if sums else 1.0


def simplex(values: Array, total: float) -> Array:
    """The nearest table (in squared distance) that is nowhere negative and sums to `total`.

    Source: Held, Wolfe, Crowder 1974; Duchi, Shalev-Shwartz, Singer, Chandra 2008, figure 1.
    """
    ordered = np.sort(values.reshape(-1))[::-1]
    excess = (np.cumsum(ordered) - total) / np.arange(1, len(ordered) + 1)
    level = float(excess[np.flatnonzero(ordered > excess)[-1]])
    return np.maximum(values - level, 0.0)


def independent_potentials(domain: Domain, seen: Sequence[Observation], total: float) -> CliqueVector:
    """Logarithms of the nearest one-way tables that are nowhere negative; -inf for levels that are estimated as empty."""
    with np.errstate(divide="ignore"):
        tables = {observation.clique: np.log(simplex(observation.values, total)) for observation in seen}
    return CliqueVector.of(domain, tables)


def independent_start(domain: Domain, seen: Sequence[Observation], total: float) -> CliqueVector:
    """Potentials of the independent model with the observed one-way tables; zero on larger cliques."""
    start = CliqueVector.zeros(domain, [observation.clique for observation in seen])
    tables = start.tables()
    for observation in seen:
        if len(observation.clique) == 1:
            least = _START_SIGMAS / np.sqrt(observation.precision)
            tables[observation.clique][...] = np.log(np.maximum(simplex(observation.values, total), least))
    return start


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fit:
    """Potentials, the expected counts they lead to, the loss there, and marginals computed until then."""

    potentials: CliqueVector
    marginals: CliqueVector
    loss: float
    evaluations: int


@final
class Problem:
    """Half the sum of precision * (expected - observed)^2 over the cells of all observed cliques, for one oracle."""

    def __init__(self, oracle: MarginalOracle, seen: Sequence[Observation], total: float) -> None:
        self.oracle = oracle
        self.total = total
        self.values = np.concatenate([o.values.reshape(-1) for o in seen])
        self.precision = np.concatenate([np.full(o.values.size, o.precision) for o in seen])

    def descend(self, start: CliqueVector, values: Array | None = None) -> Iterator[Fit]:
        """The best fit so far, after every step of mirror descent, until steps change nothing any more.

        Source: mirror descent on the marginal polytope (McKenna, Sheldon, Miklau 2019, algorithm 1); step lengths of
            Barzilai, Borwein 1988 in the entropy's geometry (change of potentials times change of marginals), accepted
            without monotonicity (Grippo, Lampariello, Lucidi 1986).
        """
        values = self.values if values is None else values
        least = 1e-12 / (self.total * float(self.precision.max()))
        theta, mu = start, self.oracle.marginals(start, self.total)
        slope, loss = self._slope(mu, values)
        best = Fit(potentials=theta, marginals=mu, loss=loss, evaluations=1)
        yield best
        recent = deque([loss], maxlen=6)
        step, evaluations = 1e12 * least, 1
        while step > least:
            trial = CliqueVector(theta.domain, theta.cliques, theta.flat - step * slope)
            found = self.oracle.marginals(trial, self.total)
            evaluations += 1
            moved = found.flat - mu.flat
            if not moved.any():
                return
            steeper, lower = self._slope(found, values)
            if not lower <= max(recent) + 1e-4 * float(slope @ moved):
                step *= 0.3
            else:
                length, curvature = float((trial.flat - theta.flat) @ moved), float(moved @ (steeper - slope))
                theta, mu, slope, loss = trial, found, steeper, lower
                recent.append(loss)
                step = length / curvature if curvature > 0 and length > 0 else step
            if loss < best.loss:
                best = Fit(potentials=theta, marginals=mu, loss=loss, evaluations=evaluations)
            yield Fit(potentials=best.potentials, marginals=best.marginals, loss=best.loss, evaluations=evaluations)

    def _slope(self, mu: CliqueVector, values: Array) -> tuple[Array, float]:
        """Gradient and loss at these expected counts."""
        apart = mu.flat - values
        slope = self.precision * apart
        return slope, 0.5 * float(slope @ apart)


def fit_until_flat(
    problem: Problem, start: CliqueVector, *, iterations: int, tolerance: float, patience: int = 10
) -> Fit:
    """Descend until `patience` steps together lower the loss by less than `tolerance` times the loss, or for `iterations`."""
    losses: list[float] = []
    for fit in problem.descend(start):
        losses.append(fit.loss)
        if len(losses) > patience and losses[-1 - patience] - fit.loss <= tolerance * fit.loss:
            break
        if fit.evaluations >= iterations:
            break
    return fit


def fit_until_noise(problem: Problem, start: CliqueVector, *, iterations: int) -> Fit:
    """Descend until further steps would fit noise, as told by two independent halves of the observations.

    Gaussian data fission: with known noise N(0, s^2) and fresh Z, the tables y + t s Z and y - s Z / t are independent. The
    first is descended on, the second tells after how many steps the expected counts are nearest to the truth; then the
    observations themselves are descended on for so many steps.
    Source: Leiner, Duan, Wasserman, Ramdas 2023 (Data fission), section 2.
    """
    noise = np.random.default_rng(_FISSION_SEED).standard_normal(len(problem.values)) / np.sqrt(problem.precision)
    judge = problem.precision * (problem.values - noise / _FISSION)
    best, wanted, before = np.inf, 1, np.inf
    for fit in problem.descend(start, problem.values + _FISSION * noise):
        counts = fit.marginals.flat
        risk = 0.5 * float((problem.precision * counts) @ counts) - float(judge @ counts)
        if risk < best:
            best, wanted = risk, fit.evaluations
        if fit.evaluations >= min(iterations, 30 + 1.5 * wanted):
            break
        if fit.evaluations % 50 == 0:
            progress.report("when to stop", fit.evaluations, iterations)
            if before - best < _WORTH * len(counts):
                break
            before = best
    for fit in problem.descend(start):
        if fit.evaluations >= wanted:
            break
        if fit.evaluations % 50 == 0:
            progress.report("estimation", fit.evaluations, wanted)
    return fit
