"""What a row of the kill matrix is, and how a broken generator is audited: with the plans and entry points that users have."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol, TypeAlias

import numpy as np
import pytest

from privsynth import auditing
from privsynth.audit_plan import AuditPlan
from privsynth.domain import Domain
from privsynth.findings import Claim, Findings
from privsynth.generator import AbstractGenerator
from privsynth.privacy.noise import UnsafeSeededNoise
from privsynth.privacy.source import AbstractNoiseSource
from privsynth.privacy.unit import NeighboringRelation, PrivacyUnit
from tests.kill_matrix.generators import Rounds

Break: TypeAlias = Callable[[pytest.MonkeyPatch], None]
"""Puts a defect into the library, for the length of one test."""

Promise: TypeAlias = Callable[[Fraction, PrivacyUnit], Claim]
"""From what is spent to what a release says."""

DOMAIN = Domain(("age", "sex", "ward code", "stay"), (7, 2, 40, 5))
ROW = PrivacyUnit(name="row")
PATIENT = PrivacyUnit(name="patient", column="patient", max_rows=3)
REPLACED = PrivacyUnit(name="patient", column="patient", max_rows=2, relation=NeighboringRelation.REPLACE_ONE)
RHO = Fraction(1, 8)


class Target(Protocol):
    """Something that is audited as a user would audit it."""

    def audited(self, patch: pytest.MonkeyPatch, seed: int) -> Findings: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Defect:
    """One broken generator or path, with one defect.

    `drawn_from` is the published bug that it is modelled on, with its address; `caught_by` the check that has to fail.
    """

    name: str
    drawn_from: str
    what: str
    target: Target
    caught_by: str


def unbroken(patch: pytest.MonkeyPatch) -> None:
    """Leave the library as it is: the generator or its noise is what is broken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conformance:
    """A generator, a unit and a noise source, for the half of the audit that needs no data."""

    generator: Callable[[], AbstractGenerator] = Rounds
    unit: PrivacyUnit = PATIENT
    noise: Callable[[int], AbstractNoiseSource] = UnsafeSeededNoise
    broken: Break = unbroken
    rho: Fraction = RHO
    promise: Promise | None = None
    plan: str = "quick"

    def audited(self, patch: pytest.MonkeyPatch, seed: int) -> Findings:
        """Break what is to be broken, then check conformance on public tables."""
        self.broken(patch)
        return auditing.conformance(
            AuditPlan.load(self.plan),
            self.generator(),
            domain=DOMAIN,
            unit=self.unit,
            rho=self.rho,
            noise=self.noise(seed),
            rng=np.random.default_rng(seed),
            claim=None if self.promise is None else self.promise(self.rho, self.unit),
        )
