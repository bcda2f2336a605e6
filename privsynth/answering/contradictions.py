"""Contradictions: what noisy tables say, beyond their noise, against what was declared and against what follows from them.

Must never see anything but noisy tables, their noise and public tables, nor speak of what noise alone might have made.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final, TypeAlias, final

import numpy as np
import numpy.typing as npt

from privsynth.dataset import Dataset
from privsynth.domain import Clique
from privsynth.generator import AbstractDistribution
from privsynth.latent.layout import summed_table
from privsynth.measurement import Groups, Transcript, measurements
from privsynth.schema import Schema
from privsynth.schema.impossible import Forbidden, forbidden_cells

Floats = npt.NDArray[np.float64]

FALSE_ALARM = 1e-5
"""The chance at most that the tables of a table that keeps all rules are said to break one; half for sums, half for cells."""

FAR: Final = 5.0
"""A table's fit (root mean square, in standard deviations of its noise and of what chance makes of rows) from which on what
follows from the tables is said not to follow this one: by chance next to never, whatever the number of tables."""

MATTERS: Final = 0.01
"""And the share of records that would have to move from which on that matters: where there is little noise, little is far."""

OPENING: Final = "Beyond the noise: "
"""What these sentences begin with in a certificate."""

ADVICE: Final = "the rule or the data is wrong: correct the schema or the table, before you release"

_HALF_90: Final = 1.6448536269514722
_MEAN_ABSOLUTE: Final = math.sqrt(2 / math.pi)
_NAMED = 3
_LONGEST = 300
"""Of a rule's own words: one that lists a thousand codes would be no sentence, and too long for a certificate."""


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Merged:
    """All noisy tables of one clique over the same groups, averaged by inverse variance; `variance` is that of a cell."""

    clique: Clique
    groups: Groups
    values: Floats
    variance: float


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class BrokenRule:
    """A declaration that more of the measured records break than noise explains.

    Units: `share` and `half`, its 90 % half-width, are parts of all records that were measured. `least` says that not all
        cells that it forbids are in the share.
    """

    what: str
    number: int
    columns: Clique
    share: float
    half: float
    least: bool

    @property
    def text(self) -> str:
        """In words, with its noise."""
        of = f" (rule {self.number} of the schema)" if self.number else ""
        what = self.what if len(self.what) <= _LONGEST else f"{self.what[:_LONGEST]} ..."
        return f"{self.amount} of the records that were measured break {what}{of}"

    @property
    def amount(self) -> str:
        """The share, with its noise."""
        digits = 1 if self.half >= 0.0005 else 2
        low, high = max(0.0, self.share - self.half), min(1.0, self.share + self.half)
        about = "at least about" if self.least else "about"
        return f"{about} {100 * self.share:.{digits}f} % ({100 * low:.{digits}f} to {100 * high:.{digits}f} % at 90 %)"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class FarTable:
    """A measured table that what is released is far from. Units: `fit` in standard deviations; `share` of records to move."""

    columns: Clique
    fit: float
    share: float


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Contradictions:
    """What is beyond the noise; the worst first."""

    rules: tuple[BrokenRule, ...] = ()
    tables: tuple[FarTable, ...] = ()

    @property
    def other_tables(self) -> tuple[FarTable, ...]:
        """Those that share no column with a broken rule, which would explain them."""
        broken = {name for rule in self.rules for name in rule.columns}
        return tuple(table for table in self.tables if not broken & set(table.columns))

    def about(self, columns: Sequence[str]) -> Contradictions:
        """What bears on a question of these columns; of none, on the number of records: every broken rule."""
        asked = set(columns)
        return Contradictions(
            rules=tuple(rule for rule in self.rules if not asked or asked & set(rule.columns)),
            tables=tuple(table for table in self.tables if asked and set(table.columns) <= asked),
        )

    def notes(self) -> list[str]:
        """For an answer that these bear on."""
        found = [f"{rule.text}, and no row drawn from the model does: {ADVICE}" for rule in self.rules]
        if self.tables:
            found.append(f"the model does not follow {named(self.tables)}")
        widened = "the interval was widened to what the model and the measured tables each say"
        return [*found, widened] if found else []

    def sentences(self) -> tuple[str, ...]:
        """One a broken rule, and one for all other tables, for a certificate."""
        found = [f"{OPENING}{rule.text}; no released row does: {ADVICE}." for rule in self.rules]
        others = self.other_tables
        if others:
            found.append(f"{OPENING}the released table does not follow {named(others)}: do not rely on what they say.")
        return tuple(found)


NOTHING: Final = Contradictions()


def spoken(limitations: Iterable[str]) -> list[str]:
    """The sentences among a certificate's limitations."""
    return [text for text in limitations if text.startswith(OPENING)]


def named(tables: Sequence[FarTable]) -> str:
    """Some tables by their columns, with how far off they are."""
    shown = [
        f"{' x '.join(one.columns)} (fit {one.fit:.0f}, about {one.share:.0%} of records)" for one in tables[:_NAMED]
    ]
    more = len(tables) - _NAMED
    return "the measured table of " + "; ".join(shown) + (f"; and {more} more" if more > 0 else "")


Told: TypeAlias = Callable[[Sequence[Merged]], list[Floats]]
"""What is released, in the cells of each of these tables: counts in any unit."""


def contradictions(schema: Schema, transcript: Transcript, told: Told, chance: float) -> Contradictions:
    """What a transcript says against the schema's rules, and against what was made of it.

    Args: `told` counts what was made of it; `chance` is the number of records that were drawn to count, infinite for a model.
    Privacy: post-processing; spends nothing.
    """
    tables = merged(schema, transcript)
    return Contradictions(rules=_broken(schema, tables), tables=_far(tables, told, chance))


def broken_rules(schema: Schema, transcript: Transcript) -> tuple[BrokenRule, ...]:
    """The declarations that the measured tables break beyond chance. Nothing where no forbidden cell was measured."""
    return _broken(schema, merged(schema, transcript))


def of_records(released: Dataset) -> Told:
    """What released records say."""

    def told(tables: Sequence[Merged]) -> list[Floats]:
        plain = iter(released.marginals([one.clique for one in tables if not one.groups]))
        counted = (released.regrouped(one.groups).marginal(one.clique) if one.groups else next(plain) for one in tables)
        return [counts.astype(np.float64) for counts in counted]

    return told


def of_model(distribution: AbstractDistribution) -> Told:
    """What a model says."""

    def told(tables: Sequence[Merged]) -> list[Floats]:
        return [_grouped(distribution.project(one.clique), one) for one in tables]

    return told


def _grouped(levels: Floats, like: Merged) -> Floats:
    if not like.groups:
        return levels
    sizes = zip(like.clique, levels.shape, strict=True)
    return summed_table(levels, [np.array(like.groups.get(name, range(size))) for name, size in sizes])


def merged(schema: Schema, transcript: Transcript) -> tuple[Merged, ...]:
    """The noisy tables, those of the same cells as one; columns in the schema's order."""
    place = {column.name: number for number, column in enumerate(schema.modelled)}
    sums: dict[tuple[Clique, tuple[tuple[str, tuple[int, ...]], ...]], tuple[Floats, float]] = {}
    for one in measurements(transcript):
        if not set(one.clique) <= set(place):
            continue
        clique = tuple(sorted(one.clique, key=place.__getitem__))
        values = one.values.astype(np.float64).transpose([one.clique.index(name) for name in clique])
        key = clique, tuple((name, one.groups[name]) for name in clique if name in one.groups)
        before, precision = sums.get(key, (np.zeros_like(values), 0.0))
        sums[key] = before + values / one.variance, precision + 1 / one.variance
    return tuple(
        Merged(clique=clique, groups=dict(groups), values=weighted / precision, variance=1 / precision)
        for (clique, groups), (weighted, precision) in sums.items()
    )


def _total(tables: Sequence[Merged]) -> float:
    """The number of records that all tables say together; at least 1."""
    precisions = [1 / (table.variance * table.values.size) for table in tables]
    return max(1.0, float(np.average([table.values.sum() for table in tables], weights=precisions)))


# --- rules ---


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Look:
    """What the tables say of cells that a declaration forbids. Shapes: `cells` is (cells,), with noise of `variance` each.

    `whole` says that these are all cells that it forbids.
    """

    of: Forbidden
    cells: Floats
    variance: float
    whole: bool


def _broken(schema: Schema, tables: Sequence[Merged]) -> tuple[BrokenRule, ...]:
    """Each declaration's clearest sign, where it is beyond the noise.

    Two tests: of the sum of all forbidden cells, which finds records that are spread over them, and of the largest of them,
    which finds those that are in one of many. Source: Bonferroni's bound, over all looks and over all their cells.
    """
    holding: dict[str, list[Merged]] = {}
    for table in tables:
        for name in table.clique:
            holding.setdefault(name, []).append(table)
    declared = forbidden_cells(schema.modelled, schema.rules)
    looks = [look for one in declared for look in _looks(one, holding)]
    if not looks:
        return ()
    sums = _bar(len(looks))
    single = _bar(sum(look.cells.size for look in looks))
    total = _total(tables)
    found: dict[int, tuple[float, BrokenRule]] = {}
    for look in looks:
        beyond = look.cells[look.cells > single * math.sqrt(look.variance)]
        for cells, bar in ((look.cells, sums), (beyond, single)):
            sigma = math.sqrt(look.variance * max(1, cells.size))
            height = float(cells.sum()) / sigma
            if height > bar and height > found.get(id(look.of), (0.0, None))[0]:
                found[id(look.of)] = (
                    height,
                    BrokenRule(
                        what=look.of.what,
                        number=look.of.number,
                        columns=look.of.clique,
                        share=min(1.0, float(cells.sum()) / total),
                        half=_HALF_90 * sigma / total,
                        least=not look.whole or cells.size < look.cells.size,
                    ),
                )
    return tuple(rule for _, rule in sorted(found.values(), key=lambda one: -one[1].share))


def _bar(tests: int) -> float:
    return NormalDist().inv_cdf(1 - FALSE_ALARM / 2 / tests)


def _looks(one: Forbidden, holding: Mapping[str, Sequence[Merged]]) -> list[_Look]:
    """The forbidden cells as they were measured: tables that say the same of them together, each other way by itself."""
    sums: dict[tuple[Clique, tuple[tuple[str, tuple[int, ...]], ...]], tuple[Floats, float]] = {}
    near = {id(table): table for name in one.clique for table in holding.get(name, ())}
    for table in near.values():
        inside = tuple(name for name in one.clique if name in table.clique)
        counts = table.values.sum(axis=tuple(axis for axis, name in enumerate(table.clique) if name not in inside))
        kept = [name for name in table.clique if name in inside]
        counts = counts.transpose([kept.index(name) for name in inside])
        precision = counts.size / (table.variance * table.values.size)
        key = inside, tuple((name, table.groups[name]) for name in inside if name in table.groups)
        before, known = sums.get(key, (np.zeros_like(counts), 0.0))
        sums[key] = before + precision * counts, known + precision
    found = []
    for (inside, groups), (weighted, precision) in sums.items():
        forbidden = _forbidden(one, inside, dict(groups))
        if forbidden.any():
            whole = inside == one.clique and _covered(forbidden, one, dict(groups))
            found.append(_Look(of=one, cells=weighted[forbidden] / precision, variance=1 / precision, whole=whole))
    return found


def _forbidden(one: Forbidden, inside: Clique, groups: Groups) -> npt.NDArray[np.bool_]:
    """The cells of some of its columns, or of groups of their levels, in which every cell is forbidden."""
    possible: npt.NDArray[np.bool_] = np.asarray(
        ~one.cells.all(axis=tuple(axis for axis, name in enumerate(one.clique) if name not in inside))
    )
    sizes = zip(inside, possible.shape, strict=True)
    numbers = [np.array(groups.get(name, range(size))) for name, size in sizes]
    return np.asarray(summed_table(np.asarray(possible, dtype=np.float64), numbers) == 0)


def _covered(forbidden: npt.NDArray[np.bool_], one: Forbidden, groups: Groups) -> bool:
    """Whether these cells of groups hold all cells that are forbidden."""
    numbers = [np.array(groups.get(name, range(size))) for name, size in zip(one.clique, one.cells.shape, strict=True)]
    return bool(forbidden[np.ix_(*numbers)].sum() == one.cells.sum())


# --- fit ---


def _far(tables: Sequence[Merged], told: Told, chance: float) -> tuple[FarTable, ...]:
    """The tables that what is released is far from.

    Rows that were drawn are rough by chance, at most as counts of as many independent rows are: that is no misfit.
    """
    if not tables:
        return ()
    total, found = _total(tables), []
    for table, counts in zip(tables, told(tables), strict=True):
        said = np.maximum(counts, 0.0) * total / max(1.0, float(counts.sum()))
        spread = table.variance + said * total / chance
        gap = said - table.values
        fit = math.sqrt(float(np.mean(gap**2 / spread)))
        share = (float(np.abs(gap).sum()) - _MEAN_ABSOLUTE * float(np.sqrt(spread).sum())) / 2 / total
        if fit > FAR and share > MATTERS:
            found.append(FarTable(columns=table.clique, fit=fit, share=share))
    return tuple(sorted(found, key=lambda one: (-one.share, one.columns)))
