"""Rules across tables on synthetic databases: which rows break them, and a repair after which none does.

Must never be run to learn something of a private database: what it counts is counted on synthetic rows.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from privsynth import rules
from privsynth.database.document import DatabaseSchema, TableTerms
from privsynth.database.held import Database
from privsynth.database.terms import Balanced
from privsynth.errors import FitError
from privsynth.histories import balancing, kinship, orders

_Ints = npt.NDArray[np.int64]
_Mask = npt.NDArray[np.bool_]

_ROUNDS = 6
"""Repairing one rule may break another; after so many rounds, rows that are still broken are left out."""


def broken(schema: DatabaseSchema, database: Database) -> dict[str, _Mask]:
    """For every rule, by its text, which rows break it.

    The rules are: each row has its parent, and no key twice; nothing before its anchor or after its end; in-order and balanced
    rules; and each table's own rules. Shapes: a mask has the rows of the table that the rule is about: of the lower table of
    an order, of the amounts' table of a balance (all rows of a parent that does not balance).
    """
    return {text: mask for _, text, mask in _broken(schema, database)}


def _broken(schema: DatabaseSchema, database: Database) -> Iterator[tuple[str, str, _Mask]]:
    """Table, rule and mask of each rule; the text names the table."""
    for terms in schema.tables:
        if terms.parent is not None:
            yield terms.name, f"{terms.name}: each row has its {terms.parent_table}", kinship.dangling(database, terms)
            if terms.key:
                yield terms.name, f"{terms.name}: no key twice", kinship.repeated(database, terms)
        for one in orders.across(schema, terms.name):
            yield terms.name, one.text, one.broken(database)
        records = database.tables[terms.name].records
        if terms.content is not None and records is not None:
            for text, mask in rules.check(terms.content.rules, records).items():
                yield terms.name, f"{terms.name}: {text}", mask
    for rule in _balanced_rules(schema):
        yield rule.table, balancing.text(rule), balancing.broken(database, rule)


def _balanced_rules(schema: DatabaseSchema, table: str | None = None) -> tuple[Balanced, ...]:
    return tuple(rule for rule in schema.rules if isinstance(rule, Balanced) and table in (None, rule.table))


def enforce(schema: DatabaseSchema, database: Database, *, rng: np.random.Generator) -> tuple[Database, dict[str, int]]:
    """Change as little as needed for every rule to hold in every row.

    Dates and integers that are out of order with a row above are moved to the nearest value of their own column that obeys;
    of amounts that do not balance the last is changed, or all (see `balancing`); rules of one table are repaired as
    `rules.repair` does, with what is bound across tables held. A row for which no admissible value exists is left out with
    all rows below it, and so is a parent whose amounts cannot balance.
    Args: `database` is synthetic; its rows need not be in order.
    Returns: the database in order, in which no rule is broken; and for every rule, by its text, in how many rows it was, and
        for every table, as "TABLE: rows left out", how many rows are gone.
    Raises: FitError when no unit is left.
    """
    counts = {text: int(mask.sum()) for text, mask in broken(schema, database).items()}
    held = kinship.arranged(kinship.without(database, _unlinked(schema, database)))
    if any(counts.values()):
        for _ in range(_ROUNDS):
            held = _mended(schema, held, rng)
            if not any(mask.any() for mask in broken(schema, held).values()):
                break
        else:
            held = _pruned(schema, held, rng)
    for terms in schema.tables:
        gone = database.tables[terms.name].count - held.tables[terms.name].count
        counts[f"{terms.name}: rows left out"] = gone
    if not held.units:
        worst = max(counts, key=lambda text: counts[text])
        raise FitError(f'no unit obeys every rule; the hardest is "{worst}". Check it against the schema, or remove it')
    return held, counts


def _unlinked(schema: DatabaseSchema, database: Database) -> dict[str, _Mask]:
    return {
        terms.name: kinship.dangling(database, terms) | kinship.repeated(database, terms)
        for terms in schema.tables
        if terms.parent is not None
    }


def _mended(schema: DatabaseSchema, database: Database, rng: np.random.Generator) -> Database:
    """One round: parents first, so that rows below see what they are held to; then in order again."""
    for terms in schema.tables:
        changed, hopeless = orders.hold(database, terms.name)
        database = kinship.with_ticks(database, terms.name, changed)
        if hopeless.any():
            database = kinship.without(database, {terms.name: hopeless})
        database = _with_own_rules(schema, database, terms, rng)
        database = _balanced(schema, database, terms.name, rng)
    return kinship.arranged(database)


def _with_own_rules(
    schema: DatabaseSchema, database: Database, terms: TableTerms, rng: np.random.Generator
) -> Database:
    """One table's own rules repaired, without touching what rules across tables bind."""
    rows = database.tables[terms.name]
    if terms.content is None or rows.records is None or not terms.content.rules:
        return database
    keep = set(orders.bound_columns(schema, terms.name))
    for rule in _balanced_rules(schema, terms.name):
        keep |= {rule.amount, rule.negative.column}
    try:
        records, _ = rules.repair(terms.content, rows.records, rng=rng, keep=keep)
    except FitError:  # no row obeys them all: there is none to replace the others by, and they are left out in the end
        return database
    return kinship.with_ticks(database, terms.name, records.ticks)


def _balanced(schema: DatabaseSchema, database: Database, table: str, rng: np.random.Generator) -> Database:
    """The amounts of one table balanced; parents that cannot be are left out with all below them."""
    for rule in _balanced_rules(schema, table):
        changed, hopeless = balancing.balance(database, rule, rng=rng)
        database = kinship.with_ticks(database, table, changed)
        if hopeless.any():
            database = kinship.without(database, {schema.table(table).parent_table: hopeless})
    return database


def _pruned(schema: DatabaseSchema, database: Database, rng: np.random.Generator) -> Database:
    """Leave out what is still broken: rows with all below them, and parents that do not balance; each pass leaves out some."""
    while True:
        for terms in schema.tables:
            database = _balanced(schema, database, terms.name, rng)
        drop: dict[str, _Mask] = {}
        balances = {balancing.text(rule) for rule in _balanced_rules(schema)}
        for table, text, mask in _broken(schema, database):
            if text not in balances and mask.any():
                drop[table] = drop.get(table, np.zeros(mask.shape, dtype=bool)) | mask
        if not drop:
            for rule in _balanced_rules(schema):
                above = schema.table(rule.table).parent_table
                unequal = balancing.differences(database, rule) != 0
                if unequal.any():
                    drop[above] = drop.get(above, np.zeros(unequal.shape, dtype=bool)) | unequal
        if not drop:
            return database
        database = kinship.without(database, drop)
