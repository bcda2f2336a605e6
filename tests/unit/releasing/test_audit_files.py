"""The audit's folders: one may be read by everybody, one by nobody else, and neither is ever half there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from privsynth.audit_plan import AuditPlan
from privsynth.errors import OutputError
from privsynth.findings import Claim, Finding, Findings
from privsynth.releasing.audit_files import write_audit, write_internal

PLAN = AuditPlan.load("quick")
CLAIM = Claim(epsilon=1.0, delta=1e-5, rho=None, unit="row")
ROW = Finding(
    check="near match, everyone",
    family="release",
    threat="that it is near (attacker has: release only)",
    verdict="PASS",
    threshold=0.05,
    detectable=0.08,
    ceiling=None,
    meaning="Fine.",
    figures={"attempts": 4321},
    estimate=0.01234,
    interval=(0.0, 0.02),
    curve=((0.0, 0.0), (1.0, 1.0)),
)
MADE_UP = Finding(
    check="transcript: pairs",
    family="conformance",
    threat="t",
    verdict="PASS",
    threshold=None,
    detectable=None,
    ceiling=None,
    meaning="m",
    figures={"p-value": 0.6789},
    estimate=0.24,
    interval=(0.23, 0.25),
    curve=((0.0, 0.0), (1.0, 1.0)),
)
FOUND = Findings(rows=(MADE_UP, ROW), not_tried={"shadow_queries": "It needs the generator."})


def modes(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mode & 0o777 for path in (folder, *folder.iterdir())}


def test_the_public_folder_holds_public_contents_alone(tmp_path: Path) -> None:
    write_audit(tmp_path / "out", FOUND, plan=PLAN, what="Stays", claim=CLAIM)
    assert modes(tmp_path / "out") == {"out": 0o755, "audit.html": 0o644, "findings.json": 0o644}
    text = (tmp_path / "out" / "findings.json").read_text()
    document = json.loads(text)
    assert document["verdict"] == "PASS"
    assert document["plan"] == {"name": "quick", "digest": {"sha256": PLAN.digest}}
    assert document["claim"] == {"epsilon": 1.0, "delta": 1e-5, "unit": "row"}
    assert document["not tried"] == dict(FOUND.not_tried)
    made_up, row = document["rows"]
    assert (made_up["estimate"], made_up["interval"], made_up["curve"]) == (0.24, [0.23, 0.25], [[0, 0], [1, 1]])
    assert set(row) == set(ROW.public())
    assert "4321" not in text
    assert "0.01234" not in text


def test_the_internal_folder_is_the_owner_s_alone_and_holds_everything(tmp_path: Path) -> None:
    write_internal(tmp_path / "in", FOUND, plan=PLAN, what="Stays", claim=None)
    assert modes(tmp_path / "in") == {"in": 0o700, "INTERNAL.txt": 0o600, "audit.html": 0o600, "findings.json": 0o600}
    assert "never release" in (tmp_path / "in" / "INTERNAL.txt").read_text()
    document = json.loads((tmp_path / "in" / "findings.json").read_text())
    assert document["notice"].startswith("INTERNAL")
    assert document["claim"] is None
    assert document["rows"][1]["figures"] == {"attempts": 4321}
    assert document["rows"][1]["estimate"] == 0.01234
    assert "MUST NOT LEAVE" in (tmp_path / "in" / "audit.html").read_text()


@pytest.mark.parametrize("write", [write_audit, write_internal])
def test_nothing_is_overwritten_and_nothing_is_left_behind(tmp_path: Path, write: object) -> None:
    writing = write_audit if write is write_audit else write_internal
    (tmp_path / "there").mkdir()
    with pytest.raises(OutputError, match="exists"):
        writing(tmp_path / "there", FOUND, plan=PLAN, what="Stays", claim=None)
    with pytest.raises(OutputError, match="cannot be made"):
        writing(tmp_path / "no" / "parent", FOUND, plan=PLAN, what="Stays", claim=None)
    assert [path.name for path in tmp_path.iterdir()] == ["there"]
    assert not list((tmp_path / "there").iterdir())


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, content: bytes) -> Path:
        if path.name == "findings.json":
            raise OutputError("the disk is full")
        path.write_bytes(content)
        return path

    monkeypatch.setattr("privsynth.releasing.audit_files.write_durably", full)
    with pytest.raises(OutputError, match="full"):
        write_audit(tmp_path / "out", FOUND, plan=PLAN, what="Stays", claim=None)
    assert not list(tmp_path.iterdir())
