"""Histories and several tables: broken bounds, weights, records and accounts of one unit with all its rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from privsynth.audit_plan import AuditPlan
from privsynth.conformance import histories
from privsynth.database.document import DatabaseSchema
from privsynth.database.held import Database
from privsynth.database.terms import MOST_ROWS
from privsynth.dataset import Dataset
from privsynth.domain import Domain
from privsynth.findings import Findings
from privsynth.generator import AbstractDistribution, AbstractGenerator
from privsynth.histories import bounding, kinship, measuring, viewing
from privsynth.histories.layout import Attribute, View
from privsynth.histories.measuring import HistoryPlan, Measured
from privsynth.measurement import Measurement, Purchase, Transcript
from privsynth.privacy import curator
from privsynth.privacy.curator import Curator
from privsynth.privacy.guarantee import Budget
from privsynth.privacy.unit import PrivacyUnit
from tests.kill_matrix import models, references, sources
from tests.kill_matrix.contributions import first_of_each
from tests.kill_matrix.defect import Break, Defect, unbroken
from tests.kill_matrix.generators import Rounds, Scores
from tests.kill_matrix.models import Counted, Remembering

Ints = npt.NDArray[np.int64]

SCHEMA = """
[database]
name = "hospital"
unit = "patients"
[tables.patients]
key = ["patient"]
[tables.patients.columns]
patient = {kind = "identifier", make = "P-######"}
sex = {kind = "category", values = ["F", "M"]}
[tables.stays]
key = ["stay"]
parent = {table = "patients", columns = ["patient"]}
bound = {rows = 4, most = 9}
time = {column = "day"}
[tables.stays.columns]
stay = {kind = "identifier", make = "S-######"}
day = {kind = "integer", lower = 0, upper = 5}
ward = {kind = "category", values = ["A", "B", "C"]}
[tables.notes]
parent = {table = "stays", columns = ["stay"], optional = true, unit = ["patient"]}
bound = {rows = 3, weights = "row", keep = "first"}
time = {column = "written"}
carry = []
[tables.notes.columns]
written = {kind = "integer", lower = 0, upper = 5}
"""
"""Stays that share a patient's weight, and notes that count fully, of a stay or of none."""

BOUGHT = SCHEMA.replace("bound = {rows = 4, most = 9}", 'bound = {rows = "buy", most = 9}')


@dataclass(frozen=True, slots=True, kw_only=True)
class Histories:
    """A generator run on made-up databases, audited at the unit."""

    schema: str = SCHEMA
    generator: Callable[[], AbstractGenerator] = Scores
    broken: Break = unbroken
    plan: str = "quick"

    def audited(self, patch: pytest.MonkeyPatch, seed: int) -> Findings:
        """Break what is to be broken, then check conformance at the unit."""
        self.broken(patch)
        made = self.generator()
        return histories.run(
            AuditPlan.load(self.plan),
            made,
            schema=DatabaseSchema.loads(self.schema),
            budget=Budget.of("1", "1e-6", buys=False, composition=made.composition),
            noise=sources.Drawn(seed, sources.right),
            rng=np.random.default_rng(seed),
            claim=None,
        )


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


class CopiesHistories(Rounds):
    """Keeps the records of every table, and gives one in twenty of them out."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, ...], Dataset] = {}

    def measure(self, curator: Curator) -> None:
        """What is right, and a copy of the data."""
        super().measure(curator)
        self._kept[curator.domain.attributes] = curator._data.open()

    def estimate(self, domain: Domain, transcript: Transcript) -> AbstractDistribution:
        """A right model that remembers."""
        return self.remembering(super().estimate(domain, transcript), self._kept[domain.attributes])

    def remembering(self, right: AbstractDistribution, kept: Dataset) -> Remembering:
        """The model, with the data beside it."""
        return Remembering(right, kept, models.CopiesRows.retouch)


class SaysHowManyRows(CopiesHistories):
    """Gives out as many units and rows as there were."""

    def remembering(self, right: AbstractDistribution, kept: Dataset) -> Remembering:
        """The model, with the exact number of rows."""
        return Counted(right, kept, models.Keeps.retouch)


def defect(name: str, drawn_from: str, what: str, broken: Break, caught_by: str, schema: str = SCHEMA) -> Defect:
    """A row of the list, audited at the unit."""
    return Defect(
        name=name,
        drawn_from=drawn_from,
        what=what,
        target=Histories(broken=broken, schema=schema),
        caught_by=caught_by,
    )


DEFECTS = (
    defect(
        "all rows of a patient",
        references.SMARTNOISE_622,
        "A table's bound is declared and all rows of a patient are used.",
        all_rows,
        "histories: contributions",
    ),
    defect(
        "bounded histories, raw tables",
        references.SMARTNOISE_622,
        "The bounded records are made, and records of all rows are measured.",
        raw_table,
        "replay: sensitivity",
    ),
    defect(
        "weights of one for each row",
        references.USER_LEVEL,
        "Rows of a patient are not normalised: each weighs as much as its patient.",
        weights_of_one,
        "histories: contributions",
    ),
    defect(
        "weights normalised for each parent",
        references.WILSON,
        "The rows of each stay share the weight of a patient, who has several stays.",
        weights_in_each_parent,
        "replay: sensitivity",
    ),
    defect(
        "child table forgotten in the ledger",
        references.UBER_1,
        "The last table is measured, and its events are not in the accounts.",
        forgotten_child,
        "ledger",
    ),
    defect(
        "child table paid for by its parent",
        references.PRIVLAVA,
        "The last table's events are entered as its parent's: the accounts show no such table.",
        child_under_another_name,
        "ledger",
    ),
    defect(
        "the whole budget for each table",
        references.PRIVLAVA,
        "Tables are taken for different people's: each spends what all may spend together.",
        whole_budget_each,
        "ledger",
    ),
    defect(
        "the row before is somebody else's",
        references.GROUNDHOG,
        "A patient's first event follows the last event of the patient before.",
        stranger_before,
        "histories: single units",
    ),
    defect(
        "rows drawn by the patient's place",
        references.UNDERESTIMATED,
        "Which rows of a patient are used depends on the number of patients before.",
        keyed_by_place,
        "histories: single units",
    ),
    defect(
        "rows drawn by the number of patients",
        references.UNDERESTIMATED,
        "Which rows of a patient are used depends on how many patients there are.",
        keyed_with_number,
        "replay: sensitivity",
    ),
    defect(
        "the first rows of the table",
        references.WILSON,
        "The bound's first rows are the first of all patients', so that others' rows decide whose are used.",
        first_of_all,
        "histories: single units",
    ),
    defect(
        "sizes that are not clamped",
        references.SMARTNOISE_308,
        "The number of a patient's rows is a level of its own, however large: the fit breaks off where somebody has more.",
        no_clamp,
        "replay: invariance",
    ),
    defect(
        "sizes in one byte",
        references.UNDERESTIMATED,
        "The number of a patient's rows is kept in a byte: who has 257 is counted as having one.",
        narrow_sizes,
        "histories: records",
    ),
    defect(
        "noise for one row",
        references.GOOGLE_72,
        "The noise of each table is made for a unit with one row.",
        noise_for_one_row,
        "replay: sensitivity",
    ),
    defect(
        "noise for rows, not for their weights",
        references.GOOGLE_72,
        "The noise is made for as many rows as are used, and a patient's weigh 256 together.",
        noise_for_the_rows,
        "replay: sensitivity",
    ),
    defect(
        "half of the noise in one kind of table",
        references.UNDERESTIMATED,
        "Where rows count fully, the sensitivity is halved.",
        noise_for_one_table,
        "replay: sensitivity",
    ),
    defect(
        "rows without a stay are the first one's",
        references.UBER_1,
        "Notes without a stay take the attributes of the first stay of the table.",
        parents_of_nobody,
        "histories: single units",
    ),
    defect(
        "rows without a stay are the first patient's",
        references.UBER_1,
        "Notes without a stay are counted for the first patient of the table.",
        children_of_all,
        "histories: single units",
    ),
    defect(
        "a bought bound that is not charged",
        references.SMARTNOISE_308,
        "The bound is learned from the patients' numbers of rows, and not in the accounts.",
        forgotten_purchase,
        "ledger",
        BOUGHT,
    ),
    defect(
        "the exact bound in place of the bought one",
        references.SMARTNOISE_308,
        "The bound is bought, and the exact number takes its place.",
        bound_from_data,
        "replay: invariance",
        BOUGHT,
    ),
    defect(
        "patients held out by their places",
        references.SHUFFLED,
        "Who is held out is decided by a stream of coins in the order of the table.",
        coins_by_place,
        "histories: single units",
    ),
    defect(
        "the number of patients in a noisy table",
        references.OPACUS_571,
        "A noisy table is shifted to sum to the exact number of patients.",
        sizes_published,
        "ledger",
    ),
    Defect(
        name="a model of histories that keeps its training rows",
        drawn_from=references.RECONSYN,
        what="All tables are paid for; every twentieth record drawn of a table is a patient's.",
        target=Histories(generator=CopiesHistories),
        caught_by="replay: records",
    ),
    Defect(
        name="as many rows as there were",
        drawn_from=references.OPACUS_571,
        what="Each table's model knows the exact number of rows.",
        target=Histories(generator=SaysHowManyRows),
        caught_by="replay: records",
    ),
)
