"""What the sections of a database's page say: tables and their bounds, numbers of rows, trust, columns table by table.

Must never know anything but the predicate, the schema, the noisy answers and the released tables.
"""

from __future__ import annotations

import numpy as np

from privsynth.database.document import TableTerms
from privsynth.histories import scarcity
from privsynth.histories.biases import bias, most_words, used_words, weight_words
from privsynth.histories.kinship import dangling
from privsynth.report import pictures, sections
from privsynth.report.claims import Claims
from privsynth.report.database_numbers import DatabaseFacts, ViewNumbers
from privsynth.report.numbers import ColumnNumbers
from privsynth.report.sections import Section
from privsynth.report.words import count, percent, plural, points
from privsynth.schema.columns import CategoryColumn

_BARS = 10
"""Levels up to which a column is drawn with a bar for each; more make a histogram."""

_NEARLY_CONSTANT = 0.99

_UNKNOWN = 0.25
"""A share whose interval is wider than a half is not worth stating."""

LEFT_OUT = ": rows left out"
"""How the entries of `repairs` end that say how many rows of a table are gone."""


def tables(facts: DatabaseFacts) -> Section:
    """The tables as a tree, how they are linked, what of a unit was used of each, and what that costs."""
    listed = [table for table in facts.schema.tables if table.listed]
    links = [table for table in facts.schema.tables if table.parent is not None]
    lost = sum(int(dangling(facts.released, table).sum()) for table in links)
    return {
        "lead": f"{plural(len(listed), 'table', 'tables')} under one {facts.unit}: whatever rows a {facts.unit} has, in "
        "whichever of them, are protected together, by one budget.",
        "lines": [_line(facts, table) for table in facts.schema.tables],
        "links": f"{'No' if lost == 0 else count(lost)} released row has a key that leads nowhere. Keys are made anew, without "
        "a look at the source's: they link the tables and say nothing of anybody. One that is somebody's is so by chance, "
        "unless the schema names a range that is never issued.",
        "left_out": _left_out(facts),
        "costs": [_cost(facts, table) for table in links],
    }


def files(database_file: str | None) -> str:
    """Where the tables are."""
    also = "" if database_file is None else f" All of them, with their keys declared, are in {database_file}, too."
    return f"Each table is in data/ as a CSV and a Parquet file.{also}"


def _left_out(facts: DatabaseFacts) -> str:
    """Rows that no change could make obey the rules."""
    gone = {text.removesuffix(LEFT_OUT): int(str(rows)) for text, rows in facts.claims.pairs("repairs").items()}
    those = [f"{count(gone[table.name])} of {table.name}" for table in facts.schema.tables if gone.get(table.name)]
    return f"Rows that could not be made to obey every rule were left out: {', '.join(those)}." if those else ""


def _line(facts: DatabaseFacts, table: TableTerms) -> Section:
    depth = len(facts.schema.ancestors(table.name))
    link = table.parent
    by = "the units"
    if link is not None:
        by = f"{', '.join(link.columns)}{' (may be empty)' if link.optional else ''} → {table.parent_table}"
        by += f"; {', '.join(link.unit)} → {facts.schema.root.name}" if link.unit else ""
    return {
        "name": ("\u00a0\u00a0\u00a0" * (depth - 1) + "└ " if depth else "") + table.name,
        "listed": table.listed,
        "rows": count(facts.released.tables[table.name].count),
        "columns": count(len(table.released)) if table.listed else "–",
        "by": by,
        "order": _order(table),
    }


def _order(table: TableTerms) -> str:
    if table.time is not None:
        return f"by {table.time.column}"
    return f"by {table.order}" if table.order is not None else "–"


def _cost(facts: DatabaseFacts, table: TableTerms) -> Section:
    """A table's bound, the share of units beyond it, and the bias that it brings."""
    assert table.bound is not None
    numbers = facts.views.get(table.name)
    used = None if numbers is None else numbers.used
    over = facts.over(table)
    if over.half is None:
        beyond = f"{percent(over.share)} of released units"
    elif over.half > _UNKNOWN:
        beyond = "unknown: the noise is too large"
    else:
        share = f"{percent(over.share)} (95 % interval {points(over.half)})"
        beyond = f"{share} have as many or more; more were not told apart" if over.reached else share
    return {
        "name": table.name,
        "used": used_words(table, facts.unit, used),
        "basis": "bought" if table.bound.rows == "buy" else "declared",
        "over": beyond,
        "weights": weight_words(table, facts.unit),
        "most": most_words(table, facts.unit, facts.schema.root.name),
    }


def policy(facts: DatabaseFacts) -> Section:
    """The policy's checks, and the limits of the release but for those of bounds, which section 2 states table by table."""
    root, said = facts.schema.root.name, sections.policy(facts.claims)
    costs = {
        f"{table.name}: {bias(table, facts.unit, root)}" for table in facts.schema.tables if table.bound is not None
    }
    limits = [text for text in facts.claims.texts("limitations") if text not in costs]
    return {**said, "limitations": limits}


def repairs(claims: Claims) -> dict[str, int]:
    """In how many rows each rule was mended."""
    found = claims.pairs("repairs").items()
    return {text: int(str(rows)) for text, rows in found if not text.endswith(LEFT_OUT)}


def sizes(facts: DatabaseFacts) -> list[Section]:
    """How many rows each parent has in each of its child tables, with intervals."""
    figures: list[Section] = []
    for numbers in facts.views.values():
        for one, column in numbers.own("count"):
            figures.append(
                {
                    "name": _size_title(facts, one.of, numbers.table.name),
                    "note": _note(column),
                    "svg": pictures.marginal(column, sort=False)
                    if len(column.labels) <= _BARS
                    else pictures.histogram(column),
                }
            )
    return figures


def _size_title(facts: DatabaseFacts, child: str, above: str) -> str:
    parent = facts.schema.table(child).parent_table
    loose = "" if parent == above else f" that are in no row of {parent}"
    return f"rows in {child}{loose}, of one row in {above}"


def trust(facts: DatabaseFacts) -> Section:
    """How well each table's view is known, and aloud where nothing ties its columns together."""
    told = facts.views.values()
    tied = [numbers.table.name for numbers in told if numbers.measured_pairs]
    which = "each table" if len(tied) == len(told) else ", ".join(tied)
    lead = (
        f"Of {which}, rows were measured together with the rows above them and the row before: what a stay is like given its "
        "patient, an event given the one before it. Everything else there follows from these tables of pairs through a "
        "model, row by row."
    )
    generator = facts.claims.text("generator.name")
    return {
        "lead": lead if tied else "Of each table, single columns were measured, and no pairs.",
        "warnings": [warning for numbers in told for warning in _warnings(numbers, generator)],
        "lines": [_trust_line(numbers) for numbers in told],
    }


def _warnings(numbers: ViewNumbers, generator: str) -> list[str]:
    """What to mind of one table."""
    known = [column.expected_error for column in numbers.columns if column.share is not None]
    counts = [column.expected_error for _, column in numbers.own("count") if column.share is not None]
    return scarcity.warnings(
        numbers.table.name,
        generator,
        measured=numbers.measured_pairs,
        pairs=numbers.pair_errors.size,
        off=float(np.median(known)) if known else None,
        sizes=max(counts, default=None),
    )


def _trust_line(numbers: ViewNumbers) -> Section:
    halves = [column.half for column in numbers.columns if column.share is not None]
    known = numbers.pair_errors[~np.isnan(numbers.pair_errors)]
    context = len(numbers.view.context)
    return {
        "name": numbers.table.name,
        "attributes": f"{len(numbers.view.own)} own, {context} of the rows above and before",
        "pairs": f"{numbers.measured_pairs:,} of {numbers.pair_errors.size:,}",
        "half": f"{points(float(np.median(halves)))} (at most {points(max(halves))})" if halves else "unknown",
        "error": f"{percent(float(np.median(known)))} (at most {percent(float(known.max()))})"
        if known.size
        else "unknown",
    }


def pictures_by_table(facts: DatabaseFacts) -> list[Section]:
    """Each table's own columns, and when its rows happen, with intervals."""
    found: list[Section] = []
    for numbers in facts.views.values():
        drawn = numbers.own("column", "gap", "first", "weekday", "month", "shared")
        figures = [
            {
                "name": _title(one.kind, one.of, one.name),
                "note": _note(column),
                "svg": _drawn(numbers, one.name, column),
            }
            for one, column in drawn
            if column.released.sum() and column.released_share.max() < _NEARLY_CONSTANT
        ]
        if figures:
            found.append({"name": numbers.table.name, "figures": figures})
    return found


def _drawn(numbers: ViewNumbers, name: str, column: ColumnNumbers) -> object:
    content = numbers.table.content
    labelled = content is not None and name in numbers.table.columns
    sort = labelled and content is not None and isinstance(content.modelled_column(name), CategoryColumn)
    return pictures.marginal(column, sort=sort) if sort or len(column.labels) <= _BARS else pictures.histogram(column)


def _title(kind: str, of: str, name: str) -> str:
    match kind:
        case "gap":
            return f"time since the row before ({of})"
        case "first":
            return f"when the first row of {of} happens"
        case "shared":
            return f"on a day of {of}"
        case "weekday" | "month":
            return f"{kind} of {of}"
        case _:
            return name


def _note(column: ColumnNumbers) -> str:
    return "not measured: from the model only" if column.share is None else f"{points(column.half)} for each share"


def inside_intervals(facts: DatabaseFacts) -> tuple[int, int]:
    """How many released shares lie inside their 95 % interval, and of how many."""
    known = [column for numbers in facts.views.values() for column in numbers.columns if column.share is not None]
    return sum(column.inside for column in known), sum(len(column.labels) for column in known)
