"""A release by a generator that trains, on the bank's clients: quoted, made, said, shown and verified by the command line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from privsynth import api, generators, records
from privsynth.cli import run
from privsynth.schema import Schema
from privsynth.transcript_files import arrays_from_bytes
from tests import clinic
from tests.fitting_of import SHORT

pytest.importorskip("torch")

BANK = Path(__file__).parents[2] / "examples" / "credit_default"
TERMS = ("--schema", BANK / "schema.toml", "--policy", BANK / "policy.toml")


def call(*words: object) -> None:
    assert run([str(word) for word in words]) == 0


def release(folder: Path, name: str) -> Path:
    call("--quiet", "keys", "new", folder / "key.pem", "--trust", folder / "trust.toml")
    ledger, out = folder / "ledger" / "ledger.sqlite3", folder / "release"
    table = BANK / "clients.csv.gz"
    made_by = ("--key", folder / "key.pem", "--out", out, "--generator", name)
    call("--quiet", "release", table, *TERMS, "--ledger", ledger, *made_by)
    return out


def require_told(folder: Path, name: str, steps: int, rate: str) -> None:
    """What the certificate, the report page and the files of a release say of its training."""
    verified = api.verify(folder, trust=folder.parent / "trust.toml")
    guarantee, training = verified.predicate["guarantee"], verified.predicate["guarantee"]["training"]
    assert guarantee["definition"] == "(epsilon, delta)-DP"
    assert 3.9 < float(guarantee["epsilon"]) <= 4
    assert training["mechanism"] == "Poisson-subsampled Gaussian"
    assert (training["steps"], training["samplingRate"]) == (steps, rate)
    assert float(training["noiseMultiplier"]) >= 0.25
    assert "Poisson-subsampled Gaussian" in {stage["mechanism"] for stage in guarantee["stages"]}
    assert any(said.startswith(f"{name}: ") and "latent_class" in said for said in verified.predicate["limitations"])
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert f"Training: {steps:,} gradient steps (Poisson-subsampled Gaussian)" in page
    assert f"takes part with probability {rate}" in page
    assert f"{name}: tables of pairs of columns are expected to come out better from latent_class" in page
    assert "measurements.safetensors" in verified.files
    weights = arrays_from_bytes((folder / "measurements.safetensors").read_bytes())
    assert weights and {each.dtype.name for each in weights.values()} == {"float32"}
    table = records.read_public(folder / "data.csv", Schema.load(BANK / "schema.toml"))
    assert 25_000 < table.rows < 31_000


@pytest.fixture
def briefly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few and small steps."""
    get = generators.get

    def short(name: str, settings: Mapping[str, object]) -> object:
        return get(name, {**SHORT.get(name, {}), **settings})

    monkeypatch.setattr(generators, "get", short)


@pytest.mark.usefixtures("briefly")
@pytest.mark.parametrize("name", ["vae", pytest.param("gan", marks=pytest.mark.full_only)])
def test_a_release_says_how_it_was_trained(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The audit, which takes minutes, is replaced by one that passes."""
    clinic.pass_every_audit(monkeypatch.setattr)
    made = release(tmp_path, name)
    require_told(made, name, 4, "0.25")
    call("--quiet", "verify", made, "--trust", tmp_path / "trust.toml")


@pytest.mark.full_only
@pytest.mark.parametrize("name", ["vae", "gan"])
def test_a_release_of_the_usual_settings_is_audited_and_verifies(name: str, tmp_path: Path) -> None:
    made = release(tmp_path, name)
    kind = generators.get(name, {})
    assert kind.schedule is not None
    require_told(made, name, kind.schedule.steps, str(float(kind.schedule.sampling_rate)))


@pytest.mark.parametrize("name", ["vae", pytest.param("gan", marks=pytest.mark.full_only)])
def test_a_quote_shows_the_plan_the_caution_and_the_time(
    name: str, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str], full: bool
) -> None:
    if not full:
        request.getfixturevalue("briefly")
    kind = generators.get(name, {})
    assert kind.schedule is not None
    call("quote", BANK / "clients.csv.gz", *TERMS, "--generator", name)
    shown = " ".join(capsys.readouterr().out.split())
    assert f"mind: {name}: tables of pairs of columns are expected to come out better from latent_class" in shown
    assert f"{kind.schedule.steps} gradient steps, in each of which every client takes part" in shown
    assert f"probability {float(kind.schedule.sampling_rate):g}, with noise of " in shown
    assert "fitting takes about " in shown and shown.endswith("nothing was spent")


@pytest.mark.usefixtures("briefly")
def test_a_quote_says_the_same_to_programs(capsys: pytest.CaptureFixture[str]) -> None:
    call("--json", "quote", BANK / "clients.csv.gz", *TERMS, "--generator", "gan")
    found = json.loads(capsys.readouterr().out)
    (training,) = [stage for stage in found["stages"] if "gradientSteps" in stage]
    assert (training["gradientSteps"], training["samplingRate"]) == (4, 0.25)
    assert training["noiseMultiplier"] > 0.25
    assert found["cautions"]
