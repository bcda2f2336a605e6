"""The attacks section of the report: the audit's public rows, what did not pass first, equal rows on one line.

Must never show a number of the audit that is not in its public rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from privsynth.report import pictures
from privsynth.report.claims import Claims
from privsynth.report.words import percent, plural, short_digest

Section: TypeAlias = dict[str, object]

_RATES: Mapping[str, str] = {"threshold": "limit", "detectable": "would have seen", "ceiling": "ceiling"}

WOULD_HAVE_SEEN = (
    "“Would have seen” is the smallest leak that is noticed in 95 of 100 audits of the smallest group that the plan "
    "accepts, at the least favourable rate of success: it may be larger than the limit, but an attack passes only where the "
    "people really tried, how many is not told, show that it leaks less than the limit."
)
"""What the figure beside a limit is: public, where what the people tried would have shown is not."""


def attacks(claims: Claims) -> Section:
    """The public rows of the audit."""
    rows = claims.rows("audit.rows")
    passed = sum(row.text("verdict") == "PASS" for row in rows)
    plan = f"plan “{claims.text('audit.plan.name')}”, digest {short_digest(claims.text('audit.plan.digest.sha256'))}"
    return {
        "lead": f"{passed} of {plural(len(rows), 'check', 'checks')} passed; verdict {claims.text('audit.verdict')} ({plan}).",
        "rows": attack_rows(rows),
        "seen": WOULD_HAVE_SEEN,
        "attempts": f"{claims.text('attempts.used')} of {claims.text('attempts.allowed')}",
    }


def _rate(row: Claims, key: str) -> float | None:
    value = row.value(key) if row.has(key) else None
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _power(row: Claims) -> str:
    """The row's limit, power and ceiling in words, as far as it has them."""
    rates = ((words, _rate(row, key)) for key, words in _RATES.items())
    return ", ".join(f"{words} {percent(rate)}" for words, rate in rates if rate is not None)


def attack_rows(rows: Sequence[Claims]) -> list[Section]:
    """The audit's public rows, what did not pass first; rows that differ in the check's name alone share one line."""
    groups: dict[tuple[object, ...], list[Claims]] = {}
    for row in rows:
        same = (*(row.text(key) for key in ("threat", "verdict", "meaning")), *(_rate(row, key) for key in _RATES))
        groups.setdefault((_family_name(row.text("check")), *same), []).append(row)
    lines = [{**_attack_line(group[0]), **_names([row.text("check") for row in group])} for group in groups.values()]
    return sorted(lines, key=lambda line: line["verdict"] == "PASS")


def _family_name(check: str) -> tuple[str, str]:
    """The attack and the people of a check named "attack: what, people"; a name without both stands for itself."""
    attack, colon, rest = check.partition(": ")
    _, comma, people = rest.rpartition(", ")
    return (attack, people) if colon and comma else (check, "")


def _names(checks: Sequence[str]) -> Section:
    """The title of a line, and what it covers where it stands for several checks."""
    if len(checks) == 1:
        return {"check": checks[0], "covers": ""}
    attack, people = _family_name(checks[0])
    covered = [check.removeprefix(f"{attack}: ").removesuffix(f", {people}") for check in checks]
    return {"check": f"{attack}, {people}" if people else attack, "covers": ", ".join(covered)}


def _attack_line(row: Claims) -> Section:
    """One public row of the audit, with its picture where limit and power are on one scale."""
    threshold, detectable = _rate(row, "threshold"), _rate(row, "detectable")
    verdict = row.text("verdict")
    picture: object = ""
    if threshold is not None and detectable is not None and row.text("family") == "release":
        picture = pictures.power(threshold, detectable, _rate(row, "ceiling"))
    return {
        "threat": row.text("threat"),
        "verdict": verdict,
        "style": "pass" if verdict == "PASS" else "fail",
        "numbers": _power(row),
        "meaning": row.text("meaning"),
        "picture": picture,
    }
