"""A refresh keeps its claim on made-up tables: both parts, moved and kept; and one that peeks is caught."""

import numpy as np
import pyarrow as pa
import pytest

from privsynth import auditing, records
from privsynth.attack import Target
from privsynth.attacks.transcript_ratio import TranscriptRatio
from privsynth.audit_plan import AuditPlan
from privsynth.errors import AuditError
from privsynth.privacy.noise import UnsafeSeededNoise
from privsynth.privacy.unit import PrivacyUnit
from privsynth.private import Private
from privsynth.refreshing import measuring
from tests import made_refresh as made


def checked(**changes):
    return auditing.conformance(
        AuditPlan.load("quick"),
        made.refreshed(made.prior(rows=3000), **changes),
        domain=made.DOMAIN,
        unit=PrivacyUnit(name="row"),
        rho=made.budget().rho,
        noise=UnsafeSeededNoise(5),
        rng=np.random.default_rng(5),
    )


def test_both_parts_together_pass_whatever_moves(monkeypatch):
    ways = set()
    renew = measuring.renew

    def watched(curator, prior, decision, answers, rho):
        ways.add((bool(decision.fresh), bool(decision.fresh_pairs), decision.nothing))
        renew(curator, prior, decision, answers, rho)

    monkeypatch.setattr(measuring, "renew", watched)
    assert checked().verdict == "PASS"
    assert {(True, False, False), (False, True, False), (False, False, True)} <= ways


def test_a_drift_test_that_spends_by_the_true_number_of_records_is_caught(monkeypatch):
    watch = measuring.watch

    def peeking(curator, prior, rho, false_alarm):
        watch(curator, prior, rho / (1 + curator._data.open().rows % 2), false_alarm)

    monkeypatch.setattr(measuring, "watch", peeking)
    assert "replay: invariance" in {row.check for row in checked().rows if row.verdict == "FAIL"}


def test_what_is_kept_is_no_answer_about_the_people_who_are_attacked():
    generator = made.refreshed(made.prior(rows=3000))
    transcript = made.fitted(made.people(3000, 2), generator, 2)
    whole = generator.with_kept(made.DOMAIN, transcript)
    assert len(whole) > len(transcript)
    assert measuring.own(whole) == transcript
    with pytest.raises(AuditError):
        TranscriptRatio().run(_target(measuring.own(whole[len(transcript) :])), rng=np.random.default_rng(1))


def _target(transcript):

    some = records.read(pa.table(made.people(50, 3)), made.SCHEMA)
    return Target(
        schema=made.SCHEMA,
        synthetic=some.open(),
        members=Private(some.open()),
        controls=Private(some.open()),
        transcript=transcript,
    )
