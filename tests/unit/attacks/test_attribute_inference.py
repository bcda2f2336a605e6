"""What is guessed of each secret, against a plain vote of the nearest records."""

from __future__ import annotations

import json

import numpy as np
import pytest

from privsynth import attacks
from privsynth.attack import Outcome, View
from privsynth.proximity import Gower
from privsynth.records import MISSING, Records
from privsynth.schema import Schema

BODIES = {
    "the ward": 'kind = "category"\nvalues = ["a", "b", "c", "d"]\nmissing = ["?"]\nrole = "quasi"',
    'is "old"': 'kind = "boolean"\ntrue = ["y"]\nfalse = ["n"]\nrole = "quasi"',
    "bal.ance": 'kind = "integer"\nlower = -1000\nupper = 1000\nmissing = ["?"]\nbins = {method = "uniform", count = 3}',
    "since; day": 'kind = "date"\nlower = 1970-01-01\nupper = 1999-12-31\nbins = {method = "uniform", count = 3}',
    "it's one": 'kind = "category"\nvalues = ["only"]',
}
SCHEMA = Schema.loads(
    '[table]\nname = "t"\n' + "".join(f"[columns.{json.dumps(name)}]\n{body}\n" for name, body in BODIES.items())
)


def people(rows: int, seed: int) -> Records:
    """Few values of each column, so that many records are equal and many are equally far."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, 4, rows)
    columns = (
        np.where(rng.random(rows) < 0.1, MISSING, kind),
        rng.integers(0, 2, rows),
        np.where(rng.random(rows) < 0.2, MISSING, -200 * kind - rng.integers(0, 3, rows)),
        100 * kind + rng.integers(0, 4, rows),
        np.zeros(rows, dtype=np.int64),
    )
    return Records(
        schema=SCHEMA, ticks={name: ticks.astype(np.int64) for name, ticks in zip(BODIES, columns, strict=True)}
    )


def plainly(released: Records, targets: Records, secret: str, neighbours: int, tolerance: float) -> list[bool]:
    """The attack's words, one target at a time."""
    gower = Gower(released, tuple(BODIES))
    points, every = gower.points(targets), np.arange(released.rows)
    right = []
    for index in range(targets.rows):
        known = gower.distances(points, index) - gower.part(secret, points, index, every)
        votes = np.sort(gower.codes(secret)[known <= np.sort(known)[min(neighbours, len(known)) - 1]]).astype(int)
        truth = int(points[secret][index])
        if secret in gower.nominal:
            right.append(bool(np.bincount(votes).argmax() == truth))
        else:
            right.append(bool(abs(int(votes[(len(votes) - 1) // 2]) - truth) <= tolerance * gower.step))
    return right


def inferred(released: Records, targets: Records, **settings: float | str) -> dict[str, Outcome]:
    view = View(schema=released.schema, synthetic=released, targets=targets)
    found = attacks.get("attribute_inference", settings).attack(view, rng=np.random.default_rng(0))
    return {outcome.label.removeprefix("attribute inference: "): outcome for outcome in found}


@pytest.mark.parametrize("neighbours", [1, 4, 1000])
def test_every_column_is_a_secret_and_is_guessed_by_its_nearest(neighbours: int) -> None:
    released, targets = people(400, 1), people(60, 2)
    found = inferred(released, targets, secrets="every", neighbours=neighbours, tolerance=0.03)
    assert tuple(found) == tuple(BODIES)
    for secret, outcome in found.items():
        assert outcome.success.tolist() == plainly(released, targets, secret, neighbours, 0.03)


def test_negative_values_are_right_only_where_they_are_near() -> None:
    released = people(300, 3)
    targets = released.take(np.flatnonzero(released.ticks["bal.ance"] != MISSING)[:80])
    mirrored = targets.with_ticks({**targets.ticks, "bal.ance": -602 - targets.ticks["bal.ance"]})
    assert inferred(released, targets, secrets="every")["bal.ance"].success.mean() > 0.3
    assert not inferred(released, mirrored, secrets="every")["bal.ance"].success.any()


def test_a_column_of_one_value_is_known_to_everybody() -> None:
    outcome = inferred(people(50, 4), people(20, 5), secrets="every")["it's one"]
    assert outcome.success.all()
    assert outcome.baseline == 1.0


def test_the_baseline_is_the_rate_of_the_commonest_value_or_the_middle_rank() -> None:
    released, targets = people(200, 6), people(100, 7)
    found = inferred(released, targets, secrets="every", tolerance=0.0)
    labels = released.ticks['is "old"']
    commonest = int(labels.sum() * 2 > len(labels))
    assert found['is "old"'].baseline == pytest.approx((targets.ticks['is "old"'] == commonest).mean())
    days = np.sort(released.ticks["since; day"])
    assert found["since; day"].baseline == pytest.approx(
        (targets.ticks["since; day"] == days[(len(days) - 1) // 2]).mean()
    )


def test_somebody_who_knows_nothing_guesses_the_commonest_value() -> None:
    schema = Schema.from_domain({"only": 4})
    released, targets = (Records(schema=schema, ticks={"only": np.array(t)}) for t in ([0, 3, 3], [3, 0, 3, 2]))
    outcome = inferred(released, targets)["only"]
    assert outcome.success.mean() == outcome.baseline


def test_two_hundred_columns() -> None:
    schema = Schema.from_domain({f"c{number}": 3 for number in range(200)})
    rng = np.random.default_rng(0)
    released, targets = (
        Records(schema=schema, ticks={column.name: rng.integers(0, 3, rows) for column in schema.modelled})
        for rows in (60, 5)
    )
    found = inferred(released, released.take(np.arange(5)), undeclared=2)
    assert len(found) == 2
    assert all(outcome.success.all() for outcome in found.values())
    assert not all(outcome.success.all() for outcome in inferred(released, targets, undeclared=2).values())
