"""Training on synthetic records, testing on real ones: area under the ROC curve, against other libraries' figures."""

from __future__ import annotations

import csv
import gzip
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from privsynth.dataset import Dataset
from privsynth.encoding import encode
from privsynth.records import read
from privsynth.schema import Schema
from tests.bench import fidelity, flagship
from tests.bench.row import Row

EXAMPLES = Path(__file__).parents[2] / "examples"
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """Two parts of a table, and the column to be predicted.

    `best_peer` is the best figure of any library that was measured on the table's columns, gradient boosting or logistic
    regression, one run each (the 26 and 24 columns and bins of those runs are not those of the examples' schemas).
    """

    name: str
    train: Dataset
    test: Dataset
    target: str
    positive: int
    best_peer: float


def rows() -> Iterator[Row]:
    """Adult, and the examples' tables through their schemas, at epsilon 1; what the real records give is for reference."""
    for task in (adult_task(), example_task("credit_default", "clients.csv.gz", "default.payment.next.month", 0.7013),
                 example_task("hospital_stays", "encounters.csv.gz", "readmitted", 0.5020)):  # fmt: skip
        yield Row(name=f"{task.name}: gradient boosting on real records", value=boosting(task, task.train), unit="AUC")
        trees, lines, told = [], [], []
        for seed in range(flagship.FITS):
            model = flagship.fit(task.train, "1")
            drawn = model.draw(task.train.rows, np.random.default_rng(seed))
            trees.append(boosting(task, drawn))
            lines.append(regression(task, drawn))
            told.append(flagship.predicted(task.train, model, drawn))
        where = f"{task.name} at epsilon 1: "
        for what, found in (("gradient boosting", trees), ("logistic regression", lines)):
            named = f"{where}{what} {flagship.spread(found)}"
            yield Row(name=named, value=float(np.mean(found)), unit="AUC", target=f">= {task.best_peer}")
        yield Row(name=f"{where}pairs predicted within x1.5", value=float(np.mean(told)), unit="share", target=">= 0.9")


def adult_task() -> Task:
    """Adult's 14 columns: 39,074 rows to fit on, 9,768 to test on."""
    data = flagship.adult()
    with gzip.open(fidelity.DATA / "adult14_test.csv.gz", "rt", encoding="utf-8", newline="") as file:
        table = list(csv.reader(file))
    codes = np.array(table[1:], dtype=np.int64)
    test = Dataset.from_columns({name: codes[:, i] for i, name in enumerate(table[0])}, data.domain)
    return Task(name="adult", train=data, test=test, target="income>50K", positive=1, best_peer=0.9)


def example_task(folder: str, table: str, target: str, best_peer: float) -> Task:
    """Four fifths and one fifth of an example's rows, encoded as its schema says; every row is a unit of its own here."""
    schema = Schema.load(EXAMPLES / folder / "schema.toml")
    read_as = encode(read(EXAMPLES / folder / table, schema, out_of_domain="clamp")).open()
    data = Dataset(read_as.columns, read_as.domain)
    order = np.random.default_rng(0).permutation(data.rows)
    cut = data.rows * 4 // 5
    train, test = data.take(order[:cut]), data.take(order[cut:])
    return Task(name=folder, train=train, test=test, target=target, positive=1, best_peer=best_peer)


def features_of(task: Task, data: Dataset) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Codes as numbers, and whether the target is the positive level."""
    named = zip(data.domain.attributes, data.columns, strict=True)
    features = np.stack([codes.astype(np.float64) for name, codes in named if name != task.target], axis=1)
    return features, data.column(task.target) == task.positive


def boosting(task: Task, data: Dataset) -> float:
    """Trained on these records, tested on the task's held-out ones."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.metrics import roc_auc_score

    model = HistGradientBoostingClassifier(random_state=0).fit(*features_of(task, data))
    features, truth = features_of(task, task.test)
    return float(roc_auc_score(truth, model.predict_proba(features)[:, 1]))


def regression(task: Task, data: Dataset) -> float:
    """The same with logistic regression over one-hot columns."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.preprocessing import OneHotEncoder

    levels = [np.arange(task.train.domain.size(name)) for name in data.domain.attributes if name != task.target]
    features, outcome = features_of(task, data)
    coder = OneHotEncoder(categories=levels, handle_unknown="ignore").fit(features[:1])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # 300 iterations are what the peers' figures were made with, converged or not
        model = LogisticRegression(max_iter=300).fit(coder.transform(features), outcome)
    features, truth = features_of(task, task.test)
    return float(roc_auc_score(truth, model.predict_proba(coder.transform(features))[:, 1]))
