"""The statement: one way to write it, and nothing in it that must not be signed."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from privsynth.certificate.predicate import require
from privsynth.certificate.statement import Statement
from privsynth.errors import CertificateError, ClaimMismatch, SubjectMismatch

Json = dict[str, Any]
SUBJECTS = {"b.csv": "b" * 64, "a/x.svg": "a" * 64}


def put(predicate: Json, place: str, value: object) -> Json:
    *parents, last = place.split(".")
    inner: Any = predicate
    for name in parents:
        inner = inner[int(name)] if isinstance(inner, list) else inner[name]
    if value is ...:
        del inner[last]
    else:
        inner[last] = value
    return predicate


def test_it_is_written_in_one_way(predicate: Json) -> None:
    statement = Statement(subjects=SUBJECTS, predicate=predicate)
    turned = Statement(
        subjects=dict(reversed(SUBJECTS.items())), predicate=dict(sorted(predicate.items(), reverse=True))
    )
    assert statement.to_bytes() == turned.to_bytes()
    assert statement.to_bytes().startswith(
        b'{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"a/x.svg","digest":{"sha256":"'
        + b"a" * 64
        + b'"}},{"name":"b.csv","digest":{"sha256":"'
        + b"b" * 64
        + b'"}}],"predicateType":"https://privsynth.dev/attestation/release/v0.1","predicate":{"attempts":'
        + b'{"allowed":2,"used":1},"audit":{'
    )
    assert statement.to_bytes().endswith(b'"version":"0.1.0"}}}')


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    text=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30).filter(lambda text: "/" not in text)
)
def test_what_is_written_is_read_back(predicate: Json, text: str) -> None:
    assume("\\" not in text)
    statement = Statement(subjects=SUBJECTS, predicate=put(predicate, "limitations", [text]))
    assert Statement.from_bytes(statement.to_bytes()) == statement


@pytest.mark.parametrize(
    "name",
    [
        "../a", "a/../b", "..", ".", "", "/etc/passwd", "a//b", "a/", "./a", ".hidden", "-rf", "a b", "a\\b", "C:\\a",
        "a\nb", "a\x00", "caf\u00e9", "cafe\u0301", "a\u202eb", "a..b", "x" * 129, "a/" * 8 + "b",
        "internal/findings.json", "a/internal/b", "internal", "certificate.json",
    ],
)  # fmt: skip
def test_names_that_lead_elsewhere_are_refused(predicate: Json, name: str) -> None:
    with pytest.raises(SubjectMismatch):
        Statement(subjects={name: "a" * 64}, predicate=predicate)


@pytest.mark.parametrize("digest", ["", "a" * 63, "a" * 65, "A" * 64, "g" * 64, "a" * 64 + "\n"])
def test_digests_that_are_none_are_refused(predicate: Json, digest: str) -> None:
    with pytest.raises(SubjectMismatch):
        Statement(subjects={"a": digest}, predicate=predicate)


def test_a_statement_about_nothing_is_refused(predicate: Json) -> None:
    with pytest.raises(SubjectMismatch):
        Statement(subjects={}, predicate=predicate)


def read_changed(predicate: Json, change: Callable[[Json], object]) -> Statement:
    value = json.loads(Statement(subjects=SUBJECTS, predicate=predicate).to_bytes())
    change(value)
    return Statement.from_bytes(json.dumps(value).encode())


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda s: s.update(_type="https://in-toto.io/Statement/v0.1"), CertificateError),
        (lambda s: s.update(_type="https://in-toto.io/Statement/v1/"), CertificateError),
        (lambda s: s.pop("_type"), CertificateError),
        (lambda s: s.update(predicateType="https://privsynth.dev/attestation/release/v0.2"), ClaimMismatch),
        (lambda s: s.update(predicateType="https://slsa.dev/provenance/v1"), ClaimMismatch),
        (lambda s: s.pop("predicateType"), ClaimMismatch),
        (lambda s: s.update(predicate=[]), ClaimMismatch),
        (lambda s: s.pop("predicate"), CertificateError),
        (lambda s: s.update(more=1), CertificateError),
        (lambda s: s.update(subject={}), SubjectMismatch),
        (lambda s: s.update(subject=[]), SubjectMismatch),
        (lambda s: s["subject"].append(s["subject"][0]), SubjectMismatch),
        (lambda s: s["subject"].append("data.csv"), SubjectMismatch),
        (lambda s: s["subject"][0].pop("name"), SubjectMismatch),
        (lambda s: s["subject"][0].update(name=7), SubjectMismatch),
        (lambda s: s["subject"][0].update(name="../x"), SubjectMismatch),
        (lambda s: s["subject"][0].update(uri="https://x"), SubjectMismatch),
        (lambda s: s["subject"][0].update(digest={"md5": "a"}), SubjectMismatch),
        (lambda s: s["subject"][0]["digest"].update(md5="a"), SubjectMismatch),
        (lambda s: s["subject"][0]["digest"].update(sha256="A" * 64), SubjectMismatch),
    ],
)
def test_statements_of_another_kind_are_not_read(
    predicate: Json, change: Callable[[Json], object], error: type[CertificateError]
) -> None:
    with pytest.raises(error):
        read_changed(predicate, change)


@pytest.mark.parametrize("content", [b"", b"[]", b"7", b"null", b"{", b'{"_type":1,"_type":1}'])
def test_what_is_no_statement_is_not_read(content: bytes) -> None:
    with pytest.raises(CertificateError):
        Statement.from_bytes(content)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("decision", "FAILED"),
        ("decision", "PASSED_WITH_WAIVERS"),
        ("decision", ...),
        ("audit.verdict", "FAIL"),
        ("audit.verdict", "INCONCLUSIVE"),
        ("audit.rows.0.verdict", "INCONCLUSIVE"),
        ("audit.rows", []),
        ("checks.0.result", "fail"),
        ("guarantee.randomness", "UNSAFE-seeded"),
        ("guarantee.epsilon", 1.2345),
        ("guarantee.epsilon", 1),
        ("guarantee.epsilon", "0"),
        ("guarantee.epsilon", "-1"),
        ("guarantee.epsilon", "+1"),
        ("guarantee.epsilon", "NaN"),
        ("guarantee.epsilon", "Infinity"),
        ("guarantee.epsilon", "1e400"),
        ("guarantee.epsilon", "1_0"),
        ("guarantee.epsilon", "01"),
        ("guarantee.epsilon", "1,5"),
        ("guarantee.epsilon", " 1"),
        ("guarantee.epsilon", "\u0661"),
        ("guarantee.epsilon", ""),
        ("guarantee.rho", "1/20"),
        ("guarantee.rho", "0.0"),
        ("guarantee.delta", 1e-6),
        ("guarantee.delta", None),
        ("guarantee.stages.0.rho", 0.05),
        ("guarantee.stages.0.delta", "-0"),
        ("guarantee.relation", "whatever"),
        ("guarantee.unit.maxRows", 0),
        ("guarantee.unit.maxRows", True),
        ("guarantee.unit.maxRows", "3"),
        ("guarantee.unit.max_rows", 3),
        ("budget.capEpsilon", 10),
        ("budget.ledgerSequence", 0),
        ("budget.ledgerSequence", 1.0),
        ("budget.ledgerHead", "2" * 63),
        ("policy.digest.sha256", "1" * 64 + "\n"),
        ("policy.digest", "1" * 64),
        ("issuedAt", "2026-11-22"),
        ("issuedAt", "2026-11-22T10:00:00+00:00"),
        ("issuedAt", "2026-11-22T10:00:00.5Z"),
        ("issuedAt", "2026-13-22T10:00:00Z"),
        ("issuedAt", "2026-1-2T1:0:0Z"),
        ("expiresAt", "2026-06-01T10:00:00Z"),
        ("expiresAt", ...),
        ("attempts.used", 3),
        ("attempts.used", 0),
        ("repairs.x", -1),
        ("repairs.x", 0.5),
        ("releaseId", ""),
        ("seed", 7),
        ("rawDigest", "5" * 64),
        ("schema.privateRows", 101766),
        ("tool.hostname", "hospital-7"),
        ("audit.rows.0.members", 0.3),
        ("generator.settings.seed", 7),
        ("generator.settings.rngSeed", 7),
        ("generator.settings.random_seed", "7"),
        ("generator.settings.hostName", "hospital-7"),
        ("generator.settings.data_path", "x"),
        ("generator.settings.user", "ann"),
        ("generator.settings.share", float("nan")),
        ("generator.settings.share", float("inf")),
        ("generator.settings.nested", {"a": {"b": 1}}),
        ("limitations", ["see /home/ann/stays.csv"]),
        ("limitations", ["read from '/data/private.parquet'"]),
        ("limitations", ["C:\\Users\\ann"]),
        ("limitations", ["\\\\server\\share"]),
        ("limitations", ["~/stays.csv"]),
        ("limitations", ["file:stays.csv"]),
        ("limitations", ["raw data: " + "5" * 64]),
        ("generator.name", "6" * 64),
        ("releaseId", "7" * 64),
        ("limitations", ["x" * 4001]),
        ("limitations", "none"),
    ],
)
def test_what_must_not_be_signed_is_not(predicate: Json, place: str, value: object) -> None:
    Statement(subjects=SUBJECTS, predicate=predicate)
    with pytest.raises(ClaimMismatch):
        Statement(subjects=SUBJECTS, predicate=put(predicate, place, value))


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("guarantee.delta", "0.000000001"),
        ("guarantee.unit.column", None),
        ("guarantee.stages.0.delta", "0"),
        ("recipients.contract", None),
        ("repairs", {"if seed = 'a' then host in /b/c": 3}),
        ("limitations", ["and/or, 3/4, https://example.org/a/b, km/h, 45 CFR 164.514(b)(2)", "ZIP codes (3 digits)"]),
        ("attempts.used", 2),
    ],
)
def test_what_may_be_signed_is(predicate: Json, place: str, value: object) -> None:
    statement = Statement(subjects=SUBJECTS, predicate=put(predicate, place, value))
    assert Statement.from_bytes(statement.to_bytes()).predicate == predicate


def test_the_complaint_names_the_member_and_not_its_value(predicate: Json) -> None:
    with pytest.raises(ClaimMismatch, match=r"guarantee\.epsilon") as complaint:
        require(put(predicate, "guarantee.epsilon", 98765.4321))
    assert "98765" not in str(complaint.value)
    with pytest.raises(ClaimMismatch, match="limitations") as complaint:
        require(put(put(predicate, "guarantee.epsilon", "1"), "limitations", ["/home/ann/x"]))
    assert "ann" not in str(complaint.value)
