"""A transcript recounted: the same questions, with exact answers for another table."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from privsynth.auditing.recounting import recounted
from privsynth.measurement import ErrorScores, Event, Measurement, Selection
from privsynth.records import Records
from privsynth.schema import Schema


def event(sigma_squared: Fraction | None = Fraction(9)) -> Event:
    return Event(
        stage="pairs",
        mechanism="rounded-gaussian",
        rho=Fraction(1, 10),
        sensitivity_squared=1,
        sigma_squared=sigma_squared,
    )


def test_measurements_are_counted_anew_and_choices_stay() -> None:
    schema = Schema.from_domain({"a": 2, "b": 3})
    records = Records(schema=schema, ticks={"a": np.array([0, 1, 1, 1]), "b": np.array([2, 0, 0, 1])})
    pair = Measurement(clique=("a", "b"), values=np.full((2, 3), 99), event=event())
    grouped = Measurement(clique=("b",), values=np.full(2, 99), event=event(), groups={"b": (0, 1, 1)})
    chosen = Selection(chosen=("a", "b"), candidates=4, event=event(None))
    scores = ErrorScores(cliques=(("a", "b"),), values=np.array([7]), event=event())
    found = recounted((pair, scores, chosen, grouped), records)
    assert found is not None
    first, second, third = found
    assert isinstance(first, Measurement)
    assert isinstance(third, Measurement)
    assert first.values.tolist() == [[0, 0, 1], [2, 1, 0]]
    assert third.values.tolist() == [2, 2]
    assert second is chosen
    assert (first.event, third.groups) == (pair.event, grouped.groups)


def test_no_transcript_stays_none() -> None:
    schema = Schema.from_domain({"a": 2})
    assert recounted(None, Records(schema=schema, ticks={"a": np.array([1])})) is None
