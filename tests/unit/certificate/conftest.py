"""A release small enough to attack in every byte. Must never be a predicate that the product would not sign."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from privsynth.certificate import envelope, keys, verify_script
from privsynth.certificate.folder import CERTIFICATE, digests
from privsynth.certificate.keys import Signer, TrustStore
from privsynth.certificate.statement import Statement

Json: TypeAlias = dict[str, Any]
Certify: TypeAlias = Callable[..., bytes]

PREDICATE: Json = {
    "releaseId": "0123456789abcdef0123456789abcdef",
    "issuedAt": "2026-06-01T10:00:00Z",
    "expiresAt": "2099-11-22T10:00:00Z",
    "tool": {"name": "privsynth", "version": "0.1.0"},
    "policy": {"name": "public-release", "version": "1", "digest": {"sha256": "1" * 64}},
    "decision": "PASSED",
    "guarantee": {
        "definition": "zCDP",
        "relation": "add-remove",
        "unit": {"name": "patient", "column": "patient_nbr", "maxRows": 3},
        "rho": "0.05",
        "epsilon": "1.2345",
        "delta": "1e-6",
        "conversion": "optimal",
        "noise": "discrete Gaussian",
        "randomness": "os-entropy-aes256ctr",
        "stages": [{"stage": "measure", "mechanism": "discrete-gaussian", "rho": "0.05", "delta": "0"}],
        "assumptions": ["The schema is public."],
        "notCovered": ["How long it took."],
    },
    "budget": {
        "population": "stays",
        "spentEpsilon": "1.2345",
        "capEpsilon": "10",
        "capDelta": "0.000001",
        "ledgerSequence": 3,
        "ledgerHead": "2" * 64,
    },
    "schema": {"digest": {"sha256": "3" * 64}, "columns": 12, "rows": 1000, "rowsBasis": "declared"},
    "generator": {"name": "mst", "version": "0.1.0", "settings": {"degree": 2, "share": 0.5, "names": ["a", None]}},
    "checks": [{"rule": "zip3", "citation": "45 CFR 164.514(b)(2)", "result": "pass", "method": "machine"}],
    "audit": {
        "plan": {"name": "standard", "digest": {"sha256": "4" * 64}},
        "verdict": "PASS",
        "rows": [
            {
                "check": "exact-match",
                "family": "release",
                "threat": "singling out",
                "verdict": "PASS",
                "threshold": 0.05,
                "detectable": 0.02,
                "ceiling": None,
                "meaning": "No more copies than chance makes.",
            }
        ],
    },
    "repairs": {"discharge >= host_path": 0},
    "attempts": {"allowed": 2, "used": 1},
    "recipients": {"class": "public", "contract": ""},
    "limitations": ["No row is a person."],
}
AT = datetime(2027, 1, 1, tzinfo=UTC)
FILES: Mapping[str, bytes] = {
    "data.csv": b"age,race\n[0-10),Asian\n",
    "report.html": b"<!doctype html>\n",
    "pictures/age.svg": b"<svg/>",
    "verify.sh": verify_script.TEXT.encode(),
}


@pytest.fixture
def predicate() -> Json:
    """A predicate that may be signed; change it freely."""
    return copy.deepcopy(PREDICATE)


@pytest.fixture(scope="session")
def keyring(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two keys, "machine" and "officer", a trust store for both, and one key that nobody trusts."""
    folder = tmp_path_factory.mktemp("keys")
    keys.new(folder / "machine", folder / "trust.toml", "machine")
    keys.new(folder / "officer", folder / "trust.toml", "privacy-officer")
    keys.new(folder / "stranger", folder / "strangers.toml", "machine")
    text = (folder / "trust.toml").read_text()
    start = TrustStore.loads(text).keys[0].not_before.strftime("%Y-%m-%d")
    (folder / "trust.toml").write_text(text.replace(f"not_before = {start}", "not_before = 2026-01-01"))
    return folder


@pytest.fixture
def trust(keyring: Path) -> TrustStore:
    return TrustStore.load(keyring / "trust.toml")


@pytest.fixture
def machine(keyring: Path) -> Signer:
    return Signer.load(keyring / "machine")


@pytest.fixture
def officer(keyring: Path) -> Signer:
    return Signer.load(keyring / "officer")


@pytest.fixture
def stranger(keyring: Path) -> Signer:
    return Signer.load(keyring / "stranger")


@pytest.fixture
def certify() -> Certify:
    """Sign what lies in a folder and write its certificate."""

    def write(folder: Path, predicate: Json, first: Signer, *others: Signer) -> bytes:
        content = envelope.sign(Statement(subjects=digests(folder), predicate=predicate).to_bytes(), first)
        for signer in others:
            content = envelope.cosign(content, signer)
        (folder / CERTIFICATE).write_bytes(content)
        return content

    return write


@pytest.fixture
def release(tmp_path: Path, predicate: Json, machine: Signer, certify: Certify) -> Path:
    """A good release of four files, signed by the machine's key."""
    folder = tmp_path / "release"
    for name, content in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    certify(folder, predicate, machine)
    return folder
