"""Measuring: a private database, view by view, within one budget; and the distributions that follow from the answers.

Must never return anything but noisy answers, nor measure a view that the budget does not pay for.

Each view is measured by a curator of its own, which holds that view's records (`viewing`) and its exact share of rho, and
refuses records of which a unit's weigh more than the bound. The answers about all views together are what one curator's would
be: each is a Gaussian (or, with "zcdp", any zCDP) mechanism whose question may depend on earlier answers; their rhos are added
before the data is touched, and the sum over all views is the budget's rho. Composition does not ask which records a question
is about, so that a unit that is in every table is covered by the sum.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import cast, final

import numpy as np
import numpy.typing as npt

from privsynth import progress
from privsynth.database.document import DatabaseSchema
from privsynth.database.held import Database
from privsynth.database.terms import MOST_ROWS
from privsynth.dataset import Dataset
from privsynth.errors import MechanismError
from privsynth.fitting import require_size
from privsynth.generator import AbstractDistribution, AbstractGenerator
from privsynth.histories.bounding import coins, most_weight, rows_used, weight_scale
from privsynth.histories.layout import views
from privsynth.histories.sharing import BOUND_SHARE, require_complete, shares
from privsynth.histories.spans import size_levels
from privsynth.histories.viewing import view_datasets
from privsynth.measurement import Entry, Measurement, Purchase, Transcript
from privsynth.privacy import mechanism
from privsynth.privacy.curator import Curator
from privsynth.privacy.guarantee import Budget
from privsynth.privacy.journal import AbstractJournal, MemoryJournal, question_of
from privsynth.privacy.source import AbstractNoiseSource
from privsynth.privacy.unit import NeighboringRelation, PrivacyUnit
from privsynth.private import Private

_Floats = npt.NDArray[np.float64]

_REACHED = 0.95
"""Share of the units with rows, all of whose rows a bought bound lets in."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryPlan:
    """Everything public that decides how the fit of a database spends.

    Raises: MechanismError for a generator that trains by gradient steps, for a budget with a part for purchases of columns or
        for such steps, and where the budget takes all answers for Gaussian ones and the generator's are not.
    """

    schema: DatabaseSchema
    generator: AbstractGenerator
    budget: Budget
    unit_name: str
    relation: NeighboringRelation = NeighboringRelation.ADD_REMOVE

    def __post_init__(self) -> None:
        if self.generator.schedule is not None:
            raise MechanismError(
                f"{self.generator.name} trains by sums of gradients over rows, and rows of a history do not count alike; take "
                "latent_class, aim, mst or independent for a database"
            )
        if self.budget.training is not None or self.budget.purchase_rho or self.budget.purchase_delta:
            raise MechanismError(
                "of a database no columns are bought and nothing is trained; make its budget for answers"
            )
        if self.budget.composition == "gdp" and self.generator.composition != "gdp":
            raise MechanismError(
                f"the answers of {self.generator.name} do not add up as Gaussian ones; its budget is zCDP"
            )
        for view in views(self.schema).values():
            require_size(self.generator, view.domain())

    @property
    def shares(self) -> dict[str, Fraction]:
        """Each view's rho, by table; they sum to the budget's."""
        return {name: share * self.budget.rho for name, share in shares(self.schema).items()}

    @property
    def unit(self) -> PrivacyUnit:
        """Who is protected, as the whole fit sees it: one of the units, with all rows of all tables."""
        return PrivacyUnit(name=self.unit_name, column=self._column, relation=self.relation)

    def unit_of(self, table: str, rows: int) -> PrivacyUnit:
        """The same unit in one view, where it weighs up to W; `rows` of it are used at most."""
        return replace(self.unit, max_rows=most_weight(self.schema.table(table), rows))

    @property
    def _column(self) -> str:
        return ", ".join(self.schema.root.key)


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Measured:
    """What was learned: a transcript and the number of rows used of a unit, by table. Public."""

    transcripts: Mapping[str, Transcript]
    used: Mapping[str, int]

    @property
    def transcript(self) -> Transcript:
        """All answers, one after the other."""
        return tuple(entry for part in self.transcripts.values() for entry in part)


def split(
    database: Private[Database], share: float, *, holdout_key: bytes
) -> tuple[Private[Database], Private[Database]]:
    """Hold out a share of the units with all their rows: (for fitting, held out).

    Privacy: spends nothing; neighbours at the unit stay neighbours on both sides (`bounding.coins`).
    """
    opened = database.open()
    held = coins(opened, share, holdout_key)
    return Private(opened.of_units(~held)), Private(opened.of_units(held))


def measure(
    database: Private[Database],
    plan: HistoryPlan,
    noise: AbstractNoiseSource,
    *,
    bound_key: bytes,
    journals: Mapping[str, AbstractJournal] | None = None,
) -> Measured:
    """Buy the bounds that are to be bought, and let the generator measure every view.

    Args: `bound_key` is 32 secret bytes that choose the used rows; `journals` hold what an earlier attempt left, by table.
    Privacy: all that is returned is, for neighbours that differ in one unit with its rows in all tables, as private as the
        plan's budget says; see the head of this file.
    Raises: MechanismError where units have no names, the database is of another schema, or the views' shares are not all
        of the budget.
    """
    opened = database.open()
    if opened.schema != plan.schema or opened.unit_names is None:
        raise MechanismError("measure a database that was read with the plan's schema: its units need their names")
    rho = plan.shares
    require_complete(plan.schema, {name: share / plan.budget.rho for name, share in rho.items()})
    journals = journals or {}
    kept = {name: journals.get(name) or MemoryJournal() for name in rho}
    bought = _buy(opened, plan, noise, kept)
    used = rows_used(plan.schema, {name: int(entry.found[0]) for name, entry in bought.items()})
    progress.report("encode", 0, 1)
    datasets = view_datasets(opened, bound_key, used)
    progress.report("encode", 1, 1)
    transcripts: dict[str, Transcript] = {}
    for name in rho:
        first = (bought[name],) if name in bought else ()
        left = rho[name] - sum((entry.event.rho for entry in first), Fraction(0))
        transcripts[name] = first + _measured(datasets.pop(name), plan, noise, name, used[name], left, kept[name])
    found = Measured(transcripts=transcripts, used=used)
    if sum((entry.event.rho for entry in found.transcript), Fraction(0)) > plan.budget.rho:
        raise MechanismError("the views' answers add up to more than the budget; this is a defect of privsynth")
    return found


def _measured(
    data: Dataset,
    plan: HistoryPlan,
    noise: AbstractNoiseSource,
    table: str,
    used: int,
    rho: Fraction,
    journal: AbstractJournal,
) -> Transcript:
    """What the generator learned of one view."""
    curator = Curator(
        Private(data),
        unit=plan.unit_of(table, used),
        rho=rho,
        noise=noise,
        composition=plan.budget.composition,
        journal=journal,
    )
    plan.generator.measure(curator)
    return curator.transcript


def _buy(
    database: Database, plan: HistoryPlan, noise: AbstractNoiseSource, journals: Mapping[str, AbstractJournal]
) -> dict[str, Purchase]:
    """The bounds that are to be bought, by table: each from a noisy table of units by how many rows they have."""
    found: dict[str, Purchase] = {}
    for name, rho in plan.shares.items():
        bound = plan.schema.table(name).bound
        if bound is None or bound.rows != "buy":
            continue
        price = rho * BOUND_SHARE
        draw = functools.partial(_buy_one, database, name, plan.unit, price, noise)
        (entry,) = journals[name].ask(question_of("buy rows", name, price), draw)
        assert isinstance(entry, Purchase)
        found[name] = entry
    return found


def _buy_one(
    database: Database, table: str, unit: PrivacyUnit, rho: Fraction, noise: AbstractNoiseSource
) -> list[Purchase]:
    """Buy one table's bound.

    Privacy: rho-zCDP, and mu-GDP with mu^2 = 2 rho: every unit is in one cell, that of its number of rows, so that the
        squared L2 sensitivity is that of a unit of one row (`PrivacyUnit.l2_squared` with max_rows 1).
    """
    levels = size_levels(MOST_ROWS)
    sizes = np.bincount(database.tables[table].unit, minlength=database.units)
    counts = np.bincount(levels.codes(np.minimum(sizes, MOST_ROWS)), minlength=levels.size).astype(np.int64)
    (noisy,), (event,) = mechanism.gaussian(
        [counts],
        sensitivity_squared=replace(unit, max_rows=1).l2_squared,
        shares=[rho],
        stage=f"rows of {table}",
        noise=noise,
    )
    bought = bound_from(noisy)
    return [Purchase(column=table, fact="rows", found=(str(bought), *map(str, noisy.tolist())), event=event)]


def bound_from(noisy: npt.NDArray[np.int64]) -> int:
    """The smallest end of a level of sizes that 95 % of the units with rows do not pass, from noisy numbers of units.

    Shapes: `noisy` has a cell for each of `size_levels(256)`, the first for units without rows.
    """
    levels = size_levels(MOST_ROWS)
    units = np.cumsum(noisy[1:])
    if units[-1] <= 0:
        return MOST_ROWS
    # Sums of noisy counts as they are, negative ones too: cut off at zero, empty levels would look like many large units.
    reached = int(np.argmax(units >= _REACHED * units[-1]))
    _, last = levels.span(np.array([1 + reached]))
    return int(last[0])


def fit_distributions(
    schema: DatabaseSchema, generator: AbstractGenerator, transcripts: Mapping[str, Transcript]
) -> dict[str, AbstractDistribution]:
    """The distribution of every view's records, by table, from noisy answers alone.

    Totals are in units for tables with weights "unit", in rows for others.
    """
    return {
        name: generator.estimate(view.domain(), in_units(schema, name, transcripts[name]))
        for name, view in views(schema).items()
    }


def restore_distributions(
    schema: DatabaseSchema,
    generator: AbstractGenerator,
    transcripts: Mapping[str, Transcript],
    arrays: Mapping[str, Mapping[str, _Floats]],
) -> dict[str, AbstractDistribution]:
    """The distributions whose `arrays()` these are, by table, without fitting again."""
    return {
        name: generator.restore(view.domain(), in_units(schema, name, transcripts[name]), arrays[name])
        for name, view in views(schema).items()
    }


def in_units(schema: DatabaseSchema, table: str, transcript: Transcript) -> Transcript:
    """A view's noisy tables divided by what a whole unit weighs, so that a fit sees as many records as there are units.

    How many classes a table bears, and how rough it is by chance, depends on how many people it tells of, not on what each
    of them weighs. Post-processing: the events stay, but for the scale that they are stated in.
    """
    scale = weight_scale(schema.table(table))
    return transcript if scale == 1 else tuple(_scaled(entry, scale) for entry in transcript)


def _scaled(entry: Entry, scale: int) -> Entry:
    if not isinstance(entry, Measurement):
        return entry
    assert entry.event.sigma_squared is not None
    event = replace(
        entry.event,
        sensitivity_squared=entry.event.sensitivity_squared // scale**2,
        sigma_squared=entry.event.sigma_squared / scale**2,
    )
    # Parts of a unit stay parts: rounding them would take rare cells away where noise is small.
    return replace(entry, values=cast("npt.NDArray[np.int64]", entry.values / scale), event=event)
