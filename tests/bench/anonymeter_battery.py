"""Anonymeter's battery on given tables, in an environment of its own: `python anonymeter_battery.py FOLDER ATTACKS`.

Prints CPU seconds of each attack as JSON. Compiling is not counted: each attack is run once on few records before.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from pathlib import Path

import pandas as pd
from anonymeter.evaluators import InferenceEvaluator, LinkabilityEvaluator, SinglingOutEvaluator


def battery(tables: dict[str, pd.DataFrame], attacks: int) -> dict[str, float]:
    """CPU seconds of each attack, with its defaults."""
    names = list(tables["ori"].columns)
    middle = len(names) // 2
    seconds = {}

    def timed(label: str, evaluator: object, **settings: str) -> None:
        before = time.process_time()
        evaluator.evaluate(**settings)  # type: ignore[attr-defined]
        seconds[label] = seconds.get(label, 0.0) + time.process_time() - before

    for mode in ("univariate", "multivariate"):
        timed(f"singling out, {mode}", SinglingOutEvaluator(**tables, n_attacks=attacks), mode=mode)
    halves = (names[:middle], names[middle:])
    timed("linkability", LinkabilityEvaluator(**tables, n_attacks=attacks, n_neighbors=10, aux_cols=halves))
    for secret in names:
        known = [name for name in names if name != secret]
        timed("inference", InferenceEvaluator(**tables, n_attacks=attacks, secret=secret, aux_cols=known))
    return seconds


def main(folder: Path, attacks: int) -> None:
    """Read the tables, warm up, measure."""
    warnings.simplefilter("ignore")
    tables = {name: pd.read_csv(folder / f"{name}.csv", keep_default_na=False) for name in ("ori", "syn", "control")}
    battery({name: table.head(300) for name, table in tables.items()}, 20)
    print(json.dumps(battery(tables, attacks)))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
