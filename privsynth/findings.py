"""Findings: what an audit found, row by row, in a part that may be published and a part that may not.

Must never let a number computed on members or controls into the published part: such numbers are functions of private data
that nobody paid for.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, final

from privsynth.errors import AuditError
from privsynth.privacy.accounting import Composition

Verdict: TypeAlias = Literal["PASS", "FAIL", "INCONCLUSIVE"]
Family: TypeAlias = Literal["conformance", "release"]
Figure: TypeAlias = str | int | float | bool | None


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a release promises, for the ceiling that it sets on any attack.

    Units: `rho` is zCDP, for one `unit`, or with composition "gdp" half the square of mu.
    """

    epsilon: float
    delta: float
    rho: float
    unit: str
    composition: Composition = "zcdp"

    def __post_init__(self) -> None:
        numbers = (self.epsilon, self.delta, self.rho)
        if not all(math.isfinite(number) and number >= 0 for number in numbers):
            raise AuditError("a claim's epsilon, delta and rho are finite and not negative")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One check and its verdict.

    Units: `threshold`, `detectable` and `ceiling` of a release row are excesses (member rate - control rate): the limit, the
        smallest that this many attempts tell from none with 95 % probability at the least favourable control rate, and the
        largest that the claim allows. Those of a conformance row are said in `meaning`. None: there is no such number.
    Privacy: `figures` are private, and internal to the audit; everything else is public.
    """

    check: str
    family: Family
    threat: str
    verdict: Verdict
    threshold: float | None
    detectable: float | None
    ceiling: float | None
    meaning: str
    figures: Mapping[str, Figure] = field(default_factory=dict)

    def public(self) -> dict[str, Figure]:
        """What may be published."""
        return {
            "check": self.check,
            "family": self.family,
            "threat": self.threat,
            "verdict": self.verdict,
            "threshold": self.threshold,
            "detectable": self.detectable,
            "ceiling": self.ceiling,
            "meaning": self.meaning,
        }


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """All rows of an audit. Raises: AuditError when there is none, because an audit that checked nothing passes nothing."""

    rows: tuple[Finding, ...]

    def __post_init__(self) -> None:
        if not self.rows:
            raise AuditError("the audit made no checks; a plan needs at least one")

    @property
    def verdict(self) -> Verdict:
        """FAIL when any row fails, else INCONCLUSIVE when any row is, else PASS."""
        verdicts = {row.verdict for row in self.rows}
        return "FAIL" if "FAIL" in verdicts else "INCONCLUSIVE" if "INCONCLUSIVE" in verdicts else "PASS"

    def together_with(self, other: Findings) -> Findings:
        """The rows of both."""
        return Findings(rows=self.rows + other.rows)

    def public(self) -> list[dict[str, Figure]]:
        """The published rows."""
        return [row.public() for row in self.rows]

    def internal(self) -> dict[str, object]:
        """Everything, for the audit's own file: never part of a release."""
        return {
            "notice": "INTERNAL: these figures were computed on real people; they must not leave",
            "verdict": self.verdict,
            "rows": [{**row.public(), "figures": dict(row.figures)} for row in self.rows],
        }
