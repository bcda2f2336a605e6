"""A training that is killed anywhere goes on from its last accounted step: nothing is drawn twice, nothing is un-spent."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from privsynth.errors import BudgetExceeded, OutputError, RefusedError
from privsynth.measurement import Measurement, Trained
from privsynth.privacy import sampling
from privsynth.privacy.curator import Curator
from privsynth.privacy.journal import Kept
from privsynth.releasing.journal import FolderJournal
from tests import killed_training as driver
from tests.killed_training import BLOCK, STEPS

ROOT = Path(__file__).resolve().parents[3]
JOURNAL, CURATOR, WORKSPACE = (
    "privsynth.releasing.journal.FolderJournal",
    "privsynth.privacy.curator.Curator",
    "privsynth.releasing.workspace.Workspace",
)

# Where it is killed: a function, at which call, and whether before or after it ran.
POINTS = {
    "before the keys are safe": (f"{WORKSPACE}.start", 1, "before"),
    "before the journal": (f"{JOURNAL}.start", 1, "before"),
    "after the journal": (f"{JOURNAL}.start", 1, "after"),
    "before a question": (f"{JOURNAL}.begin", 1, "before"),
    "after an answer": (f"{JOURNAL}.record", 1, "after"),
    "before the first claim": (f"{JOURNAL}.claim", 1, "before"),
    "after the first claim": (f"{JOURNAL}.claim", 1, "after"),
    "after a later claim": (f"{JOURNAL}.claim", 5, "after"),
    "before a key": ("privsynth.privacy.sampling.poisson", 8, "before"),
    "in a step": ("privsynth.privacy.sampling.dealt", 8, "after"),
    "after a step": (f"{CURATOR}.gradient_sum", 8, "after"),
    "before the first state": (f"{JOURNAL}.keep", 1, "before"),
    "after the first state": (f"{JOURNAL}.keep", 1, "after"),
    "before a later state": (f"{JOURNAL}.keep", 5, "before"),
    "amid a file": ("pathlib.Path.replace", 10, "before"),
    "amid a state": ("pathlib.Path.replace", 11, "before"),
    "between two files": ("pathlib.Path.replace", 22, "after"),
    "in the last step": ("privsynth.privacy.sampling.dealt", STEPS, "after"),
    "before the last state": (f"{JOURNAL}.keep", -(-STEPS // BLOCK), "before"),
    "before the end": (f"{CURATOR}.conclude", 1, "before"),
    "after the end": (f"{CURATOR}.conclude", 1, "after"),
    "before the measurements are safe": (f"{WORKSPACE}.save_measurements", 1, "before"),
    "after the measurements are safe": (f"{WORKSPACE}.save_measurements", 1, "after"),
    "amid the journal's removal": ("pathlib.Path.unlink", 1, "after"),
}
LOST = {
    "after a question": (f"{JOURNAL}.begin", 1, "after"),
    "after the noise": (f"{JOURNAL}.record", 1, "before"),
}


def kill(folder: Path, point: tuple[str, int, str]) -> None:
    where, turn, when = point
    command = [sys.executable, "-m", "tests.killed_training", str(folder), where, str(turn), when]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == driver.EXIT, done.stderr[-2000:]


@pytest.fixture
def resume(tmp_path, monkeypatch):
    """Go on in this process, writing down the same as the killed one."""
    for holder, name in ((sampling, "poisson"), (FolderJournal, "keep"), (Curator, "training_state")):
        monkeypatch.setattr(holder, name, getattr(holder, name))
    driver.watch(tmp_path)
    return lambda: driver.train(tmp_path)


def lines(folder: Path, kind: str) -> list[list[str]]:
    path = folder / "log"
    said = [line.split() for line in path.read_text().splitlines()] if path.exists() else []
    return [line[1:] for line in said if line[0] == kind]


@pytest.mark.parametrize("point", POINTS)
def test_a_killed_training_goes_on_and_draws_no_step_twice(tmp_path, resume, point):
    kill(tmp_path, POINTS[point])
    before, kept = len(lines(tmp_path, "draw")), lines(tmp_path, "kept")
    transcript = resume()
    drawn = len(lines(tmp_path, "draw"))
    assert STEPS - BLOCK <= drawn <= STEPS
    (trained,) = [entry for entry in transcript if isinstance(entry, Trained)]
    assert trained.event.steps == STEPS
    assert len({line[0] for line in lines(tmp_path, "measured")}) == 1
    if drawn > before > 0:  # it went on: from the state that was kept last, at a step that is accounted for
        step, state = lines(tmp_path, "state")[-1]
        assert state == (kept[-1][1] if kept else "nothing")
        assert int(step) >= before
        assert drawn - before == STEPS - int(step)
        assert int(step) - (int(kept[-1][0]) if kept else 0) <= BLOCK
    assert {path.name for path in (tmp_path / "fit").iterdir()} == {
        "INTERNAL.txt",
        "lock",
        "measurements.json",
        "measurements.safetensors",
        "state.json",
    }
    again = resume()
    assert len(lines(tmp_path, "draw")) == drawn
    for one, two in zip(transcript, again, strict=True):
        assert one.to_json() == two.to_json()


@pytest.mark.parametrize("point", LOST)
def test_an_answer_that_was_lost_is_not_drawn_again(tmp_path, resume, point):
    kill(tmp_path, LOST[point])
    for _ in range(2):
        with pytest.raises(RefusedError, match="cut off while it measured"):
            resume()
    assert not lines(tmp_path, "draw")


def test_killed_again_and_again_it_still_takes_no_step_too_many(tmp_path, resume):
    for turn in (5, 40, 1, 90):
        kill(tmp_path, ("privsynth.privacy.sampling.poisson", turn, "after"))
    resume()
    assert STEPS - 4 * BLOCK <= len(lines(tmp_path, "draw")) <= STEPS
    steps = [int(line[0]) for line in lines(tmp_path, "state")]
    assert steps == sorted(steps)


@pytest.fixture
def cut_off(tmp_path):
    kill(tmp_path, ("privsynth.privacy.sampling.poisson", 20, "after"))
    return tmp_path


def test_files_are_closed_to_others_and_hold_no_code(cut_off):
    fit = cut_off / "fit"
    assert stat.S_IMODE(fit.stat().st_mode) == stat.S_IMODE((fit / "journal").stat().st_mode) == 0o700
    files = [path for path in fit.rglob("*") if path.is_file()]
    places = {"lock", "state.json", "journal.json", "answer-0.json", "state.safetensors"}
    assert {path.name for path in files} == places | {"INTERNAL.txt"}
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in files)


def test_another_fit_in_the_same_place_is_refused_and_costs_nothing(cut_off, monkeypatch):
    def refused(match, **arguments):
        journal = (cut_off / "fit" / "journal" / "journal.json").read_bytes()
        with pytest.raises(OutputError, match=match):
            driver.train(cut_off, **arguments)
        assert (cut_off / "fit" / "journal" / "journal.json").read_bytes() == journal

    refused("another table", rows=401)
    refused("another budget", chosen=driver.plan(steps=STEPS + 1))
    refused("another budget", chosen=driver.plan(rho=Fraction(1, 9)))
    monkeypatch.setattr("privsynth.__version__", "9.9")
    refused("go on with the version")
    monkeypatch.undo()
    original = Curator.measure
    monkeypatch.setattr(
        Curator, "measure", lambda self, cliques, **rest: original(self, cliques, **{**rest, "stage": "another"})
    )
    refused("other questions")
    monkeypatch.undo()
    driver.train(cut_off)


def change(path, **entries):
    path.write_text(json.dumps({**json.loads(path.read_text()), **entries}))


DAMAGES = {
    "no document": lambda journal: (journal / "journal.json").write_text("{"),
    "other format": lambda journal: change(journal / "journal.json", format="other"),
    "negative claim": lambda journal: change(journal / "journal.json", claimed=-1),
    "a claim that is no number": lambda journal: change(journal / "journal.json", claimed="20"),
    "claims below the state": lambda journal: change(journal / "journal.json", claimed=1),
    "questions that are none": lambda journal: change(journal / "journal.json", begun=[3]),
    "answer": lambda journal: (journal / "answer-0.json").write_text("[{}]"),
    "state": lambda journal: (journal / "state.safetensors").write_bytes(b"PK"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_journal_is_not_gone_on_from(cut_off, damage):
    DAMAGES[damage](cut_off / "fit" / "journal")
    with pytest.raises(OutputError, match="damaged"):
        driver.train(cut_off)


def test_a_journal_takes_no_claim_back_and_a_curator_goes_no_further_than_its_plan(tmp_path):
    journal = FolderJournal.start(tmp_path / "journal", driver.plan())
    journal.claim(7)
    journal.claim(3)
    journal.keep(Kept(step=5, state={"a": np.arange(3.0), "b": np.zeros((0, 2), np.float32)}))
    again = FolderJournal.resume(tmp_path / "journal", driver.plan())
    assert again.claimed == 7
    assert again.kept is not None and again.kept.step == 5
    assert {name: array.tolist() for name, array in again.kept.state.items()} == {"a": [0.0, 1.0, 2.0], "b": []}
    again.claim(STEPS + 1)
    with pytest.raises(BudgetExceeded, match="have been taken"):
        gradient_after(again)


def gradient_after(journal):
    from privsynth.dataset import Dataset
    from privsynth.domain import Domain
    from privsynth.privacy.noise import UnsafeSeededNoise
    from privsynth.private import Private
    from tests.tiny_training import TinyTraining

    domain, chosen = Domain(("a",), (2,)), driver.plan()
    held = Curator(
        Private(Dataset.from_columns({"a": np.array([0, 1])}, domain)),
        unit=chosen.unit,
        rho=chosen.budget.rho,
        noise=UnsafeSeededNoise(1),
        composition="pld",
        training=chosen.budget.training,
        journal=journal,
    )
    held.gradient_sum(TinyTraining().loss(domain), clip=Fraction(1))


def test_answers_come_back_as_they_were(tmp_path):
    driver.train(tmp_path)
    first = driver.train(tmp_path)
    (table, other) = [entry for entry in first if isinstance(entry, Measurement)]
    assert (table.clique, other.clique) == (("a",), ("b",))
