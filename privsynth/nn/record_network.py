"""The decoder: columns one after the other, each from a latent vector and the columns before it, through a gated layer.

Must never mix rows, nor use a matrix twice in a pass.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, final

import numpy as np
import numpy.typing as npt
import torch

from privsynth.nn.drawn_distribution import AbstractRecordSource
from privsynth.nn.heads import draw_levels, even_numbers, normals, uniforms
from privsynth.nn.layers import Tape, Weights, of_unit_size, with_one
from privsynth.nn.record_input import RecordLayout
from privsynth.privacy.gradient import MOST_WIDE

Tensor: TypeAlias = Any

_STRAIGHT: Final = 0.3
"""How large the part of the hidden layer starts that is not gated."""

_FAINT: Final = 0.3
"""How small the latent vector's weights start beside those of columns, so that it does not drown their products."""

_FEWEST_PLACES: Final = 32
"""Places of other columns that a column sees, however many columns there are."""

_LEAST_SPREAD, _MOST_SPREAD = -6.0, 4.0
"""Bounds of the encoder's log variances."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Public sizes of a network.

    Args: `hidden` units a column; a `latent` vector of so many numbers, of which the prior is a mixture of `components`
        Gaussians; `parameters` is about how many weights the columns' matrices may have together: where there would be more,
        a column sees fewer of those before it.
    """

    hidden: int
    latent: int
    components: int
    parameters: int


@final
class RecordNetwork(AbstractRecordSource):
    """p(z) times the product over columns of p(column | z, columns before it), and an encoder q(z | record).

    Columns come in the layout's order. Column t sees z, a one, and the one-hot places of the columns in `seen[t]`; y = U x;
    h = (a * b, scaled to unit size) + c for the three parts of y; logits = start + V (h, 1). The product a * b is what lets a
    first gradient step find a dependence of three columns that no pair shows: parity. The prior's parameters are free.

    `decoder` and `prior` matrices learn from records, by noisy gradients; the `encoder` learns from the model's own draws
    alone (the sleep phase of wake-sleep: Hinton, Dayan, Frey, Neal 1995), for which no privacy is spent and no noise needed.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        shape: Shape,
        start: Sequence[npt.NDArray[np.float32]],
        seen: Sequence[tuple[int, ...]],
        device: Any,
    ) -> None:
        self.layout, self.shape, self.device = RecordLayout(sizes), shape, device
        self.start = [torch.from_numpy(start[column]).to(device) for column in self.layout.order]
        self.seen = tuple(seen)
        self._places = [
            None if columns == tuple(range(at)) else torch.from_numpy(self._columns(at)).to(device)
            for at, columns in enumerate(self.seen)
        ]
        sizes = self.layout.sizes
        ends = [at for at in range(1, len(sizes) + 1) if at == len(sizes) or sizes[at] != sizes[at - 1]]
        self._alike = [range(start, end) for start, end in itertools.pairwise([0, *ends])]
        self.decoder = Weights({}, device)
        self.encoder = Weights({}, device)

    def begin(self, rng: np.random.Generator) -> None:
        """Random weights, with which every column is drawn from its start: heads begin at zero.

        The parts of y begin with a mean of about zero, so that their products are of two columns, and not of one or none.
        """
        shape, total = self.shape, self.layout.total
        decoder: dict[str, Tensor] = {}
        shares = np.concatenate([np.zeros(0), *(torch.softmax(each, 0).cpu().numpy() for each in self.start)])
        for at, columns in enumerate(self.seen):
            wide = self._wide(at)
            features = rng.standard_normal((3 * shape.hidden, wide)) / math.sqrt(max(len(columns), 1))
            features[2 * shape.hidden :] *= _STRAIGHT
            features[:, : shape.latent] *= _FAINT
            features[:, shape.latent] = -features[:, shape.latent + 1 :] @ shares[self._inputs(at)]
            decoder[_features(at)] = _tensor(features)
            decoder[_levels(at)] = torch.zeros((self.layout.sizes[at], shape.hidden + 1))
        encoder: dict[str, Tensor] = {}
        if shape.latent:
            count = shape.components * shape.latent
            decoder["prior"] = _tensor(
                np.concatenate([rng.standard_normal(count), np.zeros(count + shape.components)])
            )[:, None]
            spread = 1 / math.sqrt(max(len(self.seen), 1))
            encoder["encoder"] = _tensor(rng.standard_normal((2 * _ENCODED, total + 1)) * spread)
            encoder["posterior"] = _tensor(
                rng.standard_normal((2 * shape.latent, _ENCODED + 1)) * 0.3 / math.sqrt(_ENCODED)
            )
        self.decoder, self.encoder = Weights(decoder, self.device), Weights(encoder, self.device)

    def losses(self, tape: Tape, encoding: Tape, ordered: Tensor, rng: np.random.Generator) -> Tensor:
        """Minus the evidence lower bound of each record, one draw of z each. Shapes: (rows, attributes) codes -> (rows,).

        Where the encoder is watched, the latent vector's gradient goes past the records' places, which need none.
        """
        places = self.layout.places(ordered)
        one = places.new_ones((len(ordered), 1))
        found, inputs, latent = one.new_zeros(len(ordered)), [one, places], None
        if self.shape.latent:
            latent, found = self._encoded(tape, encoding, places, rng)
            inputs = [latent, *inputs]
        row = torch.cat(inputs, dim=1).detach()
        moved = latent - latent.detach() if latent is not None and latent.requires_grad else None
        for columns in self._alike:
            logits = torch.stack([self._logits(tape, at, row, moved) for at in columns], dim=2)
            taken = ordered[:, columns.start : columns.stop]
            found = found + torch.nn.functional.cross_entropy(logits, taken, reduction="none").sum(dim=1)
        return found

    def draw(self, rows: int, rng: np.random.Generator, allowed: Mapping[int, Tensor] | None = None) -> Tensor:
        """Draw records; with `allowed` (position in the order -> mask of levels), those of them that are allowed, exactly.

        Without, rows that are alike get numbers that are spread evenly: tables of columns and pairs then err less than by
        chance. With, every row is drawn by itself: at a column with evidence it survives with the chance of the levels that
        are allowed, and takes one of them, so that what survives has the conditional distribution.
        Shapes: (survivors, attributes) codes in the layout's order.
        """
        tape = Tape(self.decoder, watching=False)
        row = torch.zeros((rows, self.shape.latent + 1 + self.layout.total), device=self.device)
        if self.shape.latent:
            row[:, : self.shape.latent] = self._latent(tape, rows, rng)
        row[:, self.shape.latent] = 1
        ordered = torch.zeros((rows, len(self.seen)), dtype=torch.int64, device=self.device)
        for at in range(len(self.seen)):
            mask = None if allowed is None else allowed.get(at)
            logits = self._logits(tape, at, row)
            numbers = uniforms(rng, len(row), self.device) if allowed else even_numbers(logits, rng)
            levels, chance = draw_levels(logits, numbers, mask)
            if mask is not None:
                alive = uniforms(rng, len(row), self.device) < chance
                levels, row, ordered = levels[alive], row[alive], ordered[alive]
            ordered[:, at] = levels
            row[torch.arange(len(row), device=self.device), self.shape.latent + 1 + self.layout.starts[at] + levels] = 1
        return ordered

    def _inputs(self, at: int) -> npt.NDArray[np.int64]:
        """Places among the inputs that a column sees."""
        starts = self.layout.starts
        parts = [np.arange(starts[other], starts[other + 1]) for other in self.seen[at]]
        return np.concatenate([np.zeros(0, dtype=np.int64), *parts])

    def _wide(self, at: int) -> int:
        return self.shape.latent + 1 + sum(self.layout.sizes[other] for other in self.seen[at])

    def _columns(self, at: int) -> npt.NDArray[np.int64]:
        """Which numbers of a row of z, a one, and places a column's matrix takes."""
        first = self.shape.latent + 1
        return np.concatenate([np.arange(first), first + self._inputs(at)])

    def _logits(self, tape: Tape, at: int, row: Tensor, moved: Tensor | None = None) -> Tensor:
        """(rows, levels), from rows of z, a one, and places of which those of later columns are not looked at.

        `moved` (rows, latent) is zero, and is there for its gradient, which is that of z.
        """
        places = self._places[at]
        inputs = row[:, : self._wide(at)] if places is None else row.index_select(1, places)
        both = tape.apply(_features(at), inputs)
        if moved is not None:
            both = both + tape.again(_features(at), moved)
        left, right, straight = both.split(self.shape.hidden, dim=1)
        mixed = of_unit_size(left * right) + straight
        return self.start[at] + tape.apply(_levels(at), with_one(mixed))

    def _encoded(self, tape: Tape, encoding: Tape, places: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """A draw of z for each record, and log q(z | record) - log p(z)."""
        rows, latent = len(places), self.shape.latent
        both = encoding.apply("encoder", with_one(places))
        hidden = of_unit_size(both[:, :_ENCODED] * torch.sigmoid(both[:, _ENCODED:]))
        moments = encoding.apply("posterior", with_one(hidden))
        mean, spread = moments[:, :latent], moments[:, latent:].clip(_LEAST_SPREAD, _MOST_SPREAD)
        draw = mean + torch.exp(spread / 2) * normals(rng, (rows, latent), self.device)
        centre, width, weight = self._prior(tape.free("prior", rows))
        inside = -0.5 * (width + (draw[:, None] - centre) ** 2 * torch.exp(-width)).sum(dim=2)
        prior = torch.logsumexp(torch.log_softmax(weight, dim=1) + inside, dim=1)
        return draw, -0.5 * (spread + (draw - mean) ** 2 * torch.exp(-spread)).sum(dim=1) - prior

    def _prior(self, free: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Centres and log variances (rows, components, latent), and weights before softmax (rows, components)."""
        latent, components = self.shape.latent, self.shape.components
        count = components * latent
        centre, width, weight = free.split([count, count, components], dim=1)
        bounded = width.clip(_LEAST_SPREAD, _MOST_SPREAD)
        return centre.reshape(-1, components, latent), bounded.reshape(-1, components, latent), weight

    def _latent(self, tape: Tape, rows: int, rng: np.random.Generator) -> Tensor:
        """Draws of z from the prior: (rows, latent)."""
        centre, width, weight = self._prior(tape.free("prior", 1))
        which, _ = draw_levels(weight.expand(rows, -1), uniforms(rng, rows, self.device))
        spread = torch.exp(width[0, which] / 2)
        return centre[0, which] + spread * normals(rng, (rows, self.shape.latent), self.device)


_ENCODED: Final = 64
"""Hidden units of the encoder."""


def seen_columns(layout: RecordLayout, shape: Shape, strength: npt.NDArray[np.floating]) -> tuple[tuple[int, ...], ...]:
    """The columns before it that each column sees, as positions in the layout's order: all, or the strongest that fit.

    Shapes: `strength` is (attributes, attributes), in the domain's order.
    """
    ranked = np.asarray(strength)[np.ix_(layout.order, layout.order)] if layout.order else np.zeros((0, 0))
    room = max(shape.parameters - layout.total * (shape.hidden + 1), 0) / (3 * shape.hidden)
    most = max(min(layout.total, MOST_WIDE - shape.latent - 1), 0)
    while True:
        found = tuple(_that_fit(layout, ranked[at], at, most) for at in range(len(layout.sizes)))
        wide = sum(layout.sizes[other] for columns in found for other in columns)
        if wide <= room or most <= _FEWEST_PLACES:
            return found
        most = max(most * 3 // 4, _FEWEST_PLACES)


def _that_fit(layout: RecordLayout, strength: npt.NDArray[np.floating], at: int, most: int) -> tuple[int, ...]:
    """Columns before the one at this position, the strongest first, that together have at most so many levels; in order."""
    found, taken = [], 0
    for other in sorted(range(at), key=lambda each: -float(strength[each])):
        if taken + layout.sizes[other] <= most:
            found.append(other)
            taken += layout.sizes[other]
    return tuple(sorted(found))


def _features(at: int) -> str:
    return f"features {at}"


def _levels(at: int) -> str:
    return f"levels {at}"


def _tensor(array: npt.NDArray[np.floating]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))
