"""Audit plans are read strictly, by name or path, and their digest is of the file's bytes."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

from privsynth import attacks, audit_plan
from privsynth.audit_plan import AuditPlan
from privsynth.errors import PolicyError

ROOT = Path(__file__).resolve().parents[2]
STANDARD = (ROOT / "audits" / "standard.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["quick", "standard", "thorough"])
def test_shipped_plans_are_the_files_that_users_read(name: str) -> None:
    public = (ROOT / "audits" / f"{name}.toml").read_bytes()
    plan = AuditPlan.load(name)
    assert plan.name == name
    assert plan.digest == hashlib.sha256(public).hexdigest()
    assert plan == AuditPlan.load(ROOT / "audits" / f"{name}.toml")


def test_every_shipped_plan_lies_in_audits_and_the_other_way_round() -> None:
    assert set(audit_plan.shipped()) == {path.stem for path in (ROOT / "audits").glob("*.toml")}


@pytest.mark.parametrize(("weak", "strong"), [("quick", "standard"), ("standard", "thorough")])
def test_a_longer_plan_is_nowhere_weaker_than_a_shorter_one(weak: str, strong: str) -> None:
    loose, strict = AuditPlan.load(weak), AuditPlan.load(strong)
    assert strict.release.tau <= loose.release.tau
    assert strict.release.tau_max <= loose.release.tau_max
    assert strict.release.attempts[0] >= loose.release.attempts[0]
    assert strict.release.attempts[-1] > loose.release.attempts[-1]
    limits = {entry.name: entry.tau or strict.release.tau for entry in strict.release.attacks}
    assert all(limits[entry.name] <= (entry.tau or loose.release.tau) for entry in loose.release.attacks)


def test_the_plans_try_every_attack_and_those_that_refit_in_the_thorough_one_alone() -> None:
    for name in audit_plan.shipped():
        tried = {attack.name for _, attack in AuditPlan.load(name).attacks()}
        refits = {other for other in attacks.NAMES if attacks.get(other, {}).needs == "the generator"}
        assert tried == set(attacks.NAMES) - (set() if name == "thorough" else refits)


def test_the_generator_of_a_plan_is_its_seed() -> None:
    first, second = AuditPlan.load("quick").rng(), AuditPlan.load("quick").rng()
    assert first.integers(1 << 60) == second.integers(1 << 60)
    assert first.integers(1 << 60) != AuditPlan.load("standard").rng().integers(1 << 60)


def test_a_plan_may_be_text() -> None:
    assert AuditPlan.loads(STANDARD) == AuditPlan.load("standard")
    assert AuditPlan.loads(STANDARD + "\n").digest != AuditPlan.load("standard").digest


@pytest.mark.parametrize("source", ["strict", "nowhere.toml", Path("nowhere.toml")])
def test_a_plan_that_is_not_there_is_an_error_that_says_where_it_looked(source: str | Path) -> None:
    with pytest.raises(PolicyError, match=r"standard|no such file"):
        AuditPlan.load(source)


@pytest.mark.parametrize(
    ("line", "instead", "complaint"),
    [
        ("tau = 0.05 ", "tau = nan ", r"line 12.*release.tau: .* found nan"),
        ("tau = 0.05 ", "tau = inf ", r"line 12.*release.tau"),
        ("tau = 0.05 ", "tau = -0.05 ", r"line 12.*release.tau"),
        ("tau = 0.05 ", "tau = 0 ", r"line 12.*release.tau"),
        ("tau = 0.05 ", "tau = true ", r"line 12.*release.tau"),
        ("tau = 0.05 ", 'tau = "0.05" ', r"line 12.*release.tau"),
        ("tau = 0.05 ", "", r'"release.tau" is missing'),
        ("tau = 0.05 ", "tua = 0.05 ", r'unknown key "release.tua"'),
        ("alpha_fail = 0.01 ", "alpha_fail = 1.0 ", r"release.alpha_fail"),
        ("attempts = [1000, 4000, 16000]", "attempts = [4000, 4000]", "more people than the one before"),
        ("attempts = [1000, 4000, 16000]", "attempts = []", "release.attempts"),
        ("attempts_min = 1000", "attempts_min = 5000", "at most 1000"),
        ("attempts_min = 1000", "attempts_min = 1000\nattempts_min = 2", "given twice"),
        ('name = "near_match"', 'name = "nearest"', 'there is no attack "nearest"'),
        ("tolerance = 0.05", "tolerance = 0.9", 'attack "attribute_inference": tolerance'),
        ("tolerance = 0.05", "tolerant = 0.05", 'attack "attribute_inference": unknown key "tolerant"'),
        ("runs = 20", "runs = 1", "conformance.runs"),
    ],
)
def test_a_wrong_plan_is_refused_with_its_place(line: str, instead: str, complaint: str) -> None:
    assert line in STANDARD
    with pytest.raises(PolicyError, match=re.compile(complaint, re.DOTALL)):
        AuditPlan.loads(STANDARD.replace(line, instead, 1))


def test_a_plan_without_attacks_is_refused() -> None:
    text = "".join(part for part in re.split(r"(?=\n\[)", STANDARD) if "[[release.attacks]]" not in part)
    with pytest.raises(PolicyError, match=r"release\.attacks"):
        AuditPlan.loads(text)


def test_a_limit_that_an_attack_could_not_exceed_is_refused() -> None:
    """Near match calls 5 % of all: no more than 10 points can be between members and controls."""
    text = STANDARD.replace("tau_max = 0.075\n", "tau_max = 0.08\n")
    assert text != STANDARD
    with pytest.raises(PolicyError, match=r"near_match.*an excess of 0.1 at most.*tau_max = 0.08.*of 0.075 or less"):
        AuditPlan.loads(text)
    with pytest.raises(PolicyError, match=r"near_match.*tau = 0.05"):
        AuditPlan.loads(
            STANDARD.replace("tau_max = 0.075\nsettings = {share = 0.05}", "tau_max = 0.075\nsettings = {share = 0.03}")
        )
