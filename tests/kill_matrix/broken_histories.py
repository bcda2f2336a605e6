"""Defects of the path from several tables to noisy answers, put into the library for the length of a test."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from privsynth.database.held import Database
from privsynth.database.terms import MOST_ROWS
from privsynth.dataset import Dataset
from privsynth.histories import bounding, kinship, measuring, viewing
from privsynth.histories.layout import Attribute, View
from privsynth.histories.measuring import HistoryPlan, Measured
from privsynth.measurement import Measurement, Purchase
from privsynth.privacy import curator
from privsynth.privacy.unit import PrivacyUnit
from tests.kill_matrix.contributions import first_of_each

Ints = npt.NDArray[np.int64]


def uncounted(patch: pytest.MonkeyPatch) -> None:
    """A curator that does not count again what units weigh."""
    patch.setattr(curator, "require_bounded", lambda dataset, unit: None)


def all_rows(patch: pytest.MonkeyPatch) -> None:
    uncounted(patch)
    patch.setattr(viewing, "used_rows", lambda database, table, most, key: np.arange(database.tables[table].count))


def raw_table(patch: pytest.MonkeyPatch) -> None:
    """The bounded records are made, and others are measured."""
    uncounted(patch)
    every = {"patients": 1, "stays": 1000, "notes": 1000}
    bounded = viewing.view_datasets

    def raw(database: Database, key: bytes, used: Mapping[str, int]) -> dict[str, Dataset]:
        assert bounded(database, key, used)
        return bounded(database, key, every)

    patch.setattr(measuring, "view_datasets", raw)


def weights_of_one(patch: pytest.MonkeyPatch) -> None:
    uncounted(patch)
    patch.setattr(viewing, "weights_of", lambda terms, unit: np.full(len(unit), bounding.weight_scale(terms)))


def weights_in_each_parent(patch: pytest.MonkeyPatch) -> None:
    uncounted(patch)
    right = viewing._Coder.dataset

    def dataset(coder: Any, view: View, most: int) -> Dataset:
        found = right(coder, view, most)
        if view.table != "notes":
            return found
        rows = coder._database.tables[view.table]
        at = bounding.used_rows(coder._database, view.table, most, coder._key)
        siblings = np.unique(np.stack([rows.unit[at], rows.parent[at]]), axis=1, return_inverse=True)[1].reshape(-1)
        return replace(found, weights=most // np.bincount(siblings)[siblings])

    patch.setattr(viewing._Coder, "dataset", dataset)


def measured_as(patch: pytest.MonkeyPatch, change: Callable[[Measured], Measured]) -> None:
    """Change what is said of a fit after it was made."""
    right = measuring.measure
    patch.setattr(measuring, "measure", lambda *given, **named: change(right(*given, **named)))


def forgotten_child(patch: pytest.MonkeyPatch) -> None:
    measured_as(patch, lambda found: replace(found, transcripts=dict(list(found.transcripts.items())[:-1])))


def forgotten_purchase(patch: pytest.MonkeyPatch) -> None:
    def change(found: Measured) -> Measured:
        kept = {
            table: tuple(entry for entry in entries if not isinstance(entry, Purchase))
            for table, entries in found.transcripts.items()
        }
        return replace(found, transcripts=kept)

    measured_as(patch, change)


def child_under_another_name(patch: pytest.MonkeyPatch) -> None:
    """The events of the last table are entered again for the one before it, and its own are left out."""

    def change(found: Measured) -> Measured:
        *rest, last = found.transcripts
        moved = {table: found.transcripts[table] for table in rest}
        moved[rest[-1]] += found.transcripts[last]
        return replace(found, transcripts=moved)

    measured_as(patch, change)


def whole_budget_each(patch: pytest.MonkeyPatch) -> None:
    right = measuring.measure

    def measure(database: Any, plan: HistoryPlan, *given: Any, **named: Any) -> Measured:
        larger = replace(plan.budget, rho=plan.budget.rho * len(plan.shares))
        return right(database, replace(plan, budget=larger), *given, **named)

    patch.setattr(measuring, "measure", measure)


def stranger_before(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        viewing, "rows_before", lambda database, table, key: np.arange(database.tables[table].count, dtype=np.int64) - 1
    )


def keyed_by_place(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(bounding, "_names", lambda database: [b"%d" % unit for unit in range(database.units)])


def keyed_with_number(patch: pytest.MonkeyPatch) -> None:
    right = bounding.keyed_numbers

    def numbers(database: Database, unit: Ints, turn: Ints, purpose: str, key: bytes) -> npt.NDArray[np.uint64]:
        return right(database, unit, turn, f"{purpose} of {database.units}", key)

    patch.setattr(bounding, "keyed_numbers", numbers)


def first_of_all(patch: pytest.MonkeyPatch) -> None:
    """The rows that are first in the whole table are used, until each unit could have had its share."""
    right = bounding.used_rows

    def used(database: Database, table: str, most: int, key: bytes) -> Ints:
        rows = database.tables[table]
        if database.schema.table(table).bound is None or rows.records is None or table != "notes":
            return right(database, table, most, key)
        order = np.argsort(rows.records.ticks["written"], kind="stable")[: most * database.units]
        return first_of_each(rows.unit, order, most)

    patch.setattr(viewing, "used_rows", used)


def no_clamp(patch: pytest.MonkeyPatch) -> None:
    def coded(one: Attribute, values: Ints) -> Ints:
        assert one.layout is not None
        if one.kind == "count":
            return values
        return one.layout.codes(np.where(values < 0, values, np.minimum(values, one.layout.upper)))

    patch.setattr(viewing, "_levels", coded)
    patch.setattr(viewing._Coder, "_counted", _sizes)


def narrow_sizes(patch: pytest.MonkeyPatch) -> None:
    right = viewing._levels
    patch.setattr(viewing, "_levels", lambda one, values: right(one, values % 256 if one.kind == "count" else values))
    patch.setattr(viewing._Coder, "_counted", _sizes)


def _sizes(coder: Any, one: Attribute) -> Ints:
    """Numbers of child rows as they are."""
    _, owner = coder._owners(one)
    return np.bincount(owner, minlength=coder._database.tables[one.table].count)


def noise_for_one_row(patch: pytest.MonkeyPatch) -> None:
    uncounted(patch)
    patch.setattr(HistoryPlan, "unit_of", lambda plan, table, rows: plan.unit)


def noise_for_the_rows(patch: pytest.MonkeyPatch) -> None:
    """Noise for as many rows as are used, where each weighs more."""
    uncounted(patch)
    patch.setattr(HistoryPlan, "unit_of", lambda plan, table, rows: replace(plan.unit, max_rows=rows))


def noise_for_one_table(patch: pytest.MonkeyPatch) -> None:
    """The sensitivity is right where a unit weighs 256, and a quarter of it anywhere else."""
    patch.setattr(
        PrivacyUnit, "l2_squared", property(lambda unit: unit.max_rows**2 // (1 if unit.max_rows == 256 else 4) or 1)
    )


def parents_of_nobody(patch: pytest.MonkeyPatch) -> None:
    right = kinship.rows_above
    patch.setattr(viewing, "rows_above", lambda database, table, above: np.maximum(right(database, table, above), 0))


def children_of_all(patch: pytest.MonkeyPatch) -> None:
    """Rows without a parent are counted for the first unit."""
    right = viewing._Coder._owners

    def owners(coder: Any, one: Attribute) -> tuple[Ints, Ints]:
        having, owner = right(coder, one)
        own = coder._schema.table(one.of).parent_table == one.table
        return having, owner if own else np.zeros_like(owner)

    patch.setattr(viewing._Coder, "_owners", owners)


def bound_from_data(patch: pytest.MonkeyPatch) -> None:
    """The bound is bought with noise, and the exact one is used."""
    right = measuring._buy_one

    def buy(database: Database, table: str, *given: Any) -> list[Purchase]:
        sizes = np.bincount(database.tables[table].unit, minlength=1)
        (entry,) = right(database, table, *given)
        exact = int(np.clip(np.quantile(sizes, 0.95), 1, MOST_ROWS))
        return [replace(entry, found=(str(exact), *entry.found[1:]))]

    patch.setattr(measuring, "_buy_one", buy)


def coins_by_place(patch: pytest.MonkeyPatch) -> None:
    def coins(database: Database, share: float, key: bytes) -> npt.NDArray[np.bool_]:
        return np.random.default_rng(list(key)).random(database.units) < share

    patch.setattr(measuring, "coins", coins)


def sizes_published(patch: pytest.MonkeyPatch) -> None:
    """The numbers of units by their numbers of rows are published as they are."""
    right = measuring.measure

    def measure(database: Any, *given: Any, **named: Any) -> Measured:
        found = right(database, *given, **named)
        table, entries = next(iter(found.transcripts.items()))
        rows = database.open().tables[table].count
        changed = [
            replace(entry, values=entry.values - entry.values.sum() + rows) if isinstance(entry, Measurement) else entry
            for entry in entries[-1:]
        ]
        return replace(found, transcripts={**found.transcripts, table: (*entries[:-1], *changed)})

    patch.setattr(measuring, "measure", measure)
