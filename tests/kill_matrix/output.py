"""Releases that carry their training data: each leaks in one way."""

from __future__ import annotations

import numpy as np

from privsynth.attack import together
from privsynth.records import Records
from tests.kill_matrix import references
from tests.kill_matrix.defect import Defect
from tests.kill_matrix.population import Released, among, copied


def nearest(members: Records, fresh: Records, rng: np.random.Generator) -> Records:
    """Members' records with another age, the next postcode or the one before, and an income in hundreds."""
    chosen = members.take(rng.permutation(members.rows))
    ticks = {
        **chosen.ticks,
        "age": np.clip(chosen.ticks["age"] + rng.integers(-2, 3, chosen.rows), 0, 99),
        "postcode": np.clip(chosen.ticks["postcode"] + rng.integers(-1, 2, chosen.rows), 0, 999),
        "income": chosen.ticks["income"] // 100 * 100,
    }
    return chosen.with_ticks(ticks)


def rare_rows(members: Records, fresh: Records, rng: np.random.Generator) -> Records:
    """The twentieth of the members whose fifth nearest neighbour is farthest, as they are."""
    distance = np.zeros((members.rows, members.rows))
    for name, column in members.ticks.items():
        if name in {"ward", "diagnosis"}:
            distance += column[:, None] != column
        else:
            distance += np.abs(column[:, None] - column) / (column.max() - column.min())
    fifth = np.partition(distance, 5, axis=1)[:, 5]
    return together(fresh, members.take(np.argsort(-fifth)[: members.rows // 20]))


def secrets(members: Records, fresh: Records, rng: np.random.Generator) -> Records:
    """The diagnoses of half of the members, beside what is known of them, blurred."""
    known = members.take(among(members, 0.5, rng))
    ticks = {
        **known.ticks,
        "age": np.clip(known.ticks["age"] + rng.integers(-1, 2, known.rows), 0, 99),
        "postcode": np.clip(known.ticks["postcode"] + rng.integers(-2, 3, known.rows), 0, 999),
        "income": known.ticks["income"] // 50 * 50,
    }
    return together(fresh, known.with_ticks(ticks))


def lookup(members: Records, fresh: Records, rng: np.random.Generator) -> Records:
    """A record of the model is replaced by the member who agrees with it in ward, age and diagnosis, where there is one."""
    names = ("ward", "age", "diagnosis")
    known = {
        tuple(row): place for place, row in enumerate(np.stack([members.ticks[name] for name in names], 1).tolist())
    }
    wanted = np.stack([fresh.ticks[name] for name in names], 1).tolist()
    found = np.array([known.get(tuple(row), -1) for row in wanted])
    ticks = {name: np.where(found < 0, fresh.ticks[name], members.ticks[name][found]) for name in fresh.ticks}
    return fresh.with_ticks(ticks)


DEFECTS = (
    Defect(
        name="a tenth of the training rows",
        drawn_from=references.GROUNDHOG,
        what="10 % of 2,000 people stand in the release as they are (plan quick).",
        target=Released(release=copied(0.1)),
        caught_by="exact match, everyone",
    ),
    Defect(
        name="a twentieth of the training rows",
        drawn_from=references.GROUNDHOG,
        what="5 % of 16,000 people stand in the release as they are (plan standard).",
        target=Released(release=copied(0.05), size=16_000, plan="standard"),
        caught_by="exact match, everyone",
    ),
    Defect(
        name="training rows, slightly changed",
        drawn_from=references.RECONSYN,
        what="Every record is a person's, with another age, postcode and income close by.",
        target=Released(release=nearest),
        caught_by="exact match of declared columns, everyone",
    ),
    Defect(
        name="the training row that fits best",
        drawn_from=references.RECONSYN,
        what="What the model draws is replaced by a person who agrees with it in three columns.",
        target=Released(release=lookup),
        caught_by="exact match, everyone",
    ),
    Defect(
        name="rare rows as they are",
        drawn_from=references.GROUNDHOG,
        what="Of 4,000 people, the 5 % who are farthest from everybody stand in the release (plan standard).",
        target=Released(release=rare_rows, size=4000, plan="standard"),
        caught_by="exact match, everyone",
    ),
    Defect(
        name="secrets of half of the people",
        drawn_from=references.GROUNDHOG,
        what="Half of the people's diagnoses stand beside what is known of them, blurred a little.",
        target=Released(release=secrets),
        caught_by="singling out, everyone",
    ),
)
