"""Telling neighbouring tables apart by what a fit publishes, stage by stage: the strongest attack there is on it.

Must never be given private tables: it needs the exact answers of both.

Everything after the noisy answers is computed from them, so whoever sees those knows most. Their likelihood ratio is simulated:
the real source of noise is asked for the exact answers of the two tables, as often as the plan says, in the cells that differ
(the others cancel out). Tables differ in several units, so many that they are told apart well: what is mu-GDP for one unit is k
mu-GDP for k (Dong, Roth, Su 2022), and a bound for k divided by k has a k-th of the error.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby
from typing import final

import numpy as np

from privsynth.conformance.choices import Score, log_chances, score_of
from privsynth.conformance.fits import Asked
from privsynth.conformance.residuals import Floats, Int64s
from privsynth.epsilon_bounds import Errors
from privsynth.findings import Curve
from privsynth.privacy.source import MAX_COUNT_SIGMA, AbstractNoiseSource
from privsynth.replay import Call

_BLOCK = 1 << 17
_MOST_DRAWS = 1 << 26
"""Draws of one stage about one table at the most; stages of very many cells are told apart with fewer answers."""

FEW = 2
"""Answers of a stage whose noise is slow to draw that are looked at."""

_MOST_SLOW = 1 << 12
_POINTS = 21


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Question:
    """One use of noise on two tables that differ in some units."""

    asked: Asked
    other: Call

    @property
    def sides(self) -> tuple[Int64s, Int64s]:
        """The exact answers on the one table and on the other."""
        return self.asked.call.exact, self.other.exact

    @property
    def choice(self) -> bool:
        """Whether it is a choice, and not a table of counts or scores."""
        return self.other.kind == "exponential"


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Stage:
    """All questions of one stage on two tables that differ in `units` units, and what they cost."""

    name: str
    units: int
    questions: tuple[Question, ...]

    @property
    def rho(self) -> float:
        """What the ledger says."""
        return float(sum(event.rho for question in self.questions for event in question.asked.events))

    @property
    def choices(self) -> bool:
        """Whether it makes choices."""
        return any(question.choice for question in self.questions)

    @property
    def reach(self) -> float:
        """The mu at which its Gaussian answers tell the two tables apart if their noise is as stated."""
        return float(sum(float(_shift(question) @ _shift(question)) for question in self.questions) ** 0.5)

    @property
    def slow(self) -> bool:
        """Whether its noise is of a size that sources draw one by one."""
        return any(not question.choice and slow(question.other) for question in self.questions)

    def thinned(self) -> Stage:
        """The same stage with the few answers that differ most, where noise is slow to draw: their bound holds for all."""
        if not self.slow:
            return self
        return Stage(name=self.name, units=self.units, questions=tuple(map(_thinned, self.questions)))

    @property
    def cells(self) -> int:
        """How many noisy answers differ."""
        return sum(int(np.count_nonzero(_shift(question))) for question in self.questions)


def stages_of(asked: Sequence[Asked], others: Sequence[Call], units: int) -> list[Stage]:
    """The stages of a fit that was recorded on the one table and replayed on the other; gradient steps are none."""
    found: dict[str, list[Question]] = {}
    for one, other in zip(asked, others, strict=True):
        if one.is_step:
            continue
        found.setdefault(one.stage, []).append(Question(asked=one, other=other))
    return [Stage(name=name, units=units, questions=tuple(questions)) for name, questions in found.items()]


def slow(call: Call) -> bool:
    """Whether noise of this size is drawn one by one."""
    return call.kind == "gaussian" and call.parameter > MAX_COUNT_SIGMA**2


def _thinned(question: Question) -> Question:
    if question.choice:
        return question
    moved = np.abs(question.asked.call.exact - question.other.exact)
    kept = np.sort(np.argsort(-moved, kind="stable")[: min(FEW, np.count_nonzero(moved))])
    one, other = (_only(call, kept) for call in (question.asked.call, question.other))
    return Question(asked=question.asked.answered(one), other=other)


def _only(call: Call, cells: Int64s) -> Call:
    return Call(
        kind=call.kind,
        shape=cells.shape,
        parameter=call.parameter,
        exact=call.exact[cells],
        noisy=call.noisy[cells],
    )


def _shift(question: Question) -> Floats:
    """The difference in standard deviations of the noise; none of a choice."""
    if question.choice:
        return np.zeros(0)
    one, other = question.sides
    return np.asarray((other - one) / float(question.other.parameter) ** 0.5)


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class Simulated:
    """Log-likelihood ratios (of the other table to the one) of answers about the one table, and about the other.

    `score` is that of all choices.
    """

    one: Floats
    other: Floats
    score: Score

    def errors(self, threshold: float = 0.0) -> Errors:
        """The errors of "it is the other table" where the ratio's logarithm is above a threshold fixed beforehand."""
        return Errors(
            false_positives=int(np.count_nonzero(self.one > threshold)),
            false_negatives=int(np.count_nonzero(self.other <= threshold)),
            runs=len(self.one),
        )

    def curve(self) -> Curve:
        """Points (false positive rate, true positive rate), from threshold to threshold."""
        cuts = np.quantile(np.concatenate([self.one, self.other]), np.linspace(1, 0, _POINTS))
        points = [(float((self.one > cut).mean()), float((self.other > cut).mean())) for cut in cuts]
        return ((0.0, 0.0), *points, (1.0, 1.0))


def simulate(stages: Sequence[Stage], source: AbstractNoiseSource, answers: int) -> Simulated:
    """Ask a source for `answers` answers about each of the two tables, to all questions of some stages."""
    cells = sum(stage.cells for stage in stages)
    most = _MOST_SLOW if any(stage.slow for stage in stages) else _MOST_DRAWS
    count = max(1, min(answers, most // max(1, cells)))
    ratios, score = (np.zeros(count), np.zeros(count)), Score()
    for question in (question for stage in stages for question in stage.questions if question.choice):
        score += _add_choices(question, source, ratios)
    for side, into in enumerate(ratios):
        for sides, variance in _tables(stages):
            _add_counts(sides, variance, side, source, into)
    return Simulated(one=ratios[0], other=ratios[1], score=score)


def _add_choices(question: Question, source: AbstractNoiseSource, ratios: tuple[Floats, Floats]) -> Score:
    rate = question.other.parameter
    before, after = (log_chances(scores, rate) for scores in question.sides)
    score = Score()
    for scores, ratio in zip(question.sides, ratios, strict=True):
        chosen = source.choices(scores, rate, len(ratio))
        np.add(ratio, (after - before)[chosen], out=ratio)
        score += score_of(scores, rate, np.bincount(chosen, minlength=len(scores)))
    return score


def _tables(stages: Sequence[Stage]) -> Iterator[tuple[Int64s, Fraction]]:
    """For each sigma squared, the exact answers where the two tables differ. Shapes: (2, cells)."""
    tables = [question for stage in stages for question in stage.questions if not question.choice]
    for variance, alike in groupby(sorted(tables, key=_variance), key=_variance):
        sides = np.concatenate([np.stack(question.sides) for question in alike], axis=1)
        sides = sides[:, sides[0] != sides[1]]
        if sides.size:
            yield sides, variance


def _variance(question: Question) -> Fraction:
    return question.other.parameter


def _add_counts(sides: Int64s, variance: Fraction, side: int, source: AbstractNoiseSource, into: Floats) -> None:
    """Add the log-likelihood ratios of noisy answers: of normal ones, difference * (answer - middle) / sigma^2."""
    weights = (sides[1] - sides[0]) / float(variance)
    middle = float(sides.mean(axis=0) @ weights)
    block = max(1, _BLOCK // sides.shape[1])
    for start in range(0, len(into), block):
        part = into[start : start + block]
        noisy = source.gaussian(np.tile(sides[side], (len(part), 1)), variance)
        part += noisy @ weights - middle
