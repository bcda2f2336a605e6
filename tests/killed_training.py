"""A training that is killed at a chosen point, and writes down what it draws, keeps and goes on from.

`python -m tests.killed_training FOLDER FUNCTION TURN before|after` ends without notice at the turn-th call of the function.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import sys
from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from privsynth.fitting import FitPlan
from privsynth.measurement import Transcript
from privsynth.privacy import sampling
from privsynth.privacy.curator import Curator
from privsynth.privacy.guarantee import Budget
from privsynth.privacy.noise import SystemNoise
from privsynth.privacy.sampled_gaussian import SampledGaussian
from privsynth.privacy.unit import PrivacyUnit
from privsynth.records import read
from privsynth.releasing.journal import FolderJournal
from privsynth.releasing.resuming import fit_in
from privsynth.schema import Schema
from tests.tiny_training import TinyTraining

STEPS = 200
BLOCK = STEPS // 64
EXIT = 9


def log(folder: Path, line: str) -> None:
    with (folder / "log").open("a") as file:
        file.write(line + "\n")


def digest(state: Mapping[str, Any] | None) -> str:
    parts = b"".join(name.encode() + array.tobytes() for name, array in sorted((state or {}).items()))
    return hashlib.sha256(parts).hexdigest()[:16] if state else "nothing"


def wrap(path: str, before: Callable[..., None] | None = None, after: Callable[..., None] | None = None) -> None:
    """Let something happen around every call of a function; classmethods stay what they are."""
    owner, name = path.rsplit(".", 1)
    try:
        holder = importlib.import_module(owner)
    except ModuleNotFoundError:
        module, kind = owner.rsplit(".", 1)
        holder = getattr(importlib.import_module(module), kind)
    original = getattr(holder, name)

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if before is not None:
            before(*args)
        found = original(*args, **kwargs)
        if after is not None:
            after(found, *args)
        return found

    of_class = isinstance(holder, type) and isinstance(vars(holder).get(name), classmethod)
    setattr(holder, name, staticmethod(wrapped) if of_class else wrapped)


def watch(folder: Path) -> None:
    """Write down every draw of a batch, every state that was kept, and what training goes on from."""
    poisson, keep, resumed = sampling.poisson, FolderJournal.keep, Curator.training_state

    def drawn(*args: Any) -> Any:
        log(folder, "draw")
        return poisson(*args)

    def kept(journal: FolderJournal, what: Any) -> None:
        keep(journal, what)
        log(folder, f"kept {what.step} {digest(what.state)}")

    def state(curator: Curator) -> Any:
        found = resumed(curator)
        tables = [entry.to_json() for entry in curator.transcript]
        log(folder, f"measured {hashlib.sha256(repr(tables).encode()).hexdigest()}")
        log(folder, f"state {found[0]} {digest(found[1])}")
        return found

    sampling.poisson, FolderJournal.keep, Curator.training_state = drawn, kept, state  # type: ignore[assignment,method-assign]


def kill_at(path: str, turn: int, when: str) -> None:
    calls = [0]

    def count(*_: Any) -> None:
        calls[0] += 1
        if calls[0] == turn:
            os._exit(EXIT)

    wrap(path, before=count if when == "before" else None, after=count if when == "after" else None)


def plan(steps: int = STEPS, rho: Fraction = Fraction(1, 10)) -> FitPlan:
    """A budget that nobody calibrated: what it promises is not what is tested here."""
    training = SampledGaussian(sampling_rate=Fraction(1, 10), steps=steps, noise_multiplier=Fraction(2))
    budget = Budget(
        epsilon=Fraction(9),
        delta=Fraction(1, 10**6),
        rho=rho,
        purchase_rho=Fraction(0),
        purchase_delta=Fraction(0),
        composition="pld",
        training=training,
    )
    return FitPlan(generator=TinyTraining(steps=steps), unit=PrivacyUnit(name="row"), budget=budget)


def train(folder: Path, chosen: FitPlan | None = None, rows: int = 400) -> Transcript:
    """Fit in a folder, or go on there."""
    codes = np.random.default_rng(1).integers(2, size=rows)
    schema = Schema.from_domain({"a": 2, "b": 3})
    table = read({"a": codes.tolist(), "b": (codes + 1).tolist()}, schema)
    return fit_in(folder / "fit", table, chosen or plan(), SystemNoise(), terms="these")[1]


if __name__ == "__main__":
    place, function, number, order = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4]
    watch(place)
    kill_at(function, number, order)
    train(place)
