"""Learners: three that differ in kind, from scikit-learn, with the settings that it ships.

Must never be tuned on what they are judged by; the one module that imports scikit-learn's learners.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, final

import numpy as np
import numpy.typing as npt

from privsynth.errors import InputError, RecordsError
from privsynth.learning.task import Examples, Task

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

Floats = npt.NDArray[np.float64]

LearnerName: TypeAlias = Literal["gradient_boosting", "logistic_regression", "random_forest"]
LEARNERS: Final[tuple[LearnerName, ...]] = ("gradient_boosting", "logistic_regression", "random_forest")
"""For a number, "logistic_regression" is a linear regression with the same inputs."""

_MOST_LABELS = 255
"""More labels than that a boosted tree takes as numbers."""

_TREES, _LEAF, _ROWS_A_TREE = 100, 5, 0.5
"""Half of the rows a tree, which costs half the time and keeps the trees apart."""


@final
class Predictor:
    """What a learner made of examples.

    Privacy: as private as the examples: where they are real records, neither it nor its answers may leave.
    """

    def __init__(self, task: Task, fitted: Any) -> None:
        self._task, self._fitted = task, fitted

    def predict(self, inputs: Floats) -> Floats:
        """Chances of the classes, or an estimate of the number. Shapes: (rows, classes) or (rows, 1)."""
        if self._task.kind == "number":
            return np.asarray(self._fitted.predict(inputs), dtype=np.float64).reshape(-1, 1)
        out = np.zeros((len(inputs), len(self._task.classes)))
        out[:, np.asarray(self._fitted.classes_, dtype=np.int64)] = self._fitted.predict_proba(inputs)
        return out


def fit(task: Task, examples: Examples, learner: LearnerName, seed: int, *, weights: Floats | None = None) -> Predictor:
    """Teach a learner. `seed` decides what it leaves to chance; the same seed gives the same predictor.

    Args: `weights` says how much each example counts, all alike without it. Shapes: (rows,).
    Raises: RecordsError when the examples hold one answer only; InputError when scikit-learn is not installed.
    """
    task.require_learnable(examples, "the examples to learn from")
    answers = examples.answers if task.kind == "number" else examples.answers.astype(np.int64)
    made = _made(task, learner, seed)
    counted = {} if weights is None else {f"{made.steps[-1][0]}__sample_weight": weights}
    made.fit(examples.inputs, answers, **counted)
    return Predictor(task, made)


def score(task: Task, answers: Floats, predicted: Floats) -> float:
    """How good predictions are: area under the ROC curve (of several classes: the mean over pairs), or explained variance.

    Units: 0.5 is guessing and 1 is perfect for classes; 0 is the mean and 1 is perfect for a number.
    Args: `answers` is (rows,), `predicted` what `Predictor.predict` gave. Classes of which there is no row are left out.
    Raises: RecordsError when all answers are the same: nothing can be told apart then.
    Source: Hand, Till 2001 for several classes.
    """
    from sklearn.metrics import r2_score, roc_auc_score

    if len(answers) == 0 or np.all(answers == answers[0]):
        raise RecordsError(
            f'"{task.target}" is the same in every row to be judged by; take a table in which it differs'
        )
    if task.kind == "number":
        return float(r2_score(answers, predicted[:, 0]))
    there = np.unique(answers.astype(np.int64))
    if len(there) == 2:
        chances = predicted[:, there]
        sums = np.maximum(chances.sum(axis=1), 1e-300)
        return float(roc_auc_score(answers == there[1], chances[:, 1] / sums))
    chances = np.maximum(predicted[:, there], 1e-12)
    chances = chances / chances.sum(axis=1, keepdims=True)
    return float(roc_auc_score(answers, chances, multi_class="ovo", labels=there))


def _made(task: Task, learner: LearnerName, seed: int) -> Pipeline:
    """A pipeline that takes inputs as `Examples` holds them."""
    try:
        from sklearn import ensemble, linear_model
        from sklearn.compose import ColumnTransformer
        from sklearn.impute import SimpleImputer
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import OneHotEncoder, StandardScaler
    except ImportError:
        raise InputError(
            'learning needs scikit-learn, which is not installed: pip install "privsynth[evaluate]"'
        ) from None
    number = task.kind == "number"
    if learner == "gradient_boosting":
        labelled = [0 < labels <= _MOST_LABELS for labels in task.labels]
        kind = ensemble.HistGradientBoostingRegressor if number else ensemble.HistGradientBoostingClassifier
        return make_pipeline(kind(categorical_features=labelled, random_state=seed))
    if learner == "random_forest":
        kind = ensemble.RandomForestRegressor if number else ensemble.RandomForestClassifier
        return make_pipeline(
            kind(_TREES, min_samples_leaf=_LEAF, max_samples=_ROWS_A_TREE, random_state=seed, n_jobs=1)
        )
    places = range(len(task.inputs))
    with_labels = [place for place in places if task.labels[place]]
    with_size = [place for place in places if not task.labels[place]]
    one_hot = OneHotEncoder(handle_unknown="ignore")
    filled = SimpleImputer(strategy="constant", fill_value=-1.0)
    sizes = make_pipeline(
        SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True), StandardScaler()
    )
    prepared = ColumnTransformer(
        [("labels", make_pipeline(filled, one_hot), with_labels), ("sizes", sizes, with_size)], sparse_threshold=1.0
    )
    if number:
        return make_pipeline(prepared, linear_model.Ridge(alpha=1.0))
    return make_pipeline(prepared, linear_model.LogisticRegression(max_iter=300, random_state=seed))
