"""Quote: what a release would cost and how good it would be, from a rehearsal on made-up records of the declared size.

Must never spend, and must never print a number that depends on the table's records.
"""

from __future__ import annotations

import itertools
import math
import resource
import time
from collections import defaultdict
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import ClassVar, final

import numpy as np
import numpy.typing as npt

from privsynth import generators, progress, provenance, records
from privsynth.answering import summary
from privsynth.answering.summary import TypicalError
from privsynth.dataset import Dataset
from privsynth.domain import Clique, Domain
from privsynth.generator import AbstractGenerator
from privsynth.measurement import Measurement, Trained, Transcript
from privsynth.policy import Policy
from privsynth.privacy.curator import make_curator
from privsynth.privacy.ledger import AbstractLedger
from privsynth.privacy.noise import SystemNoise
from privsynth.privacy.sampled_gaussian import SampledGaussian
from privsynth.privacy.source import AbstractNoiseSource
from privsynth.privacy.unit import PrivacyUnit
from privsynth.releasing.quoted import AbstractQuote, held_by
from privsynth.releasing.terms import Terms, terms
from privsynth.schema import Schema
from privsynth.structural import StructuralZeros

REHEARSED_ROWS = 200_000
_REHEARSED_STEPS = 12
_REHEARSED_PRETRAINING = 40


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class QuotedStage:
    """One stage of the rehearsal. Units: `share` of the release's rho; `sigma` in records; `l1` of a normalised table.

    `training` is what the release's gradient steps would be, where the stage is a training.
    `l1` is what the noise alone makes of a table; what a model of all tables together says of it is nearer.
    """

    stage: str
    share: float
    tables: int
    sigma: float | None
    l1: float | None
    training: SampledGaussian | None = None

    def to_json(self) -> dict[str, object]:
        """A JSON object."""
        told = {
            "stage": self.stage,
            "share": self.share,
            "tables": self.tables,
            "sigma": self.sigma,
            "expectedL1": self.l1,
        }
        if self.training is None:
            return told
        return {
            **told,
            "gradientSteps": self.training.steps,
            "samplingRate": float(self.training.sampling_rate),
            "noiseMultiplier": float(self.training.noise_multiplier),
        }

    def line(self, unit: str) -> str:
        """The stage as text; `unit` is whom the policy protects."""
        share = f"  {self.stage}: {self.share:.0%} of the budget"
        if self.training is not None:
            return (
                f"{share}, {self.training.steps:,} gradient steps, in each of which every {unit} takes part with probability "
                f"{float(self.training.sampling_rate):g}, with noise of {float(self.training.noise_multiplier):.2f} times what "
                "one of them can add"
            )
        noise = "" if self.sigma is None else f", noise {self.sigma:.1f} records a cell"
        error = "" if self.l1 is None else f", L1 error of a table from noise alone {self.l1:.3f}"
        return f"{share}, {self.tables} table(s){noise}{error}"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Quote(AbstractQuote):
    """What a release would cost. `stages` is empty where the domain is not known before something is bought.

    `cautions` say what is expected to do better than the generator that was named; `measured_pairs` of `pairs` of columns were
    measured in the rehearsal (None where there was none).
    """

    cautions: tuple[str, ...]
    stages: tuple[QuotedStage, ...]
    pairs: int
    measured_pairs: int | None
    to_buy: tuple[str, ...]
    fit_seconds: float | None
    peak_megabytes: int | None
    single: TypicalError | None = None
    pair: TypicalError | None = None

    def to_json(self) -> dict[str, object]:
        """A JSON object."""
        return {
            **self._cost_to_json(),
            "cautions": list(self.cautions),
            "pairs": {"of": self.pairs, "measured": self.measured_pairs},
            "stages": [stage.to_json() for stage in self.stages],
            "toBuy": list(self.to_buy),
            "errors": {
                "singles": None if self.single is None else self.single.to_json(),
                "pairs": None if self.pair is None else self.pair.to_json(),
            },
            "fitSeconds": self.fit_seconds,
            "peakMegabytes": self.peak_megabytes,
        }

    def lines(self) -> list[str]:
        """The quote as text."""
        out = self._cost_lines()
        out += [f"chosen because: {reason}" for reason in self.reasons]
        out += [f"mind: {caution}" for caution in self.cautions]
        if self.to_buy:
            out.append(f"to be bought first, from this budget: {', '.join(self.to_buy)}")
            out.append("expected errors cannot be quoted before the domain is known; declare these columns to see them")
        if self.stages:
            out.append(
                "how the budget is split, in a rehearsal on made-up records of the declared size, to which all figures refer "
                "(no record was used):"
            )
            out += [stage.line(self.unit) for stage in self.stages]
            out += self._about_pairs()
            out += summary.lines(self.single, self.pair)
            out.append(
                f"fitting takes about {self.fit_seconds:.1f} s and {self.peak_megabytes} MB here; auditing comes on top"
            )
        out.append("nothing was spent")
        return out

    def _about_pairs(self) -> list[str]:
        """How many pairs the rehearsal measured, and what follows where it measured none."""
        if not self.pairs:
            return []
        if self.measured_pairs:
            return [
                f"{self.measured_pairs:,} of {self.pairs:,} pairs of columns are measured; which levels are merged, and so the "
                "exact split, will depend on noisy counts of the real records"
            ]
        if any(stage.training is not None for stage in self.stages):
            return [
                f"none of {self.pairs:,} pairs of columns is measured: what columns have in common is left to training"
            ]
        if self.generator == "independent":
            return [f'none of {self.pairs:,} pairs of columns is measured: "independent" counts single columns only']
        return [
            f"the budget is so small that nothing but counts of single columns would be measured, and none of {self.pairs:,} "
            "pairs: released columns would be independent of each other; more people, more epsilon or fewer columns would help"
        ]


def quote(
    source: object | None,
    *,
    schema: Schema,
    policy: Policy,
    ledger: AbstractLedger | None = None,
    generator: str | None = None,
) -> Quote:
    """Check everything a release would check before it spends, and rehearse it on made-up records.

    Privacy: reads the table, if one is given, to find what does not fit the schema, and reports nothing else of it.
    Raises: what `releasing.terms` and `records.read` raise; RefusedError where the account was opened in other terms.
    """
    agreed = terms(schema, policy, generator=generator)
    if source is not None:
        provenance.require_real(source, "the table to be released")
    population = policy.require_population()
    held = held_by(ledger, agreed)
    rehearsal: _Rehearsal | None = None
    megabytes = None
    if not schema.unresolved:
        rehearsal = _rehearse(agreed, population.public_size)
        megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024  # before the table is read: it is public
    if source is not None:
        progress.report("read", 0, 1)
        records.read(source, schema, out_of_domain=policy.records.out_of_domain)
    return Quote(
        agreed=agreed,
        held=held,
        reasons=agreed.reasons,
        cautions=agreed.cautions,
        stages=() if rehearsal is None else rehearsal.stages,
        pairs=math.comb(len(schema.modelled), 2),
        measured_pairs=None if rehearsal is None else rehearsal.measured_pairs,
        to_buy=tuple(column.name for column in schema.unresolved),
        fit_seconds=None if rehearsal is None else rehearsal.seconds,
        peak_megabytes=megabytes,
        single=None if rehearsal is None else rehearsal.single,
        pair=None if rehearsal is None else rehearsal.pair,
    )


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class _Rehearsal:
    """What a rehearsal's transcript says, and how long the whole fit would take. Units: `seconds` of processor time."""

    stages: tuple[QuotedStage, ...]
    measured_pairs: int
    seconds: float
    single: TypicalError | None
    pair: TypicalError | None


@final
class _TimedNoise(AbstractNoiseSource):
    """The system's noise, with the time at which each key is asked for: a gradient step asks for one when it begins."""

    name: ClassVar[str] = SystemNoise.name
    signable: ClassVar[bool] = False

    def __init__(self) -> None:
        self._source, self.asked = SystemNoise(), list[float]()

    def gaussian(self, exact: npt.NDArray[np.int64], sigma_squared: Fraction) -> npt.NDArray[np.int64]:
        return self._source.gaussian(exact, sigma_squared)

    def exponential(self, scores: npt.NDArray[np.int64], rate: Fraction) -> int:
        return self._source.exponential(scores, rate)

    def choices(self, scores: npt.NDArray[np.int64], rate: Fraction, count: int) -> npt.NDArray[np.int64]:
        return self._source.choices(scores, rate, count)

    def key(self) -> bytes:
        self.asked.append(time.process_time())
        return self._source.key()

    @property
    def step_seconds(self) -> float:
        """Of a gradient step, in the middle of those that were taken; the first ones are slower."""
        return float(np.median(np.diff(self.asked))) if len(self.asked) > 1 else 0.0


@final
class _TimedPretraining:
    """Hears when each step before the gradient steps is done; `left` of them are not rehearsed."""

    def __init__(self, left: int) -> None:
        self._left, self._done = left, list[float]()

    def __call__(self, stage: str, done: int, total: int, note: progress.Note | None) -> None:  # noqa: ARG002
        if stage == progress.PRETRAINING:
            self._done.append(time.process_time())

    @property
    def seconds_left(self) -> float:
        """Of the steps that were not taken."""
        return self._left * float(np.median(np.diff(self._done))) if len(self._done) > 1 else 0.0


def _pretraining_less(generator: AbstractGenerator) -> tuple[AbstractGenerator, _TimedPretraining]:
    """The generator with few of the steps that cost no budget, and what hears how long they take."""
    if generator.pretrains is None:
        return generator, _TimedPretraining(0)
    settings = generators.settings_of(generator)
    steps = int(settings[generator.pretrains])
    few = min(steps, _REHEARSED_PRETRAINING)
    return generators.get(generator.name, {**settings, generator.pretrains: few}), _TimedPretraining(steps - few)


def _rehearse(agreed: Terms, public_size: int) -> _Rehearsal:
    """Fit on made-up records, as many as declared, and read the split off the transcript.

    Of very many people fewer are made up, and their noise is made smaller by as much. Of many gradient steps the first ones
    are taken, and the time of the others reckoned from theirs; so it is with the steps before them, which cost no budget.
    """
    started, noise = time.process_time(), _TimedNoise()
    generator, pretraining = _pretraining_less(agreed.fit.generator)
    domain = agreed.schema.domain()
    people = public_size * agreed.unit.max_rows
    rows = min(people, REHEARSED_ROWS)
    budget, smaller = agreed.fit.budget, Fraction(rows, people)
    training = budget.training and replace(budget.training, steps=min(budget.training.steps, _REHEARSED_STEPS))
    curator = make_curator(
        made_up(domain, rows, agreed.unit),
        unit=agreed.unit,
        rho=budget.rho / smaller**2,
        noise=noise,
        composition=budget.composition,
        training=training,
    )
    with progress.overhearing(pretraining):
        fitted = generator.fit(curator)
    found = curator.transcript
    seconds = time.process_time() - started + pretraining.seconds_left
    if budget.training and training:
        seconds += noise.step_seconds * (budget.training.steps / float(smaller) - training.steps)
    return _Rehearsal(
        stages=_stages(found, agreed, float(smaller), public_size),
        measured_pairs=len(pairs_in(found)),
        seconds=seconds,
        single=summary.typical(fitted, found, 1, scale=1 / float(smaller)),
        pair=summary.typical(fitted, found, 2, scale=1 / float(smaller)),
    )


def pairs_in(transcript: Transcript) -> set[Clique]:
    """The pairs of columns, in alphabetical order, that tables were measured of, alone or with other columns."""
    tables = (entry for entry in transcript if isinstance(entry, Measurement))
    return {pair for table in tables for pair in itertools.combinations(sorted(table.clique), 2)}


def made_up(domain: Domain, rows: int, unit: PrivacyUnit) -> Dataset:
    """Records of independent columns that obey the rules, as far as some of them do; each unit has as many as it may."""
    rng = np.random.default_rng(0)
    columns = [_levels(domain.size(name), rows, rng) for name in domain.attributes]
    allowed = np.flatnonzero(StructuralZeros(domain).allowed(columns))
    kept = rng.choice(allowed, rows) if allowed.size else np.arange(rows)
    units = None if unit.column is None else np.arange(rows) // unit.max_rows
    return Dataset.from_columns(
        {name: column[kept] for name, column in zip(domain.attributes, columns, strict=True)}, domain, units
    )


def _levels(size: int, rows: int, rng: np.random.Generator) -> npt.NDArray[np.uint32]:
    """Levels as frequent as 1, 1/2, 1/3 ...: most real columns have rare levels, on which a plan depends."""
    weights = 1 / np.arange(1, size + 1)
    return np.searchsorted(np.cumsum(weights)[:-1] / weights.sum(), rng.random(rows), side="right").astype(np.uint32)


def _stages(transcript: Transcript, agreed: Terms, smaller: float, public_size: int) -> tuple[QuotedStage, ...]:
    """The stages of a rehearsal whose noise was `smaller` than the real one, in the real noise."""
    budget, schedule = agreed.fit.budget, agreed.fit.generator.schedule
    first = 1.0 if schedule is None else float(schedule.first_share)
    whole = float(budget.rho) / smaller**2
    grouped: dict[str, list[Measurement | None]] = defaultdict(list)
    spent: dict[str, Fraction] = defaultdict(Fraction)
    for entry in transcript:
        grouped[entry.event.stage].append(entry if isinstance(entry, Measurement) else None)
        spent[entry.event.stage] += entry.event.rho
    trained = {entry.event.stage for entry in transcript if isinstance(entry, Trained)}
    out = []
    for stage, found in grouped.items():
        if stage in trained and budget.training:
            share = 1 - first
            out.append(QuotedStage(stage=stage, share=share, tables=0, sigma=None, l1=None, training=budget.training))
            continue
        tables = [entry for entry in found if entry is not None]
        sigmas = [table.sigma / smaller for table in tables]
        sizes = [table.values.size for table in tables]
        noise = [math.sqrt(2 / math.pi) * sigma * size for sigma, size in zip(sigmas, sizes, strict=True)]
        out.append(
            QuotedStage(
                stage=stage,
                share=first * float(spent[stage]) / whole,
                tables=len(tables),
                sigma=float(np.mean(sigmas)) if tables else None,
                l1=float(np.mean([min(2.0, each / public_size) for each in noise])) if tables else None,
            )
        )
    return tuple(out)
