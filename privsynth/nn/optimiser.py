"""Optimisers for noisy gradients, and the average of weights; all of their state is arrays by name.

Must never see anything but noisy sums of gradients, or gradients on records that a model drew.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias, final

import numpy as np
import numpy.typing as npt
import torch

from privsynth.errors import FitError
from privsynth.nn.layers import AbstractMemory, Weights

Tensor: TypeAlias = Any
State: TypeAlias = Mapping[str, npt.NDArray[Any]]

_FLOOR: Final = 0.1
"""Adam's second moment is never taken to be less than this part of the noise's variance."""


class AbstractOptimiser(AbstractMemory):
    """Moves weights against a gradient."""

    @abstractmethod
    def step(self, gradients: Sequence[Tensor], rate: float) -> None:
        """One step of this learning rate. Shapes: a gradient for each matrix of the weights, in order."""


@final
class Momentum(AbstractOptimiser):
    """Gradient descent with momentum: the step is `rate` times a sum of gradients that fades by `decay`."""

    def __init__(self, weights: Weights, decay: float = 0.9) -> None:
        self._weights, self._decay = weights, decay
        self._sum = [torch.zeros_like(each) for each in weights.matrices.values()]

    def step(self, gradients: Sequence[Tensor], rate: float) -> None:
        """One step."""
        for weight, fading, gradient in zip(self._weights.matrices.values(), self._sum, gradients, strict=True):
            fading.mul_(self._decay).add_(gradient)
            weight.sub_(fading, alpha=rate)

    def state(self) -> dict[str, npt.NDArray[np.float32]]:
        """The fading sums."""
        return _stored("momentum", self._weights, self._sum)

    def load(self, state: State) -> None:
        """Take over fading sums."""
        _load("momentum", self._weights, self._sum, state)


@final
class Adam(AbstractOptimiser):
    """Adam, with the noise's known variance taken off the second moment.

    Args: `noise_variance` of one coordinate of the gradients it will be given; 0 for gradients without noise.
    Source: Kingma, Ba 2015; the correction: Tang, Shpilevskiy, Lecuyer 2024 (DP-AdamBC).
    """

    def __init__(
        self, weights: Weights, *, noise_variance: float = 0.0, first: float = 0.9, second: float = 0.99
    ) -> None:
        self._weights, self._noise, self._first, self._second = weights, noise_variance, first, second
        self._mean = [torch.zeros_like(each) for each in weights.matrices.values()]
        self._square = [torch.zeros_like(each) for each in weights.matrices.values()]
        self._steps = 0

    def step(self, gradients: Sequence[Tensor], rate: float) -> None:
        """One step."""
        self._steps += 1
        mean_part, square_part = 1 - self._first**self._steps, 1 - self._second**self._steps
        moments = zip(self._weights.matrices.values(), self._mean, self._square, gradients, strict=True)
        for weight, mean, square, gradient in moments:
            mean.mul_(self._first).add_(gradient, alpha=1 - self._first)
            square.mul_(self._second).addcmul_(gradient, gradient, value=1 - self._second)
            size = (square / square_part - self._noise).clamp_min(self._noise * _FLOOR).sqrt() + 1e-8
            weight.sub_(mean / size, alpha=rate / mean_part)

    def state(self) -> dict[str, npt.NDArray[np.float32]]:
        """Both moments, and the number of steps."""
        moments = _stored("mean", self._weights, self._mean) | _stored("square", self._weights, self._square)
        return moments | {"steps": np.array([self._steps], dtype=np.float32)}

    def load(self, state: State) -> None:
        """Take over moments."""
        _load("mean", self._weights, self._mean, state)
        _load("square", self._weights, self._square, state)
        self._steps = round(float(_named(state, "steps", (1,))[0]))


@final
class Average(AbstractMemory):
    """A fading average of weights: under noise the average of the last steps is nearer to the aim than any one of them.

    Args: `fade` is the weight of the past once there is one; early on all steps count the same (Polyak, Juditsky 1992).
    """

    def __init__(self, weights: Weights, fade: float) -> None:
        self._weights, self._fade, self._steps = weights, fade, 0
        self._sum = [each.clone() for each in weights.matrices.values()]

    def add(self) -> None:
        """Take in the weights as they are."""
        fade = min(self._fade, (1 + self._steps) / (10 + self._steps))
        self._steps += 1
        for average, weight in zip(self._sum, self._weights.matrices.values(), strict=True):
            average.mul_(fade).add_(weight, alpha=1 - fade)

    def arrays(self) -> dict[str, npt.NDArray[np.float32]]:
        """The averaged weights, by the weights' names."""
        return {name: each.cpu().numpy().copy() for name, each in zip(self._weights.names, self._sum, strict=True)}

    def state(self) -> dict[str, npt.NDArray[np.float32]]:
        """The average, and how many steps it is of."""
        steps = {"average-steps": np.array([self._steps], dtype=np.float32)}
        return _stored("average", self._weights, self._sum) | steps

    def load(self, state: State) -> None:
        """Take over an average."""
        _load("average", self._weights, self._sum, state)
        self._steps = round(float(_named(state, "average-steps", (1,))[0]))


def falling(rate: float, step: int, steps: int) -> float:
    """A learning rate that falls along a straight line to nought after `steps` steps."""
    return rate * (1 - step / steps)


def _stored(what: str, weights: Weights, arrays: Sequence[Tensor]) -> dict[str, npt.NDArray[np.float32]]:
    named = zip(weights.names, arrays, strict=True)
    return {f"{what}/{name}": each.detach().cpu().numpy().copy() for name, each in named}


def _load(what: str, weights: Weights, arrays: Sequence[Tensor], state: State) -> None:
    for name, own in zip(weights.names, arrays, strict=True):
        own.copy_(torch.from_numpy(_named(state, f"{what}/{name}", tuple(own.shape)).copy()))


def _named(state: State, name: str, shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
    if name not in state or state[name].shape != shape:
        raise FitError(
            "a kept training state is not of this network; start the fit again with the settings that it began with"
        )
    return np.asarray(state[name], dtype=np.float32)
