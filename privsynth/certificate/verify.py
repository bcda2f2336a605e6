"""Verification of a release folder, offline.

Must never say yes before every signature, date and file was checked, and must never read other bytes than it verified.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, final

from privsynth.certificate import envelope
from privsynth.certificate.folder import CERTIFICATE, digest, names
from privsynth.certificate.keys import TrustedKey, TrustStore
from privsynth.certificate.predicate import Predicate, moment
from privsynth.certificate.statement import Statement
from privsynth.errors import CertificateError, ClaimMismatch, Expired, Revoked, SignatureInvalid, SubjectMismatch

CLOCK_SKEW: Final = timedelta(minutes=10)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What a good release says, and whose keys said it (each key once)."""

    predicate: Mapping[str, Any]
    signers: tuple[TrustedKey, ...]
    files: tuple[str, ...]


def verify_release(
    folder: Path | str,
    trust: TrustStore,
    *,
    at: datetime | None = None,
    min_ledger_sequence: int | None = None,
    threshold: int = 1,
    roles: Collection[str] = (),
    require: Mapping[str, object] | None = None,
) -> Verified:
    """Check a release: signatures over the exact bytes, keys, dates, claims, and that its files are what was signed.

    Args: `at` is the moment to judge expiry by (default now); `threshold` how many different trusted keys must have
        signed; `roles` which roles must be among them; `require` what the predicate must say, by dotted place
        ({"policy.digest.sha256": "..."}); `min_ledger_sequence` the ledger entry that the release must not be older than.
    Raises: SignatureInvalid, Revoked, Expired, ClaimMismatch, SubjectMismatch, or CertificateError when there is no
        readable certificate.
    """
    place = Path(folder)
    found = names(place)
    signed = envelope.read(_certificate(place))
    signers = _signers(signed, trust)
    statement = Statement.from_bytes(signed.payload)
    claims = statement.claims
    good = _standing(signers, moment(claims.issued_at), threshold, roles)
    _check_dates(claims, at or datetime.now(UTC))
    _check_claims(statement, claims.budget.ledger_sequence, min_ledger_sequence, require or {})
    _check_files(place, found, statement.subjects)
    return Verified(predicate=statement.predicate, signers=good, files=tuple(found))


def require_files(folder: Path) -> None:
    """Check a folder's files against its own certificate, whoever signed it: what a publisher does last of all.

    Raises: SubjectMismatch for a missing, added or changed file; CertificateError when there is no readable certificate.
    """
    files_of(folder)


def files_of(folder: Path) -> Statement:
    """The same, and what the certificate says: worth as much as its signatures, which `verify_release` checks."""
    statement = Statement.from_bytes(envelope.read(_certificate(folder)).payload)
    _check_files(folder, names(folder), statement.subjects)
    return statement


def _certificate(folder: Path) -> bytes:
    path = folder / CERTIFICATE
    try:
        if not path.is_file():
            raise CertificateError(f'"{folder}" has no {CERTIFICATE}: it was not certified, or is no release folder')
        with path.open("rb") as stream:
            return stream.read(envelope.MAX_BYTES + 1)
    except OSError as failure:
        raise CertificateError(f"{CERTIFICATE} cannot be read: {failure.strerror}") from None


def _signers(signed: envelope.Envelope, trust: TrustStore) -> list[TrustedKey]:
    message = envelope.pae(envelope.PAYLOAD_TYPE, signed.payload)
    signers = [key for key in trust.keys if any(key.verifies(message, signature) for signature in signed.signatures)]
    if not signers:
        raise SignatureInvalid(
            "no key of the trust store signed this certificate: it was changed, or is signed by a key that you do not trust"
        )
    return signers


def _standing(
    signers: list[TrustedKey], issued_at: datetime, threshold: int, roles: Collection[str]
) -> tuple[TrustedKey, ...]:
    """The signers whose word counts at the time of issue, when they are enough."""
    good = tuple(key for key in signers if key.is_current_at(issued_at) and not key.is_revoked_for(issued_at))
    missing = sorted(set(roles) - {key.role for key in good})
    if len(good) >= max(1, threshold) and not missing:
        return good
    revoked = [key for key in signers if key.is_revoked_for(issued_at)]
    if revoked:
        raise Revoked(f"the certificate is signed by key {revoked[0].keyid}, which was revoked ({revoked[0].reason})")
    if len(good) < len(signers):
        raise Expired("the certificate was not issued while the key that signed it was valid; ask for a new one")
    if missing:
        raise SignatureInvalid(f"no trusted key of role {', '.join(missing)} signed this certificate")
    raise SignatureInvalid(f"{len(good)} trusted keys signed this certificate, {threshold} are required")


def _check_dates(claims: Predicate, at: datetime) -> None:
    if at > moment(claims.expires_at):
        raise Expired(f"the certificate expired at {claims.expires_at}; ask for a new one")
    if moment(claims.issued_at) > at + CLOCK_SKEW:
        raise ClaimMismatch(f"the certificate says it was issued at {claims.issued_at}, a time that is still to come")


def _check_claims(
    statement: Statement, sequence: int, min_ledger_sequence: int | None, require: Mapping[str, object]
) -> None:
    if min_ledger_sequence is not None and sequence < min_ledger_sequence:
        raise ClaimMismatch(
            f"the certificate cites ledger entry {sequence}, older than entry {min_ledger_sequence} that is known already"
        )
    for place, expected in require.items():
        claimed: object = statement.predicate
        for name in place.split("."):
            claimed = claimed.get(name) if isinstance(claimed, Mapping) else None
        if claimed is None or claimed != expected:
            raise ClaimMismatch(f'the certificate does not claim what was asked for at "{place}"')


def _check_files(folder: Path, found: list[str], subjects: Mapping[str, str]) -> None:
    missing, added = sorted(set(subjects) - set(found)), sorted(set(found) - set(subjects))
    if missing:
        raise SubjectMismatch(f'"{missing[0]}" is missing from the release; get it again from its publisher')
    if added:
        raise SubjectMismatch(
            f'"{added[0]}" was not in the release that was signed; remove it or get the release again'
        )
    for name in found:
        if digest(folder / name) != subjects[name]:
            raise SubjectMismatch(f'"{name}" was changed after the release was signed; get it again from its publisher')
