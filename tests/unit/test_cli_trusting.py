"""Whether a release's signature was checked: said by every verb that reads one, and a doctored folder is found with --trust."""

import base64
import hashlib
import json
import shutil
from pathlib import Path

import pytest

from privsynth.cli import run
from privsynth.cli.trusting import UNCHECKED, among, signatures
from privsynth.errors import InputError

GOLDEN = Path(__file__).parents[1] / "golden"
SAID = "signature was not checked"


@pytest.fixture(scope="module")
def doctored(tmp_path_factory):
    """A release whose noisy answers somebody tripled, with their digest in the certificate, which he cannot sign."""
    folder = tmp_path_factory.mktemp("doctored") / "release"
    shutil.copytree(GOLDEN / "release-0.1.0", folder)
    measured = json.loads((folder / "measurements.json").read_text())
    for entry in measured:
        entry["values"] = [3 * value for value in entry["values"]]
    (folder / "measurements.json").write_text(json.dumps(measured))
    certificate = json.loads((folder / "certificate.json").read_text())
    says = json.loads(base64.b64decode(certificate["payload"]))
    for subject in says["subject"]:
        if subject["name"] == "measurements.json":
            subject["digest"]["sha256"] = hashlib.sha256((folder / "measurements.json").read_bytes()).hexdigest()
    certificate["payload"] = base64.b64encode(json.dumps(says).encode()).decode()
    (folder / "certificate.json").write_text(json.dumps(certificate))
    return folder


def commands(folder, place):
    (place / "scenario.toml").write_text('[given]\nsex = "F"\n')
    return {
        "answer": ["answer", str(folder), "share where sex == F"],
        "imagine": ["imagine", "--model", str(folder), "--scenario", str(place / "scenario.toml"), "--rows", "20"],
        "evaluate": ["evaluate", str(folder), "--real", str(place / "real.csv")],
    }


@pytest.mark.parametrize("verb", ["answer", "imagine", "evaluate"])
def test_a_doctored_release_is_found_with_a_trust_store(doctored, verb, tmp_path, capsys):
    (tmp_path / "real.csv").write_text("nothing is read of it\n")
    out = ["--out", str(tmp_path / "t.csv")] if verb == "imagine" else []
    words = [*commands(doctored, tmp_path)[verb], *out, "--trust", str(GOLDEN / "trust.toml")]
    assert run(["--quiet", *words]) == 5
    assert "no key of the trust store signed this certificate" in capsys.readouterr().err
    assert not (tmp_path / "t.csv").exists()


@pytest.mark.parametrize("verb", ["answer", "imagine"])
def test_without_one_it_is_said_that_nobody_checked(doctored, verb, tmp_path, capsys):
    out = (lambda name: ["--out", str(tmp_path / name)]) if verb == "imagine" else (lambda _: [])
    words = commands(doctored, tmp_path)[verb]
    assert run(["--quiet", *words, *out("one.csv")]) == 0
    assert SAID in capsys.readouterr().out
    assert run(["--quiet", "--json", *words, *out("two.csv")]) == 0
    assert json.loads(capsys.readouterr().out)["signatureChecked"] is False


def test_evaluate_says_so_too(doctored, tmp_path, monkeypatch, capsys):
    class Found:
        def lines(self):
            return ["INTERNAL"]

        def to_json(self):
            return {"synthetic": {}}

    monkeypatch.setattr("privsynth.evaluating.evaluate", lambda *_, **__: Found())
    words = commands(doctored, tmp_path)["evaluate"]
    assert run(["--quiet", *words]) == 0
    assert capsys.readouterr().out.splitlines() == ["INTERNAL", UNCHECKED]
    named = [*words[:1], "synthetic.csv", *words[2:], "--release", str(doctored)]
    assert run(["--quiet", "--json", *named]) == 0
    assert json.loads(capsys.readouterr().out) == {"synthetic": {}, "signatureChecked": False}


def test_what_is_no_release_has_no_signature(doctored, tmp_path):
    assert among([doctored, None, tmp_path, doctored]) == [doctored]
    assert signatures([], None) == ({}, [])
    assert signatures([doctored], None) == ({"signatureChecked": False}, [UNCHECKED])
    with pytest.raises(InputError, match="leave it out"):
        signatures([], GOLDEN / "trust.toml")
