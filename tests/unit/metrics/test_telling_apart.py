"""Rows of one population are not told apart, others are, and the column that differs is named."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from privsynth import records
from privsynth.encoding import encode_public
from privsynth.metrics.telling_apart import area_with_error, tell_apart
from tests.unit.metrics.test_correlations import SCHEMA, table


def shifted(rows, seed):
    found, _, _ = table(rows, seed)
    ticks = dict(found.ticks)
    ticks["y"] = np.where(ticks["y"] == records.MISSING, records.MISSING, np.maximum(ticks["y"] - 300, 0))
    moved = found.with_ticks(ticks)
    return moved, encode_public(moved)


def test_the_area_and_its_error_are_those_of_the_definition():
    rng = np.random.default_rng(0)
    areas, errors = [], []
    for _ in range(150):
        second = np.repeat([False, True], 100)
        chances = np.round(rng.normal(size=200) + 0.8 * second, 1)
        area, error = area_with_error(chances, second)
        assert area == pytest.approx(roc_auc_score(second, chances))
        areas.append(area)
        errors.append(error)
    assert np.mean(errors) == pytest.approx(np.std(areas), rel=0.2)


def test_one_population_is_not_told_apart_and_a_shifted_column_is_named():
    real = table(600, 1)[:2]
    same = tell_apart(SCHEMA, real, table(900, 2)[:2], rng=np.random.default_rng(0))
    assert same is not None
    assert same.rows == 600
    assert same.lower < 0.56
    assert same.pmse_ratio == pytest.approx(1, abs=0.25)
    other = tell_apart(SCHEMA, real, shifted(600, 2), rng=np.random.default_rng(0))
    assert other is not None
    assert other.lower > 0.75
    assert other.pmse_ratio > 1.5
    assert other.columns[0][0] == "y"


def test_with_too_few_rows_nothing_is_said():
    assert tell_apart(SCHEMA, table(600, 1)[:2], table(49, 2)[:2], rng=np.random.default_rng(0)) is None
