"""DSSE. Must never trust a key id, and must read both alphabets of base64 in one way only."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from privsynth.certificate import envelope
from privsynth.certificate.keys import Signer, TrustStore
from privsynth.errors import CertificateError

PAYLOAD = b'{"hello":"\xc3\xbe\xc3\xbf world?>"}'


def document(**changes: object) -> bytes:
    whole = {
        "payload": base64.b64encode(PAYLOAD).decode(),
        "payloadType": envelope.PAYLOAD_TYPE,
        "signatures": [{"keyid": "", "sig": base64.b64encode(b"s" * 64).decode()}],
    }
    return json.dumps({**whole, **changes}).encode()


def test_the_bytes_that_are_signed_are_the_specification_s() -> None:
    assert envelope.pae("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )
    assert envelope.pae("", b"") == b"DSSEv1 0  0 "
    assert envelope.pae("þ", b"\x00") == b"DSSEv1 2 \xc3\xbe 1 \x00"


def test_what_is_signed_comes_back_and_verifies(machine: Signer, officer: Signer, trust: TrustStore) -> None:
    signed = envelope.cosign(envelope.sign(PAYLOAD, machine), officer)
    read = envelope.read(signed)
    assert read.payload == PAYLOAD == envelope.payload(signed)
    message = envelope.pae(envelope.PAYLOAD_TYPE, PAYLOAD)
    for key, signature in zip(trust.keys, read.signatures, strict=True):
        assert key.verifies(message, signature)
        assert not key.verifies(PAYLOAD, signature)
    assert [entry["keyid"] for entry in json.loads(signed)["signatures"]] == [machine.keyid, officer.keyid]
    assert signed.endswith(b"\n")
    assert signed.count(b"\n") == 1


def test_a_foreign_key_id_is_no_hint_worth_keeping(officer: Signer) -> None:
    cosigned = envelope.cosign(document(signatures=[{"keyid": '"},{"', "sig": "c3Nz"}]), officer)
    assert json.loads(cosigned)["signatures"][0] == {"keyid": "", "sig": "c3Nz"}


def test_what_is_not_known_is_passed_over() -> None:
    with_more = document(extra={"a": 1}, signatures=[{"sig": "c3Nz", "cert": "x"}])
    assert envelope.read(with_more).signatures == (b"sss",)


@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
@pytest.mark.parametrize("padded", [True, False])
@given(content=st.binary(min_size=1, max_size=80))
def test_both_alphabets_are_read(encode: object, padded: bool, content: bytes) -> None:
    assert callable(encode)
    text = encode(content).decode()
    read = envelope.read(document(payload=text if padded else text.rstrip("=")))
    assert read.payload == content


@pytest.mark.parametrize(
    "text",
    [
        "",
        "=",
        "a",
        "ab=",
        "ab===",
        "abc==",
        "a b=",
        "ab\n==",
        "+_aa",
        "-/aa",
        "aé==",
        "YR==",
        "YWK=",
        "YQ==YQ==",
        7,
        None,
        ["YQ=="],
    ],
)
def test_any_other_spelling_is_refused(text: object) -> None:
    with pytest.raises(CertificateError, match="payload"):
        envelope.read(document(payload=text))
    with pytest.raises(CertificateError, match="sig"):
        envelope.read(document(signatures=[{"sig": text}]))


@pytest.mark.parametrize(
    "content",
    [
        b"[]",
        b"null",
        b"{}",
        document(payloadType="application/vnd.in-toto+json "),
        document(payloadType="application/vnd.in-toto.v2+json"),
        document(payloadType="text/plain"),
        document(payloadType=None),
        document(signatures=[]),
        document(signatures={}),
        document(signatures=["c3Nz"]),
        document(signatures=[{"keyid": "a"}]),
        document(signatures=[{"sig": "c3Nz"}] * 17),
        document().replace(b'"payload":', b'"payload":"YQ==","payload":', 1),
    ],
)
def test_what_is_no_envelope_is_refused(content: bytes) -> None:
    with pytest.raises(CertificateError):
        envelope.read(content)
