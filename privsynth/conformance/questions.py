"""The same questions whatever the table: very many records, few, or none, wide columns and many columns.

Must never be run on private tables: it compares exact answers.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from privsynth.conformance import ladders, models, recount, splits
from privsynth.conformance.fits import Fit, Run, recorded, replayed
from privsynth.conformance.models import Draw
from privsynth.conformance.replays import Seen, moved, on_pair
from privsynth.conformance.tables import Laboratory, Neighbours
from privsynth.privacy.source import AbstractNoiseSource
from privsynth.records import Records
from privsynth.replay import Call, DivergedError

ELSEWHERE = ", on other columns"

_FEW_ROWS, _OTHER_ROWS = 100, 321

_SIZES = (0, 1, 60, 1000)
"""Records of the tables that a fit is replayed on: control flow may ask how many there are."""


def elsewhere(
    fit: Fit,
    run: Run | None,
    laboratory: Laboratory,
    rows: int,
    noise: AbstractNoiseSource,
    rng: np.random.Generator,
    seen: Seen,
) -> None:
    """What only other tables show: of very many records, few, or none, of a wide column, whose levels may be merged, of many.

    Given its answers a fit is the same on any table with its schema, however far apart the two are.
    Args: `run` is a fit on a small table of the laboratory; None where there is none.
    """
    if run is not None:
        on_sizes(fit, run, laboratory, rng, seen)
        _on_crowds(fit, run, laboratory, seen)
        ladders.climb(fit, laboratory, noise, rng, seen)
    for other in (laboratory.wide(), laboratory.broad()):
        _on_columns(fit, other, rows, noise, rng, seen)
    seen.diverged.extend(splits.problems(laboratory, rng))


def on_sizes(fit: Fit, run: Run, laboratory: Laboratory, rng: np.random.Generator, seen: Seen) -> None:
    """Replay a fit on tables of other sizes."""
    _on_others(fit, run, [laboratory.table(rows, rng) for rows in _SIZES], seen)


def _on_columns(
    fit: Fit, laboratory: Laboratory, rows: int, noise: AbstractNoiseSource, rng: np.random.Generator, seen: Seen
) -> None:
    pair, empty = next(iter(laboratory.neighbours(laboratory.table(rows, rng)))), laboratory.table(0, rng)
    if _refused(fit, (pair.table, empty), noise):
        return
    told = on_pair(fit, pair, 1, noise, ELSEWHERE, seen)
    if told is not None:
        _on_others(fit, told[0], [empty], seen)
        _on_crowds(fit, told[0], laboratory, seen)


def _on_crowds(fit: Fit, run: Run, laboratory: Laboratory, seen: Seen) -> None:
    crowds = laboratory.crowds()
    answered = _on_others(fit, run, [crowds.table, crowds.other], seen)
    if answered is not None:
        seen.moved.extend(moved(crowds, 1, run, answered[0], answered[1], seen.unit))
        seen.miscounted.extend(recount.unmoved(run, answered))


def _on_others(fit: Fit, run: Run, tables: Sequence[Records], seen: Seen) -> list[list[Call]] | None:
    """Replay a fit on tables that need not be neighbours; None where it went another way."""
    try:
        answered = [replayed(fit, table, run) for table in tables]
    except DivergedError as difference:
        seen.diverged.append(f"other tables: {difference}")
        return None
    for table, calls in zip(tables, answered, strict=True):
        seen.miscounted.extend(recount.problems(run, calls, table, seen.unit))
    return answered


def _refused(fit: Fit, tables: Sequence[Records], noise: AbstractNoiseSource) -> bool:
    """Whether a fit refuses all tables of this form, whatever they hold: then there is nothing to learn from its refusal."""
    for table in tables:
        try:
            recorded(fit, table, noise)
        except DivergedError:
            continue
        return False
    return True


def of_models(
    draw: Draw,
    pair: Neighbours,
    laboratory: Laboratory,
    noise: AbstractNoiseSource,
    rng: np.random.Generator,
    seen: Seen,
) -> None:
    """What models give out, of two neighbouring tables and of one with more records, and of tables with many columns."""
    more = "another number of records"
    others = {pair.what: pair.other, more: laboratory.table(_OTHER_ROWS, rng)}
    broad = laboratory.broad()
    for table, rest in (pair.table, others), (broad.table(_FEW_ROWS, rng), {more: broad.table(_OTHER_ROWS, rng)}):
        seen.drawn.extend(models.problems(draw, table, rest, noise, int(rng.integers(1 << 32))))
