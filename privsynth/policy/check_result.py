"""CheckResult: what one rule of a policy says about a schema or a release.

Must never hold a value of a cell: `detail` names columns and rules, and is written for people who may see neither table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, final

Result: TypeAlias = Literal["pass", "fail", "not-applicable", "attested"]
Method: TypeAlias = Literal["machine", "attested"]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """One rule, where it comes from, whether it holds, who says so, and why in one sentence."""

    rule: str
    citation: str
    result: Result
    method: Method
    detail: str


def verdict(rule: str, citation: str, problems: Sequence[str], passed: str) -> CheckResult:
    """A machine's result: fail with every problem, or pass with what was looked at."""
    return CheckResult(
        rule=rule,
        citation=citation,
        result="fail" if problems else "pass",
        method="machine",
        detail="; ".join(problems) if problems else passed,
    )


def absent(rule: str, citation: str, detail: str) -> CheckResult:
    """A rule that has nothing to look at."""
    return CheckResult(rule=rule, citation=citation, result="not-applicable", method="machine", detail=detail)


def named(columns: Sequence[str]) -> str:
    """Column names for a sentence."""
    return ("column " if len(columns) == 1 else "columns ") + ", ".join(f'"{name}"' for name in columns)
