"""`privsynth scale`: learning curves, and where more rows stop helping; internal.

Must never write anywhere but into the folder that --out names, which its owner alone may enter.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from privsynth.cli.console import Console
from privsynth.cli.options import MinCell, Outcome, SchemaFile, Target


def scale(
    context: typer.Context,
    real: Annotated[Path, typer.Argument(help="The real table: CSV or Parquet.")],
    *,
    schema: SchemaFile,
    out: Annotated[Path, typer.Option(help="A new folder for the page and the figures (mode 0700).")],
    epsilon: Annotated[
        str | None, typer.Option(help="Fit generators with it to subsets of the real rows; exploration, uncertified.")
    ] = None,
    delta: Annotated[str, typer.Option(help="The delta of each fit.")] = "1e-6",
    generator: Annotated[str, typer.Option(help="The generator that is fitted.")] = "auto",
    synthetic: Annotated[
        Path | None,
        typer.Option(help="Instead: a release, a saved model or a synthetic table; only its rows are varied."),
    ] = None,
    target: Target = None,
    outcome: Outcome = None,
    size: Annotated[list[int] | None, typer.Option(min=2, help="A number of rows; four or more, repeated.")] = None,
    seeds: Annotated[int, typer.Option(min=2, help="Times that each size is tried.")] = 3,
    gain: Annotated[float, typer.Option(help="What doubling the rows must gain to count as help.")] = 0.005,
    min_cell: MinCell = 11,
    seed: Annotated[int, typer.Option(min=0, help="Decides which rows are taken and drawn.")] = 0,
) -> None:
    """Draw learning curves against real rows, synthetic rows and both; internal, never to be released."""
    import numpy as np

    from privsynth.evaluating import folder
    from privsynth.exploring import Fitting
    from privsynth.growth import scale as run

    console: Console = context.obj
    folder.require_free(out, [] if synthetic is None else [synthetic])
    with console.progress():
        found = run(
            real,
            schema=schema,
            target=target,
            outcome=tuple(outcome or ()),
            fitting=None if epsilon is None else Fitting(epsilon=epsilon, delta=delta, generator=generator),
            synthetic=synthetic,
            sizes=size or None,
            seeds=seeds,
            gain=gain,
            min_cell=min_cell,
            rng=np.random.default_rng(seed),
        )
    found.save(out)
    console.result(found.to_json(), [*found.lines(), f"written to {out}"])
