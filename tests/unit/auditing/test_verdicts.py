"""Parts of the rule: how error rates are spent, what a score attack's curve says, what the controls are made of."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from typing import ClassVar

import numpy as np
import pytest

from privsynth.attack import AbstractAttack, AttackResult, Outcome, Target, Tier, View
from privsynth.audit_plan import AttackEntry, AuditPlan
from privsynth.auditing import own_controls, verdicts
from privsynth.auditing.people import People
from privsynth.epsilon_bounds import gaussian_delta
from privsynth.findings import Claim, Finding
from privsynth.privacy.sampled_gaussian import SampledGaussian, loss_delta, loss_epsilon
from privsynth.private import Private
from privsynth.records import Records
from privsynth.schema import Schema
from tests.attackers import noisy_answers

SCHEMA = Schema.from_domain({"code": 5000})


def test_looks_spend_an_error_rate_once_and_the_last_half_of_it() -> None:
    assert verdicts.spending(1) == [1]
    assert verdicts.spending(2) == [0.5, 0.5]
    assert verdicts.spending(4) == [0.125, 0.125, 0.25, 0.5]
    assert all(sum(verdicts.spending(count)) == 1 for count in range(1, 8))


def test_a_claim_of_epsilon_and_delta_alone_has_a_ceiling() -> None:
    claim = Claim(epsilon=math.log(3), delta=0.1, rho=None, unit="row")
    assert verdicts.ceiling(claim) == pytest.approx((3 - 1 + 0.2) / 4)
    assert verdicts.ceiling(None) is None


def test_the_lines_of_a_claim_are_its_ceiling_epsilon_at_delta_and_at_a_larger_delta() -> None:
    assert verdicts.claimed(None) == ()
    vendor = Claim(epsilon=math.log(3), delta=0.1, rho=None, unit="row")
    assert [(line.slope, line.offset) for line in verdicts.claimed(vendor)] == [
        (1.0, pytest.approx(0.55)),
        (pytest.approx(3), 0.1),
    ]
    gaussian = Claim(epsilon=1.0, delta=1e-6, rho=0.02, unit="row", composition="gdp")
    sharp = verdicts.claimed(gaussian)[2]
    assert gaussian_delta(0.2, math.log(sharp.slope)) == pytest.approx(1e-3, rel=1e-3)
    assert sharp.offset == pytest.approx(1e-3 + 1e-6)
    assert verdicts.claimed(Claim(epsilon=800.0, delta=0.0, rho=None, unit="row")) == ()


def test_the_lines_of_a_claim_with_gradient_steps_are_those_of_its_losses() -> None:
    training = SampledGaussian(sampling_rate=Fraction(1, 50), steps=500, noise_multiplier=Fraction(5, 2))
    rho = Fraction(1, 50)
    known = Claim(
        epsilon=loss_epsilon(training, rho=rho, delta=Fraction(1, 10**6)),
        delta=1e-6,
        rho=float(rho),
        unit="row",
        composition="pld",
        training=training,
    )
    told, tight = replace(known, rho=None, training=None, composition="zcdp"), verdicts.ceiling(known)
    assert tight == pytest.approx(loss_delta(training, rho=rho, epsilon=0.0), rel=1e-3)
    assert 0 < tight < 0.7 * (verdicts.ceiling(told) or 0)
    sharp = verdicts.claimed(known)[2]
    assert sharp.slope == pytest.approx(math.exp(loss_epsilon(training, rho=rho, delta=Fraction(1, 1000))), rel=1e-3)
    bought = replace(known, composition="rdp")
    assert verdicts.ceiling(bought) == verdicts.ceiling(told)
    assert verdicts.claimed(bought)[2].slope > sharp.slope


def row_of(
    members: int, controls: int, *, claim: Claim | None = None, limit: float = 0.06, times: float = 1
) -> Finding:
    look = verdicts.Look(
        attempts=2000,
        pool=2000,
        alpha_pass=0.025,
        alpha_fail=0.01,
        enough=True,
        ceiling=verdicts.ceiling(claim),
        claimed=verdicts.claimed(claim),
    )
    trial = verdicts.Trial(attack=Scoring(), group="everyone", limit=limit, times=times)
    result = AttackResult(label="a", attempts=2000, members=members, controls=controls, failed=0, baseline=0.0)
    rejected = verdicts.adjusted({trial: [result]}, look, of=20)[trial, "a"]
    return verdicts.judged(trial, result, rejected, look, AuditPlan.load("quick").release)


def test_a_few_members_whom_the_claim_does_not_explain_fail_far_below_the_limit() -> None:
    claim = Claim(epsilon=1.0, delta=1e-6, rho=None, unit="row")
    assert row_of(50, 0).verdict == "PASS"
    row = row_of(50, 0, claim=claim)
    assert row.verdict == "FAIL"
    assert "the guarantee does not hold" in row.meaning
    assert (
        row.figures["adjusted p-value of the claim"]
        <= 0.01
        < row.figures["adjusted p-value of no leak above the limit"]
    )
    assert row_of(125, 50, claim=claim).verdict == "PASS", "2.5 times as often is what e allows"
    assert row_of(1000, 1000, claim=claim).verdict == "PASS"


def test_a_limit_beyond_so_many_times_the_controls_rate() -> None:
    assert row_of(0, 0, limit=0.01, times=2).verdict == "PASS"
    assert row_of(70, 0, limit=0.01, times=2).verdict == "FAIL"
    assert row_of(110, 100, limit=0.01, times=2).verdict == "PASS"
    assert row_of(110, 100, limit=0.01).verdict == "INCONCLUSIVE"
    assert row_of(400, 100, limit=0.01, times=2).verdict == "FAIL"
    unclear = row_of(25, 2, limit=0.01, times=2)
    assert unclear.verdict == "INCONCLUSIVE"
    assert "people in each table are enough. If there were that many, it most likely leaks a little" in unclear.meaning
    assert "a smaller epsilon (release_epsilon in the policy) or more people to fit on lower that" in unclear.meaning


class Scoring(AbstractAttack):
    """Scores targets by their code, and keeps what it saw."""

    name: ClassVar[str] = "scoring"
    threat: ClassVar[str] = "that codes tell"
    tier: ClassVar[Tier] = "release only"
    seen: ClassVar[list[View]] = []

    def attack(self, view: View, *, rng: np.random.Generator) -> tuple[Outcome, ...]:
        self.seen.append(view)
        code = view.targets.ticks["code"]
        flags = np.isin(code, view.synthetic.ticks["code"])
        return (
            Outcome(
                label="scoring",
                success=flags,
                attempted=np.ones_like(flags),
                baseline=0.1,
                score=code.astype(float),
            ),
        )


def people(codes: np.ndarray) -> Records:
    return Records(schema=SCHEMA, ticks={"code": codes.astype(np.int64)})


def test_low_rates_are_read_off_exactly_however_many_scores_there_are() -> None:
    """The 30 highest are members, then come 2 controls, then both in turn."""
    controls = np.array([4069, 4068, *range(0, 2 * 1998, 2)])
    members = np.array([*range(4070, 4100), *range(1, 2 * 1970, 2)])
    aim = Target(
        schema=SCHEMA,
        synthetic=people(members[:1]),
        members=Private(people(members)),
        controls=Private(people(controls)),
    )
    (result,) = Scoring().run(aim, rng=np.random.default_rng(0))
    for rate in (0.1, 0.01, 0.001):
        limit = np.sort(controls)[::-1][round(rate * 2000)]
        assert result.caught_at(rate) == (members > limit).sum() / 2000
    assert len(result.curve) <= 193
    assert AttackResult(label="a", attempts=1, members=0, controls=0, failed=0, baseline=0.0).caught_at(0.1) == 0


def test_rates_at_few_false_alarms_are_told_where_there_are_controls_enough() -> None:
    def told(attempts: int) -> list[str]:
        curve = ((0.0, 0.0), (0.0005, 0.2), (1.0, 1.0))
        result = AttackResult(label="a", attempts=attempts, members=0, controls=0, failed=0, baseline=0.0, curve=curve)
        figures = verdicts._figures(result)
        assert figures["area under the curve"] == result.area
        return [name.split("where ")[1] for name in figures if name.startswith("members called")]

    assert told(9999) == ["10 % of controls are", "1 % of controls are"]
    assert told(10_000)[-1] == "0.1 % of controls are"
    assert told(99) == []


def test_controls_recount_the_noisy_answers_of_what_they_present(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = AuditPlan.load("quick")
    attack = Scoring()
    monkeypatch.setattr(AuditPlan, "attacks", lambda plan: [(AttackEntry(name="scoring"), attack)])
    release = people(np.arange(4000, 4900))
    crowd = People.draw(
        schema=SCHEMA,
        synthetic=release,
        members=Private(people(np.arange(0, 600))),
        controls=Private(people(np.arange(1000, 2000))),
        transcript=noisy_answers(release, order=1, sigma=9),
        rng=np.random.default_rng(0),
    )
    Scoring.seen.clear()
    assert own_controls.planted_leak(plan, [attack], crowd, rng=np.random.default_rng(1)).verdict == "PASS"
    (planted,) = Scoring.seen
    assert planted.synthetic.rows == 500
    assert (planted.synthetic.ticks["code"] < 1000).sum() == 250
    Scoring.seen.clear()
    own_controls.holdout_as_release(plan, [attack], crowd, rng=np.random.default_rng(1))
    (holdout,) = Scoring.seen
    assert set(holdout.synthetic.ticks["code"]) <= set(range(1000, 2000))
    for view in (planted, holdout):
        assert view.transcript is not None
        (entry,) = view.transcript
        counts = np.bincount(view.synthetic.ticks["code"], minlength=5000)
        assert entry.values.tolist() == counts.tolist()  # type: ignore[union-attr]
