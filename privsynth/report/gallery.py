"""The pictures section of the report: which columns and pairs are drawn, in which order, under which words.

Must never know anything but the schema, the noisy answers and the released table.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt

from privsynth.report import heat, pictures
from privsynth.report.numbers import ColumnNumbers
from privsynth.report.sections import Facts, Section
from privsynth.report.words import count, percent, points
from privsynth.schema import Schema
from privsynth.schema.columns import BooleanColumn, CategoryColumn, OrderedColumn
from privsynth.schema.levels import levels
from privsynth.schema.ticks import MISSING

SHOWN_PAIRS = 4
"""Measured pairs that are drawn: the most strongly associated ones."""

_PAIR_CELLS = 700
_NEARLY_CONSTANT = 0.99
_HISTOGRAM_LEVELS = 10


def picture_section(facts: Facts) -> Section:
    """Marginals with intervals, the strongest measured pairs, and the map of all pairs."""
    flat = [column for column in facts.columns if column.released_share.max() >= _NEARLY_CONSTANT]
    drawn = [column for column in facts.columns if column not in flat]
    inside, of = inside_intervals(facts)
    lead = (
        f"{percent(inside / of)} of the {count(of)} released shares lie inside the 95 % interval of the real share."
        if of
        else "No single column was measured."
    )
    limits = [percent(limit) for limit in heat.ERROR_LEVELS]
    names = [column.name for column in facts.columns]
    order = heat.clusters(facts.pairs.association)
    known = bool(np.isfinite(facts.pairs.expected_error).any())
    between = [f"{low} to {high}" for low, high in pairwise(limits)]
    return {
        "lead": lead,
        "columns": [_column_figure(facts, column) for column in drawn],
        "constant": [_constant_line(column) for column in flat],
        "pairs": _pair_figures(facts),
        "heat": heat.error_map(names, facts.pairs, order) if known and len(names) > 1 else "",
        "association": heat.association_map(names, facts.pairs, order) if len(names) > 1 else "",
        "error_legend": [f"up to {limits[0]}", *between, f"above {limits[-1]}"],
        "map_words": _map_words(facts),
    }


def _map_words(facts: Facts) -> str:
    held = f"{facts.pairs.measured_pairs:,} of {facts.pairs.all_pairs:,} pairs of columns are held by a measured table"
    if facts.pairs.predicted:
        return (
            f"{held}, of levels or of groups of rare ones. The expected error is the share of rows that would have to move to "
            "turn the model's table of the pair into the true one, as its generator predicts it from the noise; beside each "
            "row stands the mean of its column."
        )
    return (
        f"{held}. The expected error is the share of rows that would have to move to turn the noisy table of the pair into the "
        "true one; beside each row stands the mean of its column. What was not measured follows from the model, and its error "
        "is not known."
    )


def inside_intervals(facts: Facts) -> tuple[int, int]:
    """How many released shares lie inside their 95 % interval, and of how many."""
    known = [column for column in facts.columns if column.share is not None]
    return sum(column.inside for column in known), sum(len(column.labels) for column in known)


def _column_figure(facts: Facts, column: ColumnNumbers) -> Section:
    declared = facts.schema.column(column.name)
    labelled = isinstance(declared, CategoryColumn | OrderedColumn | BooleanColumn)
    by_value = column.ordered(value_order(facts.schema, column.name))
    if labelled or len(column.labels) <= _HISTOGRAM_LEVELS:
        svg = pictures.marginal(by_value, sort=isinstance(declared, CategoryColumn))
    else:
        svg = pictures.histogram(by_value)
    note = "not measured: from the model only" if column.share is None else f"{points(column.half)} for each share"
    return {"name": column.name, "note": note, "svg": svg}


def value_order(schema: Schema, name: str) -> npt.NDArray[np.int64]:
    """The levels of a column in the order of their values, the missing level last."""
    layout = levels(schema.modelled_column(name))
    first, _ = layout.span(np.arange(layout.size))
    return np.argsort(np.where(first == MISSING, np.iinfo(np.int64).max, first), kind="stable")


def _constant_line(column: ColumnNumbers) -> Section:
    level = int(np.argmax(column.released))
    interval = "not measured"
    if column.share is not None:
        low, high = (float(column.share[level]) + sign * column.half for sign in (-1, 1))
        interval = f"{percent(min(max(0.0, low), 0.9999))} to {percent(min(1.0, high))}"
    released = percent(float(column.released_share[level]))
    return {"name": column.name, "label": column.labels[level], "released": released, "interval": interval}


def _pair_figures(facts: Facts) -> list[Section]:
    names = [column.name for column in facts.columns]
    by_name = dict(zip(names, facts.columns, strict=True))
    wanted = [
        table
        for table in facts.bought.tables
        if len(table.clique) == 2 and not table.groups and 4 < table.cells <= _PAIR_CELLS
    ]
    strength = {
        table.clique: facts.pairs.association[tuple(names.index(name) for name in table.clique)] for table in wanted
    }
    wanted.sort(key=lambda table: (-strength[table.clique], table.clique))
    scale = facts.bought.total / max(1, facts.released.rows)
    figures: list[Section] = []
    for table in wanted[:SHOWN_PAIRS]:
        orders = [value_order(facts.schema, name) for name in table.clique]
        cells = np.ix_(*orders)
        first, second = (by_name[name].ordered(order) for name, order in zip(table.clique, orders, strict=True))
        released = facts.released.marginal(table.clique)[cells].astype(np.float64) * scale
        svg = pictures.pair_triptych(
            (first.name, second.name), (first.labels, second.labels), table.counts[cells], released, table.sigma
        )
        figures.append({"rows": first.name, "columns": second.name, "svg": svg})
    return figures
