"""Transcripts as files: what is written is read again, whatever an array looks like; damage is an error."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from privsynth.errors import FitError
from privsynth.measurement import Event, Measurement, Trained
from privsynth.transcript_files import (
    arrays_from_bytes,
    arrays_to_bytes,
    transcript_from_files,
    transcript_to_files,
)

EVENT = Event(
    stage="one-way", mechanism="rounded-gaussian", rho=Fraction(1, 3), sensitivity_squared=1, sigma_squared=Fraction(2)
)
STEPS = Event(
    stage="gradients",
    mechanism="sampled-gaussian",
    rho=Fraction(0),
    sensitivity_squared=1,
    sampling_rate=Fraction(1, 10),
    steps=3,
    noise_multiplier=Fraction(1),
)
MEASURED = Measurement(clique=("a",), values=np.array([1, -2]), event=EVENT)


def trained() -> Trained:
    rng = np.random.default_rng(1)
    wide = rng.normal(size=(2, 3)).astype(np.float32)
    return Trained(weights={"b/later": wide.T, "a": np.zeros(0, np.float32), "c": np.float32([np.pi])}, event=STEPS)


def test_a_transcript_comes_back_bit_by_bit() -> None:
    entry = trained()
    documents, arrays = transcript_to_files((MEASURED, entry))
    assert set(arrays) == {"1/b/later", "1/a", "1/c"}
    first, again = transcript_from_files(documents, arrays_from_bytes(arrays_to_bytes(arrays)))
    assert isinstance(first, Measurement) and first.values.tolist() == [1, -2] and first.event == EVENT
    assert isinstance(again, Trained) and again.event == STEPS
    assert list(again.weights) == list(entry.weights)
    for name, array in entry.weights.items():
        assert again.weights[name].dtype == np.float32
        np.testing.assert_array_equal(again.weights[name], array)


def test_arrays_come_back_however_they_lie_in_memory() -> None:
    whole = np.arange(24.0).reshape(2, 3, 4)
    arrays = {
        "turned": whole.T,
        "every other": whole[:, :, ::2],
        "backwards": whole[::-1],
        "other order": np.asfortranarray(whole),
        "none": np.zeros((0, 3), np.float32),
        "point": np.array(7, dtype=np.int64),
        "extremes": np.array([-np.inf, np.nan, -0.0, 5e-324]),
    }
    again = arrays_from_bytes(arrays_to_bytes(arrays))
    assert set(again) == set(arrays)
    for name, array in arrays.items():
        assert (again[name].dtype, again[name].shape) == (array.dtype, array.shape)
        np.testing.assert_array_equal(again[name], array)


@pytest.mark.parametrize("array", [np.array(["a"]), np.array([True]), np.array([1], np.int32), np.array([None])])
def test_other_types_are_not_written(array: np.ndarray) -> None:
    with pytest.raises(FitError, match="float64"):
        arrays_to_bytes({"x": array})


def test_a_file_with_other_types_or_damage_is_refused() -> None:
    from safetensors.numpy import save

    good = arrays_to_bytes({"x": np.arange(4.0)})
    for bad in (b"", good[:12], good[:-1], good + b"x", b"\xff" * 200, save({"x": np.array([True])})):
        with pytest.raises(FitError):
            arrays_from_bytes(bad)


@pytest.mark.parametrize(
    "change",
    [
        {"1/c": np.zeros(2, np.float32)},
        {"1/c": np.zeros(1)},
        {"1/c": np.float32([np.nan])},
        {"1/c": np.float32([3])},
        {"1/more": np.zeros(1, np.float32)},
        {"0/more": np.zeros(1, np.float32)},
        {"2/more": np.zeros(1, np.float32)},
        {"more": np.zeros(1, np.float32)},
    ],
)
def test_arrays_that_do_not_belong_to_their_entries_are_refused(change: dict[str, np.ndarray]) -> None:
    documents, arrays = transcript_to_files((MEASURED, trained()))
    with pytest.raises((FitError, KeyError, ValueError)):
        transcript_from_files(documents, {**arrays, **change})


def test_missing_weights_are_refused() -> None:
    documents, arrays = transcript_to_files((MEASURED, trained()))
    del arrays["1/c"]
    with pytest.raises(FitError, match="stored arrays"):
        transcript_from_files(documents, arrays)
