"""The audit's own page: one self-contained HTML file, in a version that may leave and one that may not.

Must never show a figure that was computed on real people in the version that may leave.
"""

from __future__ import annotations

from privsynth.audit_plan import AuditPlan
from privsynth.findings import Claim, Findings
from privsynth.report import page
from privsynth.report.attacks import attack_rows
from privsynth.report.claims import Claims


def render(findings: Findings, *, plan: AuditPlan, what: str, claim: Claim | None) -> str:
    """The page that may be published.

    Args: `what` names what was audited; `claim` is what it promises, None for no claim.
    """
    return _rendered(findings, plan, what, claim, internal=False)


def render_internal(findings: Findings, *, plan: AuditPlan, what: str, claim: Claim | None) -> str:
    """The page with the figures on real people, under a banner that says so.

    Privacy: functions of private records that nobody paid for; must stay where the records are.
    """
    return _rendered(findings, plan, what, claim, internal=True)


def _rendered(findings: Findings, plan: AuditPlan, what: str, claim: Claim | None, *, internal: bool) -> str:
    rows = [Claims(row.public(), "findings") for row in findings.rows]
    context: dict[str, object] = {
        "page": page.head(what),
        "verdict": findings.verdict,
        "internal": internal,
        "rows": attack_rows(rows),
        "plan": plan,
        "claim": claim,
        "not_tried": dict(findings.not_tried),
    }
    return page.fill("audit.html", context)
