"""Coverage of the intervals of logistic regressions on synthetic copies, against the population that the people came from.

A real table is the population: 12,000 of its rows are drawn with replacement, fitted, copied and regressed, again and again;
the truth is what the same regression says of the whole table. Must never be read as a result for one release.
"""

from __future__ import annotations

import csv
import gzip
import json
import lzma
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

import privsynth as ps
from privsynth import records
from privsynth.combining.design import Design
from privsynth.combining.estimating import Scale, plain
from privsynth.combining.regressing import Regression
from privsynth.records import Records
from tests.bench.row import Row

ROOT = Path(__file__).parents[2]
PEOPLE, COPIES, RELEASES = 12_000, 10, 6
LEVEL = 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class Population:
    """A table as columns, its schema, and the regression that is asked of it."""

    columns: dict[str, list[str]]
    schema: ps.Schema
    target: str
    inputs: tuple[str, ...]
    outcome: tuple[str, ...] = ()
    references: tuple[tuple[str, str], ...] = ()

    @property
    def rows(self) -> int:
        """How many there are."""
        return len(self.columns[self.target])

    def take(self, index: npt.NDArray[np.int64]) -> dict[str, list[str]]:
        """Some rows."""
        return {name: [values[place] for place in index.tolist()] for name, values in self.columns.items()}


def _population(
    name: str,
    columns: dict[str, list[str]],
    numbers: dict[str, str],
    target: str,
    outcome: tuple[str, ...] = (),
    references: tuple[tuple[str, str], ...] = (),
) -> Population:
    """Numbers are declared; the labels of other columns are those of the published table."""
    bodies = []
    for column, values in columns.items():
        body = numbers.get(column) or f'kind = "category"\nvalues = {json.dumps(sorted(set(values)))}'
        bodies.append(f'[columns."{column}"]\n{body}')
    schema = ps.Schema.loads(f'[table]\nname = "{name}"\n' + "\n".join(bodies))
    inputs = tuple(column for column in columns if column != target)
    return Population(
        columns=columns, schema=schema, target=target, inputs=inputs, outcome=outcome, references=references
    )


def _uniform(lower: int, upper: int, count: int) -> str:
    return f'kind = "integer"\nlower = {lower}\nupper = {upper}\nbins = {{method = "uniform", count = {count}}}'


def _columns(rows: Iterator[dict[str, str]], wanted: Sequence[str]) -> dict[str, list[str]]:
    kept = [[row[name] for name in wanted] for row in rows]
    return {name: [row[place] for row in kept] for place, name in enumerate(wanted)}


def _adult() -> Population:
    wanted = ("age", "education-num", "hours-per-week", "sex", "marital-status", "income")
    with lzma.open(ROOT / "tests/bench/data/adult15.csv.xz", "rt", encoding="utf-8", newline="") as file:
        columns = _columns(csv.DictReader(file), wanted)
    numbers = {
        "age": _uniform(17, 90, 37),
        "education-num": _uniform(1, 16, 16),
        "hours-per-week": _uniform(1, 99, 33),
    }
    return _population("adult", columns, numbers, "income")


def _diabetes() -> Population:
    """The first stay of every patient."""
    numbers = {
        "time_in_hospital": _uniform(1, 14, 14),
        "num_medications": _uniform(1, 81, 27),
        "number_inpatient": _uniform(0, 21, 22),
        "number_diagnoses": _uniform(1, 16, 16),
    }
    wanted = (*numbers, "gender", "change", "readmitted")
    with gzip.open(ROOT / "examples/hospital_stays/encounters.csv.gz", "rt", encoding="utf-8", newline="") as file:
        first = {row["patient_nbr"]: row for row in reversed(list(csv.DictReader(file)))}
    known = (row for row in first.values() if row["gender"] in {"Female", "Male"})
    return _population("diabetes130", _columns(known, wanted), numbers, "readmitted", ("<30", ">30"))


def _credit() -> Population:
    numbers = {"AGE": _uniform(18, 80, 21), "PAY_0": _uniform(-2, 9, 12), "PAY_2": _uniform(-2, 9, 12)}
    numbers["LIMIT_BAL"] = _uniform(10_000, 1_000_000, 33)
    wanted = (*numbers, "SEX", "MARRIAGE", "default.payment.next.month")
    with gzip.open(ROOT / "examples/credit_default/clients.csv.gz", "rt", encoding="utf-8", newline="") as file:
        columns = _columns(csv.DictReader(file), wanted)
    return _population("credit_default", columns, numbers, wanted[-1], references=(("MARRIAGE", "1"),))


def _acs() -> Population | None:
    """Employed persons of 2018; None where PRIVSYNTH_BENCH_DATA names no folder in which they are."""
    folder = os.environ.get("PRIVSYNTH_BENCH_DATA")
    path = None if folder is None else Path(folder) / "acs_income_2018" / "acs_income_2018.parquet"
    if path is None or not path.is_file():
        print("acs_income_2018: skipped; PRIVSYNTH_BENCH_DATA names no folder in which it is", file=sys.stderr)
        return None
    labels = ["Gender", "Marital Status", "Nativity", "Race"]
    table = pq.read_table(path, columns=["Age", *labels, "Income"]).to_pydict()
    columns = {"Age": [str(int(value)) for value in table["Age"]]}
    columns |= {name: [str(value) for value in table[name]] for name in labels}
    columns["Income"] = ["high" if value > 50_000 else "low" for value in table["Income"]]
    numbers = {"Age": _uniform(15, 95, 40)}
    return _population("acs_income_2018", columns, numbers, "Income", ("high",), (("Race", "White alone"),))


@cache
def population(name: str) -> Population | None:
    """A table by its name."""
    return {"adult": _adult, "diabetes130": _diabetes, "credit_default": _credit, "acs_income_2018": _acs}[name]()


@cache
def _whole(name: str) -> Records:
    found = population(name)
    assert found is not None
    return records.read_public(found.columns, found.schema, out_of_domain="clamp")


def textbook(design: Design, table: Records) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Coefficients in their units and their standard errors, as any software has them. Shapes: both (p,)."""
    rows = design.rows(table)
    scale = Scale.of(design, rows)
    found = plain(design, scale.apply(rows))
    assert found is not None
    return scale.undo(found[0]), np.sqrt(np.diag(found[1])) * scale.y_width / scale.widths


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one coefficient's interval; `width` is over that of the same people's own analysis."""

    table: str
    epsilon: str
    term: str
    warning: str
    covered: bool
    width: float


def outcomes(name: str, epsilon: str, *, seed: int, generator: str = "latent_class") -> list[Outcome]:
    """One release of 12,000 people of a table: all coefficients but the intercept."""
    whole = population(name)
    assert whole is not None
    rng = np.random.default_rng([seed, 7])
    index = rng.integers(0, whole.rows, PEOPLE)
    options = {"epsilon": epsilon, "delta": "1e-6", "generator": generator, "out_of_domain": "clamp"}
    model = ps.fit(whole.take(index), whole.schema, **options)
    asked = model.copies(COPIES, rng=rng)
    found = asked.regress(whole.target, whole.inputs, whole.outcome, references=dict(whole.references), level=LEVEL)
    return _judged(name, epsilon, found, index)


def _judged(name: str, epsilon: str, found: Regression, index: npt.NDArray[np.int64]) -> list[Outcome]:
    truth, error = textbook(found.design, _whole(name))
    own = error * np.sqrt(_whole(name).rows / len(index))
    judged = []
    for place, term in enumerate(found.design.terms):
        if term.column:
            one = found[term.name]
            covered, half = one.lower <= truth[place] <= one.upper, (one.upper - one.lower) / 2
            width = half / (1.645 * own[place])
            judged.append(
                Outcome(
                    table=name,
                    epsilon=epsilon,
                    term=term.name,
                    warning=one.warning,
                    covered=bool(covered),
                    width=float(width),
                )
            )
    return judged


def rows(releases: int = RELEASES, first: int = 0) -> Iterator[Row]:
    """Coverage by table and epsilon, and together, without a warning and with one; widths against the people's own analysis."""
    together: list[Outcome] = []
    for name in ("adult", "diabetes130", "credit_default", "acs_income_2018"):
        if population(name) is None:
            continue
        for epsilon in ("1", "10"):
            found = [each for seed in range(first, first + releases) for each in outcomes(name, epsilon, seed=seed)]
            together += found
            yield from _summary(f"{name}, epsilon {epsilon}", found, judged=False)
    yield from _summary("all tables", together, judged=True)


def _summary(what: str, found: Sequence[Outcome], *, judged: bool) -> Iterator[Row]:
    silent = [each for each in found if not each.warning]
    warned = [each for each in found if each.warning]
    yield Row(name=f"regression, {what}: coefficients with a warning", value=len(warned) / len(found), unit="share")
    if silent:
        covered = float(np.mean([each.covered for each in silent]))
        name = f"regression, {what}: 90 % intervals that cover, no warning"
        for target in (">= 0.85", "<= 0.97") if judged else (None,):
            yield Row(name=name, value=covered, unit="share", target=target)
        width = float(np.median([each.width for each in silent]))
        yield Row(name=f"regression, {what}: width over the people's own, no warning", value=width, unit="times")
    if warned:
        covered = float(np.mean([each.covered for each in warned]))
        yield Row(name=f"regression, {what}: 90 % intervals that cover, warned", value=covered, unit="share")


if __name__ == "__main__":
    for row in rows():
        print(json.dumps(row.to_json()), flush=True)
