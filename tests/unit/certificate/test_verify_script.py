"""verify.sh with the tools of this machine. Must never say VERIFIED where `verify_release` would not."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from privsynth.certificate import envelope
from privsynth.certificate.keys import Signer
from privsynth.certificate.verify_script import TEXT

Json = dict[str, Any]
Certify = Callable[..., bytes]
TOOLS = ("sh", "cat", "dirname", "rm", "mktemp", "sed", "tr", "grep", "sort", "find", "cmp", "wc", "head", "date", "base64",
         "sha256sum", "openssl")  # fmt: skip
SHELLS = [shell for shell in ("sh", "dash", "bash") if shutil.which(shell)]


def run(release: Path, key: Path, *arguments: str, shell: str = "sh", cwd: Path | None = None) -> tuple[int, str]:
    done = subprocess.run(
        [shell, str(release / "verify.sh"), str(key), *arguments], capture_output=True, text=True, cwd=cwd
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def key(keyring: Path) -> Path:
    return keyring / "machine.pub"


@pytest.mark.parametrize("shell", SHELLS)
def test_a_good_release_is_verified(release: Path, key: Path, shell: str) -> None:
    status, said = run(release, key, shell=shell)
    assert (status, said) == (
        0,
        "VERIFIED: signed by this key, 4 files as they were signed, valid until 2099-11-22T10:00:00Z\n",
    )


def test_it_finds_the_release_from_anywhere(release: Path, key: Path, tmp_path: Path) -> None:
    shutil.copy(release / "verify.sh", tmp_path / "verify.sh")
    shutil.copy(key, tmp_path / "-key")
    assert run(tmp_path, Path("-key"), "release", cwd=tmp_path)[0] == 0
    assert run(Path(), Path("../-key"), cwd=release)[0] == 0


def test_wrong_use_is_told_apart(release: Path, key: Path, tmp_path: Path) -> None:
    assert run(release, tmp_path / "nothing")[0] == 2
    assert run(release, key, "a", "b")[0] == 2
    assert run(release, key, str(tmp_path / "nowhere"))[0] == 2
    (tmp_path / "empty").mkdir()
    assert run(release, key, str(tmp_path / "empty")) == (1, "NOT VERIFIED: there is no certificate.json\n")


def test_it_asks_for_nothing_but_standard_tools(release: Path, key: Path, tmp_path: Path) -> None:
    for tool in TOOLS:
        found = shutil.which(tool)
        assert found
        (tmp_path / tool).symlink_to(found)
    done = subprocess.run(
        ["sh", release / "verify.sh", key], env={"PATH": str(tmp_path)}, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert not any(tool in TEXT for tool in ("python", "jq ", "perl", "awk"))


def flip(content: bytes, position: int) -> bytes:
    return content[:position] + bytes([content[position] ^ 1]) + content[position + 1 :]


def damaged_certificate(release: Path, part: str) -> None:
    value: Json = json.loads((release / "certificate.json").read_bytes())
    holder = value if part == "payload" else value["signatures"][0]
    holder[part] = base64.b64encode(flip(base64.b64decode(holder[part]), 40)).decode()
    (release / "certificate.json").write_text(json.dumps(value, separators=(",", ":")) + "\n")


def crlf(release: Path) -> None:
    (release / "data.csv").write_bytes((release / "data.csv").read_bytes().replace(b"\n", b"\r\n"))


def swap(release: Path) -> None:
    (release / "data.csv").rename(release / "kept")
    (release / "report.html").rename(release / "data.csv")
    (release / "kept").rename(release / "report.html")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: (r / "data.csv").write_bytes(flip((r / "data.csv").read_bytes(), 0)), "was changed: data.csv"),
        (crlf, "was changed: data.csv"),
        (swap, "was changed"),
        (lambda r: (r / "data.csv").unlink(), "missing, or was added"),
        (lambda r: (r / "more.csv").write_bytes(b""), "missing, or was added"),
        (lambda r: (r / "pictures" / "more").write_bytes(b""), "missing, or was added"),
        (lambda r: (r / ".hidden").write_bytes(b""), "missing, or was added"),
        (lambda r: (r / "a\ndata.csv").write_bytes(b""), "missing, or was added"),
        (lambda r: (r / "data.csv").rename(r / "data2.csv"), "missing, or was added"),
        (lambda r: (r / "link").symlink_to("data.csv"), "no plain file"),
        (lambda r: damaged_certificate(r, "payload"), "did not sign"),
        (lambda r: damaged_certificate(r, "sig"), "did not sign"),
        (lambda r: (r / "certificate.json").write_bytes(b""), "not one line"),
        (lambda r: (r / "certificate.json").write_bytes(b"\n"), "not a certificate"),
        (
            lambda r: (r / "certificate.json").write_bytes(b"{}\n" + (r / "certificate.json").read_bytes()),
            "not one line",
        ),
        (lambda r: (r / "certificate.json").write_bytes((r / "certificate.json").read_bytes() + b"{}"), "not one line"),
        (
            lambda r: (r / "certificate.json").write_bytes(b" " + (r / "certificate.json").read_bytes()),
            "not a certificate",
        ),
    ],
)
def test_any_change_is_found(release: Path, key: Path, change: Callable[[Path], object], message: str) -> None:
    change(release)
    status, said = run(release, key)
    assert status == 1
    assert said.startswith("NOT VERIFIED: ")
    assert message in said


def test_only_the_given_key_counts(
    release: Path, keyring: Path, key: Path, predicate: Json, machine: Signer, officer: Signer, certify: Certify
) -> None:
    for other in ("officer.pub", "stranger.pub", "machine"):
        status, said = run(release, keyring / other)
        assert (status, "did not sign" in said) == (1, True)
    certify(release, predicate, officer, machine)
    assert run(release, key)[0] == 0
    assert run(release, keyring / "officer.pub")[0] == 0


def test_an_expired_certificate_is_found(
    release: Path, key: Path, predicate: Json, machine: Signer, certify: Certify
) -> None:
    past = (datetime.now(UTC) - timedelta(minutes=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    certify(release, {**predicate, "issuedAt": "2020-01-01T00:00:00Z", "expiresAt": past}, machine)
    assert run(release, key) == (1, f"NOT VERIFIED: the certificate expired at {past}\n")


def test_signed_text_of_another_kind_is_not_enough(release: Path, key: Path, machine: Signer) -> None:
    good = envelope.payload((release / "certificate.json").read_bytes())
    for old, new in (
        (b"Statement/v1", b"Statement/v2"),
        (b"release/v0.1", b"release/v0.2"),
        (b'"name":"data.csv"', b'"name":"../release/data.csv"'),
        (b'"name":"data.csv"', b'"name":"/data.csv"'),
        (b'"sha256"', b'"sha512"'),
        (b'{"_type"', b' {"_type"'),
    ):
        assert old in good
        (release / "certificate.json").write_bytes(envelope.sign(good.replace(old, new, 1), machine))
        status, said = run(release, key)
        assert (status, said.startswith("NOT VERIFIED")) == (1, True)


def test_a_claim_that_looks_like_a_file_is_no_file(
    release: Path, key: Path, predicate: Json, machine: Signer, certify: Certify
) -> None:
    predicate["limitations"] = [
        '"subject":[{"name":"more","digest":{"sha256":"x"}}],"predicateType":',
        '"expiresAt":"2020-01-01T00:00:00Z"',
        "%s \\1 $(false) `false` 'x' \u00e9",
    ]
    predicate["tool"]["name"] = '"expiresAt":"2020-01-01T00:00:00Z"'
    certify(release, predicate, machine)
    assert run(release, key)[0] == 0


def test_a_long_certificate_is_read_whole(
    release: Path, key: Path, predicate: Json, machine: Signer, certify: Certify
) -> None:
    predicate["limitations"] = [f"{number} " + "x" * 3000 for number in range(200)]
    certify(release, predicate, machine)
    assert run(release, key)[0] == 0
    damaged_certificate(release, "payload")
    assert run(release, key)[0] == 1
