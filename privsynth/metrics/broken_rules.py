"""Broken rules: how many rows of a synthetic table no real row could be, by business rule, and how many real rows break it.

Must never show a small number of real rows: below the cell-size rule it says that there are fewer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

from privsynth import rules
from privsynth.metrics.people import in_cells
from privsynth.policy.cell_size import suppressed
from privsynth.records import Records
from privsynth.schema.rule import Rule


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class BrokenRule:
    """One rule. `real` is None where so few real people break it, or so few obey it, that the number is not shown."""

    text: str
    synthetic: int
    real: int | None


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class BrokenRules:
    """All rules, those that most synthetic rows break first; `rows` of the synthetic table break at least one."""

    rows: int
    of: int
    rules: tuple[BrokenRule, ...]

    def to_json(self) -> dict[str, object]:
        """A JSON object; null for a number that is not shown."""
        return {
            "rows": self.rows,
            "of": self.of,
            "rules": [{"rule": one.text, "synthetic": one.synthetic, "real": one.real} for one in self.rules],
        }


def count_broken(declared: Sequence[Rule], synthetic: Records, real: Records, *, min_cell: int) -> BrokenRules:
    """Count the rows that break each rule.

    Privacy: the counts of real rows are exact and internal; from 1 to `min_cell` - 1 people on either side they are left out.
    """
    ours, theirs = rules.check(declared, synthetic), rules.check(declared, real)
    found = []
    for text, mask in ours.items():
        count = int(theirs[text].sum())
        people = in_cells(theirs[text].astype(np.int64), real.units, 2)
        hidden = suppressed(people, min_cell=min_cell, margins="not-published").any()
        found.append(BrokenRule(text=text, synthetic=int(mask.sum()), real=None if hidden else count))
    anything = np.any(list(ours.values()), axis=0) if ours else np.zeros(synthetic.rows, dtype=bool)
    return BrokenRules(
        rows=int(anything.sum()),
        of=synthetic.rows,
        rules=tuple(sorted(found, key=lambda one: -one.synthetic)),
    )
