"""Progress: what a person sees while a training runs, and that it says nothing but what noisy answers say."""

from __future__ import annotations

import re

import pytest

import privsynth as ps
from privsynth import generators, progress
from privsynth.cli import console
from privsynth.cli.console import Console
from tests.tiny_training import GRADIENTS, TinyTraining


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(console.time, "monotonic", lambda: now[0])
    return now


def test_nobody_listens_and_nothing_is_made(monkeypatch):
    progress.report("stage", 1, 2, lambda: pytest.fail("a note was made for nobody"))


def test_a_note_is_what_training_says():
    assert progress.on_training(12.34, 0.412) == "loss about 12.3, epsilon 0.41 so far"
    assert progress.on_training(None, 3.0) == "epsilon 3.00 so far"
    assert progress.on_training(1234.5, None) == "loss about 1.23e+03"
    assert progress.on_training(None, None) == ""


def test_plain_lines_come_every_few_seconds_with_note_and_time_left(capsys, clock):
    made = []

    def note():
        made.append(clock[0])
        return progress.on_training(12.3, 0.41)

    with Console().progress():
        for step in range(40, 801):
            progress.report("gradients", step, 800, note)
            clock[0] += 0.05
        progress.report("sample", 0, 1)
        progress.report("sample", 1, 1)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "  gradients 40/800, loss about 12.3, epsilon 0.41 so far"
    assert lines[1] == "  gradients 81/800, loss about 12.3, epsilon 0.41 so far, 36 s left"
    assert lines[-2] == "  gradients 800/800, loss about 12.3, epsilon 0.41 so far"
    assert lines[-1] == "  sample"
    assert len(made) == len(lines) - 1 == 20


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.2, "1 s"), (89.5, "90 s"), (91, "2 min"), (3600, "60 min"), (9000, "2.5 h")]
)
def test_how_long_something_takes(seconds, said):
    assert console._duration(seconds) == said


def test_a_live_bar_shows_the_note_and_makes_it_seldom(clock, monkeypatch, capsys):
    from rich.progress import Progress

    shown, made = [], []
    original = Progress.update

    def update(self, task, **changes):
        shown.append(changes.get("description"))
        return original(self, task, **changes)

    monkeypatch.setattr(Progress, "update", update)
    monkeypatch.setattr(console.sys.stderr, "isatty", lambda: True, raising=False)
    with Console().progress():
        for step in range(1, 101):
            progress.report("gradients", step, 100, lambda: made.append(0) or "loss about 3")
            clock[0] += 0.1
    assert 4 <= len(made) <= 6
    assert "gradients 1/100, loss about 3" in shown


def test_quiet_says_nothing(capsys):
    with Console(quiet=True).progress():
        progress.report("gradients", 1, 2, lambda: pytest.fail("made"))
    assert capsys.readouterr().err == ""


def test_a_training_tells_its_steps_and_what_they_cost(monkeypatch):
    monkeypatch.setitem(generators._GENERATORS, "tiny_training", TinyTraining)
    told = []

    def sink(stage, done, total, note):
        if stage == GRADIENTS:
            told.append((done, total, note()))

    table = {"a": [0, 1, 1] * 50, "b": [2, 1, 0] * 50}
    with progress.listening(sink):
        model = ps.fit(table, ps.Schema.from_domain({"a": 2, "b": 3}), epsilon=3, delta=1e-6, generator="tiny_training")
    assert [line[:2] for line in told] == [(step, 60) for step in range(1, 61)]
    spent = [float(re.fullmatch(r"epsilon (\S+) so far", line[2]).group(1)) for line in told]
    assert spent == sorted(spent)
    assert 0 < spent[0] < spent[-1]
    assert spent[-1] == pytest.approx(model.guarantee.epsilon, rel=0.01)
