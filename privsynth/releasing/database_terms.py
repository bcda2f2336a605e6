"""What a release of several tables rests on: every check that can be made without them, before anything is spent.

Must never read a record or touch the ledger.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, final

from privsynth import choosing, generators
from privsynth.auditing import AuditPlan
from privsynth.database.document import DatabaseSchema, TableTerms
from privsynth.errors import PolicyRefusal, SchemaError
from privsynth.histories.biases import bias
from privsynth.histories.layout import views
from privsynth.histories.measuring import HistoryPlan
from privsynth.policy import Policy
from privsynth.privacy.guarantee import Budget
from privsynth.releasing.agreeing import (
    ROWS,
    AbstractTerms,
    Described,
    choose,
    passed,
    require_affordable,
    require_enough_people,
)

WHOSE_ROWS: Final = (
    "Every row of every table belongs to the {unit} that its keys lead to, and each {unit} has one key in all tables."
)
_FILE_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseTerms(AbstractTerms):
    """What a release of several tables rests on."""

    schema: DatabaseSchema
    fit: HistoryPlan

    @property
    def title(self) -> str:
        """The database's name."""
        return self.schema.name

    @property
    def schema_digest(self) -> str:
        """The schema's digest."""
        return self.schema.digest()

    @property
    def described(self) -> Described:
        """One row a table and the largest bounds, as long as nothing was drawn or bought."""
        return described(self.schema, {table.name: 1 for table in self.schema.tables}, {})

    @property
    def about_rows(self) -> str:
        """What the guarantee takes for granted about whose row is whose."""
        return WHOSE_ROWS.format(unit=self.unit.name)


def described(schema: DatabaseSchema, rows: Mapping[str, int], used: Mapping[str, int]) -> Described:
    """What the certificate says of the tables that are released.

    Args: `rows` are released, and `used` how many rows of a unit were used at most, by table.
    """
    listed = [table for table in schema.tables if table.listed]
    return Described(
        digest=schema.digest(),
        columns=sum(len(table.released) for table in listed),
        rows=sum(rows[table.name] for table in listed),
        tables=tuple(_table(table, rows[table.name], used.get(table.name)) for table in listed),
    )


def _table(table: TableTerms, rows: int, used: int | None) -> dict[str, object]:
    bound = table.bound
    said: dict[str, object] | None = None
    if bound is not None:
        declared = bound.largest if bound.rows == "buy" else bound.rows
        said = {
            "rows": used or declared,
            "basis": "bought" if bound.rows == "buy" else "declared",
            "keep": bound.keep,
            "weights": bound.weights,
        }
    parent = table.parent_name
    return {"name": table.name, "columns": len(table.released), "rows": rows, "parent": parent, "bound": said}


def database_terms(
    schema: DatabaseSchema,
    policy: Policy,
    *,
    generator: str | None = None,
    settings: Mapping[str, object] | None = None,
) -> DatabaseTerms:
    """Check everything that can be checked without the tables, and say what a release would rest on.

    The schema's own bounds say how many rows of a unit are used of each table; the policy's `unit.max_rows` is for single
    tables: the guarantee is the same whatever the bounds are, which trade noise for bias.
    Raises: PolicyError, PolicyRefusal, SchemaError or MechanismError; nothing is spent and no record is read.
    """
    policy.require_current(datetime.now(UTC).date())
    _require_file_names(schema)
    checks = passed(policy.check_database(schema))
    chosen, plan = dict(settings or {}), AuditPlan.load(policy.audit.plan)
    widest = max(len(view.attributes) for view in views(schema).values())
    choice = choose(policy, widest, asked=generator, settings=chosen)
    if choice.name in choosing.DEEP:
        raise PolicyRefusal(choosing.ONE_TABLE_ONLY.format(name=choice.name))
    if policy.unit.name in ROWS:
        raise PolicyRefusal(
            f'the policy protects a {policy.unit.name}, and "{schema.root.name}" are protected with all their rows; say in '
            "[unit] who they are"
        )
    kind = generators.get(choice.name, chosen)
    terms = policy.budget
    budget = Budget.of(terms.release_epsilon, terms.release_delta, buys=False, composition=kind.composition)
    require_enough_people(policy, plan)
    agreed = DatabaseTerms(
        schema=schema,
        policy=policy,
        plan=plan,
        fit=HistoryPlan(schema=schema, generator=kind, budget=budget, unit_name=policy.unit.name),
        generator=choice.name,
        settings=chosen,
        reasons=tuple(f"{reason} (of the widest table, with what is above it and before)" for reason in choice.reasons),
        cautions=(*choice.cautions, *biases(schema, policy.unit.name)),
        checks=checks,
    )
    require_affordable(agreed)
    return agreed


def biases(schema: DatabaseSchema, unit: str) -> tuple[str, ...]:
    """The bias that each bound brings, a line a table."""
    root = schema.root.name
    return tuple(f"{table.name}: {bias(table, unit, root)}" for table in schema.tables if table.bound is not None)


def _require_file_names(schema: DatabaseSchema) -> None:
    """Each table is released as files of its name."""
    listed = [table.name for table in schema.tables if table.listed]
    for name in listed:
        if not _FILE_NAME.fullmatch(name):
            raise SchemaError(
                f'[tables.{name}]: "{name}" cannot name a file of a release: use letters, digits, _ and -, and say with '
                "file = ... how the source calls it"
            )
    if len({name.lower() for name in listed}) < len(listed):
        raise SchemaError("two tables have names that differ in case alone; rename one")
