"""What debiasing does to models trained on synthetic rows, tested on real ones: differences between groups, and accuracy.

Adult (sex and income, given education and hours), credit_default and hospital_stays (as their schemas declare), at epsilon 1.
Every row is a unit of its own here. A row is selected where it is among the likeliest, as many as there are outcomes. The
command is `python -m tests.bench trust`, or `python -m tests.bench.trust_fairness` for these rows alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from privsynth import records, rules
from privsynth.debiasing import Debias, cost_of, debiased, draw_debiased
from privsynth.encoding import decode, encode_public
from privsynth.generator import AbstractDistribution
from privsynth.learning import learners
from privsynth.learning.learners import Predictor
from privsynth.learning.task import Task
from privsynth.metrics.groups import GroupComparison, compare_groups
from privsynth.records import Records
from privsynth.schema import Schema
from tests.bench import adult_raw, flagship
from tests.bench.downstream import EXAMPLES
from tests.bench.row import Row

FITS = 3
_REDRAWN = 20
_ADULT = Debias(protected=("sex",), outcome="income", legitimate=("education-num", "hours-per-week"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A table in two parts, what is predicted, and the dependence that is broken."""

    name: str
    schema: Schema
    train: Records
    test: Records
    task: Task
    debias: Debias


def rows() -> Iterator[Row]:
    """Means of three fits."""
    for case in cases():
        yield from of_case(case)


def cases() -> Iterator[Case]:
    """Four fifths and one fifth of each table."""
    adult = adult_raw.table()
    yield _case("adult", adult, Task.of(adult.schema, "income", (">50K",)), _ADULT)
    for folder, file in (("credit_default", "clients.csv.gz"), ("hospital_stays", "encounters.csv.gz")):
        schema = Schema.load(EXAMPLES / folder / "schema.toml")
        table = records.read(EXAMPLES / folder / file, schema, out_of_domain="clamp").open()
        yield _case(folder, table, Task.of(schema), Debias.of(schema, asked=True))


def _case(name: str, table: Records, task: Task, debias: Debias) -> Case:
    plain = Records(schema=table.schema, ticks={one: table.ticks[one] for one in table.ticks})
    order = np.random.default_rng(0).permutation(plain.rows)
    cut = plain.rows * 4 // 5
    return Case(
        name=name,
        schema=plain.schema,
        train=plain.take(order[:cut]),
        test=plain.take(order[cut:]),
        task=task,
        debias=debias,
    )


def of_case(case: Case) -> Iterator[Row]:
    """Of one table: the dependence that is left, and what models trained on real, plain and debiased rows do."""
    told: dict[str, list[float]] = {}
    for seed in range(FITS):
        rng = np.random.default_rng(seed)
        fitted = flagship.fit(encode_public(case.train), "1")
        cost = cost_of(case.schema, fitted, case.debias, noise={}, rng=rng)
        _note(told, "dependence given the strata before (bits)", cost.information_before)
        _note(told, "dependence given the strata after (bits)", cost.information_after)
        _note(told, "rows replaced (share)", cost.replaced)
        predictors = {"real": _taught(case, case.train, seed)}
        drawn = {"plain": _plain(case, fitted, rng), "debiased": _debiased(case, fitted, rng)}
        if case.name == "adult":
            drawn["relabelled"] = _relabelled(case, fitted, drawn["plain"], rng)
        predictors |= {whose: _taught(case, one, seed) for whose, one in drawn.items()}
        found = compare_groups(
            case.schema,
            case.train,
            case.train,
            case.task,
            rng=rng,
            holdout=case.test,
            protected=case.debias.protected,
            trained=predictors,
        )
        _judge(case, found, predictors, told)
    for name, values in told.items():
        yield Row(name=f"{case.name}: {name} {flagship.spread(values)}", value=float(np.mean(values)), unit="")


def _judge(case: Case, found: GroupComparison, predictors: dict[str, Predictor], told: dict[str, list[float]]) -> None:
    judged = case.task.examples(case.test)
    for whose, one in predictors.items():
        auc = learners.score(case.task, judged.answers, one.predict(judged.inputs))
        _note(told, f"AUC on real rows, trained on {whose}", auc)
        for section in found.sections:
            for what in ("demographic parity", "equalized odds"):
                apart = section.apart.get((what, whose))
                if apart is not None:
                    _note(told, f"{what} difference, {' x '.join(section.columns)}, trained on {whose}", apart.value)


def _plain(case: Case, fitted: AbstractDistribution, rng: np.random.Generator) -> Records:
    codes = fitted.draw(case.train.rows, rng)
    return rules.repair(case.schema, decode(codes, case.schema, rng=rng), rng=rng)[0]


def _debiased(case: Case, fitted: AbstractDistribution, rng: np.random.Generator) -> Records:
    plan = debiased(case.schema, fitted, case.debias)
    return draw_debiased(case.schema, fitted, plan, case.train.rows, rng=rng)[0]


def _relabelled(case: Case, fitted: AbstractDistribution, plain: Records, rng: np.random.Generator) -> Records:
    """The way not taken (docs/decisions/0025): the same table by rewriting labels, of the rows likeliest to have the other."""
    plan, outcome = debiased(case.schema, fitted, case.debias), case.debias.outcome
    data = encode_public(plain)
    codes = {name: data.column(name).astype(np.int64) for name in data.domain.attributes}
    others = {name: found for name, found in codes.items() if name != outcome}
    redrawn = [fitted.draw_each(others, [outcome], rng) for _ in range(_REDRAWN)]
    score = np.mean([one[outcome] for one in redrawn if one is not None], axis=0) + 1e-3 * rng.random(data.rows)
    labels, place = codes[outcome].copy(), plan.cells(codes) // 2
    rates = plan.after.reshape(-1, 2)
    for cell in np.unique(place).tolist():
        mine = np.flatnonzero(place == cell)
        total = rates[cell].sum()
        wanted = int(np.floor(rates[cell, 1] / total * mine.size + rng.random())) if total > 0 else labels[mine].sum()
        more = wanted - int(labels[mine].sum())
        able = mine[labels[mine] == (more < 0)]
        ranked = able[np.argsort(score[able] if more < 0 else -score[able])]
        labels[ranked[: abs(more)]] = int(more > 0)
    return plain.with_ticks({**plain.ticks, outcome: labels})


def _taught(case: Case, drawn: Records, seed: int) -> Predictor:
    return learners.fit(case.task, case.task.examples(drawn), "gradient_boosting", seed)


def _note(told: dict[str, list[float]], name: str, value: float) -> None:
    told.setdefault(name, []).append(value)


if __name__ == "__main__":
    for row in rows():
        print(f"{row.name:100} {row.value:10.4g}", flush=True)
