"""What all tables of a database say together about one unit, against the promise: computed apart from the library's accounting.

The unit that shows most has all its weight in one cell of each table. Everything that is published is Gaussian here, so that
what it tells is one number: mu, the distance of the exact answers with and without the unit, in standard deviations.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from statistics import NormalDist
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pytest

from privsynth import graphical
from privsynth.conformance.made_databases import Workshop
from privsynth.database.document import DatabaseSchema
from privsynth.database.held import Database
from privsynth.domain import Domain
from privsynth.generator import AbstractDistribution, AbstractGenerator
from privsynth.histories.measuring import HistoryPlan, Measured, measure
from privsynth.measurement import Measurement, Transcript
from privsynth.privacy.accounting import Composition
from privsynth.privacy.curator import Curator
from privsynth.privacy.guarantee import Budget
from privsynth.privacy.unit import NeighboringRelation
from privsynth.private import Private
from tests.kill_matrix import sources
from tests.made_database import BANK_TOML, CLINIC_TOML

Floats = npt.NDArray[np.float64]

EPSILON, DELTA = 6, 1e-6
FITS = 150
FALSE_ALARM = 1e-6
"""Two-sided; with it, mu is known within 0.7, and noise of half the size is rejected with a chance above 0.99."""


class Columns(AbstractGenerator):
    """Measures the columns of each table's own rows, and nothing else."""

    name: ClassVar[str] = "columns"
    composition: ClassVar[Composition] = "gdp"

    def measure(self, curator: Curator) -> None:
        """All of the budget for one-way tables of what is not given."""
        own = [(name,) for name in curator.domain.attributes if "." not in name and name != "gap"]
        curator.measure(own, rho=curator.budget, stage="columns")

    def estimate(self, domain: Domain, transcript: Transcript) -> AbstractDistribution:
        """A model of independent columns."""
        return graphical.estimate(domain, transcript, iterations=1)

    def restore(
        self, domain: Domain, transcript: Transcript, arrays: Mapping[str, npt.NDArray[np.float64]]
    ) -> AbstractDistribution:
        """The same again."""
        return graphical.restore(domain, transcript, arrays)


def neighbours(toml: str) -> tuple[Database, Database]:
    """Twenty units, and the strongest one beside them."""
    made, rng = Workshop(DatabaseSchema.loads(toml)), np.random.default_rng(1)
    crowd, strongest = made.crowd(20, rng), made.strongest(rng)
    return made.database(crowd), made.database([*crowd, strongest])


def budget() -> Budget:
    return Budget.of(EPSILON, Fraction(1, 10**6), buys=False, composition="gdp")


def fitted(database: Database, seed: int, noise: sources.Draw) -> Measured:
    plan = HistoryPlan(
        schema=database.schema,
        generator=Columns(),
        budget=budget(),
        unit_name="unit",
        relation=NeighboringRelation.ADD_REMOVE,
    )
    source = sources.Drawn(seed, noise)
    return measure(Private(database), plan, source, bound_key=source.key())


def answers(found: Measured) -> tuple[Floats, Floats]:
    """All noisy counts, and the variance that the events state for each."""
    tables = [entry for entry in found.transcript if isinstance(entry, Measurement)]
    assert len(tables) == len(found.transcript)
    values = np.concatenate([table.values.reshape(-1) for table in tables]).astype(np.float64)
    return values, np.concatenate([np.full(table.values.size, table.sigma**2) for table in tables])


def silent(rng: np.random.Generator, sigma: float, size: int) -> Floats:
    """No noise: what comes out are the exact counts."""
    return np.zeros(size)


def half(rng: np.random.Generator, sigma: float, size: int) -> Floats:
    return rng.normal(0, sigma / 2, size)


def distance(toml: str) -> float:
    """Mu of the strongest unit, from exact counts with and without it and the variances that are stated."""
    (without, variance), (with_it, again) = (answers(fitted(one, 1, silent)) for one in neighbours(toml))
    assert np.array_equal(variance, again)
    return math.sqrt(float(((with_it - without) ** 2 / variance).sum()))


def failure(mu: float, epsilon: float) -> float:
    """Delta of two normal distributions mu apart, by summing what one exceeds e^epsilon times the other by."""
    points = np.linspace(-12, 12 + mu, 400_001)
    one, other = (np.exp(-((points - centre) ** 2) / 2) / math.sqrt(2 * math.pi) for centre in (mu, 0.0))
    return float(np.maximum(one - math.exp(epsilon) * other, 0).sum() * (points[1] - points[0]))


@pytest.mark.parametrize("toml", [CLINIC_TOML, BANK_TOML])
def test_the_strongest_unit_stays_within_the_promise_and_uses_most_of_it(toml: str) -> None:
    mu, promised = distance(toml), math.sqrt(2 * float(budget().rho))
    assert mu <= promised
    assert mu >= 0.95 * promised
    assert failure(mu, EPSILON) <= DELTA
    assert 0.99 * DELTA <= failure(promised, EPSILON) <= DELTA


def seen(toml: str, noise: sources.Draw) -> float:
    """Mu as it shows in many fits from beginning to end, each with keys and noise of its own."""
    without, with_it = neighbours(toml)
    (before, variance), (after, _) = (answers(fitted(one, 1, silent)) for one in (without, with_it))
    weight = (after - before) / variance
    scores = [
        np.array([answers(fitted(one, 2 * seed + side, noise))[0] @ weight for seed in range(FITS)])
        for side, one in enumerate((without, with_it))
    ]
    spread = math.sqrt((scores[0].var(ddof=1) + scores[1].var(ddof=1)) / 2)
    return float(scores[1].mean() - scores[0].mean()) / spread


def tolerance(mu: float) -> float:
    """Half the interval that holds an estimate of mu, but for the false alarm. Source: Hedges 1981, for large samples."""
    return -NormalDist().inv_cdf(FALSE_ALARM / 2) * math.sqrt(2 / FITS + mu**2 / (4 * FITS))


def test_many_fits_tell_as_much_as_the_ledger_says() -> None:
    mu = distance(BANK_TOML)
    assert tolerance(mu) < 0.7
    assert seen(BANK_TOML, sources.right) == pytest.approx(mu, abs=tolerance(mu))


def test_noise_of_half_the_size_would_be_seen() -> None:
    mu = distance(BANK_TOML)
    assert seen(BANK_TOML, half) > mu + tolerance(mu)
