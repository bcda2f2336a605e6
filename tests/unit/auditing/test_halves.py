"""The verdict: what passes, fails and stays open, and what of it may be published."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest

from privsynth import auditing, statistics
from privsynth.attack import AbstractAttack, AttackResult, Outcome, Tier, View
from privsynth.audit_plan import AttackEntry, AuditPlan
from privsynth.auditing import verdicts
from privsynth.auditing.people import People
from privsynth.errors import AuditError
from privsynth.findings import Claim, Finding, Findings
from privsynth.private import Private
from privsynth.records import Records
from privsynth.schema import Schema

SCHEMA = Schema.loads("""
[table]
name = "people"
unit = "person"
[columns.person]
kind = "identifier"
make = "P-########"
[columns.told]
kind = "boolean"
true = ["yes"]
false = ["no"]
[columns.odd]
kind = "integer"
lower = 0
upper = 1000000
bins = {method = "uniform", count = 2}
""")

PLAN = """
name = "test"
seed = 1
[release]
attempts = [200, 3200]
attempts_min = 200
tau = 0.10
tau_max = 0.30
isolated_pool = 200
isolated_share = 0.5
alpha_pass = 0.025
alpha_fail = 0.01
control_attempts = 100
planted_share = 0.5
alpha_control = 0.001
[[release.attacks]]
name = "exact_match"
[conformance]
columns = 2
levels = 3
rows = 10
runs = 2
alpha = 0.01
residuals_min = 10
"""


RELEASE = 900_000


class Told(AbstractAttack):
    """Succeeds on whom the column "told" says, and on whoever stands in the release."""

    name: ClassVar[str] = "told"
    threat: ClassVar[str] = "that it was told"
    tier: ClassVar[Tier] = "worst-case data"

    def attack(self, view: View, *, rng: np.random.Generator) -> tuple[Outcome, ...]:
        told = view.targets.ticks["told"] == 1
        found = np.isin(view.targets.ticks["odd"], view.synthetic.ticks["odd"])
        return (Outcome(label="told", success=told | found, attempted=np.ones_like(told), baseline=0.25),)


@pytest.fixture
def plan(monkeypatch: pytest.MonkeyPatch) -> AuditPlan:
    monkeypatch.setattr(AuditPlan, "attacks", lambda plan: [(plan.release.attacks[0], Told())])
    return AuditPlan.loads(PLAN)


def people(count: int, share: float, *, start: int, rows_each: int = 1) -> Records:
    """People of whom a share is told, evenly spread; everybody's `odd` is another number."""
    who = np.repeat(np.arange(count), rows_each)
    told = (np.floor((who + 1) * share) > np.floor(who * share)).astype(np.int64)
    names = tuple(f"{start + person}".encode() for person in range(count))
    return Records(
        schema=SCHEMA,
        ticks={"told": told, "odd": 2 * who + (start > 0) + 500_000 * (start == RELEASE)},
        units=who.astype(np.int64),
        unit_names=names,
    )


def audited(
    plan: AuditPlan, members: Records, controls: Records, *, claim: Claim | None = None, seed: int = 2
) -> dict[str, Finding]:
    return {row.check: row for row in audit_of(plan, members, controls, claim=claim, seed=seed).rows}


def audit_of(
    plan: AuditPlan, members: Records, controls: Records, *, claim: Claim | None = None, seed: int = 2
) -> Findings:
    return auditing.run(
        plan,
        schema=SCHEMA,
        synthetic=people(50, 0.0, start=RELEASE),
        members=Private(members),
        controls=Private(controls),
        claim=claim,
        rng=np.random.default_rng(seed),
    )


def rates(
    plan: AuditPlan, members: float, controls: float, *, count: int = 4000, claim: Claim | None = None
) -> Finding:
    found = audited(plan, people(count, members, start=0), people(count, controls, start=100_000), claim=claim)
    return found["told, everyone"]


def test_equal_rates_pass_and_say_what_would_have_been_seen(plan: AuditPlan) -> None:
    row = rates(plan, 0.1, 0.1)
    assert row.verdict == "PASS"
    assert (row.threshold, row.ceiling, row.family) == (0.1, None, "release")
    assert row.detectable == pytest.approx(statistics.detectable_excess(200, alpha=0.0125) + 5e-5, abs=5e-5)
    assert row.meaning == (
        "The attack works less than 10 percentage points more often on people in the training data than on others "
        "(97.5 % confidence)."
    )
    assert row.threat == "that it was told (attacker has: worst-case data)"
    assert row.figures["baseline"] == 0.25


def test_a_clear_excess_fails(plan: AuditPlan) -> None:
    row = rates(plan, 0.5, 0.1)
    assert row.verdict == "FAIL"
    assert row.meaning.startswith("The release leaks")


def test_an_excess_at_the_limit_stays_open(plan: AuditPlan) -> None:
    row = rates(plan, 0.30, 0.20)
    assert row.verdict == "INCONCLUSIVE"
    assert row.figures["attempts"] == 3200


def test_what_the_first_look_leaves_open_the_second_one_decides(plan: AuditPlan) -> None:
    row = rates(plan, 0.27, 0.20)
    assert (row.verdict, row.figures["attempts"]) == ("PASS", 3200)
    assert row.detectable == pytest.approx(statistics.detectable_excess(200, alpha=0.0125) + 5e-5, abs=5e-5)
    assert rates(plan, 0.27, 0.20, count=400).verdict == "INCONCLUSIVE"


def test_each_look_has_its_share_of_the_error_rate(plan: AuditPlan) -> None:
    row = rates(plan, 0.1, 0.1)
    counts = statistics.Comparison(
        members=int(str(row.figures["member successes"])),
        member_attempts=200,
        controls=int(str(row.figures["control successes"])),
        control_attempts=200,
    )
    assert row.estimate == counts.excess
    assert row.interval == (statistics.excess_lower(counts, 0.0125), statistics.excess_upper(counts, 0.0125))


class Both(Told):
    """Reports what it was told, and a clear success of nobody."""

    def attack(self, view: View, *, rng: np.random.Generator) -> tuple[Outcome, ...]:
        (told,) = super().attack(view, rng=rng)
        found = np.isin(view.targets.ticks["odd"], view.synthetic.ticks["odd"])
        return (told, Outcome(label="nothing", success=found, attempted=told.attempted, baseline=0.0))


def test_what_a_look_has_decided_stays_decided(monkeypatch: pytest.MonkeyPatch, plan: AuditPlan) -> None:
    monkeypatch.setattr(AuditPlan, "attacks", lambda plan: [(plan.release.attacks[0], Both())])
    found = audited(plan, people(4000, 0.27, start=0), people(4000, 0.20, start=100_000))
    assert found["told, everyone"].figures["attempts"] == 3200
    assert found["nothing, everyone"].figures["attempts"] == 200


def test_the_error_rates_are_shared_out_to_the_looks(plan: AuditPlan) -> None:
    crowd = People.draw(
        schema=SCHEMA,
        synthetic=people(5, 0.0, start=RELEASE),
        members=Private(people(4000, 0.1, start=0)),
        controls=Private(people(1000, 0.1, start=100_000)),
        rng=np.random.default_rng(0),
    )
    looks = verdicts.looks(plan.release, crowd, None)
    assert [look.attempts for look in looks] == [200, 800]
    assert [look.pool for look in looks] == [200, 800]
    assert {(look.alpha_pass, look.alpha_fail) for look in looks} == {(0.0125, 0.005)}


def test_too_few_people_never_pass_but_may_fail(plan: AuditPlan) -> None:
    row = rates(plan, 0.0, 0.0, count=150)
    assert row.verdict == "INCONCLUSIVE"
    assert "fewer than 200 people" in row.meaning
    assert row.figures["attempts"] == 100
    assert rates(plan, 0.9, 0.0, count=150).verdict == "FAIL"


def test_an_excess_above_the_claim_s_ceiling_fails_below_the_limit(plan: AuditPlan) -> None:
    claim = Claim(epsilon=0.01, delta=1e-9, rho=1e-5, unit="person")
    row = rates(plan, 0.27, 0.20, claim=claim)
    assert row.ceiling == 0.0023
    assert row.verdict == "FAIL"
    assert "the guarantee does not hold" in row.meaning
    assert rates(plan, 0.27, 0.20).verdict == "PASS"


def test_a_ceiling_never_lets_through_what_the_limit_forbids(plan: AuditPlan) -> None:
    claim = Claim(epsilon=50.0, delta=0.0, rho=40.0, unit="person")
    assert rates(plan, 0.5, 0.1, claim=claim).verdict == "FAIL"


def test_isolated_people_have_a_row_and_a_limit_of_their_own(plan: AuditPlan) -> None:
    """The odd ones, far from all others, are told; they are too few to matter on average."""
    members, controls = people(4000, 0.0, start=0), people(4000, 0.0, start=100_000)
    far = np.arange(4000) % 20 == 0
    odd = np.where(far, 500_000 + 97 * np.arange(4000) ** 2 % 499_979, members.ticks["odd"] % 7)
    members = Records(
        schema=SCHEMA,
        ticks={"told": far.astype(np.int64), "odd": odd},
        units=members.units,
        unit_names=members.unit_names,
    )
    odd = np.where(far, 500_000 + 89 * np.arange(4000) ** 2 % 499_979, controls.ticks["odd"] % 7)
    controls = Records(
        schema=SCHEMA,
        ticks={"told": np.zeros(4000, dtype=np.int64), "odd": odd},
        units=controls.units,
        unit_names=controls.unit_names,
    )
    text = PLAN.replace("isolated_share = 0.5", "isolated_share = 0.04").replace("pool = 200", "pool = 1600")
    found = audited(AuditPlan.loads(text), members, controls)
    assert found["told, everyone"].verdict == "PASS"
    assert found["told, the most isolated people"].verdict == "FAIL"
    assert found["told, the most isolated people"].threshold == 0.3


def test_an_attack_may_have_limits_of_its_own(monkeypatch: pytest.MonkeyPatch, plan: AuditPlan) -> None:
    entry = AttackEntry(name="told", tau=0.45, tau_max=0.5)
    monkeypatch.setattr(AuditPlan, "attacks", lambda plan: [(entry, Told())])
    found = audited(plan, people(4000, 0.5, start=0), people(4000, 0.1, start=100_000))
    assert [found[f"told, {group}"].threshold for group in ("everyone", "the most isolated people")] == [0.45, 0.5]
    assert found["told, everyone"].verdict == "PASS"


def test_hypotheses_are_corrected_together() -> None:
    """The same counts that fail alone do not fail among many, and a trial's many hypotheses cost the others nothing."""
    look = verdicts.Look(attempts=200, pool=200, alpha_pass=0.025, alpha_fail=0.01, enough=True, ceiling=None)
    trial = verdicts.Trial(attack=Told(), group="everyone", limit=0.1)
    other = verdicts.Trial(attack=Told(), group="the most isolated people", limit=0.1)

    def counted(label: str, members: int) -> AttackResult:
        return AttackResult(label=label, attempts=200, members=members, controls=9, failed=0, baseline=0.0)

    shown, others = counted("0", 50), [counted(str(n), 9) for n in range(1, 40)]

    def p_value(results: verdicts.Results, of: int) -> float:
        return verdicts.adjusted(results, look, of=of)[trial, "0"].limit

    alone = p_value({trial: [shown]}, 1)
    assert alone <= 0.01
    assert p_value({trial: [shown, *others]}, 1) > 0.01
    assert p_value({trial: [shown]}, 40) > 0.01
    two = p_value({trial: [shown], other: [others[0]]}, 2)
    assert two == pytest.approx(p_value({trial: [shown], other: others}, 2))
    assert two == pytest.approx(2 * alone, rel=0.1)


# ---- the audit's own controls ----------------------------------------------------------------------------------------


def test_the_planted_leak_and_the_holdout_pass_where_nothing_is_wrong(plan: AuditPlan) -> None:
    found = audited(plan, people(4000, 0.1, start=0), people(4000, 0.1, start=100_000))
    assert found["control: planted leak"].verdict == "PASS"
    assert found["control: planted leak"].figures["noticed, told"] == "a share"
    assert found["control: holdout as release"].verdict == "PASS"


class Blind(Told):
    """Sees nothing of the release, whatever is in it."""

    def attack(self, view: View, *, rng: np.random.Generator) -> tuple[Outcome, ...]:
        coin = rng.random(view.targets.rows) < 0.5
        return (Outcome(label="told", success=coin, attempted=np.ones_like(coin), baseline=0.0),)


def test_an_attack_that_does_not_see_a_planted_leak_lets_nothing_pass(
    monkeypatch: pytest.MonkeyPatch, plan: AuditPlan
) -> None:
    monkeypatch.setattr(AuditPlan, "attacks", lambda plan: [(plan.release.attacks[0], Blind())])
    row = audited(plan, people(4000, 0.1, start=0), people(4000, 0.1, start=100_000))["control: planted leak"]
    assert row.verdict == "INCONCLUSIVE"
    assert "cannot see a leak planted on purpose" in row.meaning
    assert row.figures["noticed, told"] == "nothing"


def test_a_leak_seen_only_when_all_are_copied_is_said_to_be(plan: AuditPlan) -> None:
    text = PLAN.replace("planted_share = 0.5", "planted_share = 0.05")
    found = audited(AuditPlan.loads(text), people(4000, 0.3, start=0), people(4000, 0.3, start=100_000))
    assert found["control: planted leak"].figures["noticed, told"] == "all"


def test_what_is_published_does_not_tell_how_many_people_there_are(plan: AuditPlan) -> None:
    def rows(n: int) -> list[object]:
        return [row.public() for row in audited(plan, people(n, 0, start=0), people(n, 0, start=100_000)).values()]

    assert rows(3999) == rows(3199) == rows(500)


@pytest.mark.parametrize(("members", "controls"), [(0.9, 0.1), (0.1, 0.9)])
def test_groups_that_differ_without_the_release_fail(plan: AuditPlan, members: float, controls: float) -> None:
    found = audited(plan, people(4000, members, start=0), people(4000, controls, start=100_000))
    row = found["control: holdout as release"]
    assert row.verdict == "FAIL"
    assert "draw the controls at random" in row.meaning


# ---- people ----------------------------------------------------------------------------------------------------------


def test_somebody_in_both_groups_is_an_error_that_does_not_say_who(plan: AuditPlan) -> None:
    with pytest.raises(AuditError, match="among the members and among the controls") as caught:
        audited(plan, people(300, 0.1, start=0), people(300, 0.1, start=299))
    assert "299" not in str(caught.value)


def test_a_unit_counts_once_however_many_rows_it_has(plan: AuditPlan) -> None:
    found = audited(plan, people(20, 0.1, start=0, rows_each=50), people(1000, 0.1, start=100_000))
    assert found["told, everyone"].figures["attempts"] == 12


def test_empty_tables_are_an_error(plan: AuditPlan) -> None:
    some, none = people(10, 0.1, start=0), people(0, 0.1, start=100_000)
    for members, controls in ((none, some), (some, none)):
        with pytest.raises(AuditError, match="one of the tables is empty"):
            audited(plan, members, controls)


def test_an_open_schema_is_an_error(plan: AuditPlan) -> None:
    schema = Schema.loads('[table]\nname = "t"\n[columns.c]\nkind = "category"\nbuy = true\n')
    table = Records(schema=schema, ticks={"c": np.zeros(3, dtype=np.int64)}, labels={"c": ("a",)})
    with pytest.raises(AuditError, match="nothing left to buy"):
        auditing.run(
            plan,
            schema=schema,
            synthetic=table,
            members=Private(table),
            controls=Private(table),
            claim=None,
            rng=np.random.default_rng(0),
        )


# ---- what may be published -------------------------------------------------------------------------------------------


def test_nothing_published_depends_on_the_people_but_the_verdict(plan: AuditPlan) -> None:
    def published(members: int, controls: int, share: float) -> list[dict[str, object]]:
        found = audited(plan, people(members, share, start=0), people(controls, share, start=100_000))
        return [dict(row.public()) for row in found.values()]

    first = published(3999, 3700, 0.02)
    assert {row["verdict"] for row in first} == {"PASS"}
    assert published(3601, 3999, 0.05) == first
    assert all("figures" not in row for row in first)


def test_a_seed_repeats_the_audit(plan: AuditPlan) -> None:
    tables = people(4000, 0.1, start=0), people(4000, 0.1, start=100_000)
    assert audited(plan, *tables) == audited(plan, *tables)
    assert audited(plan, *tables) != audited(plan, *tables, seed=3)
