"""Direct DP learning: what a model that is trained on the real records under the same epsilon reaches; diffprivlib's.

Must never take a bound from records: every bound follows from the schema's levels, and a warning of a leak is an error.
"""

from __future__ import annotations

import math
import warnings
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

    @property
    def norm(self) -> float:
        """The most that a row's norm can be."""
        return math.sqrt(len(self.columns))

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


def _ordered(domain: Domain, name: str) -> int:
    """How many levels are one feature; of labels with fewer than three, none."""
    ordered = domain.fact(name).ordered
    return ordered if ordered > 1 else 0


@final
class DirectPredictor:
    """A model that was trained on real records with noise.

    Privacy: (epsilon, 0)-DP for replacing one row, by diffprivlib's proof, but with seeded noise, for comparison inside: it
        must not be released.
    """

    def __init__(self, task: Task, features: Features, fitted: GaussianNB | LogisticRegression) -> None:
        self._task, self._features, self._fitted = task, features, fitted

    def predict(self, data: Dataset) -> Floats:
        """Chances of the classes. Shapes: (rows, classes)."""
        found = np.asarray(self._fitted.predict_proba(self._features.matrix(data)), dtype=np.float64)
        out = np.zeros((data.rows, len(self._task.classes)))
        out[:, np.asarray(self._fitted.classes_, dtype=np.int64)] = np.nan_to_num(found)
        return out


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
        bounds = (np.zeros(features.count), np.ones(features.count))
        made = models.GaussianNB(epsilon=epsilon, bounds=bounds, random_state=seed)
    else:
        made = models.LogisticRegression(epsilon=epsilon, data_norm=features.norm, max_iter=200, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", PrivacyLeakWarning)
        try:
            made.fit(features.matrix(data), answers.astype(np.int64))
        except PrivacyLeakWarning:
            raise MechanismError(
                "a directly trained model would have taken a bound from the records; this is a defect of privsynth, report it"
            ) from None
    return DirectPredictor(task, features, made)
