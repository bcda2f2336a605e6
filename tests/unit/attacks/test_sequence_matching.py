"""Sequence matching against a search by hand: every stretch of every target, looked for in every released history."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest

from privsynth import attacks
from privsynth.attack import SeenHistories, View
from privsynth.database.document import TableTerms
from privsynth.database.held import Database
from privsynth.histories.gathering import taken, together
from privsynth.histories.profiling import column_values, profile
from privsynth.histories.spans import gap_levels
from privsynth.proximity import is_nominal, rank_codes
from privsynth.records import MISSING
from tests.made_database import bank, clinic

BINS = 4


def gaps(database: Database, terms: TableTerms) -> list[int]:
    """The class of the time since the row before of the same parent."""
    rows, layout = database.tables[terms.name], gap_levels(terms)
    time = rows.records.ticks[terms.time.column].tolist()
    found = []
    for row in range(rows.count):
        first = row == 0 or (rows.unit[row], rows.parent[row]) != (rows.unit[row - 1], rows.parent[row - 1])
        known = not first and MISSING not in (time[row], time[row - 1])
        apart = min(time[row] - time[row - 1], layout.upper) if known else MISSING
        found.append(int(layout.codes(np.array([apart]))[0]))
    return found


def columns_of(database: Database, like: Database, terms: TableTerms, names: Sequence[str]) -> list[list[int]]:
    found = []
    for name in names:
        if terms.time is not None and name == terms.time.column:
            found.append(gaps(database, terms))
            continue
        values = column_values(terms, database.tables[terms.name], name)
        if not is_nominal(like.tables[terms.name].records, name):
            values = rank_codes(values, column_values(terms, like.tables[terms.name], name), BINS)
        found.append(values.tolist())
    return found


def by_hand(release: Database, targets: Database, terms: TableTerms, names: Sequence[str]) -> list[float]:
    """The information of each target's best stretch, less the logarithm of the number of its events; at least 0."""
    columns = columns_of(targets, targets, terms, names)
    events = list(zip(*columns, strict=True))
    shares = [Counter(column) for column in columns]
    total, counts, follows, pairs = len(events), Counter(events), Counter(), Counter()
    unit = targets.tables[terms.name].unit.tolist()
    for row in range(1, total):
        if unit[row] == unit[row - 1]:
            follows[events[row - 1]] += 1
            pairs[events[row - 1], events[row]] += 1

    def alone(event: tuple[int, ...]) -> float:
        chance = math.prod(share[value] / total for share, value in zip(shares, event, strict=True))
        return (counts[event] + 2 * chance) / (total + 2)

    def later(before: tuple[int, ...], event: tuple[int, ...]) -> float:
        return -math.log((pairs[before, event] + 2 * alone(event)) / (follows[before] + 2))

    theirs = list(zip(*columns_of(release, targets, terms, names), strict=True))
    released = [
        tuple(theirs[row] for row in np.flatnonzero(release.tables[terms.name].unit == one))
        for one in range(release.units)
    ]
    stretches = {
        one[start:end] for one in released for start in range(len(one)) for end in range(start + 1, len(one) + 1)
    }
    scores = []
    for one in range(targets.units):
        mine = tuple(events[row] for row in np.flatnonzero(np.array(unit) == one))
        best = 0.0
        for start in range(len(mine)):
            for end in range(start + 1, len(mine) + 1):
                if mine[start:end] in stretches:
                    surprise = -math.log(alone(mine[start])) + sum(
                        map(later, mine[start : end - 1], mine[start + 1 : end])
                    )
                    best = max(best, surprise)
        scores.append(max(0.0, best - math.log(max(1, len(mine)))))
    return scores


@pytest.mark.parametrize("made", [clinic, bank])
def test_scores_are_those_of_a_search_by_hand(made):
    rng = np.random.default_rng(1)
    targets, others = made(15, rng), made(12, rng)
    release = together(others, taken(targets, np.array([3, 4, 9])))
    seen = SeenHistories(synthetic=release, targets=targets)
    view = View(schema=profile(targets).schema, synthetic=profile(release), targets=profile(targets), histories=seen)
    (outcome,) = attacks.get("sequence_matching", {"bins": BINS, "longest": 1000}).attack(view, rng=rng)
    expected = np.zeros(targets.units)
    for terms in targets.schema.tables[1:]:
        expected += by_hand(release, targets, terms, terms.columns)
        carried = tuple(name for name in terms.columns if name in (*terms.carry, terms.time and terms.time.column))
        if carried != terms.columns and terms.carry:
            expected += by_hand(release, targets, terms, carried)
    assert outcome.score == pytest.approx(expected)


def test_all_of_a_moved_history_is_found_again_and_of_another_with_other_gaps_little():
    targets = bank(30, np.random.default_rng(2))

    def score(factor: int) -> float:
        rows = targets.tables["transactions"]
        times = {**rows.records.ticks, "day": rows.records.ticks["day"] * factor}
        tables = {**targets.tables}
        tables["transactions"] = type(rows)(records=rows.records.with_ticks(times), parent=rows.parent, unit=rows.unit)
        release = Database(schema=targets.schema, tables=tables)
        seen = SeenHistories(synthetic=release, targets=targets)
        view = View(
            schema=profile(targets).schema, synthetic=profile(release), targets=profile(targets), histories=seen
        )
        (outcome,) = attacks.get("sequence_matching", {}).attack(view, rng=np.random.default_rng(0))
        return float(outcome.score.mean())

    assert score(3) < 0.7 * score(1)
