"""Curves: a known law is found with its ceiling; what is flat, falls or wavers is called so; nothing is extrapolated."""

import numpy as np
import pytest

from privsynth.errors import InputError
from privsynth.growth.curve import fit_curve

SIZES = np.repeat([250, 500, 1000, 2000, 4000, 8000], 4)


def noisy(line, rng, spread=0.004):
    return line + rng.normal(0, spread, len(SIZES))


def test_the_ceiling_of_a_known_law_is_in_its_interval_mostly():
    rng = np.random.default_rng(1)
    fits = [fit_curve(SIZES, noisy(0.9 - 1.5 * SIZES**-0.5, rng), gain=0.005, rng=rng) for _ in range(40)]
    assert all(one.shape == "growing" for one in fits)
    covered = [one.ceiling_interval[0] <= 0.9 <= one.ceiling_interval[1] for one in fits]
    assert np.mean(covered) >= 0.8
    assert np.median([abs(one.ceiling - 0.9) for one in fits]) < 0.01


def test_an_exact_law_gives_where_doubling_stops_helping():
    line = 0.9 - 1.5 * SIZES.astype(float) ** -0.5
    found = fit_curve(SIZES, line, gain=0.01, rng=np.random.default_rng(1))
    expected = (1.5 * (1 - 2**-0.5) / 0.01) ** 2
    assert found.stops_at == pytest.approx(expected, rel=0.1)
    assert found.at(1000) == pytest.approx(0.9 - 1.5 * 1000**-0.5, abs=0.002)
    beyond = fit_curve(SIZES, line, gain=0.001, rng=np.random.default_rng(1))
    assert beyond.stops_at is None
    assert "still gains" in beyond.words("rows") and "extrapolation" in beyond.words("rows")


def test_no_size_below_the_smallest_is_named():
    found = fit_curve(SIZES, 0.9 - 5e5 * SIZES.astype(float) ** -3.0, gain=0.2, rng=np.random.default_rng(1))
    assert found.stops_at == 250 == found.stops_interval[0]
    assert "from at or below 250 rows on" in found.words("rows")
    assert found.to_json()["doublingStopsHelpingAtOrBelow"] is True


@pytest.mark.parametrize(
    ("line", "shapes"),
    [
        (0.8 + 0 * SIZES, {"flat"}),
        (0.7 + 1.5 * SIZES**-0.5, {"falling", "not monotone"}),
        (0.8 - 0.00001 * np.abs(SIZES - 1500), {"not monotone", "falling"}),
    ],
)
def test_what_follows_no_law_is_called_so_and_nothing_is_fitted(line, shapes):
    rng = np.random.default_rng(3)
    found = [fit_curve(SIZES, noisy(line, rng), gain=0.005, rng=rng) for _ in range(30)]
    assert sum(one.shape in shapes for one in found) >= 25
    other = [one for one in found if one.shape != "growing"]
    assert all(one.ceiling is None and one.stops_at is None and one.at(500) is None for one in other)
    assert all("doubling" not in one.words("rows") for one in other)


def test_too_few_sizes_or_scores_or_a_gain_that_is_none_are_refused():
    rng = np.random.default_rng(1)
    for sizes, gain in (([1, 2, 3], 0.1), ([1, 2, 3, 4], 0.1), (SIZES, 0.0), (SIZES, 2)):
        with pytest.raises(InputError):
            fit_curve(sizes, np.zeros(len(sizes)), gain=gain, rng=rng)
