"""The envelope: DSSE around exact bytes, so that what was signed is what is read.

Must never parse the payload, and must never let a key id decide anything.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import dataclass
from typing import Final, final

from privsynth.certificate import strict_json
from privsynth.certificate.keys import Signer
from privsynth.certificate.strict_json import JsonValue
from privsynth.errors import CertificateError

PAYLOAD_TYPE: Final = "application/vnd.in-toto+json"
MAX_BYTES: Final = 8 << 20
MAX_SIGNATURES: Final = 16
_STANDARD: Final = re.compile(r"[A-Za-z0-9+/]*={0,2}")
_URL_SAFE: Final = re.compile(r"[A-Za-z0-9_-]*={0,2}")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """The payload's exact bytes and the signatures over them; nothing of it is verified yet."""

    payload: bytes
    signatures: tuple[bytes, ...]


def pae(payload_type: str, payload: bytes) -> bytes:
    """The bytes that a signature is over. Source: DSSE v1.0.2, "Signature definition": PAE."""
    kind = payload_type.encode("utf-8")
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def sign(payload: bytes, signer: Signer) -> bytes:
    """An envelope around `payload` with one signature; one line of JSON, which `verify.sh` can take apart too."""
    return _write(payload, [_signature(payload, signer)])


def cosign(content: bytes, signer: Signer) -> bytes:
    """The same envelope with one more signature, over the same bytes."""
    members = _read(content)
    payload = _payload_of(members)
    kept = [{"keyid": _hint(entry), "sig": _encoded(_signature_of(entry))} for entry in _entries(members)]
    return _write(payload, [*kept, _signature(payload, signer)])


def read(content: bytes) -> Envelope:
    """Take an envelope apart; CertificateError when it is none, or not around an in-toto statement."""
    members = _read(content)
    return Envelope(payload=_payload_of(members), signatures=tuple(_signature_of(entry) for entry in _entries(members)))


def payload(content: bytes) -> bytes:
    """The payload of an envelope that one made oneself: no signature is checked here."""
    return read(content).payload


def _signature(payload: bytes, signer: Signer) -> dict[str, str]:
    return {"keyid": signer.keyid, "sig": _encoded(signer.sign(pae(PAYLOAD_TYPE, payload)))}


def _write(payload: bytes, signatures: list[dict[str, str]]) -> bytes:
    document = {"payload": _encoded(payload), "payloadType": PAYLOAD_TYPE, "signatures": signatures}
    return json.dumps(document, separators=(",", ":")).encode("ascii") + b"\n"


def _read(content: bytes) -> dict[str, JsonValue]:
    members = strict_json.parse(content, what="the certificate", max_bytes=MAX_BYTES)
    if not isinstance(members, dict) or members.get("payloadType") != PAYLOAD_TYPE:
        raise CertificateError(f'the certificate is no DSSE envelope around "{PAYLOAD_TYPE}"')
    return members


def _payload_of(members: dict[str, JsonValue]) -> bytes:
    return _decoded(members.get("payload"), "payload")


def _entries(members: dict[str, JsonValue]) -> list[dict[str, JsonValue]]:
    entries = members.get("signatures")
    if not isinstance(entries, list) or not 1 <= len(entries) <= MAX_SIGNATURES:
        raise CertificateError(f"the certificate must have 1 to {MAX_SIGNATURES} signatures")
    return [entry if isinstance(entry, dict) else {} for entry in entries]


def _hint(entry: dict[str, JsonValue]) -> str:
    keyid = entry.get("keyid")
    return keyid if isinstance(keyid, str) and re.fullmatch(r"[0-9a-f]{64}", keyid) else ""


def _signature_of(entry: dict[str, JsonValue]) -> bytes:
    return _decoded(entry.get("sig"), "sig")


def _encoded(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


def _decoded(text: JsonValue, what: str) -> bytes:
    """Decode base64 of either alphabet, in the one way that a sender writes it.

    Source: DSSE v1.0.2, "Parsers": both alphabets must be accepted.
    """
    if isinstance(text, str) and (_STANDARD.fullmatch(text) or _URL_SAFE.fullmatch(text)):
        bare = text.rstrip("=").replace("-", "+").replace("_", "/")
        padded = bare + "=" * (-len(bare) % 4)
        try:
            content = base64.b64decode(padded, validate=True)
        except binascii.Error:
            content = b""
        if content and _encoded(content) == padded and len(text) in (len(bare), len(padded)):
            return content
    raise CertificateError(f'the certificate\'s "{what}" is not base64; it was damaged')
