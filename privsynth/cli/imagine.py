"""`privsynth imagine`: a table made from a rules file, or drawn from a model as a scenario says; spends nothing.

Must never read a private table, and never overwrite a file.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from privsynth.cli.console import Console
from privsynth.cli.trusting import Trust, among, signatures

if TYPE_CHECKING:
    from privsynth.generators.rules import Imagined
    from privsynth.imagining.scenario import WhatIf


def imagine(
    context: typer.Context,
    out: Annotated[Path, typer.Option(help="The new file: its name ends in .csv or .parquet.")],
    rules: Annotated[
        Path | None,
        typer.Argument(
            help="A rules file: how each column of a schema is made. A real table's exact figures in it would be leaked."
        ),
    ] = None,
    rows: Annotated[int, typer.Option(help="How many rows.")] = 1000,
    seed: Annotated[int, typer.Option(help="The same files and seed make the same rows.")] = 0,
    model: Annotated[Path | None, typer.Option(help="A saved model or a release, for a scenario.")] = None,
    scenario: Annotated[Path | None, typer.Option(help="A scenario file: shares, conditions, rules.")] = None,
    trust: Trust = None,
) -> None:
    """Make a table from declared rules, or a what-if from a model: privsynth imagine RULES, or --model M --scenario S."""
    from privsynth.errors import InputError
    from privsynth.imagining import tables

    console: Console = context.obj
    if (rules is None) == (model is None) or (model is None) != (scenario is None):
        raise InputError("expected a rules file, or both of --model and --scenario: give the one or the other")
    tables.require_new(out)
    said, signed = signatures(among([model]), trust)
    made: Imagined | WhatIf
    with console.progress():
        if rules is not None:
            made = tables.imagined(rules, n=rows, seed=seed)
        else:
            from privsynth.imagining import scenario as scenarios

            assert model is not None
            assert scenario is not None
            asked = scenarios.Scenario.load(scenario)
            made = asked.draw(scenarios.opened(model), rows, rng=tables.generator(seed))
        tables.write(made.table, out)
    silent = ["a CSV file has no place to say that it is imagined; a Parquet file says so itself"]
    lines = [*made.lines(), *(silent if out.name.lower().endswith(".csv") else []), *signed, f"wrote {out}"]
    console.result({"file": str(out), "rows": made.table.num_rows, **made.to_json(), **said}, lines)
