"""What-ifs against real records weighted to the same shares, and how fast tables are imagined.

`python -m tests.bench.trust_scenarios` prints the rows; the tables are those of the examples.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

import privsynth as ps
from privsynth import encoding, records
from privsynth.dataset import Dataset
from privsynth.making.document import RulesFile
from privsynth.raking.targets import read_targets
from tests.bench.row import Row, cpu_seconds

STAYS = Path(__file__).parents[2] / "examples" / "hospital_stays"
SCENARIOS = {
    "readmitted": {"readmitted": {"<30": 0.2}},
    "readmitted and age": {"readmitted": {"<30": 0.2}, "age": {("[70-80)", None): 0.6}},
    "readmitted by gender": {("readmitted", "gender"): {("<30", "Female"): 0.2}},
}
_PAIRS = 60
_ROUNDS = 200

_WAYS = (
    'kind = "category"\nvalues = ["a", "b", "c", "d"]\n'
    '[make.c{0}]\nhow = "labels"\nweights = {{a = 5, b = 3, c = 2}}\nrest = 1\n',
    'kind = "integer"\nlower = 0\nupper = 99\nmissing = [""]\n[make.c{0}]\nhow = "given"\ncolumn = "c{1}"\nmissing = 0.05\n'
    'otherwise = {{how = "normal", mean = 50, sd = 20}}\nwhen = {{a = {{how = "poisson", mean = 30}}}}\n',
    'kind = "number"\nlower = "0"\nupper = "10000"\nprecision = "0.01"\n[make.c{0}]\nhow = "linear"\nbase = 100\n'
    "per = {{c{1} = 20}}\nsd = 50\n",
    'kind = "date"\nlower = 2001-01-01\nupper = 2020-12-31\n',
    'kind = "boolean"\n[make.c{0}]\nhow = "logistic"\nlabel = "true"\nbase = -2\nper = {{c{2} = 0.03}}\n',
)
WIDE = (
    '[table]\nname = "wide"\n'
    + "".join(f"[columns.c{i}]\n" + _WAYS[i % 5].format(i, i - 1, i - 3) for i in range(20))
    + '[[rules]]\nkind = "implication"\nif = {column = "c0", in = ["d"]}\nthen = {column = "c5", in = ["a", "b", "c"]}\n'
)


def rows() -> Iterator[Row]:
    """How far shifted rows are from real ones weighted to the same shares, beside how far unshifted ones are."""
    wide = RulesFile.loads(WIDE)
    spent = cpu_seconds(lambda: ps.imagine(wide, n=1_000_000, seed=1))
    yield Row(name="imagine 1,000,000 rows x 20 columns", value=spent, unit="CPU s", target="<= 10")
    schema, table = ps.Schema.load(STAYS / "schema.toml"), STAYS / "encounters.csv.gz"
    model = ps.fit(table, schema, epsilon=3, delta="1e-6", max_rows=4, out_of_domain="other", generator="latent_class")
    assert isinstance(model, ps.Model)
    real = encoding.encode(records.read(table, schema, out_of_domain="other")).open()
    every = list(itertools.combinations(real.domain.attributes, 2))
    pairs = [every[place] for place in np.random.default_rng(0).choice(len(every), _PAIRS, replace=False)]
    plain = _distance(model, real, np.ones(real.rows), pairs)
    yield Row(name="hospital_stays, eps 3: pairs of rows that are not shifted", value=plain, unit="total variation")
    for name, targets in SCENARIOS.items():
        weights = _weights(schema, real, targets)
        shifted = _distance(model.shifted(targets), real, weights, pairs)
        yield Row(
            name=f"what-if {name}: against weighted real rows",
            value=shifted / plain,
            unit="times that",
            target="<= 1.5",
        )
        ignored = _distance(model, real, weights, pairs)
        yield Row(name=f"what-if {name}: if nothing were shifted", value=ignored / plain, unit="times that")


def _weights(schema: ps.Schema, real: Dataset, targets: dict[object, dict[object, float]]) -> npt.NDArray[np.float64]:
    """Weights of real rows that have the declared shares, by proportional fitting. Shapes: (rows,)."""
    plan, weights = read_targets(schema, targets), np.ones(real.rows)
    codes = {name: real.columns[real.domain.index(name)].astype(np.int64) for name in plan.columns}
    for _ in range(_ROUNDS):
        for target in plan.targets:
            cell = target.cells[tuple(plan.group_of[name][codes[name]] for name in target.columns)]
            now = np.bincount(cell, weights=weights, minlength=target.shares.size) / weights.sum()
            weights = weights * (target.shares / np.where(now > 0, now, 1.0))[cell]
    return weights


def _distance(model: ps.Model, real: Dataset, weights: npt.NDArray[np.float64], pairs: list[tuple[str, ...]]) -> float:
    """Mean total variation of pair tables, of as many drawn rows as there are real ones."""
    drawn = model.distribution.draw(real.rows, np.random.default_rng(1))
    found = []
    for pair in pairs:
        shape = real.domain.shape(pair)
        place = np.ravel_multi_index([real.columns[real.domain.index(name)].astype(np.int64) for name in pair], shape)
        table = np.bincount(place, weights=weights, minlength=shape[0] * shape[1]).reshape(shape)
        found.append(np.abs(table / table.sum() - drawn.marginal(pair) / drawn.rows).sum() / 2)
    return float(np.mean(found))


if __name__ == "__main__":
    for row in rows():
        print(json.dumps(row.to_json()), flush=True)
