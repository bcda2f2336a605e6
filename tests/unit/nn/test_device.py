"""How torch is set up: precision that holds whatever the caller has set, and memory that runs out said plainly."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from privsynth.domain import Domain  # noqa: E402
from privsynth.errors import FitError  # noqa: E402
from privsynth.nn import vae  # noqa: E402
from privsynth.nn.device import enough_memory, memory_errors, single_precision  # noqa: E402
from privsynth.nn.discriminator import Discriminator, DiscriminatorLoss  # noqa: E402
from privsynth.nn.record_input import RecordLayout  # noqa: E402
from privsynth.nn.record_network import Shape  # noqa: E402
from privsynth.privacy.gradient import AbstractLoss, clipped_sums  # noqa: E402

DOMAIN = Domain(("a", "b", "c"), (4, 2, 3))
KEY = bytes(range(32))


def codes_of(rows: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.stack([rng.integers(0, size, rows) for size in DOMAIN.sizes], axis=1)


def losses() -> Iterator[AbstractLoss]:
    shape = Shape(hidden=3, latent=2, components=2, parameters=10_000)
    counts = [np.arange(1.0, size + 1) for size in DOMAIN.sizes]
    yield vae.RecordLoss(vae.new_network(DOMAIN, shape, counts, codes_of(50)), Fraction(1))
    layout = RecordLayout(DOMAIN.sizes)
    yield DiscriminatorLoss(Discriminator(layout, 4, np.random.default_rng(0), torch.device("cpu")), 1.0)


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    yield
    torch.set_default_dtype(torch.float32)
    torch.set_float32_matmul_precision("highest")


def test_factors_are_the_same_whatever_the_caller_has_set() -> None:
    for loss in losses():
        plain = [loss.host(each) for each in clipped_sums(loss.factors(codes_of(40), KEY), 1.0)]
        torch.set_float32_matmul_precision("medium")
        torch.set_default_dtype(torch.float64)
        with torch.autocast("cpu", dtype=torch.bfloat16), torch.inference_mode(), single_precision():
            found = [loss.host(each) for each in clipped_sums(loss.factors(codes_of(40), KEY), 1.0)]
        with torch.autocast("cpu", dtype=torch.bfloat16), torch.inference_mode():
            alone = loss.factors(codes_of(40), KEY)
        assert torch.get_float32_matmul_precision() == "medium" and torch.get_default_dtype() == torch.float64
        assert all(each.dtype == torch.float32 for pair in alone for each in pair)
        assert all(one.dtype == np.float32 and np.array_equal(one, two) for one, two in zip(plain, found, strict=True))
        torch.set_default_dtype(torch.float32)
        torch.set_float32_matmul_precision("highest")


def test_a_precision_that_torch_cannot_tell_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def mixed() -> str:
        raise RuntimeError("mix of the legacy and new APIs")

    monkeypatch.setattr(torch, "get_float32_matmul_precision", mixed)
    with pytest.raises(FitError, match="for one backend alone"), single_precision():
        pass


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("x"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"),
        RuntimeError("CUDA error: out of memory"),
    ],
)
def test_memory_that_runs_out_says_what_fits(error: Exception) -> None:
    with pytest.raises(MemoryError, match=r"^$"), memory_errors():
        raise error
    with (
        pytest.raises(
            FitError, match="no memory to draw: free some and run the same again; or, in a new fit, take pool = 3"
        ),
        enough_memory("to draw", "take pool = 3"),
    ):
        raise error


def test_other_errors_stay_as_they_are() -> None:
    with pytest.raises(RuntimeError, match="shapes"), enough_memory("to draw", "less"):
        raise RuntimeError("shapes do not fit")
