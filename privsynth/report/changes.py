"""What changed since the release that this one goes on from, as rows of the report: what moved, by how much, and the noise.

Must never say more than the noisy answers do: every figure comes with the noise that it would show where nothing moved.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from privsynth.report.sections import Section
from privsynth.report.words import count, plural


def changed(changes: Mapping[str, Any] | None) -> Section | None:
    """The section of a refreshed release, from its changes.json; None of any other release."""
    if changes is None:
        return None
    records, found = changes["records"], rows(changes)
    moved = sum(row["status"] == "moved" for row in found)
    kept = sum(row["status"] == "kept" for row in found)
    return {
        "lead": (
            f"This release goes on from release {changes['previous']}. {plural(moved, 'table', 'tables')} moved as far as the "
            f"drift test can tell; {plural(kept, 'column', 'columns')} did not, and keep what was measured then. "
            f"Estimated records: {count(records['before'])} before, {count(records['now'])} now "
            f"(standard error {records['standardError']:g})."
        ),
        "rows": found,
        "gone": ", ".join(changes["gone"]),
        "alarm": changes["falseAlarm"],
    }


def rows(changes: Mapping[str, Any]) -> list[dict[str, str]]:
    """What changed as rows for a report: what, whether it moved, by how much, and what noise alone would show."""
    found = [
        {
            "what": column["column"],
            "status": column["status"],
            "moved": _percent(column.get("movedBy")),
            "noise": _percent(column.get("noise")),
            "most": _most(column),
        }
        for column in changes["columns"]
    ]
    pairs = [
        {
            "what": " and ".join(pair["columns"]),
            "status": pair["status"],
            "moved": _percent(pair["movedBy"]),
            "noise": _percent(pair["bar"]),
            "most": "",
        }
        for pair in changes["pairs"]
        if pair["status"] == "moved"
    ]
    return found + pairs


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.2f} %"


def _most(column: Mapping[str, Any]) -> str:
    """The level whose share moved most, of a column that moved."""
    if column["status"] != "moved":
        return str(column.get("reason", ""))
    level = max(column["levels"], key=lambda one: abs(one["now"] - one["before"]))
    before, now, noise = (_percent(level[name]) for name in ("before", "now", "noise90"))
    return f"{level['level']}: {before} before, {now} now, noise up to {noise}"
