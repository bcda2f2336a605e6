"""Bins: how a column's admissible values are grouped into levels, as declared in the schema.

Must never look at records: bins are cut from the declared range, or from edges that were declared or bought.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from itertools import pairwise
from typing import Annotated, Generic, Literal, TypeVar, final

from pydantic import BaseModel, ConfigDict, Field

V = TypeVar("V")

MAX_BINS = 1 << 20
DEFAULT_BINS = 32
"""Where no bins are declared: one level a value up to this many values, and this many bins of equal size beyond."""

FROZEN = ConfigDict(frozen=True, strict=True, extra="forbid", populate_by_name=True)
"""How every model of the schema is read: no coercion, no unknown keys, no change afterwards."""


@final
class CountedBins(BaseModel):
    """A number of bins cut from the declared range.

    `uniform`: equal widths (a bin that atoms fill is left out). `quantiles`: equal numbers of admissible values (atoms
    not counted). `log`: equal widths of sign(x) * log(1 + |x|) in steps, at most `count` bins.
    """

    model_config = FROZEN
    method: Literal["uniform", "quantiles", "log"]
    count: Annotated[int, Field(ge=1, le=MAX_BINS)]


@final
class EdgeBins(BaseModel, Generic[V]):
    """Bins that start at declared edges: each edge is the first value of a bin; the lower bound starts one anyway."""

    model_config = FROZEN
    method: Literal["edges"]
    edges: Annotated[tuple[V, ...], Field(min_length=1, max_length=MAX_BINS)]


def _dropping_empty(starts: Iterable[int], upper: int, atoms: frozenset[int]) -> tuple[int, ...]:
    """Keep the bins that hold at least one value that is not an atom."""
    ordered, taken = sorted(set(starts)), sorted(atoms)
    return tuple(
        start
        for start, end in zip(ordered, [*ordered[1:], upper + 1], strict=True)
        if end - start > bisect_left(taken, end) - bisect_left(taken, start)
    )


def _logarithmic(lower: int, upper: int, count: int) -> list[int]:
    def transformed(x: int) -> float:
        return math.copysign(math.log1p(abs(x)), x)

    low, high = transformed(lower), transformed(upper)
    cuts = (low + index * (high - low) / count for index in range(1, count))
    return [lower, *(math.ceil(math.copysign(math.expm1(abs(cut)), cut) - 1e-9) for cut in cuts)]


def counted_starts(bins: CountedBins | None, lower: int, upper: int, atoms: frozenset[int]) -> tuple[int, ...]:
    """Return the first value of each bin, ascending, for whole numbers lower..upper.

    Raises: ValueError when more bins are asked for than there are values.
    """
    free = upper - lower + 1 - len(atoms)
    if bins is None:
        bins = CountedBins(method="quantiles", count=max(1, min(free, DEFAULT_BINS)))
    if bins.method != "log" and bins.count > max(1, free):
        raise ValueError(f"bins: {bins.count} bins were asked for, but only {free} values are admissible; lower count")
    if not free:
        return ()
    first, last = _unranked([0, free - 1], lower, atoms)
    match bins.method:
        case "uniform" if bins.count < free:
            starts = [first + index * (last - first + 1) // bins.count for index in range(bins.count)]
        case "log":
            starts = [min(start, last) for start in _logarithmic(first, last, bins.count)]
        case _:
            starts = _unranked([index * free // bins.count for index in range(bins.count)], lower, atoms)
    return _dropping_empty(starts, upper, atoms)


def _unranked(ranks: Iterable[int], lower: int, atoms: frozenset[int]) -> list[int]:
    """The whole numbers from `lower` of these ranks, atoms not counted."""
    below = [atom - lower - index for index, atom in enumerate(sorted(atoms))]
    return [lower + rank + bisect_right(below, rank) for rank in ranks]


def edge_starts(edges: tuple[int, ...], lower: int, upper: int, atoms: frozenset[int]) -> tuple[int, ...]:
    """Return the first value of each bin for declared edges, already turned into whole numbers.

    Raises: ValueError when the edges do not increase or leave the bounds.
    """
    if any(right <= left for left, right in pairwise(edges)):
        raise ValueError("bins: edges must increase, each at least one step above the one before")
    if edges[0] < lower or edges[-1] > upper:
        raise ValueError("bins: an edge lies outside the bounds; move the edge or the bound")
    return _dropping_empty([lower, *edges], upper, atoms)
