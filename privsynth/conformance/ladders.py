"""Neighbouring tables at many counts: one person more where 1, 2, ... or 1,000 like them are there, or with far too many rows.

Must never be run on private tables: it compares exact answers.
"""

from __future__ import annotations

import numpy as np

from privsynth.conformance.fits import Fit, recorded, replayed
from privsynth.conformance.replays import Seen, moved
from privsynth.conformance.tables import Laboratory, Neighbours
from privsynth.privacy.source import AbstractNoiseSource
from privsynth.replay import DivergedError

_FIRST = 8
STEPS = (*range(_FIRST + 1), *(round(_FIRST * 1.25**step) for step in range(1, 23)))
"""How many like them are there: one more each time, then a quarter more: less than what comes at once where a threshold is."""

_COARSE = 4
"""Of a generator that trains, whose fits take longer, every fourth step is climbed."""

_ROWS = 200
_MOST = 2000
"""Rows of such units, beyond the first steps."""


def climb(fit: Fit, laboratory: Laboratory, noise: AbstractNoiseSource, rng: np.random.Generator, seen: Seen) -> None:
    """Replay a fit with more and more persons who are all alike, and with one who has far more rows than are allowed.

    Between two steps no answer may move further than so many persons move it: counts below a threshold that are left out, or
    written as zero, all come at once.
    """
    base = laboratory.table(_ROWS, rng)
    every = STEPS[:: _COARSE if seen.plan else 1]
    steps = [count for count in every if count <= _FIRST or count * laboratory.unit.max_rows <= _MOST]
    tables = ((count, laboratory.alike(base, count, of=steps[-1])) for count in steps)
    last, table = next(tables)
    try:
        run = recorded(fit, table, noise)
        greedy = Neighbours(what="a unit of far too many rows", table=table, other=laboratory.greedy(table))
        seen.moved.extend(moved(greedy, 1, run, run.noise.calls, replayed(fit, greedy.other, run), seen.unit))
        calls = run.noise.calls
        for count, more in tables:
            pair = Neighbours(what=f"{count} units that are alike, not {last}", table=table, other=more)
            before, calls = calls, replayed(fit, more, run)
            seen.moved.extend(moved(pair, count - last, run, before, calls, seen.unit))
            last, table = count, more
    except DivergedError as difference:
        seen.diverged.append(f"units that are alike: {difference}")
