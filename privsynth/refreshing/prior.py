"""Prior: what an earlier release says of a population, as its public files have it, in the levels of the new schema.

Must never hold anything but published answers and what follows from them; whatever a folder says is checked before it is used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Final, final

import numpy as np
import numpy.typing as npt

from privsynth import generators, replicates
from privsynth.domain import Clique, Domain
from privsynth.errors import FitError, InputError, SchemaError
from privsynth.generator import AbstractDistribution, AbstractGenerator
from privsynth.latent.layout import summed_table
from privsynth.measurement import Transcript, measurements
from privsynth.published import Published
from privsynth.refreshing.aligning import Alignment
from privsynth.refreshing.covering import rests_on

Floats = npt.NDArray[np.float64]

MEASURING: Final = ("latent_class", "independent")
"""Generators whose releases can be refreshed: they measure tables, and fit any set of them."""

_CELLS, _PAIRS = 20_000, 2_000
"""Pairs of more cells, or beyond so many pairs, are not looked at by themselves: only through their columns."""

_REFITS, _SEED = 4, 20_280

_TOLD = 1.5
"""A model is taken to be off a noisy table from so many standard deviations on of what noise makes of the distance."""

_TOO_NOISY = 2.0
_LARGEST = float(1 << 48)
_PAIR = 2


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Known:
    """A noisy table of the earlier release, averaged over all that measured it.

    Args: `releases` are those whose records it rests on: the earlier one, others that it kept the table of, or both.
    Shapes: `values` and `cells` have an axis an attribute, over levels or over the groups of those that have any.
    Units: `variance` is that of a cell as it was measured; `cells` how many of those each cell of `values` sums, None for one.
    """

    clique: Clique
    values: Floats
    variance: float
    groups: Mapping[str, tuple[int, ...]]
    cells: Floats | None = None
    releases: tuple[str, ...] = ()

    @property
    def noise(self) -> Floats:
        """The variance of each cell."""
        return self.variance * (np.ones(self.values.shape) if self.cells is None else self.cells)

    @property
    def worst(self) -> float:
        """The largest variance of a cell: a bound for all, where a table can have one only."""
        return float(self.noise.max(initial=self.variance))

    def summed(
        self, maps: Sequence[npt.NDArray[np.int64]], *, clique: Clique, groups: Mapping[str, tuple[int, ...]]
    ) -> Known:
        """The same with cells taken together: their noise adds up."""
        ones = np.ones(self.values.shape) if self.cells is None else self.cells
        return replace(
            self,
            clique=clique,
            values=_fixed(summed_table(self.values, maps)),
            groups=groups,
            cells=_fixed(summed_table(ones, maps)),
        )


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Expected:
    """What the earlier release's model says of a pair.

    Shapes: levels; `error` is the variance of each cell, as refits tell. Units: `misfit` is what the model is off by beyond
        that, in L1 of records, as far as the noisy table itself can tell; 0 where it cannot.
    """

    clique: Clique
    table: Floats
    error: Floats
    misfit: float


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Prior:
    """An earlier release in the levels of a new schema.

    Args: `release` is its id, `total` its estimated number of records, `sizes` the levels of each column that is carried over,
        `rows_a_unit` how many rows of a unit count at most: so much more chance moves counts than it would with one each.
        `precision` is the mean precision of its tables of one column and of two, 0 where there are none; `paid` that of one
        table for which a refresh would spend all that it may spend on measuring anew, 0 where that is not known.
    """

    release: str
    total: float
    sizes: Mapping[str, int]
    rows_a_unit: int
    precision: tuple[float, float]
    known: tuple[Known, ...]
    expected: tuple[Expected, ...]
    paid: float = 0.0

    def __deepcopy__(self, memo: object) -> Prior:
        """Itself: nothing in it can be changed."""
        return self

    @property
    def has_pairs(self) -> bool:
        """Whether it measured tables of two columns."""
        return self.precision[1] > 0

    def table(self, clique: Clique) -> Known | None:
        """What is known of a clique, in the order of its attributes as it was measured."""
        return next((one for one in self.known if set(one.clique) == set(clique)), None)

    def prices(self, cliques: Sequence[Clique]) -> dict[Clique, float]:
        """The precision that each clique was measured with; those it did not measure count as the mean of as many columns."""
        known = {clique: self.table(clique) for clique in cliques}
        return {
            clique: self.precision[len(clique) - 1] if one is None else 1 / one.variance
            for clique, one in known.items()
        }

    def whole(self, domain: Domain) -> float:
        """The prices of all columns and, if it measured any, all pairs."""
        columns: list[Clique] = [(name,) for name in domain.attributes]
        pairs: list[Clique] = list(combinations(domain.attributes, _PAIR)) if self.has_pairs else []
        return sum(self.prices(columns).values()) + sum(self.prices(pairs).values())

    def too_noisy(self, domain: Domain, total: float) -> frozenset[Clique]:
        """Its tables that err by more than twice the variance of what measuring them anew would give, chance included.

        Twice, so that where a population grew a little, or the earlier budget was a little smaller, not all is measured anew.
        """
        if not self.paid:
            return frozenset()
        scale, whole = total / self.total, self.whole(domain)
        found = set()
        for one in self.known:
            chance = self.by_chance(one, total)
            if one.worst * scale**2 + chance > _TOO_NOISY * (whole * one.variance / self.paid + chance):
                found.add(one.clique)
        return frozenset(found)

    def by_chance(self, one: Known, total: float) -> float:
        """The mean variance of a cell by who is in a table, of two tables of one population, in records of the new one."""
        positive = np.maximum(one.values, 0.0)
        shares = positive / max(1.0, float(positive.sum()))
        return total * (1 + total / self.total) * self.rows_a_unit * float((shares * (1 - shares)).mean())

    def groups_of(self, name: str) -> tuple[int, ...] | None:
        """The groups over which tables of two columns or more counted this one; None for its levels."""
        return next((one.groups[name] for one in self.known if name in one.groups), None)

    def on(self, domain: Domain) -> Prior:
        """The same for the columns that a domain has.

        Where a domain has the name but another number of levels (the made-up tables of an audit do), the last levels are taken
        together or stay empty: a reference may be anything that is public.
        """
        names = [name for name in self.sizes if name in domain]
        if all(domain.size(name) == self.sizes[name] for name in names) and len(names) == len(self.sizes):
            return self
        inside = set(names)
        sizes = {name: domain.size(name) for name in names}
        return replace(
            self,
            sizes=sizes,
            known=tuple(_cut(one, sizes) for one in self.known if inside.issuperset(one.clique)),
            expected=tuple(_cut_expected(one, sizes) for one in self.expected if inside.issuperset(one.clique)),
        )


def _cut(one: Known, sizes: Mapping[str, int]) -> Known:
    maps, groups = [], {}
    padded, cells = one.values, np.ones(one.values.shape) if one.cells is None else one.cells
    for axis, name in enumerate(one.clique):
        count = one.values.shape[axis]
        if name in one.groups:
            count = min(count, sizes[name])
            groups[name] = tuple(min(level, count - 1) for level in range(sizes[name]))
        else:
            padded = _padded(padded, axis, sizes[name])
            cells = _padded(cells, axis, sizes[name], fill=1.0)  # no count is without noise, also one of nothing
            count = sizes[name]
        maps.append(np.minimum(np.arange(padded.shape[axis]), count - 1))
    return replace(one, values=padded, cells=cells).summed(maps, clique=one.clique, groups=groups)


def _cut_expected(one: Expected, sizes: Mapping[str, int]) -> Expected:
    wanted = [sizes[name] for name in one.clique]
    maps = [np.minimum(np.arange(max(pair)), pair[1] - 1) for pair in zip(one.table.shape, wanted, strict=True)]
    tables = (one.table, one.error)
    for axis, size in enumerate(wanted):
        tables = (_padded(tables[0], axis, size), _padded(tables[1], axis, size))
    return replace(one, table=_fixed(summed_table(tables[0], maps)), error=_fixed(summed_table(tables[1], maps)))


def _padded(table: Floats, axis: int, size: int, fill: float = 0.0) -> Floats:
    more = [(0, max(0, size - count) if place == axis else 0) for place, count in enumerate(table.shape)]
    return np.pad(table, more, constant_values=fill)


def _fixed(table: Floats) -> Floats:
    """A copy that nothing changes."""
    found = np.ascontiguousarray(table, dtype=np.float64).copy()
    found.setflags(write=False)
    return found


def prior_of(published: Published, alignment: Alignment, release: str) -> Prior:
    """Read an earlier release's answers, and fit its model again with what its refits err by.

    Privacy: post-processing of published answers; spends nothing.
    Raises: InputError for a release of another kind, and for answers that no release of its kind holds.
    """
    if published.generator not in MEASURING:
        raise InputError(
            f'the earlier release was made by "{published.generator}"; only releases of {" and ".join(MEASURING)}, which '
            "measure all tables they fit, can be refreshed: make a release of its own with `privsynth release`"
        )
    kind = generators.get(published.generator, published.settings)
    domain = published.schema.domain()
    try:
        _require_sound(published, domain)
        model = kind.estimate_again(domain, published.transcript)
        expected = tuple(_expectations(kind, model, published))
        known = tuple(_averaged(published.transcript, domain, release))
    except (FitError, SchemaError, ValueError, LookupError, ArithmeticError) as failure:
        raise InputError(
            f"the earlier release's answers are not those of its generator ({type(failure).__name__}); get it again from its "
            "publisher, or make a release of its own"
        ) from None
    found = Prior(
        release=release,
        total=model.total,
        sizes=dict(zip(domain.attributes, domain.sizes, strict=True)),
        rows_a_unit=published.guarantee.unit.max_rows,
        precision=(_precision(known, 1), _precision(known, _PAIR)),
        known=known,
        expected=expected,
    )
    return _aligned(found, alignment)


def _precision(known: Sequence[Known], columns: int) -> float:
    found = [1 / one.variance for one in known if len(one.clique) == columns]
    return float(np.mean(found)) if found else 0.0


def _require_sound(published: Published, domain: Domain) -> None:
    """Tables of the schema's shape, with finite noise above zero and counts that arithmetic can bear."""
    found = measurements(published.transcript)
    for one in found:
        shape = tuple(max(one.groups[name]) + 1 if name in one.groups else domain.size(name) for name in one.clique)
        grouped = all(len(of) == domain.size(name) for name, of in one.groups.items())
        if one.values.shape != shape or not grouped or len(set(one.clique)) < len(one.clique):
            raise FitError("a table has another shape than its columns")
        if not 0 < one.variance < _LARGEST or np.abs(one.values.astype(np.float64)).max(initial=0.0) > _LARGEST:
            raise FitError("a table's counts or noise are out of range")
    if {(name,) for name in domain.attributes} - {one.clique for one in found}:
        raise FitError("a column has no table of its own")


def _averaged(transcript: Transcript, domain: Domain, release: str = "") -> Sequence[Known]:
    """Each clique's tables, averaged by inverse variance; `release` is whose transcript it is."""
    sums: dict[Clique, tuple[Floats, float, Mapping[str, tuple[int, ...]]]] = {}
    releases: dict[Clique, set[str]] = {}
    for one in measurements(transcript):
        clique = domain.canonical(one.clique)
        values = one.values.transpose([one.clique.index(name) for name in clique]).astype(np.float64)
        before, precision, _ = sums.get(clique, (np.zeros_like(values), 0.0, {}))
        sums[clique] = before + values / one.variance, precision + 1 / one.variance, one.groups
        releases.setdefault(clique, set()).update(rests_on(one.event.stage, release))
    return [
        Known(
            clique=clique,
            values=_fixed(weighted / precision),
            variance=1 / precision,
            groups=dict(groups),
            releases=tuple(sorted(releases[clique])),
        )
        for clique, (weighted, precision, groups) in sums.items()
    ]


def _expectations(kind: AbstractGenerator, model: AbstractDistribution, published: Published) -> Sequence[Expected]:
    """The model's tables of all pairs that are small enough, and what refits to re-noised tables of made-up records err by."""
    domain = model.domain
    pairs: list[Clique] = [pair for pair in combinations(domain.attributes, 2) if domain.cells(pair) <= _CELLS]
    pairs = sorted(pairs, key=domain.cells)[:_PAIRS]
    if not any(len(one.clique) == _PAIR for one in measurements(published.transcript)):
        return []
    tables = [model.project(pair) for pair in pairs]
    errors = [np.zeros_like(table) for table in tables]
    places = range(len(pairs))
    rng = np.random.default_rng(_SEED)
    apart = _apart(published.transcript, model)
    by_refits: dict[Clique, float] = dict.fromkeys(pairs, 0.0)
    for again in replicates.replicates(kind, model, published.transcript, count=_REFITS, rng=rng):
        scale = model.total / again.fitted.total
        for place in places:
            errors[place] += (again.fitted.project(pairs[place]) * scale - tables[place]) ** 2 / _REFITS
        for pair, (squared, _, _) in _apart(again.noisy, again.fitted).items():
            by_refits[pair] = by_refits.get(pair, 0.0) + squared / _REFITS
    return [
        Expected(
            clique=pair, table=_fixed(table), error=_fixed(error), misfit=_misfit(apart.get(pair), by_refits[pair])
        )
        for pair, table, error in zip(pairs, tables, errors, strict=True)
    ]


def _apart(transcript: Transcript, model: AbstractDistribution) -> dict[Clique, tuple[float, int, float]]:
    """Of each pair's noisy table: (squared distance from the model's in units of the noise, cells, the noise's variance)."""
    domain = model.domain
    found = {}
    for one in _averaged(transcript, domain):
        if len(one.clique) == _PAIR:
            maps = [np.array(one.groups.get(name, range(domain.size(name)))) for name in one.clique]
            off = one.values - summed_table(model.project(one.clique), maps)
            found[one.clique] = float((off**2).sum() / one.variance), off.size, one.variance
    return found


def _misfit(found: tuple[float, int, float] | None, by_refits: float) -> float:
    """How far the model is off a noisy table beyond what refits are off theirs, in L1, where noise does not explain it."""
    if found is None:
        return 0.0
    squared, cells, variance = found
    beyond = squared - by_refits
    if beyond < _TOLD * np.sqrt(2 * cells * (1 + 1 / _REFITS)):
        return 0.0
    return float(np.sqrt(cells * variance * beyond))  # L1 is at most the root of the cells times L2


def _aligned(prior: Prior, alignment: Alignment) -> Prior:
    """The same in the new schema's names and levels: cells are summed, and nothing is split."""
    name_of = {one.was: one.name for one in alignment.carried}
    level_of = {one.was: np.array(one.level_of) for one in alignment.carried}
    grouped = {name: of for one in prior.known for name, of in one.groups.items() if name in name_of}
    merged = {name: _regrouped(np.array(of), level_of[name]) for name, of in grouped.items()}
    known = []
    for one in prior.known:
        if not set(one.clique) <= set(name_of):
            continue
        maps = [merged[name][0] if name in one.groups else level_of[name] for name in one.clique]
        groups = {name_of[name]: merged[name][1] for name in one.groups}
        clique = tuple(name_of[name] for name in one.clique)
        known.append(one.summed(maps, clique=clique, groups=groups))
    expected = [
        Expected(
            clique=tuple(name_of[name] for name in one.clique),
            table=_fixed(summed_table(one.table, [level_of[name] for name in one.clique])),
            error=_fixed(summed_table(one.error, [level_of[name] for name in one.clique])),
            misfit=one.misfit,
        )
        for one in prior.expected
        if set(one.clique) <= set(name_of)
    ]
    sizes = {one.name: max(one.level_of) + 1 for one in alignment.carried}
    return replace(prior, sizes=sizes, known=tuple(known), expected=tuple(expected))


def _regrouped(
    group_of: npt.NDArray[np.int64], level_of: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], tuple[int, ...]]:
    """(the new group of each old group, the new group of each new level): groups that share a new level become one."""
    label = np.arange(int(group_of.max()) + 1)
    for level in range(int(level_of.max()) + 1):
        joined = np.unique(label[group_of[level_of == level]])
        label[np.isin(label, joined)] = joined[0]
    _, numbered = np.unique(label, return_inverse=True)
    of_level = np.zeros(int(level_of.max()) + 1, dtype=np.int64)
    of_level[level_of] = numbered[group_of]
    return numbered, tuple(of_level.tolist())
