"""Attacks on whole histories: a copy is caught, other people are not, and each answers right where that can be worked out."""

from __future__ import annotations

import itertools
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from privsynth import attacks, contributions, progress, statistics
from privsynth.attack import AttackResult, Histories, NoisyTables, SeenHistories, Target, View
from privsynth.contributions import Contributions, history_likelihood_ratio
from privsynth.database.held import Database
from privsynth.dataset import Dataset
from privsynth.domain import Domain
from privsynth.errors import AuditError
from privsynth.histories.bounding import most_weight, rows_used
from privsynth.histories.gathering import taken, together
from privsynth.histories.profiling import profile
from privsynth.histories.viewing import view_datasets
from privsynth.measurement import Event, Measurement
from privsynth.private import Private
from privsynth.records import MISSING, Records
from tests.made_database import bank, clinic

NAMES = [name for name in attacks.NAMES if "histories" in attacks.get(name, {}).needs]


def noisy_answers(database: Database, *, noise: float = 1.0) -> NoisyTables:
    """All tables of up to two attributes of every view, with noise for so much of a unit."""
    rng, used = np.random.default_rng(1), rows_used(database.schema)
    transcripts = {}
    for table, records in view_datasets(database, bytes(32), used).items():
        sigma = noise * most_weight(database.schema.table(table), used[table])
        event = Event(
            stage="tables",
            mechanism="rounded-gaussian",
            rho=Fraction(1),
            sensitivity_squared=1,
            sigma_squared=Fraction(sigma) ** 2,
        )
        names = records.domain.attributes
        cliques = [*((name,) for name in names), *itertools.combinations(names, 2)]
        transcripts[table] = tuple(
            Measurement(
                clique=clique, values=exact + np.rint(rng.normal(0, sigma, exact.shape)).astype(int), event=event
            )
            for clique, exact in zip(cliques, records.marginals(cliques), strict=True)
        )
    return NoisyTables(transcripts=transcripts, used=used)


def aim(release: Database, members: Database, controls: Database, noisy: NoisyTables | None) -> Target:
    seen, inside, outside = (profile(database) for database in (release, members, controls))
    return Target(
        schema=seen.schema,
        synthetic=seen,
        members=Private(inside),
        controls=Private(outside),
        histories=Histories(synthetic=release, members=Private(members), controls=Private(controls), noisy=noisy),
    )


def world(seed: int, *, units: int = 250, copies: int = 0, made=clinic) -> Target:
    """As many members as controls; a release of which `copies` units are members', and noisy answers about them or others."""
    everybody = made(3 * units, np.random.default_rng(seed))
    members, controls, others = (taken(everybody, np.arange(k * units, (k + 1) * units)) for k in range(3))
    copied = taken(members, np.arange(copies))
    release = together(taken(others, np.arange(units - copies)), copied)
    return aim(release, members, controls, noisy_answers(copied if copies else others))


def attacked(name: str, target: Target, seed: int = 5) -> AttackResult:
    (result,) = attacks.get(name, {}).run(target, rng=np.random.default_rng(seed))
    return result


@pytest.mark.parametrize("made", [clinic, bank])
@pytest.mark.parametrize("name", NAMES)
def test_copied_histories_are_caught_and_other_peoples_are_not(name, made):
    caught = attacked(name, world(1, copies=250, made=made))
    assert statistics.fisher_p_value(caught.comparison) < 1e-6
    assert caught.comparison.excess <= attacks.get(name, {}).largest_excess + 0.02
    honest = attacked(name, world(2, made=made)).comparison
    assert statistics.excess_lower(honest, 0.005) <= 0 <= statistics.excess_upper(honest, 0.005)


@pytest.mark.parametrize("name", NAMES)
def test_laws_of_attacks_hold(name):
    attack, target = attacks.get(name, {}), world(3, units=60, copies=20)
    assert (attack.name, attack.threat[:5]) == (name, "that ")
    assert attack.possible(target)
    assert not attack.possible(replace(target, histories=None))
    assert attacked(name, target, seed=9) == attacked(name, target, seed=9)
    with pytest.raises(AuditError, match=r"needs .*histories, which this audit was not given"):
        attacked(name, replace(target, histories=None))
    one = clinic(1, np.random.default_rng(4))
    assert attacked(name, aim(one, one, one, noisy_answers(one))).attempts == 1
    bare = View(schema=target.schema, synthetic=target.synthetic, targets=target.members.open())
    with pytest.raises(AuditError, match="nothing to attack"):
        attack.attack(bare, rng=np.random.default_rng(0))


@pytest.mark.parametrize("name", NAMES)
def test_progress_says_nothing_of_how_many_people_there_are(name):
    def steps(units: int) -> set[tuple[str, int]]:
        told: set[tuple[str, int]] = set()
        with progress.listening(lambda stage, done, total, note: told.add((stage, total))):
            attacked(name, world(7, units=units))
        return told

    assert steps(40) == steps(51)


def test_histories_of_others_than_the_targets_are_refused():
    target = world(5, units=10)
    whole = replace(target.histories, members=Private(clinic(9, np.random.default_rng(6))))
    with pytest.raises(AuditError, match="a history of its own"):
        replace(target, histories=whole)


def test_answers_without_tables_are_no_finding():
    target = world(6, units=10)
    empty = NoisyTables(transcripts={"stays": ()}, used=target.histories.noisy.used)
    with pytest.raises(AuditError, match="hold no table"):
        attacked("history_ratio", replace(target, histories=replace(target.histories, noisy=empty)))


def moved(database: Database, rng: np.random.Generator) -> Database:
    """The same histories, each begun at another time: all dates of a unit move alike, and no root value stays."""
    days, tables = rng.integers(-300, 300, database.units), {}
    for terms in database.schema.tables:
        rows = database.tables[terms.name]
        ticks = {}
        for column in terms.content.modelled:
            old = rows.records.ticks[column.name]
            if terms.parent is None:
                ticks[column.name] = rng.permutation(old)
            elif column.kind == "date":
                ticks[column.name] = np.where(old == MISSING, MISSING, old + days[rows.unit])
            else:
                ticks[column.name] = old
        tables[terms.name] = replace(rows, records=Records(schema=terms.content, ticks=ticks))
    return Database(schema=database.schema, tables=tables)


def test_a_history_that_is_moved_in_time_is_still_seen_by_its_gaps():
    target = world(8, units=300, made=bank)
    copies = moved(taken(target.histories.members.open(), np.arange(60)), np.random.default_rng(1))
    release = together(taken(target.histories.synthetic, np.arange(240)), copies)
    leaky = aim(release, target.histories.members.open(), target.histories.controls.open(), None)
    assert statistics.fisher_p_value(attacked("exact_match", leaky).comparison) > 0.01
    (found,) = attacks.get("sequence_matching", {"share": 0.05}).run(leaky, rng=np.random.default_rng(2))
    assert statistics.fisher_p_value(found.comparison) < 1e-4


def test_the_longest_surprising_stretch_is_what_counts():
    """One person has six stays with their diagnoses, and stands in the release; nobody else does."""
    rng = np.random.default_rng(9)
    people, others = clinic(40, rng, biggest=6), clinic(40, rng)
    alike = together(others, taken(people, np.arange(1)))
    view = View(
        schema=profile(people).schema,
        synthetic=profile(alike),
        targets=profile(people),
        histories=SeenHistories(synthetic=alike, targets=people),
    )
    (found,) = attacks.get("sequence_matching", {}).attack(view, rng=rng)
    assert found.score.argmax() == 0
    (short,) = attacks.get("sequence_matching", {"longest": 1}).attack(view, rng=rng)
    assert short.score[0] < found.score[0] / 2


def test_the_ratio_is_the_best_linear_test_with_the_target_left_out(monkeypatch):
    """Against the covariance matrix over all cells, written out, of all other targets."""
    monkeypatch.setattr(contributions, "_SHRUNK", 0.2)
    monkeypatch.setattr(contributions, "_CELLS", 4)
    rng, targets = np.random.default_rng(10), 12
    domain = Domain(("a", "b"), (3, 2))
    unit = np.sort(rng.integers(0, targets, 40))
    columns = {"a": rng.integers(0, 3, 40), "b": rng.integers(0, 2, 40)}
    rows = replace(Dataset.from_columns(columns, domain, unit), weights=rng.integers(1, 9, 40))
    event = Event(
        stage="t", mechanism="rounded-gaussian", rho=Fraction(1), sensitivity_squared=1, sigma_squared=Fraction(50)
    )
    found = [
        Measurement(clique=clique, values=rng.integers(0, 300, domain.shape(clique)), event=event)
        for clique in (("a",), ("a", "b"))
    ]
    tables = [Contributions.of(one, rows, targets) for one in found]
    score = history_likelihood_ratio(tables, targets=targets, report=lambda done, total: None)

    added = np.zeros((targets, 3 + 6))
    for row in range(40):
        a, b = columns["a"][row], columns["b"][row]
        added[unit[row], [a, 3 + 2 * a + b]] += rows.weights[row]
    counts, mean = np.concatenate([one.values.reshape(-1) for one in found]), added.mean(axis=0)
    units = contributions.measured_units(tables)
    spread = units * (1 + units / targets)
    apart = added - mean
    noise = np.diag(float(found[0].variance) + 0.2 * spread * (apart**2).mean(axis=0))
    for target in range(targets):
        others = np.delete(apart, target, axis=0)
        inverse = np.linalg.inv(noise + 0.8 * spread / targets * others.T @ others)
        mean_of_others = mean - apart[target] / (targets - 1)
        expected = apart[target] @ inverse @ (counts - units * mean_of_others - apart[target] / 2)
        assert score[target] == pytest.approx(expected, rel=1e-3, abs=1e-3)


def test_what_targets_add_is_counted_as_it_was_measured():
    people = clinic(30, np.random.default_rng(11), biggest=20)
    noisy = noisy_answers(people, noise=1e-3)
    encoded = view_datasets(people, bytes(32), noisy.used)
    for table, answers in noisy.transcripts.items():
        found = [Contributions.of(one, encoded[table], 30) for one in answers]
        assert contributions.measured_units(found) == pytest.approx(30, rel=0.01)
        for one in found:
            exact = np.bincount(one.cell, weights=one.weight, minlength=len(one.count))
            assert np.allclose(exact, one.count, atol=3)


def test_where_tables_have_more_cells_than_asked_for_some_are_drawn_at_random(monkeypatch):
    seen: list[int] = []
    monkeypatch.setattr(
        "privsynth.attacks.history_ratio.history_likelihood_ratio",
        lambda tables, targets, report: seen.append(sum(len(one.count) for one in tables)) or np.zeros(targets),
    )
    target = world(12, units=40)
    for seed in range(4):
        attacks.get("history_ratio", {"cells": 100}).run(target, rng=np.random.default_rng(seed))
    assert len(set(seen)) > 1
    assert min(seen) > 100
