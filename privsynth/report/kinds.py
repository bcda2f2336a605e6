"""Kinds of statistics that a reader takes from a release, and the error that public numbers expect of each one of a kind.

Must never see anything but the schema, the noisy answers and the released table; what nothing is known of stays unknown.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, final

import numpy as np
import numpy.typing as npt

from privsynth.dataset import Dataset
from privsynth.domain import Clique
from privsynth.measurement import ErrorScores, Transcript
from privsynth.privacy.query import MarginalErrors
from privsynth.report.numbers import INTERVAL_SIGMAS, SEEN_SIGMAS, Bought, ColumnNumbers, PairMatrix
from privsynth.report.scales import correlation, scales
from privsynth.schema import Schema

Floats: TypeAlias = npt.NDArray[np.float64]
Light: TypeAlias = Literal["green", "amber", "red"]

SIGMAS_90 = 1.6448536269514722
"""Half-width of a 90 % interval of a normal distribution, in standard deviations."""

TOLD_BY = 0.9
"""A kind's light is that of the error that so many of the kind stay below."""

STRONGEST = 5
"""A regression is judged by so many columns: those that hang together most with what is predicted."""

NONE: Floats = np.zeros(0)
"""The errors of a kind of which nothing is known."""

_TRIPLE = 3


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Errors:
    """The errors of all statistics of one kind.

    Shapes: `names` and `sizes` have one entry a statistic. Units: `sizes` as the kind has them; infinite where nothing is
        known. `green` and `amber` are the largest errors of these lights; without `green` the best light is amber.
    """

    names: tuple[str, ...]
    sizes: Floats
    green: float | None
    amber: float

    @property
    def deciding(self) -> float:
        """What nine in ten stay below: no interpolation, so that one unknown among few is not averaged away."""
        if not self.sizes.size:
            return math.inf
        return float(np.quantile(self.sizes, TOLD_BY, method="inverted_cdf"))

    @property
    def middle(self) -> float:
        """The median."""
        return float(np.quantile(self.sizes, 0.5, method="inverted_cdf")) if self.sizes.size else math.inf

    @property
    def worst(self) -> int:
        """The place of the largest error."""
        return int(np.argmax(self.sizes))

    def light_of(self, error: float) -> Light:
        """The light of an error."""
        if self.green is not None and error <= self.green:
            return "green"
        return "amber" if error <= self.amber else "red"

    @property
    def light(self) -> Light:
        """The light of the kind."""
        return self.light_of(self.deciding)

    def counts(self) -> dict[Light, int]:
        """How many have each light."""
        lights = [self.light_of(float(size)) for size in self.sizes]
        return {"green": lights.count("green"), "amber": lights.count("amber"), "red": lights.count("red")}


def of_shares(columns: list[ColumnNumbers]) -> Errors:
    """Single shares: the 90 % half-width of one share, a column each."""
    halves = [math.inf if column.share is None else SIGMAS_90 / INTERVAL_SIGMAS * column.half for column in columns]
    return Errors(
        names=tuple(column.name for column in columns), sizes=np.array(halves, dtype=float), green=0.01, amber=0.05
    )


def of_pairs(columns: list[ColumnNumbers], pairs: PairMatrix, *, known: bool, apart: Sequence[Clique] = ()) -> Errors:
    """Pairs of columns: expected total variation distance; those of which it is known, or not; without those `apart`."""
    places = [place for place in _pairs(len(columns)) if np.isfinite(pairs.expected_error[place]) == known]
    others = {frozenset(clique) for clique in apart}
    places = [place for place in places if frozenset(columns[axis].name for axis in place) not in others]
    sizes = [float(pairs.expected_error[place]) if known else math.inf for place in places]
    names = tuple(_pair_name(columns, place) for place in places)
    return Errors(names=names, sizes=np.array(sizes, dtype=float), green=0.05, amber=0.15)


def _pairs(d: int) -> list[tuple[int, int]]:
    return list(itertools.combinations(range(d), 2))


def _pair_name(columns: list[ColumnNumbers], place: tuple[int, int]) -> str:
    return " × ".join(columns[axis].name for axis in place)


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Triples:
    """What noisy scores said of tables of three columns: how far a first model was from them, a total variation distance.

    `noise` is the standard deviation of each score.
    """

    errors: Errors
    noise: float


def of_triples(transcript: Transcript, total: float) -> Triples | None:
    """Three columns at once, where tables of three were scored against the model: amber at the best; None where none were.

    A score is the L1 distance in records, less what sampling alone would make, on the grid of `MarginalErrors`.
    """
    names: list[str] = []
    sizes: list[float] = []
    noise = 0.0
    unit = 2 * MarginalErrors.GRID * total
    for entry in transcript:
        if isinstance(entry, ErrorScores) and entry.cliques and all(len(one) == _TRIPLE for one in entry.cliques):
            assert entry.event.sigma_squared is not None
            names += [_clique_name(clique) for clique in entry.cliques]
            sizes += (np.maximum(entry.values, 0) / unit).tolist()
            noise = max(noise, math.sqrt(entry.event.sigma_squared) / unit)
    if not names:
        return None
    return Triples(
        errors=Errors(names=tuple(names), sizes=np.array(sizes), green=None, amber=0.15),
        noise=noise,
    )


def _clique_name(clique: Clique) -> str:
    return " × ".join(clique)


def of_means(schema: Schema, columns: list[ColumnNumbers]) -> Errors:
    """Means of numbers, in spreads: the 90 % half-width from the noise, and a quarter of a bin for what lies inside bins."""
    found = scales(schema, columns)
    sizes = [SIGMAS_90 * one.cell_sigma * math.sqrt(one.leverage) + one.quarter_bin for one in found]
    return Errors(
        names=tuple(columns[one.place].name for one in found), sizes=np.array(sizes, dtype=float), green=0.05, amber=0.2
    )


def of_correlations(schema: Schema, columns: list[ColumnNumbers], pairs: PairMatrix, released: Dataset) -> Errors:
    """Correlations of two numbers: half-widths (90 %) if the pair's error is spread over its cells, and what bins hide.

    A correlation is a mean product over two spreads; noise reaches all three, and weighs most at the far ends of a scale. What
    hangs together inside bins is not measured: it may be all of the variance that lies there.
    Source: the delta method for a correlation of standardised numbers: d r = d mean(ab) - r (d mean(a^2) + d mean(b^2)) / 2.
    """
    both = list(itertools.combinations(scales(schema, columns), 2))
    tables = released.marginals([(columns[one.place].name, columns[other.place].name) for one, other in both])
    names, sizes = [], []
    for (one, other), table in zip(both, tables, strict=True):
        place = one.place, other.place
        error = float(pairs.expected_error[place])
        per_cell = math.inf if math.isnan(error) else cell_sigma(error, table.size)
        spreads = one.cell_sigma**2 * one.fourth + other.cell_sigma**2 * other.fourth
        noise = math.sqrt(
            per_cell**2 * one.leverage * other.leverage + (correlation(one, other, table) / 2) ** 2 * spreads
        )
        names.append(_pair_name(columns, place))
        sizes.append(SIGMAS_90 * noise + math.sqrt(one.inside * other.inside))
    return Errors(names=tuple(names), sizes=np.array(sizes, dtype=float), green=0.05, amber=0.15)


def cell_sigma(error: float, cells: int) -> float:
    """The standard deviation of a cell's share in a table whose total variation distance is `error`, were all cells alike."""
    return 2 * error / cells * math.sqrt(math.pi / 2)


def of_rare(columns: list[ColumnNumbers], labelled: set[str], bought: Bought) -> Errors:
    """Rare categories: the smallest share that is seen above the noise, a column each."""
    named = [column for column in columns if column.name in labelled]
    sizes = [math.inf if column.share is None else SEEN_SIGMAS * column.sigma / bought.total for column in named]
    return Errors(
        names=tuple(column.name for column in named), sizes=np.array(sizes, dtype=float), green=0.001, amber=0.01
    )


def of_regressions(columns: list[ColumnNumbers], pairs: PairMatrix, target: str | None) -> Errors:
    """Regressions: how large the expected error of a pair is beside the pair's dependence; amber at the best.

    Of the columns that hang together most with the target, or of the strongest pairs where no target is declared.
    """
    names = [column.name for column in columns]
    if target is None:
        chosen = _pairs(len(columns))
    else:
        chosen = [place for place in _pairs(len(columns)) if names.index(target) in place]
    chosen = sorted(chosen, key=lambda place: (-float(pairs.dependence[place]), place))[:STRONGEST]
    sizes = []
    for place in chosen:
        error, dependence = float(pairs.expected_error[place]), float(pairs.dependence[place])
        sizes.append(math.inf if math.isnan(error) or not dependence else error / dependence)
    return Errors(
        names=tuple(_pair_name(columns, place) for place in chosen),
        sizes=np.array(sizes, dtype=float),
        green=None,
        amber=0.25,
    )
