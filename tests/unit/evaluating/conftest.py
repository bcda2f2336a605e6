"""Evaluations in these tests are of few rows and need few trees: what they reach has its own tests."""

import pytest

from privsynth.learning import cross_fitting
from privsynth.metrics import prediction


@pytest.fixture(scope="package", autouse=True)
def few_trees():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cross_fitting, "_TREES", 10)
        patch.setattr(cross_fitting, "FOLDS", 2)
        patch.setattr(prediction, "RESAMPLES", 3)
        yield
