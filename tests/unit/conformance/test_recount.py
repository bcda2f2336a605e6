"""Tables counted afresh: of a right fit they agree, on its own table and on another; grouped, bought and bounded ones too."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from privsynth import generators
from privsynth.conformance import recount
from privsynth.conformance.fits import fit_of, recorded, replayed
from privsynth.conformance.purchases import Bought
from privsynth.conformance.tables import Laboratory
from privsynth.domain import Domain
from privsynth.privacy.noise import UnsafeSeededNoise
from privsynth.privacy.unit import PrivacyUnit
from privsynth.replay import Call
from tests.laboratory import DOMAIN, PATIENT, REPLACED, ROW, Pairs


def changed(call: Call) -> Call:
    """One record more in the last cell; another score."""
    return replace(call, exact=np.append(call.exact[:-1], call.exact[-1:] + 1))


def _kept_scores(then: Call, now: Call) -> Call:
    return then if then.kind == "exponential" else now


@pytest.mark.parametrize("unit", [ROW, PATIENT, REPLACED], ids=["row", "patient", "replaced"])
@pytest.mark.parametrize("wide", [False, True], ids=["all columns", "a wide one"])
def test_a_right_fit_s_tables_agree_and_others_do_not(unit: PrivacyUnit, wide: bool) -> None:
    laboratory = Laboratory(Domain((*DOMAIN.attributes, "wide"), (*DOMAIN.sizes, 300)), unit, columns=5, levels=5)
    laboratory = laboratory.wide() if wide else laboratory
    table, other = (laboratory.table(rows, np.random.default_rng(rows)) for rows in (300, 50))
    fit = fit_of(generators.get("latent_class", {}), unit, Fraction(unit.l2_squared))
    run = recorded(fit, table, UnsafeSeededNoise(1))
    again = replayed(fit, other, run)
    assert list(recount.problems(run, run.noise.calls, table, unit)) == []
    assert list(recount.problems(run, again, other, unit)) == []
    assert list(recount.problems(run, again, table, unit)) != []
    broken = [changed(call) for call in run.noise.calls]
    assert 'stage "one-way"' in next(recount.problems(run, broken, table, unit))
    assert not wide or any(entry.to_json().get("groups") for entry in run.transcript), "nothing was merged"


def test_tables_of_a_schema_that_was_bought_agree() -> None:
    bought = Bought.of(Pairs(), PATIENT)
    table = bought.pairs[0].table
    run = recorded(bought.fit, table, UnsafeSeededNoise(2))
    assert list(recount.problems(run, run.noise.calls, table, PATIENT)) == []
    broken = [*run.noise.calls[:3], *map(changed, run.noise.calls[3:])]
    assert list(recount.problems(run, broken, table, PATIENT)) != []


def test_scores_that_do_not_follow_the_records_are_seen() -> None:
    laboratory = Laboratory(DOMAIN, ROW, columns=4, levels=5)
    fit = fit_of(Pairs(), ROW, Fraction(1))
    run = recorded(fit, laboratory.table(200, np.random.default_rng(1)), UnsafeSeededNoise(1))
    crowds = laboratory.crowds()
    answered = [replayed(fit, table, run) for table in (crowds.table, crowds.other)]
    assert list(recount.unmoved(run, answered)) == []
    kept = [list(map(_kept_scores, run.noise.calls, calls)) for calls in answered]
    assert len(list(recount.unmoved(run, kept))) == 2
