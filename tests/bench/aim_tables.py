"""The six tables of the AIM paper: `latent_class` against the project's own AIM, and against stored runs of mbi's.

The tables are not stored here (`data/MBI_AIM.md` says where they are from), so their figures are: run
`python -m tests.bench.aim_tables FOLDER [TABLE ...]` on a folder with `titanic.csv.gz`, `titanic-domain.json` and so on to make
them anew; each table's figures are then replaced in `data/aim_tables.json`.
"""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from privsynth.dataset import Dataset
from privsynth.domain import Domain, LevelFacts
from tests.bench import fidelity, flagship
from tests.bench.row import Row, cpu_seconds

STORED = fidelity.DATA / "aim_tables.json"
MBI = fidelity.DATA / "mbi_aim.json"
COMMANDS = {
    "aim": "python -m tests.bench.aim_tables FOLDER, figures stored in tests/bench/data/aim_tables.json",
    "mbi AIM": "tests/bench/data/MBI_AIM.md, figures stored in tests/bench/data/mbi_aim.json",
}
EPSILONS = ("0.1", "1", "10")
GENERATORS = (flagship.NAME, "aim")
ORDERED = {
    "titanic": ("Age", "SibSp", "Parch", "Fare"),
    "salary": ("annual-salary", "regular-earnings", "overtime-earning", "other-earnings", "ytd-gross"),
    "adult": ("age", "fnlwgt", "education-num", "capital-gain", "capital-loss", "hours-per-week"),
}
FITS = {"titanic": 5, "nltcs": 5, "salary": 3, "adult": 3, "fire": 2, "msnbc": 1}


def rows() -> Iterator[Row]:
    """Ratios of mean errors, below 1 where the flagship is better; of CPU time, below .1 where it takes a tenth."""
    tables: Mapping[str, Any] = json.loads(STORED.read_text(encoding="utf-8"))
    for table, by_epsilon in tables.items():
        for epsilon, found in by_epsilon.items():
            ours, theirs = (found[generator] for generator in GENERATORS)
            for what in ("pairs", "triples"):
                ratio = ours[what] / theirs[what]
                name = f"stored: {table} at epsilon {epsilon}: {what}, over aim's"
                yield Row(name=name, value=ratio, unit="ratio", target="<= 1.05")
            yield Row(
                name=f"stored: {table} at epsilon {epsilon}: time, over aim's",
                value=ours["cpu_seconds"] / theirs["cpu_seconds"],
                unit="ratio of CPU time",
            )
    yield from _mbi(tables)


def _mbi(tables: Mapping[str, Any]) -> Iterator[Row]:
    """Against mbi's AIM, where a run of it was finished."""
    for run in json.loads(MBI.read_text(encoding="utf-8"))["runs"]:
        if not run["finished"] or run["set"] not in tables:
            continue
        ours = tables[run["set"]][run["epsilon"]][flagship.NAME]
        where = f"stored: {run['set']} at epsilon {run['epsilon']}"
        for what in ("pairs", "triples"):
            yield Row(
                name=f"{where}: {what}, over mbi AIM's", value=ours[what] / run[what], unit="ratio", target="<= 1"
            )
        ratio = ours["cpu_seconds"] / run["cpu_seconds"]
        yield Row(name=f"{where}: time, over mbi AIM's", value=ratio, unit="ratio of CPU time", target="<= 0.1")


def load(folder: Path, table: str) -> Dataset:
    """One of the tables, with what a schema would say of the order of levels."""
    import pandas as pd

    sizes = json.loads((folder / f"{table}-domain.json").read_text(encoding="utf-8"))
    packed = folder / f"{table}.parquet"
    frame = pd.read_parquet(packed) if packed.exists() else pd.read_csv(folder / f"{table}.csv.gz")
    ordered = ORDERED.get(table, ())
    facts = tuple(LevelFacts(ordered=size if name in ordered else 0) for name, size in sizes.items())
    domain = Domain(tuple(sizes), tuple(sizes.values()), facts)
    return Dataset.from_columns({name: frame[name].to_numpy() for name in sizes}, domain)


def errors(data: Dataset, drawn: Dataset, triples: list[list[int]]) -> tuple[float, float]:
    """Mean total variation of all pairs, and of the given triples (positions of attributes)."""
    names = data.domain.attributes
    found = []
    for cliques in (list(itertools.combinations(names, 2)), [tuple(names[i] for i in triple) for triple in triples]):
        tables = zip(data.marginals(cliques), drawn.marginals(cliques), strict=True)
        found.append(float(np.mean([np.abs(one / data.rows - two / drawn.rows).sum() / 2 for one, two in tables])))
    return found[0], found[1]


def measure(folder: Path, table: str) -> dict[str, Any]:
    """Mean errors and CPU seconds of fits and records, by epsilon and generator."""
    data = load(folder, table)
    triples = json.loads(MBI.read_text(encoding="utf-8"))["sets"][table]["triples"]
    out: dict[str, Any] = {}
    for epsilon in EPSILONS:
        out[epsilon] = {}
        for generator in GENERATORS:
            runs = []
            for seed in range(FITS[table]):
                drawn: list[Dataset] = []

                def once(
                    into: list[Dataset] = drawn, seed: int = seed, name: str = generator, budget: str = epsilon
                ) -> None:
                    into.append(flagship.fit(data, budget, name).draw(data.rows, np.random.default_rng(seed)))

                seconds = cpu_seconds(once)
                runs.append((*errors(data, drawn[0], triples), seconds))
            means, spreads = np.mean(runs, axis=0).tolist(), np.std(runs, axis=0, ddof=min(1, len(runs) - 1)).tolist()
            figures = dict(zip(("pairs", "triples", "cpu_seconds"), means, strict=True))
            figures |= {"fits": len(runs), "pairs_sd": spreads[0], "triples_sd": spreads[1]}
            out[epsilon][generator] = {name: float(f"{value:.4g}") for name, value in figures.items()}
            print(table, epsilon, generator, out[epsilon][generator], flush=True)
    return out


def main(arguments: list[str]) -> int:
    """Measure the named tables, or all, and store the figures."""
    folder = Path(arguments[0])
    for table in arguments[1:] or list(FITS):
        found = measure(folder, table)
        stored = json.loads(STORED.read_text(encoding="utf-8")) if STORED.exists() else {}
        stored[table] = found
        STORED.write_text(
            json.dumps({name: stored[name] for name in FITS if name in stored}, indent=1) + "\n", encoding="utf-8"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
