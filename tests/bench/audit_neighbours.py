"""Nearest neighbours: CPU time of 100,000 exact searches among 100,000 records, and how it grows."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from privsynth.neighbours import Neighbours
from privsynth.records import Records
from tests.bench import adult_raw
from tests.bench.row import Row, cpu_seconds

SIZES = (25_000, 50_000, 100_000)
BRUTE = 500
"""Points whose distances to all records are measured one by one, for comparison and as a check."""
COMMANDS = {"all distances": f"make bench ONLY=audit: Gower.distances of {BRUTE} points, times the points there are"}


def rows() -> Iterator[Row]:
    """All of them, cheapest first."""
    for size in SIZES:
        yield from _searches(size, (1,) if size < max(SIZES) else (1, 10))
    yield from _independent(max(SIZES))


def _searches(size: int, counts: tuple[int, ...]) -> Iterator[Row]:
    """Adult-like records, those that are sought and those that are searched drawn apart."""
    release, points = adult_raw.people(size, 1), adult_raw.people(size, 2)
    for k in counts:
        found: list[np.ndarray] = []

        def search(k: int = k, found: list[np.ndarray] = found) -> None:
            neighbours = Neighbours(release, tuple(release.ticks))
            found.append(neighbours.nearest(neighbours.gower.points(points), k)[0])

        seconds = cpu_seconds(search)
        where = f"{size:,} points among {size:,} records, 15 columns, k = {k}"
        target = "<= 30" if size == max(SIZES) and k == 1 else None
        yield Row(name=f"neighbours: {where}", value=seconds, unit="CPU s", target=target)
        yield Row(
            name=f"neighbours: points that differ from all distances, {where}",
            value=_differing(release, points, found[0], k),
            unit="points",
            target="<= 0",
        )
    yield Row(name=f"all distances: {size:,} points among {size:,}", value=_brute(release, points), unit="CPU s")


def _differing(release: Records, points: Records, found: np.ndarray, k: int) -> int:
    neighbours = Neighbours(release, tuple(release.ticks))
    coded, wrong = neighbours.gower.points(points), 0
    for index in range(BRUTE):
        every = neighbours.gower.distances(coded, index)
        wrong += int((np.sort(np.partition(every, k - 1)[:k]) != found[index]).any())
    return wrong


def _brute(release: Records, points: Records) -> float:
    gower = Neighbours(release, tuple(release.ticks)).gower
    coded = gower.points(points.take(np.arange(BRUTE)))
    return cpu_seconds(lambda: [gower.distances(coded, index).min() for index in range(BRUTE)]) * points.rows / BRUTE


def _independent(size: int) -> Iterator[Row]:
    """The worst there is: the same columns, each shuffled by itself, so that no group of records is alike."""
    rng = np.random.default_rng(3)

    def torn(records: Records) -> Records:
        return records.with_ticks({name: rng.permutation(ticks) for name, ticks in records.ticks.items()})

    release, points = torn(adult_raw.people(size, 4)), torn(adult_raw.people(size // 10, 5))
    neighbours = Neighbours(release, tuple(release.ticks))
    coded = neighbours.gower.points(points)
    seconds = cpu_seconds(lambda: neighbours.nearest(coded, 1))
    where = f"{size // 10:,} points among {size:,} records, columns shuffled apart"
    yield Row(name=f"neighbours: {where}", value=seconds, unit="CPU s")
