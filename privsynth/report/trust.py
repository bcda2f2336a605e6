"""What to trust: a traffic light for every kind of statistic, with the number that decides it and the rule behind.

Must never let a light be greener than its number, nor show a light that only its colour tells.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from markupsafe import Markup

from privsynth.answering.contradictions import ADVICE
from privsynth.report import kinds
from privsynth.report.kinds import SIGMAS_90, Errors, Light
from privsynth.report.numbers import TableNumbers
from privsynth.report.pictures import path, rect, svg
from privsynth.report.sections import Facts, Section
from privsynth.report.words import count, percent, plural, points
from privsynth.schema.columns import BooleanColumn, CategoryColumn, OrderedColumn

SHOWN_TABLES = 12
"""Measured tables in the report; the rest are in measurements.json."""

SHOWN_AGAINST: Final = 4
"""Tables named that the released one does not follow; the fits of the best known are listed below the lights."""

IN_PICTURES: Final = "section 6 draws one for each value"
IN_MAP: Final = "The map in section 6 shows every pair."
IN_RARE: Final = "; section 4 names it"
FROM_COPIES: Final = "from several copies (docs/copies.md), "
"""What advice says that is true of the page of a single table alone."""

WORDS: Final[dict[Light, str]] = {"green": "Trust it", "amber": "With care", "red": "Do not rely"}

_SHAPES: Final[dict[Light, tuple[str, str]]] = {
    "green": ("M9 1a8 8 0 1 0 0.01 0z", "M5 9.4l2.8 2.8L13 6.6"),
    "amber": ("M9 1.2L17.4 16.4H0.6z", "M9 6.6v4.6m0 2v1.2"),
    "red": ("M5.6 1h6.8L17 5.6v6.8L12.4 17H5.6L1 12.4V5.6z", "M6 6l6 6m0-6l-6 6"),
}
"""A circle with a tick, a triangle with an exclamation mark, an octagon with a cross: no light needs its colour."""


def picture(light: Light) -> Markup:
    """The light as a shape."""
    shape, mark = _SHAPES[light]
    return svg(18, 18, WORDS[light], [path(shape, f"light-{light}"), path(mark, "mark")], "light")


def _strip(errors: Errors) -> Markup:
    """How many of a kind have each light, as one bar."""
    counts, width = errors.counts(), 120.0
    parts, x = [], 0.0
    for light, number in counts.items():
        run = width * number / max(1, len(errors.sizes))
        parts.append(rect(x, 1, run, 6, f"light-{light}"))
        x += run
    return svg(width, 8, _counts_words(errors), parts, "strip")


def _counts_words(errors: Errors) -> str:
    counts = errors.counts()
    names: tuple[Light, ...] = ("green", "amber", "red")
    return ", ".join(f"{counts[name]:,} {name}" for name in names if counts[name])


def trust(facts: Facts) -> Section:
    """The lights, their rules, and every measured table of several columns."""
    lines = [
        *_against(facts),
        _shares(facts),
        *_pairs(facts),
        _triples(facts),
        _means(facts),
        _correlations(facts),
        _rare(facts),
    ]
    lines += [_regressions(facts), _row(facts)]
    more = len(facts.tables) - SHOWN_TABLES
    return {
        "lead": f"{plural(len(facts.bought.tables), 'table was', 'tables were')} bought from the data with noise of known "
        "size; everything else in the release follows from them through a model. Trust a statistic as far as its light says.",
        "lines": [line for line in lines if line is not None],
        "legend": [{"picture": picture(light), "words": words} for light, words in WORDS.items()],
        "tables": [_table_line(table) for table in facts.tables[:SHOWN_TABLES]],
        "tables_title": "Tables of several columns that were measured"
        + (f" (the {SHOWN_TABLES} best known; {more} more are in measurements.json)" if more > 0 else ""),
    }


def _line(what: str, source: str, errors: Errors, say: Callable[[float], str], rule: str, advice: str) -> Section:
    """One kind: its light, the number that nine in ten stay below, the middle and the worst."""
    worst = float(errors.sizes[errors.worst]) if errors.sizes.size else math.inf
    return {
        "what": what,
        "source": source,
        "light": picture(errors.light),
        "words": WORDS[errors.light],
        "style": errors.light,
        "number": say(errors.deciding),
        "middle": say(errors.middle) if len(errors.sizes) > 1 else "",
        "worst": f"{say(worst)} ({errors.names[errors.worst]})" if len(errors.sizes) > 1 else "",
        "strip": _strip(errors) if len(errors.sizes) > 1 else "",
        "counts": _counts_words(errors) if len(errors.sizes) > 1 else "",
        "rule": rule,
        "advice": advice,
    }


def _known(say: Callable[[float], str]) -> Callable[[float], str]:
    return lambda size: say(size) if math.isfinite(size) else "not known"


def _rows_too(facts: Facts) -> Callable[[float], str]:
    return _known(lambda half: f"{points(half)}, ±{count(half * facts.bought.total)} {facts.counted}")


def _shares(facts: Facts) -> Section:
    errors = kinds.of_shares(facts.columns)
    known = sum(column.share is not None for column in facts.columns)
    return _line(
        "Share of one value",
        f"{known} of {len(facts.columns)} columns measured",
        errors,
        _rows_too(facts),
        "90 % half-width: green up to 1 point, amber up to 5",
        f"Quote it with its interval; {IN_PICTURES}.",
    )


def _pairs(facts: Facts) -> list[Section]:
    """Pairs whose error is known, and those whose error is not."""
    apart = [rule.columns for rule in facts.against.rules] + [one.columns for one in facts.against.other_tables]
    known = kinds.of_pairs(facts.columns, facts.pairs, known=True, apart=apart)
    unknown = kinds.of_pairs(facts.columns, facts.pairs, known=False)
    rule = "share of rows that would have to move: green up to 5 %, amber up to 15 %"
    lines = []
    if known.names:
        held = f"{facts.pairs.measured_pairs:,} of {facts.pairs.all_pairs:,} pairs measured"
        fitted = ", all fitted together; predicted by the generator, no bound" if facts.pairs.predicted else ""
        lines.append(
            _line(
                "Table of two columns" if not unknown.names else "Table of two columns that was measured",
                held + fitted,
                known,
                lambda error: f"{percent(error)} of rows",
                rule,
                f"{_cell(facts)} {IN_MAP}",
            )
        )
    if unknown.names:
        lines.append(
            _line(
                "Any table of two columns that was not measured",
                f"{plural(len(unknown.names), 'pair', 'pairs')}, from the model only",
                unknown,
                _known(percent),
                rule,
                "A hint at best: do not quote it.",
            )
        )
    return lines


def _cell(facts: Facts) -> str:
    """What one cell of a middling pair is good to, and how large a sample says as much."""
    best = []
    d = len(facts.columns)
    for first in range(d):
        for second in range(first + 1, d):
            error = float(facts.pairs.expected_error[first, second])
            rough = float(facts.pairs.roughness[first, second])
            if math.isfinite(error) and error > 0 and rough > 0:
                cells = len(facts.columns[first].labels) * len(facts.columns[second].labels)
                best.append((SIGMAS_90 * kinds.cell_sigma(error, cells), (rough / error) ** 2))
    if not best:
        return ""
    half = sorted(half for half, _ in best)[len(best) // 2]
    like = sorted(rows for _, rows in best)[len(best) // 2]
    return (
        f"Of the middle pair, one cell is good to about ±{count(half * facts.bought.total)} {facts.counted} ({points(half)}), "
        f"and the whole table says as much as {_rounded(like)} {facts.counted} picked at random would."
    )


def _rounded(rows: float) -> str:
    """A number of rows to two figures: it is no better known."""
    scale = 10 ** max(0, math.floor(math.log10(max(rows, 1))) - 1)
    return count(max(1, round(rows / scale) * scale))


def _triples(facts: Facts) -> Section:
    found = kinds.of_triples(facts.transcript, facts.bought.total)
    wide = sum(len(table.clique) > 2 for table in facts.tables)
    measured = f"{plural(wide, 'table', 'tables')} of three or more measured; " if wide else ""
    rule = "share of rows that would have to move: amber up to 15 %; never green, most are from the model alone"
    if found is None:
        nothing = Errors(names=(), sizes=kinds.NONE, green=None, amber=0.15)
        source = f"{measured}the others from the model only"
        advice = "Use only where the table is listed below." if wide else "A hint at best: do not quote it."
        return _line("Three columns at once", source, nothing, _known(percent), rule, advice)
    return _line(
        "Three columns at once",
        f"{measured}{plural(len(found.errors.names), 'small table', 'small tables')} of three compared with a first model, "
        f"each with noise of ±{percent(SIGMAS_90 * found.noise)}",
        found.errors,
        lambda error: f"{percent(error)} of rows",
        rule,
        "Look for large effects alone. Tables of three with many cells were not compared.",
    )


def _means(facts: Facts) -> Section | None:
    errors = kinds.of_means(facts.schema, facts.columns)
    if not errors.names:
        return None
    return _line(
        "Mean of a number",
        "single columns measured; inside a declared bin, spread evenly",
        errors,
        _known(lambda size: f"±{size:.2g} standard deviations"),
        "90 % half-width in the column’s standard deviations, bins included: green up to 0.05, amber up to 0.2",
        "Medians and quantiles: good to about one bin. Look for no spikes inside a bin.",
    )


def _correlations(facts: Facts) -> Section | None:
    errors = kinds.of_correlations(facts.schema, facts.columns, facts.pairs, facts.released)
    if not errors.names:
        return None
    return _line(
        "Correlation of two numbers",
        "tables of two columns; what hangs together inside bins is lost",
        errors,
        _known(lambda size: f"±{size:.2g}" if size < 1 else "could be any"),
        "90 % half-width, bins included: green up to 0.05, amber up to 0.15",
        "Long tails suffer most: a few far values decide a correlation, and noise is as large there as anywhere. "
        "Compare groups or ranks instead.",
    )


def _rare(facts: Facts) -> Section | None:
    labelled = {
        column.name
        for column in facts.schema.modelled
        if isinstance(column, CategoryColumn | OrderedColumn | BooleanColumn)
    }
    errors = kinds.of_rare(facts.columns, labelled, facts.bought)
    if not errors.names:
        return None
    return _line(
        "Rare categories",
        "noisy counts of single columns",
        errors,
        _known(lambda size: f"seen from {count(size * facts.bought.total)} {facts.counted} on ({percent(size)})"),
        "smallest share seen above the noise: green up to 0.1 %, amber up to 1 %",
        f"What is rarer may exist or not{IN_RARE}.",
    )


def _regressions(facts: Facts) -> Section:
    target = facts.schema.use.target
    of = f"of {target} " if target else ""
    errors = kinds.of_regressions(facts.columns, facts.pairs, target)
    return _line(
        f"Regression {of}on other columns",
        f"the {plural(len(errors.names), 'strongest pair', 'strongest pairs')}; holding others fixed is the model’s part",
        errors,
        _known(lambda size: f"error {percent(size)} of the association"),
        "error of a pair beside its association: amber up to 25 %; never green, as no table holds all columns",
        f"Take intervals {FROM_COPIES}never from one table as if it were real.",
    )


def _row(facts: Facts) -> Section:
    return _red("A single row", "drawn from the model", "–", "always red", f"No row stands for a {facts.unit}.")


def _red(what: str, source: str, number: str, rule: str, advice: str) -> Section:
    """A line that is red whatever the noise."""
    return {
        "what": what,
        "source": source,
        "light": picture("red"),
        "words": WORDS["red"],
        "style": "red",
        "number": number,
        "middle": "",
        "worst": "",
        "strip": "",
        "counts": "",
        "rule": rule,
        "advice": advice,
    }


def _against(facts: Facts) -> list[Section]:
    """What noisy tables say, beyond their noise, against a rule or against the released table: red, and first."""
    lines = [
        _red(
            " × ".join(rule.columns),
            f"{rule.text[0].upper()}{rule.text[1:]}. No released row does.",
            f"{percent(rule.share)} of records",
            "always red where measured records break a rule beyond chance",
            f"Trust nothing of these columns together: {ADVICE}.",
        )
        for rule in facts.against.rules
    ]
    others = facts.against.other_tables
    if others:
        lines.append(
            _red(
                "; ".join(" × ".join(table.columns) for table in others[:SHOWN_AGAINST]),
                f"The released table does not follow {plural(len(others), 'measured table', 'measured tables')}.",
                f"{percent(others[0].share)} of {facts.counted}",
                "always red where a table’s fit is above 5 and more than 1 % of rows would have to move",
                "The model could not follow what was bought: do not quote these.",
            )
        )
    return lines


def _table_line(table: TableNumbers) -> Section:
    return {
        "name": " × ".join(f"{name} (groups)" if name in table.grouped else name for name in table.clique),
        "cells": count(table.cells),
        "half": points(table.share_half),
        "error": percent(table.expected_error) if table.expected_error < 1 else "all of it",
        "fit": f"{table.fit:.2f}",
    }
