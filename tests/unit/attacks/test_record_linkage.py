"""What the intruder believes, what he claims, and when he is right."""

from __future__ import annotations

import numpy as np
import pytest

from privsynth.attack import Outcome, View
from privsynth.attacks.record_linkage import RecordLinkage
from privsynth.records import MISSING, Records
from privsynth.schema import Schema

TEXT = """
[table]
name = "t"
[columns.ward]
kind = "category"
values = ["0","1","2","3","4","5","6","7","8","9"]
role = "quasi"
missing = ["?"]
[columns.age]
kind = "integer"
lower = -100
upper = 1000
bins = {method = "uniform", count = 3}
role = "quasi"
missing = ["?"]
[columns.stay]
kind = "date"
lower = 1970-01-01
upper = 1980-01-01
[columns.pay]
kind = "integer"
lower = 0
upper = 100000
bins = {method = "uniform", count = 3}
role = "sensitive"
"""
SCHEMA = Schema.loads(TEXT)


def people(rows: int, seed: int, schema: Schema = SCHEMA) -> Records:
    rng = np.random.default_rng(seed)
    columns = (
        rng.integers(0, 10, rows),
        rng.integers(-100, 900, rows),
        rng.integers(0, 3000, rows),
        rng.integers(0, 100_000, rows),
    )
    return Records(schema=schema, ticks=dict(zip(("ward", "age", "stay", "pay"), columns, strict=True)))


def joined(first: Records, second: Records) -> Records:
    return first.with_ticks({name: np.concatenate([first.ticks[name], second.ticks[name]]) for name in first.ticks})


def tried(
    released: Records, targets: Records, attack: RecordLinkage | None = None, schema: Schema = SCHEMA
) -> dict[str, Outcome]:
    view = View(schema=schema, synthetic=released, targets=targets)
    outcomes = (attack or RecordLinkage()).attack(view, rng=np.random.default_rng(0))
    return {outcome.label: outcome for outcome in outcomes}


def test_typos_are_neighbouring_numbers_and_other_labels_and_gaps_are_gaps() -> None:
    truth = people(4000, 1)
    truth.ticks["ward"][:400] = MISSING
    file = RecordLinkage(typos=0.3, gaps=0.2)._intruders_file(truth, np.random.default_rng(2))
    for name, gaps in (("ward", 0.1), ("age", 0.0)):
        before, after = truth.ticks[name], file.ticks[name]
        assert abs((after == MISSING).mean() - (gaps + (1 - gaps) * 0.2)) < 0.03
        assert (after[before == MISSING] == MISSING).all()
        both = (before != MISSING) & (after != MISSING)
        assert abs((before != after)[both].mean() - 0.3) < 0.02
    values = np.unique(truth.ticks["age"])
    kept = file.ticks["age"] != MISSING
    moved = np.searchsorted(values, file.ticks["age"][kept]) - np.searchsorted(values, truth.ticks["age"][kept])
    assert set(moved.tolist()) == {-1, 0, 1}
    wrong = (file.ticks["ward"] != truth.ticks["ward"]) & (file.ticks["ward"] != MISSING)
    assert set(file.ticks["ward"][wrong].tolist()) == set(range(10))
    assert RecordLinkage(typos=0.0, gaps=0.0)._intruders_file(truth, np.random.default_rng(2)).ticks[
        "age"
    ].tolist() == (truth.ticks["age"].tolist())


def test_a_column_of_one_value_has_no_typos() -> None:
    truth = people(50, 1).with_ticks({name: np.full(50, 3) for name in ("ward", "age", "stay", "pay")})
    file = RecordLinkage(typos=0.9, gaps=0.0)._intruders_file(truth, np.random.default_rng(0))
    assert all((ticks == 3).all() for ticks in file.ticks.values())


def test_the_smallest_and_the_largest_value_have_one_neighbour() -> None:
    truth = people(2000, 1)
    truth.ticks["age"][:] = np.arange(2000) % 2
    file = RecordLinkage(typos=0.9, gaps=0.0)._intruders_file(truth, np.random.default_rng(0))
    assert (file.ticks["age"] != truth.ticks["age"]).mean() > 0.85


def test_people_in_the_release_are_found_and_their_secrets_read_off() -> None:
    members, others = people(200, 1), people(200, 2)
    found = tried(joined(members, people(400, 3)), joined(members, others))
    match, known, quasi = (
        found[f"record linkage: {label}"]
        for label in ("match", "pay, knowing the rest", "pay, knowing quasi-identifiers")
    )
    assert len(found) == 3
    assert match.success[:200].mean() > 0.7
    assert match.success[200:].mean() < 0.1
    assert (known.success <= match.success).all()
    assert known.success[:200].mean() > 0.7
    assert quasi.success[:200].mean() > quasi.success[200:].mean() + 0.1
    assert match.score is not None
    assert match.score[:200].mean() > match.score[200:].mean() + 3
    assert known.baseline < 0.15 * match.baseline


def test_the_surest_share_is_claimed_where_nothing_is_sure() -> None:
    found = tried(people(400, 1), people(200, 2), RecordLinkage(share=0.25, sure=0.999999))
    match = found["record linkage: match"]
    assert match.success.sum() == 50
    assert match.score is not None
    assert match.score[match.success].min() > match.score[~match.success].max()


def test_what_is_read_off_has_to_be_the_secret() -> None:
    members = people(100, 1)
    lying = members.with_ticks({**members.ticks, "pay": np.roll(members.ticks["pay"], 50)})
    near = members.with_ticks({**members.ticks, "pay": members.ticks["pay"] + 1})
    sure = RecordLinkage(typos=0.0, gaps=0.0, tolerance=0.02)
    right, wrong = (tried(release, members, sure)["record linkage: pay, knowing the rest"] for release in (near, lying))
    assert right.success.mean() > 0.9
    assert wrong.success.mean() < 0.15


def test_secrets_are_not_used_for_linking() -> None:
    released, targets = people(300, 1), people(100, 2)
    other = targets.with_ticks({**targets.ticks, "pay": targets.ticks["pay"][::-1].copy()})
    first, second = (tried(released, each)["record linkage: match"].score for each in (targets, other))
    assert first is not None
    assert second is not None
    assert first.tolist() == second.tolist()


def test_without_declared_secrets_all_other_columns_are_read_off_together() -> None:
    schema = Schema.loads(TEXT.replace('role = "sensitive"', ""))
    members = people(100, 1, schema)
    half = members.with_ticks({**members.ticks, "stay": np.roll(members.ticks["stay"], 50)})
    strict, lax = (
        tried(half, members, RecordLinkage(typos=0.0, gaps=0.0, rest=rest, tolerance=0.01), schema)
        for rest in (1.0, 0.5)
    )
    assert set(strict) == {"record linkage: match", "record linkage: other columns"}
    assert strict["record linkage: other columns"].success.mean() < 0.1
    assert lax["record linkage: other columns"].success.mean() > 0.6


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        (TEXT.replace('role = "quasi"', ""), {"match", "pay, knowing the rest"}),
        (TEXT.replace("lower = 1970", 'role = "quasi"\nlower = 1970'), {"match", "pay, knowing the rest"}),
        (TEXT.replace('role = "quasi"', "").replace('role = "sensitive"', ""), {"match"}),
        (TEXT.replace('role = "quasi"', 'role = "sensitive"').replace("lower = 1970", 'role = "sensitive"\nlower = 1970'),
         {"match"}),
    ],
)  # fmt: skip
def test_what_is_attacked_follows_the_declared_roles(text: str, labels: set[str]) -> None:
    schema = Schema.loads(text)
    found = tried(people(50, 1, schema), people(20, 2, schema), schema=schema)
    assert set(found) == {f"record linkage: {label}" for label in labels}


def test_only_the_most_telling_facts_are_known() -> None:
    released = people(200, 1)
    released.ticks["stay"][:] = 5
    attack = RecordLinkage(facts=2)
    assert attack._most_telling(released, ("ward", "age", "stay", "pay")) == ["pay", "age"]
