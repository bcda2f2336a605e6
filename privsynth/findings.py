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
from privsynth.privacy.sampled_gaussian import SampledGaussian

Verdict: TypeAlias = Literal["PASS", "FAIL", "INCONCLUSIVE"]
Family: TypeAlias = Literal["conformance", "release"]
Figure: TypeAlias = str | int | float | bool | None
Curve: TypeAlias = tuple[tuple[float, float], ...]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a release promises, for the ceiling that it sets on any attack.

    Units: `rho` is zCDP, for one `unit`, or with composition "gdp" or "pld" half the square of mu; None where a vendor states
        epsilon and delta alone. `training` holds gradient steps that come on top.
    """

    epsilon: float
    delta: float
    rho: float | None
    unit: str
    composition: Composition = "zcdp"
    training: SampledGaussian | None = None

    def __post_init__(self) -> None:
        numbers = (self.epsilon, self.delta, self.rho or 0.0)
        if not all(math.isfinite(number) and number >= 0 for number in numbers):
            raise AuditError("a claim's epsilon, delta and rho are finite and not negative")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One check and its verdict.

    Units: `threshold`, `detectable` and `ceiling` of a release row are excesses (member rate - control rate): the limit, the
        smallest that this many attempts tell from none with 95 % probability at the least favourable control rate, and the
        largest that the claim allows. Those of a conformance row are said in `meaning`. None: there is no such number.
        `estimate` and `interval` are in the units of `threshold` in a release row, in those that `meaning` names in a
        conformance row; `curve` holds points (false-positive rate, true-positive rate), and `allowed` the most that the claim
        allows of it.
    Privacy: `figures` are private, and internal to the audit, and so are `estimate`, `interval` and `curve` of a release row:
        they were computed on real people. A conformance row's were computed on made-up tables, and may be published, as
        everything else.
    """

    check: str
    family: Family
    threat: str
    verdict: Verdict
    meaning: str
    threshold: float | None = None
    detectable: float | None = None
    ceiling: float | None = None
    figures: Mapping[str, Figure] = field(default_factory=dict)
    estimate: float | None = None
    interval: tuple[float, float] | None = None
    curve: Curve = ()
    allowed: Curve = ()

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

    def measured(self) -> dict[str, object]:
        """Estimate, interval and curve, as far as there are any; of a release row, internal."""
        curves = {"curve": self.curve or None, "allowed": self.allowed or None}
        found = {"estimate": self.estimate, "interval": self.interval, **curves}
        return {name: value for name, value in found.items() if value is not None}


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """All rows of an audit, and the attacks of its plan that could not be tried on this table, with the reason.

    Raises: AuditError when there is no row, because an audit that checked nothing passes nothing.
    """

    rows: tuple[Finding, ...]
    not_tried: Mapping[str, str] = field(default_factory=dict)

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
        return Findings(rows=self.rows + other.rows, not_tried={**self.not_tried, **other.not_tried})

    def public(self) -> list[dict[str, Figure]]:
        """The published rows."""
        return [row.public() for row in self.rows]

    def published(self) -> dict[str, object]:
        """The audit's own public file: the published rows with what made-up tables gave, and what was not tried."""
        return {
            "verdict": self.verdict,
            "rows": [{**row.public(), **(row.measured() if row.family == "conformance" else {})} for row in self.rows],
            "not tried": dict(self.not_tried),
        }

    def internal(self) -> dict[str, object]:
        """Everything, for the audit's own file: never part of a release."""
        return {
            "notice": "INTERNAL: these figures were computed on real people; they must not leave",
            "verdict": self.verdict,
            "rows": [{**row.public(), **row.measured(), "figures": dict(row.figures)} for row in self.rows],
            "not tried": dict(self.not_tried),
        }
