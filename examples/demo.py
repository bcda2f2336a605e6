"""The main job on real hospital records, start to finish: release, audit, refuse a bad candidate, certify, verify.

Run by `make demo`. Writes only below build/demo/, uses a fresh ledger there, and needs no network and no torch.
"""

from __future__ import annotations

import csv
import gzip
import shutil
import sys
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
STAYS = ROOT / "examples" / "hospital_stays"
BUILD = ROOT / "build" / "demo"
COPIED_SHARE = 0.10


def privsynth(*arguments: object, expect: int = 0) -> None:
    """Run one command of the command line, show it, and stop the demo when its exit code is not the expected one."""
    from privsynth.cli import run

    words = [str(argument) for argument in arguments]
    print("\n$ privsynth " + " ".join(word.replace(f"{ROOT}/", "") for word in words), flush=True)
    code = run(words)
    if code != expect:
        sys.exit(f"the demo expected exit code {expect} and found {code}")


def bad_candidate() -> tuple[Path, Path, Path]:
    """A table that a careless generator could have made: the released rows, one in ten overwritten by a real patient's.

    Returns: the candidate, the real rows it may have copied from, and real rows that it never saw.
    """
    with gzip.open(STAYS / "encounters.csv.gz", "rt", newline="") as file:
        header, *real = csv.reader(file)
    with (BUILD / "release" / "data.csv").open(newline="") as file:
        released_header, *released = csv.reader(file)
    rng = np.random.default_rng(20261122)
    patient = header.index("patient_nbr")
    first_stay = list({row[patient]: row for row in real}.values())
    order = rng.permutation(len(first_stay))
    training = [first_stay[index] for index in order[: len(order) // 2]]
    holdout = [first_stay[index] for index in order[len(order) // 2 :]]
    place = [header.index(name) for name in released_header]
    for target, row in zip(
        rng.choice(len(released), int(COPIED_SHARE * len(released)), replace=False), training, strict=False
    ):
        released[target] = [row[index] for index in place]
    files = []
    for name, head, rows in (
        ("candidate.csv", released_header, released),
        ("training.csv", header, training),
        ("holdout.csv", header, holdout),
    ):
        path = BUILD / "bad" / name
        path.parent.mkdir(mode=0o700, exist_ok=True)
        with path.open("w", newline="") as file:
            csv.writer(file).writerows([head, *rows])
        files.append(path)
    return files[0], files[1], files[2]


def main() -> None:
    """The demo."""
    started = time.monotonic()
    shutil.rmtree(BUILD, ignore_errors=True)
    BUILD.mkdir(parents=True)
    table, schema, policy = STAYS / "encounters.csv.gz", STAYS / "schema.toml", STAYS / "policy.toml"
    ledger, key, trust = BUILD / "ledger" / "ledger.sqlite3", BUILD / "machine.pem", BUILD / "trust.toml"

    print("1. A signing key, and a trust store with its public half.")
    privsynth("keys", "new", key, "--trust", trust)
    print("\n2. What a release would cost, before anything is spent.")
    privsynth("--quiet", "quote", table, "--schema", schema, "--policy", policy, "--ledger", ledger)
    print("\n3. Release: measure under the budget, sample, attack, certify.")
    privsynth(
        "release",
        table,
        "--schema",
        schema,
        "--policy",
        policy,
        "--ledger",
        ledger,
        "--key",
        key,
        "--out",
        BUILD / "release",
    )
    print("\n4. A bad candidate: one released row in ten is overwritten by a real patient's. It must be refused.")
    candidate, training, holdout = bad_candidate()
    privsynth(
        "audit", "--synthetic", candidate, "--training", training, "--holdout", holdout, "--schema", schema,
        "--plan", "quick", "--out", BUILD / "refused", expect=4,
    )  # fmt: skip
    print("\n5. Anyone with the trust store can verify the good one, offline; and the ledger remembers.")
    privsynth("verify", BUILD / "release", "--trust", trust)
    privsynth("ledger", "show", "--ledger", ledger)
    shutil.rmtree(BUILD / "bad")
    print(f"\nDone in {time.monotonic() - started:.0f} s.")
    print(f"  the report:        {BUILD / 'release' / 'report.html'}")
    print(f"  why it was refused: {BUILD / 'refused' / 'audit.html'}")


if __name__ == "__main__":
    main()
