"""What training on synthetic histories is worth: one row a unit from its history, an outcome, and a test on real units.

Of nafld: whether a patient died, from age, sex, body mass, the mean of each laboratory test and the numbers of each event. Of
diabetes130: whether a patient's last stay was followed by another one, from what all stays before and the last one say.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from privsynth.database import Database
from privsynth.encoding import encode_public

Floats = npt.NDArray[np.float64]
Outcomes = npt.NDArray[np.bool_]
Task = Callable[[Database], tuple[Floats, Outcomes]]


def died(database: Database) -> tuple[Floats, Outcomes]:
    """Of nafld. Shapes: (patients, features), (patients,)."""
    patients, labs, events = (_codes(database, name) for name in ("patients", "labs", "events"))
    units = database.units
    alone = [patients[name] for name in ("age", "male", "bmi")]
    unit, test, value = database.tables["labs"].unit, labs["test"], labs["value"]
    for level in range(6):
        mine = test == level
        number = np.bincount(unit[mine], minlength=units)
        total = np.bincount(unit[mine], weights=value[mine], minlength=units)
        alone += [number, np.where(number > 0, total / np.maximum(number, 1), np.nan)]
    for level in range(10):
        alone.append(np.bincount(database.tables["events"].unit[events["event"] == level], minlength=units))
    return np.stack(alone, axis=1).astype(np.float64), patients["status"] == 1


def came_back(database: Database) -> tuple[Floats, Outcomes]:
    """Of diabetes130. Shapes: (patients with stays, features), (patients with stays,)."""
    patients, stays = _codes(database, "patients"), _codes(database, "stays")
    unit = database.tables["stays"].unit
    last = np.flatnonzero(np.append(unit[1:] != unit[:-1], True))
    number = np.bincount(unit, minlength=database.units)
    columns = [number[unit[last]], patients["race"][unit[last]], patients["gender"][unit[last]]]
    for name, codes in stays.items():
        if name != "readmitted":
            columns += [codes[last], np.bincount(unit, weights=codes, minlength=database.units)[unit[last]]]
    earlier = np.append(unit[1:] == unit[:-1], False)
    back = np.bincount(unit[earlier], weights=(stays["readmitted"] != 0)[earlier], minlength=database.units)
    columns.append(back[unit[last]])
    return np.stack(columns, axis=1).astype(np.float64), stays["readmitted"][last] != 0


TASKS: dict[str, Task] = {"nafld": died, "diabetes130": came_back}


def auc(task: Task, train: Database, test: Database) -> float:
    """Gradient boosting, trained on one database's units and tested on another's: area under the ROC curve."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.metrics import roc_auc_score

    features, outcome = task(train)
    if outcome.all() or not outcome.any():
        return 0.5
    model = HistGradientBoostingClassifier(random_state=0).fit(features, outcome)
    features, outcome = task(test)
    return float(roc_auc_score(outcome, model.predict_proba(features)[:, 1]))


def _codes(database: Database, name: str) -> dict[str, npt.NDArray[np.int64]]:
    rows = database.tables[name]
    assert rows.records is not None
    data = encode_public(rows.records)
    return {one: data.column(one).astype(np.int64) for one in data.domain.attributes}
