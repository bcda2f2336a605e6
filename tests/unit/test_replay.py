"""Recording and replaying a noise source."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from privsynth.privacy.noise import UnsafeSeededNoise
from privsynth.replay import DivergedError, RecordingNoise, ReplayingNoise

COUNTS = np.arange(6, dtype=np.int64).reshape(2, 3)
SCORES = np.array([4, 1, 4], dtype=np.int64)


def a_recording() -> RecordingNoise:
    recording = RecordingNoise(UnsafeSeededNoise(1))
    recording.key()
    recording.gaussian(COUNTS, Fraction(4))
    recording.exponential(SCORES, Fraction(1, 3))
    return recording


def test_a_recording_passes_answers_on_and_keeps_both_sides() -> None:
    direct, recording = UnsafeSeededNoise(1), RecordingNoise(UnsafeSeededNoise(1))
    assert recording.key() == direct.key()
    noisy = recording.gaussian(COUNTS, Fraction(4))
    assert noisy.tolist() == direct.gaussian(COUNTS, Fraction(4)).tolist()
    assert recording.exponential(SCORES, Fraction(1, 3)) == direct.exponential(SCORES, Fraction(1, 3))
    first, second = recording.calls
    assert (first.kind, first.shape, first.parameter) == ("gaussian", (2, 3), Fraction(4))
    assert first.exact.tolist() == COUNTS.reshape(-1).tolist()
    assert first.noisy.tolist() == noisy.reshape(-1).tolist()
    assert (second.kind, second.shape, second.exact.tolist()) == ("exponential", (3,), [4, 1, 4])
    assert not RecordingNoise.signable
    assert not ReplayingNoise.signable


def test_a_replay_gives_the_same_answers_to_other_counts() -> None:
    recording = a_recording()
    replay = ReplayingNoise(recording)
    assert replay.key() == recording.keys[0]
    assert replay.gaussian(COUNTS + 1, Fraction(4)).tolist() == recording.calls[0].noisy.reshape(2, 3).tolist()
    assert replay.exponential(SCORES * 2, Fraction(1, 3)) == recording.calls[1].noisy[0]
    assert (replay.calls[0].exact - recording.calls[0].exact).tolist() == [1] * 6
    replay.require_all_used()


@pytest.mark.parametrize(
    ("ask", "complaint"),
    [
        (lambda replay: replay.exponential(SCORES, Fraction(1, 3)), "kind, shape or scale"),
        (lambda replay: replay.gaussian(COUNTS.T, Fraction(4)), "kind, shape or scale"),
        (lambda replay: replay.gaussian(COUNTS, Fraction(5)), "kind, shape or scale"),
        (lambda replay: [replay.key(), replay.key()], "a key more"),
        (lambda replay: replay.require_all_used(), "fewer questions"),
    ],
)
def test_another_question_diverges(ask, complaint) -> None:
    with pytest.raises(DivergedError, match=complaint):
        ask(ReplayingNoise(a_recording()))


def test_a_question_more_diverges() -> None:
    replay = ReplayingNoise(a_recording())
    replay.key()
    replay.gaussian(COUNTS, Fraction(4))
    replay.exponential(SCORES, Fraction(1, 3))
    with pytest.raises(DivergedError, match="more questions"):
        replay.exponential(SCORES, Fraction(1, 3))


def test_a_key_not_drawn_diverges() -> None:
    replay = ReplayingNoise(a_recording())
    replay.gaussian(COUNTS, Fraction(4))
    replay.exponential(SCORES, Fraction(1, 3))
    with pytest.raises(DivergedError, match="fewer questions"):
        replay.require_all_used()
