"""Releases read back: the model that was released is fitted again from its public files, and from no others."""

import dataclasses
import json
import shutil
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import privsynth as ps
from privsynth import releasing
from privsynth.certificate import envelope, keys, statement
from privsynth.certificate.keys import Signer
from privsynth.errors import CertificateError, FitError, InputError, SubjectMismatch
from privsynth.policy import Policy
from privsynth.privacy.guarantee import decimal_up
from privsynth.published import read_release
from privsynth.schema import Schema
from privsynth.transcript_files import measurements_from_document, measurements_to_document
from tests import clinic

GOLDEN = Path(__file__).parents[1] / "golden" / "release-0.1.0"
POLICY = clinic.POLICY.replace('allow = ["independent", "mst"]', 'allow = ["latent_class"]').replace(
    'default = "independent"', 'default = "latent_class"'
)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("published")
    table, schema, policy = clinic.write(folder, table=clinic.rows(patients=2500), policy=POLICY)
    keys.new(folder / "key.pem", folder / "trust.toml", "machine")
    return {"folder": folder, "table": table, "schema": Schema.load(schema), "policy": Policy.load(policy)}


@pytest.fixture(scope="module")
def release(place):
    with pytest.MonkeyPatch.context() as patch:
        clinic.pass_every_audit(patch.setattr)
        return releasing.release(
            place["table"],
            schema=place["schema"],
            policy=place["policy"],
            signer=Signer.load(place["folder"] / "key.pem"),
            out=place["folder"] / "release",
            ledger=clinic.fresh_ledger(),
        )


def signed_again(release, place, out, *, files=None, predicate=None):
    """A release whose files or claims were changed and that somebody signed so."""
    shutil.copytree(release.folder, out)
    for name, content in (files or {}).items():
        (out / name).write_bytes(content)
    from privsynth.certificate.folder import digests

    says = predicate or dict(release.predicate)
    content = statement.Statement(subjects=digests(out), predicate=says).to_bytes()
    (out / "certificate.json").write_bytes(envelope.sign(content, Signer.load(place["folder"] / "key.pem")))
    return out


def test_the_model_that_was_released_comes_back(release):
    model = ps.Model.from_release(release.folder)
    assert model.generator == "latent_class"
    assert 4 - 1e-6 < model.guarantee.epsilon <= 4
    assert "epsilon=4, " in repr(model)
    assert "of a release" in repr(model)
    assert model.guarantee.unit.max_rows == 1
    assert model.guarantee.composition == "gdp"
    again = ps.Model.from_release(release.folder)
    np.testing.assert_array_equal(model.project(("age", "stay")), again.project(("age", "stay")))
    assert model.settings == again.settings
    assert model.error(("age", "stay")).l1 is not None
    sample = model.sample(50, rng=np.random.default_rng(0))
    assert sample.num_rows == 50


def test_a_release_of_an_earlier_version_is_read_too():
    model = ps.Model.from_release(GOLDEN)
    assert model.distribution.total == pytest.approx(3600, abs=400)
    assert model.guarantee.composition == "zcdp"
    said = read_release(GOLDEN).predicate["guarantee"]["epsilon"]
    assert decimal_up(Fraction(model.guarantee.epsilon), 4) == said


@pytest.mark.parametrize("name", ["schema.json", "measurements.json", "data.csv"])
def test_a_changed_file_is_found(release, tmp_path, name):
    shutil.copytree(release.folder, tmp_path / "copy")
    path = tmp_path / "copy" / name
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(SubjectMismatch, match=name.replace(".", r"\.")):
        read_release(tmp_path / "copy")


def test_a_folder_without_a_certificate_is_no_release(tmp_path):
    with pytest.raises(CertificateError, match="no release folder"):
        read_release(tmp_path)
    with pytest.raises(InputError, match="no folder"):
        read_release(tmp_path / "nowhere")


@pytest.mark.parametrize(
    "content",
    [b"[", b"3", b'{"entries": 4}', b'[{"type": "measurement"}]', b"[" * 100_000, b'[{"type": "other", "event": {}}]'],
)
def test_measurements_that_are_none_are_refused_even_when_signed(release, place, tmp_path, content):
    folder = signed_again(release, place, tmp_path / "copy", files={"measurements.json": content})
    with pytest.raises(InputError, match="do not make up a release"):
        read_release(folder)


def test_measurements_that_cost_more_than_the_certificate_says_are_refused(release, place, tmp_path):
    says = dict(release.predicate)
    says["guarantee"] = {**says["guarantee"], "rho": "0.001"}
    folder = signed_again(release, place, tmp_path / "copy", predicate=says)
    with pytest.raises(InputError, match="MechanismError"):
        read_release(folder)


def test_a_release_of_several_tables_says_what_to_do(release, place, tmp_path):
    says = dict(release.predicate)
    table = {"name": "visits", "columns": 3, "rows": 5, "parent": None, "bound": None}
    says["schema"] = {**says["schema"], "tables": [table]}
    folder = signed_again(release, place, tmp_path / "copy", predicate=says)
    with pytest.raises(InputError, match="several tables"):
        read_release(folder)


def test_measurements_are_a_list_or_stand_beside_expected_errors():
    entries = [{"type": "x"}]
    assert measurements_from_document(entries) == (entries, {})
    written = measurements_to_document(entries, {"columns": {}})
    assert measurements_from_document(json.loads(json.dumps(written))) == (entries, {"columns": {}})
    with pytest.raises(FitError):
        measurements_from_document({"entries": {}})


def test_what_is_read_cannot_be_changed(release):
    with pytest.raises(dataclasses.FrozenInstanceError):
        read_release(release.folder).generator = "mst"


def test_a_release_says_how_far_its_columns_and_pairs_are_off(release):
    document = json.loads((release.folder / "measurements.json").read_text())
    errors, model = document["errors"], ps.Model.from_release(release.folder)
    names = model.schema.domain().attributes
    assert set(errors["columns"]) == set(names)
    assert (len(errors["pairs"]), errors["pairsLeftOut"]) == (len(names) * (len(names) - 1) // 2, 0)
    for said in errors["pairs"]:
        known = model.error(tuple(said["columns"]))
        assert said["l1"] == pytest.approx(known.l1, abs=1e-4)
        assert said["l1"] <= said["upper90"]
        assert said["cellRows90"] == pytest.approx(known.cell_count_90, abs=0.1)


def test_the_command_line_answers_from_a_release_alone(release, place):
    from typer.testing import CliRunner

    from privsynth.cli.app import app

    question = "share where ward == Maternity given sex == F"
    trust = ["--trust", str(place["folder"] / "trust.toml")]
    done = CliRunner().invoke(app, ["--json", "answer", str(release.folder), question, "mean age", *trust])
    assert done.exit_code == 0, done.output
    first, second = json.loads(done.stdout)["answers"]
    assert first["question"] == question
    assert 0 <= first["lower"] <= first["value"] <= first["upper"] <= 1
    assert second["kind"] == "mean"
    assert json.loads(done.stdout)["signatureChecked"] is True
    of_one = CliRunner().invoke(app, ["answer", str(release.folder), "--table", "visits", "count"])
    assert "is a release of one table; leave out --table" in str(of_one.exception)
    with pytest.raises(InputError, match=r"read back with ps\.Model\.from_release"):
        ps.HistoryModel.from_release(release.folder)
    wrong = CliRunner().invoke(app, ["answer", str(release.folder), "count where patient == 'x'"])
    assert "its values are made anew" in str(wrong.exception)
