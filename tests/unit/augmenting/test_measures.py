"""Measures and intervals, against scikit-learn and scipy; folds that keep people together."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import average_precision_score

from privsynth.augmenting.classes import wanted
from privsynth.augmenting.judging import folds_of
from privsynth.augmenting.measures import average_precision, difference, t_quantile
from privsynth.errors import InputError


@pytest.mark.parametrize("digits", [1, 8])
def test_average_precision_is_scikit_learns(digits):
    rng = np.random.default_rng(digits)
    for _ in range(20):
        positive = rng.random(60) < 0.2
        positive[0] = True
        scores = np.round(rng.random(60), digits)
        assert average_precision(positive, scores) == pytest.approx(average_precision_score(positive, scores))


@pytest.mark.parametrize("degrees", [1, 4, 9, 30])
def test_quantiles_of_students_t(degrees):
    assert t_quantile(degrees) == pytest.approx(stats.t.ppf(0.975, degrees), rel=1e-6)


def test_the_interval_is_nadeau_and_bengios_and_the_verdict_follows_it():
    paired = np.array([0.02, 0.03, 0.01, 0.02, 0.04, 0.03, 0.02, 0.01, 0.03, 0.02])
    found = difference(paired, 5)
    half = stats.t.ppf(0.975, 9) * np.sqrt(np.var(paired, ddof=1) * (1 / 10 + 1 / 4))
    assert (found.lower, found.upper) == pytest.approx((paired.mean() - half, paired.mean() + half))
    assert found.verdict == "helped"
    assert difference(-paired, 5).verdict == "hurt"
    assert difference(paired - paired.mean(), 5).verdict == "made no difference that can be told"


def test_folds_keep_people_together_and_spread_every_class():
    rng = np.random.default_rng(1)
    owner = rng.integers(0, 200, 600)
    answers = (rng.random(200) < 0.15).astype(float)[owner]
    folds = folds_of(answers, owner, 5, rng)
    assert all(len(np.unique(folds[owner == one])) == 1 for one in np.unique(owner))
    people = [len(np.unique(owner[(folds == fold) & (answers == 1)])) for fold in range(5)]
    assert max(people) - min(people) <= 1


def test_how_many_rows_each_class_gets():
    rows = np.array([100, 30, 0])
    assert wanted(rows, None).tolist() == [0, 70, 0]
    assert wanted(rows, 40).tolist() == [0, 40, 0]
    for number in (0, -1, True, 2.5):
        with pytest.raises(InputError):
            wanted(rows, number)
