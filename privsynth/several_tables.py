"""The public verbs on several tables of the same units: fit, and audits of tables and of generators.

Must never decide anything about privacy: budgets, units and checks are the called modules' business.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
import pyarrow as pa

from privsynth import frames, generators
from privsynth.auditing import AuditPlan
from privsynth.auditing import histories as auditing
from privsynth.conformance import histories as conformance
from privsynth.database import reading, sources, writing
from privsynth.database.checks import plain_name
from privsynth.database.document import DatabaseSchema
from privsynth.errors import MechanismError, OutputError
from privsynth.findings import Claim, Findings
from privsynth.histories.history_model import HistoryModel, fit_history, generator_name
from privsynth.histories.measuring import HistoryPlan
from privsynth.privacy.accounting import Exact
from privsynth.privacy.guarantee import Budget
from privsynth.privacy.noise import SystemNoise
from privsynth.records import OutOfDomain


def require_own_bounds(max_rows: int, resume: str | Path | None = None) -> None:
    """Refuse what is said of one table only. Raises: MechanismError."""
    if max_rows != 1:
        raise MechanismError(
            "of several tables, the schema says how many rows of a unit are used of each: bound = {rows = NUMBER}; leave "
            "max_rows out"
        )
    if resume is not None:
        raise MechanismError("nothing trains on several tables, and a fit takes seconds; leave resume out")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A budget and a generator, by name or "auto"."""

    epsilon: Exact
    delta: Exact
    generator: str
    settings: Mapping[str, object]


def fit(source: object, schema: DatabaseSchema, asked: Asked, *, out_of_domain: OutOfDomain) -> HistoryModel:
    """Fit a generator to several tables; see `api.fit`."""
    generator_name(asked.generator, asked.settings)
    database = reading.read(source, schema, out_of_domain=out_of_domain)
    return fit_history(
        database,
        epsilon=asked.epsilon,
        delta=asked.delta,
        noise=SystemNoise(),
        generator=asked.generator,
        settings=asked.settings,
        kind=_kind_of(source),
    )


def write_tables(tables: Mapping[str, object], target: str | Path, schema: DatabaseSchema | None) -> tuple[Path, ...]:
    """Write tables to a folder or one database file; see `api.write_tables`."""
    path = Path(target)
    if path.name.lower().endswith(sources.ENDINGS):
        raise OutputError(
            f"{path}: several tables become a folder, or a file .sqlite, .db or .duckdb; choose such a name"
        )
    known = [] if schema is None else [table.name for table in schema.tables if table.listed]
    if schema is not None and set(tables) != set(known):
        raise OutputError(f"the schema lists the tables {', '.join(known)}; expected these and no others")
    if not tables or not all(plain_name(name) for name in tables):
        raise OutputError(
            "expected {table: frame}, at least one; a table's name becomes a file's: up to 100 letters, digits, spaces, _ and -"
        )
    named = {name: tables[name] for name in known or tables}
    arrow = {name: pa.table(frames.read(table, frames.column_names(table))) for name, table in named.items()}
    return writing.write(arrow, path, writing.kind_of(path), schema=schema)


def audit(
    synthetic: object,
    training: object,
    holdout: object,
    *,
    schema: DatabaseSchema,
    plan: AuditPlan,
    rng: np.random.Generator,
    claim: Claim | None,
) -> Findings:
    """Attack synthetic tables, anybody's, at the unit; see `api.audit`."""
    return auditing.run(
        plan,
        schema=schema,
        synthetic=reading.read_public(synthetic, schema, out_of_domain="clamp"),
        members=reading.read(training, schema, out_of_domain="clamp"),
        controls=reading.read(holdout, schema, out_of_domain="clamp"),
        claim=claim,
        rng=rng,
    )


def audit_generator(asked: Asked, *, schema: DatabaseSchema, plan: AuditPlan, rng: np.random.Generator) -> Findings:
    """Check that a generator of ours keeps (epsilon, delta) for a unit with all its rows; see `api.audit_generator`."""
    kind = generators.get(generator_name(asked.generator, asked.settings), asked.settings)
    budget = Budget.of(asked.epsilon, asked.delta, buys=False, composition=kind.composition)
    agreed = HistoryPlan(schema=schema, generator=kind, budget=budget, unit_name=schema.root.name)
    claim = Claim(
        epsilon=float(budget.epsilon),
        delta=float(budget.delta),
        rho=float(budget.rho),
        unit=agreed.unit.name,
        composition=budget.composition,
        training=None,
    )
    return conformance.run(plan, kind, schema=schema, budget=budget, noise=SystemNoise(), rng=rng, claim=claim)


def _kind_of(source: object) -> str:
    """The kind of frames that were given; Arrow for files."""
    if isinstance(source, Mapping):
        return next((frames.kind_of(table) for table in source.values()), frames.ARROW)
    return frames.ARROW
