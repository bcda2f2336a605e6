"""The Adult table with its 15 columns as published: 9 of labels, 6 of numbers, for the benches of the audit."""

from __future__ import annotations

import csv
import json
import lzma
from functools import cache
from pathlib import Path

import numpy as np

from privsynth import records
from privsynth.records import Records
from privsynth.schema import Schema

DATA = Path(__file__).parent / "data" / "adult15.csv.xz"
NUMBERS = {
    "age": "lower = 17\nupper = 90",
    "fnlwgt": "lower = 10000\nupper = 1500000",
    "education-num": "lower = 1\nupper = 16",
    "capital-gain": "lower = 0\nupper = 99999\natoms = [0]",
    "capital-loss": "lower = 0\nupper = 4356\natoms = [0]",
    "hours-per-week": "lower = 1\nupper = 99",
}
BINS = {"age": 37, "fnlwgt": 40, "education-num": 16, "capital-gain": 20, "capital-loss": 20, "hours-per-week": 33}


@cache
def table() -> Records:
    """All 48,842 records."""
    with lzma.open(DATA, "rt", encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    columns = {name: [row[place] for row in rows] for place, name in enumerate(header)}
    bodies = []
    for name, values in columns.items():
        if name in NUMBERS:
            bins = f'bins = {{method = "uniform", count = {BINS[name]}}}'
            bodies.append(f'[columns.{name}]\nkind = "integer"\n{NUMBERS[name]}\n{bins}')
        else:
            labels = sorted(set(values) - {"?"})
            missing = '\nmissing = ["?"]' if "?" in values else ""
            bodies.append(f'[columns.{name}]\nkind = "category"\nvalues = {json.dumps(labels)}{missing}')
    schema = Schema.loads('[table]\nname = "adult"\n' + "\n".join(bodies))
    return records.read_public(columns, schema)


def shuffled(seed: int) -> Records:
    """All records in random order."""
    data = table()
    return data.take(np.random.default_rng(seed).permutation(data.rows))


def people(rows: int, seed: int) -> Records:
    """So many records like the table's: records drawn from it, with weight, age and hours a little different."""
    rng = np.random.default_rng(seed)
    drawn = table().take(rng.integers(0, table().rows, rows))
    ticks = dict(drawn.ticks)
    for name, width, lower, upper in (
        ("fnlwgt", 3000, 10_000, 1_500_000),
        ("age", 1, 17, 90),
        ("hours-per-week", 1, 1, 99),
    ):
        ticks[name] = np.clip(ticks[name] + rng.integers(-width, width + 1, rows), lower, upper)
    return drawn.with_ticks(ticks)
