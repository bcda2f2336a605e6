"""The learning curve: noise and sampling add as squares, the dot stands where sampling is a tenth, and nothing is made up."""

import math
import re

import numpy as np
import pytest

from privsynth.report import growth_curve
from privsynth.report.growth_curve import Curve
from privsynth.report.numbers import roughness


def test_roughness_is_what_random_records_are_off_by():
    shares = np.array([0.5, 0.3, 0.15, 0.05])
    drawn = np.random.default_rng(1).multinomial(900, shares, 4000) / 900
    assert roughness(shares) / math.sqrt(900) == pytest.approx(np.abs(drawn - shares).sum(axis=1).mean() / 2, rel=0.02)


def test_noise_and_sampling_add_as_squares():
    curve = Curve(name="c", noise=np.array([0.03]), rough=np.array([4.0]))
    assert curve.error(10_000) == pytest.approx(0.05)
    assert curve.error(1e12) == pytest.approx(curve.floor) == 0.03


def test_enough_rows_leave_sampling_a_tenth_of_the_noise():
    curve = Curve(name="c", noise=np.array([0.02, 0.04]), rough=np.array([1.0, 5.0]))
    assert curve.rough.mean() / math.sqrt(curve.enough) == pytest.approx(0.1 * 0.03)
    assert Curve(name="c", noise=np.zeros(1), rough=np.ones(1)).enough == math.inf


@pytest.mark.parametrize(("rows", "words"), [(500, "still adds"), (50_000_000, "are enough")])
def test_the_words_say_on_which_side_the_release_stands(rows, words):
    curve = Curve(name="c", noise=np.array([0.03]), rough=np.array([4.0]))
    assert words in growth_curve._words([curve], rows)


def test_the_gain_of_endless_rows_is_that_of_the_curve():
    curve = Curve(name="c", noise=np.array([0.03]), rough=np.array([4.0]))
    assert "up to 40\u00a0% of itself" in growth_curve._words([curve], 10_000)  # from .05 to .03


def test_the_picture_marks_release_floor_and_dot():
    found = [
        Curve(name=name, noise=np.array([noise]), rough=np.array([2.0])) for name, noise in (("a", 0.01), ("b", 0.04))
    ]
    svg = growth_curve.picture(found, 20_000)
    assert [svg.count(f'class="{style}"') for style in ("curve k0", "curve k1", "floor k0", "dot k1", "now")] == [1] * 5
    line = re.search(r'class="curve k0" d="M([^"]*)"', svg).group(1)
    heights = [float(point.split()[1]) for point in line.split("L")]
    assert heights == sorted(heights)  # downwards: errors fall
    assert "this release" in svg


def test_two_figures_are_rounded_up():
    assert [growth_curve._two_figures(rows) for rows in (123_456, 99, 0.5)] == [130_000, 99, 0.5]


def test_nothing_known_draws_nothing():
    assert "The error of no table is known" in growth_curve._words([], 100)
