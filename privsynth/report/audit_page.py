"""The audit's own page: one self-contained HTML file, in a version that may leave and one that may not.

Must never show a figure that was computed on real people in the version that may leave.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from privsynth.audit_plan import AuditPlan
from privsynth.findings import Claim, Finding, Findings
from privsynth.report import audit_pictures, page
from privsynth.report.attacks import Section
from privsynth.report.audit_words import (
    figures_in_words,
    has_in_words,
    lead,
    measured_in_words,
    power_in_words,
    summary,
    title_of,
)
from privsynth.report.words import count, percent, plural

_PEOPLE = ("everyone", "the most isolated people")
_EPSILONS = {"transcript: whole fit", "one run: canaries", "black box: one-run canaries"}
"""Conformance rows whose estimate is an epsilon."""
_STYLES = {"PASS": "pass", "FAIL": "fail", "INCONCLUSIVE": "open"}


def render(findings: Findings, *, plan: AuditPlan, what: str, claim: Claim | None) -> str:
    """The page that may be published: verdicts, limits and power, and what made-up tables gave.

    Args: `what` names what was audited; `claim` is what it promises, None for no claim.
    """
    return _rendered(findings, plan, what, claim, internal=False)


def render_internal(findings: Findings, *, plan: AuditPlan, what: str, claim: Claim | None) -> str:
    """The page with the figures on real people, under a banner that says so.

    Privacy: functions of private records that nobody paid for; must stay where the records are.
    """
    return _rendered(findings, plan, what, claim, internal=True)


def _rendered(findings: Findings, plan: AuditPlan, what: str, claim: Claim | None, *, internal: bool) -> str:
    release = [row for row in findings.rows if row.family == "release"]
    attacks = [row for row in release if row.threshold is not None]
    controls = [row for row in release if row.threshold is None]
    conformance = [row for row in findings.rows if row.family == "conformance"]
    context: dict[str, object] = {
        "page": page.head(what, also="audit.css"),
        "internal": internal,
        "verdict": findings.verdict,
        "style": _STYLES[findings.verdict],
        "summary": summary(findings),
        "lead": lead(findings),
        "cards": _cards(findings, attacks, plan, claim),
        "bad": [_plain(row) for row in findings.rows if row.verdict == "FAIL"],
        "attacks": _attacks(attacks, claim, internal=internal),
        "controls": [_plain(row) | {"figures": figures_in_words(row.figures) if internal else ""} for row in controls],
        "conformance": _conformance(conformance, claim, internal=internal),
        "curves": _curves(conformance, None),
        "not_tried": {name.replace("_", " "): reason for name, reason in findings.not_tried.items()},
        "plan": _plan(plan),
        "claim": None if claim is None else _claim(claim),
    }
    return page.fill("audit.html", context)


def _plain(row: Finding) -> Section:
    return {
        "check": row.check,
        "threat": row.threat,
        "verdict": row.verdict,
        "style": _STYLES[row.verdict],
        "meaning": row.meaning,
    }


def _cards(findings: Findings, attacks: Sequence[Finding], plan: AuditPlan, claim: Claim | None) -> list[Section]:
    passed = sum(row.verdict == "PASS" for row in findings.rows)
    cards = [
        _card("Checks passed", f"{passed} of {len(findings.rows)}", "one that could not run never counts as passed")
    ]
    if attacks:
        limits = sorted({row.threshold for row in attacks if row.threshold is not None})
        cards.append(
            _card(
                "Attack limit",
                percent(limits[0]) if len(limits) == 1 else f"{percent(limits[0])} to {percent(limits[-1])}",
                "how much more often an attack may work on people in the training data than on others",
            )
        )
    if claim is None:
        cards.append(_card("Claim", "none", "nothing was promised that an attack could be held against"))
    else:
        cards.append(_card("Claim", f"ε = {claim.epsilon:.4g}", f"delta {claim.delta:.3g}, per {claim.unit}"))
    cards.append(_card("Plan", plan.name, "attacks, limits and sizes were fixed in it before the run"))
    return cards


def _card(title: str, value: str, note: str) -> Section:
    return {"title": title, "value": value, "note": note}


def _claim(claim: Claim) -> Section:
    """The claim, and what the best attack that there could be would reach under it."""
    most = audit_pictures.allowed(claim)
    return {
        "epsilon": f"{claim.epsilon:.4g}",
        "delta": f"{claim.delta:.3g}",
        "unit": claim.unit,
        "at_one": percent(most(0.01)),
        "at_ten": percent(most(0.1)),
    }


def _plan(plan: AuditPlan) -> list[tuple[str, str]]:
    terms = plan.release
    return [
        ("Plan", f"{plan.name}: {plan.description}"),
        ("SHA-256 of the plan file", plan.digest),
        ("Seed", str(plan.seed)),
        ("People tried in each group", ", then ".join(count(size) for size in terms.attempts)),
        ("Least people in each group", count(terms.attempts_min)),
        ("Error rate of a pass, of a fail", f"{percent(terms.alpha_pass)}, {percent(terms.alpha_fail)}"),
    ]


# ---- attacks -----------------------------------------------------------------------------------------------------------


def _people_of(row: Finding) -> str:
    return next((people for people in _PEOPLE if row.check.endswith(f", {people}")), "")


def _label_of(row: Finding) -> str:
    return row.check.removesuffix(f", {_people_of(row)}")


def _attacks(rows: Sequence[Finding], claim: Claim | None, *, internal: bool) -> list[Section]:
    """One entry an attack, those that did not pass first; all pictures on one scale."""
    uppers = [row.interval[1] for row in rows if internal and row.interval is not None]
    top = audit_pictures.common_top(
        [*uppers, *(value for row in rows for value in (row.threshold, row.detectable, row.ceiling))]
    )
    families: dict[str, list[Finding]] = {}
    for row in rows:
        families.setdefault(title_of(_label_of(row)), []).append(row)
    found = [_attack(name, of_attack, top, claim, internal=internal) for name, of_attack in families.items()]
    return sorted(found, key=lambda entry: entry["style"] == "pass")


def _attack(name: str, rows: Sequence[Finding], top: float, claim: Claim | None, *, internal: bool) -> Section:
    threat, has = has_in_words(rows[0].threat)
    worst = min((row.verdict for row in rows), key=("FAIL", "INCONCLUSIVE", "PASS").index)
    return {
        "name": name,
        "threat": threat,
        "has": has,
        "verdict": worst,
        "style": _STYLES[worst],
        "lines": [_line(name, equal, top, internal=internal) for equal in _equal(rows, internal=internal)],
        "curves": _curves(rows, claim) if internal else [],
    }


def _equal(rows: Iterable[Finding], *, internal: bool) -> list[list[Finding]]:
    """Rows that differ in what was attacked alone, together; on the internal page every row for itself."""
    groups: dict[object, list[Finding]] = {}
    for row in rows:
        public = _people_of(row), row.verdict, row.meaning, row.threshold, row.detectable, row.ceiling
        groups.setdefault((row.check, *public) if internal else public, []).append(row)
    return list(groups.values())


def _line(name: str, rows: Sequence[Finding], top: float, *, internal: bool) -> Section:
    row = rows[0]
    covered = [_label_of(row).removeprefix(name).removeprefix(": ") for row in rows]
    measured = None
    if internal and row.estimate is not None and row.interval is not None:
        measured = row.estimate, *row.interval
    assert row.threshold is not None
    return {
        **_plain(row),
        "people": _people_of(row) or "everyone",
        "covers": ", ".join(what for what in covered if what),
        "several": plural(len(rows), "target", "targets") if len(rows) > 1 else "",
        "power": power_in_words(row),
        "picture": audit_pictures.gauge(
            limit=row.threshold, detectable=row.detectable, ceiling=row.ceiling, top=top, measured=measured
        ),
        "measured": measured_in_words(row) if internal else "",
        "figures": figures_in_words(row.figures) if internal else "",
    }


# ---- conformance -------------------------------------------------------------------------------------------------------


def _conformance(rows: Sequence[Finding], claim: Claim | None, *, internal: bool) -> list[Section]:
    """What did not pass first; estimates on one scale where they have one unit."""
    found = []
    for row in sorted(rows, key=lambda row: row.verdict == "PASS"):
        picture: object = ""
        mark, unit = _mark(row, claim)
        if row.estimate is not None and row.interval is not None:
            ends = [value for other in rows if _mark(other, claim)[1] == unit for value in other.interval or ()]
            top = audit_pictures.common_top([*ends, mark])
            picture = audit_pictures.interval(row.estimate, *row.interval, reference=mark, top=top)
        told = figures_in_words(row.figures) if internal else ""
        found.append(_plain(row) | {"picture": picture, "unit": unit if picture else "", "figures": told})
    return found


def _mark(row: Finding, claim: Claim | None) -> tuple[float | None, str]:
    """Where the claim stands on the scale of a conformance row, and what the scale is; rows of one scale share it."""
    if row.threshold is not None:
        return row.threshold, f"mark: {row.threshold:.4g}, the limit"
    if row.check.startswith("transcript: ") and row.check != "transcript: whole fit":
        return 1.0, "mu as a share of the ledger’s entry; mark: all of it"
    if row.check in _EPSILONS and claim is not None:
        return claim.epsilon, "epsilon; mark: what is claimed"
    return None, ""


def _curves(rows: Sequence[Finding], claim: Claim | None) -> list[Section]:
    """ROC curves, each under its own ceiling where it has one, or under the claim's."""
    ceiling = () if claim is None else audit_pictures.points_of(audit_pictures.allowed(claim))
    return [
        {"name": row.check, "svg": audit_pictures.roc(row.curve, row.allowed or ceiling)} for row in rows if row.curve
    ]
