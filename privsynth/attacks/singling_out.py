"""Singling out: does the release yield conditions that isolate one person?

Must never test a condition on members and controls apart: a table's size decides what is unique in it.
"""

from __future__ import annotations

from typing import ClassVar, TypeAlias, final

import numpy as np
import numpy.typing as npt
from pydantic import Field

from privsynth import progress
from privsynth.attack import AbstractAttack, Flags, Outcome, Tier, View
from privsynth.proximity import is_nominal, rank_codes
from privsynth.records import MISSING, Records

Codes: TypeAlias = npt.NDArray[np.int64]


@final
class SinglingOut(AbstractAttack):
    """The attacker takes conditions that one released record alone meets, and claims that they fit one person alone.

    By several values: columns are taken in an order drawn at random, until a single released record agrees with the target,
    and `confirming` columns more; ordered columns are cut into `bins` classes of equally many released records. A target is
    singled out when that record still agrees, and no other target does. By one value: a value that one released record
    alone has, or being beyond the largest or the smallest released value where one record alone has that; a target is
    singled out when no other target meets the condition. Which targets are unique does not depend on who is a member, so
    without a leak as many controls as members are singled out.
    Source: Article 29 Working Party, opinion 05/2014; Giomi et al. 2023, with the control table joined to the members'.
    """

    name: ClassVar[str] = "singling_out"
    threat: ClassVar[str] = "that some values in the release fit one person only"
    tier: ClassVar[Tier] = "release only"

    bins: int = Field(default=10, ge=2, le=1000)
    confirming: int = Field(default=6, ge=0)
    orders: int = Field(default=32, ge=1, le=10_000)

    def attack(self, view: View, *, rng: np.random.Generator) -> tuple[Outcome, ...]:
        """Deal the targets out to the orders of columns, and look for conditions that fit each of them."""
        released, targets = self._classes(view.synthetic, view.synthetic), self._classes(view.targets, view.synthetic)
        columns = [np.concatenate(pair) for pair in zip(released, targets, strict=True)]
        dealt = rng.integers(self.orders, size=view.targets.rows)
        success = np.zeros(view.targets.rows, dtype=bool)
        for order in range(self.orders):
            progress.report("audit: singling out", order, self.orders)
            mine = np.flatnonzero(dealt == order)
            shuffled = [columns[column] for column in rng.permutation(len(columns))]
            success[mine] = self._singled_out(shuffled, view.synthetic.rows, mine)
        attempted = np.ones(view.targets.rows, dtype=bool)
        by_one = _singled_out_by_one_value(view)
        return (
            Outcome(label="singling out", success=success, attempted=attempted, baseline=0.0),
            Outcome(label="singling out by one value", success=by_one, attempted=attempted, baseline=0.0),
        )

    def _classes(self, records: Records, release: Records) -> list[Codes]:
        """Each column as small whole numbers from 0: labels (missing is 0), or the class among the released ranks."""
        return [
            np.where(ticks == MISSING, 0, ticks + 1)
            if is_nominal(records, name)
            else rank_codes(ticks, release.ticks[name], self.bins)
            for name, ticks in records.ticks.items()
        ]

    def _singled_out(self, columns: list[Codes], released: int, mine: Codes) -> Flags:
        """Which of the targets `mine` are singled out. Shapes: columns hold released records first, then all targets."""
        rows = np.arange(len(columns[0]))
        keys = np.zeros(len(rows), dtype=np.int64)
        place = released + mine
        waiting, agreed = np.arange(len(mine)), np.full(len(mine), -1)
        success = np.zeros(len(mine), dtype=bool)
        for column in columns:
            seen = column[rows]
            keys = np.unique(keys * (int(seen.max(initial=0)) + 1) + seen, return_inverse=True)[1]
            ours = np.bincount(keys[rows < released], minlength=len(keys))
            everyone = np.bincount(keys[rows >= released], minlength=len(keys))
            key = keys[np.searchsorted(rows, place[waiting])]
            agreed[waiting[ours[key] == 1]] += 1
            success[waiting] = (ours[key] == 1) & (everyone[key] == 1)
            open_still = (ours[key] > 0) & (agreed[waiting] < self.confirming)
            wanted = np.zeros(len(keys) + 1, dtype=bool)
            wanted[key[open_still]] = True
            waiting = waiting[open_still]
            kept = wanted[keys]
            rows, keys = rows[kept], keys[kept]
            if not len(waiting):
                break
        return success


def _singled_out_by_one_value(view: View) -> Flags:
    """Which targets alone meet a condition on one column that one released record alone meets."""
    success = np.zeros(view.targets.rows, dtype=bool)
    for name, ticks in view.targets.ticks.items():
        released = view.synthetic.ticks[name]
        success |= np.isin(ticks, np.intersect1d(_had_once(released), _had_once(ticks)))
        if is_nominal(view.synthetic, name):
            continue
        present, known = released[released != MISSING], ticks != MISSING
        for sign in (1, -1):
            extreme = (sign * present).max(initial=np.iinfo(np.int64).min)
            beyond = known & (sign * ticks >= extreme)
            if (sign * present == extreme).sum() == 1 and beyond.sum() == 1:
                success |= beyond
    return success


def _had_once(ticks: Codes) -> Codes:
    values, counts = np.unique(ticks, return_counts=True)
    once: Codes = values[counts == 1]
    return once


ATTACK = SinglingOut
