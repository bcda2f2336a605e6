"""From private records to a transcript: bound, buy, encode, measure. The one place where a fit touches private data.

Must never return anything but a completed schema and the transcript of what was paid for.
"""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Final, final

import numpy as np

from privsynth import progress
from privsynth.domain import Domain
from privsynth.encoding import encode
from privsynth.errors import MechanismError, SchemaError
from privsynth.generator import AbstractGenerator
from privsynth.measurement import Purchase, Transcript
from privsynth.privacy import purchase
from privsynth.privacy.accounting import epsilon_for
from privsynth.privacy.curator import Curator
from privsynth.privacy.guarantee import Budget
from privsynth.privacy.journal import AbstractJournal, MemoryJournal, question_of
from privsynth.privacy.sampled_gaussian import NO_REPLACEMENT
from privsynth.privacy.source import AbstractNoiseSource
from privsynth.privacy.unit import NeighboringRelation, PrivacyUnit, bound_contributions, hold_out
from privsynth.private import Private
from privsynth.records import Records
from privsynth.schema import Schema
from privsynth.schema.columns import CategoryColumn, IntegerColumn, NumberColumn

_SPLIT = b"bound, hold out"
"""Changes whenever the same keys would split a table otherwise: then an interrupted release does not go on."""


MOST_PAIR_CELLS: Final = 200_000_000
"""Cells of all pairs together that a generator may hold: 1.6 GB, and some three times that while it works."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class FitPlan:
    """Everything public that decides how a fit spends.

    Raises: MechanismError where the budget takes all answers for Gaussian ones and the generator's are not, where it does not
        pay for the gradient steps that the generator takes, and where units that are replaced would be sampled.
    """

    generator: AbstractGenerator
    unit: PrivacyUnit
    budget: Budget

    def __post_init__(self) -> None:
        if self.budget.composition in {"gdp", "pld"} and self.generator.composition not in {"gdp", "pld"}:
            raise MechanismError(
                f"the answers of {self.generator.name} do not add up as Gaussian ones; its budget is zCDP or Renyi DP"
            )
        schedule, training = self.generator.schedule, self.budget.training
        if (schedule is None) != (training is None) or (schedule and training and not schedule.allows(training)):
            raise MechanismError(
                f"the budget does not pay for the gradient steps that {self.generator.name} takes; make it for its schedule"
            )
        if training is not None and self.unit.relation is not NeighboringRelation.ADD_REMOVE:
            raise MechanismError(NO_REPLACEMENT)


def require_size(generator: AbstractGenerator, domain: Domain) -> None:
    """Refuse a domain that is too large for a generator, before it costs anything.

    Raises: SchemaError saying how large, and what else can be done.
    """
    generator.require_domain(domain)
    cells = (sum(domain.sizes) ** 2 - sum(size**2 for size in domain.sizes)) // 2
    if not generator.holds_pairs or cells <= MOST_PAIR_CELLS:
        return
    widest = sorted(domain.attributes, key=domain.size, reverse=True)[:2]
    named = " and ".join(f'"{name}" ({domain.size(name):,} levels)' for name in widest)
    raise SchemaError(
        f"{generator.name} holds the tables of all pairs of columns, here {cells:,} cells of at most {MOST_PAIR_CELLS:,}; the "
        f"widest columns are {named}: declare groups or fewer bins for them and release those, drop one, or take the generator "
        '"latent_class", which merges rare levels itself'
    )


def split(
    records: Private[Records], unit: PrivacyUnit, share: float, *, bound_key: bytes, holdout_key: bytes
) -> tuple[Private[Records], Private[Records]]:
    """Bound every unit's contribution, then hold out a keyed share of the units: (for fitting, held out).

    Privacy: spends nothing; neighbours at the unit stay neighbours (see `bound_contributions` and `hold_out`).
    """
    bounded = bound_contributions(records.open(), unit, bound_key)
    fitted, held = hold_out(bounded, share, holdout_key)
    return Private(fitted), Private(held)


def completed(records: Private[Records], schema: Schema) -> Private[Records]:
    """The same rows under the schema with what was bought filled in."""
    return Private(records.open().with_schema(schema))


def fingerprint(records: Private[Records], key: bytes) -> str:
    """A keyed digest of a table, to know it again after an interruption; says nothing to who has not the key.

    Privacy: never published; it stays beside the key, in the release's internal folder.
    """
    opened = records.open()
    digest = hashlib.blake2b(key=key, digest_size=16, person=_SPLIT)
    for name, ticks in opened.ticks.items():
        digest.update(name.encode() + b"|")
        digest.update(np.ascontiguousarray(ticks).data)
    if opened.units is not None:
        digest.update(np.ascontiguousarray(opened.units).data)
        digest.update(b"|".join(opened.unit_names or ()))
    for labels in opened.labels.values():
        digest.update("|".join(labels).encode())
    return digest.hexdigest()


def measure(
    records: Private[Records], plan: FitPlan, noise: AbstractNoiseSource, journal: AbstractJournal | None = None
) -> tuple[Schema, Transcript]:
    """Buy what the schema leaves open, encode, and let the generator measure.

    Privacy: what is returned is the outcome of mechanisms that together spend at most `plan.budget`, for neighbours that
        differ in one unit of a table that `split` has bounded.
    Args: `journal` is what an earlier attempt at the same fit left behind: it goes on from there, and nothing is drawn twice.
    Returns: the completed schema and the transcript, purchases first.
    Raises: SchemaError for a domain that is too large for the generator.
    """
    journal = journal or MemoryJournal()
    schema, bought = _buy(records, plan, noise, journal)
    require_size(plan.generator, schema.domain())
    progress.report("encode", 0, 1)
    encoded = encode(completed(records, schema))
    progress.report("encode", 1, 1)
    rho = plan.budget.rho - sum((entry.event.rho for entry in bought), Fraction(0))
    budget = plan.budget
    curator = Curator(
        encoded,
        unit=plan.unit,
        rho=rho,
        noise=noise,
        composition=budget.composition,
        training=budget.training,
        journal=journal,
        epsilon_after=functools.partial(_epsilon_after, budget),
    )
    plan.generator.measure(curator)
    return schema, bought + curator.transcript


def _epsilon_after(budget: Budget, left: Fraction, steps: int) -> float:
    """Epsilon of what a fit has spent so far: a few hundredths of a CPU second, remembered."""
    training = None if budget.training is None else replace(budget.training, steps=max(1, steps))
    delta = budget.delta - budget.purchase_delta
    return epsilon_for(budget.rho - left, delta, budget.composition, training, coarse=True)


def _buy(
    records: Private[Records], plan: FitPlan, noise: AbstractNoiseSource, journal: AbstractJournal
) -> tuple[Schema, tuple[Purchase, ...]]:
    schema = records.open().schema
    wanted = schema.unresolved
    bought: list[Purchase] = []
    labelled = sum(isinstance(column, CategoryColumn) for column in wanted)
    for column in wanted:
        progress.report("buy what the schema leaves open", len(bought), len(wanted))
        price = purchase.Price(
            rho=plan.budget.purchase_rho / len(wanted), delta=plan.budget.purchase_delta / max(1, labelled)
        )
        draw = functools.partial(_buy_one, records, column.name, schema, plan.unit, price, noise)
        (found,) = journal.ask(question_of("buy", column.name, price.rho, price.delta), draw)
        assert isinstance(found, Purchase)
        assert found.fact != "rows"
        schema = schema.resolve(found.column, found.fact, found.found)
        bought.append(found)
    return schema, tuple(bought)


def _buy_one(
    records: Private[Records],
    name: str,
    schema: Schema,
    unit: PrivacyUnit,
    price: purchase.Price,
    noise: AbstractNoiseSource,
) -> list[Purchase]:
    column = schema.column(name)
    match column:
        case CategoryColumn():
            return [purchase.categories(records, column, unit=unit, price=price, noise=noise)]
        case IntegerColumn() | NumberColumn() if column.buy == "bounds":
            return [purchase.bounds(records, column, unit=unit, price=price, noise=noise)]
        case IntegerColumn() | NumberColumn():
            return [purchase.edges(records, column, unit=unit, price=price, noise=noise)]
        case _:
            raise SchemaError(f'[columns.{name}]: a column of kind "{column.kind}" has nothing to buy; declare it')
