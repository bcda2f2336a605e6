"""The audit's page in words: what the verdict means, what an attacker has, what was measured.

Must never add to what the findings say.
"""

from __future__ import annotations

from collections.abc import Mapping

from privsynth.findings import Figure, Finding, Findings
from privsynth.report.words import number, percent, plural

_HAS = {
    "release only": "the released table and nothing else",
    "release and auxiliary data": "the released table, and records of people from elsewhere",
    "algorithm": "the released table, records of people, and the program that made it",
    "transcript": "records of people, and the noisy answers that are published with the table",
    "worst-case data": "everything but one person's record",
}
_SUMMARIES = {
    "PASS": "Passed: no attack that was tried tells who was in the data.",
    "FAIL": "Failed: do not release this.",
    "INCONCLUSIVE": "Not decided: this is no pass, and nothing may be released on it.",
}
_CONFORMANCE_SUMMARIES = {
    **_SUMMARIES,
    "PASS": "Passed: the generator kept its claim in everything that was checked.",
    "FAIL": "Failed: this generator does not keep its claim.",
}

_ATTACKED = (
    "Every attack was run on people who were in the training data and on as many who were not; a leak planted on purpose "
    "was noticed, and people who were never seen were not taken for one. A passed audit is evidence, and says below how "
    "small a leak it would have seen; proof is a guarantee alone."
)
_CHECKED = (
    "It was run on made-up tables, whose exact answers are known, and on their neighbours; no private record was used."
)


def summary(findings: Findings) -> str:
    """The verdict in one sentence."""
    attacked = any(row.family == "release" for row in findings.rows)
    return (_SUMMARIES if attacked else _CONFORMANCE_SUMMARIES)[findings.verdict]


def lead(findings: Findings) -> str:
    """What the verdict rests on."""
    verdicts = [row.verdict for row in findings.rows]
    if findings.verdict == "PASS":
        return _ATTACKED if any(row.family == "release" for row in findings.rows) else _CHECKED
    if findings.verdict == "FAIL":
        failed = plural(verdicts.count("FAIL"), "check", "checks")
        return f"{failed} failed, out of {len(verdicts)}. Once one has failed, the others are not finished: the verdict stands."
    undecided = plural(verdicts.count("INCONCLUSIVE"), "check", "checks")
    return f"{undecided}, out of {len(verdicts)}, could neither rule a leak out nor show one. Each says what it would take."


def title_of(label: str) -> str:
    """The attack's name: what stands before the secret or the kind of condition that it is after."""
    return label.partition(": ")[0]


def has_in_words(threat: str) -> tuple[str, str]:
    """A finding's threat, and what the attacker has, in words."""
    what, _, tier = threat.removesuffix(")").partition(" (attacker has: ")
    return what, _HAS.get(tier, tier)


def power_in_words(row: Finding) -> str:
    """Limit, power and ceiling of an attack, in percentage points."""
    words = []
    if row.threshold is not None:
        words.append(f"limit {percent(row.threshold)}")
    if row.detectable is not None:
        words.append(f"a leak of {percent(row.detectable)} would have been seen")
    if row.ceiling is not None:
        words.append(f"the claim allows {percent(row.ceiling)}")
    return "; ".join(words)


def measured_in_words(row: Finding) -> str:
    """What an attack achieved on people, and its interval: internal."""
    if row.estimate is None or row.interval is None:
        return ""
    lower, upper = (_signed(value) for value in row.interval)
    tried = f" of {number(row.figures['attempts'])}" if "attempts" in row.figures else ""
    worked = (
        f"Worked on {number(row.figures['member successes'])}{tried} people in the data and on "
        f"{number(row.figures['control successes'])}{tried} others: "
        if {"member successes", "control successes"} <= set(row.figures)
        else ""
    )
    return f"{worked}difference {_signed(row.estimate)} points, between {lower} and {upper}."


def figures_in_words(figures: Mapping[str, Figure]) -> str:
    """The other figures of a row: internal."""
    told = {"attempts", "member successes", "control successes"}
    words = (f"{name}: {number(value)}" for name, value in figures.items() if name not in told)
    return "; ".join(words)


def _signed(share: float) -> str:
    digits = 1 if abs(share) >= 0.001 else 2
    text = f"{100 * share:+.{digits}f}".replace("-", "−")
    return "0" if float(text.replace("−", "-")) == 0 else text
