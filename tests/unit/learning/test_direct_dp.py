"""Direct DP learning: bounds from the schema alone, no leak unnoticed, and it learns where epsilon lets it."""

import warnings

import numpy as np
import pytest
from diffprivlib.utils import PrivacyLeakWarning

from privsynth.encoding import encode_public
from privsynth.errors import MechanismError
from privsynth.learning import direct_dp, learners
from privsynth.learning.task import Task
from tests.unit.learning.test_task import SCHEMA, table

TASK = Task.of(SCHEMA)


@pytest.fixture(scope="module")
def found():
    records = table(2000, np.random.default_rng(5))
    return encode_public(records), TASK.examples(records).answers


@pytest.mark.parametrize("model", direct_dp.DIRECT)
def test_no_bound_is_taken_from_the_records(found, model):
    data, answers = found
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        direct_dp.fit(TASK, data, answers, model, epsilon=1.0, seed=0)
    assert not [one for one in heard if issubclass(one.category, PrivacyLeakWarning)]


def test_a_bound_from_the_records_would_be_an_error(found, monkeypatch):
    from diffprivlib import models

    careless = models.LogisticRegression
    monkeypatch.setattr(models, "LogisticRegression", lambda **asked: careless(**{**asked, "data_norm": None}))
    with pytest.raises(MechanismError, match="bound from the records"):
        direct_dp.fit(TASK, *found, "logistic_regression", epsilon=1.0, seed=0)


@pytest.mark.parametrize("model", direct_dp.DIRECT)
def test_it_learns_with_much_epsilon_and_less_with_little(found, model):
    data, answers = found
    reached = []
    for epsilon in (0.001, 100.0):
        scores = [
            learners.score(
                TASK, answers, direct_dp.fit(TASK, data, answers, model, epsilon=epsilon, seed=seed).predict(data)
            )
            for seed in range(3)
        ]
        reached.append(np.mean(scores))
    assert reached[1] > 0.75
    assert reached[1] > reached[0] + 0.1


def test_the_epsilon_is_that_of_a_row_that_changes_class(found, monkeypatch):
    from diffprivlib import models

    asked = {}
    for name in ("GaussianNB", "LogisticRegression"):
        made = getattr(models, name)
        monkeypatch.setattr(
            models, name, lambda made=made, name=name, **terms: asked.setdefault(name, terms) and made(**terms)
        )
    for model in direct_dp.DIRECT:
        direct_dp.fit(TASK, *found, model, epsilon=3.0, seed=0)
    assert asked["GaussianNB"]["epsilon"] == 1.5
    assert asked["LogisticRegression"]["epsilon"] == 3.0
    assert (asked["LogisticRegression"]["data_norm"], asked["LogisticRegression"]["fit_intercept"]) == (1.0, False)


@pytest.mark.parametrize("model", direct_dp.DIRECT)
def test_a_model_does_not_show_which_classes_have_rows(model):
    task, made = Task.of(SCHEMA, "ward"), table(400, np.random.default_rng(5))
    data, answers = encode_public(made), task.answers(made)
    answers = np.where(np.isnan(answers), 0, answers)
    for wards in (answers, np.where(answers == 1, 0, answers), np.zeros_like(answers)):
        chances = direct_dp.fit(task, data, wards, model, epsilon=0.1, seed=0).predict(data)
        assert chances.shape == (data.rows, 3)
        assert (chances.max(axis=0) > 0).all()


def test_features_stay_inside_the_bounds_that_are_declared(found):
    data, _ = found
    features = direct_dp.Features.of(TASK, data.domain)
    matrix = features.matrix(data)
    assert matrix.shape == (data.rows, features.count)
    assert (matrix.min(), matrix.max()) == (0, 1)
    assert np.linalg.norm(features.unit_rows(data), axis=1).max() <= 1 + 1e-12


def test_a_number_has_nothing_to_compare_with(found):
    assert direct_dp.why_not(TASK, found[0].domain) is None
    assert "number" in str(direct_dp.why_not(Task.of(SCHEMA, "age"), found[0].domain))
