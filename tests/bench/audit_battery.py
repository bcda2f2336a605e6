"""The battery of the three risks that the GDPR's working party names: its cost beside Anonymeter's, false alarms, power."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow.csv

from privsynth import attacks, encoding, generators, statistics
from privsynth.attack import Target, together
from privsynth.auditing.people import People
from privsynth.private import Private
from privsynth.records import Records, to_arrow
from tests.bench import adult_raw, fidelity
from tests.bench.row import Row, cpu_seconds

ROOT = Path(__file__).parents[2]
PEER = ROOT / "build" / "peers" / "anonymeter"
SCRIPT = Path(__file__).parent / "anonymeter_battery.py"
COMMANDS = {
    "Anonymeter": "anonymeter 1.1.0, all three evaluators, defaults (linkability: 10 neighbours), same tables, this run"
}

Settings = Mapping[str, object]
BATTERY: tuple[tuple[str, Settings], ...] = (
    ("singling_out", {}),
    ("linkability", {}),
    ("attribute_inference", {"secrets": "every"}),
)
MATCHES: tuple[tuple[str, Settings], ...] = (("exact_match", {}), ("near_match", {}))
LABELS = {"battery": BATTERY, "battery, exact match and near match": MATCHES}
ROWS, ATTACKS = 26_000, 2_000
COPIED, POWER_RUNS = 0.05, 40
NULL_RUNS, NULL_ROWS = 200, 1_000
ALPHA = 0.05


def rows() -> Iterator[Row]:
    """All of them; Anonymeter's own run is most of the time."""
    yield from false_alarms()
    yield from power()
    yield from cost()


def smallest_p_values(target: Target, rng: np.random.Generator) -> dict[str, float]:
    """Of the battery, and of the battery with exact and near match: the smallest p-value, Holm-adjusted."""
    values: list[float] = []
    found = {}
    for label, part in LABELS.items():
        results = [result for name, settings in part for result in attacks.get(name, settings).run(target, rng=rng)]
        values += [statistics.fisher_p_value(result.comparison) for result in results]
        found[label] = min(statistics.holm(values))
    return found


# ---- what it costs ---------------------------------------------------------------------------------------------------


@cache
def tables() -> dict[str, Records]:
    """Training data, people outside of it, and records of our `mst` at epsilon 1."""
    real = adult_raw.shuffled(0)
    ori, control = real.take(np.arange(ROWS)), real.take(np.arange(ROWS, ROWS + 9_758))
    data, rng = encoding.encode_public(ori), np.random.default_rng(0)
    model = generators.get("mst", {}).fit(fidelity.curator(data, "1"))
    synthetic = encoding.decode(model.draw(ROWS, rng), ori.schema, rng=rng)
    return {"ori": ori, "syn": synthetic, "control": control}


def cost() -> Iterator[Row]:
    """CPU seconds of 2,000 attacks of each kind, on as many people outside of the data."""
    made = tables()
    arms = (Private(made[name].take(np.arange(ATTACKS))) for name in ("ori", "control"))
    target = Target(schema=made["ori"].schema, synthetic=made["syn"], members=next(arms), controls=next(arms))
    theirs = _anonymeter(made)
    where = f"Adult raw, {ROWS:,} rows, {ATTACKS:,} attacks each"
    ours = {}
    for name, settings in BATTERY:
        attack = attacks.get(name, settings)
        ours[name] = cpu_seconds(lambda attack=attack: attack.run(target, rng=np.random.default_rng(1)))  # type: ignore[misc]
        yield Row(name=f"privsynth: {name}, {where}", value=ours[name], unit="CPU s")
    for name, seconds in theirs.items():
        yield Row(name=f"Anonymeter: {name}, {where}", value=seconds, unit="CPU s")
    total = sum(theirs.values())
    yield Row(name=f"Anonymeter: battery, {where}", value=total, unit="CPU s")
    yield Row(name=f"privsynth: battery, {where}", value=sum(ours.values()), unit="CPU s")
    share = sum(ours.values()) / total
    yield Row(name="privsynth's battery over Anonymeter's", value=share, unit="ratio of CPU time", target="<= 0.1")


def _anonymeter(made: Mapping[str, Records]) -> dict[str, float]:
    """Its CPU seconds, attack by attack; its environment is made where there is none."""
    python = PEER / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(PEER)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", "anonymeter==1.1.0"], check=True)
    for name, table in made.items():
        pyarrow.csv.write_csv(to_arrow(table, {}), PEER / f"{name}.csv")
    command = [str(python), str(SCRIPT), str(PEER), str(ATTACKS)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    seconds: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return seconds


# ---- whether it is right ---------------------------------------------------------------------------------------------


def false_alarms() -> Iterator[Row]:
    """Releases of other people altogether, with half as many controls as members: the audit makes the arms equal."""
    alarms = dict.fromkeys(LABELS, 0)
    for run in range(NULL_RUNS):
        real, rng = adult_raw.shuffled(run), np.random.default_rng(run)
        members, controls, others = (
            real.take(np.arange(start, stop))
            for start, stop in ((0, NULL_ROWS), (5_000, 5_000 + NULL_ROWS // 2), (10_000, 13_000))
        )
        people = People.draw(
            schema=real.schema, synthetic=others, members=Private(members), controls=Private(controls), rng=rng
        )
        target = people.target(people.size_for(NULL_ROWS))
        for label, p_value in smallest_p_values(target, rng).items():
            alarms[label] += p_value <= ALPHA
    for label, count in alarms.items():
        yield Row(
            name=f"false alarms at {ALPHA:.0%}, {NULL_RUNS} runs without a leak: {label}",
            value=count / NULL_RUNS,
            unit="share of runs",
            target=f"<= {ALPHA}",
        )


def power() -> Iterator[Row]:
    """Other people's records, of which 5 % are replaced by copies of members'."""
    caught = dict.fromkeys(LABELS, 0)
    for run in range(POWER_RUNS):
        real, rng = adult_raw.shuffled(run), np.random.default_rng(run)
        members, others = real.take(np.arange(ROWS)), real.take(np.arange(ROWS + ATTACKS, real.rows))
        copies = round(COPIED * ROWS)
        target = Target(
            schema=real.schema,
            synthetic=together(
                others.take(rng.integers(0, others.rows, ROWS - copies)),
                members.take(rng.choice(ROWS, copies, replace=False)),
            ),
            members=Private(members.take(np.arange(ATTACKS))),
            controls=Private(real.take(np.arange(ROWS, ROWS + ATTACKS))),
        )
        for label, p_value in smallest_p_values(target, rng).items():
            caught[label] += p_value <= ALPHA / 5
    for label, count in caught.items():
        yield Row(
            name=f"{COPIED:.0%} verbatim copies found at 1 %, {POWER_RUNS} runs of {ROWS:,} rows: {label}",
            value=count / POWER_RUNS,
            unit="share of runs",
            target=">= 0.95",
        )
