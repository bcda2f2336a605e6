"""SDMetrics' reports and closest-record metrics on given tables, in an environment of its own.

`python sdmetrics_reports.py FOLDER` prints CPU seconds of each as JSON; FOLDER holds real.csv, holdout.csv, synthetic.csv and
metadata.json. Importing is not counted.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import pandas as pd
from sdmetrics.reports import DiagnosticReport, QualityReport
from sdmetrics.single_table import DCRBaselineProtection, DCROverfittingProtection

TABLE = "table"


def seconds(folder: Path) -> dict[str, float]:
    """CPU seconds of both reports and of both closest-record metrics, with their defaults."""
    metadata = json.loads((folder / "metadata.json").read_text(encoding="utf-8"))
    kinds = {name: one["sdtype"] for name, one in metadata["tables"][TABLE]["columns"].items()}
    real, holdout, synthetic = (_read(folder / f"{name}.csv", kinds) for name in ("real", "holdout", "synthetic"))
    found = {}

    def timed(label: str, work: Callable[[], object]) -> None:
        before = time.process_time()
        work()
        found[label] = time.process_time() - before

    pair = ({TABLE: real}, {TABLE: synthetic}, metadata)
    timed("QualityReport", lambda: QualityReport().generate(*pair, verbose=False))
    timed("DiagnosticReport", lambda: DiagnosticReport().generate(*pair, verbose=False))
    timed("DCRBaselineProtection", lambda: DCRBaselineProtection.compute_breakdown(real, synthetic, metadata, TABLE))
    timed(
        "DCROverfittingProtection",
        lambda: DCROverfittingProtection.compute_breakdown(real, synthetic, holdout, metadata, TABLE),
    )
    return found


def _read(path: Path, kinds: dict[str, str]) -> pd.DataFrame:
    """Categories as text, so that no label becomes a number or a missing value."""
    texts = {name: str for name, kind in kinds.items() if kind == "categorical"}
    return pd.read_csv(path, dtype=texts, keep_default_na=False)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    print(json.dumps(seconds(Path(sys.argv[1]))))
