"""What the sections of the report say, as plain words and pictures for the template; attacks and pictures have their own file.

Must never know anything but the predicate, the schema, the transcript and the released table.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias, final

from privsynth.answering.contradictions import NOTHING, Contradictions
from privsynth.dataset import Dataset
from privsynth.measurement import Purchase, Transcript
from privsynth.report import pictures
from privsynth.report.claims import Claims
from privsynth.report.numbers import (
    Bought,
    ColumnNumbers,
    PairMatrix,
    RareNumbers,
    TableNumbers,
    rare_numbers,
)
from privsynth.report.words import count, number, odds_factor, one_in, percent, plural
from privsynth.schema import Schema
from privsynth.schema.columns import BooleanColumn, CategoryColumn, OrderedColumn

Section: TypeAlias = dict[str, object]

SHOWN_RULES = 15
"""Repaired rules in the report's table; those with fewer repairs share a sentence."""

_LISTED = 8


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Facts:
    """Everything the sections draw on, computed once; `counted` is what is counted: rows, or whose rows count as one."""

    claims: Claims
    schema: Schema
    released: Dataset
    bought: Bought
    columns: list[ColumnNumbers]
    tables: list[TableNumbers]
    pairs: PairMatrix
    broken: dict[str, int]
    broken_rows: int
    purchases: tuple[Purchase, ...]
    transcript: Transcript
    counted: str = "rows"
    against: Contradictions = NOTHING

    @property
    def unit(self) -> str:
        """What one privacy unit is called."""
        return self.claims.text("guarantee.unit.name")


def guarantee(claims: Claims) -> Section:
    """The guarantee in plain words, its assumptions, and the stages it was spent on."""
    unit = claims.text("guarantee.unit.name")
    epsilon = claims.number("guarantee.epsilon")
    rho = claims.number("guarantee.rho")
    return {
        "said": "the tables say" if claims.has("schema.tables") else "the table says",
        "unit": unit,
        "epsilon": claims.text("guarantee.epsilon"),
        "delta": claims.text("guarantee.delta"),
        "delta_words": one_in(claims.text("guarantee.delta")),
        "factor": odds_factor(epsilon),
        "odds": pictures.odds(epsilon),
        "contribution": _contribution(claims, unit),
        "assumptions": claims.texts("guarantee.assumptions"),
        "not_covered": claims.texts("guarantee.notCovered"),
        "stages": [_stage(stage, rho) for stage in claims.rows("guarantee.stages")],
        "rho": claims.text("guarantee.rho"),
        "training": _training(claims) if claims.has("guarantee.training") else "",
        "definition": claims.text("guarantee.definition"),
        "relation": {"add-remove": "adding or removing the rows"}.get(
            claims.text("guarantee.relation"), "replacing the rows"
        ),
        "conversion": claims.text("guarantee.conversion"),
        "noise": claims.text("guarantee.noise"),
        "randomness": claims.text("guarantee.randomness"),
    }


def _contribution(claims: Claims, unit: str) -> str:
    """How much of one unit was used."""
    if claims.has("schema.tables"):
        return (
            f"It covers all rows of one {unit} in all tables together, however many they are. To make it hold, a limited "
            "number of them was used of each table; section 2 says how many, and what that costs."
        )
    rows = int(claims.number("guarantee.unit.maxRows"))
    kept = "one row was" if rows == 1 else f"at most {rows} rows were"
    if claims.has("guarantee.unit.column"):
        return f"To make it hold, {kept} taken of each {unit}, chosen by a keyed random draw."
    return f"Each row of the table is one {unit}."


def _training(claims: Claims) -> str:
    """What the gradient steps were, in a sentence."""
    steps = int(claims.number("guarantee.training.steps"))
    return (
        f"Training: {steps:,} gradient steps ({claims.text('guarantee.training.mechanism')}), in each of which every "
        f"{claims.text('guarantee.unit.name')} takes part with probability {claims.text('guarantee.training.samplingRate')}, "
        f"with noise of {claims.text('guarantee.training.noiseMultiplier')} times what one of them can add at the most. "
        "The steps' cost is part of epsilon; rho and the shares above are those of the other answers."
    )


def _stage(stage: Claims, rho: float) -> Section:
    share = stage.number("rho") / rho if rho > 0 else 0.0
    return {
        "name": stage.text("stage"),
        "mechanism": stage.text("mechanism"),
        "rho": f"{stage.number('rho'):.3g}",
        "share": percent(share),
    }


def impossible(repaired: Mapping[str, int], broken: Mapping[str, int], broken_rows: int, rows: int) -> Section:
    """Business rules: how many released rows break one, and how many were repaired, of so many `rows`."""
    texts = list(dict.fromkeys([*broken, *repaired]))
    texts.sort(key=lambda text: (-broken.get(text, 0), -repaired.get(text, 0)))
    touched = [text for text in texts if repaired.get(text) or broken.get(text)]
    clean = [text for text in texts if text not in touched]
    mended = sum(repaired.values())
    shown = max(SHOWN_RULES, sum(broken.get(text, 0) > 0 for text in touched))
    lines = [
        {
            "text": text,
            "repaired": count(repaired.get(text, 0)),
            "share": percent(repaired.get(text, 0) / max(1, rows)),
            "broken": count(broken.get(text, 0)),
        }
        for text in touched[:shown]
    ]
    more = touched[shown:]
    return {
        "count": len(texts),
        "card": f"of {count(rows)} rows; {plural(mended, 'repair', 'repairs')} made",
        "broken_words": f"No released row breaks any of the {plural(len(texts), 'business rule', 'business rules')}."
        if broken_rows == 0
        else f"{plural(broken_rows, 'released row breaks', 'released rows break')} a business rule.",
        "repaired_words": f"{plural(mended, 'repair was', 'repairs were')} needed in {count(rows)} rows to make it so.",
        "repaired": lines,
        "more": f"{plural(len(more), 'more rule', 'more rules')} needed fewer repairs, "
        f"{count(sum(repaired[text] for text in more))} in all."
        if more
        else "",
        "clean": clean,
        "clean_words": _first_rules(clean),
        "clean_title": f"Rules that held without repair: {len(clean)}",
    }


def repairs(claims: Claims) -> dict[str, int]:
    """In how many rows each rule was mended."""
    return {text: int(str(number)) for text, number in claims.pairs("repairs").items()}


def _first_rules(texts: list[str]) -> str:
    more = len(texts) - _LISTED
    return "; ".join(texts[:_LISTED]) + (f"; and {more} more, all in the schema." if more > 0 else ".")


def rare(facts: Facts) -> Section:
    """The fate of rare categories, judged by noisy counts that were paid for."""
    labelled = {
        column.name
        for column in facts.schema.modelled
        if isinstance(column, CategoryColumn | OrderedColumn | BooleanColumn)
    }
    found = [rare_numbers(column, facts.bought.total) for column in facts.columns if column.name in labelled]
    known = [numbers for numbers in found if numbers is not None]
    shown = [numbers for numbers in known if numbers.below or numbers.lost]
    kept, below = sum(numbers.kept for numbers in known), sum(len(numbers.below) for numbers in known)
    lost = sum(len(numbers.lost) for numbers in known)
    limits = [numbers.smallest_seen for numbers in known]
    lead = f"Of {plural(kept + below + lost, 'category', 'categories')} in {plural(len(known), 'column', 'columns')}: "
    lead += f"{count(kept)} seen above the noise and in the release, {count(below)} not seen above the noise"
    lead += f", {count(lost)} seen but without a released row." if lost else "."
    limit = f"{count(min(limits))} to {count(max(limits))} rows, depending on the column" if limits else "unknown"
    return {
        "lead": lead,
        "columns": _rare_lines(shown),
        "limit": limit,
        "bought": [_bought(one) for one in facts.purchases],
    }


def _bought(purchase: Purchase) -> str:
    """A fact that the schema left open and the budget paid for."""
    found = len(purchase.found)
    match purchase.fact:
        case "categories":
            return (
                f"{purchase.column}: {plural(found, 'category was', 'categories were')} found often enough to be named."
            )
        case "bounds":
            return f"{purchase.column}: the bounds {' and '.join(purchase.found)}; what lies beyond was moved to them."
        case "edges":
            return f"{purchase.column}: {plural(found, 'bin edge', 'bin edges')}."
        case "rows":
            return f"{purchase.column}: {plural(int(purchase.found[0]), 'row', 'rows')} of one unit used at most."


def _rare_lines(found: Sequence[RareNumbers]) -> list[Section]:
    """One line for all columns with the same fate, in order of first appearance."""
    groups: dict[tuple[int, tuple[str, ...], tuple[str, ...]], list[RareNumbers]] = {}
    for numbers in found:
        groups.setdefault((numbers.kept, numbers.below, numbers.lost), []).append(numbers)
    lines: list[Section] = []
    for (kept, below, lost), members in groups.items():
        shares = [numbers.below_rows for numbers in members]
        lines.append(
            {
                "name": ", ".join(numbers.column for numbers in members),
                "kept": count(kept),
                "below": _listed(below),
                "rows": percent(shares[0]) if len(shares) == 1 else f"up to {percent(max(shares))}",
                "lost": _listed(lost),
            }
        )
    return lines


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_LISTED]) or "–"
    return f"{shown} and {len(names) - _LISTED} more" if len(names) > _LISTED else shown


def policy(claims: Claims) -> Section:
    """The policy's checks as the certificate states them."""
    checks = claims.rows("checks")
    failed = sum(check.text("result") == "fail" for check in checks)
    name, version = claims.text("policy.name"), claims.text("policy.version")
    lead = f"Policy “{name}”, version {version}: {plural(len(checks), 'rule', 'rules')} checked, {failed or 'none'} failed."
    style = {"pass": "pass", "fail": "fail"}
    return {
        "lead": lead,
        "checks": [
            {
                "rule": check.text("rule"),
                "citation": check.text("citation"),
                "result": check.text("result"),
                "method": check.text("method"),
                "style": style.get(check.text("result"), "idle"),
            }
            for check in checks
        ],
        "limitations": claims.texts("limitations"),
    }


def reproduce(claims: Claims) -> list[tuple[str, str]]:
    """Names, versions and digests that fix what was done."""
    reasons = claims.texts("generator.reasons") if claims.has("generator.reasons") else []
    settings = ", ".join(f"{key} = {number(value)}" for key, value in claims.pairs("generator.settings").items())
    return [
        ("Release", claims.text("releaseId")),
        ("Issued, valid until", f"{claims.text('issuedAt')}, {claims.text('expiresAt')}"),
        ("Program", f"{claims.text('tool.name')} {claims.text('tool.version')}"),
        (
            "Generator",
            f"{claims.text('generator.name')} {claims.text('generator.version')} ({settings or 'no settings'})",
        ),
        *([("Chosen by “auto”", "; ".join(reasons))] if reasons else []),
        ("Rows, and how many", f"{claims.text('schema.rows')}: {claims.text('schema.rowsBasis')}"),
        ("Schema, SHA-256", claims.text("schema.digest.sha256")),
        ("Policy, SHA-256", claims.text("policy.digest.sha256")),
        ("Audit plan, SHA-256", claims.text("audit.plan.digest.sha256")),
    ]


def ledger(claims: Claims) -> Section:
    """The ledger's line for this release."""
    spent, cap = claims.number("budget.spentEpsilon"), claims.number("budget.capEpsilon")
    population = claims.text("budget.population")
    share = percent(spent / cap) if cap > 0 and math.isfinite(spent) else "all"
    words = (
        f"With this release, the population “{population}” has spent epsilon {claims.text('budget.spentEpsilon')} of the "
        f"{claims.text('budget.capEpsilon')} that its people may ever lose ({share}), at delta "
        f"{claims.text('budget.capDelta')}. Every earlier release of this population is counted, whoever received it. "
        f"What the release promises is epsilon {claims.text('guarantee.epsilon')}; the ledger holds all releases together at "
        "one Renyi order, where each reads a little larger than its promise and several cost less than the sum."
    )
    facts = [
        ("Population", population),
        ("Entry", claims.text("budget.ledgerSequence")),
        ("Head of the chain", claims.text("budget.ledgerHead")),
    ]
    return {"words": words, "meter": pictures.budget(spent, cap), "facts": facts}
