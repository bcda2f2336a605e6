"""Sequence matching: does a stretch of a person's history run through the release, event after event, gap after gap?

Must never take a common stretch for a trace: how surprising a stretch is comes from all targets together.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeAlias, final

import numpy as np
import numpy.typing as npt
from pydantic import Field

from privsynth import progress
from privsynth.attack import Flags, Floats, Need, Outcome, SeenHistories, Tier, View
from privsynth.database.document import TableTerms
from privsynth.database.held import Rows
from privsynth.errors import AuditError
from privsynth.histories.profiling import column_values
from privsynth.histories.spans import gap_levels
from privsynth.membership import AbstractTopShare
from privsynth.proximity import is_nominal, rank_codes
from privsynth.records import MISSING

Int64s: TypeAlias = npt.NDArray[np.int64]

_BACK_OFF = 2.0
"""How many events a chance counts as that is less particular: of the columns by themselves beside the events that were seen, of
an event by itself beside those seen after the same one."""


@final
class SequenceMatching(AbstractTopShare):
    """The attacker calls the targets members of whose histories the release holds the most surprising stretches.

    A table's rows of one unit, in their order, are events: their labels, ordered values as one of `bins` classes of ranks
    among the targets', and the class of the time since the row before; the date itself does not count. The stretch is the run
    of up to `longest` consecutive events that some released unit has too and that is least likely by chance: its information,
    each event given the one before, less the logarithm of how many stretches the target offers. Tables are added up. Where
    rows are declared to depend on few columns of the row before, events of these columns and the gap alone count as well.
    Source: Karlin, Altschul 1990 (scores of the best local match); Zang, Bolot 2011 (few points of a trace name a person).
    """

    name: ClassVar[str] = "sequence_matching"
    threat: ClassVar[str] = "that stretches of a person's history, event after event, stand in the release"
    tier: ClassVar[Tier] = "release and auxiliary data"
    needs: ClassVar[Need] = "histories"

    bins: int = Field(default=10, ge=2, le=1000)
    longest: int = Field(default=32, ge=1, le=1000)

    def attack(self, view: View, *, rng: np.random.Generator) -> tuple[Outcome, ...]:  # noqa: ARG002
        """Find every target's most surprising stretch in each table."""
        if view.histories is None:
            raise AuditError("sequences are matched in histories; there is nothing to attack")
        tables = [terms for terms in view.histories.synthetic.schema.tables if terms.parent is not None]
        score = np.zeros(view.targets.rows)
        for number, terms in enumerate(tables):
            progress.report("audit: sequence matching", number, len(tables))
            for names in _described(terms):
                score += self._of_table(terms, names, view.histories)
        return self.called("sequence matching", score)

    def _of_table(self, terms: TableTerms, names: Sequence[str], seen: SeenHistories) -> Floats:
        """The information of each target's best stretch of events in these columns, at least 0. Shapes: (targets,)."""
        released, mine = seen.synthetic.tables[terms.name], seen.targets.tables[terms.name]
        score = np.zeros(seen.targets.units)
        if not released.count or not mine.count:
            return score
        events = _Events.of(terms, names, released, mine, self.bins)
        first, later = events.information()
        so_far = np.cumsum(later)
        best = np.zeros(mine.count)
        for length, starts in enumerate(events.shared(self.longest)):
            found = first[starts] + so_far[starts + length] - so_far[starts]
            best[starts] = np.maximum(best[starts], found)
        np.maximum.at(score, mine.unit, best)
        offered = np.bincount(mine.unit, minlength=len(score))
        return np.maximum(0.0, score - np.log(np.maximum(1, offered)))


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Events:
    """Events of the release, then of the targets: a whole number each, and whether it is the first of its unit.

    Shapes: both (released + targets' events,); `chance`, how often each of the targets' events would be if columns were
    independent, is (targets' events,).
    """

    codes: Int64s
    opens: Flags
    chance: Floats
    released: int

    @classmethod
    def of(cls, terms: TableTerms, names: Sequence[str], released: Rows, mine: Rows, bins: int) -> _Events:
        codes, chance = np.zeros(released.count + mine.count, dtype=np.int64), np.ones(mine.count)
        for column in _coded(terms, names, released, mine, bins):
            codes = np.unique(codes * (int(column.max()) + 1) + column, return_inverse=True)[1]
            chance *= (np.bincount(column[released.count :]) / mine.count)[column[released.count :]]
        opens = np.concatenate([np.diff(rows.unit, prepend=-1) != 0 for rows in (released, mine)])
        return cls(codes=codes, opens=opens, chance=chance, released=released.count)

    def information(self) -> tuple[Floats, Floats]:
        """Of each of the targets' events, in nats: by itself, and given the event before (0 for a unit's first).

        Shapes: both (targets' events,).
        """
        codes, opens = self.codes[self.released :], self.opens[self.released :]
        counts = np.bincount(codes)
        alone = (counts[codes] + _BACK_OFF * self.chance) / (len(codes) + _BACK_OFF)
        before = np.append(0, codes[:-1])
        pairs = np.unique((before * len(counts) + codes)[~opens], return_inverse=True, return_counts=True)
        follows = np.bincount(before[~opens], minlength=len(counts))
        later = np.zeros(len(codes))
        seen = pairs[2][pairs[1]] + _BACK_OFF * alone[~opens]
        later[~opens] = np.log(follows[before[~opens]] + _BACK_OFF) - np.log(seen)
        return -np.log(alone), later

    def shared(self, longest: int) -> Iterator[Int64s]:
        """For stretches of 1, 2, ... events: where among the targets' events one starts that stands in the release too."""
        places, stretch = np.arange(len(self.codes)), self.codes
        kinds = int(self.codes.max()) + 1
        for length in range(1, longest + 1):
            theirs = places < self.released
            size = int(stretch.max()) + 1
            both = (np.bincount(stretch[theirs], minlength=size) > 0) & (
                np.bincount(stretch[~theirs], minlength=size) > 0
            )
            places, stretch = places[both[stretch]], stretch[both[stretch]]
            if not len(places):
                return
            yield places[places >= self.released] - self.released
            inside = places + length < len(self.codes)
            inside[inside] = ~self.opens[places[inside] + length]
            places, stretch = places[inside], stretch[inside]
            if not len(places):
                return
            stretch = np.unique(stretch * kinds + self.codes[places + length], return_inverse=True)[1]


def _described(terms: TableTerms) -> list[tuple[str, ...]]:
    """The columns that events are told by: all of them, and where they are fewer, those that are carried, with the time."""
    if terms.time is None:
        carried = terms.carry
    else:
        carried = tuple(name for name in terms.columns if name in terms.carry or name == terms.time.column)
    few = terms.carry and len(carried) < len(terms.columns)
    return [names for names in (terms.columns, *((carried,) if few else ())) if names]


def _coded(terms: TableTerms, names: Sequence[str], released: Rows, mine: Rows, bins: int) -> Iterator[Int64s]:
    """The columns of both, coded alike: labels, classes of ranks among the targets, and the class of the gap."""
    for name in names:
        if terms.time is not None and name == terms.time.column:
            layout = gap_levels(terms)
            yield np.concatenate(
                [layout.codes(_gaps(rows, name).clip(MISSING, layout.upper)) for rows in (released, mine)]
            )
            continue
        assert mine.records is not None
        sides = [column_values(terms, rows, name) for rows in (released, mine)]
        if is_nominal(mine.records, name):
            yield np.concatenate([np.where(side == MISSING, 0, side + 1) for side in sides])
        else:
            yield np.concatenate([rank_codes(side, sides[1], bins) for side in sides])


def _gaps(rows: Rows, name: str) -> Int64s:
    """The time since the row before of the same unit and parent; missing where there is none. Shapes: (rows,)."""
    assert rows.records is not None
    time = rows.records.ticks[name]
    if not rows.count:
        return time
    before = np.append(MISSING, time[:-1])
    alike = np.append(False, (np.diff(rows.unit) == 0) & (np.diff(rows.parent) == 0))
    known = alike & (time != MISSING) & (before != MISSING)
    return np.where(known, np.maximum(0, np.where(known, time, 0) - np.where(known, before, 0)), MISSING)


ATTACK = SequenceMatching
