"""Groups compared: how often the declared outcome is in each group of a protected column, as far as the noise lets anybody say.

Must never give a rate where the noise could have made it: such a group is greyed out, without a number.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, final

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from privsynth.report.kinds import SIGMAS_90
from privsynth.report.numbers import SEEN_SIGMAS, Bought, Estimate
from privsynth.report.pictures import coordinate, path, rect, short, svg, text
from privsynth.report.sections import Facts, Section
from privsynth.report.words import percent, points
from privsynth.schema.columns import LabelledColumn
from privsynth.schema.levels import level_names, levels
from privsynth.schema.ticks import MISSING, tick_all

Ints: TypeAlias = npt.NDArray[np.int64]

WIDEST = 0.1
"""A rate whose 90 % interval is wider than this, either way, says nothing that a reader should keep."""


State: TypeAlias = Literal["told", "unmeasured", "below", "wide", "empty"]

WHY: Final[dict[State, str]] = {
    "unmeasured": "not known: not counted on its own",
    "below": "below the noise",
    "wide": "too few: the noise is wider",
    "empty": "no released row",
}
"""Why a group has no rate."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class GroupRate:
    """One group: its outcome rate in the release, and what the noisy answers say of the real one.

    `rate` and `half` (of a 90 % interval) are 0 where nothing can be told, and `state` says why.
    """

    label: str
    state: State
    released: float = 0.0
    rate: float = 0.0
    half: float = 0.0

    @property
    def told(self) -> bool:
        """Whether anything can be told of it."""
        return self.state == "told"


def outcome_of(facts: Facts) -> tuple[str, tuple[str, ...]] | None:
    """The target and its labels that count as the outcome: the declared ones, or the last of two; None where neither is."""
    use = facts.schema.use
    if use.target is None:
        return None
    target = facts.schema.modelled_column(use.target)
    if not isinstance(target, LabelledColumn):
        return None
    if use.outcome:
        return use.target, use.outcome
    return (use.target, target.labels[-1:]) if len(target.labels) == 2 else None


def rates(facts: Facts, protected: str, target: str, outcome: Sequence[str]) -> list[GroupRate]:
    """The outcome rate in every group of a protected column; a missing outcome counts neither way.

    Privacy: from the noisy tables that hold both columns, and from the released table; spends nothing.
    """
    layout = levels(facts.schema.modelled_column(target))
    first, _ = layout.span(np.arange(layout.size))
    known = first != MISSING
    hit = np.isin(first, tick_all(facts.schema.modelled_column(target), tuple(outcome))) & known
    released = facts.released.marginal((protected, target))
    found = []
    for level, label in enumerate(level_names(facts.schema.modelled_column(protected))):
        rows, hits = int(released[level][known].sum()), int(released[level][hit].sum())
        answers = list(_answers(facts.bought, (protected, level), (target, hit, known & ~hit)))
        found.append(_judged(label, hits, rows, answers))
    return found


def _judged(label: str, hits: int, rows: int, answers: Sequence[_Answer]) -> GroupRate:
    if not answers:
        return GroupRate(label=label, state="unmeasured")
    best = _rate(answers)
    if best is None:
        return GroupRate(label=label, state="below")
    rate, half = best
    if half > WIDEST:
        return GroupRate(label=label, state="wide")
    if not rows:
        return GroupRate(label=label, state="empty")
    return GroupRate(label=label, state="told", released=hits / rows, rate=rate, half=half)


_Answer: TypeAlias = tuple[float, float, float, float]
"""Noisy counts of the group with and without the outcome, each with its variance."""


def _answers(
    bought: Bought, group: tuple[str, int], outcome: tuple[str, npt.NDArray[np.bool_], npt.NDArray[np.bool_]]
) -> Iterable[_Answer]:
    """What each measured table of both columns says of one group."""
    (protected, level), (target, hit, other) = group, outcome
    for table in bought.tables:
        if not {protected, target} <= set(table.clique):
            continue
        of_group, of_target = (_group_of(table, name) for name in (protected, target))
        if (of_group == of_group[level]).sum() > 1:
            continue  # counted together with other groups
        folded = tuple(axis for axis, name in enumerate(table.clique) if name not in {protected, target})
        counts = table.counts.sum(axis=folded)
        if table.clique.index(protected) > table.clique.index(target):
            counts = counts.T
        variance = table.sigma**2 * math.prod(table.counts.shape[axis] for axis in folded)
        with_it, without = (_whole_groups(of_target, levels_of) for levels_of in (hit, other))
        if with_it is not None and without is not None:
            row = counts[of_group[level]]
            yield (
                float(row[with_it].sum()),
                variance * len(with_it),
                float(row[without].sum()),
                variance * len(without),
            )


def _group_of(table: Estimate, name: str) -> Ints:
    """The group of each level; each level its own where the table is over levels."""
    if name in table.groups:
        return np.array(table.groups[name], dtype=np.int64)
    return np.arange(table.counts.shape[table.clique.index(name)])


def _whole_groups(group_of: Ints, wanted: npt.NDArray[np.bool_]) -> Ints | None:
    """The groups that make up exactly these levels; None where a group mixes them with others."""
    inside = np.unique(group_of[wanted])
    return inside if len(inside) and not np.isin(group_of[~wanted], inside).any() else None


def _rate(answers: Sequence[_Answer]) -> tuple[float, float] | None:
    """Rate and half-width of its 90 % interval, from all answers weighted by their variances; None for a group not seen.

    Source: the delta method for a ratio of independent sums.
    """
    table = np.array(answers)
    counts, variances = [], []
    for count, variance in ((0, 1), (2, 3)):
        weights = 1 / table[:, variance]
        counts.append(float((weights * table[:, count]).sum() / weights.sum()))
        variances.append(float(1 / weights.sum()))
    whole = sum(counts)
    if whole < SEEN_SIGMAS * math.sqrt(sum(variances)):
        return None
    rate = min(max(counts[0] / whole, 0.0), 1.0)
    return rate, SIGMAS_90 * math.sqrt((1 - rate) ** 2 * variances[0] + rate**2 * variances[1]) / whole


def groups(facts: Facts) -> Section:
    """The comparison of every protected column, or why there is none."""
    use, chosen = facts.schema.use, outcome_of(facts)
    if not use.protected or chosen is None:
        return {"figures": [], "lead": _nothing(facts), "legitimate": ""}
    target, outcome = chosen
    figures = []
    for protected in use.protected:
        found = rates(facts, protected, target, outcome)
        figures.append({"name": protected, "svg": picture(found, protected), "words": _gap(found)})
    named = " or ".join(outcome)
    return {
        "figures": figures,
        "lead": f"How often {target} is {named}, group by group, for the columns that the schema declares as protected.",
        "legitimate": f"The schema names columns that may explain a difference: {', '.join(use.legitimate)}. They are not held "
        "fixed here."
        if use.legitimate
        else "",
    }


def _nothing(facts: Facts) -> str:
    if not facts.schema.use.protected:
        return "The schema declares no protected columns ([use] protected = [...]), so that no groups are compared."
    return (
        "The schema declares protected columns, but no outcome of a labelled target ([use] target and outcome), so that there "
        "is no rate to compare."
    )


def _gap(found: Sequence[GroupRate]) -> str:
    """The largest difference between two groups of which something can be told, beside what the noise leaves open."""
    told = [group for group in found if group.told]
    if len(told) < 2:
        return "Too little is known to compare groups."
    low, high = (choose(told, key=lambda group: group.released) for choose in (min, max))
    gap, half = high.released - low.released, math.hypot(low.half, high.half)
    verdict = "more than" if gap > half else "no more than"
    size = points(gap).removeprefix("±")
    return (
        f"Largest difference in the release: {size}, between {high.label} and {low.label}; that is {verdict} what the noise "
        f"leaves open ({points(half)})."
    )


def picture(found: Sequence[GroupRate], name: str) -> Markup:
    """The rate of each group as a bar with its whisker; what cannot be told as a grey track with words."""
    left, plot, row = 150.0, 190.0, 24.0
    told = [group for group in found if group.told]
    top = max([0.05, *(max(group.released, group.rate + group.half) for group in told)])
    parts: list[Markup] = []
    for line, group in enumerate(found):
        y = line * row
        style = "label" if group.told else "label soft"
        parts.append(text(left - 8, y + 15, short(group.label, 22), style, group.label))
        if group.told:
            low, high = (min(max(group.rate + sign * group.half, 0), top) * plot / top + left for sign in (-1, 1))
            parts.append(rect(left, y + 5, plot * group.released / top, 13, "bar"))
            parts.append(path(f"M{coordinate(low)} {coordinate(y + 8)}v7m0-3.5H{coordinate(high)}m0-3.5v7", "whisker"))
            parts.append(text(left + plot + 10, y + 15, f"{percent(group.released)}  {points(group.half)}", "num"))
        else:
            parts.append(rect(left, y + 5, plot, 13, "track"))
            parts.append(text(left + 8, y + 15, WHY[group.state], "soft"))
    return svg(left + plot + 150, len(found) * row + 2, f"Outcome rate by {name}", parts, "rates")
