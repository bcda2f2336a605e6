"""The pictures: bars and whiskers where the numbers put them, cells by shade, labels escaped and cut."""

import math
import re
from itertools import pairwise

import numpy as np
import pytest

from privsynth.report import pictures
from privsynth.report.numbers import ColumnNumbers


def column(released, share=None, half=0.05, labels=None):
    names = labels or tuple(f"level {level}" for level in range(len(released)))
    return ColumnNumbers(
        name="column",
        labels=names,
        released=np.array(released),
        share=None if share is None else np.array(share),
        sigma=1.0,
        half=half if share is not None else math.nan,
        expected_error=0.1,
    )


def bars(svg, style="bar"):
    return [float(width) for width in re.findall(rf'class="{style}" x="[\d.-]+" y="[\d.-]+" width="([\d.]+)"', svg)]


def texts(svg):
    return re.findall(r"<text[^>]*>([^<]*)<", svg)


def test_bars_are_proportional_to_the_released_shares():
    widths = bars(pictures.marginal(column([50, 25, 25]), sort=False))
    assert widths[0] == pytest.approx(2 * widths[1], abs=0.11)
    assert widths[1] == widths[2]


def test_categories_are_sorted_and_the_rest_is_summed():
    svg = pictures.marginal(column([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 34]), sort=True)
    assert texts(svg)[0] == "level 11"
    assert "3 more together" in svg
    assert texts(svg)[-1] == "6\u00a0%"
    assert "more together" not in pictures.marginal(column([1] * 10), sort=True)


def test_whiskers_span_the_interval_and_stop_at_zero():
    """The longest reach is 0.7 + 0.1, drawn 140 wide from 140: 0.05 - 0.1 is cut to 0."""
    svg = pictures.marginal(column([70, 30], share=[0.7, 0.05], half=0.1), sort=False)
    spans = [
        (float(low), float(high))
        for low, high in re.findall(r'class="whisker" d="M([\d.]+) [\d.]+v6m0-3H([\d.]+)', svg)
    ]
    assert spans == [(245.0, 280.0), (140.0, pytest.approx(166.2, abs=0.1))]


def test_a_share_outside_its_interval_stands_out():
    svg = pictures.marginal(column([70, 30], share=[0.7, 0.05], half=0.1), sort=False)
    assert svg.count("num off") == 1
    assert "whisker" not in pictures.marginal(column([70, 30]), sort=False)


def test_a_histogram_has_a_bar_and_a_whisker_a_level():
    svg = pictures.histogram(column(range(1, 21), share=[0.05] * 20, half=0.01))
    assert svg.count('class="bar"') == svg.count('class="whisker"') == 20
    assert texts(svg)[0] == "level 0"
    assert all(0 <= float(x) <= 340 for x in re.findall(r'class="mid" x="([\d.]+)"', svg))


def test_labels_below_a_histogram_do_not_overlap():
    names = tuple(f"{level} to {'9' * (level % 7)}" for level in range(20))
    svg = pictures.histogram(column([1] * 20, labels=names))
    placed = re.findall(r'class="mid" x="([\d.]+)" y="[\d.]+">([^<]*)<', svg)
    assert len(placed) >= 4
    for (left, first), (right, second) in pairwise(placed):
        assert float(right) - float(left) >= 3.3 * (len(first) + len(second))


def test_labels_are_cut_and_escaped():
    assert pictures.short("abcdef", 4) == "abc…"
    assert pictures.short("abcd", 4) == "abcd"
    svg = pictures.marginal(column([1, 2], labels=("<b>", "x" * 40)), sort=False)
    assert "<b>" not in svg
    assert "&lt;b&gt;" in svg
    assert f"<title>{'x' * 40}</title>" in svg


def test_a_pair_shows_bought_released_and_what_differs():
    noisy = np.array([[100.0, 10.0], [10.0, 100.0]])
    released = np.array([[110.0, 40.0], [-8.0, 90.0]])  # 1.4, 4.3, -2.6 and -1.4 standard deviations
    svg = pictures.pair_triptych(("f", "g"), (("f0", "f1"), ("g0", "g1")), noisy, released, sigma=7.0)
    assert svg.count('class="more1"') == 1
    assert svg.count('class="less0"') == 1
    assert not re.search('class="(more[02]|less[12])"', svg)
    assert svg.count('class="frame"') == 3
    agreed = pictures.pair_triptych(("f", "g"), (("f0", "f1"), ("g0", "g1")), noisy, noisy, sigma=7.0)
    assert "more" not in agreed
    assert "less" not in agreed


def test_small_shares_are_still_seen():
    assert pictures.shades(np.array([0.0, 0.02, 0.25, 1.0, np.nan, -3.0]), 1.0).tolist() == [0, 1, 4, 7, -1, 0]


def test_odds_grow_with_epsilon():
    near, far = bars(pictures.odds(0.1)), bars(pictures.odds(3.0))
    assert all(small < large for small, large in zip(near, far, strict=True))
    assert "at most 95.3\u00a0%" in pictures.odds(3.0)


def test_power_marks_what_it_is_given():
    full = pictures.power(0.05, 0.025, 0.1)
    assert bars(full, "unseen")[0] == pytest.approx(150 * 0.025 / 0.115, abs=0.06)
    assert "ceiling" in full
    bare = pictures.power(0.05, None, None)
    assert "ceiling" not in bare
    assert "unseen" not in bare


def test_the_budget_is_a_share_of_the_cap():
    assert bars(pictures.budget(2.5, 10)) == [75.0]
    assert bars(pictures.budget(25, 10)) == [300.0]
    assert bars(pictures.budget(0, 10)) == [0.0]
