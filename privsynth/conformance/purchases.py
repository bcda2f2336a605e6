"""A made-up table whose schema leaves things to be bought, so that conformance exercises what is learned before a fit too.

Must never hold anything of a real table.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import final

from privsynth import records, statistics
from privsynth.conformance.events import payments
from privsynth.conformance.fits import Fit, Run, fitted
from privsynth.conformance.tables import Neighbours
from privsynth.fitting import FitPlan
from privsynth.generator import AbstractGenerator
from privsynth.measurement import Purchase, Transcript
from privsynth.privacy.guarantee import Budget
from privsynth.privacy.sampled_gaussian import SampledGaussian
from privsynth.privacy.source import AbstractNoiseSource
from privsynth.privacy.unit import NeighboringRelation, PrivacyUnit
from privsynth.private import Private
from privsynth.records import Records
from privsynth.schema import Schema

_COMMON = ("ash", "elm", "oak", "yew")
_RARE = ("zebrawood", "zebrawood", "zelkova", "zelkova", "zelkova")
"""So few that a threshold which is too low gives them out."""

_LABELS = (*_COMMON, "zebrawood", "zelkova")
_LABELLED = "label"
_SCHEMA = """
[table]
name = "conformance"
{unit}
[columns.label]
kind = "category"
buy = true
[columns.cost]
kind = "integer"
buy = "bounds"
bins = {{method = "quantiles", count = 4}}
[columns.age]
kind = "integer"
lower = 0
upper = 99
buy = "edges"
bins = {{method = "quantiles", count = 4}}
"""
_UNIT = 'unit = "unit"\n[columns.unit]\nkind = "identifier"\nmake = "########"'
_ROWS = 300
_DELTA = Fraction(1, 10**6)
_PLENTY = 20
_SCARCE = Fraction(1, 1000)
_CLOSE = 1 - 1e-9


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Bought:
    """A fit that buys a column's labels, another's bounds and a third's bin edges, and the pairs of tables to run it on.

    `scarce` is the same fit with so little budget that the noise of purchases is many counts wide.
    """

    fit: Fit
    scarce: Fit
    budget: Budget
    pairs: tuple[Neighbours, ...]

    @classmethod
    def of(cls, generator: AbstractGenerator, unit: PrivacyUnit, training: SampledGaussian | None = None) -> Bought:
        """With a budget that is ample for a small table, whatever a release's own is."""
        budget = _budget(Fraction(_PLENTY * unit.l2_squared), training)
        fit = _fit_of(generator, unit, budget)
        scarce = _fit_of(generator, unit, _budget(_SCARCE * unit.l1, training))
        return cls(fit=fit, scarce=scarce, budget=budget, pairs=tuple(_pairs(unit)))

    def problems(self, runs: Sequence[Run]) -> Iterator[str]:
        """What is wrong with purchases' failure probabilities: their sum, or a label that was given out too easily."""
        for run in runs:
            if sum((entry.event.delta for entry in run.transcript), Fraction(0)) > self.budget.purchase_delta:
                yield "the purchases' deltas add up to more than was set aside"
            entries = zip(run.transcript, payments(run.noise.calls, run.transcript).paid, strict=False)
            for entry, payment in entries:
                if isinstance(entry, Purchase) and entry.fact == "categories":
                    noisy = run.noise.calls[payment.call].noisy
                    given = [
                        count for label, count in zip(_LABELS, noisy.tolist(), strict=False) if label in entry.found
                    ]
                    if (
                        given
                        and _chance(min(given), entry) * entry.event.sensitivity_squared > entry.event.delta / _CLOSE
                    ):
                        yield "a label was given out at a noisy count that one unit alone reaches too often"


def _budget(rho: Fraction, training: SampledGaussian | None) -> Budget:
    return Budget(
        epsilon=Fraction(1),
        delta=2 * _DELTA,
        rho=rho,
        purchase_rho=rho / 2,
        purchase_delta=_DELTA,
        composition="zcdp" if training is None else "rdp",
        training=training,
    )


def _fit_of(generator: AbstractGenerator, unit: PrivacyUnit, budget: Budget) -> Fit:
    def fit(table: Private[Records], noise: AbstractNoiseSource) -> Transcript:
        return fitted(FitPlan(generator=copy.deepcopy(generator), unit=unit, budget=budget), table, noise)

    return fit


def _chance(count: int, entry: Purchase) -> float:
    """P(1 + rounded noise >= count)."""
    sigma = math.sqrt(entry.event.sigma_squared or 0)
    return statistics.normal_cdf(-(count - 1.5) / sigma) if sigma else 1.0


def _pairs(unit: PrivacyUnit) -> Iterator[Neighbours]:
    """Tables with the same labels: a label that one unit alone has is what the failure probability is for."""
    schema = Schema.loads(_SCHEMA.format(unit=_UNIT if unit.column else ""), source="the conformance tables")
    table = [(f"unit {row}", _COMMON[row % 4], row % 60, row % 90) for row in range(_ROWS)]
    table += [(f"rare {row}", label, 1, 1) for row, label in enumerate(_RARE)]
    allowed = unit.max_rows
    alike = [("new", _COMMON[0], 5, 5)] * allowed
    different = [("new", _COMMON[row % 4], 100 + row, 3 * row % 100) for row in range(allowed)]
    greedy = [("new", _COMMON[row % 4], row, row % 100) for row in range(3 * allowed if unit.column else 1)]
    replaced = unit.relation is NeighboringRelation.REPLACE_ONE
    before = [*table, *([("new", _COMMON[3], 1, 1)] * allowed if replaced else [])]
    for what, rows in (("alike", alike), ("different", different), ("too many", greedy)):
        yield Neighbours(
            what=f"what is bought, a unit of rows that are {what}",
            table=_read(before, schema, unit),
            other=_read([*table, *rows], schema, unit),
        )


def _read(rows: Sequence[tuple[str, str, int, int]], schema: Schema, unit: PrivacyUnit) -> Records:
    columns = [list(map(str, column)) for column in zip(*rows, strict=True)]
    named = dict(zip(("unit", _LABELLED, "cost", "age"), columns, strict=True))
    if unit.column is None:
        del named["unit"]
    return records.read(named, schema).open()
