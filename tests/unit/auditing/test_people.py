"""Who is tried: one row a unit, sizes that give nothing away, the most isolated of both groups."""

from __future__ import annotations

import numpy as np
import pytest

from privsynth.attack import one_row_a_unit
from privsynth.auditing.people import People
from privsynth.errors import AuditError
from privsynth.private import Private
from privsynth.records import Records
from privsynth.schema import Schema

SCHEMA = Schema.from_domain({"place": 1001}, unit="person")


def people(places: list[int], units: list[int] | None = None, start: int = 0) -> Records:
    owner = np.arange(len(places)) if units is None else np.array(units)
    names = tuple(f"{start + unit}".encode() for unit in range(int(owner.max(initial=-1)) + 1))
    return Records(
        schema=SCHEMA, ticks={"place": np.array(places, dtype=np.int64)}, units=owner.astype(np.int64), unit_names=names
    )


def drawn(members: Records, controls: Records) -> People:
    return People.draw(
        schema=SCHEMA,
        synthetic=people([5]),
        members=Private(members),
        controls=Private(controls),
        rng=np.random.default_rng(1),
    )


def test_one_row_of_each_unit_each_with_the_same_chance() -> None:
    table = people([0, 1, 2, 3, 4], units=[0, 0, 0, 1, 2])
    rng = np.random.default_rng(3)
    draws = [one_row_a_unit(table, rng) for _ in range(600)]
    assert all(sorted(draw.units.tolist()) == [0, 1, 2] for draw in draws if draw.units is not None)
    chosen = np.bincount([place for draw in draws for place in draw.ticks["place"].tolist()], minlength=5)
    assert chosen[3:].tolist() == [600, 600]
    assert all(140 < count < 260 for count in chosen[:3])
    assert len({tuple(draw.units.tolist()) for draw in draws if draw.units is not None}) == 6


def test_without_units_every_row_is_a_person() -> None:
    table = Records(schema=Schema.from_domain({"place": 5}), ticks={"place": np.arange(5)})
    assert sorted(one_row_a_unit(table, np.random.default_rng(0)).ticks["place"].tolist()) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(("wanted", "expected"), [(100, 50), (64, 64), (65, 65), (66, 33), (1000, 62), (1, 1)])
def test_sizes_are_halved_until_there_are_enough(wanted: int, expected: int) -> None:
    crowd = drawn(people(list(range(65))), people(list(range(100, 190)), start=1000))
    assert crowd.size_for(wanted) == expected


def test_targets_have_as_many_of_each_group() -> None:
    crowd = drawn(people(list(range(65))), people(list(range(500, 590)), start=1000))
    target = crowd.target(40)
    assert target.members.open().rows == target.controls.open().rows == 40
    assert max(target.members.open().ticks["place"]) < 500 <= min(target.controls.open().ticks["place"])


def test_the_most_isolated_are_those_far_from_everybody() -> None:
    crowd = drawn(people([*range(0, 80, 2), 700, 800]), people([*range(1, 81, 2), 900, 1000], start=1000))
    target = crowd.most_isolated(42, 4 / 84)
    assert sorted(target.members.open().ticks["place"].tolist()) == [700, 800]
    assert sorted(target.controls.open().ticks["place"].tolist()) == [900, 1000]


def test_isolated_people_of_one_group_only_are_an_error() -> None:
    crowd = drawn(people([*range(0, 80, 2), 700, 800]), people([*range(1, 85, 2)], start=1000))
    with pytest.raises(AuditError, match="all of one group"):
        crowd.most_isolated(42, 2 / 84)


def test_equally_isolated_people_are_all_taken_whichever_group_they_are_of() -> None:
    crowd = drawn(people([7] * 30), people([7] * 30, start=1000))
    assert crowd.most_isolated(30, 0.1).members.open().rows == 30
