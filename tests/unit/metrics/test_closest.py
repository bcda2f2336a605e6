"""Closest records: copies are seen, other people's rows are as far as unused ones, and it is never called privacy."""

import numpy as np
import pytest

from privsynth.metrics.closest import closest
from tests.unit.metrics.test_correlations import table

REAL, HOLDOUT = table(500, 1)[0], table(500, 2)[0]


def test_copies_are_nearer_to_the_real_table_than_to_the_holdout():
    found = closest(REAL, REAL, holdout=HOLDOUT, rng=np.random.default_rng(0))
    assert (found.median, found.copies) == (0, 1)
    assert found.nearer is not None
    assert found.nearer > 0.95
    assert "no evidence of privacy" in str(found.to_json()["note"])


def test_rows_of_the_population_are_as_far_as_unused_ones():
    found = closest(REAL, table(500, 3)[0], holdout=HOLDOUT, rng=np.random.default_rng(0))
    assert found.median == pytest.approx(found.reference, rel=0.2)
    assert found.nearer == pytest.approx(0.5, abs=0.07)


def test_without_a_holdout_a_real_row_is_not_its_own_neighbour():
    found = closest(REAL, table(500, 3)[0], points=200, rng=np.random.default_rng(0))
    assert not found.reference_is_holdout
    assert found.points == 200
    assert found.nearer is None
    assert found.reference == pytest.approx(found.median, rel=0.25)
