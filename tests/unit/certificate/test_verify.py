"""Verification: a good release is good, and any change of any kind is found. Must never accept on a hint."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from privsynth.certificate import envelope
from privsynth.certificate.keys import Signer, TrustStore
from privsynth.certificate.statement import Statement
from privsynth.certificate.verify import verify_release
from privsynth.errors import CertificateError, ClaimMismatch, Expired, Revoked, SignatureInvalid, SubjectMismatch

Json = dict[str, Any]
Certify = Callable[..., bytes]
AT = datetime(2027, 1, 1, tzinfo=UTC)
MANY = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def certificate_of(release: Path) -> Json:
    value: Json = json.loads((release / "certificate.json").read_bytes())
    return value


def rewrite(release: Path, value: object) -> None:
    (release / "certificate.json").write_text(json.dumps(value))


def test_a_good_release_is_good(release: Path, trust: TrustStore, predicate: Json, machine: Signer) -> None:
    verified = verify_release(release, trust, at=AT)
    assert verified.predicate == predicate
    assert [(key.keyid, key.role) for key in verified.signers] == [(machine.keyid, "machine")]
    assert verified.files == ("data.csv", "pictures/age.svg", "report.html", "verify.sh")
    assert verify_release(str(release), trust).predicate == predicate


@MANY
@given(position=st.integers(0), bit=st.integers(0, 7))
def test_one_flipped_bit_in_any_file_is_found(release: Path, trust: TrustStore, position: int, bit: int) -> None:
    for name in ("data.csv", "report.html", "pictures/age.svg", "verify.sh"):
        good = (release / name).read_bytes()
        bad = bytearray(good)
        bad[position % len(bad)] ^= 1 << bit
        (release / name).write_bytes(bad)
        with pytest.raises(SubjectMismatch, match=name):
            verify_release(release, trust, at=AT)
        (release / name).write_bytes(good)


@MANY
@given(position=st.integers(0), bit=st.integers(0, 7))
def test_one_flipped_bit_in_what_was_signed_is_found(release: Path, trust: TrustStore, position: int, bit: int) -> None:
    good = certificate_of(release)
    for change in ("payload", "sig"):
        value = json.loads(json.dumps(good))
        holder = value if change == "payload" else value["signatures"][0]
        content = bytearray(base64.b64decode(holder[change]))
        content[position % len(content)] ^= 1 << bit
        holder[change] = base64.b64encode(content).decode()
        rewrite(release, value)
        with pytest.raises(SignatureInvalid):
            verify_release(release, trust, at=AT)


@settings(MANY, max_examples=300)
@given(position=st.integers(0), bit=st.integers(0, 7))
def test_one_flipped_bit_in_the_certificate_s_text_is_found(
    release: Path, trust: TrustStore, position: int, bit: int
) -> None:
    path = release / "certificate.json"
    good = path.read_bytes()
    bad = bytearray(good)
    place = position % len(bad)
    bad[place] ^= 1 << bit
    path.write_bytes(bad)
    keyid_from = good.index(b'"keyid"')
    if keyid_from <= place < good.index(b'"sig"') or place == len(good) - 1:
        return  # the key id is a hint and the last byte a line's end: neither says anything
    with pytest.raises(CertificateError):
        verify_release(release, trust, at=AT)


def test_the_key_id_decides_nothing(release: Path, trust: TrustStore, officer: Signer) -> None:
    for keyid in (officer.keyid, "", "nonsense", None):
        value = certificate_of(release)
        value["signatures"][0]["keyid"] = keyid
        rewrite(release, value)
        assert [key.role for key in verify_release(release, trust, at=AT).signers] == ["machine"]


def test_a_spoofed_key_id_earns_no_trust(
    release: Path, trust: TrustStore, predicate: Json, machine: Signer, stranger: Signer, certify: Certify
) -> None:
    certify(release, predicate, stranger)
    value = certificate_of(release)
    value["signatures"][0]["keyid"] = machine.keyid
    rewrite(release, value)
    with pytest.raises(SignatureInvalid, match="do not trust"):
        verify_release(release, trust, at=AT)
    with pytest.raises(SignatureInvalid):
        verify_release(release, TrustStore(keys=()), at=AT)


def test_url_safe_base64_is_accepted(release: Path, trust: TrustStore) -> None:
    value = certificate_of(release)
    value["payload"] = value["payload"].replace("+", "-").replace("/", "_").rstrip("=")
    value["signatures"][0]["sig"] = value["signatures"][0]["sig"].replace("+", "-").replace("/", "_").rstrip("=")
    rewrite(release, value)
    verify_release(release, trust, at=AT)


def swap(release: Path) -> None:
    (release / "data.csv").rename(release / "kept")
    (release / "report.html").rename(release / "data.csv")
    (release / "kept").rename(release / "report.html")


def crlf(release: Path) -> None:
    content = (release / "data.csv").read_bytes()
    (release / "data.csv").write_bytes(content.replace(b"\n", b"\r\n"))


def link(release: Path) -> None:
    (release / "data.csv").rename(release.parent / "data.csv")
    (release / "data.csv").symlink_to(release.parent / "data.csv")


@pytest.mark.parametrize(
    "change",
    [
        swap,
        crlf,
        link,
        lambda release: (release / "data.csv").unlink(),
        lambda release: (release / "data.csv").rename(release / "data2.csv"),
        lambda release: (release / "data.csv").rename(release / "pictures" / "data.csv"),
        lambda release: (release / "data.csv").write_bytes(b""),
        lambda release: (release / "more.csv").write_bytes(b""),
        lambda release: (release / "pictures" / "more.svg").write_bytes(b""),
        lambda release: (release / ".DS_Store").write_bytes(b""),
        lambda release: (release / "internal").mkdir(),
        lambda release: shutil.copy(release / "certificate.json", release / "pictures"),
        lambda release: os.mkfifo(release / "pipe"),
    ],
)
def test_files_that_are_not_as_they_were_signed_are_found(
    release: Path, trust: TrustStore, change: Callable[[Path], object]
) -> None:
    change(release)
    with pytest.raises(SubjectMismatch):
        verify_release(release, trust, at=AT)


def test_a_release_without_its_certificate_is_none(release: Path, trust: TrustStore, tmp_path: Path) -> None:
    good = (release / "certificate.json").read_bytes()
    (release / "certificate.json").unlink()
    with pytest.raises(CertificateError, match="not certified"):
        verify_release(release, trust, at=AT)
    for damaged in (b"", good[:-20], good * 2, b"\x00" * 100, b" " * (envelope.MAX_BYTES + 1)):
        (release / "certificate.json").write_bytes(damaged)
        with pytest.raises(CertificateError):
            verify_release(release, trust, at=AT)
    (tmp_path / "elsewhere").write_bytes(good)
    (release / "certificate.json").unlink()
    (release / "certificate.json").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CertificateError):
        verify_release(release, trust, at=AT)


def test_a_certificate_of_another_release_does_not_fit(
    release: Path, trust: TrustStore, predicate: Json, machine: Signer, certify: Certify, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    shutil.copytree(release, other)
    (other / "data.csv").write_bytes(b"age\n7\n")
    certify(other, predicate, machine)
    shutil.copy(other / "certificate.json", release)
    with pytest.raises(SubjectMismatch, match=r"data\.csv"):
        verify_release(release, trust, at=AT)


def sign_raw(release: Path, signer: Signer, payload: bytes, payload_type: str = envelope.PAYLOAD_TYPE) -> None:
    """What someone who holds a trusted key, but not our code, could sign."""
    signature = signer.sign(envelope.pae(payload_type, payload))
    entry = {"keyid": signer.keyid, "sig": base64.b64encode(signature).decode()}
    document = {"payload": base64.b64encode(payload).decode(), "payloadType": payload_type, "signatures": [entry]}
    rewrite(release, document)


def test_a_trusted_signature_does_not_make_bad_text_good(release: Path, trust: TrustStore, machine: Signer) -> None:
    good = envelope.payload((release / "certificate.json").read_bytes())
    sign_raw(release, machine, good)
    verify_release(release, trust, at=AT)
    for old, new in (
        (b'"decision":"PASSED"', b'"decision":"PASSED","decision":"PASSED"'),
        (b'"decision":"PASSED"', b'"decision":"FAILED"'),
        (b'"epsilon":"1.2345"', b'"epsilon":1.2345'),
        (b'"rows":1000', b'"rows":NaN'),
        (b"Statement/v1", b"Statement/v0.1"),
        (b"release/v0.1", b"release/v0.2"),
        (b'"name":"data.csv"', b'"name":"../data.csv"'),
        (b'"name":"data.csv"', b'"name":"/data.csv"'),
        (b'{"_type"', b'\xef\xbb\xbf{"_type"'),
    ):
        assert old in good
        sign_raw(release, machine, good.replace(old, new, 1))
        with pytest.raises(CertificateError):
            verify_release(release, trust, at=AT)
    sign_raw(release, machine, good, "application/json")
    with pytest.raises(CertificateError, match="no DSSE envelope"):
        verify_release(release, trust, at=AT)


def test_a_signature_for_another_payload_type_does_not_count(release: Path, trust: TrustStore, machine: Signer) -> None:
    payload = envelope.payload((release / "certificate.json").read_bytes())
    sign_raw(release, machine, payload, "application/json")
    value = certificate_of(release)
    rewrite(release, {**value, "payloadType": envelope.PAYLOAD_TYPE})
    with pytest.raises(SignatureInvalid):
        verify_release(release, trust, at=AT)


def test_a_threshold_counts_keys_and_not_signatures(
    release: Path,
    trust: TrustStore,
    predicate: Json,
    machine: Signer,
    officer: Signer,
    stranger: Signer,
    certify: Certify,
) -> None:
    certify(release, predicate, machine, machine, stranger)
    value = certificate_of(release)
    value["signatures"][1]["keyid"] = officer.keyid
    rewrite(release, value)
    assert len(verify_release(release, trust, at=AT).signers) == 1
    with pytest.raises(SignatureInvalid, match="1 trusted keys signed this certificate, 2 are required"):
        verify_release(release, trust, at=AT, threshold=2)
    with pytest.raises(SignatureInvalid, match="role privacy-officer"):
        verify_release(release, trust, at=AT, roles={"machine", "privacy-officer"})
    certify(release, predicate, officer, stranger, machine)
    assert len(verify_release(release, trust, at=AT, threshold=2, roles=["privacy-officer"]).signers) == 2
    with pytest.raises(SignatureInvalid):
        verify_release(release, trust, at=AT, threshold=3)


def test_a_threshold_of_nothing_is_still_one(
    release: Path, trust: TrustStore, predicate: Json, machine: Signer, stranger: Signer, certify: Certify
) -> None:
    certify(release, predicate, stranger)
    revoked = replace(trust.keys[0], revoked_at=ISSUED, reason="compromised")
    for threshold in (0, -1):
        with pytest.raises(SignatureInvalid):
            verify_release(release, trust, at=AT, threshold=threshold)
        certify(release, predicate, machine)
        with pytest.raises(Revoked):
            verify_release(release, TrustStore(keys=(revoked,)), at=AT, threshold=threshold)
        certify(release, predicate, stranger)


ISSUED = datetime(2026, 6, 1, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"not_before": ISSUED, "not_after": ISSUED + timedelta(1)}, None),
        ({"not_before": ISSUED - timedelta(1), "not_after": ISSUED}, None),
        ({"not_before": ISSUED + timedelta(seconds=1)}, Expired),
        ({"not_after": ISSUED - timedelta(seconds=1)}, Expired),
        ({"revoked_at": ISSUED + timedelta(1), "reason": "retired"}, None),
        ({"revoked_at": ISSUED, "reason": "retired"}, Revoked),
        ({"revoked_at": ISSUED - timedelta(1), "reason": "retired"}, Revoked),
        ({"revoked_at": ISSUED + timedelta(1), "reason": "compromised"}, Revoked),
        ({"not_after": ISSUED - timedelta(1), "revoked_at": ISSUED, "reason": "retired"}, Revoked),
    ],
)
def test_the_key_must_have_been_good_when_it_signed(
    release: Path, trust: TrustStore, changes: Json, error: type[CertificateError] | None
) -> None:
    key = replace(trust.keys[0], not_before=ISSUED - timedelta(9), not_after=ISSUED + timedelta(9))
    store = TrustStore(keys=(replace(key, **changes), trust.keys[1]))
    if error is None:
        assert len(verify_release(release, store, at=AT).signers) == 1
        return
    with pytest.raises(error):
        verify_release(release, store, at=AT)


def test_one_bad_key_does_not_spoil_another_s_word(
    release: Path, trust: TrustStore, predicate: Json, machine: Signer, officer: Signer, certify: Certify
) -> None:
    certify(release, predicate, machine, officer)
    revoked = replace(trust.keys[0], revoked_at=ISSUED, reason="compromised")
    store = TrustStore(keys=(revoked, trust.keys[1]))
    assert [key.role for key in verify_release(release, store, at=AT).signers] == ["privacy-officer"]
    with pytest.raises(Revoked):
        verify_release(release, store, at=AT, threshold=2)


@pytest.mark.parametrize(
    ("at", "error"),
    [
        (datetime(2099, 11, 22, 10, 0, 0, tzinfo=UTC), None),
        (datetime(2099, 11, 22, 10, 0, 1, tzinfo=UTC), Expired),
        (ISSUED - timedelta(minutes=10), None),
        (ISSUED - timedelta(minutes=11), ClaimMismatch),
    ],
)
def test_a_certificate_has_its_time(
    release: Path, trust: TrustStore, at: datetime, error: type[CertificateError] | None
) -> None:
    if error is None:
        verify_release(release, trust, at=at)
        return
    with pytest.raises(error):
        verify_release(release, trust, at=at)


def test_claims_are_checked_when_asked_for(release: Path, trust: TrustStore) -> None:
    wanted = {"policy.digest.sha256": "1" * 64, "budget.population": "stays", "schema.rows": 1000}
    verify_release(release, trust, at=AT, require=wanted, min_ledger_sequence=3)
    for place, value in (
        ("policy.digest.sha256", "0" * 64),
        ("policy.digest.md5", "0"),
        ("nothing", None),
        ("decision.x", "PASSED"),
    ):
        with pytest.raises(ClaimMismatch, match=place):
            verify_release(release, trust, at=AT, require={place: value})
    with pytest.raises(ClaimMismatch, match="older than entry 4"):
        verify_release(release, trust, at=AT, min_ledger_sequence=4)


def test_a_large_file_is_read_in_pieces(
    release: Path, trust: TrustStore, predicate: Json, machine: Signer, certify: Certify
) -> None:
    content = os.urandom(1000) * 3000
    (release / "data.csv").write_bytes(content)
    certify(release, predicate, machine)
    verify_release(release, trust, at=AT)
    payload = envelope.payload((release / "certificate.json").read_bytes())
    assert Statement.from_bytes(payload).subjects["data.csv"] == hashlib.sha256(content).hexdigest()
    (release / "data.csv").write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(SubjectMismatch):
        verify_release(release, trust, at=AT)
