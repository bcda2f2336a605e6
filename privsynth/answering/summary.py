"""Summary: expected errors of all columns and pairs of a model, for who reads a quote or the files of a release.

Must never hold a number that does not follow from a transcript.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, final

import numpy as np

from privsynth.answering.table_errors import ExpectedError, table_error
from privsynth.generator import AbstractDistribution
from privsynth.measurement import Measurement, Transcript, measurements

MOST_PAIRS: Final = 2000
"""Pairs whose errors a release's measurements.json lists: all of 63 columns."""

_DIGITS: Final = 4


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class TypicalError:
    """The expected error of a typical table of one kind: medians over all of them that anything is known of.

    Units: `cell_rows` and `cell_share` are 90 % half-widths of one cell, in records and as a part of all; `l1` and `l1_upper`
        are the expected L1 error of a normalised table and what nine in ten stay below.
    """

    tables: int
    l1: float
    l1_upper: float
    cell_rows: float
    cell_share: float

    def to_json(self) -> dict[str, object]:
        """A JSON object."""
        return {
            "tables": self.tables,
            "expectedL1": self.l1,
            "upper90": self.l1_upper,
            "cellRows90": self.cell_rows,
            "cellShare90": self.cell_share,
        }


def all_errors(distribution: AbstractDistribution, transcript: Transcript, size: int) -> list[ExpectedError]:
    """The expected errors of all tables of so many attributes that anything is known of."""
    domain, tables = distribution.domain, measurements(transcript)
    holding: dict[str, list[Measurement]] = {name: [] for name in domain.attributes}
    for table in tables:
        for name in table.clique:
            holding[name].append(table)
    found = []
    for clique in itertools.combinations(domain.attributes, size):
        near: Sequence[Measurement] = holding[clique[0]]
        for name in clique[1:]:
            near = [table for table in near if name in table.clique]
        found.append(table_error(clique, domain, distribution, near))
    return [one for one in found if one.l1 is not None]


def typical(
    distribution: AbstractDistribution, transcript: Transcript, size: int, *, scale: float
) -> TypicalError | None:
    """The typical error of tables of so many attributes; None where nothing is known of any.

    Args: `scale` is how many records stand behind each of those that were fitted.
    """
    found = all_errors(distribution, transcript, size)
    if not found:
        return None
    columns = [(one.l1, one.l1_upper_90, one.cell_count_90, one.cell_share_90) for one in found]
    middle = np.median(np.array(columns, dtype=np.float64), axis=0).tolist()
    return TypicalError(
        tables=len(found), l1=middle[0], l1_upper=middle[1], cell_rows=scale * middle[2], cell_share=middle[3]
    )


def to_json(distribution: AbstractDistribution, transcript: Transcript) -> dict[str, object]:
    """What a release's measurements.json says of errors: of every column, and of pairs up to a number.

    Units: `l1` and `upper90` of normalised tables; `cellRows90` is the 90 % half-width of one cell's count, in records.
    """
    pairs = all_errors(distribution, transcript, 2) if _pairs(distribution) <= MOST_PAIRS else []
    return {
        "level": 0.9,
        "records": round(distribution.total),
        "columns": {one.clique[0]: _rounded(one) for one in all_errors(distribution, transcript, 1)},
        "pairs": [{"columns": list(one.clique), **_rounded(one)} for one in pairs],
        "pairsLeftOut": _pairs(distribution) - len(pairs),
    }


def _pairs(distribution: AbstractDistribution) -> int:
    count = len(distribution.domain)
    return count * (count - 1) // 2


def _rounded(one: ExpectedError) -> dict[str, float]:
    assert one.l1 is not None
    assert one.l1_upper_90 is not None
    assert one.cell_count_90 is not None
    return {
        "l1": round(one.l1, _DIGITS),
        "upper90": round(one.l1_upper_90, _DIGITS),
        "cellRows90": round(one.cell_count_90, 1),
    }


def lines(single: TypicalError | None, pair: TypicalError | None) -> list[str]:
    """What a quote says of errors."""
    out = []
    for what, one in (("the count of one value of a column", single), ("a cell of two columns' table", pair)):
        if one is not None:
            out.append(
                f"{what} is within +- {one.cell_rows:,.0f} rows ({one.cell_share:.2%} of the declared size) 9 times in 10; "
                f"expected L1 error of the table {one.l1:.3f}, below {one.l1_upper:.3f} 9 times in 10"
            )
    return out
