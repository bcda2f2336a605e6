"""Findings and claims: the worst row decides, and a number that is none is no claim."""

import pytest

from privsynth.errors import AuditError
from privsynth.findings import Claim, Finding, Findings


def test_findings_are_as_bad_as_their_worst_row() -> None:
    def row(verdict: str) -> Finding:
        return Finding(
            check="c",
            family="release",
            threat="t",
            verdict=verdict,
            threshold=None,
            detectable=None,
            ceiling=None,
            meaning="m",
        )

    ok, bad, unclear = (Findings(rows=(row(verdict),)) for verdict in ("PASS", "FAIL", "INCONCLUSIVE"))
    assert ok.together_with(ok).verdict == "PASS"
    assert ok.together_with(unclear).verdict == "INCONCLUSIVE"
    assert unclear.together_with(bad).verdict == "FAIL"
    assert ok.internal()["notice"].startswith("INTERNAL")
    with pytest.raises(AuditError, match="no checks"):
        Findings(rows=())


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -1.0])
def test_a_claim_of_no_number_is_an_error(number: float) -> None:
    with pytest.raises(AuditError, match="finite"):
        Claim(epsilon=1.0, delta=number, rho=0.1, unit="row")
