"""Many choices at once: the same distribution as one by one, exactly, and the same first choice."""

from __future__ import annotations

from fractions import Fraction
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pytest

from privsynth.errors import MechanismError
from privsynth.privacy import exact_cdf, noise
from privsynth.privacy.noise import SystemNoise, UnsafeSeededNoise
from privsynth.privacy.source import AbstractNoiseSource

Int64s = npt.NDArray[np.int64]
SCORES = np.array([4, 0, 7, 7, -3], dtype=np.int64)
RATE = Fraction(1, 3)


def test_many_choices_have_their_probabilities() -> None:
    chosen = SystemNoise().choices(SCORES, RATE, 200_000)
    chances = np.exp(SCORES / 3) / np.exp(SCORES / 3).sum()
    deviation = np.sqrt(chances * (1 - chances) / 200_000)
    assert chosen.shape == (200_000,)
    assert (np.abs(np.bincount(chosen, minlength=5) / 200_000 - chances) < 5 * deviation).all()


def test_the_first_of_many_is_the_one_that_is_made_alone() -> None:
    for seed in range(50):
        alone = UnsafeSeededNoise(seed).exponential(SCORES, RATE)
        assert alone == UnsafeSeededNoise(seed).choices(SCORES, RATE, 9)[0]


def test_what_floats_cannot_decide_is_decided_exactly_for_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two equal candidates: the words around one half are next to the boundary, the others are not."""
    half = 1 << 63
    words = [half - 1, half, 0, 2**64 - 1]
    asked: list[int] = []
    right = exact_cdf.pick_exactly

    def noting(gaps: list[int], rate: Fraction, uniform: int, bits: int, draw: object) -> int:
        asked.append(uniform)
        return right(gaps, rate, uniform, bits, draw)  # type: ignore[arg-type]

    monkeypatch.setattr(noise, "pick_exactly", noting)
    monkeypatch.setattr(noise._Bits, "words", lambda self, count: np.array(words[:count], dtype=np.uint64))
    chosen = SystemNoise().choices(np.zeros(2, dtype=np.int64), RATE, 4)
    assert chosen.tolist() == [0, 1, 0, 1]
    assert half - 1 in asked
    assert half in asked
    assert 0 not in asked


@pytest.mark.parametrize("scores", [np.zeros(0, dtype=np.int64), np.zeros((2, 2), dtype=np.int64), np.zeros(2)])
def test_scores_of_another_kind_are_refused(scores: Int64s) -> None:
    with pytest.raises(MechanismError, match="at least one int64 score"):
        SystemNoise().choices(scores, RATE, 3)


class Last(AbstractNoiseSource):
    """A source that says nothing about many choices."""

    name: ClassVar[str] = "last"
    signable: ClassVar[bool] = False

    def gaussian(self, exact: Int64s, sigma_squared: Fraction) -> Int64s:
        return exact

    def exponential(self, scores: Int64s, rate: Fraction) -> int:
        return len(scores) - 1

    def key(self) -> bytes:
        return bytes(32)


def test_a_source_that_makes_one_choice_makes_many_one_by_one() -> None:
    assert Last().choices(SCORES, RATE, 3).tolist() == [4, 4, 4]
