"""The GAN's generator: it takes records of a cheap model, of marginals that were paid for, to ones that look real.

Must never see a real record, or anything of one but through the discriminator's noisy steps.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, final

import numpy as np
import numpy.typing as npt
import torch

from privsynth.nn.discriminator import Discriminator
from privsynth.nn.layers import Weights, of_unit_size, with_one
from privsynth.nn.optimiser import Adam, Average
from privsynth.nn.record_input import RecordLayout

Tensor: TypeAlias = Any
Floats: TypeAlias = npt.NDArray[np.float64]

NOISE: Final = 16
"""Normal numbers that a generated record starts from, beside the cheap model's record."""

_ANCHOR: Final = 0.3
"""Weight of the divergence from the cheap model."""

_TINY: Final = 1e-9


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Start:
    """Records of a cheap model, the class each belongs to, and how levels are distributed in each class.

    Shapes: `codes` (rows, attributes) and `given` (levels, classes) in the domain's order; `classes` (rows,).
    Privacy: functions of noisy tables.
    """

    codes: npt.NDArray[np.int64]
    classes: npt.NDArray[np.int64]
    given: Floats


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Latents:
    """What a batch of generated records is made of.

    Shapes: `ordered` (rows, attributes), the cheap model's records in the layout's order; `classes` (rows,); `conditions`
        (rows,), the column, in that order, that stays as it is; `noise` (rows, NOISE).
    """

    ordered: Tensor
    classes: Tensor
    conditions: Tensor
    noise: Tensor

    def part(self, rows: slice) -> Latents:
        """Some of them."""
        return Latents(
            ordered=self.ordered[rows],
            classes=self.classes[rows],
            conditions=self.conditions[rows],
            noise=self.noise[rows],
        )


@final
class GeneratorNet:
    """Levels of a record, column by column independent given its latents: a cheap model's heads, moved by a network.

    Before it has learned anything a column's head gives the level of the cheap model's record with chance 1 - `fresh`, and
    else a level of the record's class afresh. Columns are independent in a class, so that these records have exactly the
    cheap model's distribution: the start costs nothing, and no head is so sure that no gradient passes.
    """

    def __init__(
        self, layout: RecordLayout, start: Start, *, units: int, fresh: float, rng: np.random.Generator, device: Any
    ) -> None:
        self.layout, self.device, self._fresh = layout, device, fresh
        first = [0, *np.cumsum(_in_domain_order(layout)).tolist()]
        places = np.concatenate([np.arange(first[column], first[column + 1]) for column in layout.order])
        self._given = torch.from_numpy(start.given[places].T.astype(np.float32).copy()).to(device)
        inputs = 2 * layout.total + len(layout.sizes) + NOISE + 1
        normal = rng.standard_normal((3 * units, inputs)).astype(np.float32) / math.sqrt(2 * len(layout.sizes) + NOISE)
        self.weights = Weights(
            {"hidden": torch.from_numpy(normal), "heads": torch.zeros((layout.total, 2 * units + 1))}, device
        )
        self._owner = torch.repeat_interleave(
            torch.arange(len(layout.sizes), device=device), torch.tensor(layout.sizes, device=device)
        )

    def anchors(self, latents: Latents) -> Tensor:
        """The cheap model's heads as logarithms of chances. Shapes: (rows, places)."""
        chances = self._fresh * self._given[latents.classes] + (1 - self._fresh) * self.layout.places(latents.ordered)
        return (chances + _TINY).log()

    def logits(self, latents: Latents, matrices: Mapping[str, Tensor] | None = None) -> Tensor:
        """The heads' logits, all but certain where a column is the condition. Shapes: (rows, places)."""
        return self._moved(latents, self.anchors(latents), matrices or self.weights.matrices)

    def _moved(self, latents: Latents, anchors: Tensor, matrices: Mapping[str, Tensor]) -> Tensor:
        columns, places = len(self.layout.sizes), self.layout.places(latents.ordered)
        at = torch.nn.functional.one_hot(latents.conditions, columns).to(places.dtype)
        features = with_one(torch.cat([places, self._given[latents.classes], at, latents.noise], dim=1))
        plain, left, right = (features @ matrices["hidden"].T).chunk(3, dim=1)
        hidden = torch.cat([torch.nn.functional.leaky_relu(plain, 0.1), left * right], dim=1)
        moved = anchors + with_one(of_unit_size(hidden)) @ matrices["heads"].T
        fixed = (places + _TINY).log() * 2
        return torch.where(latents.conditions[:, None] == self._owner, fixed, moved)

    def _drawn(self, logits: Tensor, noise: torch.Generator) -> Tensor:
        """Exact draws: the largest of a column's logits with Gumbel noise. Shapes: (rows, attributes) in the layout's order."""
        uniforms = torch.rand(logits.shape, generator=noise).clamp_(1e-9, 1 - 1e-7).to(logits.device)
        shaken = logits - uniforms.log_().neg_().log_()
        return torch.stack([each.argmax(1) for each in shaken.split(list(self.layout.sizes), dim=1)], dim=1)

    def heads(self, logits: Tensor) -> list[Tensor]:
        """Logarithms of chances, a tensor (rows, levels) a column, in the layout's order."""
        return [torch.log_softmax(each, dim=1) for each in logits.split(list(self.layout.sizes), dim=1)]

    def draw(self, latents: Latents, noise: torch.Generator) -> Tensor:
        """Exact draws of levels. Shapes: (rows, attributes) in the layout's order."""
        return self._drawn(self.logits(latents), noise)

    def loss(
        self, latents: Latents, discriminator: Discriminator, noise: torch.Generator, matrices: Mapping[str, Tensor]
    ) -> Tensor:
        """What the discriminator does not like of generated records, and how far their heads are from the cheap model's.

        Without the divergence the best generator gives the one record that is liked most; at weight 1 it gives the cheap model
        tilted by the discriminator, if heads need not follow their latents. As they do, a divergence head by head is more
        than that of the distributions, and is weighed less. Draws are exact; their gradient is that of the expected value,
        column by column, which has no noise of the column's own draw.
        Source: the tilt: Donsker, Varadhan 1975; straight-through gradients: Bengio, Leonard, Courville 2013.
        """
        anchors = self.anchors(latents)
        logits = self._moved(latents, anchors, matrices)
        mine, its = (torch.cat(self.heads(each), dim=1) for each in (logits, anchors))
        chances, free = mine.exp(), latents.conditions[:, None] != self._owner
        apart = (chances * (mine - its) * free).sum(1)
        places = self.layout.places(self._drawn(logits.detach(), noise)) + chances - chances.detach()
        value = discriminator.value(discriminator.inputs(places, latents.conditions))
        return (_ANCHOR * apart - value).mean()


@final
class Conditions:
    """Conditions and latents for generated records: a column at random, its level by the noisy one-way tables.

    Privacy: made of noisy tables and public randomness; no record is asked how frequent its levels are.
    """

    def __init__(self, layout: RecordLayout, start: Start, shares: Sequence[Floats], device: Any) -> None:
        self._layout, self._start, self._device = layout, start, device
        self._ends = [np.cumsum(each / each.sum()) for each in shares]
        ranked = [np.argsort(start.codes[:, column], kind="stable") for column in range(start.codes.shape[1])]
        counts = [np.bincount(start.codes[:, at], minlength=len(each)) for at, each in enumerate(shares)]
        self._ranked, self._counts = ranked, counts
        self._firsts = [np.concatenate([[0], np.cumsum(each)]) for each in counts]

    def batch(self, rows: int, rng: np.random.Generator) -> Latents:
        """Latents of so many generated records: each starts from a record of the cheap model that meets its condition."""
        columns = rng.integers(len(self._ends), size=rows)
        uniforms, picks = rng.random(rows), rng.random(rows)
        chosen = np.floor(picks * len(self._start.codes)).astype(np.int64)
        levels = np.zeros(rows, dtype=np.int64)
        for column, ends in enumerate(self._ends):
            mine = columns == column
            level = np.minimum(np.searchsorted(ends, uniforms[mine], side="right"), len(ends) - 1)
            count = self._counts[column][level]
            at = self._firsts[column][level] + np.floor(picks[mine] * np.maximum(count, 1)).astype(np.int64)
            found = self._ranked[column][np.minimum(at, len(self._ranked[column]) - 1)]
            chosen[mine] = np.where(count > 0, found, chosen[mine])
            levels[mine] = level
        codes = self._start.codes[chosen].copy()
        codes[np.arange(rows), columns] = levels
        return self._latents(codes, self._start.classes[chosen], columns, rng)

    def all(self, rng: np.random.Generator) -> Latents:
        """Latents of every record of the start, each column being the condition of as many of them."""
        rows, attributes = self._start.codes.shape
        columns = rng.permutation(rows) % attributes
        return self._latents(self._start.codes, self._start.classes, columns, rng)

    def _latents(
        self,
        codes: npt.NDArray[np.int64],
        classes: npt.NDArray[np.int64],
        columns: npt.NDArray[np.int64],
        rng: np.random.Generator,
    ) -> Latents:
        noise = torch.from_numpy(rng.standard_normal((len(codes), NOISE), dtype=np.float32))
        place = np.argsort(np.asarray(self._layout.order))
        return Latents(
            ordered=self._layout.ordered(codes, self._device),
            classes=torch.from_numpy(classes).to(self._device),
            conditions=torch.from_numpy(place[columns]).to(self._device),
            noise=noise.to(self._device),
        )


@final
class Adversary:
    """Trains a generator against a discriminator: free of charge, as often as it likes between two noisy steps."""

    def __init__(self, net: GeneratorNet, discriminator: Discriminator, conditions: Conditions, *, fade: float) -> None:
        self.net, self._discriminator, self._conditions = net, discriminator, conditions
        self.optimiser = Adam(net.weights, first=0.5)
        self.average = Average(net.weights, fade)

    def step(self, rows: int, rate: float, rng: np.random.Generator) -> None:
        """One step of the generator on a fresh batch of conditions."""
        noise = torch.Generator().manual_seed(int(rng.integers(1 << 62)))
        moved = {name: each.detach().clone().requires_grad_() for name, each in self.net.weights.matrices.items()}
        loss = self.net.loss(self._conditions.batch(rows, rng), self._discriminator, noise, moved)
        self.optimiser.step(torch.autograd.grad(loss, list(moved.values())), rate)
        self.average.add()

    def mean_gradients(self, rows: int, clip: float, rng: np.random.Generator) -> list[Tensor]:
        """The discriminator's mean gradients on generated records, to be taken off those on real ones."""
        noise = torch.Generator().manual_seed(int(rng.integers(1 << 62)))
        latents = self._conditions.batch(rows, rng)
        places = self.net.layout.places(self.net.draw(latents, noise))
        return self._discriminator.mean_gradients(self._discriminator.inputs(places, latents.conditions), clip)


def _in_domain_order(layout: RecordLayout) -> list[int]:
    sizes = [0] * len(layout.sizes)
    for column, size in zip(layout.order, layout.sizes, strict=True):
        sizes[column] = size
    return sizes
