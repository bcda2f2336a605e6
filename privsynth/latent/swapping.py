"""Swapping: dealt records of one class exchange values where that brings pair tables closer to what they should be.

Must never swap between classes: every attribute's own counts, and what depends on the class, stay as they were dealt.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from privsynth.latent.layout import Layout, pair_counts

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_PASSES = 10
_WORK = 4e8
"""Passes times rows times squared attributes: about five seconds. Larger tables are rounded well by their numbers alone."""

_BATCH = (150, 64, 4096)
"""Proposals are judged together in batches of a 150th of the rows, at least 64 and at most 4,096."""

_RULED_OUT = 1e6
"""Records too many that a cell without possible rows is counted as holding."""


def passes_for(rows: int, attributes: int) -> int:
    """How many passes are worth their time: public numbers alone decide."""
    return int(min(_PASSES, _WORK / max(1, rows * attributes**2)))


def swap(codes: Ints, classes: Ints, tables: Floats, layout: Layout, rng: np.random.Generator) -> None:
    """Improve records in place.

    A proposal exchanges one attribute between two rows of one class; it is taken if it lowers the sum of squared differences
    of all pair cells from `tables`, each divided by the square root of what the cell should hold. Cells of `tables` that are
    zero because no row is possible are avoided before all others.
    Shapes: `codes` (attributes, rows) over `layout`; `classes` (rows,), ascending; `tables` (places, places) counts of the
        records to be made.
    """
    attributes, rows = codes.shape
    part, least, most = _BATCH
    batch = int(np.clip(rows / part, least, most))
    places = codes + layout.starts[:, None]
    excess = (
        (pair_counts(list(codes), layout) - tables + np.where(tables > 0, 0.0, _RULED_OUT))
        .astype(np.float32)
        .reshape(-1)
    )
    scale = (1 / np.sqrt(np.maximum(tables, 0) + 1)).astype(np.float32).reshape(-1)
    for _ in range(passes_for(rows, attributes)):
        for attribute in rng.permutation(attributes).tolist():
            first, second = _partners(classes, rng)
            differ = codes[attribute, first] != codes[attribute, second]
            first, second = first[differ], second[differ]
            for start in range(0, len(first), batch):
                _improve(places, attribute, first[start : start + batch], second[start : start + batch], excess, scale)
            codes[attribute] = places[attribute] - layout.starts[attribute]


def _partners(classes: Ints, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Pairs of rows of one class, each row in at most one pair, in random order."""
    order = np.argsort(classes + rng.random(len(classes)))
    mixed = rng.permutation(len(order) // 2)
    first, second = order[:-1:2][mixed], order[1::2][mixed]
    together = classes[first] == classes[second]
    return first[together], second[together]


def _improve(
    places: Ints,
    attribute: int,
    first: Ints,
    second: Ints,
    excess: npt.NDArray[np.float32],
    scale: npt.NDArray[np.float32],
) -> None:
    """Judge a batch of proposals against the tables as they are, and carry out those that are good, all at once."""
    total = int(np.sqrt(len(excess)))
    others = np.delete(np.arange(len(places)), attribute)
    mine, its = places[attribute, first] * total, places[attribute, second] * total
    here, there = places[np.ix_(others, first)], places[np.ix_(others, second)]
    gained = _cost(excess, scale, its + here, 0.5) + _cost(excess, scale, mine + there, 0.5)
    lost = _cost(excess, scale, mine + here, -0.5) + _cost(excess, scale, its + there, -0.5)
    good = ((gained - lost) * (here != there)).sum(axis=0) < 0
    if not good.any():
        return
    mine, its, here, there = mine[good], its[good], here[:, good], there[:, good]
    cells = np.concatenate([(mine + here).ravel(), (its + there).ravel(), (its + here).ravel(), (mine + there).ravel()])
    change = np.repeat(np.array([-1, -1, 1, 1], dtype=np.float32), here.size)
    np.add.at(excess, cells, change)
    np.add.at(excess, cells % total * total + cells // total, change)
    places[attribute, first[good]], places[attribute, second[good]] = its // total, mine // total


def _cost(
    excess: npt.NDArray[np.float32], scale: npt.NDArray[np.float32], cells: Ints, step: float
) -> npt.NDArray[np.float32]:
    """Half of what one record more (step .5) or less (-.5) changes a cell's weighted squared difference by, up to sign."""
    return (excess[cells] + np.float32(step)) * scale[cells]
