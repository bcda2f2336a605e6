"""Predicting errors: how far the tables of a fit are expected to be from the truth, column by column and pair by pair.

Must never see anything but a transcript's tables: whoever has a release can tell its errors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias, final

import numpy as np
import numpy.typing as npt

from privsynth import progress
from privsynth.latent.dealing import Codes, draw_independently, split_groups
from privsynth.latent.fitted import Fitted
from privsynth.latent.layout import group_sums, pair_counts
from privsynth.latent.margins import Column, columns_of, drawn_errors, mixed
from privsynth.latent.mixture import Mixture
from privsynth.latent.observed import Observed
from privsynth.latent.replacing import replace_impossible
from privsynth.structural import StructuralZeros

Floats = npt.NDArray[np.float64]

Refit: TypeAlias = Callable[[Observed], Fitted]
"""The same fit of other tables of the same kind; errors need not be predicted."""

_REPLICATES, _MADE_UP = 4, 200_000
"""Refits to made-up records' tables, noised again, and at most how many records are made up for each: the roughness of more
records is below any noise."""

_DRAWS, _FEWEST, _DRAWN, _MOVED = 64, 4, 64_000, 2_000_000
"""Draws of what margins may really be; fewer, down to four, where these would be of more levels, or of more cells of a table,
than so many in all: there, sums over cells are as good as means over draws."""

_CLEAR = 3.0
"""Groups of more records than so many standard deviations show what part of the counts' noise a fit keeps."""

_BIASES = np.append(0.0, np.exp2(np.arange(-1.0, 15.0)))
"""Squared distances of a pair's table from the truth that refits do not have, in units of the noise's variance in a cell."""

_SWEEPS = 5
_LEAST = 1e-9


def expected_errors(seen: Observed, fitted: Fitted, refit: Refit, seed: int) -> Floats:
    """Expected L1 errors of all normalised tables: of pairs, and on the diagonal of single attributes.

    Records are made up from the fit, with all of chance's roughness and under the schema's rules; their tables are noised as
    the real ones were, and fitted: that is what pairs err by where the fit is the truth. Two things are added that refits
    cannot show. Margins: a rare level's error depends on what was counted of it (`margins`), so that part of a pair's error,
    which is most of it where both columns are nearly always the same, is replaced by draws of what the counts may really be.
    And misfit: where a pair's noisy table lies further from the fit than those of refits do, the fit is off by the more.
    Source: Efron 2004 (parametric bootstrap of prediction error); Efron 2010 (empirical Bayes).
    """
    rng = np.random.default_rng(seed)
    columns = columns_of(seen, fitted.total, rng)
    found = []
    for number in range(_REPLICATES):
        progress.report("expected errors", number, _REPLICATES)
        found.append(_replicate(seen, fitted, refit, columns, rng))
    errors, own = (np.mean(each, axis=0) for each in zip(*((one.errors, one.own) for one in found), strict=True))
    ratio = _misfit(seen, fitted, found)
    levels = fitted.fine.sizes == seen.domain.sizes
    margins = own
    if levels:
        part = sum(one.kept for one in found) / max(1, sum(one.counted for one in found))
        draws = int(np.clip(_DRAWN // fitted.fine.total, _FEWEST, _DRAWS))
        apart = [one / fitted.total for one in drawn_errors(columns, fitted, part, draws, rng)]
        margins = _of_margins(fitted, apart)
    joint = np.maximum(errors**2 - own**2, 0.0)
    out = np.sqrt(margins**2 + ratio * joint)
    np.fill_diagonal(out, np.diag(margins))
    out = np.minimum(2.0, out)
    return out if levels else of_levels(out, fitted, seen)


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Replicate:
    """What one refit shows.

    Shapes: (attributes, attributes): `errors` of pairs' tables (L1), and of single attributes on the diagonal; `own`, the part
        of them that margins make; `squares`, of the mixture's pair cells, and `apart`, of the noisy ones from these, both
        without their margins, in units of the noise's variance. `kept` is the sum over `counted` clear groups of squared
        errors in units of their counts' variance.
    """

    errors: Floats
    own: Floats
    squares: Floats
    apart: Floats
    kept: float
    counted: int


def _replicate(
    seen: Observed, fitted: Fitted, refit: Refit, columns: Sequence[Column], rng: np.random.Generator
) -> _Replicate:
    """Make up records, noise their tables, fit them, and compare."""
    truth, levels = made_up(fitted, seen, rng)
    drawn, _ = replace(seen, pairs=truth.grouped).with_noise(1.0, rng)
    noisy = tuple(
        counts + np.sqrt(variance) * rng.standard_normal(len(counts))
        for counts, variance in zip(levels, seen.level_variances, strict=True)
    )
    again = refit(replace(drawn, levels=noisy))
    assert again.tables is not None
    assert drawn.pairs is not None
    difference = again.tables / again.total - truth.tables / truth.total
    errors, own = np.zeros_like(fitted.pair_error), np.zeros_like(fitted.pair_error)
    for i, j in fitted.fine.pairs():
        apart = difference[fitted.fine.part(i), fitted.fine.part(j)]
        errors[i, j] = errors[j, i] = np.abs(apart).sum()
        moved = moved_margins(_table(fitted, i, j), apart.sum(axis=1)[:, None], apart.sum(axis=0)[:, None])
        own[i, j] = own[j, i] = np.abs(moved).sum()
    kept, counted = _kept(again, levels, columns, errors)
    np.fill_diagonal(own, np.diag(errors))
    model = again.total * again.mixture.pairs()
    return _Replicate(
        errors=errors,
        own=own,
        squares=_without_margins(model - truth.grouped, seen),
        apart=_without_margins(drawn.pairs - model, seen),
        kept=kept,
        counted=counted,
    )


def _kept(again: Fitted, levels: Sequence[Floats], known: Sequence[Column], errors: Floats) -> tuple[float, int]:
    """Errors of single attributes, onto the diagonal; and the squares of clear groups' in units of their counts' variance."""
    margins = again.mixture.layout.split(again.mixture.one_way())
    kept, counted = 0.0, 0
    total = float(levels[0].sum())
    for axis, (chance, column) in enumerate(zip(margins, known, strict=True)):
        of = column.group_of
        errors[axis, axis] = np.abs(levels[axis] / total - chance[of] * again.within[axis]).sum()
        variance = column.variance * (1 - column.variance / column.variance.sum())
        clear = (column.groups > _CLEAR * np.sqrt(column.variance)) & (len(chance) > 1)
        apart = (total * chance - group_sums(levels[axis], of)) ** 2 / np.maximum(variance, 1e-300)
        kept += float(apart[clear].sum())
        counted += int(clear.sum())
    return kept, counted


def _table(fitted: Fitted, i: int, j: int) -> Floats:
    """A pair's normalised table, no cell quite empty where both levels are not."""
    assert fitted.tables is not None
    table = fitted.tables[fitted.fine.part(i), fitted.fine.part(j)] / fitted.total
    return np.asarray(table + _LEAST * np.outer(table.sum(axis=1) + _LEAST, table.sum(axis=0) + _LEAST))


def moved_margins(table: Floats, rows: Floats, columns: Floats) -> Floats:
    """What a table's cells change by when its margins change a little, and its odds ratios do not: raking, made linear.

    Shapes: `table` (r, c), `rows` (r, changes), `columns` (c, changes), summing to the same -> (r, c, changes).
    """
    by_row, by_column = table.sum(axis=1)[:, None], table.sum(axis=0)[:, None]
    up, across = rows / by_row, np.zeros_like(columns)
    for _ in range(_SWEEPS):
        across = (columns - table.T @ up) / by_column
        up = (rows - table @ across) / by_row
    return np.asarray(table[:, :, None] * (up[:, None, :] + across[None, :, :]))


def _of_margins(fitted: Fitted, apart: Sequence[Floats]) -> Floats:
    """The part of expected errors that margins make, from draws of theirs. Shapes: `apart[i]` (levels of i, draws)."""
    out = np.diag([np.abs(one).sum(axis=0).mean() for one in apart])
    for i, j in fitted.fine.pairs():
        table = _table(fitted, i, j)
        sums, used = table.sum(), max(_FEWEST, _MOVED // table.size)
        rows, columns = apart[i][:, :used], apart[j][:, :used]
        rows = rows - rows.sum(axis=0) * table.sum(axis=1)[:, None] / sums
        columns = columns - columns.sum(axis=0) * table.sum(axis=0)[:, None] / sums
        out[i, j] = out[j, i] = np.abs(moved_margins(table, rows, columns)).sum(axis=(0, 1)).mean()
    return out


def _without_margins(apart: Floats, seen: Observed) -> Floats:
    """Squares of pair cells, in units of their noise's variance, summed over each pair, after its margins are taken out.

    Shapes: (groups, groups) -> (attributes, attributes).
    """
    out = np.zeros_like(seen.sigma)
    for i, j in seen.layout.pairs():
        rows, columns = seen.layout.part(i), seen.layout.part(j)
        block = np.where(seen.possible[rows, columns], apart[rows, columns], 0.0)
        centred = block - block.mean(axis=0) - block.mean(axis=1, keepdims=True) + block.mean()
        out[i, j] = out[j, i] = (centred**2).sum() / seen.sigma[i, j] ** 2
    return out


def _misfit(seen: Observed, fitted: Fitted, found: Sequence[_Replicate]) -> Floats:
    """By how much the squared error of each pair's table is larger than refits show: their ratio, at least 1.

    A noisy table's squared distance from the fit is known, on average, from refits, if the fit is as good as they are; a pair's
    alone is uncertain by its noise, and so how large what lies beyond it is, is told from all pairs together.
    """
    assert seen.pairs is not None
    apart = _without_margins(seen.pairs - fitted.total * fitted.mixture.pairs(), seen)
    above = np.triu_indices(len(seen.layout), 1)
    usual, squares = (
        np.mean(each, axis=0)[above] for each in zip(*((one.apart, one.squares) for one in found), strict=True)
    )
    free = usual > 0  # of an attribute with one level, margins are all there is
    noise = 2 * usual[free] * (1 + 1 / len(found))
    variance = noise[:, None] + 4 * _BIASES
    beyond = (apart[above] - usual)[free, None] - _BIASES
    bias = np.zeros(len(usual))
    bias[free] = mixed(-0.5 * np.log(variance) - 0.5 * beyond**2 / variance) @ _BIASES
    out = np.ones_like(apart)
    out[above] = 1 + bias / np.maximum(squares, 1e-300)
    return np.asarray(np.maximum(out, out.T))


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Truth:
    """Pair tables of made-up records. Shapes: as in `Fitted`."""

    total: float
    grouped: Floats
    tables: Floats


def made_up(fitted: Fitted, seen: Observed, rng: np.random.Generator) -> tuple[Truth, list[Floats]]:
    """Tables of independent records, as many as there are or `_MADE_UP`, that keep the rules; and their counts of levels."""
    rows = min(round(fitted.total), _MADE_UP)
    codes = _keeping_rules(fitted, seen, _independent(fitted, seen, rows, rng), rng)
    groups = [of[column] for of, column in zip(seen.group_of, codes, strict=True)]
    scale = fitted.total / rows
    grouped = pair_counts(groups, seen.layout) * scale
    tables = grouped if fitted.fine is seen.layout else pair_counts(codes, fitted.fine) * scale
    sizes = seen.domain.sizes
    counts = (np.bincount(column, minlength=size) for column, size in zip(codes, sizes, strict=True))
    return Truth(total=fitted.total, grouped=grouped, tables=tables), [scale * one.astype(np.float64) for one in counts]


def _keeping_rules(fitted: Fitted, seen: Observed, codes: list[Codes], rng: np.random.Generator) -> list[Codes]:
    """Rows that a rule rules out are replaced, as they are in records."""
    if seen.domain.impossible:
        shares = shares_of(fitted.mixture, seen.group_of, fitted.within)
        zeros = StructuralZeros(seen.domain)
        replace_impossible(codes, zeros, shares, lambda rows: _independent(fitted, seen, rows, rng), rng)
    return codes


def _independent(fitted: Fitted, seen: Observed, rows: int, rng: np.random.Generator) -> list[Codes]:
    parts = zip(draw_independently(fitted.mixture, rows, rng), seen.group_of, fitted.within, strict=True)
    return [split_groups(*part, rng) for part in parts]


def shares_of(mixture: Mixture, group_of: Sequence[npt.NDArray[np.int64]], within: Sequence[Floats]) -> list[Floats]:
    """Each attribute's shares of levels. Shapes: (levels of i,), summing to 1."""
    found = []
    for of, share, mass in zip(group_of, within, mixture.layout.split(mixture.one_way()), strict=True):
        inside = np.bincount(of, weights=share, minlength=len(mass))
        wide = np.divide(mass, inside, out=np.zeros(len(mass)), where=inside > 0)[of] * share
        found.append(wide / wide.sum())
    return found


def of_levels(errors: Floats, fitted: Fitted, seen: Observed) -> Floats:
    """Errors of tables over levels, from those of tables over groups.

    Inside groups, shares err as their attribute's one-way table does. And records fall on a group's cells by chance: a cell of
    m expected records is off by sqrt(2 m / pi) on average (at most 2 m), which no model can know.
    """
    layout = fitted.mixture.layout
    counts = np.maximum(fitted.total * fitted.mixture.pairs(), 0.0)
    spread = np.concatenate(
        [np.bincount(of, weights=np.sqrt(share)) for of, share in zip(seen.group_of, fitted.within, strict=True)]
    )
    by_chance = np.sqrt(2 / np.pi * counts)
    more = np.minimum(2 * counts, by_chance * np.outer(spread, spread)) - np.minimum(2 * counts, by_chance)
    single = np.diag(errors)
    out = np.sqrt(errors**2 + single[:, None] ** 2 + single[None, :] ** 2)
    for i, j in layout.pairs():
        out[i, j] = out[j, i] = out[i, j] + more[layout.part(i), layout.part(j)].sum() / fitted.total
    np.fill_diagonal(out, single)
    return np.minimum(2.0, out)
