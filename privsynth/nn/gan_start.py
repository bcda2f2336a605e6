"""Where the GAN starts: records of a cheap model of noisy tables, each with a class of that model.

Must never be made of anything but a transcript's tables, and never with randomness that is not fixed: it is made twice.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from privsynth.generator import AbstractDistribution
from privsynth.latent.distribution import LatentClassDistribution
from privsynth.nn.gan import Start

Floats: TypeAlias = npt.NDArray[np.float64]

_SEED: Final = 20_240_501
_BLOCK: Final = 1 << 22
"""Chances of classes that are held at a time."""


def start_of(model: AbstractDistribution, records: int) -> Start:
    """So many records of the model; classes are drawn given the record, so that both together are draws of the model.

    A model that has no classes is taken for a product of its one-way tables: it has one.
    """
    rng = np.random.default_rng(_SEED)
    drawn = model.draw(records, rng)
    codes = np.stack([column.astype(np.int64) for column in drawn.columns], axis=1)
    if isinstance(model, LatentClassDistribution):
        weights, given = model.by_class()
    else:
        tables = [model.project((name,)) for name in model.domain.attributes]
        weights, given = np.ones(1), np.concatenate([table / table.sum() for table in tables])[:, None]
    return Start(codes=codes, classes=_classes(codes, weights, given, model.domain.sizes, rng), given=given)


def _classes(
    codes: npt.NDArray[np.int64], weights: Floats, given: Floats, sizes: tuple[int, ...], rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    """A class for each record, by its chance given the record. Shapes: (rows,)."""
    if len(weights) == 1:
        return np.zeros(len(codes), dtype=np.int64)
    firsts = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64)
    logs = np.log(given + 1e-12).astype(np.float32)
    found = np.empty(len(codes), dtype=np.int64)
    uniforms = rng.random(len(codes))
    block = max(1, _BLOCK // len(weights))
    for at in range(0, len(codes), block):
        rows = codes[at : at + block] + firsts
        chance = np.tile(np.log(weights + 1e-300).astype(np.float32), (len(rows), 1))
        for column in range(rows.shape[1]):
            chance += logs[rows[:, column]]
        heights = np.exp(chance - chance.max(axis=1, keepdims=True), dtype=np.float64).cumsum(axis=1)
        found[at : at + block] = (heights < (uniforms[at : at + block] * heights[:, -1])[:, None]).sum(axis=1)
    return np.minimum(found, len(weights) - 1)
