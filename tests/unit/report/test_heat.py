"""The heat maps: clusters stand together, shades follow the legend, and unknown pairs are crossed out, never light."""

import re

import numpy as np
import pytest

from privsynth.report import heat
from privsynth.report.numbers import PairMatrix


def pairs_of(error, association=None):
    d = len(error)
    zeros = np.zeros((d, d))
    return PairMatrix(
        association=np.eye(d) if association is None else association,
        measured=~np.isnan(error),
        expected_error=error,
        dependence=zeros,
        roughness=zeros,
        predicted=False,
    )


def test_columns_that_hang_together_stand_together():
    blocks = np.array([0, 1, 0, 1, 2, 0, 2, 1])
    association = np.where(blocks[:, None] == blocks[None, :], 0.8, 0.1)
    np.fill_diagonal(association, 1)
    order = heat.clusters(association)
    assert sorted(order) == list(range(8))
    assert np.count_nonzero(np.diff(blocks[order])) == 2


def test_ends_that_fit_best_meet():
    """A chain, shuffled: each column hangs together with its neighbours alone, and the order finds it again."""
    place = np.array([3, 0, 4, 1, 2])
    distance = np.abs(place[:, None] - place[None, :])
    order = place[heat.clusters(np.where(distance == 0, 1.0, np.where(distance == 1, 0.9, 0.1 / (distance + 1e-9))))]
    assert order.tolist() in ([0, 1, 2, 3, 4], [4, 3, 2, 1, 0])


@pytest.mark.parametrize("d", [0, 1, 2])
def test_few_columns_have_an_order(d):
    assert heat.clusters(np.eye(d)) == list(range(d))


def test_shades_follow_the_legend_and_the_unknown_is_crossed_out():
    error = np.full((4, 4), np.nan)
    for (row, column), value in {(0, 1): 0.005, (0, 2): 0.03, (0, 3): 0.2, (1, 2): 0.9}.items():
        error[row, column] = error[column, row] = value
    svg = heat.error_map(("a", "b", "<c>", "d"), pairs_of(error), [0, 1, 2, 3])
    shades = {int(shade) for shade in re.findall(r'class="h(\d)"', svg)}
    assert shades == {0, 2, 4, 5}
    strokes = re.search(r'class="unknown" d="([^"]*)"', svg).group(1)
    assert strokes.count("M") == 4  # b by d and c by d, on either side
    assert "&lt;c&gt;" in svg
    assert "<c>" not in svg
    assert re.findall(r'class="mid cell[ on]*"[^>]*>([\d.]+)<', svg).count("0.5") == 2
    assert f"{100 * (0.005 + 0.03 + 0.2) / 3:.1f}\u00a0%" in svg


def test_a_known_map_has_no_strokes_and_many_columns_no_numbers():
    d = 48
    error = np.full((d, d), 0.02)
    svg = heat.error_map([f"column {place}" for place in range(d)], pairs_of(error), list(range(d)))
    assert 'class="unknown"' not in svg
    assert 'class="mid cell' not in svg
    assert len(svg) < 40_000


def test_the_order_moves_names_and_cells_together():
    error = np.full((3, 3), 0.02)
    error[0, 2] = error[2, 0] = 0.4
    svg = heat.error_map(("a", "b", "c"), pairs_of(error), [2, 0, 1])
    dark = re.search(r'class="h5" d="([^"]*)"', svg).group(1)
    assert re.findall(r"M(\d+) (\d+)h", dark) == [("180", "150"), ("150", "180")]
    assert svg.index(">c<") < svg.index(">a<") < svg.index(">b<")


def test_the_association_map_has_both_sides():
    svg = heat.association_map(("a", "b"), pairs_of(np.full((2, 2), 0.1), np.array([[1, 0.99], [0.99, 1]])), [0, 1])
    assert re.search(r'class="c7" d="([^"]*)"', svg).group(1).count("M") == 2
