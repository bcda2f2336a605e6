"""Events and answers as files have them: what no version wrote is refused, whatever its numbers would do to arithmetic."""

from fractions import Fraction

import numpy as np
import pytest

from privsynth.errors import FitError
from privsynth.measurement import Event, Measurement

EVENT = Event(
    stage="columns",
    mechanism="rounded-gaussian",
    rho=Fraction(3, 8),
    sensitivity_squared=2,
    sigma_squared=Fraction((1 << 40) + 1, 1 << 20),
)


def test_an_event_is_read_as_it_was_written():
    assert Event.from_json(EVENT.to_json()) == EVENT
    assert Event.from_json(EVENT.to_json() | {"rho": 0, "delta": "0.25"}).delta == Fraction(1, 4)


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("rho", "-1"),
        ("delta", "-1/4"),
        ("sigmaSquared", "0"),
        ("sigmaSquared", "-1"),
        ("sigmaSquared", "1/0"),
        ("sigmaSquared", "1" + "0" * 400),
        ("sigmaSquared", "1/1" + "0" * 400),
        ("sigmaSquared", "1e999999999"),
        ("sigmaSquared", "nan"),
        ("rho", True),
        ("rho", "1" * 5000),
    ],
)
def test_costs_below_zero_and_noise_that_is_never_drawn_are_refused(member, value):
    with pytest.raises(FitError):
        Event.from_json(EVENT.to_json() | {member: value})


def test_a_table_of_one_attribute_twice_is_refused():
    with pytest.raises(FitError, match="differ"):
        Measurement(clique=("a", "a"), values=np.zeros((2, 2), dtype=np.int64), event=EVENT)
