"""Direct DP learning: what a model that is trained on the real records under the same epsilon reaches; diffprivlib's.

Must never take a bound or a class from records: both follow from the schema, and a warning of a leak is an error.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, final

import numpy as np
import numpy.typing as npt

from privsynth.dataset import Dataset
from privsynth.domain import Domain
from privsynth.errors import InputError, MechanismError
from privsynth.learning.task import Task

if TYPE_CHECKING:
    from diffprivlib.models import GaussianNB, LogisticRegression

Floats: TypeAlias = npt.NDArray[np.float64]

Inputs: TypeAlias = Callable[[Dataset], Floats]

DirectName: TypeAlias = Literal["logistic_regression", "naive_bayes"]
DIRECT: Final[tuple[DirectName, ...]] = ("logistic_regression", "naive_bayes")

_MOST_FEATURES = 600
"""Objective perturbation adds noise to every coefficient; beyond it, nothing but noise is left and fits take minutes."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """How encoded records become features between 0 and 1, from public facts alone.

    The ordered levels of a column are one feature, their place; each level that stands alone is one of its own. A row's
    features are at most 1 in each column together, so that its norm is at most the root of the number of columns.
    """

    columns: tuple[tuple[str, int, int], ...]
    """Name, ordered levels, levels in all."""

    @classmethod
    def of(cls, task: Task, domain: Domain) -> Features:
        """The features of a task's inputs."""
        return cls(columns=tuple((name, _ordered(domain, name), domain.size(name)) for name in task.inputs))

    @property
    def count(self) -> int:
        """Number of features."""
        return sum((ordered > 0) + size - ordered for _, ordered, size in self.columns)

    def matrix(self, data: Dataset) -> Floats:
        """The features of records. Shapes: (rows, features)."""
        found: list[Floats] = []
        for name, ordered, size in self.columns:
            codes = data.column(name).astype(np.int64)
            if ordered:
                found.append(np.where(codes < ordered, codes / max(1, ordered - 1), 0.0)[:, None])
            if size > ordered:
                found.append((codes[:, None] == np.arange(ordered, size)[None, :]).astype(np.float64))
        return np.concatenate(found, axis=1)

    def unit_rows(self, data: Dataset) -> Floats:
        """The features and a constant one, scaled so that no row is longer than 1. Shapes: (rows, 1 + features)."""
        matrix = self.matrix(data)
        return np.column_stack([np.ones(len(matrix)), matrix]) / math.sqrt(1 + len(self.columns))


def _ordered(domain: Domain, name: str) -> int:
    """How many levels are one feature; of labels with fewer than three, none."""
    ordered = domain.fact(name).ordered
    return ordered if ordered > 1 else 0


@final
class DirectPredictor:
    """A model that was trained on real records with noise.

    Privacy: (epsilon, 0)-DP for replacing one row with a known answer, of another class too, by what diffprivlib says of its
        models; that is not checked here, and the noise is seeded. It is for comparison inside and must not be released.
    """

    def __init__(self, inputs: Inputs, fitted: GaussianNB | LogisticRegression) -> None:
        self._inputs, self._fitted = inputs, fitted

    def predict(self, data: Dataset) -> Floats:
        """Chances of the classes. Shapes: (rows, classes)."""
        return np.nan_to_num(np.asarray(self._fitted.predict_proba(self._inputs(data)), dtype=np.float64))


def why_not(task: Task, domain: Domain) -> str | None:
    """Why there is nothing to compare with; None where there is."""
    if task.kind == "number":
        return "diffprivlib's classifiers predict classes, and this target is a number"
    if Features.of(task, domain).count > _MOST_FEATURES:
        return f"the inputs have more than {_MOST_FEATURES} features, of which a directly trained model would keep only noise"
    return None


def fit(task: Task, data: Dataset, answers: Floats, model: DirectName, *, epsilon: float, seed: int) -> DirectPredictor:
    """Train on real records with the whole epsilon.

    Args: `data` are the rows with a known answer, encoded; `answers` their classes, (rows,).
    Raises: InputError when diffprivlib is not installed; MechanismError should it say that a bound was taken from records.
    """
    try:
        from diffprivlib import models
        from diffprivlib.utils import PrivacyLeakWarning
    except ImportError:
        raise InputError(
            'direct DP learning needs diffprivlib, which is not installed: pip install "privsynth[evaluate]"'
        ) from None
    features = Features.of(task, data.domain)
    made: GaussianNB | LogisticRegression
    if model == "naive_bayes":
        # A row that changes class is counted and averaged in two of them, for each of which diffprivlib spends all that it has.
        inputs, bounds = features.matrix, (np.zeros(features.count), np.ones(features.count))
        made = models.GaussianNB(epsilon=epsilon / 2, bounds=bounds, random_state=seed)
    else:
        # Its proof asks for rows of length 1 at most and for a penalty on every coefficient, an intercept's too.
        inputs = features.unit_rows
        made = models.LogisticRegression(
            epsilon=epsilon, data_norm=1.0, fit_intercept=False, max_iter=200, random_state=seed
        )
    rows, classes = inputs(data), np.arange(len(task.classes))
    # One row of zeros in each declared class, whatever the records: which of them have rows is private too.
    rows = np.concatenate([np.zeros((len(classes), rows.shape[1])), rows])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", PrivacyLeakWarning)
        try:
            made.fit(rows, np.concatenate([classes, answers.astype(np.int64)]))
        except PrivacyLeakWarning:
            raise MechanismError(
                "a directly trained model would have taken a bound from the records; this is a defect of privsynth, report it"
            ) from None
    return DirectPredictor(inputs, made)
