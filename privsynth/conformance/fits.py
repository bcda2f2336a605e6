"""Fits on public tables as conformance needs them: recorded, replayed on another, asked of the source again.

Must never be given private tables: what it keeps of a fit holds exact answers.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias, final

from privsynth.conformance.events import Payment, payments
from privsynth.errors import PrivsynthError
from privsynth.fitting import FitPlan, measure, split
from privsynth.generator import AbstractGenerator
from privsynth.measurement import Event, Transcript
from privsynth.privacy.accounting import Composition
from privsynth.privacy.guarantee import Budget
from privsynth.privacy.sampled_gaussian import SampledGaussian
from privsynth.privacy.source import AbstractNoiseSource
from privsynth.privacy.unit import PrivacyUnit
from privsynth.private import Private
from privsynth.records import Records
from privsynth.replay import Call, DivergedError, RecordingNoise, ReplayingNoise

Fit: TypeAlias = Callable[[Private[Records], AbstractNoiseSource], Transcript]
"""From records and a noise source to a transcript: all that a fit does before the estimation."""

_ANY = Fraction(1, 2)


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Run:
    """One recorded fit."""

    noise: RecordingNoise
    transcript: Transcript

    def asked(self) -> list[Asked]:
        """Its uses of noise with the events that pay for them; of a fit whose ledger is in order."""
        found: dict[int, list[Payment]] = {}
        accounts = payments(self.noise.calls, self.transcript)
        for payment in accounts.paid:
            found.setdefault(payment.call, []).append(payment)
        calls = self.noise.calls
        asked = {
            turn: Asked(
                call=calls[turn],
                events=tuple(payment.event for payment in paid),
                shapes=tuple(payment.shape for payment in paid),
            )
            for turn, paid in found.items()
        }
        for step in accounts.steps:
            call = calls[step.call]
            asked[step.call] = Asked(call=call, events=(step.event,), shapes=(call.shape,))
        return [asked[turn] for turn in sorted(asked)]


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Asked:
    """One use of noise, and the events that pay for it: those of one stage, each with the same sigma.

    Shapes: `shapes` are those of the tables that it answers, one after the other.
    """

    call: Call
    events: tuple[Event, ...]
    shapes: tuple[tuple[int, ...], ...]

    @property
    def stage(self) -> str:
        """The stage, as the ledger names it."""
        return self.events[0].stage

    @property
    def is_step(self) -> bool:
        """Whether it is a gradient step, and not a question that has its own price."""
        return self.events[0].mechanism == "sampled-gaussian"

    def answered(self, call: Call) -> Asked:
        """The same question with another answer."""
        return Asked(call=call, events=self.events, shapes=self.shapes)


def composition_of(generator: AbstractGenerator) -> Composition:
    """How the answers of a fit that buys nothing add up, gradient steps included."""
    gaussian = generator.composition in {"gdp", "pld"}
    if generator.schedule is None:
        return "gdp" if gaussian else "zcdp"
    return "pld" if gaussian else "rdp"


def plan_of(
    generator: AbstractGenerator, unit: PrivacyUnit, rho: Fraction, training: SampledGaussian | None = None
) -> FitPlan:
    """The plan of a fit that buys nothing."""
    budget = Budget(
        epsilon=_ANY,
        delta=_ANY,
        rho=rho,
        purchase_rho=Fraction(0),
        purchase_delta=Fraction(0),
        composition=composition_of(generator),
        training=training,
    )
    return FitPlan(generator=generator, unit=unit, budget=budget)


def fit_of(generator: AbstractGenerator, unit: PrivacyUnit, rho: Fraction) -> Fit:
    """The path of every fit, from records on: bound contributions, encode, let the generator measure.

    Each fit has a copy of the generator of its own, as each release has: what one leaves behind, no other finds.
    """
    plan = plan_of(generator, unit, rho)

    def fit(records: Private[Records], noise: AbstractNoiseSource) -> Transcript:
        return fitted(plan_of(copy.deepcopy(plan.generator), unit, rho), records, noise)

    return fit


def fitted(plan: FitPlan, records: Private[Records], noise: AbstractNoiseSource) -> Transcript:
    """One fit by a plan."""
    bounded, _ = split(records, plan.unit, 0.0, bound_key=noise.key(), holdout_key=noise.key())
    return measure(bounded, plan, noise)[1]


def recorded(fit: Fit, table: Records, noise: AbstractNoiseSource) -> Run:
    """Fit on a public table and keep every question. Raises: DivergedError when the fit cannot be carried out."""
    recording = RecordingNoise(noise)
    try:
        return Run(transcript=fit(Private(table), recording), noise=recording)
    except PrivsynthError as error:
        raise DivergedError(f"the fit broke off on a table of {table.rows} rows: {error}") from None


def replayed(fit: Fit, table: Records, run: Run) -> list[Call]:
    """Fit on a neighbouring table with the same answers; what was asked this time.

    Raises: DivergedError when anything but the exact answers differs.
    """
    replaying = ReplayingNoise(run.noise)
    try:
        transcript = fit(Private(table), replaying)
    except DivergedError:
        raise
    except PrivsynthError as error:
        raise DivergedError(f"the fit broke off on one of two neighbouring tables only: {error}") from None
    replaying.require_all_used()
    if [entry.to_json() for entry in transcript] != [entry.to_json() for entry in run.transcript]:
        raise DivergedError("the transcripts of neighbouring tables differ although every answer was the same")
    return replaying.calls


def asked_again(run: Run, asked: Sequence[Asked], source: AbstractNoiseSource) -> list[Asked]:
    """All that a fit asked, asked of the source once more and in the same order: noise as of another fit, for little."""
    return [one.answered(call) for one, call in zip(asked, run.noise.asked_again(source), strict=True)]


def stages(runs: Sequence[Sequence[Asked]]) -> list[str]:
    """The stages, in the order in which they come up."""
    return list(dict.fromkeys(asked.stage for run in runs for asked in run))
