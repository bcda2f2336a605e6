"""The seam: single precision in, double out; torch, where it is installed, finds what numpy finds; when it is asked at all."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from privsynth.latent import arrays
from privsynth.latent.arrays import NumpyArrays, TorchArrays, arrays_for
from privsynth.latent.mixture import Refinement, Target, maximise_likelihood, start
from privsynth.latent.observed import Wide
from tests.mixtures import joint, random_mixture


def test_numpy_s_are_single_inside_and_double_outside_and_indices_stay() -> None:
    seam = NumpyArrays()
    inside = seam.take(np.array([0.1, 2.0]))
    assert inside.dtype == np.float32
    assert seam.take(np.array([3, 1])).dtype == np.int64
    assert seam.give(inside).dtype == np.float64
    np.testing.assert_allclose(seam.give(inside), [0.1, 2.0], rtol=1e-7)
    assert seam.at_least(inside, 1.5).tolist() == [1.5, 2.0]
    assert seam.at_least(inside, 1.5).dtype == np.float32
    for name in ("exp", "log", "sqrt"):
        found = getattr(seam, name)(inside)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, getattr(np, name)(np.array([0.1, 2.0])), rtol=1e-6)


@pytest.mark.parametrize(
    ("multiplications", "cuda", "device"),
    [(1 << 28, True, "cuda"), ((1 << 28) - 1, True, None), (1 << 40, False, None)],
)
def test_torch_is_for_large_work_where_there_is_a_gpu(
    multiplications: int, cuda: bool, device: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A module in torch's place that knows one thing: whether there is a GPU."""
    asked: list[str] = []

    def is_available() -> bool:
        asked.append("cuda")
        return cuda

    stand_in = SimpleNamespace(cuda=SimpleNamespace(is_available=is_available))
    monkeypatch.setitem(sys.modules, "torch", stand_in)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: stand_in if name == "torch" else None)
    arrays._has_cuda.cache_clear()
    try:
        found = arrays_for(multiplications)
    finally:
        arrays._has_cuda.cache_clear()
    assert isinstance(found, NumpyArrays if device is None else TorchArrays)
    if isinstance(found, TorchArrays):
        assert found._device == device
    assert asked == ([] if multiplications < 1 << 28 else ["cuda"])


def test_where_torch_is_absent_it_is_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setitem(sys.modules, "torch", None)
    arrays._has_cuda.cache_clear()
    try:
        assert isinstance(arrays_for(1 << 60), NumpyArrays)
    finally:
        arrays._has_cuda.cache_clear()


def test_torch_fits_and_refines_what_numpy_does() -> None:
    """Runs where torch is installed, which the core does not need; on its CPU, so that no GPU is needed either."""
    pytest.importorskip("torch")
    truth = random_mixture(0, (3, 4, 2, 5), 4)
    layout = truth.layout
    inside = layout.owner[:, None] != layout.owner[None, :]
    values = 1000 * joint(truth).sum(axis=3)
    target = Target(
        layout=layout,
        total=1000.0,
        pairs=np.where(inside, truth.pairs(), 0.0),
        spread=np.where(inside, 0.01, np.inf),
        one_way=truth.one_way(),
        one_way_spread=np.full(layout.total, 0.01),
        wide=(Wide(axes=(0, 1, 2), values=values, variance=9.0),),
    )
    begun = start(target, 6, np.random.default_rng(0))
    fits = []
    for seam in (NumpyArrays(), TorchArrays("cpu")):
        fitted = maximise_likelihood(begun, target, seam, closeness=0.0, iterations=30)
        path = Refinement(begun, replace(target, pairs=target.pairs * 1.1), seam)
        path.advance_to(20)
        fits.append((fitted, path.mixture))
    for one, two in zip(*fits, strict=True):
        assert two.given.dtype == np.float64
        np.testing.assert_allclose(one.given, two.given, atol=2e-4)
        np.testing.assert_allclose(one.weights, two.weights, atol=2e-4)
    assert np.abs(fits[0][0].given - fits[0][1].given).max() > 1e-3
