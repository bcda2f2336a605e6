"""A release that is killed at any step, or runs out of disk: spent is never less than drawn, and never two certificates."""

import errno
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from privsynth import api
from privsynth.certificate import keys
from privsynth.errors import OutputError, RefusedError
from privsynth.privacy.ledgers.sqlite import SqliteLedger
from privsynth.releasing import durably, path, workspace
from tests import clinic

ROOT = Path(__file__).resolve().parents[3]

# Each step: the function at whose n-th call the process is killed, and whether before or after it has run.
STEPS = {
    "after reserve": ("privsynth.releasing.workspace.Workspace.start", 1, "before"),
    "after the state": ("privsynth.releasing.workspace.Workspace.start", 1, "after"),
    "before begin": ("privsynth.privacy.ledger.AbstractLedger.begin", 1, "before"),
    "after begin": ("privsynth.privacy.ledger.AbstractLedger.begin", 1, "after"),
    "after the noise": ("privsynth.releasing.workspace.Workspace.save_measurements", 1, "before"),
    "after the measurements": ("privsynth.releasing.workspace.Workspace.save_measurements", 1, "after"),
    "after sampling": ("privsynth.model.Model.draw", 1, "after"),
    "after the audit": ("privsynth.auditing.run", 1, "after"),
    "amid the candidate": ("privsynth.releasing.workspace.Workspace.write_candidate", 3, "after"),
    "before the certificate": ("privsynth.releasing.workspace.Workspace.write_candidate", 8, "before"),
    "after the certificate": ("privsynth.releasing.workspace.Workspace.write_candidate", 8, "after"),
    "after commit": ("privsynth.privacy.ledger.AbstractLedger.commit", 1, "after"),
    "before publishing": ("privsynth.releasing.workspace.Workspace.publish", 1, "before"),
    "after publishing": ("privsynth.releasing.workspace.Workspace.publish", 1, "after"),
}
FORFEITED = {"after begin", "after the noise"}

KILLER = textwrap.dedent(
    """
    import importlib, os, signal, sys
    from tests import clinic
    clinic.pass_every_audit()
    path, turn, when, folder = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
    owner, name = path.rsplit(".", 1)
    try:
        holder = importlib.import_module(owner)
    except ModuleNotFoundError:
        module, kind = owner.rsplit(".", 1)
        holder = getattr(importlib.import_module(module), kind)
    original, calls = getattr(holder, name), [0]
    def killing(*args, **kwargs):
        calls[0] += 1
        if calls[0] == turn and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        done = original(*args, **kwargs)
        if calls[0] == turn:
            os.kill(os.getpid(), signal.SIGKILL)
        return done
    setattr(holder, name, killing)
    from privsynth import api
    api.release(f"{folder}/clinic.csv", schema=f"{folder}/schema.toml", policy=f"{folder}/policy.toml",
                key=f"{folder}/key.pem", out=f"{folder}/release", ledger=f"{folder}/ledger/ledger.sqlite3")
    """
)


@pytest.fixture
def place(tmp_path, monkeypatch):
    clinic.pass_every_audit(monkeypatch.setattr)
    clinic.write(tmp_path)
    keys.new(tmp_path / "key.pem", tmp_path / "trust.toml", "machine")
    return tmp_path


def again(place):
    return api.release(
        place / "clinic.csv",
        schema=place / "schema.toml",
        policy=place / "policy.toml",
        key=place / "key.pem",
        out=place / "release",
        ledger=place / "ledger" / "ledger.sqlite3",
    )


def kinds(place):
    with SqliteLedger(place / "ledger" / "ledger.sqlite3") as ledger:
        ledger.verify()
        return [entry.kind for entry in ledger.entries()]


@pytest.mark.parametrize("step", STEPS)
def test_killed_at_any_step_the_release_resumes_or_is_forfeited(place, step):
    where, turn, when = STEPS[step]
    done = subprocess.run(
        [sys.executable, "-c", KILLER, where, str(turn), when, str(place)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == -signal.SIGKILL, done.stderr[-2000:]
    published = (place / "release").exists()
    assert published == (step == "after publishing")
    if step in FORFEITED:
        assert kinds(place)[-1] == "begin"
        with pytest.raises(RefusedError, match="cut off"):
            again(place)
        assert kinds(place) == ["open", "reserve", "begin", "forfeit"]
        return
    if not published:
        again(place)
    assert kinds(place).count("begin") == 1 or step == "after reserve"
    assert kinds(place).count("commit") == 1
    assert api.verify(place / "release", trust=place / "trust.toml")
    assert len(list(place.rglob("certificate.json"))) == 1


def test_a_full_disk_loses_nothing_and_spends_nothing_twice(place, monkeypatch):
    """The n-th file that is written finds the disk full; the same command, run again with space, goes on from there."""
    original = os.fsync
    for fails_at in (1, 2, 3, 5, 7):  # the notice, the state, the measurements, then the candidate
        writes = [0]

        def full(descriptor, *, fails_at=fails_at, writes=writes):
            if Path(f"/proc/self/fd/{descriptor}").readlink().name.endswith(".partial"):
                writes[0] += 1
                if writes[0] >= fails_at:
                    raise OSError(errno.ENOSPC, "No space left on device")
            original(descriptor)

        monkeypatch.setattr(durably.os, "fsync", full)
        with pytest.raises(OutputError, match="disk is full"):
            again(place)
        monkeypatch.setattr(durably.os, "fsync", original)
        assert not (place / "release").exists()
        assert not list(place.rglob("*.partial"))
        if fails_at == 3:  # the measurements themselves were lost: their budget is gone, and the user is told
            with pytest.raises(RefusedError, match="cut off"):
                again(place)
            return
    raise AssertionError("the measurements were never written")


def test_a_disk_that_fills_after_the_measurements_is_resumed(place, monkeypatch):
    with monkeypatch.context() as full:
        full.setattr(path, "write_candidate", lambda *_: (_ for _ in ()).throw(OutputError("full")))
        with pytest.raises(OutputError):
            again(place)
    again(place)
    assert kinds(place) == ["open", "reserve", "begin", "commit"]


def test_a_candidate_that_was_tampered_with_before_publishing_does_not_verify(place, monkeypatch):
    with monkeypatch.context() as stopped:
        stopped.setattr(workspace.Workspace, "publish", lambda _: (_ for _ in ()).throw(OutputError("stopped")))
        with pytest.raises(OutputError):
            again(place)
    data = place / "release.internal" / "candidate" / "data.csv"
    data.write_bytes(data.read_bytes().replace(b"yes", b"no ", 1))
    with pytest.raises(Exception, match=r"data\.csv"):
        again(place)
    assert not (place / "release").exists()


def test_two_people_cannot_release_into_one_place(place):
    again(place)
    with pytest.raises(OutputError, match="exists"):
        again(place)
