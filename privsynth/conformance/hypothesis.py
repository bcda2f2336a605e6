"""One test of conformance and what it says, and the rows that many of them make together.

Must never let more tests mean more false alarms: all p-values are corrected together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import final

from privsynth import statistics
from privsynth.findings import Curve, Figure, Finding, Verdict


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Hypothesis:
    """One test: what it guards against, its p-value, and what to say when it rejects or does not.

    `shown` says whether it could have seen what it is for; where not, it is INCONCLUSIVE for the reason `undecided`.
    """

    check: str
    threat: str
    p_value: float
    rejected: str
    kept: str
    shown: bool = True
    undecided: str = "There are too few noisy answers to say."
    detectable: float | None = None
    estimate: float | None = None
    interval: tuple[float, float] | None = None
    curve: Curve = ()
    allowed: Curve = ()
    figures: Mapping[str, Figure] = field(default_factory=dict)


def judged(tests: Sequence[Hypothesis], alpha: float) -> tuple[Finding, ...]:
    """A row for each test: none fails falsely but with probability `alpha` in all (Holm 1979)."""
    adjusted = statistics.holm([test.p_value for test in tests])
    return tuple(_finding(test, p_value, alpha) for test, p_value in zip(tests, adjusted, strict=True))


def _finding(test: Hypothesis, p_value: float, alpha: float) -> Finding:
    verdict: Verdict = "FAIL" if p_value <= alpha else "PASS" if test.shown else "INCONCLUSIVE"
    return Finding(
        check=test.check,
        family="conformance",
        threat=test.threat,
        verdict=verdict,
        detectable=test.detectable,
        meaning={"FAIL": test.rejected, "PASS": test.kept, "INCONCLUSIVE": test.undecided}[verdict],
        figures={"adjusted p-value": p_value, **test.figures},
        estimate=test.estimate,
        interval=test.interval,
        curve=test.curve,
        allowed=test.allowed,
    )


def deterministic(check: str, threat: str, problems: Sequence[str], kept: str) -> Finding:
    """A row about problems that a correct generator never has."""
    distinct = list(dict.fromkeys(problems))
    more = f" (and {len(distinct) - 1} more)" if len(distinct) > 1 else ""
    return Finding(
        check=check,
        family="conformance",
        threat=threat,
        verdict="FAIL" if distinct else "PASS",
        meaning=f"{distinct[0]}{more}" if distinct else kept,
        figures={"problems": len(distinct)},
    )
