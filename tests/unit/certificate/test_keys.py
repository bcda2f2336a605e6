"""Keys and the trust store. Must never leave a key that others can read, nor lose one that exists."""

from __future__ import annotations

import os
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ed448, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat

from privsynth.certificate import keys
from privsynth.certificate.keys import Signer, TrustedKey, TrustStore
from privsynth.errors import InputError, OutputError


def pem(key: Ed25519PrivateKey | rsa.RSAPrivateKey | ed448.Ed448PrivateKey, password: bytes | None = None) -> bytes:
    encryption = BestAvailableEncryption(password) if password else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)


def test_a_new_key_is_the_owner_s_alone(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        keyid = keys.new(tmp_path / "key", tmp_path / "trust.toml", "machine")
    finally:
        os.umask(old)
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["key", "key.pub", "trust.toml"]
    (trusted,) = TrustStore.load(tmp_path / "trust.toml").keys
    signer = Signer.load(tmp_path / "key")
    assert (trusted.keyid, trusted.role) == (keyid, "machine") == (signer.keyid, "machine")
    assert trusted.public_pem == signer.public_pem == (tmp_path / "key.pub").read_text()
    assert trusted.verifies(b"text", signer.sign(b"text"))
    assert not trusted.verifies(b"test", signer.sign(b"text"))
    assert trusted.is_current_at(datetime.now(UTC))
    assert "PRIVATE" not in (tmp_path / "trust.toml").read_text() + (tmp_path / "key.pub").read_text()


def test_the_key_id_is_the_digest_that_openssl_gives(tmp_path: Path) -> None:
    keyid = keys.new(tmp_path / "key", tmp_path / "trust.toml", "machine")
    der = subprocess.run(
        ["openssl", "pkey", "-pubin", "-in", tmp_path / "key.pub", "-outform", "DER"], capture_output=True, check=True
    ).stdout
    digest = subprocess.run(["openssl", "dgst", "-sha256", "-r"], input=der, capture_output=True, check=True).stdout
    assert digest.split()[0].decode() == keyid


def test_keys_are_added_and_nothing_is_overwritten(tmp_path: Path) -> None:
    trust = tmp_path / "trust.toml"
    first = keys.new(tmp_path / "a", trust, "machine")
    trust.write_text("# ours since 2026\n" + trust.read_text())
    second = keys.new(tmp_path / "b", trust, "privacy-officer", valid_days=30)
    store = TrustStore.load(trust)
    assert [key.keyid for key in store.keys] == [first, second]
    assert store.keys[1].not_after - store.keys[1].not_before == timedelta(days=30)
    assert trust.read_text().startswith("# ours since 2026\n")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    (tmp_path / "c.pub").write_text("mine")
    before[tmp_path / "c.pub"] = b"mine"
    for taken in ("a", "b", "c"):
        with pytest.raises(OutputError, match="never overwritten"):
            keys.new(tmp_path / taken, trust, "machine")
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_key_is_not_made_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OutputError):
        keys.new(tmp_path / "link", tmp_path / "trust.toml", "machine")
    assert not (tmp_path / "elsewhere").exists()


def test_a_key_that_cannot_be_trusted_is_not_made(tmp_path: Path) -> None:
    (tmp_path / "trust.toml").write_text("[[keys]]\nkeyid = 7\n")
    with pytest.raises(InputError):
        keys.new(tmp_path / "key", tmp_path / "trust.toml", "machine")
    with pytest.raises(InputError, match="role"):
        keys.new(tmp_path / "key", tmp_path / "other.toml", "The Machine")
    with pytest.raises(OutputError, match="No such file"):
        keys.new(tmp_path / "key", tmp_path / "nowhere" / "trust.toml", "machine")
    assert [entry.name for entry in tmp_path.iterdir()] == ["trust.toml"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_key_that_others_can_read_does_not_sign(tmp_path: Path, mode: int) -> None:
    keys.new(tmp_path / "key", tmp_path / "trust.toml", "machine")
    (tmp_path / "key").chmod(mode)
    with pytest.raises(InputError, match="chmod 600"):
        Signer.load(tmp_path / "key")


def test_what_is_no_key_is_said_to_be_none_whoever_may_read_it(tmp_path: Path) -> None:
    keys.new(tmp_path / "key", tmp_path / "trust.toml", "machine")
    with pytest.raises(InputError, match="no unencrypted Ed25519 private key"):
        Signer.load(tmp_path / "trust.toml")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not a key",
        b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        pem(rsa.generate_private_key(65537, 2048)),
        pem(ed448.Ed448PrivateKey.generate()),
        pem(Ed25519PrivateKey.generate(), b"secret"),
    ],
)
def test_what_is_no_signing_key_does_not_sign(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "key").write_bytes(content)
    (tmp_path / "key").chmod(0o600)
    with pytest.raises(InputError, match="no unencrypted Ed25519 private key") as refusal:
        Signer.load(tmp_path / "key")
    assert refusal.value.__cause__ is None
    with pytest.raises(InputError, match="cannot be read"):
        Signer.load(tmp_path / "missing")


def test_a_signer_cannot_be_looked_at(machine: Signer, keyring: Path) -> None:
    secret = (keyring / "machine").read_text().splitlines()[1]
    assert secret not in repr(machine)
    assert repr(machine) == f"Signer(keyid={machine.keyid})"


@pytest.fixture
def text(keyring: Path) -> str:
    return (keyring / "trust.toml").read_text()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[[keys]]", "[[key]]", "nothing else"),
        ('role = "machine"', 'role = "machine"\nowner = "ann"', 'unknown "owner"'),
        ('role = "machine"\n', "", 'missing "role"'),
        ('role = "machine"', "role = 7", "must be text"),
        ('role = "machine"', 'role = "Machine!"', "role of key"),
        ("not_before = 2026-01-01T00:00:00Z", "not_before = 2026-01-01T00:00:00", "with its zone"),
        ("not_before = 2026-01-01T00:00:00Z", "not_before = 2026-01-01", "with its zone"),
        ("not_before = 2026-01-01T00:00:00Z", 'not_before = "2026-01-01T00:00:00Z"', "with its zone"),
        ("not_before = 2026-01-01T00:00:00Z", "not_before = 2099-01-01T00:00:00Z", "earlier than"),
        ('role = "machine"', 'role = "machine"\nrevoked_at = 2027-01-01T00:00:00Z', "together"),
        ('role = "machine"', 'role = "machine"\nreason = "retired"', "together"),
        ('role = "machine"', 'role = "machine"\nreason = "whim"', 'must be "compromised" or "retired"'),
        ('role = "machine"', 'role = "machine"\nrole = "boss"', "trust.toml"),
        ('keyid = "', 'keyid = "0', "is not the SHA-256"),
        ("MCowBQYDK2VwAyEA", "MCowBQYDK2VwAyE", "Ed25519 public key"),
        ("MCowBQYDK2VwAyEA", "MEMwBQYDK2VxAzoA", "Ed25519 public key"),
    ],
)
def test_a_trust_store_with_a_fault_is_refused(text: str, old: str, new: str, message: str) -> None:
    assert old in text
    with pytest.raises(InputError, match=message):
        TrustStore.loads(text.replace(old, new, 1))


def test_a_key_listed_twice_is_refused(text: str) -> None:
    entry = text[text.index("[[keys]]") :].split("[[keys]]")[1]
    with pytest.raises(InputError, match="listed twice"):
        TrustStore.loads(text + "\n[[keys]]" + entry.replace('"machine"', '"privacy-officer"'))


def test_an_empty_store_trusts_nobody() -> None:
    assert TrustStore.loads("").keys == ()
    with pytest.raises(InputError, match="no such file"):
        TrustStore.load("nowhere.toml")


@pytest.mark.parametrize(
    ("reason", "before", "after"), [("compromised", True, True), ("retired", False, True), (None, False, False)]
)
def test_what_revocation_makes_void(trust: TrustStore, reason: keys.Reason | None, before: bool, after: bool) -> None:
    moment = datetime(2026, 6, 1, tzinfo=UTC)
    key = trust.keys[0]
    revoked = TrustedKey(
        keyid=key.keyid,
        role=key.role,
        public_pem=key.public_pem,
        not_before=key.not_before,
        not_after=key.not_after,
        revoked_at=moment if reason else None,
        reason=reason,
    )
    assert revoked.is_revoked_for(moment - timedelta(seconds=1)) is before
    assert revoked.is_revoked_for(moment) is after
