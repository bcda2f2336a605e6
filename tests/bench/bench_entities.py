"""Histories under one person's privacy: errors against a peer that flattens, impossible rows, training, time and memory."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator

import numpy as np

from privsynth.database import Database
from privsynth.histories import across
from privsynth.histories.history_model import HistoryModel, fit_history
from privsynth.metrics import histories
from privsynth.metrics.joined import joined
from privsynth.privacy.noise import SystemNoise
from privsynth.private import Private
from tests.bench import entity_data, entity_peer, entity_utility
from tests.bench.row import Row

PEERS = {"flatten": "rows treated as people with sensitivity k; see tests/bench/entity_peer.py"}
EPSILONS, DELTA = ("1", "4"), "1e-6"
SMOKE = ("mimic3_demo", "berka")


def rows() -> Iterator[Row]:
    """All figures of the databases that are there."""
    for name in ("nafld", "diabetes130"):
        database = entity_data.read(name)
        if database is None:
            continue
        for epsilon in EPSILONS:
            yield from of_one(name, database, epsilon)
        yield from training(name, database)
    for name in SMOKE:
        yield from smoke(name)
    yield from at_scale()


def fitted(database: Private[Database], epsilon: str) -> HistoryModel:
    """The default model."""
    return fit_history(database, epsilon=epsilon, delta=DELTA, noise=SystemNoise())


def of_one(name: str, private: Private[Database], epsilon: str) -> Iterator[Row]:
    """Sizes, pairs and transitions against the peer's, and what the rules say."""
    real, where = private.open(), f"{name} at epsilon {epsilon}"
    started = time.process_time()
    model = fitted(private, epsilon)
    synthetic = model.draw(rng=np.random.default_rng(0)).database
    yield Row(name=f"{where}: fit and draw", value=time.process_time() - started, unit="CPU s")
    found = histories.compare(real, synthetic, rng=np.random.default_rng(0))
    for table, value in found.group_sizes.by_name.items():
        yield Row(name=f"{where}: sizes of {table}", value=value, unit="TV", target="<= 0.05")
    for table, value in found.gaps.by_name.items():
        yield Row(name=f"{where}: gaps of {table}", value=value, unit="TV")
    yield Row(name=f"{where}: units' summaries, mean", value=found.aggregates.mean, unit="TV")
    for length, distances in found.marginals.items():
        yield Row(name=f"{where}: {length}-way tables, joined, mean", value=distances.mean, unit="TV")
    for table in entity_peer.tables(real):
        yield from against_peer(real, synthetic, table, epsilon, where)
    yield from impossible(synthetic, where)


def against_peer(real: Database, synthetic: Database, table: str, epsilon: str, where: str) -> Iterator[Row]:
    """Both errors of a table over the peer's, who uses as many rows of a unit as the schema allows; and over the best of six
    peers, each with a k of its own, picked after the fact for each figure."""
    bound = real.schema.table(table).bound
    assert bound is not None and isinstance(bound.rows, int)
    plain = ("latent_class", bound.rows)
    mine = entity_peer.errors(joined(real, table), joined(synthetic, table))
    tried = {one: entity_peer.flat_errors(real, table, epsilon, DELTA, *one) for one in (plain, *entity_peer.TRIED)}
    for what in ("pairs", "transitions"):
        ours = getattr(mine, what)
        yield Row(name=f"{where}: {what} of {table}", value=ours, unit="TV")
        best = min(entity_peer.TRIED, key=lambda one: getattr(tried[one], what))
        for (made, k), picked, target in ((plain, "", "<= 0.5"), (best, ", best of six", None)):
            its = getattr(tried[made, k], what)
            yield Row(name=f"{where}: {what} of {table}, peer ({made}, k = {k}{picked})", value=its, unit="TV")
            over = f"{where}: {what} of {table}, over this peer's{picked}"
            yield Row(name=over, value=ours / its, unit="ratio", target=target)
    chance = entity_peer.by_chance(real, table)
    yield Row(name=f"{where}: pairs of {table}, by chance alone", value=chance.pairs, unit="TV")
    yield Row(name=f"{where}: transitions of {table}, by chance alone", value=chance.transitions, unit="TV")


def impossible(synthetic: Database, where: str) -> Iterator[Row]:
    """Rows that break a rule, and keys that lead nowhere."""
    broken = across.broken(synthetic.schema, synthetic)
    number = sum(int(mask.sum()) for mask in broken.values())
    yield Row(name=f"{where}: rows that break one of {len(broken)} rules", value=number, unit="rows", target="<= 0")
    dangling = 0
    for terms in synthetic.schema.tables[1:]:
        rows, above = synthetic.tables[terms.name], synthetic.tables[terms.parent_table]
        inside = (rows.parent >= 0) & (rows.parent < above.count)
        wrong = inside & (above.unit[np.where(inside, rows.parent, 0)] != rows.unit)
        may_lack = terms.parent is not None and terms.parent.optional
        dangling += int((wrong | ~(inside | (may_lack & (rows.parent == -1)))).sum())
    yield Row(name=f"{where}: dangling keys", value=dangling, unit="rows", target="<= 0")


def training(name: str, private: Private[Database]) -> Iterator[Row]:
    """Trained on four fifths of the units or on synthetic ones of them, tested on the last fifth."""
    task, whole = entity_utility.TASKS[name], private.open()
    held = np.random.default_rng(0).random(whole.units) < 0.2
    train, test = whole.of_units(~held), whole.of_units(held)
    real = entity_utility.auc(task, train, test)
    yield Row(name=f"{name}: trained on real histories", value=real, unit="AUC")
    for epsilon in EPSILONS:
        drawn = fitted(Private(train), epsilon).draw(rng=np.random.default_rng(0)).database
        value = entity_utility.auc(task, drawn, test)
        yield Row(name=f"{name} at epsilon {epsilon}: trained on synthetic histories", value=value, unit="AUC")


def smoke(name: str) -> Iterator[Row]:
    """A small database of many tables: it is read, fitted and drawn, and nothing impossible comes out."""
    private = entity_data.read(name)
    if private is None:
        return
    synthetic = fitted(private, "4").draw(rng=np.random.default_rng(0)).database
    yield Row(name=f"{name}: tables drawn", value=len(synthetic.tables), unit="tables")
    yield from impossible(synthetic, f"{name} at epsilon 4")


def at_scale() -> Iterator[Row]:
    """nafld's 400,000 values read and measured, and a million child rows drawn, in a process of their own."""
    if entity_data.source("nafld") is None:
        return
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.entity_scale"], capture_output=True, text=True, check=True
    )
    found = json.loads(done.stdout.splitlines()[-1])
    yield Row(name="434,450 rows of nafld read", value=found["read"], unit="s")
    yield Row(name="434,450 rows of nafld read and measured", value=found["measured"], unit="s", target="<= 30")
    yield Row(name="child rows drawn", value=found["rows"], unit="rows", target=">= 1000000")
    yield Row(name="time to draw them and make them whole", value=found["drawn"], unit="s", target="<= 60")
    yield Row(name="peak memory when read and measured", value=found["megabytes_measured"], unit="MB")
    yield Row(name="peak memory in all", value=found["megabytes"], unit="MB")
