"""A release whose generator trains: killed in training it goes on under the same charge; what cannot go on is forfeited."""

import json
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import privsynth
from privsynth import api, generators
from privsynth.certificate import keys
from privsynth.errors import OutOfMemory, OutputError, RefusedError
from privsynth.model import Model
from privsynth.privacy import sampling
from privsynth.privacy.ledgers.sqlite import SqliteLedger
from privsynth.transcript_files import arrays_from_bytes, transcript_from_files
from tests import clinic, killed_training
from tests.tiny_training import ChainLoss, TinyTraining

ROOT = Path(__file__).resolve().parents[3]
NAME = "mst"  # what the small network goes by here: a policy allows shipped generators only
SETTINGS = {"steps": 130}
CONTENT = {"schema": "schema.toml", "policy": "policy.toml", "key": "key.pem", "out": "release"}

KILLED = textwrap.dedent(
    """
    import sys
    from pathlib import Path
    from tests import clinic, killed_training
    from tests.unit.releasing import test_training_crashes as here
    place, function, turn, when = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4]
    clinic.pass_every_audit()
    here.generators._GENERATORS[here.NAME] = here.TinyTraining
    killed_training.watch(place)
    killed_training.kill_at(function, turn, when)
    here.again(place)
    """
)


@pytest.fixture
def place(tmp_path, monkeypatch):
    clinic.pass_every_audit(monkeypatch.setattr)
    monkeypatch.setitem(generators._GENERATORS, NAME, TinyTraining)
    clinic.write(tmp_path, table=clinic.rows(patients=600))
    keys.new(tmp_path / "key.pem", tmp_path / "trust.toml", "machine")
    return tmp_path


def again(place):
    named = {name: place / path for name, path in CONTENT.items()}
    ledger = place / "ledger" / "ledger.sqlite3"
    return api.release(place / "clinic.csv", ledger=ledger, generator=NAME, settings=SETTINGS, **named)


def kill(place, function, turn, when):
    command = [sys.executable, "-c", KILLED, str(place), function, str(turn), when]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == killed_training.EXIT, done.stderr[-2000:]


def kinds(place):
    with SqliteLedger(place / "ledger" / "ledger.sqlite3") as ledger:
        ledger.verify()
        return [entry.kind for entry in ledger.entries()]


def draws(place):
    return (place / "log").read_text().split().count("draw")


@pytest.mark.parametrize(
    "point",
    [
        ("privsynth.releasing.journal.FolderJournal.start", 1, "after"),
        ("privsynth.privacy.ledger.AbstractLedger.begin", 1, "after"),
        ("privsynth.privacy.sampling.poisson", 31, "after"),
        ("privsynth.releasing.workspace.Workspace.save_measurements", 1, "after"),
    ],
    ids=lambda point: point[0].rsplit(".", 1)[1],
)
def test_killed_in_training_a_release_goes_on_and_is_charged_once(place, monkeypatch, point):
    kill(place, *point)
    poisson = sampling.poisson
    monkeypatch.setattr(sampling, "poisson", lambda *args: (killed_training.log(place, "draw"), poisson(*args))[1])
    made = again(place)
    assert 130 - 2 <= draws(place) <= 130
    assert [kind for kind in kinds(place) if kind != "reserve"] == ["open", "begin", "commit"]
    assert api.verify(made.folder, trust=place / "trust.toml")
    assert not (place / "release.internal" / "journal").exists()
    entries = json.loads((made.folder / "measurements.json").read_text())["entries"]
    arrays = arrays_from_bytes((made.folder / "measurements.safetensors").read_bytes())
    (*_, trained) = transcript_from_files(entries, arrays)
    assert trained.event.steps == 130
    names = ("age", "sex", "ward", "stay", "charge", "readmitted")
    assert set(trained.weights) == {f"head {name}" for name in names}
    assert Model.from_release(made.folder).guarantee.training.steps == 130


def test_where_the_journal_is_gone_or_an_answer_was_lost_the_attempt_is_forfeited(place):
    kill(place, "privsynth.releasing.journal.FolderJournal.record", 1, "before")
    other = place.with_name(place.name + "-other")
    shutil.copytree(place, other)
    shutil.rmtree(other / "release.internal" / "journal")
    for folder in (place, other):
        with pytest.raises(RefusedError, match=r"cut off while it measured.*budget"):
            again(folder)
        assert kinds(folder) == ["open", "reserve", "begin", "forfeit"]
        assert not (folder / "log").exists()


def test_memory_that_runs_out_in_training_forfeits_nothing(place, monkeypatch):
    factors, asked = ChainLoss.factors, []

    def short_of_memory(self, codes, key):
        asked.append(len(codes))
        if len(asked) == 40:
            raise MemoryError
        return factors(self, codes, key)

    monkeypatch.setattr(ChainLoss, "factors", short_of_memory)
    with pytest.raises(OutOfMemory, match="not enough memory for the gradients of"):
        again(place)
    assert kinds(place) == ["open", "reserve", "begin"]
    assert api.verify(again(place).folder, trust=place / "trust.toml")
    assert kinds(place) == ["open", "reserve", "begin", "commit"]
    assert len(asked) <= 130


def test_another_version_is_told_to_wait_and_forfeits_nothing(place, monkeypatch):
    kill(place, "privsynth.privacy.sampling.poisson", 31, "after")
    monkeypatch.setattr(privsynth, "__version__", "9.9")
    with pytest.raises(OutputError, match="go on with the version"):
        again(place)
    assert kinds(place) == ["open", "reserve", "begin"]
