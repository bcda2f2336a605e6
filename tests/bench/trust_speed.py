"""How long an evaluation takes: beside SDMetrics' reports on a table that they can do, and with the report at 100,000 rows."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv

import privsynth as ps
from privsynth import encoding, generators, records, report
from privsynth.certificate import envelope
from privsynth.certificate.statement import Statement
from privsynth.metrics.closest import closest
from privsynth.metrics.correlations import compare
from privsynth.metrics.marginals import cliques_of, errors
from privsynth.records import Records, to_arrow
from privsynth.schema import Schema
from tests.bench import adult_raw, fidelity
from tests.bench.row import Row, cpu_seconds

ROOT = Path(__file__).parents[2]
PEER = ROOT / "build" / "peers" / "sdmetrics"
SCRIPT = Path(__file__).parent / "sdmetrics_reports.py"
GOLDEN = ROOT / "tests" / "golden" / "release-0.1.0" / "certificate.json"
COMMANDS = {
    "SDMetrics": "sdmetrics 0.32.0, QualityReport, DiagnosticReport, DCRBaselineProtection and DCROverfittingProtection with "
    "their defaults, same tables, in an environment of its own, this run"
}

SIZES = (1_000, 3_000)
"""Rows of the real, held-out and synthetic tables beside SDMetrics, whose closest-record metrics grow with the square."""

WIDE_ROWS = 100_000
TARGET = "income"


def rows() -> Iterator[Row]:
    """Both; SDMetrics' own run is most of the time."""
    yield from beside_sdmetrics()
    yield from large()


def beside_sdmetrics() -> Iterator[Row]:
    """CPU seconds of the whole evaluation, page and learners included, and of the parts that SDMetrics has too."""
    for size in SIZES:
        made, where = tables(size), f"Adult, 15 columns, {size:,} rows"
        theirs = _sdmetrics(made)
        for name, seconds in theirs.items():
            yield Row(name=f"SDMetrics: {name}, {where}", value=seconds, unit="CPU s")
        whole, shared = cpu_seconds(lambda made=made: _evaluated(made)), cpu_seconds(lambda made=made: _shared(made))  # type: ignore[misc]
        total = sum(theirs.values())
        yield Row(name=f"SDMetrics: all of it, {where}", value=total, unit="CPU s")
        yield Row(name=f"privsynth evaluate: all of it, {where}", value=whole, unit="CPU s")
        yield Row(name=f"privsynth evaluate: what SDMetrics has too, {where}", value=shared, unit="CPU s")
        yield Row(
            name=f"SDMetrics over what privsynth has of it, {where}", value=total / shared, unit="ratio of CPU time"
        )
        yield Row(
            name=f"SDMetrics over privsynth evaluate, {where}",
            value=total / whole,
            unit="ratio of CPU time",
            target=">= 10" if size == SIZES[-1] else None,
        )


@cache
def tables(size: int) -> dict[str, Records]:
    """Training data, people outside of it, and records of the latent-class generator at epsilon 1."""
    people = adult_raw.shuffled(0)
    real, holdout = people.take(np.arange(size)), people.take(np.arange(size, 2 * size))
    data, rng = encoding.encode_public(real), np.random.default_rng(0)
    model = generators.get("latent_class", {}).fit(fidelity.curator(data, "1"))
    synthetic = encoding.decode(model.draw(size, rng), real.schema, rng=rng)
    return {"real": real, "holdout": holdout, "synthetic": synthetic}


def _sdmetrics(made: Mapping[str, Records]) -> dict[str, float]:
    """Its CPU seconds, part by part; its environment is made where there is none."""
    python = PEER / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(PEER)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", "sdmetrics==0.32.0"], check=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for table, found in made.items():
            pyarrow.csv.write_csv(to_arrow(found, {}), folder / f"{table}.csv")
        kinds = {
            column.name: {"sdtype": "numerical" if column.name in adult_raw.NUMBERS else "categorical"}
            for column in made["real"].schema.modelled
        }
        metadata = {"tables": {"table": {"columns": kinds}}, "relationships": []}
        (folder / "metadata.json").write_text(json.dumps(metadata), encoding="utf-8")
        done = subprocess.run([str(python), str(SCRIPT), name], check=True, capture_output=True, text=True)
    seconds: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return seconds


def _evaluated(made: Mapping[str, Records]) -> None:
    with tempfile.TemporaryDirectory() as name:
        real, holdout, synthetic = (to_arrow(made[one], {}) for one in ("real", "holdout", "synthetic"))
        ps.evaluate(
            synthetic,
            real=real,
            holdout=holdout,
            schema=made["real"].schema,
            target=TARGET,
            out=Path(name) / "out",
            rng=np.random.default_rng(0),
        )


def _shared(made: Mapping[str, Records]) -> None:
    """Tables of one and two columns, correlations, and the closest record of every row."""
    real, holdout, synthetic = (
        (made[one], encoding.encode_public(made[one])) for one in ("real", "holdout", "synthetic")
    )
    rng = np.random.default_rng(0)
    for size in (1, 2):
        errors(real[1], synthetic[1], cliques_of(real[1].domain.attributes, size, 10_000, rng), rng=rng)
    compare(real[0].schema, real, synthetic)
    closest(real[0], synthetic[0], holdout=holdout[0], points=synthetic[0].rows, rng=rng)


# ---- a large table ---------------------------------------------------------------------------------------------------


def wide(rows_wanted: int, seed: int) -> tuple[pa.Table, Schema]:
    """30 columns: two people of Adult in a row, a little different from the table's."""
    halves = [to_arrow(adult_raw.people(rows_wanted, seed + number), {}) for number in (0, 100)]
    columns = {name: halves[0][name] for name in halves[0].schema.names}
    columns |= {f"{name}.other": halves[1][name] for name in halves[1].schema.names}
    document = adult_raw.table().schema.to_json()
    declared = document["columns"]
    assert isinstance(declared, list)
    document["columns"] = [*declared, *({**one, "name": f"{one['name']}.other"} for one in declared)]
    document["use"] = {"target": TARGET, "protected": ["sex", "race"]}
    return pa.table(columns), Schema.from_json(document)


def large() -> Iterator[Row]:
    """CPU seconds, on one thread, of the report's page and of the evaluation; on two cores no clock shows more."""
    real, schema = wide(WIDE_ROWS, 0)
    model = ps.fit(real, schema, epsilon="1", delta="1e-9")
    assert isinstance(model, ps.Model)
    drawn = model.draw(WIDE_ROWS, rng=np.random.default_rng(0))
    # Any predicate of a release of one table: it is words on the page, and costs nothing beside the tables.
    says = Statement.from_bytes(envelope.payload(GOLDEN.read_bytes())).predicate
    where = f"{WIDE_ROWS:,} rows, {len(schema.modelled)} columns"

    def page() -> None:
        released = records.read_public(drawn.table, schema)
        report.render(
            predicate=says, schema=schema, transcript=model.transcript, released=released, predicted=model.pair_errors()
        )

    def evaluation() -> None:
        with tempfile.TemporaryDirectory() as name:
            ps.evaluate(
                drawn.table,
                real=real,
                schema=schema,
                release=model,
                out=Path(name) / "out",
                rng=np.random.default_rng(0),
            )

    first, second = cpu_seconds(page), cpu_seconds(evaluation)
    yield Row(name=f"report, {where}", value=first, unit="CPU s")
    yield Row(name=f"evaluate, {where}", value=second, unit="CPU s")
    yield Row(name=f"report and evaluate, {where}", value=first + second, unit="CPU s", target="<= 60")


if __name__ == "__main__":
    for row in rows():
        print(f"{row.name:90} {row.value:10.4g} {row.unit} {row.target or ''}", flush=True)
