"""Smoothing: against an average over all shifts of ordinary Haar transforms, written out; and what it is good for."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privsynth.latent import smoothing
from privsynth.latent.smoothing import smooth

Floats = npt.NDArray[np.float64]


def haar(block: Floats, threshold: float) -> Floats:
    """Orthonormal Haar transform of a block of 2^k values, coefficients at most `threshold` set to 0, and back."""
    if len(block) == 1:
        return block
    detail = (block[::2] - block[1::2]) / math.sqrt(2)
    mean = haar((block[::2] + block[1::2]) / math.sqrt(2), threshold)
    detail = np.where(np.abs(detail) > threshold, detail, 0.0)
    return np.stack([(mean + detail) / math.sqrt(2), (mean - detail) / math.sqrt(2)], axis=1).reshape(-1)


def mean_over_shifts(noisy: Floats, variance: float) -> Floats:
    """Every cut of the line into blocks of 2^k, on a table that is mirrored at its ends for ever."""
    size = len(noisy)
    length = 1
    while length < size:
        length *= 2
    threshold = smoothing._THRESHOLD * math.sqrt(variance * 2 * math.log(size))
    mirrored = np.concatenate([noisy, noisy[::-1]])
    out = np.zeros(size)
    for shift in range(length):
        for start in range(shift - length, size, length):
            inside = np.arange(start, start + length)
            found = haar(mirrored[inside % (2 * size)], threshold)
            kept = (inside >= 0) & (inside < size)
            out[inside[kept]] += found[kept]
    return out / length


@settings(max_examples=40)
@given(st.integers(5, 40), st.integers(0, 10**6), st.sampled_from([0.01, 1.0, 30.0]))
def test_it_is_the_mean_over_all_shifts(size: int, seed: int, variance: float) -> None:
    noisy = np.random.default_rng(seed).standard_normal(size).cumsum() * 3
    np.testing.assert_allclose(smooth(noisy, variance, size), mean_over_shifts(noisy, variance), atol=1e-9)


def test_only_the_ordered_levels_are_smoothed_and_the_input_stays() -> None:
    noisy = np.random.default_rng(0).standard_normal(20)
    before = noisy.copy()
    found = smooth(noisy, 1.0, 12)
    np.testing.assert_array_equal(noisy, before)
    np.testing.assert_array_equal(found[12:], noisy[12:])
    np.testing.assert_allclose(found[:12], mean_over_shifts(noisy[:12], 1.0))
    assert np.abs(found[:12] - noisy[:12]).max() > 0.5


@pytest.mark.parametrize("ordered", [0, 1, 4])
def test_few_levels_have_no_neighbours(ordered: int) -> None:
    noisy = np.array([9.0, -3.0, 5.0, 0.0, 2.0])
    np.testing.assert_array_equal(smooth(noisy, 100.0, ordered), noisy)
    assert not np.array_equal(smooth(noisy, 100.0, 5), noisy)


def test_a_smooth_table_gains_and_a_spike_survives() -> None:
    rng = np.random.default_rng(0)
    truth = 1000 * np.exp(-(((np.arange(100) - 40) / 20.0) ** 2))
    truth[70] += 3000
    noise = 30 * rng.standard_normal((50, 100))
    found = np.array([smooth(truth + each, 900.0, 100) for each in noise])
    assert ((found - truth) ** 2).mean() < 0.6 * (noise**2).mean()
    assert abs(found[:, 70].mean() - truth[70]) < 30
    np.testing.assert_allclose(smooth(np.full(17, 5.0), 4.0, 17), 5.0)
