"""The folders of an audit: one that may be published, and one with the figures on real people that may not.

Must never write a private figure into the public folder, nor leave a folder half written under its name.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

from privsynth.audit_plan import AuditPlan
from privsynth.certificate.places import NOTICE, require_outside, require_publishable
from privsynth.errors import OutputError
from privsynth.findings import Claim, Findings
from privsynth.releasing.durably import write_durably
from privsynth.report import audit_page

PAGE = "audit.html"
FINDINGS = "findings.json"
_NOTICE = (
    "INTERNAL: computed on real records; never release.\n"
    "What the attacks found about real people, for which no privacy budget was spent. Keep it where the real table is kept.\n"
)


def write_audit(folder: Path, findings: Findings, *, plan: AuditPlan, what: str, claim: Claim | None) -> None:
    """Write the audit's page and its findings, public contents only: verdicts, limits, power, and what made-up tables gave.

    Args: `what` names what was audited, as the page's title; `claim` is what it promises, None for no claim.
    Raises: OutputError when the folder exists or cannot be written; nothing is left behind.
    """
    require_publishable(folder)
    document = {"what": what, **_about(plan, claim), **findings.published()}
    page = audit_page.render(findings, plan=plan, what=what, claim=claim)
    _write(folder, {PAGE: page, FINDINGS: _json(document)}, mode=0o755)


def write_internal(folder: Path, findings: Findings, *, plan: AuditPlan, what: str, claim: Claim | None) -> None:
    """The same with the figures on real people, under a red banner; folder mode 0700, files 0600.

    Privacy: the contents are functions of private records that nobody paid for; they must stay where the records are.
    Raises: OutputError when the folder exists or cannot be written; nothing is left behind.
    """
    require_outside(folder)
    document = {"what": what, **_about(plan, claim), **findings.internal()}
    page = audit_page.render_internal(findings, plan=plan, what=what, claim=claim)
    _write(folder, {NOTICE: _NOTICE, PAGE: page, FINDINGS: _json(document)}, mode=0o700)


def _about(plan: AuditPlan, claim: Claim | None) -> Mapping[str, object]:
    stated = None if claim is None else {"epsilon": claim.epsilon, "delta": claim.delta, "unit": claim.unit}
    return {"plan": {"name": plan.name, "digest": {"sha256": plan.digest}}, "claim": stated}


def _json(document: Mapping[str, object]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)


def _write(folder: Path, files: Mapping[str, str], *, mode: int) -> None:
    """Write the files into a folder beside, and give it its name when all are there."""
    if folder.exists() or folder.is_symlink():
        raise OutputError(f"{folder} exists; choose a new folder, nothing is overwritten")
    partial = folder.with_name(folder.name + ".partial")
    try:
        partial.mkdir(mode=0o700)
    except OSError as failure:
        raise OutputError(f"{partial} cannot be made ({failure.strerror}); choose another folder") from None
    try:
        for name, text in files.items():
            path = write_durably(partial / name, text.encode())
            path.chmod(mode & 0o666)
        partial.chmod(mode)
        partial.rename(folder)
    except OSError as failure:
        raise OutputError(f"{folder} cannot be written ({failure.strerror}); choose another folder") from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)
