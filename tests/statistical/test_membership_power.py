"""What the membership attacks see: releases of our generators with much noise and with hardly any, and copies."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from privsynth import attacks, generators, statistics
from privsynth.attack import Target
from privsynth.encoding import decode, encode
from privsynth.privacy.accounting import rho_for
from privsynth.privacy.curator import Curator
from privsynth.privacy.noise import UnsafeSeededNoise
from privsynth.privacy.unit import PrivacyUnit
from privsynth.private import Private
from privsynth.records import Records
from privsynth.schema import Schema

SCHEMA = Schema.from_domain(dict.fromkeys("abcdefgh", 12))
PEOPLE = 400
SEEDS = range(12)


def people(rng: np.random.Generator) -> Records:
    """Six kinds of people, each with its own usual codes."""
    kind = rng.integers(0, 6, PEOPLE)
    columns = {
        name: np.where(rng.random(PEOPLE) < 0.6, (kind * (place + 2)) % 12, rng.integers(0, 12, PEOPLE))
        for place, name in enumerate(SCHEMA.domain().attributes)
    }
    return Records(schema=SCHEMA, ticks=columns)


def mst_release(seed: int, rho: Fraction) -> Target:
    """Members, whom mst was fitted to, and as many controls."""
    rng = np.random.default_rng(seed)
    members, controls = people(rng), people(rng)
    generator = generators.get("mst", {})

    noise = UnsafeSeededNoise(seed)
    curator = Curator(
        encode(Private(members)), unit=PrivacyUnit(name="row"), rho=rho, noise=noise, composition=generator.composition
    )
    generator.measure(curator)
    drawn = generator.estimate(SCHEMA.domain(), curator.transcript).draw(PEOPLE, rng, None)
    return Target(
        schema=SCHEMA,
        synthetic=decode(drawn, SCHEMA, rng=rng),
        members=Private(members),
        controls=Private(controls),
        transcript=curator.transcript,
    )


def areas(name: str, rho: Fraction) -> float:
    """The mean area under the curve over all seeds; its standard error is 0.006 where there is no leak."""
    found = []
    for seed in SEEDS:
        (result,) = attacks.get(name, {}).run(mst_release(seed, rho), rng=np.random.default_rng(seed))
        assert result.area is not None
        found.append(result.area)
    return float(np.mean(found))


@pytest.mark.parametrize(("name", "least"), [("transcript_ratio", 0.64), ("marginal_ratio", 0.6)])
def test_with_hardly_any_noise_members_are_seen(name: str, least: float) -> None:
    assert areas(name, Fraction(10_000)) > least


@pytest.mark.parametrize("name", ["transcript_ratio", "marginal_ratio"])
def test_at_epsilon_one_nobody_sees_more_than_the_claim_allows(name: str) -> None:
    """An area is at most (1 + advantage) / 2, where the advantage is at most what the Gaussian mechanism allows."""
    rho = rho_for("1", "0.00001")
    ceiling = (1 + statistics.gaussian_advantage_ceiling(float(2 * rho) ** 0.5)) / 2
    assert 0.47 < areas(name, rho) <= ceiling + 0.02


@pytest.mark.parametrize("name", ["density_ratio", "plagiarism_index", "marginal_ratio"])
def test_a_fifth_of_the_members_copied_is_found(name: str) -> None:
    """Beside as many records of other people."""
    found = 0
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        members, controls, others = people(rng), people(rng), people(rng)
        ticks = {column: np.concatenate([codes[:80], others.ticks[column]]) for column, codes in members.ticks.items()}
        aim = Target(
            schema=SCHEMA,
            synthetic=Records(schema=SCHEMA, ticks=ticks),
            members=Private(members),
            controls=Private(controls),
        )
        (result,) = attacks.get(name, {}).run(aim, rng=rng)
        found += statistics.fisher_p_value(result.comparison) < 0.01
    assert found >= 10
