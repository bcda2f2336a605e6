"""A made-up population as it was and as it became, and fits of both with noise that can be drawn again."""

from fractions import Fraction

import numpy as np
import pyarrow as pa

from privsynth import generators, records
from privsynth.fitting import FitPlan, measure
from privsynth.privacy.guarantee import Budget, Guarantee
from privsynth.privacy.noise import UnsafeSeededNoise
from privsynth.privacy.unit import PrivacyUnit
from privsynth.published import Published
from privsynth.refreshing.aligning import align
from privsynth.refreshing.prior import prior_of
from privsynth.refreshing.refreshed import Refreshed
from privsynth.schema import Schema

SIZES = {"a": 4, "b": 6, "c": 3, "d": 8, "e": 5}
SCHEMA = Schema.from_domain(SIZES)
DOMAIN = SCHEMA.domain()
UNIT = PrivacyUnit(name="row")
RELEASE = "0123456789abcdef" * 2


def budget(epsilon="1"):
    """What a release of one table without purchases may spend."""
    return Budget.of(Fraction(epsilon), Fraction("1e-6"), buys=False, composition="gdp")


def people(rows, seed, *, column=0.0, pair=0.0):
    """Records with a hidden type. `column` moves that share of d to its first level; `pair` sorts b and e in that share of
    the records together, which leaves their own shares exactly as they were."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, 3, rows)
    found = {}
    for place, (name, size) in enumerate(SIZES.items()):
        anything = np.minimum((rng.random(rows) ** 1.7 * size).astype(int), size - 1)
        found[name] = np.where(rng.random(rows) < 0.45, kind * (place + 1) % size, anything)
    found["d"] = np.where(rng.random(rows) < column, 0, found["d"])
    hit = np.flatnonzero(rng.random(rows) < pair)
    found["b"][hit[np.argsort(found["e"][hit], kind="stable")]] = np.sort(found["b"][hit])
    return found


def fitted(columns, generator, seed, epsilon="1", schema=SCHEMA):
    """The transcript of a fit."""
    plan = FitPlan(generator=generator, unit=UNIT, budget=budget(epsilon))
    return measure(records.read(pa.table(columns), schema), plan, UnsafeSeededNoise(seed))[1]


def published(columns, seed, epsilon="1", name="latent_class", schema=SCHEMA):
    """What a release of these records says."""
    transcript = fitted(columns, generators.get(name, {}), seed, epsilon, schema)
    return Published(
        predicate={},
        schema=schema,
        transcript=transcript,
        guarantee=Guarantee.for_budget(budget(epsilon), UNIT, transcript),
        generator=name,
        settings={},
    )


def prior(rows=6000, seed=1, epsilon="1", name="latent_class"):
    """What an earlier release of so many people says."""
    return prior_of(published(people(rows, seed), seed, epsilon, name), align(SCHEMA, SCHEMA), RELEASE)


def refreshed(before, name="latent_class", **changes):
    """The generator of a refresh."""
    return Refreshed(prior=before, inner=generators.get(name, {}), **changes)
