"""Linear layers that tell each record's gradient as an outer product, and the weights they work with.

Must never mix rows: a layer is one product with a weight matrix, and whatever else a network does must act on each row alone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias, final

import numpy as np
import numpy.typing as npt
import torch

from privsynth.errors import FitError
from privsynth.privacy.gradient import Factors

Tensor: TypeAlias = Any
"""A torch tensor; single precision unless it says otherwise."""

_ROOM = 0.995
"""The part of the squared clip that is for the weights' gradients; the rest is for the loss that is told."""


class AbstractMemory(ABC):
    """What a training remembers from step to step, as arrays by name."""

    @abstractmethod
    def state(self) -> dict[str, npt.NDArray[np.float32]]:
        """What it remembers, as copies in main memory."""

    @abstractmethod
    def load(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Take over what `state` said. Raises: FitError when it is of another network."""


@final
class Weights(AbstractMemory):
    """A network's matrices by name, in order, all of it single precision. Shapes: each (outputs, inputs)."""

    def __init__(self, matrices: Mapping[str, Tensor], device: Any) -> None:
        self.device = device
        self.matrices: dict[str, Tensor] = {
            name: each.to(device=device, dtype=torch.float32) for name, each in matrices.items()
        }

    @property
    def names(self) -> tuple[str, ...]:
        """The matrices' names, in order."""
        return tuple(self.matrices)

    @property
    def shapes(self) -> tuple[tuple[int, int], ...]:
        """(outputs, inputs) of each matrix, in order."""
        return tuple((each.shape[0], each.shape[1]) for each in self.matrices.values())

    def state(self) -> dict[str, npt.NDArray[np.float32]]:
        """Copies of the matrices in main memory, by name."""
        return {name: each.detach().cpu().numpy().copy() for name, each in self.matrices.items()}

    def load(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Take over matrices by name, in place. Raises: FitError when names or shapes are others, or a number is not finite."""
        if set(state) != set(self.matrices):
            raise FitError("stored weights are not those of this network; was a file replaced, or a setting changed?")
        for name, own in self.matrices.items():
            if tuple(state[name].shape) != tuple(own.shape) or not np.isfinite(state[name]).all():
                raise FitError(
                    f'stored weights "{name}" do not fit this network; was a file replaced, or a setting changed?'
                )
            own.copy_(torch.from_numpy(np.ascontiguousarray(state[name], dtype=np.float32)))


@final
class Tape:
    """What one pass through a network did with each matrix: its inputs and its outputs.

    Every matrix is used once in a pass: only then is a row's gradient one outer product. With `watching`, `factors` can be
    asked for afterwards; without, `apply` is a plain product.
    """

    def __init__(self, weights: Weights, *, watching: bool) -> None:
        self._weights = weights
        self._watching = watching
        self._seen: dict[str, tuple[Tensor, Tensor]] = {}

    def apply(self, name: str, inputs: Tensor) -> Tensor:
        """inputs (rows, in) times the matrix, transposed: (rows, out). A bias is an input that is always one."""
        outputs = inputs @ self._weights.matrices[name].T
        if self._watching:
            if name in self._seen:
                raise FitError(f'the matrix "{name}" was used twice in one pass: its gradient is no single product')
            if not outputs.requires_grad:
                outputs.requires_grad_()
            self._seen[name] = (inputs.detach(), outputs)
        return outputs

    def again(self, name: str, moved: Tensor) -> Tensor:
        """What the first inputs' change of `moved` (rows, first inputs) changes in the outputs: no gradient of the matrix."""
        return moved @ self._weights.matrices[name][:, : moved.shape[1]].T.detach()

    def free(self, name: str, rows: int) -> Tensor:
        """Free parameters, the same for every row: (rows, out), the matrix's one column of inputs being ones."""
        return self.apply(name, torch.ones((rows, 1), device=self._weights.device))

    def factors(self, losses: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Each matrix's inputs and slopes, for the rows' losses (rows,); a matrix that had no part has slopes of zero."""
        return joint_factors(losses, self)[0]

    @property
    def outputs(self) -> list[Tensor]:
        """The outputs of all products of this pass, in the order of the weights."""
        return [self._seen[name][1] for name in self._weights.names if name in self._seen]

    def paired(self, rows: int, slopes: Iterator[Tensor | None]) -> list[tuple[Tensor, Tensor]]:
        """Each matrix's inputs and its slopes, taken from what is given for `outputs`, in that order; None is zero."""
        found = []
        for name, (of, wide) in zip(self._weights.names, self._weights.shapes, strict=True):
            taken = next(slopes) if name in self._seen else None
            inputs = self._seen[name][0] if name in self._seen else self._zeros(rows, wide)
            found.append((inputs, self._zeros(rows, of) if taken is None else taken))
        return found

    def _zeros(self, rows: int, columns: int) -> Tensor:
        return torch.zeros((rows, columns), device=self._weights.device)


def joint_factors(losses: Tensor, *tapes: Tape) -> list[list[tuple[Tensor, Tensor]]]:
    """What `Tape.factors` says, for several tapes of one pass at once."""
    outputs = [each for tape in tapes for each in tape.outputs]
    slopes = iter(torch.autograd.grad(losses.sum(), outputs, allow_unused=True))
    return [tape.paired(len(losses), slopes) for tape in tapes]


def with_one(features: Tensor) -> Tensor:
    """The features (rows, f) and a last column of ones: (rows, f + 1)."""
    return torch.cat([features, features.new_ones((len(features), 1))], dim=1)


def of_unit_size(hidden: Tensor) -> Tensor:
    """Each row scaled to a root mean square of about one, by itself and without parameters."""
    return hidden / (hidden.square().mean(dim=1, keepdim=True) + 1e-3).sqrt()


def with_told_loss(factors: Factors, losses: Tensor, *, clip: float, largest: float) -> Factors:
    """The factors clipped to 0.995 of the clip's square, and one more matrix (1, 1): the loss, as a tenth of the clip at most.

    A row's gradient then has a norm of at most `clip`, so that nothing is scaled down once more and the sum of the last matrix
    is the sum of losses, cut off at 0 and `largest`, in units of 0.07 clip / largest: see `told_loss`.
    """
    size = torch.linalg.vector_norm
    sizes = torch.stack([size(inputs, dim=1) * size(slopes, dim=1) for inputs, slopes in factors])
    scale = (clip * _ROOM**0.5) / size(sizes, dim=0).clip(min=clip * _ROOM**0.5)
    told = (losses.detach() / largest).clip(0, 1) * (clip * (1 - _ROOM) ** 0.5 * 0.999)
    ones = torch.ones_like(told)[:, None]
    return [*((inputs, slopes * scale[:, None]) for inputs, slopes in factors), (ones, told[:, None])]


def told_loss(total: float, *, clip: float, largest: float, rows: float) -> float:
    """The noisy mean loss that a noisy sum of `with_told_loss`'s last matrix says, over the public number of rows."""
    return float(total / (clip * (1 - _ROOM) ** 0.5 * 0.999) * largest / rows)
