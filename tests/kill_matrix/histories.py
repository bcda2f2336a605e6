"""Histories and several tables: broken bounds, weights, records and accounts of one unit with all its rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from privsynth.audit_plan import AuditPlan
from privsynth.conformance import histories
from privsynth.database.document import DatabaseSchema
from privsynth.dataset import Dataset
from privsynth.domain import Domain
from privsynth.findings import Findings
from privsynth.generator import AbstractDistribution, AbstractGenerator
from privsynth.measurement import Transcript
from privsynth.privacy.curator import Curator
from privsynth.privacy.guarantee import Budget
from tests.kill_matrix import broken_histories, models, references, sources
from tests.kill_matrix.defect import Break, Defect, unbroken
from tests.kill_matrix.generators import Rounds, Scores
from tests.kill_matrix.models import Counted, Remembering

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
        broken_histories.all_rows,
        "histories: contributions",
    ),
    defect(
        "bounded histories, raw tables",
        references.SMARTNOISE_622,
        "The bounded records are made, and records of all rows are measured.",
        broken_histories.raw_table,
        "replay: sensitivity",
    ),
    defect(
        "weights of one for each row",
        references.USER_LEVEL,
        "Rows of a patient are not normalised: each weighs as much as its patient.",
        broken_histories.weights_of_one,
        "histories: contributions",
    ),
    defect(
        "weights normalised for each parent",
        references.WILSON,
        "The rows of each stay share the weight of a patient, who has several stays.",
        broken_histories.weights_in_each_parent,
        "replay: sensitivity",
    ),
    defect(
        "child table forgotten in the ledger",
        references.UBER_1,
        "The last table is measured, and its events are not in the accounts.",
        broken_histories.forgotten_child,
        "ledger",
    ),
    defect(
        "child table paid for by its parent",
        references.PRIVLAVA,
        "The last table's events are entered as its parent's: the accounts show no such table.",
        broken_histories.child_under_another_name,
        "ledger",
    ),
    defect(
        "the whole budget for each table",
        references.PRIVLAVA,
        "Tables are taken for different people's: each spends what all may spend together.",
        broken_histories.whole_budget_each,
        "ledger",
    ),
    defect(
        "the row before is somebody else's",
        references.GROUNDHOG,
        "A patient's first event follows the last event of the patient before.",
        broken_histories.stranger_before,
        "histories: single units",
    ),
    defect(
        "rows drawn by the patient's place",
        references.UNDERESTIMATED,
        "Which rows of a patient are used depends on the number of patients before.",
        broken_histories.keyed_by_place,
        "histories: single units",
    ),
    defect(
        "rows drawn by the number of patients",
        references.UNDERESTIMATED,
        "Which rows of a patient are used depends on how many patients there are.",
        broken_histories.keyed_with_number,
        "replay: sensitivity",
    ),
    defect(
        "the first rows of the table",
        references.WILSON,
        "The bound's first rows are the first of all patients', so that others' rows decide whose are used.",
        broken_histories.first_of_all,
        "histories: single units",
    ),
    defect(
        "sizes that are not clamped",
        references.SMARTNOISE_308,
        "The number of a patient's rows is a level of its own, however large: the fit breaks off where somebody has more.",
        broken_histories.no_clamp,
        "replay: invariance",
    ),
    defect(
        "sizes in one byte",
        references.UNDERESTIMATED,
        "The number of a patient's rows is kept in a byte: who has 257 is counted as having one.",
        broken_histories.narrow_sizes,
        "histories: records",
    ),
    defect(
        "noise for one row",
        references.GOOGLE_72,
        "The noise of each table is made for a unit with one row.",
        broken_histories.noise_for_one_row,
        "replay: sensitivity",
    ),
    defect(
        "noise for rows, not for their weights",
        references.GOOGLE_72,
        "The noise is made for as many rows as are used, and a patient's weigh 256 together.",
        broken_histories.noise_for_the_rows,
        "replay: sensitivity",
    ),
    defect(
        "half of the noise in one kind of table",
        references.UNDERESTIMATED,
        "Where rows count fully, the sensitivity is halved.",
        broken_histories.noise_for_one_table,
        "replay: sensitivity",
    ),
    defect(
        "rows without a stay are the first one's",
        references.UBER_1,
        "Notes without a stay take the attributes of the first stay of the table.",
        broken_histories.parents_of_nobody,
        "histories: single units",
    ),
    defect(
        "rows without a stay are the first patient's",
        references.UBER_1,
        "Notes without a stay are counted for the first patient of the table.",
        broken_histories.children_of_all,
        "histories: single units",
    ),
    defect(
        "a bought bound that is not charged",
        references.SMARTNOISE_308,
        "The bound is learned from the patients' numbers of rows, and not in the accounts.",
        broken_histories.forgotten_purchase,
        "ledger",
        BOUGHT,
    ),
    defect(
        "the exact bound in place of the bought one",
        references.SMARTNOISE_308,
        "The bound is bought, and the exact number takes its place.",
        broken_histories.bound_from_data,
        "replay: invariance",
        BOUGHT,
    ),
    defect(
        "patients held out by their places",
        references.SHUFFLED,
        "Who is held out is decided by a stream of coins in the order of the table.",
        broken_histories.coins_by_place,
        "histories: single units",
    ),
    defect(
        "the number of patients in a noisy table",
        references.OPACUS_571,
        "A noisy table is shifted to sum to the exact number of patients.",
        broken_histories.sizes_published,
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
