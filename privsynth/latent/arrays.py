"""The seam between the mixture's algebra and the library that computes it: numpy, or torch on a GPU.

Must never import torch where the work is too small to gain by it.
"""

from __future__ import annotations

import importlib
import importlib.util
from abc import ABC, abstractmethod
from functools import lru_cache
from typing import Any, TypeAlias, final

import numpy as np
import numpy.typing as npt

Array: TypeAlias = Any
"""An array of the namespace: it supports + - * / ** @, slicing, .T, .sum(axis) and .mean(axis)."""

_WORTH_A_GPU = 1 << 28
"""Multiplications in one iteration from which on sending it to a GPU pays."""


class AbstractArrays(ABC):
    """What the mixture's fit needs of an array library beyond operators; single precision throughout."""

    @abstractmethod
    def take(self, values: npt.NDArray[Any]) -> Array:
        """Move a numpy array in, as single precision; indices stay integers."""

    @abstractmethod
    def give(self, array: Array) -> npt.NDArray[np.float64]:
        """Move an array out, as double precision."""

    @abstractmethod
    def at_least(self, array: Array, least: float) -> Array:
        """Element-wise maximum with a number."""

    @abstractmethod
    def exp(self, array: Array) -> Array:
        """Element-wise exponential."""

    @abstractmethod
    def log(self, array: Array) -> Array:
        """Element-wise natural logarithm."""

    @abstractmethod
    def sqrt(self, array: Array) -> Array:
        """Element-wise square root."""


@final
class NumpyArrays(AbstractArrays):
    """The core's own: numpy."""

    def take(self, values: npt.NDArray[Any]) -> Array:
        """Move a numpy array in."""
        return values if np.issubdtype(values.dtype, np.integer) else values.astype(np.float32)

    def give(self, array: Array) -> npt.NDArray[np.float64]:
        """Move an array out."""
        return np.asarray(array, dtype=np.float64)

    def at_least(self, array: Array, least: float) -> Array:
        """Element-wise maximum with a number."""
        return np.maximum(array, np.float32(least))

    def exp(self, array: Array) -> Array:
        """Element-wise exponential."""
        return np.exp(array)

    def log(self, array: Array) -> Array:
        """Element-wise natural logarithm."""
        return np.log(array)

    def sqrt(self, array: Array) -> Array:
        """Element-wise square root."""
        return np.sqrt(array)


@final
class TorchArrays(AbstractArrays):
    """Torch, on a device it names."""

    def __init__(self, device: str) -> None:
        self._torch: Any = importlib.import_module("torch")
        self._device = device

    def take(self, values: npt.NDArray[Any]) -> Array:
        """Move a numpy array in."""
        kind = self._torch.int64 if np.issubdtype(values.dtype, np.integer) else self._torch.float32
        return self._torch.as_tensor(np.ascontiguousarray(values), dtype=kind, device=self._device)

    def give(self, array: Array) -> npt.NDArray[np.float64]:
        """Move an array out."""
        return np.asarray(array.double().cpu().numpy())

    def at_least(self, array: Array, least: float) -> Array:
        """Element-wise maximum with a number."""
        return self._torch.clamp(array, min=least)

    def exp(self, array: Array) -> Array:
        """Element-wise exponential."""
        return self._torch.exp(array)

    def log(self, array: Array) -> Array:
        """Element-wise natural logarithm."""
        return self._torch.log(array)

    def sqrt(self, array: Array) -> Array:
        """Element-wise square root."""
        return self._torch.sqrt(array)


def arrays_for(multiplications: int) -> AbstractArrays:
    """The library for iterations of so many multiplications: torch where it has a CUDA device and that pays, else numpy."""
    return TorchArrays("cuda") if multiplications >= _WORTH_A_GPU and _has_cuda() else NumpyArrays()


@lru_cache(maxsize=1)
def _has_cuda() -> bool:
    if importlib.util.find_spec("torch") is None:
        return False
    return bool(importlib.import_module("torch").cuda.is_available())
