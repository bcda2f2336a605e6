"""The noise source's interface: shapes, refusals, freshness; its distribution is tested in tests/statistical."""

import inspect
from fractions import Fraction

import numpy as np
import pytest

from privsynth.errors import MechanismError
from privsynth.privacy import noise
from privsynth.privacy.noise import SystemNoise, UnsafeSeededNoise

ZEROS = np.zeros(1000, dtype=np.int64)


def test_no_source_that_may_be_signed_has_a_seed():
    assert not inspect.signature(SystemNoise).parameters
    assert SystemNoise.signable
    assert not UnsafeSeededNoise.signable
    assert "UNSAFE" in UnsafeSeededNoise.name


def test_two_draws_differ_even_from_one_source():
    source = SystemNoise()
    assert (source.gaussian(ZEROS, Fraction(100)) != source.gaussian(ZEROS, Fraction(100))).any()
    assert source.key() != source.key()
    assert len(source.key()) == 32


def test_the_seeded_source_repeats_across_instances_and_not_within_one():
    first, second = UnsafeSeededNoise(3), UnsafeSeededNoise(3)
    draw = first.gaussian(ZEROS, Fraction(100))
    assert (draw == second.gaussian(ZEROS, Fraction(100))).all()
    assert (draw != first.gaussian(ZEROS, Fraction(100))).any()


def test_shape_is_kept_and_counts_are_added_to():
    exact = np.arange(24, dtype=np.int64).reshape(2, 3, 4) * 10**9
    noisy = SystemNoise().gaussian(exact, Fraction(1))
    assert noisy.shape == exact.shape
    assert np.abs(noisy - exact).max() < 20


def test_blocks_do_not_repeat_their_noise():
    noisy = SystemNoise().gaussian(np.zeros(3 * noise._BLOCK, dtype=np.int64), Fraction(10**4))
    blocks = noisy.reshape(3, -1)
    assert abs(np.corrcoef(blocks)[0, 1]) < 0.05
    assert (blocks[0] != blocks[1]).any()


def test_bad_arguments_are_refused():
    source = SystemNoise()
    with pytest.raises(MechanismError, match="int64"):
        source.gaussian(ZEROS.astype(float), Fraction(1))
    for bad in (Fraction(0), Fraction(-1), Fraction(2**80 + 1)):
        with pytest.raises(MechanismError, match="sigma"):
            source.gaussian(ZEROS, bad)
    with pytest.raises(MechanismError, match="at least one"):
        source.exponential(np.zeros(0, dtype=np.int64), Fraction(1))
    with pytest.raises(MechanismError, match="negative"):
        source.exponential(ZEROS, Fraction(-1))


def test_a_hopeless_candidate_is_never_chosen_and_equal_ones_all_are():
    source = SystemNoise()
    scores = np.array([0, 10**15], dtype=np.int64)
    assert {source.exponential(scores, Fraction(1)) for _ in range(200)} == {1}
    assert {source.exponential(np.zeros(3, dtype=np.int64), Fraction(1)) for _ in range(200)} == {0, 1, 2}


def test_draws_that_floats_cannot_decide_fall_through_to_the_exact_choice(monkeypatch):
    asked = []
    original = noise.pick_exactly
    monkeypatch.setattr(noise, "pick_exactly", lambda *args: asked.append(args[2]) or original(*args))

    class Edge:
        def __init__(self, key):
            pass

        def words(self, count):
            return np.array([2**63], dtype=np.uint64)  # exactly on the boundary between two equal candidates

        def integer(self, bits):
            return 0

    monkeypatch.setattr(noise, "_Bits", Edge)
    assert SystemNoise().exponential(np.zeros(2, dtype=np.int64), Fraction(1)) == 1
    assert asked == [2**63]
