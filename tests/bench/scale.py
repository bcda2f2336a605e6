"""Measuring at scale: counting all pairs of ten million records, and reading and encoding them from a Parquet file."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from privsynth.dataset import Dataset
from privsynth.domain import Domain
from privsynth.encoding import encode
from privsynth.records import read
from privsynth.schema import Schema
from tests.bench.row import Row, cpu_seconds

SIZES = (2, 42, 16, 7, 15, 6, 5, 2, 9, 20, 30, 25, 12, 3, 10)
DOMAIN = Domain(tuple(f"c{i}" for i in range(len(SIZES))), SIZES)
RECORDS = 10_000_000
_FEW = 1_000_000


def rows() -> Iterator[Row]:
    """All of them."""
    yield from counting()
    yield from reading()


def columns(records: int) -> tuple[npt.NDArray[np.uint8], ...]:
    """Fifteen columns with 2 to 42 levels, unevenly filled."""
    rng = np.random.default_rng(0)
    return tuple(
        np.minimum((rng.random(records, dtype=np.float32) ** 2 * size).astype(np.uint8), size - 1) for size in SIZES
    )


def counting() -> Iterator[Row]:
    """All 105 pairs and 15 single columns, against numpy counting the same tables one by one."""
    data = Dataset(columns(RECORDS), DOMAIN)
    cliques = [clique for length in (1, 2) for clique in itertools.combinations(DOMAIN.attributes, length)]
    ours = cpu_seconds(lambda: data.marginals(cliques), 2)
    yield Row(name="120 tables of 10 million records", value=ours, unit="CPU s", target="<= 1.2")
    yield Row(name="records counted into a table", value=RECORDS * len(cliques) / ours, unit="per CPU s")
    part = data.take(slice(_FEW))
    theirs = cpu_seconds(lambda: _one_by_one(part)) * RECORDS / _FEW
    yield Row(name="counting over numpy's one by one", value=theirs / ours, unit="ratio", target=">= 5")


def _one_by_one(data: Dataset) -> None:
    wide = [column.astype(np.int64) for column in data.columns]
    for column, size in zip(wide, SIZES, strict=True):
        np.bincount(column, minlength=size)
    for one, two in itertools.combinations(range(len(SIZES)), 2):
        np.bincount(wide[one] * SIZES[two] + wide[two], minlength=SIZES[one] * SIZES[two])


def reading() -> Iterator[Row]:
    """A Parquet file of integers, read against its schema and encoded: what it costs, and whether that is linear."""
    schema = Schema.from_domain(dict(zip(DOMAIN.attributes, SIZES, strict=True)))
    with tempfile.TemporaryDirectory() as folder:
        seconds = {}
        for records in (_FEW, 4 * _FEW):
            path = Path(folder) / f"{records}.parquet"
            named = dict(zip(DOMAIN.attributes, columns(records), strict=True))
            pq.write_table(pa.table(named), path, row_group_size=_FEW)
            seconds[records] = cpu_seconds(lambda path=path: encode(read(path, schema)), 2)  # type: ignore[misc]
    yield Row(name="records read and encoded", value=4 * _FEW / seconds[4 * _FEW], unit="per CPU s", target=">= 1e6")
    growth = seconds[4 * _FEW] / seconds[_FEW] / 4
    yield Row(name="cost a record, 4 million over 1 million", value=growth, unit="ratio", target="<= 1.3")
