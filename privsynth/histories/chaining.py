"""Chaining: the rows of each parent drawn one after the other, every row given its parent and the row before it.

Must never look at records that were not drawn.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt

from privsynth.histories.calendars import Calendar
from privsynth.histories.conditionals import ConditionalDraws
from privsynth.histories.layout import View

Ints = npt.NDArray[np.int64]
Codes = npt.NDArray[np.unsignedinteger]


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Chained:
    """The rows of many groups, first rows first.

    Shapes: all (rows,): the group and the number (from 0) of each row in it, the codes of its own attributes, and its moment,
        where the table has a time.
    """

    group: Ints
    step: Ints
    codes: Mapping[str, Codes]
    moments: Ints | None

    @classmethod
    def joined(cls, parts: list[Chained], starts: list[int]) -> Chained:
        """Several chains of different groups as one; the groups of each are numbered on from its start."""
        moments = [part.moments for part in parts if part.moments is not None]
        return cls(
            group=np.concatenate([part.group + start for part, start in zip(parts, starts, strict=True)]),
            step=np.concatenate([part.step for part in parts]),
            codes={name: np.concatenate([part.codes[name] for part in parts]) for name in parts[0].codes},
            moments=np.concatenate(moments) if moments else None,
        )


def chain(
    view: View,
    number: Ints,
    context: Mapping[str, Ints],
    calendar: Calendar | None,
    model: ConditionalDraws,
    rng: np.random.Generator,
) -> Chained:
    """Draw `number[g]` rows of each group g, whose numbers descend.

    Step by step, all groups that have another row at once: what is asked of time, then the moment, then everything else, each
    given the parent, the row before, and what is settled already.
    Shapes: `number` is (groups,), descending; `context` holds the levels of everything about parents, (groups,) each.
    """
    number = np.asarray(number)
    rest = [one.name for one in view.own if calendar is None or one.name not in calendar.attributes]
    kinds = {one.name: np.min_scalar_type(one.size - 1) for one in view.own}
    before = {one.name: one for one in view.context if one.previous}
    evidence = {**context, **{name: np.full(len(number), one.size - 1) for name, one in before.items()}}
    codes: dict[str, list[Codes]] = {one.name: [np.zeros(0, dtype=kinds[one.name])] for one in view.own}
    moments, counts = [np.zeros(0, dtype=np.int64)], []
    active = int(np.count_nonzero(number > 0))
    while active:
        given = {name: values[:active] for name, values in evidence.items()}
        row: dict[str, Ints] = {}
        if calendar is not None:
            moment, row = calendar.next(active, given, rng)
            moments.append(moment)
        row |= model.draw({**given, **row}, rest, active, rng)
        for name, values in row.items():
            codes[name].append(values.astype(kinds[name]))
        for name, one in before.items():
            evidence[name][:active] = row[one.of]
        counts.append(active)
        active = int(np.searchsorted(-number, -len(counts), side="left"))
    return Chained(
        group=np.concatenate([np.zeros(0, dtype=np.int64), *(np.arange(count) for count in counts)]),
        step=np.repeat(np.arange(len(counts)), counts),
        codes={name: np.concatenate(parts) for name, parts in codes.items()},
        moments=None if calendar is None else np.concatenate(moments),
    )
