"""Answers: the value of a question, its interval, and in words on what it rests.

Must never give a value without its interval.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Final, final

from privsynth.answering.bounding import bounds
from privsynth.answering.contradictions import Contradictions
from privsynth.answering.estimating import ASSUMED, Basis, Estimate, estimate
from privsynth.answering.evidence import Evidence
from privsynth.answering.parsing import Kind, Question, parse
from privsynth.answering.profiles import whole
from privsynth.answering.table_errors import table_error
from privsynth.errors import InputError
from privsynth.privacy.unit import PrivacyUnit
from privsynth.schema import Schema
from privsynth.schema.columns import IntegerColumn, NumberColumn

LEVEL: Final = 0.9

_MOSTLY: Final = 0.5
"""From this part of the half-width on, what bins hold inside is said to decide it."""

_SHOWN: Final = 1.7
"""Records are shown to be there where their number is so many half-widths above zero: three standard deviations."""

_BADLY: Final = 0.1
"""The share of rows that would have to move to make a table of two columns right, from which on it is called badly known: of
made-up drugs of visits of 3,000 patients, at epsilon 1, intervals of what depends on both held eight times in ten, and
of single rows under the same noise no more often."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the model says of the real table, and the interval in which the truth lies nine times in ten.

    Units: those of `unit`; `level` is the interval's. `records` is the estimated number of records that were measured: counts
        are of these (a release holds some records out, and may bound each unit's).
    """

    question: str
    kind: Kind
    value: float
    lower: float
    upper: float
    level: float
    basis: Basis
    unit: str
    records: float
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, object]:
        """A JSON object."""
        return {
            "question": self.question,
            "kind": self.kind,
            "value": self.value,
            "lower": self.lower,
            "upper": self.upper,
            "level": self.level,
            "basis": self.basis,
            "unit": self.unit,
            "records": self.records,
            "notes": list(self.notes),
        }

    def lines(self) -> list[str]:
        """The answer as text."""
        shown = [_shown(one, self.kind, self.upper - self.lower) for one in (self.value, self.lower, self.upper)]
        out = [
            f"{self.question}",
            f"  {shown[0]} {self.unit}, {self.level:.0%} interval {shown[1]} to {shown[2]}",
            f"  rests on: {self.basis}",
        ]
        return out + [f"  mind: {note}" for note in self.notes]


def answer(question: str, evidence: Evidence, bounded: PrivacyUnit | None = None) -> Answer:
    """Answer a question from public numbers alone; `bounded` is the unit of which no more than so many rows were measured.

    Raises: InputError or SchemaError for a question that cannot be read; FitError where the generator trains, whose errors are
        not known.
    """
    asked = parse(question, evidence.schema)
    notes: list[str] = []
    if bounded is not None and bounded.column is not None:
        rows = "row" if bounded.max_rows == 1 else "rows"
        notes.append(
            f"of each {bounded.name} at most {bounded.max_rows} {rows}, chosen at random, counted: the answer is of these, and "
            "differs from one of all rows where those with many rows are unlike others"
        )
    _require_numbers(asked, evidence)
    low, high = _range(asked, evidence.schema)
    columns = asked.columns
    if all(evidence.is_measured(pair) for pair in _pairs(columns)):
        notes += _badly_known(columns, evidence)
        found = estimate(asked, evidence)
        centre = min(max(found.value, low), high)
        lower, upper = max(low, centre - found.half), min(high, centre + found.half)
        if _is_of_next_to_none(asked, evidence):
            lower, upper = low, high
            notes.append("noise cannot tell whether there are any such records: the interval is all that is possible")
        if found.inside >= _MOSTLY * found.half > 0:
            notes.append(
                "the interval is mostly what bins hold inside, which is not measured: ask at the bins' own ends, or declare "
                "finer bins or atoms for the next release"
            )
    else:
        found, lower, upper = bounds(asked, evidence)
        notes.append(
            "no measured table relates these columns: the value rests on the model's assumption, and the interval is all that "
            "single columns allow"
        )
    doubts = evidence.contradictions.about(columns)
    notes += doubts.notes()
    if doubts.rules or doubts.tables:
        lower, upper = _widened(asked, evidence, doubts, found, (lower, upper), (low, high))
    total = evidence.distribution.total
    if asked.kind == "count":
        upper = min(upper, max(total * 1.2, found.value))
    value = min(max(found.value, low), high)
    return Answer(
        question=asked.text.strip(),
        kind=asked.kind,
        value=value,
        lower=min(lower, value),
        upper=max(upper, value),
        level=LEVEL,
        basis=ASSUMED if found.basis == ASSUMED else found.basis,
        unit=_unit(asked, evidence.schema, total),
        records=total,
        notes=tuple(notes),
    )


def _badly_known(columns: tuple[str, ...], evidence: Evidence) -> list[str]:
    """What to mind of two columns whose table is known badly: a model takes strong links for weaker ones there."""
    notes = []
    for pair in itertools.combinations(columns, 2):
        off = table_error(pair, evidence.distribution.domain, evidence.distribution, evidence.tables).l1
        if off is not None and off / 2 > _BADLY:
            notes.append(
                f'the table of "{pair[0]}" and "{pair[1]}" is expected to be {off / 2:.0%} wrong: an interval of what depends '
                "on both is too narrow more often than one time in ten"
            )
    return notes


def _widened(
    asked: Question,
    evidence: Evidence,
    doubts: Contradictions,
    found: Estimate,
    interval: tuple[float, float],
    span: tuple[float, float],
) -> tuple[float, float]:
    """An interval that holds what the model and the measured tables each say.

    Where no table holds all columns, nothing shows how the records that break a rule lie: they may all move it.
    """
    extra = 0.0
    if found.lowest == found.highest:
        broken = evidence.distribution.total * min(1.0, sum(rule.share + rule.half for rule in doubts.rules))
        extra = broken
        if asked.kind != "count":
            of = asked.given if asked.kind == "share" else asked.where
            there = estimate(Question(text="", kind="count", targets=(), where=of, given={}), evidence).value
            extra = min(1.0, broken / max(1.0, there)) * (span[1] - span[0])
    lower, upper = min(interval[0], found.lowest) - extra, max(interval[1], found.highest) + extra
    return max(span[0], lower), min(span[1], upper)


def _pairs(columns: tuple[str, ...]) -> list[tuple[str, ...]]:
    return [columns] if len(columns) <= 1 else list(itertools.combinations(columns, 2))


def _require_numbers(asked: Question, evidence: Evidence) -> None:
    """Raises: InputError where a mean or correlation is asked of what has no number, or one number only."""
    for name in asked.targets:
        region = asked.where.get(name, whole(evidence.schema.modelled_column(name), missing=False))
        listed = region.listed()
        if not region.present or (listed is not None and not listed.size):
            raise InputError(f'"{name}" has no number where it is missing; leave that condition out')
        one_value = region.lower == region.upper if listed is None else listed.size == 1
        if asked.kind == "correlation" and one_value:
            raise InputError(f'"{name}" is the same in all of these records; a correlation needs numbers that differ')


def _is_of_next_to_none(asked: Question, evidence: Evidence) -> bool:
    """Whether a share or mean is of records of which noise does not show that there are any: a ratio is anything then."""
    of = asked.given if asked.kind == "share" else asked.where
    if asked.kind == "count" or not of:
        return False
    there = estimate(Question(text="", kind="count", targets=(), where=of, given={}), evidence)
    return there.value < _SHOWN * there.half


def _range(asked: Question, schema: Schema) -> tuple[float, float]:
    match asked.kind:
        case "count":
            return 0.0, math.inf
        case "share":
            return 0.0, 1.0
        case "mean":
            column = schema.modelled_column(asked.targets[0])
            region = asked.where.get(column.name, whole(column, missing=False))
            unit = float(column.unit) if isinstance(column, IntegerColumn | NumberColumn) else 1.0
            return region.lower * unit, region.upper * unit
        case "correlation":
            return -1.0, 1.0


def _unit(asked: Question, schema: Schema, total: float) -> str:
    match asked.kind:
        case "count":
            return f"of about {total:,.0f} records that were measured"
        case "share":
            return "of the records" + (" for which what is given holds" if asked.given else "")
        case "mean":
            column = schema.modelled_column(asked.targets[0])
            numbers = isinstance(column, IntegerColumn | NumberColumn)
            return (
                f'on average, in the unit of "{column.name}"'
                if numbers
                else f'of the records say yes to "{column.name}"'
            )
        case "correlation":
            return "(Pearson's correlation)"


def _shown(number: float, kind: Kind, width: float) -> str:
    """A number with as many digits as its interval deserves."""
    if kind == "count":
        return f"{number:,.0f}"
    if kind == "share":
        return f"{number:.{1 if width > 0.01 else 2}%}"
    digits = max(0, 2 - math.floor(math.log10(width))) if width > 0 else 3
    return f"{number:,.{min(digits, 6)}f}"
