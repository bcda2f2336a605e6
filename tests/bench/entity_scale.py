"""nafld read, measured, fitted, and a million child rows drawn, in a process of its own; prints times and memory as JSON."""

from __future__ import annotations

import json
import resource
import time

import numpy as np

from privsynth import generators
from privsynth.histories import measuring
from privsynth.histories.history_model import fit_history
from privsynth.privacy.guarantee import Budget
from privsynth.privacy.noise import SystemNoise
from tests.bench import entity_data

UNITS = 45_000
"""Each has 22.8 laboratory values and 2 events."""


def megabytes() -> float:
    """The most that this process ever held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Read, measure, fit, draw."""
    started = time.perf_counter()
    database = entity_data.read("nafld")
    assert database is not None
    read = time.perf_counter()
    maker = generators.get("latent_class", {})
    budget = Budget.of("1", "1e-6", buys=False, composition=maker.composition)
    plan = measuring.HistoryPlan(schema=database.open().schema, generator=maker, budget=budget, unit_name="patient")
    noise = SystemNoise()
    measuring.measure(database, plan, noise, bound_key=noise.key())
    found = {"read": read - started, "measured": time.perf_counter() - started, "megabytes_measured": megabytes()}
    model = fit_history(database, epsilon="1", delta="1e-6", noise=noise)
    started = time.perf_counter()
    drawn = model.draw(UNITS, rng=np.random.default_rng(0)).database
    found["drawn"] = time.perf_counter() - started
    found["rows"] = sum(rows.count for rows in drawn.tables.values()) - drawn.units
    print(json.dumps({**found, "megabytes": megabytes()}))


if __name__ == "__main__":
    main()
