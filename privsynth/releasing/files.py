"""The files of a release, and those of a refusal.

Must never write data or a certificate into a refusal, nor a file into a release that its certificate does not name.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, final

from privsynth import report
from privsynth.certificate import envelope, statement, verify_script
from privsynth.certificate.folder import CERTIFICATE
from privsynth.certificate.keys import Signer
from privsynth.findings import Findings
from privsynth.releasing.durably import write_durably
from privsynth.releasing.statement import ReleaseFacts, predicate
from privsynth.releasing.workspace import Workspace


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What is released, as functions of the predicate: every file by name, and the dictionary, which has their digests."""

    files: Callable[[Mapping[str, object]], dict[str, bytes]]
    dictionary: Callable[[Mapping[str, str], Mapping[str, object]], dict[str, object]]


def reasons(findings: Findings) -> list[str]:
    """Why the findings do not let a table go, from their public part."""
    return [f"{row.check}: {row.verdict}. {row.meaning}" for row in findings.rows if row.verdict != "PASS"]


def write_refusal(folder: Path, why: list[str], rows: Sequence[Mapping[str, object]], what: str) -> None:
    """Write `refusal.json` and `refusal.html`: the reasons and the public part of the findings, no data, no certificate."""
    workspace = Workspace(folder)
    workspace.require_free()
    folder.mkdir(mode=0o755)
    document = {"decision": "REFUSED", "what": what, "reasons": why, "audit": list(rows)}
    write_durably(folder / "refusal.json", json.dumps(document, indent=2).encode())
    page = report.render_refusal(reasons=why, findings=rows, what=what)
    write_durably(folder / "refusal.html", page.encode())


def write_candidate(
    facts: ReleaseFacts, findings: Findings, content: Content, workspace: Workspace, signer: Signer
) -> None:
    """Write every file of the release, then sign their digests; what an earlier attempt left unfinished is cleared first."""
    workspace.clear_candidate()
    says = predicate(facts, findings, datetime.now(UTC))
    files = {**content.files(says), "verify.sh": verify_script.TEXT.encode()}
    digests = {name: hashlib.sha256(written).hexdigest() for name, written in files.items()}
    described = content.dictionary(digests, says)
    files["dictionary.json"] = json.dumps(described, indent=2, ensure_ascii=False).encode()
    digests["dictionary.json"] = hashlib.sha256(files["dictionary.json"]).hexdigest()
    for name, written in files.items():
        workspace.write_candidate(name, written)
    signed = envelope.sign(statement.Statement(subjects=digests, predicate=says).to_bytes(), signer)
    workspace.write_candidate(CERTIFICATE, signed)


def signed_predicate(certificate: Path) -> Mapping[str, Any]:
    """What a certificate says."""
    return statement.Statement.from_bytes(envelope.payload(certificate.read_bytes())).predicate
