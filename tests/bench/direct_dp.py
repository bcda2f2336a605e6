"""What one differentially private model of the real records reaches at the same epsilon: diffprivlib's, for context.

A synthetic table serves every later question; a model that is trained on the records under the same epsilon serves one. The
difference is what the table costs, or gains.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from privsynth.dataset import Dataset
from tests.bench.downstream import Task, features_of
from tests.bench.row import Row

FITS = 3
TREES, _DEPTH = 20, 8


def rows(task: Task, epsilon: str) -> Iterator[Row]:
    """Logistic regression and a random forest, each with the whole epsilon and delta 0, means of some fits.

    Their neighbours differ in the content of one row, ours in its presence: a relation at most twice as strict.
    """
    for name, fitted in (("logistic regression", _regression), ("random forest", _forest)):
        found = [fitted(task, float(epsilon), seed) for seed in range(FITS)]
        spread = f"(sd {np.std(found):.3f})"
        yield Row(
            name=f"{task.name} at epsilon {epsilon}: DP {name} on the real records {spread}",
            value=float(np.mean(found)),
            unit="AUC",
        )


def _one_hot(task: Task, data: Dataset) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """All columns but the target as zeros and ones, from the public domain; the target's level as 0 or 1."""
    named = [name for name in data.domain.attributes if name != task.target]
    features = np.concatenate([np.eye(data.domain.size(name))[data.column(name)] for name in named], axis=1)
    return features, (data.column(task.target) == task.positive).astype(np.int64)


def _regression(task: Task, epsilon: float, seed: int) -> float:
    from diffprivlib.models import LogisticRegression
    from sklearn.metrics import roc_auc_score

    features, outcome = _one_hot(task, task.train)
    longest = float(np.sqrt(len(task.train.domain) - 1))  # each row has a one in every column: public
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = LogisticRegression(epsilon=epsilon, data_norm=longest, max_iter=300, random_state=seed)
        model.fit(features, outcome)
    features, truth = _one_hot(task, task.test)
    return float(roc_auc_score(truth, model.predict_proba(features)[:, 1]))


def _forest(task: Task, epsilon: float, seed: int) -> float:
    """Over codes as numbers: its trees split at random, and one level at a time would tell them nothing."""
    from diffprivlib.models import RandomForestClassifier
    from sklearn.metrics import roc_auc_score

    sizes = np.array([task.train.domain.size(name) for name in task.train.domain.attributes if name != task.target])
    features, outcome = features_of(task, task.train)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = RandomForestClassifier(
            n_estimators=TREES,
            epsilon=epsilon,
            bounds=(np.zeros(len(sizes)), sizes - 1.0),
            classes=[0, 1],
            max_depth=_DEPTH,
            random_state=seed,
        )
        model.fit(features, outcome.astype(np.int64))
    features, truth = features_of(task, task.test)
    return float(roc_auc_score(truth, model.predict_proba(features)[:, 1]))
