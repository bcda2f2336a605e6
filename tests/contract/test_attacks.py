"""Laws that every attack in `attacks/` obeys."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import ClassVar, get_args

import numpy as np
import pytest

from privsynth import attacks, progress, statistics
from privsynth.attack import AbstractAttack, AttackResult, Need, Outcome, Target, Tier, View
from privsynth.errors import AuditError, PolicyError
from privsynth.private import Private
from privsynth.records import MISSING, Records
from privsynth.schema import Schema
from tests.attackers import bootstrap, noisy_answers

ORDINALS = {
    "integer": 'kind = "integer"\nlower = 0\nupper = 100000\nbins = {method = "uniform", count = 10}',
    "negative": 'kind = "integer"\nlower = -100000\nupper = 0\nbins = {method = "uniform", count = 10}',
    "number": 'kind = "number"\nlower = "0"\nupper = "1000.00"\nprecision = "0.01"\nbins = {method = "uniform", count = 5}',
    "date": 'kind = "date"\nlower = 1970-01-01\nupper = 2240-01-01\ngranularity = "day"',
}
OF_ROWS = [name for name in attacks.NAMES if "histories" not in attacks.get(name, {}).needs]
"""Attacks that one table is enough for; those on histories have their own laws, beside their tests."""
NAMES = ("ward", "smoker", "grade", "income", "stay", "diagnosis")
SPACED = ("ward name", 'smoker "yes"', "grade'", "income; drop", "stay = 1", "diagnosis ü")


def labels(count: int) -> str:
    return json.dumps([f"v{number}" for number in range(count)])


def make_schema(names: tuple[str, ...] = NAMES, *, ordinal: str = "integer", missing: bool = False) -> Schema:
    bodies = (
        f'kind = "category"\nvalues = {labels(9)}\nrole = "quasi"',
        'kind = "boolean"\ntrue = ["yes"]\nfalse = ["no"]\nrole = "quasi"',
        f'kind = "ordered"\nvalues = {labels(7)}\nrole = "quasi"',
        ORDINALS[ordinal],
        ORDINALS[ordinal],
        f'kind = "category"\nvalues = {labels(12)}\nrole = "sensitive"',
    )
    gap = '\nmissing = ["?"]' if missing else ""
    columns = "\n".join(
        f"[columns.{json.dumps(name, ensure_ascii=False)}]\n{body}{gap}"
        for name, body in zip(names, bodies, strict=True)
    )
    return Schema.loads(f'[table]\nname = "stays"\n{columns}\n')


def people(schema: Schema, rows: int, rng: np.random.Generator, *, shift: int = 0, gaps: float = 0.0) -> Records:
    """Independent people of one population, with structure: a hidden type moves every column."""
    kind = rng.integers(0, 4, rows)
    columns = (
        (kind * 2 + rng.integers(0, 3, rows)) % 9,
        rng.integers(0, 4, rows) <= kind,
        np.minimum(6, kind + rng.poisson(1.0, rows)),
        (rng.lognormal(6.0 + kind / 4, 0.8, rows)).clip(0, 99_000) + shift,
        rng.integers(0, 14, rows) + shift,
        np.where(rng.random(rows) < 0.5, kind * 3, rng.integers(0, 12, rows)),
    )
    ticks = {}
    for column, values in zip(schema.modelled, columns, strict=True):
        absent = rng.random(rows) < gaps
        ticks[column.name] = np.where(absent, MISSING, values.astype(np.int64))
    return Records(schema=schema, ticks=ticks)


def target(
    schema: Schema, synthetic: Records, members: Records, controls: Records, *, measured: Records | None = None
) -> Target:
    """With the noisy answers that a release of `measured` (or of `synthetic`) publishes, and a generator that copies."""
    return Target(
        schema=schema,
        synthetic=synthetic,
        members=Private(members),
        controls=Private(controls),
        transcript=noisy_answers(measured or synthetic),
        refit=bootstrap(synthetic.rows),
    )


def attacked(name: str, aim: Target, seed: int = 5) -> tuple[AttackResult, ...]:
    """Noisy answers, which are of a few columns, go to whom they are all there is."""
    attack = attacks.get(name, {})
    if attack.needs != "the noisy answers":
        aim = replace(aim, transcript=None)
    return attack.run(aim, rng=np.random.default_rng(seed))


def smallest_p_value(results: tuple[AttackResult, ...]) -> float:
    return min(statistics.holm([statistics.fisher_p_value(result.comparison) for result in results]))


def world(schema: Schema, seed: int, *, rows: int = 300, copies: int = 0, shift: int = 0, gaps: float = 0.0) -> Target:
    """As many members as controls, and an independent release in which `copies` rows are members', whom it measured."""
    rng = np.random.default_rng(seed)
    members, controls, release = (people(schema, count, rng, shift=shift, gaps=gaps) for count in (rows, rows, 900))
    ticks = {
        name: np.concatenate([members.ticks[name][:copies], column[copies:]]) for name, column in release.ticks.items()
    }
    measured = members.take(np.arange(copies)) if copies else release
    return target(schema, Records(schema=schema, ticks=ticks), members, controls, measured=measured)


@pytest.mark.parametrize("name", OF_ROWS)
@pytest.mark.parametrize("gaps", [0.0, 0.15])
def test_a_copy_of_the_training_data_is_caught(name: str, gaps: float) -> None:
    aim = world(make_schema(missing=True), 1, copies=300, gaps=gaps)
    assert smallest_p_value(attacked(name, aim)) < 1e-4


@pytest.mark.parametrize("name", OF_ROWS)
def test_no_attack_shows_more_than_it_says_it_can(name: str) -> None:
    """Members are copied whole, and controls are like nobody: nothing could be easier."""
    rng, schema = np.random.default_rng(4), make_schema()
    members, controls = people(schema, 200, rng), people(schema, 200, rng, shift=50_000)
    most = attacks.get(name, {}).largest_excess
    excess = max(result.comparison.excess for result in attacked(name, target(schema, members, members, controls)))
    assert excess <= most + 0.02 or name == "near_match", (
        "near match calls all that are at distance 0, as they are equal"
    )
    assert excess > 0.4 * most


@pytest.mark.parametrize("name", OF_ROWS)
@pytest.mark.parametrize("gaps", [0.0, 0.15])
def test_an_independent_release_gives_an_interval_that_holds_zero(name: str, gaps: float) -> None:
    for result in attacked(name, world(make_schema(missing=True), 2, gaps=gaps)):
        assert (
            statistics.excess_lower(result.comparison, 0.005) <= 0 <= statistics.excess_upper(result.comparison, 0.005)
        )


@pytest.mark.parametrize("name", OF_ROWS)
def test_names_and_kinds_of_columns_do_not_matter(name: str) -> None:
    def counts(results: tuple[AttackResult, ...]) -> list[tuple[int, int]]:
        return [(result.members, result.controls) for result in results]

    expected = counts(attacked(name, world(make_schema(), 3, copies=100)))
    for schema, shift in (
        (make_schema(SPACED), 0),
        (make_schema(SPACED, ordinal="date"), 0),
        (make_schema(ordinal="number"), 0),
        (make_schema(ordinal="negative"), -99_999),
    ):
        assert counts(attacked(name, world(schema, 3, copies=100, shift=shift))) == expected


@pytest.mark.parametrize("name", OF_ROWS)
def test_the_answer_depends_on_the_tables_and_the_generator_alone(name: str) -> None:
    aim = world(make_schema(), 4, copies=50)
    assert attacked(name, aim, seed=9) == attacked(name, aim, seed=9)


@pytest.mark.parametrize("name", OF_ROWS)
def test_one_column_and_one_row_are_handled(name: str) -> None:
    schema = Schema.from_domain({"code": 4})
    one = Records(schema=schema, ticks={"code": np.array([2])})
    for result in attacked(name, target(schema, one, one, one)):
        assert result.attempts == 1
        assert result.members == result.controls


@pytest.mark.parametrize("name", OF_ROWS)
def test_progress_says_nothing_of_how_many_people_there_are(name: str) -> None:
    def steps(rows: int) -> set[tuple[str, int]]:
        told: set[tuple[str, int]] = set()
        with progress.listening(lambda stage, done, total, note: told.add((stage, total))):
            attacked(name, world(make_schema(), 7, rows=rows))
        return told

    assert steps(120) == steps(131)


@pytest.mark.parametrize("name", OF_ROWS)
def test_every_attack_says_what_it_threatens_and_what_it_needs(name: str) -> None:
    attack, aim = attacks.get(name, {}), world(make_schema(), 8)
    assert attack.name == name
    assert attack.threat.startswith("that ")
    assert attack.tier in get_args(Tier)
    assert attack.needs in get_args(Need)
    assert attack.possible(aim)
    assert attack.possible(replace(aim, transcript=None, refit=None)) == (attack.needs == "nothing more")


@pytest.mark.parametrize("name", OF_ROWS)
def test_an_unknown_setting_is_refused(name: str) -> None:
    with pytest.raises(PolicyError, match=f'plan: attack "{name}": unknown key "stength"'):
        attacks.get(name, {"stength": 2}, where="plan")


def test_an_unknown_attack_is_refused() -> None:
    with pytest.raises(PolicyError, match="there is no attack"):
        attacks.get("os", {})


class Misbehaving(AbstractAttack):
    name: ClassVar[str] = "misbehaving"
    threat: ClassVar[str] = "that it breaks"
    tier: ClassVar[Tier] = "release only"
    fails: int = 0
    crash: str = ""
    short: bool = False
    idle: bool = False

    def attack(self, view: View, *, rng: np.random.Generator) -> tuple[Outcome, ...]:
        if self.crash:
            raise KeyError(self.crash)
        if self.idle:
            return ()
        rows = view.targets.rows - int(self.short)
        attempted = np.arange(rows) >= self.fails
        return (Outcome(label="misbehaving", success=np.ones(rows, dtype=bool), attempted=attempted, baseline=0.0),)


def test_more_than_one_percent_of_failed_attempts_is_an_error_and_no_result() -> None:
    aim = world(make_schema(), 5)
    (result,) = Misbehaving(fails=6).run(aim, rng=np.random.default_rng(0))
    assert (result.failed, result.members + result.controls) == (6, 594)
    with pytest.raises(AuditError, match="more than 1 %"):
        Misbehaving(fails=7).run(aim, rng=np.random.default_rng(0))


def test_a_crash_is_an_error_without_the_value_that_caused_it() -> None:
    with pytest.raises(AuditError, match="broke off") as caught:
        Misbehaving(crash="the patient's name").run(world(make_schema(), 5), rng=np.random.default_rng(0))
    assert "patient" not in str(caught.value)
    assert caught.value.__suppress_context__
    assert caught.value.__cause__ is None


def test_an_attack_must_answer_for_every_target() -> None:
    with pytest.raises(AuditError, match="did not answer for every target"):
        Misbehaving(short=True).run(world(make_schema(), 5), rng=np.random.default_rng(0))


def test_an_attack_that_attacked_nothing_is_no_pass() -> None:
    with pytest.raises(AuditError, match="attacked nothing"):
        Misbehaving(idle=True).run(world(make_schema(), 5), rng=np.random.default_rng(0))


class Peeking(AbstractAttack):
    """Calls the first half of what it is shown members."""

    name: ClassVar[str] = "peeking"
    threat: ClassVar[str] = "that order tells"
    tier: ClassVar[Tier] = "release only"

    def attack(self, view: View, *, rng: np.random.Generator) -> tuple[Outcome, ...]:
        rows = view.targets.rows
        first = np.arange(rows) < rows // 2
        return (Outcome(label="peeking", success=first, attempted=np.ones(rows, dtype=bool), baseline=0.0),)


def test_the_order_of_targets_does_not_tell_who_is_a_member() -> None:
    (result,) = Peeking().run(world(make_schema(), 6, rows=1000), rng=np.random.default_rng(1))
    assert abs(result.members - result.controls) < 100


def test_a_target_needs_equal_arms_and_a_release() -> None:
    schema = make_schema()
    rng = np.random.default_rng(0)
    few, many, none = people(schema, 3, rng), people(schema, 4, rng), people(schema, 0, rng)
    with pytest.raises(AuditError, match="as many controls as members"):
        target(schema, many, few, many)
    with pytest.raises(AuditError, match="at least one row"):
        target(schema, none, few, few)
