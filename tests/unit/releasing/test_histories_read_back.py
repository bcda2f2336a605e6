"""Releases of several tables read back: the same distributions from public files alone, and answers table by table."""

import json
import shutil

import numpy as np
import pytest
from typer.testing import CliRunner

import privsynth as ps
from privsynth import published, releasing
from privsynth.certificate import envelope, keys, statement
from privsynth.certificate.folder import digests
from privsynth.certificate.keys import Signer
from privsynth.cli.app import app
from privsynth.database.document import DatabaseSchema
from privsynth.errors import CertificateError, FitError, InputError
from privsynth.policy import Policy
from tests import clinic
from tests import made_database_files as files


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("read_back")
    source, schema, policy = files.write(folder)
    keys.new(folder / "key.pem", folder / "trust.toml", "machine")
    signer = Signer.load(folder / "key.pem")
    with pytest.MonkeyPatch.context() as patch:
        files.pass_every_audit(patch.setattr)
        release = releasing.release(
            source,
            schema=DatabaseSchema.load(schema),
            policy=Policy.load(policy),
            signer=signer,
            out=folder / "release",
            ledger=clinic.fresh_ledger(),
        )
    return {"release": release, "signer": signer}


@pytest.fixture(scope="module")
def model(place):
    return ps.HistoryModel.from_release(place["release"].folder)


@pytest.fixture
def signed_again(place, tmp_path):
    """Sign a release anew after its measurements or claims were changed."""

    def sign(change=lambda _: None, says=None):
        folder = tmp_path / "copy"
        shutil.copytree(place["release"].folder, folder)
        document = json.loads((folder / "measurements.json").read_text())
        change(document)
        (folder / "measurements.json").write_text(json.dumps(document))
        content = statement.Statement(subjects=digests(folder), predicate=says or place["release"].predicate)
        (folder / "certificate.json").write_bytes(envelope.sign(content.to_bytes(), place["signer"]))
        return folder

    return sign


def test_the_model_that_was_released_comes_back(place, model):
    assert model.used == {"patients": 1, "stays": 6, "diagnoses": 8}
    assert (model.generator, model.guarantee.unit.name) == ("independent", "patient")
    said = place["release"].predicate["guarantee"]
    assert model.guarantee.epsilon == pytest.approx(float(said["epsilon"]), abs=1e-3)
    again = ps.HistoryModel.from_release(place["release"].folder)
    for name, distribution in model.distributions.items():
        np.testing.assert_array_equal(
            distribution.project(("sex",) if name == "patients" else ("patients.sex",)),
            again.distributions[name].project(("sex",) if name == "patients" else ("patients.sex",)),
        )
    assert len(model.sample(20, rng=np.random.default_rng(0))["patients"]) <= 20


def test_its_errors_stand_in_its_measurements_by_table(place, model):
    document = json.loads((place["release"].folder / "measurements.json").read_text())
    assert list(document["errors"]) == list(document["transcripts"]) == ["patients", "stays", "diagnoses"]
    ward = document["errors"]["stays"]["columns"]["ward"]
    known = model.error("stays", ("ward",))
    assert ward["l1"] == pytest.approx(known.l1, abs=1e-4)
    assert ward["cellRows90"] == pytest.approx(known.cell_count_90, abs=0.1)


def test_a_release_from_before_errors_is_read_too(signed_again):
    folder = signed_again(lambda document: document.pop("errors"))
    assert ps.HistoryModel.from_release(folder).answer("share where sex == F").upper < 1


@pytest.mark.parametrize(
    "change",
    [
        lambda document: document.pop("used"),
        lambda document: document["used"].pop("stays"),
        lambda document: document["used"].update(stays=0),
        lambda document: document["used"].update(stays=True),
        lambda document: document.update(transcripts=[]),
        lambda document: document["transcripts"].update(stays=3),
    ],
)
def test_what_makes_up_no_release_is_refused_even_when_signed(signed_again, change):
    with pytest.raises(InputError, match="do not make up a release"):
        published.read_release_of_tables(signed_again(change))


@pytest.mark.parametrize(
    "change",
    [
        lambda document: document["transcripts"].pop("stays"),
        lambda document: document["used"].update(stays=200),
    ],
)
def test_measurements_of_other_tables_are_refused(signed_again, change):
    with pytest.raises(FitError, match="not those of its schema's tables"):
        ps.HistoryModel.from_release(signed_again(change))


def test_measurements_that_cost_more_than_was_said_are_refused(place, signed_again):
    says = dict(place["release"].predicate)
    says["guarantee"] = {**says["guarantee"], "rho": "0.001"}
    with pytest.raises(InputError, match="MechanismError"):
        published.read_release_of_tables(signed_again(says=says))


def test_changed_files_and_other_folders_are_refused(place, tmp_path):
    folder = tmp_path / "changed"
    shutil.copytree(place["release"].folder, folder)
    (folder / "schema.json").write_bytes((folder / "schema.json").read_bytes() + b" ")
    with pytest.raises(CertificateError):
        ps.HistoryModel.from_release(folder)
    with pytest.raises(InputError, match="no folder"):
        ps.HistoryModel.from_release(tmp_path / "nowhere")


def test_the_command_line_answers_table_by_table(place):
    folder = str(place["release"].folder)
    done = CliRunner().invoke(app, ["--json", "answer", folder, "count where sex == F", "mean count.stays"])
    assert done.exit_code == 0, done.output
    women, stays = json.loads(done.stdout)["answers"]
    assert "patients that were measured" in women["unit"]
    assert 0 < stays["lower"] < stays["upper"] < 6
    done = CliRunner().invoke(app, ["--json", "answer", folder, "--table", "stays", "share where ward == B"])
    assert done.exit_code == 0, done.output
    (ward,) = json.loads(done.stdout)["answers"]
    assert 0 <= ward["lower"] <= ward["value"] <= ward["upper"] <= 1
    assert "counts the same here" in ward["notes"][0]
    wrong = CliRunner().invoke(app, ["answer", folder, "--table", "stays", "count"])
    assert wrong.exit_code != 0
    assert "are not counted" in str(wrong.exception)


def test_one_table_and_several_say_who_reads_them(place):
    with pytest.raises(InputError, match=r"read back with ps\.HistoryModel\.from_release"):
        ps.Model.from_release(place["release"].folder)
