"""Evaluation: the figures of a synthetic table and of those beside it, as JSON and in words.

Must never be shown without saying that it was computed on real records.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, final

from privsynth.evaluating.known import Known
from privsynth.evaluating.measuring import SIZES, Measured
from privsynth.metrics.people import about
from privsynth.metrics.prediction import Estimate
from privsynth.metrics.rare import FATES
from privsynth.report.words import count, percent
from privsynth.schema import Schema

INTERNAL: Final = "INTERNAL: computed on real records; never release."
_UNBROKEN: Final = "\u00a0"
TABLES_IN_WORDS: Final = {1: "single columns", 2: "pairs", 3: "triples"}


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Evaluation:
    """What a synthetic table is good for.

    `measured` are the figures of the table itself, `peers` those of others beside it; `known` is what its release tells.
    `counted` says which real rows count where a release is known, `caution` what to mind where none is.
    Privacy: exact functions of real records; internal.
    """

    what: str
    schema: Schema
    real_rows: int
    holdout_rows: int | None
    known: Known | None
    measured: Measured
    peers: Mapping[str, Measured] = field(default_factory=dict)
    counted: str | None = None
    caution: str | None = None

    def __repr__(self) -> str:
        return f"Evaluation({INTERNAL} See .lines())"

    def to_json(self) -> dict[str, object]:
        """A JSON object; NaN never occurs in it."""
        return {
            "notice": INTERNAL,
            "what": self.what,
            "realRows": about(self.real_rows),
            "holdoutRows": None if self.holdout_rows is None else about(self.holdout_rows),
            "rowsCounted": self.counted,
            "caution": self.caution,
            "release": None if self.known is None else self.known.to_json(),
            "synthetic": self.measured.to_json(),
            "peers": {name: one.to_json() for name, one in self.peers.items()},
        }

    def lines(self) -> list[str]:
        """The figures in words, the most important first."""
        found = [
            INTERNAL,
            f"{self.what}: {count(self.measured.rows)} synthetic rows",
            *self._rows(),
            *_lines(self.measured),
        ]
        for name, one in self.peers.items():
            found += ["", f"beside it, {name}: {count(one.rows)} rows", *_lines(one)]
        groups = self.measured.groups
        for section in () if groups is None else groups.sections:
            where = " × ".join(section.columns)
            for (what, whose), apart in section.apart.items():
                found.append(f"  groups by {where}: {what} ({whose}) apart by {apart or 'hidden'}")
        return [line.replace(_UNBROKEN, " ") for line in found]

    def _rows(self) -> list[str]:
        if self.counted is not None:
            return [f"  real rows            {self.counted}"]
        return [] if self.caution is None else [f"  caution: {self.caution}"]

    @property
    def rows_words(self) -> str:
        """Sentences on which real rows count; empty where there is nothing to say."""
        if self.counted is not None:
            return f" {self.counted[0].upper()}{self.counted[1:]}."
        return "" if self.caution is None else f" Caution: {self.caution}."


def _lines(one: Measured) -> list[str]:
    score = one.k_marginal
    found = [
        f"  impossible rows      {count(one.broken.rows)} of {count(one.broken.of)} break a business rule",
        *(_error_line(one, size) for size in SIZES if size in one.errors),
        f"  k-marginal score     {score.score:.0f} of 1000, equals a subsample of {share_words(score.share)} of the real rows "
        f"({share_words(score.lower)} to {share_words(score.upper)}, over orders of the rows); "
        "a fresh sample as large as the real table: about a third",
    ]
    gaps = one.correlations.gaps
    if len(gaps):
        found.append(f"  correlations         off by {gaps.mean():.3f} on average, {gaps.max():.2f} at most")
    found += _learned(one)
    if one.apart is None:
        found.append("  told from real rows  not tried: too few rows")
    else:
        apart = one.apart
        found.append(
            f"  told from real rows  AUC {apart.area:.3f} ({apart.lower:.3f} to {apart.upper:.3f}); 0.5 is not at all"
        )
    found.append("  rare categories      " + ", ".join(f"{one.rare.counts[fate]} {fate}" for fate in FATES))
    found.append(
        f"  closest real record  {one.closest.median:.3f} away, reference {one.closest.reference:.3f}; no evidence of privacy"
    )
    return found


def share_words(share: float) -> str:
    """A share of the real rows; two digits are enough."""
    return percent(float(f"{share:.2g}")) if share >= 0.001 else "under 0.1 %"


def _error_line(one: Measured, size: int) -> str:
    found = one.errors[size]
    label = f"error of {TABLES_IN_WORDS[size]}" if size > 1 else "error of one column"
    return f"  {label:<20} {percent(found.errors.mean())} on average; a fresh sample {percent(found.floor.mean())}"


def _learned(one: Measured) -> list[str]:
    predicted = one.prediction
    if predicted is None:
        if one.not_learned is not None:
            return [f"  prediction           none: {one.not_learned}"]
        return ["  prediction           no target is declared: add [use] to the schema, or name one"]
    found = []
    for learner in predicted.learned:
        made = "nothing learned" if learner.synthetic is None else interval_words(learner.synthetic)
        name = learner.learner.replace("_", " ")
        found.append(f"  {name:<20} {predicted.measure} {made}; taught on real rows {interval_words(learner.real)}")
    for name, estimate in predicted.direct.items():
        found.append(
            f"  {'direct DP':<20} {name.replace('_', ' ')} {interval_words(estimate)} at the release's epsilon"
        )
    if predicted.synthetic_not is not None:
        found.append(f"  {'':<20} {predicted.synthetic_not}")
    if predicted.seen:
        found.append(
            f"  {'':<20} the generator may have seen the {count(about(predicted.test_rows))} rows or so judged by"
        )
    return found


def interval_words(estimate: Estimate) -> str:
    """An estimate with its interval."""
    return f"{estimate.value:.3f} ({estimate.lower:.3f} to {estimate.upper:.3f})"
