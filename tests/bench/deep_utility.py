"""The deep generators' figures beside marginal ones: pairs, predictions, what only three columns show, and what a fit costs.

One fit of each, with noise from the system's entropy, which has no seed: figures move a little from run to run.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Final

import numpy as np

from privsynth import generators
from privsynth.dataset import Dataset
from privsynth.domain import Domain
from privsynth.generator import AbstractDistribution
from privsynth.privacy.curator import make_curator
from privsynth.privacy.guarantee import Budget
from privsynth.privacy.noise import SystemNoise
from privsynth.privacy.unit import PrivacyUnit
from tests.bench import direct_dp, downstream, fidelity, flagship, peers
from tests.bench.downstream import Task
from tests.bench.row import Row, cpu_seconds

DELTA: Final = "1e-5"
EPSILONS: Final = ("1", "10")
DEEP: Final = ("vae", "gan")
MARGINAL: Final = ("independent", "mst", "latent_class")

_TASKS: Final = ("adult", "hospital_stays")
_TRIPLE: Final = ("c0", "c1", "c2")


def rows() -> Iterator[Row]:
    """All of them, in two processes of one thread each: CPU seconds are each process's own."""
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn"), initializer=_alone) as pool:
        waiting = [pool.submit(_done, name, epsilon) for name in (*_TASKS, "parity", "growth") for epsilon in EPSILONS]
        for job in waiting:
            yield from job.result()


def _alone() -> None:
    import torch

    torch.set_num_threads(1)


def _done(name: str, epsilon: str) -> list[Row]:
    """One part of the figures; growth is looked at once."""
    if name in _TASKS:
        task = _task(name)
        return [
            *_real(task, epsilon),
            *utility(task, epsilon),
            *direct_dp.rows(task, epsilon),
            *peer_rows(task, epsilon),
        ]
    if name == "parity":
        return list(parity(epsilon))
    return list(growth()) if epsilon == "1" else []


def _task(name: str) -> Task:
    if name == "adult":
        return downstream.adult_task()
    return downstream.example_task("hospital_stays", "encounters.csv.gz", "readmitted", 0.5)


def _real(task: Task, epsilon: str) -> Iterator[Row]:
    """What the real records give, once, for reference."""
    if epsilon == EPSILONS[0]:
        for what, area in (("boosting", downstream.boosting), ("regression", downstream.regression)):
            yield Row(name=f"{task.name}, real records: {what}", value=area(task, task.train), unit="AUC")


def fit(data: Dataset, epsilon: str, name: str) -> AbstractDistribution:
    """One fit with the generator's own settings and its own way of adding up, at delta 1e-5; every row is a unit."""
    generator = generators.get(name, {})
    budget = Budget.of(epsilon, DELTA, buys=False, composition=generator.composition, schedule=generator.schedule)
    curator = make_curator(
        Dataset(data.columns, data.domain),
        unit=PrivacyUnit(name="row"),
        rho=budget.rho,
        noise=SystemNoise(),
        composition=budget.composition,
        training=budget.training,
    )
    return generator.fit(curator)


def utility(task: Task, epsilon: str) -> Iterator[Row]:
    """Of each generator: pairs of records, both AUCs of models trained on them, and CPU seconds of the fit."""
    unstructured = float("inf")
    for name in (*MARGINAL, *DEEP):
        started = time.process_time()
        model = fit(task.train, epsilon, name)
        seconds = time.process_time() - started
        drawn = model.draw(task.train.rows, np.random.default_rng(0))
        pairs = fidelity.total_variation(task.train, drawn, 2)
        if name == "independent":
            unstructured = pairs
        error, area = _targets(task, epsilon, name, unstructured)
        where = f"{task.name} at epsilon {epsilon}, {name}"
        yield Row(name=f"{where}: pairs", value=pairs, unit="TV", target=error)
        yield Row(name=f"{where}: boosting", value=downstream.boosting(task, drawn), unit="AUC", target=area[0])
        yield Row(name=f"{where}: regression", value=downstream.regression(task, drawn), unit="AUC", target=area[1])
        yield Row(name=f"{where}: fit", value=seconds, unit="CPU s")


def _targets(
    task: Task, epsilon: str, name: str, unstructured: float
) -> tuple[str | None, tuple[str | None, str | None]]:
    """A deep generator beats every whole peer, at epsilon 10 has half of `independent`'s error at most, and predicts."""
    whole = [
        peer for peer in peers.DEEP if peer.whole and peer.table == task.name and float(peer.epsilon) <= float(epsilon)
    ]
    if name not in DEEP:
        return None, (None, None)
    limits = [peer.pairs for peer in whole] + ([unstructured / 2] if epsilon == "10" else [])
    error = f"<= {min(limits):.4g}" if limits else None
    if not whole:
        return error, (None, None)
    return error, (
        f">= {max(peer.boosting for peer in whole):.4g}",
        f">= {max(peer.regression for peer in whole):.4g}",
    )


def peer_rows(task: Task, epsilon: str) -> Iterator[Row]:
    """Other libraries' stored figures on this table, each with how much of its own schedule was run."""
    for peer in peers.DEEP:
        if (peer.table, peer.epsilon) == (task.name, epsilon):
            where = f"{peer.table} at epsilon {peer.epsilon}, {peer.library}, {peer.part}"
            yield Row(name=f"{where}: pairs (stored)", value=peer.pairs, unit="TV")
            yield Row(name=f"{where}: boosting (stored)", value=peer.boosting, unit="AUC")
            yield Row(name=f"{where}: regression (stored)", value=peer.regression, unit="AUC")


def parity(epsilon: str) -> Iterator[Row]:
    """The error of a table of three columns of which no pair shows anything, at most a quarter of mst's."""
    for what, data in (("20 columns", flagship.parity_table()), ("20 binary columns", binary_parity())):
        blind = float("inf")
        for name in ("mst", *DEEP):
            drawn = fit(data, epsilon, name).draw(data.rows, np.random.default_rng(0))
            table, its = (each.marginal(_TRIPLE) / each.rows for each in (data, drawn))
            error = float(np.abs(table - its).sum() / 2)
            blind = error if name == "mst" else blind
            target = f"<= {blind / 4:.4g}" if name == "vae" else None
            yield Row(name=f"parity in {what} at epsilon {epsilon}, {name}", value=error, unit="TV of 3", target=target)


def binary_parity(records: int = 40_000, columns: int = 20, seed: int = 0) -> Dataset:
    """Coins; the third column is the parity of the first two, 5 % of it noise."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 2, (records, columns))
    codes[:, 2] = codes[:, 0] ^ codes[:, 1] ^ (rng.random(records) < 0.05)
    domain = Domain(tuple(f"c{at}" for at in range(columns)), (2,) * columns)
    return Dataset.from_columns({name: codes[:, at] for at, name in enumerate(domain.attributes)}, domain)


def growth() -> Iterator[Row]:
    """CPU seconds of a fit at epsilon 1: of a small table, of four times its rows, and of twice its columns."""
    for name in DEEP:
        for records, columns in ((10_000, 10), (40_000, 10), (10_000, 20)):
            table = binary_parity(records, columns)
            seconds = cpu_seconds(lambda table=table, name=name: fit(table, "1", name))  # type: ignore[misc]
            yield Row(name=f"{records} rows, {columns} binary columns, {name}: fit", value=seconds, unit="CPU s")
