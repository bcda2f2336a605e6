"""Broken bounds on what one person contributes, at tables where a person has several rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from privsynth import fitting
from privsynth.privacy import curator
from privsynth.privacy.unit import PrivacyUnit
from privsynth.records import Records
from tests.kill_matrix import references
from tests.kill_matrix.defect import Conformance, Defect

Positions = npt.NDArray[np.int64]


def bounding(patch: pytest.MonkeyPatch, bound: Callable[[Records, PrivacyUnit], Records]) -> None:
    """Bound contributions another way, with a curator that does not count again."""
    patch.setattr(curator, "require_bounded", lambda dataset, unit: None)
    patch.setattr(fitting, "bound_contributions", lambda records, unit, key: bound(records, unit))


def first_of_each(owner: Positions, order: Positions, most: int) -> Positions:
    """The positions of the first rows of each owner in an order, at most so many."""
    kept, seen = [], dict.fromkeys(owner.tolist(), 0)
    for place in order.tolist():
        who = int(owner[place])
        seen[who] += 1
        if seen[who] <= most:
            kept.append(place)
    return np.array(sorted(kept), dtype=np.int64)


def owners(records: Records) -> Positions:
    """Whose every row is."""
    assert records.units is not None
    return records.units


def ignored(patch: pytest.MonkeyPatch) -> None:
    def bound(records: Records, unit: PrivacyUnit) -> Records:
        first_of_each(owners(records), np.arange(records.rows), unit.max_rows)
        return records

    bounding(patch, bound)


def off_by_one(patch: pytest.MonkeyPatch) -> None:
    def bound(records: Records, unit: PrivacyUnit) -> Records:
        return records.take(first_of_each(owners(records), np.arange(records.rows), unit.max_rows + 1))

    bounding(patch, bound)


def by_place(patch: pytest.MonkeyPatch) -> None:
    def bound(records: Records, unit: PrivacyUnit) -> Records:
        order = np.random.default_rng(0).permutation(records.rows)
        return records.take(first_of_each(owners(records), order, unit.max_rows))

    bounding(patch, bound)


def by_level(patch: pytest.MonkeyPatch) -> None:
    def bound(records: Records, unit: PrivacyUnit) -> Records:
        first = next(iter(records.ticks.values()))
        pairs = np.unique(np.stack([owners(records), first]), axis=1, return_inverse=True)[1].reshape(-1)
        return records.take(first_of_each(pairs, np.arange(records.rows), unit.max_rows))

    bounding(patch, bound)


def two_names(patch: pytest.MonkeyPatch) -> None:
    def bound(records: Records, unit: PrivacyUnit) -> Records:
        names = 2 * owners(records) + np.arange(records.rows) % 2
        return records.take(first_of_each(names, np.arange(records.rows), unit.max_rows))

    bounding(patch, bound)


def filled_up(patch: pytest.MonkeyPatch) -> None:
    """Everybody weighs as much as whoever has most rows: rows are repeated, and the weights add up to more than the bound."""

    def bound(records: Records, unit: PrivacyUnit) -> Records:
        kept = records.take(first_of_each(owners(records), np.arange(records.rows), unit.max_rows))
        weight = unit.max_rows * 2 - np.bincount(owners(kept))[owners(kept)]
        return kept.take(np.repeat(np.arange(kept.rows), weight))

    bounding(patch, bound)


def in_every_stay(patch: pytest.MonkeyPatch) -> None:
    """The largest person's number of rows becomes the bound for all."""

    def bound(records: Records, unit: PrivacyUnit) -> Records:
        most = int(np.bincount(owners(records)).max(initial=0))
        largest = replace(unit, max_rows=max(1, most))
        return records.take(first_of_each(owners(records), np.arange(records.rows), largest.max_rows))

    bounding(patch, bound)


DEFECTS = (
    Defect(
        name="bounded copy, raw table",
        drawn_from=references.SMARTNOISE_622,
        what="The bounded rows are computed, and the table as it was is counted.",
        target=Conformance(broken=ignored),
        caught_by="replay: sensitivity",
    ),
    Defect(
        name="one row more than the bound",
        drawn_from=references.UNDERESTIMATED,
        what="A comparison lets every person keep one row more.",
        target=Conformance(broken=off_by_one),
        caught_by="replay: sensitivity",
    ),
    Defect(
        name="rows kept by their place in the table",
        drawn_from=references.UNDERESTIMATED,
        what="Which rows of a person are kept depends on where they stand: one person more changes everybody's.",
        target=Conformance(broken=by_place),
        caught_by="replay: sensitivity",
    ),
    Defect(
        name="bounded level by level",
        drawn_from=references.paper("Levy et al. 2021", "2102.11845"),
        what="A person may have the allowed number of rows for each level of a column.",
        target=Conformance(broken=by_level),
        caught_by="replay: sensitivity",
    ),
    Defect(
        name="one person under two names",
        drawn_from=references.SYNTHCITY_275,
        what="Half of a person's rows are counted under another name, with a bound of its own.",
        target=Conformance(broken=two_names),
        caught_by="replay: sensitivity",
    ),
    Defect(
        name="bound from the data",
        drawn_from=references.DPART_6,
        what="The bound is what the largest person has.",
        target=Conformance(broken=in_every_stay),
        caught_by="replay: sensitivity",
    ),
    Defect(
        name="people's weights not normalised",
        drawn_from=references.OPACUS_571,
        what="People with few rows get heavier rows, and the weights of one person add up to more than the bound.",
        target=Conformance(broken=filled_up),
        caught_by="replay: sensitivity",
    ),
)
