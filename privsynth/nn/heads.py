"""Heads: how a network's last layer becomes a distribution over a column's levels, and how levels are drawn from it.

Must never draw from a hidden source of randomness: every draw takes numbers that were given to it.
"""

from __future__ import annotations

import hashlib
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch

Tensor: TypeAlias = Any

_GOLDEN = (5**0.5 - 1) / 2

_PRIOR_RECORDS = 0.5
"""Records that a level is given before it is looked at, so that no level starts with a chance of zero."""


def start_logits(counts: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    """Log shares of a column's levels, from noisy counts; where a head starts, before it has learned anything. (levels,)"""
    positive = np.maximum(counts, 0) + _PRIOR_RECORDS
    return np.asarray(np.log(positive / positive.sum()), dtype=np.float32)


def draw_levels(logits: Tensor, uniforms: Tensor, allowed: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """A level for each row, and the chance, before anything was ruled out, of the levels that are allowed.

    Shapes: logits (rows, levels), uniforms (rows,) in [0, 1), allowed (levels,) of bool -> (rows,) int64, (rows,).
    """
    shares = torch.softmax(logits.double(), dim=1)
    if allowed is not None:
        shares = shares * allowed
    heights = shares.cumsum(1)
    chance = heights[:, -1]
    found = torch.searchsorted(heights, (uniforms * chance)[:, None], right=True)[:, 0]
    last = shares.shape[1] - 1 if allowed is None else int(torch.nonzero(allowed)[-1])
    return found.clamp_max(last), chance


def row_randomness(key: bytes) -> np.random.Generator:
    """Randomness for one chunk of records (reparametrisation, masks), from its secret key; noise is drawn elsewhere."""
    words = np.frombuffer(hashlib.sha256(b"privsynth rows" + key).digest(), dtype=np.uint32)
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(words.tolist())))


def normals(rng: np.random.Generator, shape: tuple[int, int], device: Any) -> Tensor:
    """Standard normal numbers, row by row: a row's do not depend on how many rows follow."""
    return torch.from_numpy(rng.standard_normal(shape, dtype=np.float32)).to(device)


def uniforms(rng: np.random.Generator, rows: int, device: Any) -> Tensor:
    """Numbers in [0, 1), (rows,), double precision."""
    return torch.from_numpy(rng.random(rows)).to(device)


def even_numbers(logits: Tensor, rng: np.random.Generator) -> Tensor:
    """A number in [0, 1) for each row, (rows,): each evenly distributed, and near rows' numbers far from each other.

    Rows are put in order of their expected level and take the points of a golden-ratio sequence with a random start.
    """
    shares = torch.softmax(logits.double(), dim=1)
    order = torch.argsort(shares @ torch.arange(shares.shape[1], device=shares.device).double(), stable=True)
    place = torch.empty_like(order)
    place[order] = torch.arange(len(order), device=order.device)
    return (place.double() * _GOLDEN + rng.random()) % 1.0
