"""Cross-fitting: chances that rows belong to the second of two tables, each from a learner that did not see the row.

Must never score a row with a learner that was taught on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, final

import numpy as np
import numpy.typing as npt

from privsynth.errors import InputError

Floats = npt.NDArray[np.float64]

FOLDS: Final = 5
_MOST_LABELS = 254
"""A boosted tree takes codes up to it; one is kept for a missing value."""
_TREES = 60


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CrossFitted:
    """Chances, and how much each column was needed.

    Shapes: `chances` is (rows,); `needed` (columns,): how much the area under the ROC curve falls when the column's values
        are shuffled among the rows; zeros where it was not asked for.
    """

    chances: Floats
    needed: Floats


def cross_fit(
    inputs: Floats, second: npt.NDArray[np.bool_], labels: tuple[int, ...], *, seed: int, columns: bool = False
) -> CrossFitted:
    """Boosted trees, in five folds with as many rows of either table in each.

    Args: `inputs` is (rows, columns), missing NaN; `second` whether a row is of the second table; `labels` how many labels
        each column has, 0 for a number; `columns` asks how much each is needed.
    Raises: InputError when scikit-learn is not installed.
    """
    try:
        from sklearn.ensemble import HistGradientBoostingClassifier
        from sklearn.metrics import roc_auc_score
    except ImportError:
        raise InputError(
            'telling tables apart needs scikit-learn, which is not installed: pip install "privsynth[evaluate]"'
        ) from None
    rng = np.random.default_rng(seed)
    fold = _folds(second, rng)
    chances, needed = np.zeros(len(second)), np.zeros(inputs.shape[1])
    for number in range(FOLDS):
        held = fold == number
        model = HistGradientBoostingClassifier(
            max_iter=_TREES,
            categorical_features=[0 < count <= _MOST_LABELS for count in labels],
            random_state=seed,
        )
        model.fit(inputs[~held], second[~held])
        of_fold = inputs[held]
        chances[held] = model.predict_proba(of_fold)[:, 1]
        if columns:
            reached = roc_auc_score(second[held], chances[held])
            for place in range(inputs.shape[1]):
                shuffled = of_fold.copy()
                shuffled[:, place] = rng.permutation(of_fold[:, place])
                needed[place] += reached - roc_auc_score(second[held], model.predict_proba(shuffled)[:, 1])
    return CrossFitted(chances=chances, needed=needed / FOLDS)


def _folds(second: npt.NDArray[np.bool_], rng: np.random.Generator) -> npt.NDArray[np.int64]:
    fold = np.zeros(len(second), dtype=np.int64)
    for side in (second, ~second):
        fold[side] = rng.permutation(int(side.sum())) % FOLDS
    return fold
