"""Signing keys and the trust store: who may sign, in which role, from when until when.

Must never show, copy or overwrite a private key, and must never take one that others can read.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Literal, Self, TypeAlias, final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from privsynth import toml_file
from privsynth.certificate.places import require_outside
from privsynth.errors import InputError, OutputError

Reason: TypeAlias = Literal["compromised", "retired"]

VALID_DAYS: Final = 730
_MAX_PEM_BYTES: Final = 16_384
_ROLE: Final = re.compile(r"[a-z][a-z0-9-]{0,63}")
_REQUIRED: Final = ("keyid", "role", "public_key", "not_before", "not_after")
_OPTIONAL: Final = ("revoked_at", "reason")
_REASONS: Final[Mapping[str, Reason]] = {"compromised": "compromised", "retired": "retired"}
_HEADER: Final = '# Whose signatures count. Add, date and revoke keys here; reason is "compromised" or "retired".\n'


def keyid_of(key: Ed25519PublicKey) -> str:
    """SHA-256 of the public key's DER SubjectPublicKeyInfo, in hexadecimal: a name for the key, never a decision."""
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def _pem(key: Ed25519PublicKey) -> str:
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode("ascii")


@final
class Signer:
    """A private key that can sign and cannot be looked at."""

    __slots__ = ("__key", "keyid")

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self.__key = key
        self.keyid = keyid_of(key.public_key())

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Read an unencrypted Ed25519 private key (PEM, PKCS #8); InputError when others can read it or it is none."""
        try:
            with Path(path).open("rb") as stream:
                mode = os.fstat(stream.fileno()).st_mode
                content = stream.read(_MAX_PEM_BYTES)
        except OSError as failure:
            raise InputError(
                f'key "{path}" cannot be read: {failure.strerror}; make one with privsynth keys new'
            ) from None
        try:
            key = load_pem_private_key(content, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            key = None
        if not isinstance(key, Ed25519PrivateKey):
            raise InputError(
                f'key "{path}" is no unencrypted Ed25519 private key in PEM; make one with privsynth keys new'
            )
        if stat.S_IMODE(mode) & 0o077:
            raise InputError(f'key "{path}" may be read by others (mode {stat.S_IMODE(mode):o}); run chmod 600 on it')
        return cls(key)

    def sign(self, message: bytes) -> bytes:
        """The Ed25519 signature over `message` (64 bytes)."""
        return self.__key.sign(message)

    @property
    def public_pem(self) -> str:
        """The public half, as `openssl` and `verify.sh` read it."""
        return _pem(self.__key.public_key())

    def __repr__(self) -> str:
        return f"Signer(keyid={self.keyid})"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedKey:
    """A public key, its role, and the time in which what it signed counts.

    Raises: InputError when its dates, role or revocation contradict each other.
    """

    keyid: str
    role: str
    public_pem: str
    not_before: datetime
    not_after: datetime
    revoked_at: datetime | None = None
    reason: Reason | None = None

    def __post_init__(self) -> None:
        if keyid_of(self.public_key) != self.keyid:
            raise InputError(
                f'trust store: keyid "{self.keyid}" is not the SHA-256 of its public key; correct one of them'
            )
        if not _ROLE.fullmatch(self.role):
            raise InputError(f"trust store: role of key {self.keyid} must be lowercase letters, digits and dashes")
        if self.not_before >= self.not_after:
            raise InputError(f"trust store: key {self.keyid} must have not_before earlier than not_after")
        if (self.revoked_at is None) != (self.reason is None):
            raise InputError(f"trust store: key {self.keyid} needs revoked_at and reason together, or neither")

    @property
    def public_key(self) -> Ed25519PublicKey:
        """The key; InputError when the PEM holds none."""
        try:
            key = load_pem_public_key(self.public_pem.encode("utf-8"))
        except (ValueError, UnsupportedAlgorithm):
            key = None
        if not isinstance(key, Ed25519PublicKey):
            raise InputError(f"trust store: public_key of {self.keyid} is no Ed25519 public key in PEM")
        return key

    def verifies(self, message: bytes, signature: bytes) -> bool:
        """Whether this key made the signature."""
        try:
            self.public_key.verify(signature, message)
        except InvalidSignature:
            return False
        return True

    def is_revoked_for(self, issued_at: datetime) -> bool:
        """Whether the key's word of that time is void.

        A compromised key's is, whenever: the thief writes the date. A retired key's only from its revocation on.
        """
        if self.revoked_at is None:
            return False
        return self.reason == "compromised" or issued_at >= self.revoked_at

    def is_current_at(self, issued_at: datetime) -> bool:
        """Whether the key was to be used at that time."""
        return self.not_before <= issued_at <= self.not_after


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class TrustStore:
    """The keys that one trusts; each public key once, so that a threshold counts keys and not names."""

    keys: tuple[TrustedKey, ...]

    def __post_init__(self) -> None:
        if len({key.keyid for key in self.keys}) != len(self.keys):
            raise InputError("trust store: a key is listed twice; keep one entry a key")

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Read a trust file; InputError naming file and line."""
        return cls._of(toml_file.read(Path(path), error=InputError))

    @classmethod
    def loads(cls, text: str) -> Self:
        """Read the text of a trust file."""
        return cls._of(toml_file.parse(text.encode("utf-8"), name="trust.toml", error=InputError))

    @classmethod
    def _of(cls, file: toml_file.TomlFile) -> Self:
        entries = file.tree.get("keys", [])
        if set(file.tree) - {"keys"} or not isinstance(entries, list):
            raise InputError(f"{file.name}: expected [[keys]] entries and nothing else")
        return cls(keys=tuple(_trusted(file, str(number), entry) for number, entry in enumerate(entries)))


def _trusted(file: toml_file.TomlFile, number: str, entry: toml_file.TomlValue) -> TrustedKey:
    where = file.where("keys", number)
    if not isinstance(entry, dict):
        raise InputError(f"{where}: expected [[keys]] entries")
    unknown = sorted(set(entry) - {*_REQUIRED, *_OPTIONAL})
    missing = [name for name in _REQUIRED if name not in entry]
    if unknown or missing:
        named = f'unknown "{unknown[0]}"' if unknown else f'missing "{missing[0]}"'
        raise InputError(f"{where}: {named}; a key has {', '.join(_REQUIRED)} and may have {', '.join(_OPTIONAL)}")

    def text(name: str) -> str:
        value = entry[name]
        if not isinstance(value, str):
            raise InputError(f'{file.where("keys", number, name)}: "{name}" must be text in quotes')
        return value

    def moment(name: str) -> datetime:
        value = entry[name]
        if not isinstance(value, datetime) or value.tzinfo is None:
            raise InputError(
                f'{file.where("keys", number, name)}: "{name}" must be a time with its zone, 2026-11-22T00:00:00Z'
            )
        return value.astimezone(UTC)

    reason = _REASONS.get(text("reason")) if "reason" in entry else None
    if reason is None and "reason" in entry:
        raise InputError(f'{file.where("keys", number, "reason")}: "reason" must be "compromised" or "retired"')
    return TrustedKey(
        keyid=text("keyid"),
        role=text("role"),
        public_pem=text("public_key"),
        not_before=moment("not_before"),
        not_after=moment("not_after"),
        revoked_at=moment("revoked_at") if "revoked_at" in entry else None,
        reason=reason,
    )


def new(path: Path | str, trust_path: Path | str, role: str, *, valid_days: int = VALID_DAYS) -> str:
    """Make a signing key, write its public half to `<path>.pub`, and add that to a trust store.

    Args: the private key goes to `path` (PEM, mode 0600), which must not exist; the trust store is made when missing.
    Returns: the key id.
    Raises: OutputError when a file exists, cannot be written or would lie in a release's folder; InputError for a damaged trust
        store or a role that cannot be.
    """
    private, public, trust = Path(path), Path(f"{path}.pub"), Path(trust_path)
    for place in (private, trust):
        require_outside(place)
    text = _trusted_so_far(trust)
    key = Ed25519PrivateKey.generate()
    start = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    entry = TrustedKey(
        keyid=keyid_of(key.public_key()),
        role=role,
        public_pem=_pem(key.public_key()),
        not_before=start,
        not_after=start + timedelta(days=valid_days),
    )
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    written: list[Path] = []
    try:
        for place, content, mode in ((private, secret, 0o600), (public, entry.public_pem.encode("ascii"), 0o644)):
            _write_new(place, content, mode)
            written.append(place)
        draft = trust.with_name(trust.name + ".new")
        draft.unlink(missing_ok=True)
        _write_new(draft, f"{text.rstrip()}\n\n{_entry_text(entry)}".encode(), 0o644)
        draft.replace(trust)
    except OSError as failure:
        for place in written:
            with contextlib.suppress(OSError):
                place.unlink()
        what = (
            "exists and is never overwritten" if isinstance(failure, FileExistsError) else f"failed: {failure.strerror}"
        )
        raise OutputError(f'key "{failure.filename or private}" {what}; name another place') from None
    return entry.keyid


def _trusted_so_far(trust: Path) -> str:
    if not trust.exists():
        return _HEADER
    TrustStore.load(trust)
    return trust.read_text(encoding="utf-8")


def _write_new(path: Path, content: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


def _entry_text(key: TrustedKey) -> str:
    return (
        f'[[keys]]\nkeyid = "{key.keyid}"\nrole = "{key.role}"\n'
        f"public_key = '''\n{key.public_pem}'''\n"
        f"not_before = {key.not_before:%Y-%m-%dT%H:%M:%SZ}\nnot_after = {key.not_after:%Y-%m-%dT%H:%M:%SZ}\n"
    )
