"""A made-up population, and releases about it: right ones, and ones that leak."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pytest

from privsynth import auditing
from privsynth.attack import together
from privsynth.audit_plan import AuditPlan
from privsynth.findings import Claim, Findings
from privsynth.private import Private
from privsynth.records import Records
from privsynth.schema import Schema

SCHEMA = Schema.loads("""
[table]
name = "stays"
[columns.ward]
kind = "category"
values = ["a", "b", "c", "d", "e", "f", "g", "h", "i"]
role = "quasi"
[columns.age]
kind = "integer"
lower = 0
upper = 99
bins = {method = "uniform", count = 20}
role = "quasi"
[columns.postcode]
kind = "integer"
lower = 0
upper = 999
bins = {method = "uniform", count = 20}
role = "quasi"
[columns.income]
kind = "integer"
lower = 0
upper = 99999
bins = {method = "uniform", count = 20}
[columns.stay]
kind = "integer"
lower = 0
upper = 60
bins = {method = "uniform", count = 10}
[columns.diagnosis]
kind = "category"
values = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11"]
role = "sensitive"
""")
CLAIM = Claim(epsilon=1.0, delta=1e-5, rho=None, unit="row")

Release: TypeAlias = Callable[[Records, Records, np.random.Generator], Records]
"""What is released, from members, as many independent people, and convenience randomness."""


def people(rows: int, rng: np.random.Generator) -> Records:
    """Independent people; a hidden type moves every column."""
    kind = rng.integers(0, 4, rows)
    ticks = {
        "ward": (2 * kind + rng.integers(0, 3, rows)) % 9,
        "age": (20 * kind + rng.normal(15, 8, rows)).clip(0, 99),
        "postcode": rng.integers(0, 1000, rows),
        "income": rng.lognormal(9.0 + kind / 4, 0.6, rows).clip(0, 99_999),
        "stay": rng.poisson(2.0 + kind, rows).clip(0, 60),
        "diagnosis": np.where(rng.random(rows) < 0.5, 3 * kind, rng.integers(0, 12, rows)),
    }
    return Records(schema=SCHEMA, ticks={name: values.astype(np.int64) for name, values in ticks.items()})


def among(records: Records, share: float, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Positions of a random share of the rows."""
    return rng.permutation(records.rows)[: round(share * records.rows)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Released:
    """A release about `size` members, attacked as the plan says, with as many controls."""

    release: Release
    size: int = 2000
    plan: str = "quick"

    def audited(self, patch: pytest.MonkeyPatch, seed: int) -> Findings:
        """Make people, release, and audit the release with its claim."""
        rng = np.random.default_rng(seed)
        members, controls, fresh = (people(self.size, rng) for _ in range(3))
        return auditing.run(
            AuditPlan.load(self.plan),
            schema=SCHEMA,
            synthetic=self.release(members, fresh, rng),
            members=Private(members),
            controls=Private(controls),
            claim=CLAIM,
            rng=rng,
        )


def independent(members: Records, fresh: Records, rng: np.random.Generator) -> Records:
    """Nothing of the members: what an ideal generator would release."""
    return fresh


def copied(share: float) -> Release:
    """A share of the members stands in the release as they are."""

    def release(members: Records, fresh: Records, rng: np.random.Generator) -> Records:
        return together(fresh, members.take(among(members, share, rng)))

    return release
