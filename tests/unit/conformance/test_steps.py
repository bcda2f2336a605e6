"""Gradient steps in the ledger of a fit: one key and one use of noise each, and as many as are accounted for."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np

from privsynth.conformance.events import payments
from privsynth.conformance.fits import Run, recorded
from privsynth.conformance.tables import Laboratory
from privsynth.conformance.watching import Trained, Watch
from privsynth.measurement import Trained as TrainedEntry
from privsynth.privacy.noise import UnsafeSeededNoise
from privsynth.replay import RecordingNoise
from tests.kill_matrix.defect import DOMAIN, RHO, ROW
from tests.tiny_training import TinyTraining


def run(watch: Watch) -> Run:
    trained = Trained.of(TinyTraining(), ROW, RHO, None)
    assert trained is not None
    laboratory = Laboratory(DOMAIN, ROW, columns=4, levels=5, trained=True)
    table = laboratory.table(200, np.random.default_rng(1))
    return recorded(trained.watched(watch), table, UnsafeSeededNoise(1))


def test_every_step_is_found_with_its_key_and_its_chunks() -> None:
    watch = Watch()
    found = run(watch)
    accounts = payments(found.noise.calls, found.transcript)
    assert not accounts.problems
    assert len(accounts.steps) == len(watch.steps) == 8
    assert [len(found.noise.keys_before(step.call)) for step in accounts.steps] == [1] * 8
    assert {step.rate for step in accounts.steps} == {Fraction(1, 4)}
    assert all(step.chunks for step in watch.steps)
    assert sum(asked.is_step for asked in found.asked()) == 8


def test_steps_that_are_missing_or_too_many_are_not_paid_for() -> None:
    found = run(Watch())
    (entry,) = [entry for entry in found.transcript if isinstance(entry, TrainedEntry)]
    for steps, problem in ((7, "a use of noise that no event pays for"), (9, 'stage "gradients": 9 gradient steps')):
        changed = TrainedEntry(weights=entry.weights, event=replace(entry.event, steps=steps))
        accounts = payments(found.noise.calls, (*found.transcript[:-1], changed))
        assert accounts.problems[0].startswith(problem)


def test_keys_are_those_between_two_calls() -> None:
    noise = RecordingNoise(UnsafeSeededNoise(1))
    keys = [noise.key(), noise.key()]
    noise.gaussian(np.zeros(2, dtype=np.int64), Fraction(4))
    noise.gaussian(np.zeros(2, dtype=np.int64), Fraction(4))
    keys.append(noise.key())
    noise.gaussian(np.zeros(2, dtype=np.int64), Fraction(4))
    assert [noise.keys_before(turn) for turn in range(3)] == [(keys[0], keys[1]), (), (keys[2],)]
