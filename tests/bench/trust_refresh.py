"""What a refresh finds and spends: false alarms and power of its drift test, and its errors beside a release made anew.

credit_default and hospital_stays, every row a unit of its own, cut into halves at random: one is the earlier release's, the
other the new table, as it is or with a shift made in it. Epsilon 1, delta 1e-9. `python -m tests.bench.trust_refresh`.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterable, Iterator
from fractions import Fraction

import numpy as np

from privsynth import generators, records
from privsynth.dataset import Dataset
from privsynth.encoding import encode_public
from privsynth.generator import AbstractDistribution, AbstractGenerator
from privsynth.measurement import Transcript
from privsynth.privacy.curator import make_curator
from privsynth.privacy.guarantee import Budget, Guarantee
from privsynth.privacy.noise import SystemNoise
from privsynth.privacy.unit import PrivacyUnit
from privsynth.published import Published
from privsynth.refreshing import measuring
from privsynth.refreshing.aligning import align
from privsynth.refreshing.deciding import Decision
from privsynth.refreshing.prior import Prior, prior_of
from privsynth.refreshing.refreshed import Refreshed
from privsynth.schema import Schema
from tests.bench.downstream import EXAMPLES
from tests.bench.row import Row

CASES = {"credit_default": "clients", "hospital_stays": "encounters"}
SPLITS, TESTS = 2, 10
UNIT = PrivacyUnit(name="row")
BUDGET = Budget.of("1", "1e-9", buys=False, composition="gdp")


def rows(names: Iterable[str] = ()) -> Iterator[Row]:
    """These tables, or both."""
    for name in tuple(names) or CASES:
        yield from of_table(name)


def of_table(name: str) -> Iterator[Row]:
    """One table: rates over all splits and tests, errors of one refresh a split."""
    schema, data = table(name)
    told: dict[str, list[float]] = {}
    for seed in range(SPLITS):
        rng = np.random.default_rng(seed)
        order = rng.permutation(data.rows)
        half = data.rows // 2
        old, new = data.take(order[:half]), data.take(order[half : 2 * half])
        prior = prior_from(schema, old)
        column = schema.modelled[len(schema.modelled) // 2].name
        tables = {
            "nothing": new,
            "nothing, half as many": new.take(slice(0, half // 2)),
            **{f"{column} of {part} %": shifted(new, column, part / 100, rng) for part in (1, 2, 5, 20)},
            **{f"a pair in {part} %": paired(new, part / 100, rng) for part in (5, 20)},
        }
        for what, changed in tables.items():
            for _ in range(TESTS):
                _note(told, what, found(prior, changed, what, column))
        _errors(told, prior, tables[f"{column} of 20 %"])
    for what, values in told.items():
        yield Row(name=f"refresh, {name}: {what} (mean of {len(values)})", value=float(np.mean(values)), unit="")


def table(name: str) -> tuple[Schema, Dataset]:
    """An example, encoded; units left aside."""
    folder = EXAMPLES / name
    schema = Schema.load(folder / "schema.toml")
    read = records.read_public(folder / f"{CASES[name]}.csv.gz", schema, out_of_domain="clamp")
    plain = encode_public(read)
    return schema, Dataset(plain.columns, plain.domain)


def measured(kind: AbstractGenerator, data: Dataset, share: Fraction = Fraction(1)) -> Transcript:
    """What a generator learns with a share of the budget."""
    curator = make_curator(data, unit=UNIT, rho=BUDGET.rho * share, noise=SystemNoise(), composition="gdp")
    kind.measure(curator)
    return curator.transcript


def prior_from(schema: Schema, data: Dataset) -> Prior:
    """What a release of this half says."""
    transcript = measured(generators.get("latent_class", {}), data)
    published = Published(
        predicate={},
        schema=schema,
        transcript=transcript,
        guarantee=Guarantee.for_budget(BUDGET, UNIT, transcript),
        generator="latent_class",
        settings={},
    )
    return prior_of(published, align(schema, schema), "0" * 32)


def shifted(data: Dataset, column: str, part: float, rng: np.random.Generator) -> Dataset:
    """That part of all records gets the column's second level."""
    place = data.domain.index(column)
    hit = rng.random(data.rows) < part
    columns = list(data.columns)
    columns[place] = np.where(hit, 1, columns[place]).astype(columns[place].dtype)
    return Dataset(tuple(columns), data.domain)


def paired(data: Dataset, part: float, rng: np.random.Generator) -> Dataset:
    """In that part of all records the first two columns are sorted together: their own shares stay exactly as they are."""
    hit = np.flatnonzero(rng.random(data.rows) < part)
    one, other = (column.copy() for column in data.columns[:2])
    other[hit[np.argsort(one[hit], kind="stable")]] = np.sort(other[hit])
    return Dataset((one, other, *data.columns[2:]), data.domain)


def found(prior: Prior, data: Dataset, what: str, column: str) -> bool:
    """Whether what was shifted is called moved; where nothing was, whether anything is."""
    watch = Refreshed(prior=prior, inner=generators.get("latent_class", {}), part="watch")
    decision = watch.decision(data.domain, measured(watch, data, watch.drift_share))
    if what.startswith("nothing"):
        return not decision.nothing
    if what.startswith("a pair"):
        return frozenset(data.domain.attributes[:2]) in decision.fresh_pairs
    return column in decision.fresh


def _errors(told: dict[str, list[float]], prior: Prior, data: Dataset) -> None:
    """Mean total variation of all pairs' tables: of a refresh, of a release made anew, and of no new release."""
    inner = generators.get("latent_class", {})
    refresh = Refreshed(prior=prior, inner=inner)
    answers = measured(refresh, data)
    spent = sum((entry.event.rho for entry in answers), Fraction(0)) / BUDGET.rho
    decision = refresh.decision(data.domain, answers)
    calm = Decision(total=prior.total, error=0.0, columns=(), pairs=())
    models = {
        "refreshed": refresh.estimate_again(data.domain, answers),
        "made anew": inner.estimate_again(data.domain, measured(inner, data)),
        "not refreshed": inner.estimate_again(data.domain, measuring.kept(prior, calm)),
    }
    for name, model in models.items():
        _note(told, f"mean error of pairs, {name}", error(model, data))
    _note(told, "share of the budget charged", float(spent))
    _note(told, "columns measured anew", len(decision.fresh))


def error(model: AbstractDistribution, data: Dataset) -> float:
    """Mean total variation of the tables of all pairs."""
    pairs = list(itertools.combinations(data.domain.attributes, 2))
    truth = data.marginals(pairs)
    apart = (
        np.abs(model.project(pair) / model.total - table / data.rows).sum() / 2
        for pair, table in zip(pairs, truth, strict=True)
    )
    return float(np.mean(list(apart)))


def _note(told: dict[str, list[float]], name: str, value: float) -> None:
    told.setdefault(name, []).append(float(value))


if __name__ == "__main__":
    for row in rows(sys.argv[1:]):
        sys.stdout.write(f"{row.name}: {row.value:.4g}\n")
        sys.stdout.flush()
