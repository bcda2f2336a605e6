"""What the public numbers of a release of several tables say: each view's intervals and errors, and numbers of rows.

Must never see anything but noisy answers that were paid for and the released tables.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, final

import numpy as np
import numpy.typing as npt

from privsynth.database.document import DatabaseSchema, TableTerms
from privsynth.database.held import Database
from privsynth.database.terms import MOST_ROWS
from privsynth.dataset import Dataset
from privsynth.domain import Clique
from privsynth.histories import across
from privsynth.histories.layout import Attribute, View, views
from privsynth.histories.measuring import Measured, in_units
from privsynth.histories.spans import size_levels
from privsynth.histories.viewing import view_datasets
from privsynth.measurement import Purchase, Transcript
from privsynth.report.claims import Claims
from privsynth.report.numbers import INTERVAL_SIGMAS, Bought, ColumnNumbers, column_numbers, pair_error
from privsynth.schema.levels import level_names
from privsynth.schema.ticks import MISSING

_KEY: Final = bytes(32)
"""Chooses which released rows are compared with the noisy answers; released rows need no secret."""

_WEEKDAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS: Final = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October")


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ViewNumbers:
    """One table: what was learned of its view, and the released rows counted in the same way.

    `columns` has every attribute of the view in order, those of rows above and before included. Shapes: `pair_errors` is
        (pairs,), total variation distances, nan where nothing is known. `predicted` are the generator's L1 errors of pairs.
    """

    table: TableTerms
    view: View
    used: int
    bought: Bought
    columns: list[ColumnNumbers]
    pair_errors: npt.NDArray[np.float64]
    measured_pairs: int
    purchase: Purchase | None
    transcript: Transcript
    released: Dataset
    predicted: Mapping[Clique, float]

    def own(self, *kinds: str) -> list[tuple[Attribute, ColumnNumbers]]:
        """The attributes of the table's own rows of these kinds."""
        found = dict(zip(self.view.domain().attributes, self.columns, strict=True))
        return [(one, found[one.name]) for one in self.view.own if one.kind in kinds]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """A share of units with the half-width of its 95 % interval, None where it is read off the released tables.

    `reached` says that it is of units with as many rows as are used or more: more were not told apart.
    """

    share: float
    half: float | None
    reached: bool = False


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DatabaseFacts:
    """Everything the sections of a database's page draw on, computed once."""

    claims: Claims
    schema: DatabaseSchema
    released: Database
    views: Mapping[str, ViewNumbers]
    broken: Mapping[str, int]

    @property
    def unit(self) -> str:
        """What one privacy unit is called."""
        return self.claims.text("guarantee.unit.name")

    @property
    def rows(self) -> int:
        """Released rows of all tables."""
        return sum(self.released.tables[table.name].count for table in self.schema.tables if table.listed)

    def over(self, table: TableTerms) -> Share:
        """The share of units that have more rows in this table than are used, or as many where no more are told apart."""
        assert table.bound is not None
        numbers = self.views.get(table.name)
        used = numbers.used if numbers is not None else table.bound.largest
        found: list[Share] = []
        if numbers is not None and numbers.purchase is not None:
            found.append(_over_bought(numbers.purchase, used))
        root = self.views.get(self.schema.root.name)
        if root is not None and table.parent_name == self.schema.root.name:
            most = table.bound.largest
            found.append(_over_counted(root, table, min(used, most - 1), reached=most <= used))
        if found:
            return min(found, key=lambda one: (one.reached, one.half))
        sizes = np.bincount(self.released.tables[table.name].unit, minlength=self.released.units)
        return Share(share=float(np.mean(sizes > used)) if sizes.size else 0.0, half=None)


def gather(
    predicate: Mapping[str, object],
    schema: DatabaseSchema,
    measured: Measured,
    released: Database,
    predicted: Mapping[str, Mapping[Clique, float]],
) -> DatabaseFacts:
    """Compute everything that the sections draw on, once."""
    broken = across.broken(schema, released)
    datasets = view_datasets(released, _KEY, measured.used)
    return DatabaseFacts(
        claims=Claims(predicate),
        schema=schema,
        released=released,
        views={
            name: _numbers(schema, view, measured, datasets[name], predicted.get(name, {}))
            for name, view in views(schema).items()
        },
        broken={text: int(mask.sum()) for text, mask in broken.items()},
    )


def _numbers(
    schema: DatabaseSchema, view: View, measured: Measured, released: Dataset, predicted: Mapping[Clique, float]
) -> ViewNumbers:
    transcript, table = measured.transcripts[view.table], schema.table(view.table)
    bought = Bought(in_units(schema, view.table, transcript), view.domain())
    labels = [attribute_labels(schema, one) for one in view.attributes]
    purchases = [entry for entry in transcript if isinstance(entry, Purchase)]
    pairs = itertools.combinations(view.domain().attributes, 2)
    return ViewNumbers(
        table=table,
        view=view,
        used=measured.used[view.table],
        bought=bought,
        columns=column_numbers(bought, released, labels),
        pair_errors=np.array([pair_error(bought, pair, predicted) for pair in pairs]),
        measured_pairs=len({pair for entry in bought.tables for pair in itertools.combinations(entry.clique, 2)}),
        purchase=purchases[0] if purchases else None,
        transcript=transcript,
        released=released,
        predicted=predicted,
    )


def attribute_labels(schema: DatabaseSchema, one: Attribute) -> tuple[str, ...]:
    """Name every level of an attribute for a reader. Shapes: (size,)."""
    found: tuple[str, ...]
    match one.kind:
        case "weekday":
            found = _WEEKDAYS
        case "month":
            found = (*_MONTHS, "November", "December")
        case "shared":
            found = ("another day", "a shared day")
        case "column":
            content = schema.table(one.table).content
            assert content is not None
            found = level_names(content.modelled_column(one.of))
        case _:
            found = _spans(one, "first row" if one.kind == "gap" else "none")
    return (*found, "no such row") if one.absent else found


def _spans(one: Attribute, missing: str) -> tuple[str, ...]:
    assert one.layout is not None
    first, last = one.layout.span(np.arange(one.layout.size))
    return tuple(
        missing if low == MISSING else str(low) if low == high else f"{low} to {high}"
        for low, high in zip(first.tolist(), last.tolist(), strict=True)
    )


def _over_counted(root: ViewNumbers, table: TableTerms, beyond: int, *, reached: bool) -> Share:
    """The units that have more rows than `beyond`, from the noisy numbers of units by how many rows they have."""
    for one, numbers in root.own("count"):
        if one.of == table.name and numbers.share is not None and one.layout is not None:
            first, _ = one.layout.span(np.arange(one.layout.size))
            above = first > beyond
            half = INTERVAL_SIGMAS * numbers.sigma * math.sqrt(int(above.sum())) / root.bought.total
            return Share(share=float(np.clip(numbers.share[above].sum(), 0, 1)), half=half, reached=reached)
    return Share(share=0.0, half=math.inf, reached=reached)


def _over_bought(purchase: Purchase, used: int) -> Share:
    """From the noisy numbers of units that the bound was bought with."""
    levels = size_levels(MOST_ROWS)
    noisy: npt.NDArray[np.float64] = np.array([int(text) for text in purchase.found[1:]], dtype=np.float64)
    first, _ = levels.span(np.arange(levels.size))
    above, total = first > used, max(1.0, float(noisy.sum()))
    sigma = math.sqrt(float(purchase.event.sigma_squared or 0))
    half = INTERVAL_SIGMAS * sigma * math.sqrt(int(above.sum())) / total
    return Share(share=float(np.clip(noisy[above].sum() / total, 0, 1)), half=half)
