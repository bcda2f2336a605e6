"""What changed since an earlier release, from noisy answers alone, with their noise: for a file, a certificate and a reader.

Must never hold anything that the answers and the two schemas do not say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any, Final

from privsynth.privacy.guarantee import decimal_up
from privsynth.refreshing.aligning import Alignment
from privsynth.refreshing.covering import Covered
from privsynth.refreshing.deciding import Column, Decision
from privsynth.refreshing.measuring import kept
from privsynth.refreshing.refreshed import Refreshed
from privsynth.report.changes import rows
from privsynth.schema import Schema
from privsynth.schema.levels import level_names

_DIGITS = 5
NONE_MADE: Final = "No release was made: the earlier one still holds, under its own guarantee."
TOO_NOISY: Final = "the earlier release is too noisy to tell"


def described(
    refreshed: Refreshed, decision: Decision, alignment: Alignment, schema: Schema, covered: Covered
) -> dict[str, Any]:
    """What moved, column by column and pair by pair: a JSON object. Units: shares of 1; records, rounded."""
    prior = refreshed.prior
    return {
        "previous": prior.release,
        "records": {
            "before": round(prior.total),
            "now": round(decision.total),
            "standardError": round(decision.error, 1),
            "note": "estimated from noisy tables of the people who were measured, without those held out for the audit",
        },
        "falseAlarm": str(refreshed.false_alarm),
        "columns": [_column(column, alignment, schema) for column in decision.columns],
        "pairs": [
            {
                "columns": list(pair.clique),
                "status": pair.status,
                "movedBy": round(pair.moved_by, _DIGITS),
                "bar": round(pair.bar, _DIGITS),
            }
            for pair in sorted(decision.pairs, key=lambda pair: -pair.moved_by)
        ],
        "tooNoisy": _noisy(decision),
        "gone": list(alignment.gone),
        "redeclared": [[one.was, one.name] for one in alignment.carried if one.redeclared],
        "covered": NONE_MADE if decision.nothing else covered.words,
    }


def _noisy(decision: Decision) -> list[list[str]]:
    """The tables that are not kept because the earlier release is too noisy about them."""
    return sorted(list(clique) for clique in decision.noisy)


def _column(column: Column, alignment: Alignment, schema: Schema) -> dict[str, Any]:
    found: dict[str, Any] = {"column": column.name, "status": column.status}
    if column.status == "new":
        return {**found, "reason": alignment.new.get(column.name, "the earlier release has no such column")}
    if column.status == "noisy":
        found["reason"] = TOO_NOISY
    return {
        **found,
        "movedBy": round(column.moved_by, _DIGITS),
        "noise": round(column.error, _DIGITS),
        "doubt": float(f"{column.doubt:.2g}"),
        "levels": [
            {
                "level": level,
                "before": round(float(old), _DIGITS),
                "now": round(float(new), _DIGITS),
                "noise90": round(float(margin), _DIGITS),
            }
            for level, old, new, margin in zip(
                level_names(schema.modelled_column(column.name)), column.old, column.new, column.margin, strict=True
            )
        ],
    }


def claimed(
    refreshed: Refreshed,
    decision: Decision,
    alignment: Alignment,
    covered: Covered,
    *,
    drift_test: str,
    tests: int,
    charged: Fraction,
    bought: Sequence[str],
) -> dict[str, object]:
    """What the certificate says of it: names alone, and what the ledger was charged."""
    moved = [column.name for column in decision.columns if column.status == "moved"]
    return {
        "previous": refreshed.prior.release,
        "driftTest": drift_test,
        "driftTests": tests,
        "chargedRho": decimal_up(charged),
        "moved": moved,
        "movedPairs": [list(pair.clique) for pair in decision.pairs if pair.status == "moved"],
        "new": [column.name for column in decision.columns if column.status == "new"],
        "tooNoisy": _noisy(decision),
        "gone": list(alignment.gone),
        "kept": len(kept(refreshed.prior, decision)),
        "keptFrom": covered.claim,
        "bought": list(bought),
    }


def rehearsed(previous: str, alignment: Alignment, names: Sequence[str], covered: Covered) -> dict[str, object]:
    """The same with placeholders, as long as it may be, before anything is charged; `names` are the schema's columns."""
    return {
        "previous": previous,
        "driftTest": "0" * 32,
        "driftTests": 1,
        "chargedRho": "1",
        "moved": list(names),
        "movedPairs": [],
        "tooNoisy": [],
        "new": [],
        "gone": list(alignment.gone),
        "kept": 0,
        "keptFrom": covered.claim,
        "bought": list(names),
    }


def lines(changes: Mapping[str, Any]) -> list[str]:
    """The same for a terminal: what moved or is new, and how many records there are."""
    records = changes["records"]
    found = [f"records (estimated): {records['before']:,} before, {records['now']:,} now"]
    for row in rows(changes):
        if row["status"] == "moved":
            tail = f"; {row['most']}" if row["most"] else ""
            found.append(f"moved: {row['what']}, about {row['moved']} of records{tail}")
        elif row["status"] == "noisy":
            found.append(f"measured anew: {row['what']} ({row['most']})")
        elif row["status"] == "new":
            found.append(f"new: {row['what']} ({row['most']})")
    pairs = sum(len(table) > 1 for table in changes["tooNoisy"])
    if pairs:
        found.append(f"measured anew: {pairs} tables of several columns ({TOO_NOISY})")
    kept_columns = sum(column["status"] == "kept" for column in changes["columns"])
    found.append(f"not moved that can be told: {kept_columns} of {len(changes['columns'])} columns")
    found += [f"gone: {name}" for name in changes["gone"]]
    redeclared = [name if was == name else f"{was}, now {name}" for was, name in changes["redeclared"]]
    if redeclared and changes["covered"] == NONE_MADE:
        found.append(
            f"declared otherwise: {'; '.join(redeclared)}. As no release was made, the last one has the old names and "
            "levels; for the new ones, make a release of its own with `privsynth release`"
        )
    return [*found, changes["covered"]]
