"""Bytes that must not move: certificates of every released version still verify, and the formats they rest on are the same.

The folders here were made once, by the version they name, from a made-up table; their keys are gone.
"""

import hashlib
import json
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from privsynth import generators
from privsynth.certificate import envelope
from privsynth.certificate.keys import TrustStore
from privsynth.certificate.verify import verify_release
from privsynth.errors import Expired, SubjectMismatch
from privsynth.measurement import entry_from_json
from privsynth.schema import Schema

HERE = Path(__file__).parent
RELEASES = sorted(HERE.glob("release-*"))
THEN = datetime(2026, 12, 1, tzinfo=UTC)


@pytest.fixture(params=RELEASES, ids=lambda folder: folder.name)
def folder(request):
    return request.param


def test_there_is_one_for_every_released_version():
    assert [folder.name for folder in RELEASES] == ["release-0.1.0"]


def test_it_still_verifies_at_its_time_and_has_expired_since(folder):
    trust = TrustStore.load(HERE / "trust.toml")
    verified = verify_release(folder, trust, at=THEN)
    assert verified.predicate["decision"] == "PASSED"
    with pytest.raises(Expired):
        verify_release(folder, trust, at=datetime(2040, 1, 1, tzinfo=UTC))


def test_a_changed_byte_is_still_found(folder, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    data = copy / "data.csv"
    data.write_bytes(data.read_bytes()[:-2] + b"x\n")
    with pytest.raises(SubjectMismatch, match=r"data\.csv"):
        verify_release(copy, TrustStore.load(HERE / "trust.toml"), at=THEN)


def test_its_schema_still_has_its_digest(folder):
    claimed = json.loads(envelope.payload((folder / "certificate.json").read_bytes()))["predicate"]["schema"]
    schema = Schema.from_json(json.loads((folder / "schema.json").read_text()))
    assert schema.digest() == claimed["digest"]["sha256"]


def test_its_measurements_still_make_a_model(folder):
    transcript = tuple(entry_from_json(entry) for entry in json.loads((folder / "measurements.json").read_text()))
    schema = Schema.from_json(json.loads((folder / "schema.json").read_text()))
    model = generators.get("independent", {}).estimate(schema.domain(), transcript)
    assert model.total == pytest.approx(3600, abs=400)


def test_its_own_script_checks_the_signature(folder, tmp_path):
    trust = (HERE / "trust.toml").read_text()
    pem = tmp_path / "public.pem"
    pem.write_text(trust[trust.index("-----BEGIN") : trust.index("-----END")] + "-----END PUBLIC KEY-----\n")
    done = subprocess.run(["sh", str(folder / "verify.sh"), str(pem), str(folder)], capture_output=True, text=True)
    expired = datetime.now(UTC) > datetime(2027, 11, 22, tzinfo=UTC)
    assert ("VERIFIED: signed by this key" in done.stdout) or (expired and "expired" in done.stderr), done.stderr


def test_the_files_here_are_the_files_that_were_signed(folder):
    subjects = json.loads(envelope.payload((folder / "certificate.json").read_bytes()))["subject"]
    for subject in subjects:
        assert hashlib.sha256((folder / subject["name"]).read_bytes()).hexdigest() == subject["digest"]["sha256"]
