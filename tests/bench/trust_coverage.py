"""Whether error bars hold: the share of random questions whose 90 % interval holds what the real table says.

Three real tables; questions of four kinds on one, two and three columns; and the share of pairs whose error is predicted well.
"""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np

from privsynth import generators, records
from privsynth.answering import Evidence, answer, table_error
from privsynth.dataset import Dataset
from privsynth.encoding import encode_public
from privsynth.records import Records
from privsynth.schema import Schema
from tests.bench import adult_raw, flagship
from tests.bench.asking import Asker
from tests.bench.row import Row

EXAMPLES = Path(__file__).parents[2] / "examples"
TABLES: Final = {"adult": None, "credit_default": "clients.csv.gz", "hospital_stays": "encounters.csv.gz"}
ASKED: Final = (("adult", "1"), ("credit_default", "1"), ("credit_default", "5"), ("hospital_stays", "1"))
KINDS: Final = {"count": (1, 2), "share": (1, 2), "mean": (1, 2), "correlation": (2,)}
QUESTIONS = 60
"""Of each kind and number of columns: the coverage of a hundred and twenty is known to 3 percentage points."""


def rows(names: Sequence[str] = tuple(TABLES)) -> Iterator[Row]:
    """Coverage by kind, table and epsilon; three columns apart, without a target; and the pairs' predicted errors."""
    for table, epsilon in ASKED:
        if table in names:
            yield from of_table(table, epsilon, QUESTIONS)


def of_table(table: str, epsilon: str, questions: int) -> Iterator[Row]:
    """The rows of one table at one epsilon."""
    read, evidence = fitted(table, epsilon)
    where, asker = f"{table} at epsilon {epsilon}", Asker.of_records(read, seed=1)
    for kind, columns in KINDS.items():
        held = [inside for size in columns for inside in _held(asker, evidence, kind, size, questions)]
        share, named = float(np.mean(held)), f"{where}: {kind}s on 1 or 2 columns, in their intervals ({len(held)})"
        yield Row(name=named, value=share, unit="share", target=">= 0.85")
        yield Row(name=f"{named}, not too often", value=share, unit="share", target="<= 0.97")
    for kind in KINDS:
        held = _held(asker, evidence, kind, 3, questions)
        named = f"{where}: {kind}s on 3 columns, in their intervals ({len(held)})"
        yield Row(name=named, value=float(np.mean(held)), unit="share")
    yield Row(
        name=f"{where}: pairs predicted within x1.5", value=predicted(read, evidence), unit="share", target=">= 0.9"
    )


@cache
def fitted(table: str, epsilon: str) -> tuple[Records, Evidence]:
    """The records, and what a fit to them leaves in public: every row is a unit of its own here."""
    file = TABLES[table]
    if file is None:
        read = adult_raw.table()
    else:
        schema = Schema.load(EXAMPLES / table / "schema.toml")
        read = records.read(EXAMPLES / table / file, schema, out_of_domain="clamp").open()
    encoded = encode_public(read)
    curator = flagship.curator(Dataset(encoded.columns, encoded.domain), epsilon)
    generator = generators.get(flagship.NAME, {})
    model = generator.fit(curator)
    return read, Evidence(read.schema, generator, model, curator.transcript)


def _held(asker: Asker, evidence: Evidence, kind: str, columns: int, questions: int) -> list[bool]:
    asked = [asker.ask(kind, columns) for _ in range(questions)]
    found = [(answer(one[0].text, evidence), one[1]) for one in asked if one is not None]
    return [said.lower - 1e-9 <= truth <= said.upper + 1e-9 for said, truth in found]


def predicted(read: Records, evidence: Evidence) -> float:
    """The share of pairs whose L1 error in drawn records is within a factor 1.5 of what is expected."""
    data, model = encode_public(read), evidence.distribution
    drawn = model.draw(data.rows, np.random.default_rng(0))
    pairs = list(itertools.combinations(data.domain.attributes, 2))
    inside = []
    for pair, mine, its in zip(pairs, data.marginals(pairs), drawn.marginals(pairs), strict=True):
        expected = table_error(pair, data.domain, model, evidence.tables).l1
        actual = float(np.abs(mine / data.rows - its / drawn.rows).sum())
        inside.append(expected is not None and 1 / 1.5 <= actual / expected <= 1.5)
    return float(np.mean(inside))


if __name__ == "__main__":
    for row in rows(sys.argv[1:] or tuple(TABLES)):
        print(json.dumps(row.to_json()), flush=True)
