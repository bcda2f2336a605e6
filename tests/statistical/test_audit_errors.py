"""False alarms of attacks: what their levels promise."""

from __future__ import annotations

import numpy as np
import pytest

from privsynth import attacks, statistics
from privsynth.attack import Target
from privsynth.private import Private
from privsynth.records import Records
from privsynth.schema import Schema
from tests.attackers import bootstrap, noisy_answers
from tests.made_database import bank
from tests.unit.attacks import test_history_attacks as on_histories

ON_HISTORIES = on_histories.NAMES


@pytest.mark.parametrize("name", [name for name in attacks.NAMES if name not in ON_HISTORIES])
def test_attacks_on_an_independent_release_alarm_no_more_often_than_their_level(name: str) -> None:
    """At 5 %, of 60 independent worlds 13 or more would alarm with probability below 1e-5 (Fisher's test is exact)."""
    schema = Schema.from_domain({"a": 9, "b": 4, "c": 60, "d": 2})
    attack = attacks.get(name, {"orders": 4} if name == "singling_out" else {})
    alarms = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        release, members, controls = (_people(schema, rows, rng) for rows in (400, 120, 120))
        aim = Target(
            schema=schema,
            synthetic=release,
            members=Private(members),
            controls=Private(controls),
            transcript=noisy_answers(release, order=2),
            refit=bootstrap(release.rows),
        )
        alarms += statistics.fisher_p_value(attack.run(aim, rng=rng)[0].comparison) <= 0.05
    assert alarms <= 12


@pytest.mark.parametrize("name", ON_HISTORIES)
def test_attacks_on_histories_of_others_alarm_no_more_often_than_their_level(name: str) -> None:
    """At 5 %, of 40 worlds 11 or more would alarm with probability below 1e-5; members, controls and others are drawn alike."""
    alarms = 0
    for seed in range(40):
        world = on_histories.world(seed, units=50, made=bank)
        alarms += statistics.fisher_p_value(on_histories.attacked(name, world, seed).comparison) <= 0.05
    assert alarms <= 10


def _people(schema: Schema, rows: int, rng: np.random.Generator) -> Records:
    kind = rng.integers(0, 2, rows)
    columns = kind * 4 + rng.integers(0, 5, rows), rng.integers(0, 4, rows), rng.integers(0, 60, rows), kind
    return Records(schema=schema, ticks=dict(zip(("a", "b", "c", "d"), columns, strict=True)))
