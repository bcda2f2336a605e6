"""Row bounds: how many rows of one unit a release was made of, beside the rows that the real tables have.

Must never choose rows by what is in them: a unit's rows are drawn as a fit draws them.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from privsynth.privacy.unit import PrivacyUnit, bound_contributions
from privsynth.records import Records

KEY_BYTES: Final = 32


def bounded(table: Records, unit: PrivacyUnit, *, key: bytes) -> Records:
    """At most `unit.max_rows` rows of each unit, drawn at random as in a fit; every row where rows are the units.

    Privacy: the rows are real ones, for internal figures alone: nothing here is noisy, and the draw is no secret.
    """
    return table if unit.column is None else bound_contributions(table, unit, key)


def counted(unit: PrivacyUnit) -> str | None:
    """Which real rows count where a release's unit is known; None where each row is its own unit."""
    if unit.column is None:
        return None
    return f"of each {unit.name} at most {_rows(unit)} counts, drawn at random, as in the release"


def not_named(table: Records) -> str | None:
    """What to mind where no release is named; None where no unit has several rows."""
    unit = table.schema.unit
    if unit is None or not _has_more(table, 1):
        return None
    return (
        f'all real rows count: if the release was made of fewer rows of each "{unit}" than the real table has, name it with '
        "--release, or the figures are about that difference too"
    )


def joined(table: Records, unit: PrivacyUnit | None) -> str | None:
    """What to mind where synthetic rows are used beside all real ones; None where they were made of as many rows of each unit.

    Args: `unit` is that of the release or the model; None of a table of which nothing is known.
    """
    column = table.schema.unit
    of_rows = unit is not None and unit.column is None
    if column is None or of_rows or not _has_more(table, 1 if unit is None else unit.max_rows):
        return None
    if unit is None:
        return (
            f'how many rows of each "{column}" the synthetic table was made of is not known: if fewer than the real table has, '
            "its rows are not like all real rows, and what is found may come from that alone; give the folder of the release, "
            "or the model"
        )
    return (
        f'the generator used at most {_rows(unit)} of each "{column}", drawn at random, and the real table has more of some: '
        "synthetic rows are like the rows it used and not like all real rows, and what is found may come from that alone; a "
        "generator of more rows of each unit (max_rows) is like more of them"
    )


def used(unit: PrivacyUnit | None) -> str:
    """What a fit used, to follow what it spent; empty where each row is its own unit."""
    return "" if unit is None or unit.column is None else f", of which it used at most {_rows(unit)}, drawn at random"


def _rows(unit: PrivacyUnit) -> str:
    return f"{unit.max_rows} row" + ("" if unit.max_rows == 1 else "s")


def _has_more(table: Records, rows: int) -> bool:
    return table.units is not None and bool((np.bincount(table.units) > rows).any())
