"""Conformance of generators that train under DP-SGD: a small one in numpy, and those on torch where it is installed."""

from __future__ import annotations

import importlib
from fractions import Fraction

import numpy as np
import pytest

from privsynth import auditing
from privsynth.audit_plan import AuditPlan
from privsynth.domain import Domain
from privsynth.epsilon_bounds import implied_epsilon
from privsynth.errors import MechanismError
from privsynth.findings import Claim, Findings
from privsynth.generator import AbstractGenerator
from privsynth.privacy.noise import SystemNoise
from privsynth.privacy.sampled_gaussian import SampledGaussian
from privsynth.privacy.unit import PrivacyUnit
from tests.kill_matrix.defect import DOMAIN, PATIENT, REPLACED, RHO, ROW
from tests.tiny_training import TinyTraining

DEEP = {"vae": "VAE", "gan": "GAN"}


def audited(
    generator: AbstractGenerator, unit: PrivacyUnit, seed: int = 1, claim: Claim | None = None, domain: Domain = DOMAIN
) -> Findings:
    return auditing.conformance(
        AuditPlan.load("quick"),
        generator,
        domain=domain,
        unit=unit,
        rho=RHO,
        noise=SystemNoise(),
        rng=np.random.default_rng(seed),
        claim=claim,
    )


@pytest.mark.parametrize("unit", [ROW, PATIENT], ids=["row", "patient"])
def test_a_generator_that_trains_passes(unit: PrivacyUnit) -> None:
    found = audited(TinyTraining(), unit)
    assert found.verdict == "PASS"
    checks = [row.check for row in found.rows]
    assert {"gradients: sampling", "gradients: single records", "gradients: canaries"} <= set(checks)
    assert {"sampling: rate", "sampling: independence"} <= set(checks)
    assert not {"transcript: gradients"} & set(checks)


def test_it_passes_on_a_single_column() -> None:
    assert audited(TinyTraining(), PATIENT, domain=DOMAIN.project(("stay",))).verdict == "PASS"


def test_units_that_are_replaced_are_refused() -> None:
    with pytest.raises(MechanismError, match="adding or removing"):
        audited(TinyTraining(), REPLACED)


def promised(epsilon: float, plan: SampledGaussian) -> Claim:
    return Claim(epsilon=epsilon, delta=1e-5, rho=float(RHO), unit="row", composition="pld", training=plan)


@pytest.mark.parametrize(("share", "verdict"), [(1.0, "PASS"), (0.98, "FAIL")])
def test_what_all_steps_cost_is_worked_out_again(share: float, verdict: str) -> None:
    plan = SampledGaussian(sampling_rate=Fraction(1, 100), steps=1000, noise_multiplier=Fraction(1))
    epsilon = share * implied_epsilon(float(RHO), 1e-5, "pld", plan)
    (row,) = [row for row in audited(TinyTraining(), ROW, 1, promised(epsilon, plan)).rows if "accounting" in row.check]
    assert row.verdict == verdict


@pytest.mark.parametrize("name", DEEP)
def test_a_deep_generator_passes(name: str) -> None:
    pytest.importorskip("torch")
    kind = getattr(importlib.import_module(f"privsynth.generators.{name}"), DEEP[name])
    assert audited(kind(), PATIENT, 2).verdict == "PASS"
