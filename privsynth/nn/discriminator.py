"""The GAN's discriminator: a value for each record under a condition, from products of three linear forms.

Must never see more of a real record than its levels and a condition that is computed from the record itself and a coin.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final, TypeAlias, final

import numpy as np
import numpy.typing as npt
import torch

from privsynth.nn.device import memory_errors, single_precision
from privsynth.nn.heads import row_randomness
from privsynth.nn.layers import Tape, Weights, with_told_loss
from privsynth.nn.record_input import RecordLayout
from privsynth.privacy.gradient import AbstractLoss, Factors, clipped_sums

Tensor: TypeAlias = Any

LARGEST: Final = 8.0
"""Losses that are told are cut off here."""

_FORMS: Final = ("first", "second", "third")
_BIAS: Final = 0.3
_OUTER: Final = 3.0


@final
class Discriminator:
    """value = sum over units k of outer_k (first_k . v)(second_k . v)(third_k . v) / sqrt(units), less its value at the start.

    v is the one-hot record, the condition's column as another one-hot part, and a one, of unit length. Products of three
    forms see single levels, pairs and triples at once, from the first step on: a parity has a gradient at the start, where a
    layer of rectifiers has next to none. Taking off the value at the start changes no gradient: what a fresh network
    happens to prefer is not evidence.

    Privacy: weights are public from the moment they were moved by noisy sums; `move` is post-processing of them.
    """

    def __init__(self, layout: RecordLayout, units: int, rng: np.random.Generator, device: Any) -> None:
        self.layout, self.units, self.device = layout, units, device
        inputs = layout.total + len(layout.sizes) + 1
        start: dict[str, Tensor] = {}
        for name in _FORMS:
            matrix = rng.standard_normal((units, inputs)).astype(np.float32)
            matrix[:, -1] = rng.choice((-_BIAS, _BIAS), units) * math.sqrt(len(layout.sizes) + 2)
            start[name] = torch.from_numpy(matrix)
        start["outer"] = torch.from_numpy(rng.choice((-1.0, 1.0), (1, units)).astype(np.float32))
        self.weights = Weights({name: each.clone() for name, each in start.items()}, device)
        self._start = Weights(start, device)
        self._sizes = {name: self._start.matrices[name].norm(dim=1, keepdim=True) for name in _FORMS}

    def inputs(self, places: Tensor, conditions: Tensor) -> Tensor:
        """(rows, places) one-hot, or soft, and the conditions' columns (rows,) -> (rows, inputs) of unit length."""
        columns = len(self.layout.sizes)
        at = torch.nn.functional.one_hot(conditions, columns).to(places.dtype)
        return torch.cat([places, at, places.new_ones((len(places), 1))], dim=1) / math.sqrt(columns + 2)

    def value(self, inputs: Tensor, tape: Tape | None = None) -> Tensor:
        """How much more like a real record than a fresh network's whim says. Shapes: (rows,)."""
        tape = tape or Tape(self.weights, watching=False)
        return self._raw(inputs, tape) - self._raw(inputs, Tape(self._start, watching=False))

    def _raw(self, inputs: Tensor, tape: Tape) -> Tensor:
        product = tape.apply(_FORMS[0], inputs)
        for name in _FORMS[1:]:
            product = product * tape.apply(name, inputs)
        return tape.apply("outer", product / math.sqrt(self.units))[:, 0]

    def factors(self, inputs: Tensor, clip: float) -> Factors:
        """Of the loss -value: each row clipped, and last the loss that is told, ln(1 + exp(-value))."""
        tape = Tape(self.weights, watching=True)
        with torch.enable_grad():
            value = self.value(inputs, tape)
            factors = tape.factors(-value)
        told = torch.nn.functional.softplus(-value.detach())
        return with_told_loss(factors, told, clip=clip, largest=LARGEST)

    def mean_gradients(self, inputs: Tensor, clip: float) -> list[Tensor]:
        """Of generated rows: the mean of gradients that are clipped as real rows' are, so that equal rows cancel."""
        sums = clipped_sums(self.factors(inputs, clip), clip)[:-1]
        return [each / len(inputs) for each in sums]

    def move(self, gradients: Sequence[Tensor], rate: float) -> None:
        """A step against the gradients; forms then get the length back that they started with, outer weights 3 at most."""
        for matrix, gradient in zip(self.weights.matrices.values(), gradients, strict=True):
            matrix.sub_(gradient, alpha=rate)
        for name, size in self._sizes.items():
            matrix = self.weights.matrices[name]
            matrix.mul_(size / matrix.norm(dim=1, keepdim=True).clamp_min(1e-12))
        self.weights.matrices["outer"].clamp_(-_OUTER, _OUTER)


@final
class DiscriminatorLoss(AbstractLoss):
    """The discriminator's loss on real records, -value, at its present weights.

    A real record's condition is one of its own columns, taken by a coin from the chunk's key: which column says nothing of
    the data, and its level is the record's. Nothing is weighed by how rare a level is.
    """

    def __init__(self, discriminator: Discriminator, clip: float) -> None:
        self._discriminator, self._clip = discriminator, clip

    @property
    def shapes(self) -> tuple[tuple[int, int], ...]:
        """The discriminator's matrices, and one number: the loss that is told."""
        return (*self._discriminator.weights.shapes, (1, 1))

    def factors(self, codes: npt.NDArray[np.int64], key: bytes) -> Factors:
        """The factors of each record's gradient. Shapes: codes (rows, attributes). Raises: MemoryError."""
        layout, device = self._discriminator.layout, self._discriminator.device
        with memory_errors(), single_precision():
            coins = row_randomness(key).random(len(codes))
            conditions = torch.from_numpy((coins * len(layout.sizes)).astype(np.int64)).to(device)
            places = layout.places(layout.ordered(codes, device))
            return self._discriminator.factors(self._discriminator.inputs(places, conditions), self._clip)

    def host(self, array: Any) -> npt.NDArray[np.floating]:
        """The array as numpy's, in main memory."""
        return np.asarray(array.detach().cpu().numpy())
